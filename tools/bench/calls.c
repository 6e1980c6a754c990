// SPDX-License-Identifier: MIT
/*
 * Case calls: what a call costs that should not depend on it: the size of what it passes, from 64 B
 * to 1 MiB both ways, and how many other clients of the channel do nothing. Nobody touches the
 * payload: what is measured is the kernel's part and the library's. On one CPU.
 */
#include <stdlib.h>

#include "library.h"

#define MOST	20000U		/* rounds of a run */
#define SMALL	64U
#define LARGE	(1U << 20)
#define IDLE	1000U

struct job {
	uint32_t size;
	unsigned int idle;		/* clients */
	struct ipc_channel *channel;
	uint64_t rounds, warm_up;
	uint64_t *samples;		/* of ticks(); shared */
	struct process process[2];	/* client and server */
};

static struct ipc_endpoint *attach(const struct job *job, uint32_t role)
{
	return new_endpoint(job->channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = role,
	});
}

static void make_call(struct ipc_endpoint *ep, uint32_t size)
{
	struct ipc_msg msg = { 0 };

	must(ep, ipc_reserve(ep, &msg, size, IPC_FOREVER), "reserve");
	msg.reply_cap = size;
	must(ep, ipc_call(ep, &msg, &msg, IPC_FOREVER), "call");
	if (msg.len != size)
		die("an answer of %u bytes", msg.len);
	must(ep, ipc_release(ep, &msg, 1), "release");
}

static void client(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *idle[IDLE], *ep;

	for (unsigned int i = 0; i < job->idle; i++)
		idle[i] = attach(job, IPC_SENDER);
	ep = attach(job, IPC_SENDER);
	meet(me);
	for (uint64_t i = 0; i < job->warm_up; i++)
		make_call(ep, job->size);
	start(me);
	for (uint64_t i = 0; i < job->rounds; i++) {
		uint64_t begin = ticks();

		make_call(ep, job->size);
		job->samples[i] = ticks() - begin;
	}
	stop(me);
	meet(me);
	ipc_detach(ep);
	for (unsigned int i = 0; i < job->idle; i++)
		ipc_detach(idle[i]);
}

static void server(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = attach(job, IPC_RECEIVER);
	struct ipc_msg msg;

	meet(me);
	must(ep, ipc_recv(ep, &msg, 1, IPC_FOREVER), "recv");
	for (uint64_t left = job->warm_up + job->rounds - 1; left; left--)
		must(ep, ipc_reply_recv(ep, &msg, job->size, 0, &msg, IPC_FOREVER), "reply_recv");
	must(ep, ipc_reply(ep, &msg, job->size, 0), "reply");
	meet(me);
	ipc_detach(ep);
}

static uint64_t run(void *of, uint64_t rounds)
{
	struct job *job = of;

	job->rounds = rounds;
	job->warm_up = rounds / 8 + 1;
	job->channel = new_channel(&(struct ipc_options){
		.size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS, .max_senders = 1024,
		.slots = 1, .request = job->size, .reply = job->size,
	});
	job->process[0] = (struct process){ .cpu = SENDER_CPU, .body = client, .job = job };
	job->process[1] = (struct process){ .cpu = SENDER_CPU, .body = server, .job = job };
	run_processes(job->process, 2);
	ipc_close(job->channel);
	return job->process[0].report.ns;
}

static void report(const struct job *job, unsigned int run_no)
{
	const struct report *clock = &job->process[0].report;
	double ns = (double)median(job->samples, job->rounds) *
		    (double)clock->ns / (double)clock->ticks;

	write_record(&(struct record){
		.name = "calls", .transport = "msgchan-rendezvous", .size = job->size,
		.peers = 2 + job->idle, .batch = 1,
		.metric = settings.instructions ? "instructions" : "ns_p50",
		.value = settings.instructions ? ns / 2 : ns, .samples = job->rounds, .run = run_no,
	});
}

void case_calls(void)
{
	struct job jobs[] = {
		{ .size = SMALL }, { .size = LARGE }, { .size = SMALL, .idle = IDLE }
	};

	if (settings.count_syscalls)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i].samples = new_shared(MOST * sizeof(uint64_t));
		jobs[i].rounds = calibrate(run, &jobs[i], MOST);
	}
	for (unsigned int r = 0; r < settings.runs; r++)
		for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
			run(&jobs[i], jobs[i].rounds);
			report(&jobs[i], r);
		}
	for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++)
		free_shared(jobs[i].samples, MOST * sizeof(uint64_t));
}
