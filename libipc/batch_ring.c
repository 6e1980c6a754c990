// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Batches by io_uring: a ring of their own, in which CALLs wait until they have an outcome. */
#include <string.h>

#include "batch.h"
#include "sqe.h"

#define CANCELLING UINT64_MAX	/* user_data of a command whose end says nothing */

static int open_with(struct io_uring *ring, uint32_t capacity, unsigned int flags)
{
	/* Room for a CANCEL beside each call. */
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = 2 * capacity,
	};

	return io_uring_queue_init_params(capacity, ring, &p);
}

int ipc_batch_ring_open(struct io_uring *ring, uint32_t capacity)
{
	int ret = open_with(ring, capacity, IORING_SETUP_SINGLE_ISSUER |
			    IORING_SETUP_DEFER_TASKRUN);

	if (ret == -EINVAL)
		ret = open_with(ring, capacity, 0);
	if (ret < 0)
		ring->ring_fd = -1;
	return ret;
}

/* KICK, which a client does not have: if it says so, it came through. */
int ipc_batch_ring_try(struct io_uring *ring, const struct ipc_endpoint *ep)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct msgc_none none = { 0 };
	struct io_uring_cqe *cqe;
	int ret;

	if (!sqe)
		return -EBUSY;
	ipc_fill_sqe(sqe, ep->fd, MSGC_KICK, &none);
	ret = io_uring_submit_and_wait(ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(ring, &cqe);
	if (ret < 0)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret == -ENOTTY ? 0 : ret < 0 ? ret : -EOPNOTSUPP;
}

/* ---- calls ---- */

/* The next free SQE; what stands in the queue is given to the kernel if there is none. */
static struct io_uring_sqe *next_sqe(struct ipc_batch *b, int *ret)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(b->ring);

	*ret = 0;
	if (sqe)
		return sqe;
	*ret = io_uring_submit(b->ring);
	return *ret < 0 ? NULL : io_uring_get_sqe(b->ring);
}

static int queue_added(struct ipc_batch *b)
{
	int ret = 0;

	while (b->count[ADDED]) {
		uint32_t i = b->first[ADDED];
		struct io_uring_sqe *sqe = next_sqe(b, &ret);

		if (!sqe)
			return ret < 0 ? ret : -EBUSY;
		ipc_fill_sqe(sqe, b->entry[i].ep->fd, MSGC_CALL, &b->entry[i].call);
		sqe->user_data = i;
		ipc_batch_called(b);
	}
	return 0;
}

static int ring_submit(struct ipc_batch *b)
{
	int ret = queue_added(b);

	if (!ret)
		ret = io_uring_submit(b->ring);
	return ret < 0 ? ret : 0;
}

/* ipc_interrupt() ended the command, not the call: it is waited on for. */
static void resume(struct ipc_batch *b, uint32_t i)
{
	struct msgc_call *call = &b->entry[i].call;

	call->flags = MSGC_RESUME;
	call->deadline = MSGC_FOREVER;		/* the call keeps its own */
	b->count[CALLED]--;
	ipc_batch_append(b, i, ADDED);
}

static void ended(struct ipc_batch *b, const struct io_uring_cqe *cqe)
{
	uint32_t i = (uint32_t)cqe->user_data;

	if (cqe->user_data == CANCELLING)
		return;
	if (cqe->res == -EINTR)
		resume(b, i);
	else
		ipc_batch_called_ended(b, i, cqe->res);
}

static unsigned int take_cqes(struct ipc_batch *b)
{
	struct io_uring_cqe *cqe;
	unsigned int n;

	for (n = 0; !io_uring_peek_cqe(b->ring, &cqe); n++) {
		ended(b, cqe);
		io_uring_cqe_seen(b->ring, cqe);
	}
	return n;
}

/* Hand in what is queued, and wait. 0: something may have come. */
static int enter(struct ipc_batch *b, uint32_t n, uint64_t deadline)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	uint64_t now, ns;
	int ret;

	if (deadline == IPC_NOW)
		return io_uring_submit_and_get_events(b->ring);
	if (deadline == IPC_FOREVER)
		return io_uring_submit_and_wait(b->ring, n);
	now = sys_now();
	ns = deadline > now ? deadline - now : 0;
	ts.tv_sec = (int64_t)(ns / 1000000000);
	ts.tv_nsec = (long long)(ns % 1000000000);
	ret = io_uring_submit_and_wait_timeout(b->ring, &cqe, n, &ts, NULL);
	return ret == -ETIME ? -ETIMEDOUT : ret;
}

/* io_uring does not tell what ended a wait early if there is anything to be taken. */
static int cut_short(uint64_t deadline)
{
	return deadline != IPC_FOREVER && sys_now() >= deadline ? -ETIMEDOUT : -EINTR;
}

static int ring_wait(struct ipc_batch *b, uint32_t n, uint64_t deadline)
{
	uint32_t before = b->count[ENDED], seen;
	int ret;

	for (;;) {
		ret = queue_added(b);
		if (ret >= 0)
			ret = enter(b, n, deadline);
		/* Also after an error: it may have come together with an outcome. */
		seen = take_cqes(b);
		if (b->count[ENDED] != before)
			return seen < n && deadline != IPC_NOW ? cut_short(deadline) : 0;
		if (ret < 0)
			return ret;
		if (deadline == IPC_NOW && !b->count[ADDED])
			return -EAGAIN;
	}
}

static int ring_cancel(struct ipc_batch *b, uint32_t i)
{
	const struct entry *e = &b->entry[i];
	struct msgc_cancel c = { .slot = e->call.slot, .cookie = e->cookie };
	struct io_uring_sqe *sqe;
	int ret;

	sqe = next_sqe(b, &ret);
	if (!sqe)
		return ipc_batch_cancel_now(e);
	ipc_fill_sqe(sqe, e->ep->fd, MSGC_CANCEL, &c);
	sqe->user_data = CANCELLING;
	return 0;
}

const struct ipc_way ipc_way_uring = {
	.submit	= ring_submit,
	.wait	= ring_wait,
	.cancel	= ring_cancel,
};
