// SPDX-License-Identifier: MIT
/*
 * binder: Android's, spoken to through its device: a synchronous transaction there, and the reply.
 * What another process sent stands in this one's mapping, where it is checked in place, and given
 * back with the next command.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/android/binder.h>

#include "payload.h"

#define DEVICE	"/dev/binder"
#define MAPPED	(1U << 20)
#define TRIES	1000	/* until the last run's server has quite gone, a millisecond each */

struct end {
	int fd;
	void *mapping;
	void *message;			/* to be sent */
	struct binder_transaction_data got;	/* what has been received and not given back */
	unsigned char out[256], in[512];
	size_t n_out, n_in, at;		/* at: in what was read */
};

bool binder_offered(void)
{
	return !access(DEVICE, R_OK | W_OK);
}

static void *create(const struct shape *shape)
{
	struct shape *link = malloc(sizeof(*link));

	if (!link)
		die_errno(ENOMEM, "link");
	*link = *shape;
	return link;
}

/* ---- commands, sent with the next exchange ---- */

static void put(struct end *end, uint32_t command, const void *arg, size_t size)
{
	memcpy(end->out + end->n_out, &command, sizeof(command));
	memcpy(end->out + end->n_out + sizeof(command), arg, size);
	end->n_out += sizeof(command) + size;
}

static void put_message(struct end *end, uint32_t command, size_t size)
{
	struct binder_transaction_data data = {
		.code = 1, .data_size = size,
		.data.ptr.buffer = (binder_uintptr_t)end->message,
	};

	put(end, command, &data, sizeof(data));
}

static void give_back(struct end *end)
{
	binder_uintptr_t buffer = end->got.data.ptr.buffer;

	if (buffer)
		put(end, BC_FREE_BUFFER, &buffer, sizeof(buffer));
	end->got.data.ptr.buffer = 0;
}

static void exchange(struct end *end, bool wait)
{
	struct binder_write_read io = {
		.write_size = end->n_out, .write_buffer = (binder_uintptr_t)end->out,
		.read_size = wait ? sizeof(end->in) : 0, .read_buffer = (binder_uintptr_t)end->in,
	};

	if (ioctl(end->fd, BINDER_WRITE_READ, &io))
		die_errno(errno, "binder");
	end->n_out = 0;
	end->n_in = io.read_consumed;
	end->at = 0;
}

/* Until a message has come: of the rest, nothing matters here but failures. */
static void await(struct end *end, uint32_t wanted)
{
	for (;;) {
		uint32_t event;

		if (end->at == end->n_in)
			exchange(end, true);
		memcpy(&event, end->in + end->at, sizeof(event));
		end->at += sizeof(event);
		if (event == wanted) {
			memcpy(&end->got, end->in + end->at, sizeof(end->got));
			end->at += sizeof(end->got);
			return;
		}
		if (event != BR_NOOP && event != BR_TRANSACTION_COMPLETE)
			die("binder: event %#x", event);
	}
}

/* ---- ends ---- */

/* There is one, whose place is free a while after the last one's end. */
static void become_server(struct end *end)
{
	int tries = 0, zero = 0;

	while (ioctl(end->fd, BINDER_SET_CONTEXT_MGR, &zero)) {
		if (errno != EBUSY || ++tries == TRIES)
			die_errno(errno, "binder: no place for a server");
		usleep(1000);
	}
	put(end, BC_ENTER_LOOPER, "", 0);
	exchange(end, false);
}

static void *attach(void *of, bool sender)
{
	const struct shape *shape = of;
	struct end *end = calloc(1, sizeof(*end));

	if (!end)
		die_errno(ENOMEM, "end");
	end->message = malloc(shape->size);
	if (!end->message)
		die_errno(ENOMEM, "message");
	end->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (end->fd < 0)
		die_errno(errno, DEVICE);
	end->mapping = mmap(NULL, MAPPED, PROT_READ, MAP_PRIVATE, end->fd, 0);
	if (end->mapping == MAP_FAILED)
		die_errno(errno, "binder: mmap");
	if (!sender)
		become_server(end);
	return end;
}

static void detach(void *of)
{
	struct end *end = of;

	munmap(end->mapping, MAPPED);
	close(end->fd);
	free(end->message);
	free(end);
}

static void take(struct end *end, struct sink *to)
{
	if (end->got.data_size != to->size)
		die("binder: a message of %llu bytes", (unsigned long long)end->got.data_size);
	check(to, (const void *)(uintptr_t)end->got.data.ptr.buffer);
}

static void call(void *of, struct source *from, struct sink *to)
{
	struct end *end = of;

	fill(from, end->message);
	give_back(end);
	put_message(end, BC_TRANSACTION, from->size);
	await(end, BR_REPLY);
	take(end, to);
}

static void serve(void *of, struct sink *to, struct source *from, bool last)
{
	struct end *end = of;

	await(end, BR_TRANSACTION);
	take(end, to);
	fill(from, end->message);
	give_back(end);
	put_message(end, BC_REPLY, from->size);
	if (last)
		exchange(end, false);
}

const struct transport binder = {
	.name		= "binder",
	.create		= create,
	.destroy	= free,
	.attach		= attach,
	.detach		= detach,
	.call		= call,
	.serve		= serve,
};
