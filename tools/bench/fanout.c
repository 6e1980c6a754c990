// SPDX-License-Identifier: MIT
/*
 * Case fanout: one client asks 32 servers, each of its own channel: one after the other, or all at
 * a time. On one CPU; in "fanout-1ms" each server sleeps for 1 ms before it answers.
 */
#include <time.h>

#include "batch.h"
#include "rounds.h"

static struct ipc_channel *channel[CALLS];	/* of the present run */

struct caller {
	struct ipc_batch *batch;	/* NULL: one after the other */
	struct ipc_endpoint *ep[CALLS];
};

static void ask_all(void *of, uint64_t number)
{
	struct caller *c = of;

	if (c->batch)
		call_batch(c->batch, c->ep, CALLS, number * CALLS);
	else
		call_each(c->ep, CALLS, number * CALLS);
}

static void client(struct process *me)
{
	const struct rounds *r = me->job;
	struct caller c = { .batch = r->record.batch > 1 ? new_batch() : NULL };

	for (unsigned int i = 0; i < CALLS; i++)
		c.ep[i] = calls_endpoint(channel[i], IPC_SENDER);
	make_rounds(me, ask_all, &c);
	if (c.batch)
		ipc_batch_close(c.batch);
	for (unsigned int i = 0; i < CALLS; i++)
		ipc_detach(c.ep[i]);
}

static void think(void *of, struct ipc_msg *msg)
{
	static const struct timespec ms = { .tv_nsec = 1000000 };
	const bool *sleep = of;

	if (*sleep)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL);
	answer(msg);
}

static void server(struct process *me)
{
	const struct rounds *r = me->job;
	struct ipc_endpoint *ep = calls_endpoint(channel[me->number], IPC_RECEIVER);
	bool sleep = r->sleep;

	meet(me);
	serve_calls(ep, all_rounds(r), SIZE, think, &sleep);
	meet(me);
	ipc_detach(ep);
}

static void run(struct rounds *r)
{
	for (unsigned int i = 0; i < CALLS; i++)
		channel[i] = calls_channel(1);
	run_rounds(r, client, server, CALLS);
	for (unsigned int i = 0; i < CALLS; i++)
		ipc_close(channel[i]);
}

static struct rounds rounds(bool sleep, bool batch)
{
	return (struct rounds){
		.record = {
			.name = sleep ? "fanout-1ms" : "fanout",
			.transport = batch ? "msgchan-uring" : "msgchan-rendezvous",
			.size = SIZE, .peers = 1 + CALLS, .batch = batch ? CALLS : 1,
		},
		.run = run, .ops = 1, .sleep = sleep,
	};
}

void case_fanout(void)
{
	struct rounds r[] = {
		rounds(false, false), rounds(false, true), rounds(true, false), rounds(true, true),
	};

	if (!settings.count_syscalls && batches_offered())
		measure_rounds(r, ARRAY_SIZE(r));
}
