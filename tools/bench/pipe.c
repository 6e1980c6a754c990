// SPDX-License-Identifier: MIT
/* pipe: a pipe of default size; a batch is one write(2), and what one read(2) brings. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "payload.h"

struct link {
	int fd[2];
	struct shape shape;
};

struct end {
	int fd;
	size_t size;
	char buffer[];
};

static void *create(const struct shape *shape)
{
	struct link *link = malloc(sizeof(*link));

	if (!link || pipe2(link->fd, O_CLOEXEC))
		die_errno(errno, "pipe");
	link->shape = *shape;
	return link;
}

static void destroy(void *of)
{
	struct link *link = of;

	close(link->fd[0]);
	close(link->fd[1]);
	free(link);
}

static void *attach(void *to, bool sender)
{
	const struct link *link = to;
	struct end *end = malloc(sizeof(*end) + link->shape.batch * link->shape.size);

	if (!end)
		die_errno(ENOMEM, "end");
	end->fd = link->fd[sender];
	end->size = link->shape.size;
	return end;
}

static void send_batch(void *of, struct source *from, unsigned int n)
{
	struct end *end = of;
	size_t len = n * end->size, done = 0;

	for (unsigned int i = 0; i < n; i++)
		fill(from, end->buffer + i * end->size);
	while (done < len) {
		ssize_t put = write(end->fd, end->buffer + done, len - done);

		if (put < 0)
			die_errno(errno, "pipe: write");
		done += (size_t)put;
	}
}

static unsigned int recv_batch(void *of, struct sink *to, unsigned int n)
{
	struct end *end = of;
	size_t got = 0;

	do {
		ssize_t more = read(end->fd, end->buffer + got, n * end->size - got);

		if (more <= 0)
			die_errno(errno, "pipe: read");
		got += (size_t)more;
	} while (got % end->size);
	for (size_t at = 0; at < got; at += end->size)
		check(to, end->buffer + at);
	return (unsigned int)(got / end->size);
}

const struct transport pipes = {
	.name		= "pipe",
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= free,
	.send		= send_batch,
	.recv		= recv_batch,
};
