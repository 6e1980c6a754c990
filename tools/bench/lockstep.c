// SPDX-License-Identifier: MIT
/*
 * eventfd-shm, spin: one message in shared memory, for ping-pong only; who waits sleeps on an
 * eventfd, or looks at the message's first word until it changes. The least that a round trip
 * through shared memory can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "payload.h"

struct link {
	int fd;
	size_t size;
	void *message;
};

static void *create(const struct shape *shape)
{
	struct link *link = malloc(sizeof(*link));

	if (!link)
		die_errno(ENOMEM, "link");
	link->size = shape->size;
	link->message = new_shared(shape->size);
	link->fd = eventfd(0, EFD_CLOEXEC);
	if (link->fd < 0)
		die_errno(errno, "eventfd");
	return link;
}

static void destroy(void *of)
{
	struct link *link = of;

	close(link->fd);
	free_shared(link->message, link->size);
	free(link);
}

static void *attach(void *to, bool sender)
{
	(void)sender;
	return to;
}

static void detach(void *end)
{
	(void)end;
}

static void send_event(void *of, struct source *from, unsigned int n)
{
	const struct link *link = of;
	uint64_t one = n;

	fill(from, link->message);
	if (write(link->fd, &one, sizeof(one)) != sizeof(one))
		die_errno(errno, "eventfd: write");
}

static unsigned int recv_event(void *of, struct sink *to, unsigned int n)
{
	const struct link *link = of;
	uint64_t count;

	(void)n;
	if (read(link->fd, &count, sizeof(count)) != sizeof(count))
		die_errno(errno, "eventfd: read");
	check(to, link->message);
	return 1;
}

static void send_word(void *of, struct source *from, unsigned int n)
{
	const struct link *link = of;

	(void)n;
	fill(from, link->message);
}

static unsigned int recv_word(void *of, struct sink *to, unsigned int n)
{
	const struct link *link = of;

	(void)n;
	while (__atomic_load_n((const uint64_t *)link->message, __ATOMIC_ACQUIRE) == to->last[0])
		relax();
	check(to, link->message);
	return 1;
}

const struct transport eventfd_shm = {
	.name		= "eventfd-shm",
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.send		= send_event,
	.recv		= recv_event,
};

const struct transport spin = {
	.name		= "spin",
	.polled		= true,
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.send		= send_word,
	.recv		= recv_word,
};
