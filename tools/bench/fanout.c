// SPDX-License-Identifier: MIT
/*
 * Case fanout: one client asks 32 servers, each of its own channel: one after the other, or all at
 * a time. On one CPU; in "fanout-1ms" each server sleeps for 1 ms before it answers.
 */
#include <stdlib.h>
#include <time.h>

#include "batch.h"

#define MOST	20000U

struct job {
	const char *name;
	bool batch;
	unsigned int sleep_ns;
	struct ipc_channel *channel[CALLS];
	uint64_t rounds, warm_up;
	uint64_t *samples;
	struct process process[1 + CALLS];	/* the client, the servers */
};

static void one_round(struct job *job, struct ipc_batch *b, struct ipc_endpoint **ep,
		      uint64_t number)
{
	if (job->batch)
		call_batch(b, ep, CALLS, number * CALLS);
	else
		call_each(ep, CALLS, number * CALLS);
}

static void client(struct process *me)
{
	struct job *job = (struct job *)(uintptr_t)me->job;
	struct ipc_endpoint *ep[CALLS];
	struct ipc_batch *b = new_batch();

	for (unsigned int i = 0; i < CALLS; i++)
		ep[i] = calls_endpoint(job->channel[i], IPC_SENDER);
	meet(me);
	for (uint64_t i = 0; i < job->warm_up; i++)
		one_round(job, b, ep, i);
	start(me);
	for (uint64_t i = 0; i < job->rounds; i++) {
		uint64_t begin = ticks();

		one_round(job, b, ep, job->warm_up + i);
		job->samples[i] = ticks() - begin;
	}
	stop(me);
	meet(me);
	ipc_batch_close(b);
	for (unsigned int i = 0; i < CALLS; i++)
		ipc_detach(ep[i]);
}

static void think(const struct job *job)
{
	struct timespec ts = { .tv_nsec = job->sleep_ns };

	if (job->sleep_ns)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static void server(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = calls_endpoint(job->channel[me->number], IPC_RECEIVER);
	struct ipc_msg msg;

	meet(me);
	must(ep, ipc_recv(ep, &msg, 1, IPC_FOREVER), "recv");
	for (uint64_t left = job->warm_up + job->rounds - 1; left; left--) {
		think(job);
		answer(&msg);
		must(ep, ipc_reply_recv(ep, &msg, SIZE, 0, &msg, IPC_FOREVER), "reply_recv");
	}
	think(job);
	answer(&msg);
	must(ep, ipc_reply(ep, &msg, SIZE, 0), "reply");
	meet(me);
	ipc_detach(ep);
}

static uint64_t run(void *of, uint64_t rounds)
{
	struct job *job = of;

	job->rounds = rounds;
	job->warm_up = rounds / 8 + 1;
	job->process[0] = (struct process){ .cpu = SENDER_CPU, .body = client, .job = job };
	for (unsigned int i = 0; i < CALLS; i++) {
		job->channel[i] = calls_channel(1);
		job->process[1 + i] = (struct process){
			.cpu = SENDER_CPU, .body = server, .job = job, .number = i,
		};
	}
	run_processes(job->process, 1 + CALLS);
	for (unsigned int i = 0; i < CALLS; i++)
		ipc_close(job->channel[i]);
	return job->process[0].report.ns;
}

/*
 * Where instructions are counted, a second is 500 million of them, or passes as soon as all sleep:
 * so the time of those that sleep can be reproduced there, whatever else the host does.
 */
static void report(struct job *job, unsigned int run_no)
{
	bool instructions = settings.instructions && !job->sleep_ns;
	const struct report *clock = &job->process[0].report;
	double ns = (double)median(job->samples, job->rounds) *
		    (double)clock->ns / (double)clock->ticks;

	write_record(&(struct record){
		.name = job->name,
		.transport = job->batch ? "msgchan-uring" : "msgchan-rendezvous",
		.size = SIZE, .peers = 1 + CALLS, .batch = job->batch ? CALLS : 1,
		.metric = instructions ? "instructions" : "ns_p50",
		.value = instructions ? ns / 2 : ns, .samples = job->rounds, .run = run_no,
	});
}

void case_fanout(void)
{
	struct job jobs[] = {
		{ .name = "fanout" }, { .name = "fanout", .batch = true },
		{ .name = "fanout-1ms", .sleep_ns = 1000000 },
		{ .name = "fanout-1ms", .sleep_ns = 1000000, .batch = true },
	};
	const unsigned int n = ARRAY_SIZE(jobs);

	if (settings.count_syscalls || !batches_offered())
		return;
	for (unsigned int i = 0; i < n; i++) {
		jobs[i].samples = new_shared(MOST * sizeof(uint64_t));
		jobs[i].rounds = calibrate(run, &jobs[i], MOST);
	}
	for (unsigned int r = 0; r < settings.runs; r++)
		for (unsigned int i = 0; i < n; i++) {
			run(&jobs[i], jobs[i].rounds);
			report(&jobs[i], r);
		}
	for (unsigned int i = 0; i < n; i++)
		free_shared(jobs[i].samples, MOST * sizeof(uint64_t));
}
