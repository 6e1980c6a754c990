// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Batches where io_uring is not to be had: an asynchronous CALL for each call, and one poll(2) over
 * the endpoints that have any in flight. Outcomes are seen in shared memory.
 */
#include <string.h>

#include "batch.h"

/* ---- who is polled ---- */

/* Its place; a new one if it has none. Callers often go round: the next one is looked at first. */
static uint32_t member_of(struct ipc_batch *b, struct ipc_endpoint *ep)
{
	uint32_t unused = b->members;

	for (uint32_t k = 0; k < b->members; k++) {
		uint32_t m = (b->hint + k) % b->members;

		if (b->member[m].calls && b->member[m].ep == ep) {
			b->hint = m + 1;
			return m;
		}
		if (!b->member[m].calls)
			unused = m;
	}
	if (unused == b->members)
		b->members++;
	b->member[unused] = (struct member){ .ep = ep };
	b->fds[unused] = (struct pollfd){ .fd = ep->fd, .events = POLLIN };
	return unused;
}

static void flies(struct ipc_batch *b, uint32_t i)
{
	uint32_t m = member_of(b, b->entry[i].ep);

	b->entry[i].member = m;
	b->member[m].calls++;
	ipc_batch_called(b);
}

static void landed(struct ipc_batch *b, uint32_t i)
{
	uint32_t m = b->entry[i].member;

	if (!--b->member[m].calls)
		b->fds[m].fd = -1;	/* poll(2) passes over it */
	ipc_batch_called_ended(b, i, 0);
}

/* ---- calls ---- */

static int poll_submit(struct ipc_batch *b)
{
	while (b->count[ADDED]) {
		uint32_t i = b->first[ADDED];
		struct entry *e = &b->entry[i];
		int ret = sys_ioctl(e->ep->fd, MSGC_CALL, &e->call);

		if (ret < 0)
			ipc_batch_first_ended(b, ret);
		else
			flies(b, i);
	}
	return 0;
}

/* Of those in flight: who has an outcome, as all have whose endpoint has died. */
static unsigned int look(struct ipc_batch *b)
{
	unsigned int got = 0;

	for (uint32_t i = 0; i < b->used; i++) {
		const struct entry *e = &b->entry[i];

		if (e->state == CALLED && ipc_client_finished(e->ep, e->call.slot)) {
			landed(b, i);
			got++;
		}
	}
	return got;
}

/* 0, or why it is over: a system call also for IPC_NOW, since it judges overdue calls. */
static int sleep_until(struct ipc_batch *b, uint64_t deadline)
{
	uint64_t now = deadline && deadline != IPC_FOREVER ? sys_now() : 0;
	uint64_t ns = deadline > now ? deadline - now : 0;
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000),
	};
	int ret = sys_ppoll(b->fds, b->members, deadline == IPC_FOREVER ? NULL : &ts);

	if (ret)
		return ret < 0 ? ret : 0;
	return deadline == IPC_NOW ? -EAGAIN : -ETIMEDOUT;
}

/* One is enough: there is no way of sleeping for more. */
static int poll_wait(struct ipc_batch *b, uint32_t n, uint64_t deadline)
{
	int ret = poll_submit(b);

	(void)n;
	while (!ret && !look(b)) {
		if (!b->count[CALLED])		/* all failed at once */
			return 0;
		ret = sleep_until(b, deadline);
	}
	return ret;
}

static int poll_cancel(struct ipc_batch *b, uint32_t i)
{
	return ipc_batch_cancel_now(&b->entry[i]);
}

const struct ipc_way ipc_way_poll = {
	.flags	= MSGC_ASYNC,
	.submit	= poll_submit,
	.wait	= poll_wait,
	.cancel	= poll_cancel,
};
