// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Channels: to make one, to find one by name or by a passed fd, and to take its name away. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEVICE "/dev/msgchan"

/* Without the module there is no such file; -ENOENT is kept for names of channels. */
static int open_device(void)
{
	int fd = sys_open(DEVICE, O_RDWR);

	return fd == -ENOENT || fd == -ENXIO ? -ENODEV : fd;
}

static int copy_name(char to[MSGC_NAME], const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= MSGC_NAME)
		return -EINVAL;
	memcpy(to, name, len + 1);
	return 0;
}

int ipc_copy_sized(void *to, size_t size, const void *from, size_t min)
{
	uint32_t theirs;
	const uint8_t *bytes = from;

	memcpy(&theirs, from, sizeof(theirs));
	if (theirs < min)
		return -EINVAL;
	for (size_t i = size; i < theirs; i++)
		if (bytes[i])
			return -E2BIG;
	memset(to, 0, size);
	memcpy(to, from, theirs < size ? theirs : size);
	return 0;
}

/* Make a handle for a channel fd, which it takes over unless this fails. */
static int adopt(int fd, struct ipc_channel **out)
{
	struct ipc_channel *ch = calloc(1, sizeof(*ch));
	int ret;

	if (!ch)
		return -ENOMEM;
	ch->info.size = sizeof(ch->info);
	ret = sys_ioctl(fd, MSGC_INFO, &ch->info);
	if (ret < 0) {
		free(ch);
		return ret;
	}
	ch->fd = fd;
	*out = ch;
	return 0;
}

static int adopt_or_close(int fd, struct ipc_channel **out)
{
	int ret = fd < 0 ? fd : adopt(fd, out);

	if (ret < 0 && fd >= 0)
		sys_close(fd);
	return ret;
}

static void fill_create(struct msgc_create *c, const struct ipc_options *o)
{
	bool own = o->flags & IPC_OWNER;

	c->size = sizeof(*c);
	c->flags = o->flags & ~(uint32_t)IPC_OWNER;
	c->mode = o->mode ? o->mode : MSGC_RING;
	c->delivery = o->delivery;
	if (c->mode == MSGC_RING && !c->delivery)
		c->delivery = o->flags & IPC_UNTETHERED_ONLY ? MSGC_BROADCAST : MSGC_EXCLUSIVE;
	c->uid = own ? o->uid : UINT32_MAX;
	c->gid = own ? o->gid : UINT32_MAX;
	c->perm = o->perm ? o->perm : 0600;
	c->max_senders = o->max_senders;
	c->max_receivers = o->max_receivers;
	c->max_attempts = o->max_attempts;
	c->slots = o->slots;
	c->ring_max = o->ring_max;
	c->request = o->request;
	c->reply = o->reply;
	c->spin_ns = o->spin_ns;
}

static int check_create(struct msgc_create *c, const char *name, const struct ipc_options *opt)
{
	struct ipc_options o = { .size = sizeof(o) };
	int ret = opt ? ipc_copy_sized(&o, sizeof(o), opt, sizeof(o)) : 0;

	if (ret)
		return ret;
	if (o.pad)
		return -EINVAL;
	fill_create(c, &o);
	return name ? copy_name(c->name, name) : 0;
}

IPC_API int ipc_create(const char *name, const struct ipc_options *opt, struct ipc_channel **out)
{
	struct msgc_create c = { 0 };
	int ret = check_create(&c, name, opt);
	int dev;

	if (ret)
		return ret;
	dev = open_device();
	if (dev < 0)
		return dev;
	ret = adopt_or_close(sys_ioctl(dev, MSGC_CREATE, &c), out);
	sys_close(dev);
	return ret;
}

/* Wait until a name came or went since the last OPEN through @dev, which cannot miss one. */
static int wait_for_names(int dev, uint64_t deadline)
{
	struct pollfd p = { .fd = dev, .events = POLLPRI };
	uint64_t now = sys_now(), left = deadline > now ? deadline - now : 0;
	struct timespec ts = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
	int ret;

	if (deadline == IPC_NOW)
		return -ENOENT;
	ret = sys_ppoll(&p, 1, deadline == IPC_FOREVER ? NULL : &ts);
	return ret ? ret : -ETIMEDOUT;
}

static int open_when_there(int dev, struct msgc_open *o, uint64_t deadline)
{
	int ret = 1;
	int fd;

	do {
		fd = sys_ioctl(dev, MSGC_OPEN, o);
		if (fd == -ENOENT)
			ret = wait_for_names(dev, deadline);
	} while (fd == -ENOENT && ret > 0);
	return ret < 0 ? ret : fd;
}

IPC_API int ipc_open(const char *name, unsigned int rights, uint64_t deadline,
		     struct ipc_channel **out)
{
	struct msgc_open o = { .size = sizeof(o), .flags = rights };
	int dev, ret;

	ret = copy_name(o.name, name);
	if (ret || !rights || rights & ~(unsigned int)(IPC_READ | IPC_WRITE))
		return -EINVAL;
	dev = open_device();
	if (dev < 0)
		return dev;
	ret = adopt_or_close(open_when_there(dev, &o, deadline), out);
	sys_close(dev);
	return ret;
}

IPC_API int ipc_import(int fd, struct ipc_channel **out)
{
	return adopt(fd, out);
}

IPC_API int ipc_unlink(const char *name)
{
	struct msgc_open o = { .size = sizeof(o) };
	int ret = copy_name(o.name, name);
	int dev;

	if (ret)
		return ret;
	dev = open_device();
	if (dev < 0)
		return dev;
	ret = sys_ioctl(dev, MSGC_UNLINK, &o);
	sys_close(dev);
	return ret;
}

IPC_API void ipc_close(struct ipc_channel *ch)
{
	if (!ch)
		return;
	sys_close(ch->fd);
	free(ch);
}

IPC_API int ipc_channel_fd(const struct ipc_channel *ch)
{
	return ch->fd;
}
