/* SPDX-License-Identifier: MIT */
/* Commands by io_uring: as cmd() gives them by ioctl. */
#ifndef MSGC_TEST_RING_H
#define MSGC_TEST_RING_H

#include <liburing.h>

#include "call.h"

#define SOON	100000		/* ms, for what must come */
#define QUIET	20		/* ms, to see that nothing does */

static inline bool can_park(void)
{
	struct msgc_features f = { .size = sizeof(f) };
	int dev = device();
	bool can = !cmd(dev, MSGC_FEATURES, &f) && f.features & MSGC_F_URING;

	close(dev);
	return can;
}

/* All 64 bytes of it; liburing 2.3 has no name for the payload. */
static inline struct io_uring_sqe *fill(struct io_uring *ring, int fd, __u32 nr, const void *arg,
					__u64 data)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(ring)))		/* SQPOLL: its thread has to take some */
		sched_yield();
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->off = nr;
	sqe->user_data = data;
	memcpy(&sqe->addr3, arg, 16);
	return sqe;
}

static inline void issue(struct io_uring *ring, int fd, __u32 nr, const void *arg, __u64 data)
{
	fill(ring, fd, nr, arg, data);
	io_uring_submit(ring);
}

/* The next completion within so many milliseconds: its result, or -ETIME. */
static inline long reap(struct io_uring *ring, int ms, __u64 *data)
{
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };
	struct io_uring_cqe *cqe;
	long ret = io_uring_wait_cqe_timeout(ring, &cqe, &ts);

	if (data)
		*data = ret ? ~0ULL : cqe->user_data;
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static inline long ring_cmd(struct io_uring *ring, int fd, __u32 nr, const void *arg)
{
	issue(ring, fd, nr, arg, 0);
	return reap(ring, SOON, NULL);
}

/* ---- the commands that wait, begun ---- */

static inline void ring_call(struct io_uring *ring, const struct ep *c, int slot, int flags,
			     __u64 deadline)
{
	struct msgc_call arg = { .slot = slot, .flags = flags, .deadline = deadline };

	issue(ring, c->fd, MSGC_CALL, &arg, slot);
}

static inline void ring_recv(struct io_uring *ring, const struct ep *s, __u64 deadline, __u64 data)
{
	struct msgc_recv arg = { .deadline = deadline };

	issue(ring, s->fd, MSGC_RECV, &arg, data);
}

static inline void ring_wait(struct io_uring *ring, const struct ep *e, __u32 events,
			     __u64 deadline, __u64 data)
{
	struct msgc_wait arg = { .events = events, .kick = -1, .deadline = deadline };

	issue(ring, e->fd, MSGC_WAIT, &arg, data);
}

#endif
