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

/*
 * ---- a runner whose thread has a poll of io_uring, too: a completion makes signal_pending() true
 * there, and its command must not notice ----
 */

struct poller {
	struct runner r;
	struct io_uring *ring;
	int pipe[2];
};

static inline void *poller_main(void *of)
{
	struct poller *p = of;

	io_uring_prep_poll_multishot(io_uring_get_sqe(p->ring), p->pipe[0], POLLIN);
	io_uring_submit(p->ring);
	return runner_main(&p->r);
}

/* As runner_start(). */
static inline bool poller_start(struct poller *p, int fd, unsigned long nr, void *arg)
{
	p->r = (struct runner){ .fd = fd, .nr = nr, .arg = arg };
	if (pipe(p->pipe) || pthread_create(&p->r.thread, NULL, poller_main, p))
		return false;
	return until(p->r.tid) && runner_sleeps(&p->r);
}

/* The poll completes again and again: the ring needs room for it. */
static inline bool poller_sleeps_on(struct poller *p)
{
	unsigned int ready = io_uring_cq_ready(p->ring);
	bool sleeps = true;

	for (int n = 0; n < 5; n++)
		sleeps &= write(p->pipe[1], "x", 1) == 1 &&
			  until(io_uring_cq_ready(p->ring) > ready + n) && runner_sleeps(&p->r);
	return sleeps;
}

static inline long poller_end(struct poller *p)
{
	close(p->pipe[0]);
	close(p->pipe[1]);
	return runner_end(&p->r);
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
