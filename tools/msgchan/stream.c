// SPDX-License-Identifier: MIT
/*
 * Reading and writing whole amounts, whatever kind of file it is.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void advance(struct iovec **iov, unsigned int *n, size_t done)
{
	while (*n && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
}

/* Writes all of @iov, which it uses up. -EINTR only where a signal asked to stop. */
int write_all(int fd, struct iovec *iov, unsigned int n)
{
	int err;

	advance(&iov, &n, 0);
	while (n) {
		ssize_t done = writev(fd, iov, (int)n);

		if (done >= 0) {
			advance(&iov, &n, (size_t)done);
			continue;
		}
		err = errno == EAGAIN ? wait_ready(fd, POLLOUT, NULL) : -errno;
		if (err < 0 && (err != -EINTR || stopped()))
			return err;
	}
	return 0;
}

/* One read, once there is something: bytes, 0 at the end, -EINTR if a signal asked to stop. */
ssize_t read_some(int fd, void *buf, size_t room)
{
	int err = 0;

	while (err >= 0) {
		ssize_t n;

		err = wait_ready(fd, POLLIN, NULL);
		if (err < 0)
			break;
		n = read(fd, buf, room);
		if (n >= 0)
			return n;
		err = errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	return err;
}

/* All that is left of @fd, in memory that the caller frees. */
int read_whole(int fd, char **data, size_t *len)
{
	size_t room = 0;
	ssize_t n;

	*data = NULL;
	*len = 0;
	do {
		if (*len == room) {
			char *more = realloc(*data, room = room ? 2 * room : 65536);

			if (!more)
				return -ENOMEM;
			*data = more;
		}
		n = read_some(fd, *data + *len, room - *len);
		*len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	return (int)n;
}
