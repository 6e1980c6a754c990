// SPDX-License-Identifier: MIT
/* unix-seqpacket: a pair of AF_UNIX sockets; a batch is one sendmmsg(2), or recvmmsg(2). */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "payload.h"

struct link {
	int fd[2];
	struct shape shape;
};

struct end {
	int fd;
	size_t size;
	struct iovec iov[MAX_BATCH];
	struct mmsghdr msg[MAX_BATCH];
	char buffer[];
};

static void *create(const struct shape *shape)
{
	struct link *link = malloc(sizeof(*link));

	if (!link || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link->fd))
		die_errno(errno, "socketpair");
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
	const struct shape *shape = &link->shape;
	struct end *end = calloc(1, sizeof(*end) + shape->batch * shape->size);

	if (!end)
		die_errno(ENOMEM, "end");
	end->fd = link->fd[sender];
	end->size = shape->size;
	for (unsigned int i = 0; i < shape->batch; i++) {
		end->iov[i].iov_base = end->buffer + i * shape->size;
		end->iov[i].iov_len = shape->size;
		end->msg[i].msg_hdr.msg_iov = &end->iov[i];
		end->msg[i].msg_hdr.msg_iovlen = 1;
	}
	return end;
}

static void send_batch(void *of, struct source *from, unsigned int n)
{
	struct end *end = of;
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++)
		fill(from, end->buffer + i * end->size);
	if (n == 1) {
		if (send(end->fd, end->buffer, end->size, 0) != (ssize_t)end->size)
			die_errno(errno, "send");
		return;
	}
	while (done < n) {
		int sent = sendmmsg(end->fd, end->msg + done, n - done, 0);

		if (sent < 0)
			die_errno(errno, "sendmmsg");
		done += (unsigned int)sent;
	}
}

static unsigned int recv_batch(void *of, struct sink *to, unsigned int n)
{
	struct end *end = of;
	int got = 1;

	if (n == 1) {
		if (recv(end->fd, end->buffer, end->size, 0) != (ssize_t)end->size)
			die_errno(errno, "recv");
	} else {
		got = recvmmsg(end->fd, end->msg, n, MSG_WAITFORONE, NULL);
		if (got <= 0)
			die_errno(errno, "recvmmsg");
	}
	for (int i = 0; i < got; i++)
		check(to, end->buffer + (size_t)i * end->size);
	return (unsigned int)got;
}

const struct transport seqpacket = {
	.name		= "unix-seqpacket",
	.max_size	= 65536,	/* more does not fit the default send buffer */
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= free,
	.send		= send_batch,
	.recv		= recv_batch,
};
