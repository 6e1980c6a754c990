// SPDX-License-Identifier: MIT
/*
 * Case handover: one message from 64 B to 64 MiB from sender to receiver and back into the ring,
 * nobody touching the payload: reserve, commit, publish, recv, release, and the sender sees that.
 * Both have touched every page of the ring before: who comes to one for the first time has it
 * mapped by a page fault, 16 pages at a time, which is no part of this.
 */
#include <errno.h>
#include <stdlib.h>

#include "library.h"

#define RING	(128U << 20)
#define ROUNDS	1000U
#define PAGE	4096U
#define LAP	6U		/* messages of WARM bytes: more than a ring */
#define WARM	(RING / 4)

static const uint32_t sizes[] = { 64, 4096, 65536, 1 << 20, 16 << 20, 64 << 20 };

#define SIZES ARRAY_SIZE(sizes)

struct job {
	struct ipc_channel *channel;
	unsigned int rounds;
	uint64_t (*samples)[ROUNDS];	/* by size; shared */
	struct process process[2];
};

static struct ipc_endpoint *attach(const struct job *job, uint32_t role)
{
	return new_endpoint(job->channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = role,
		.ring = role == IPC_SENDER ? RING : 0,
	});
}

static void write_pages(void *data, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += PAGE)
		__atomic_store_n((char *)data + i, 1, __ATOMIC_RELAXED);
}

static void read_pages(const void *data, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += PAGE)
		__atomic_load_n((const char *)data + i, __ATOMIC_RELAXED);
}

static void hand_over(struct ipc_endpoint *ep, uint32_t size, uint64_t cookie, bool touch)
{
	struct ipc_msg msg = { .cookie = cookie };
	int err;

	must(ep, ipc_reserve(ep, &msg, size, IPC_NOW), "reserve");
	if (touch)
		write_pages(msg.data, size);
	must(ep, ipc_commit(ep, &msg), "commit");
	must(ep, ipc_publish(ep), "publish");
	while ((err = ipc_drain(ep, IPC_NOW)) == -EAGAIN)
		relax();
	must(ep, err, "drain");
}

static void sender(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = attach(job, IPC_SENDER);
	uint64_t cookie = 0;

	for (unsigned int i = 0; i < LAP; i++)
		hand_over(ep, WARM, ++cookie, true);
	meet(me);
	start(me);
	for (unsigned int s = 0; s < SIZES; s++)
		for (unsigned int i = 0; i < 2 * job->rounds; i++) {
			uint64_t begin = ticks();

			hand_over(ep, sizes[s], ++cookie, false);
			job->samples[s][i % job->rounds] = ticks() - begin;
		}
	stop(me);
	meet(me);
	ipc_detach(ep);
}

static void take(struct ipc_endpoint *ep, uint32_t size, uint64_t cookie, bool touch)
{
	struct ipc_msg msg;
	int got;

	while ((got = ipc_recv(ep, &msg, 1, IPC_NOW)) == -EAGAIN)
		relax();
	must(ep, got, "recv");
	if (msg.len != size || msg.cookie != cookie || msg.missed)
		die("handover: not the message that was sent");
	if (touch)
		read_pages(msg.data, size);
	must(ep, ipc_release(ep, &msg, 1), "release");
}

static void receiver(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = attach(job, IPC_RECEIVER);
	uint64_t cookie = 0;

	for (unsigned int i = 0; i < LAP; i++)
		take(ep, WARM, ++cookie, true);
	meet(me);
	for (unsigned int s = 0; s < SIZES; s++)
		for (unsigned int i = 0; i < 2 * job->rounds; i++)
			take(ep, sizes[s], ++cookie, false);
	meet(me);
	ipc_detach(ep);
}

static uint64_t run(void *of, uint64_t rounds)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RING, .ring_max = RING };
	struct job *job = of;

	job->channel = new_channel(&opt);
	job->rounds = (unsigned int)rounds;
	job->process[0] = (struct process){ .cpu = SENDER_CPU, .body = sender, .job = job };
	job->process[1] = (struct process){ .cpu = RECEIVER_CPU, .body = receiver, .job = job };
	run_processes(job->process, 2);
	ipc_close(job->channel);
	return job->process[0].report.ns;
}

static void report(const struct job *job, unsigned int run_no)
{
	const struct report *clock = &job->process[0].report;

	for (unsigned int s = 0; s < SIZES; s++)
		write_record(&(struct record){
			.name = "handover", .transport = "msgchan-ring-polled", .size = sizes[s],
			.peers = 2, .batch = 1, .two_cpus = true, .metric = "ns_p50",
			.value = (double)median(job->samples[s], job->rounds) *
				(double)clock->ns / (double)clock->ticks,
			.samples = job->rounds, .run = run_no,
		});
}

void case_handover(void)
{
	struct job job = { 0 };

	if (settings.instructions || settings.count_syscalls)
		return;
	job.samples = new_shared(SIZES * sizeof(*job.samples));
	for (unsigned int r = 0; r < settings.runs; r++) {
		run_quietly(run, &job, settings.smoke ? 4 : ROUNDS);
		report(&job, r);
	}
	free_shared(job.samples, SIZES * sizeof(*job.samples));
}
