// SPDX-License-Identifier: MIT
/*
 * What the kernel says of all channels, asked directly: no peer has to help.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

#define DEVICE "/dev/msgchan"

/* The device, or a message: returns an fd or -errno. */
int device_open(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == ENOENT || err == ENXIO || err == ENODEV) {
		complain(ST_NO_MODULE,
			 "there is no " DEVICE ": load the module with 'modprobe msgchan'");
		return -ENODEV;
	}
	if (err == EACCES)
		complain(ST_PERMISSION, DEVICE ": permission denied; it should have mode 0666");
	else
		fail(-err, DEVICE);
	return -err;
}

/* All rows of a LIST or PEERS, which the caller frees. */
static int read_rows(int fd, unsigned long command, uint32_t kind, size_t row_size, void **rows,
		     size_t *n)
{
	struct msgc_rows ask = {
		.size = sizeof(ask), .kind = kind, .row_size = (uint32_t)row_size, .max = 64
	};
	char *buf = NULL;
	int got;

	*n = 0;
	for (;;) {
		char *more = realloc(buf, (*n + ask.max) * row_size);

		if (!more) {
			free(buf);
			return -ENOMEM;
		}
		buf = more;
		ask.buf = (uintptr_t)(buf + *n * row_size);
		got = ioctl(fd, command, &ask);
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	if (got < 0) {
		got = -errno;
		free(buf);
		return got;
	}
	*rows = buf;
	return 0;
}

int device_list(int dev, struct msgc_info **rows, size_t *n)
{
	return read_rows(dev, MSGC_LIST, MSGC_ROW_CHANNEL, sizeof(**rows), (void **)rows, n);
}

int channel_peers(int fd, struct msgc_peer **rows, size_t *n)
{
	return read_rows(fd, MSGC_PEERS, MSGC_ROW_ENDPOINT, sizeof(**rows), (void **)rows, n);
}

static int wait_rows(int fd, bool waits, struct msgc_wait_row **rows, size_t *n)
{
	size_t all, kept = 0;
	int err = read_rows(fd, MSGC_PEERS, MSGC_ROW_WAIT, sizeof(**rows), (void **)rows, &all);

	for (size_t i = 0; !err && i < all; i++)
		if (((*rows)[i].what >= MSGC_WAITS_OUTCOME) == waits)
			(*rows)[kept++] = (*rows)[i];
	*n = kept;
	return err;
}

/* What is taken and not given back. */
int channel_held(int fd, struct msgc_wait_row **rows, size_t *n)
{
	return wait_rows(fd, false, rows, n);
}

/* The threads that wait. */
int channel_waits(int fd, struct msgc_wait_row **rows, size_t *n)
{
	return wait_rows(fd, true, rows, n);
}

/* Lists of one channel are not of one moment: who has gone since is in one and not in another. */
const struct msgc_peer *find_peer(const struct msgc_peer *peers, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (peers[i].id == id)
			return &peers[i];
	return NULL;
}

/* Every channel but what may not be looked at, or went meanwhile. */
int each_channel(int dev, int (*visit)(void *arg, int fd, const char *name), void *arg)
{
	struct msgc_info *rows;
	char name[SHOWN];
	size_t n;
	int err = device_list(dev, &rows, &n);

	if (err)
		return err;
	for (size_t i = 0; i < n && !err; i++) {
		int fd = device_look_id(dev, rows[i].id);

		if (fd < 0)
			continue;
		err = visit(arg, fd, show_name(name, &rows[i]));
		close(fd);
	}
	free(rows);
	return err;
}

/* #17 is the channel with that number, which is how unnamed ones are called. */
static bool is_id(const char *name)
{
	return name[0] == '#' && name[1] && name[strspn(name + 1, "0123456789") + 1] == '\0';
}

/* A channel fd without rights, only for looking: returns it or -errno. */
int device_look_id(int dev, uint64_t id)
{
	struct msgc_open open = { .size = sizeof(open), .flags = MSGC_LOOK, .id = id };
	int fd = ioctl(dev, MSGC_OPEN, &open);

	return fd < 0 ? -errno : fd;
}

int device_look(int dev, const char *name)
{
	struct msgc_open open = { .size = sizeof(open), .flags = MSGC_LOOK };
	int fd;

	if (is_id(name))
		return device_look_id(dev, strtoull(name + 1, NULL, 10));
	snprintf(open.name, sizeof(open.name), "%s", name);
	fd = ioctl(dev, MSGC_OPEN, &open);
	return fd < 0 ? -errno : fd;
}

int channel_info(int fd, struct msgc_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return ioctl(fd, MSGC_INFO, info) < 0 ? -errno : 0;
}

static void explain_look(const char *name, int err)
{
	if (err == -ENOENT)
		complain(ST_NOT_FOUND,
			 "there is no channel '%s'; 'msgchan ls' shows those that there are", name);
	else if (err == -EACCES)
		complain(ST_PERMISSION,
			 "%s: only owner, root, and those whom its mode lets in may look", name);
	else
		fail(err, "%s", name);
}

/* @name's fd for looking and its figures, or a message: returns an fd or -errno. */
int look_up(const char *name, struct msgc_info *info)
{
	int dev = device_open(), fd, err;

	if (dev < 0)
		return dev;
	fd = device_look(dev, name);
	close(dev);
	if (fd < 0) {
		explain_look(name, fd);
		return fd;
	}
	err = channel_info(fd, info);
	if (err) {
		fail(err, "%s", name);
		close(fd);
		return err;
	}
	return fd;
}
