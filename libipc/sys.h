/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* System calls that return -errno and leave errno alone, and the clock. */
#ifndef LIBIPC_SYS_H
#define LIBIPC_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The result of a call that may have set errno, as the library reports it; @saved is put back. */
static inline int sys_result(int ret, int saved)
{
	if (ret >= 0)
		return ret;
	ret = -errno;
	errno = saved;
	return ret;
}

static inline int sys_ioctl(int fd, unsigned long cmd, void *arg)
{
	int saved = errno;

	return sys_result(ioctl(fd, cmd, arg), saved);
}

static inline int sys_open(const char *path, int flags)
{
	int saved = errno;

	return sys_result(open(path, flags | O_CLOEXEC), saved);
}

static inline void sys_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

static inline int sys_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout)
{
	int saved = errno;

	return sys_result(ppoll(fds, n, timeout, NULL), saved);
}

static inline int sys_mmap(void **out, size_t size, int prot, int flags, int fd, uint64_t offset)
{
	int saved = errno;

	*out = mmap(NULL, size, prot, flags, fd, (off_t)offset);
	return sys_result(*out == MAP_FAILED ? -1 : 0, saved);
}

static inline void sys_munmap(void *addr, size_t size)
{
	int saved = errno;

	munmap(addr, size);
	errno = saved;
}

static inline uint64_t sys_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif
