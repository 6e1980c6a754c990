// SPDX-License-Identifier: MIT
/*
 * Case balanced: what taking from a work queue costs a receiver in system calls. The sender has
 * published everything before the receiver begins, so every claim brings as many as it asks for.
 */
#include "library.h"
#include "payload.h"

#define SIZE		64
#define MESSAGES	4096U

struct job {
	struct ipc_channel *channel;
	struct process process[2];	/* receiver and sender */
};

static struct ipc_endpoint *attach(const struct job *job, uint32_t role)
{
	return new_endpoint(job->channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = role,
	});
}

static void sender(struct process *me)
{
	struct ipc_endpoint *ep = attach(me->job, IPC_SENDER);
	struct source from;

	source_init(&from, SIZE, 0);
	for (unsigned int i = 0; i < MESSAGES; i++) {
		struct ipc_msg msg = { 0 };

		must(ep, ipc_reserve(ep, &msg, SIZE, IPC_NOW), "reserve");
		fill(&from, msg.data);
		must(ep, ipc_commit(ep, &msg), "commit");
	}
	must(ep, ipc_publish(ep), "publish");
	meet(me);
	meet(me);
	ipc_detach(ep);
}

static void receiver(struct process *me)
{
	struct ipc_endpoint *ep = attach(me->job, IPC_RECEIVER);
	struct ipc_msg msg[MAX_BATCH];
	static struct sink to;

	sink_init(&to, SIZE, 1);
	meet(me);
	start(me);
	while (to.count < MESSAGES) {
		int got = ipc_recv(ep, msg, MAX_BATCH, IPC_FOREVER);

		must(ep, got, "recv");
		for (int i = 0; i < got; i++)
			check(&to, msg[i].data);
		must(ep, ipc_release(ep, msg, (unsigned int)got), "release");
		me->report.value++;
	}
	stop(me);
	meet(me);
	ipc_detach(ep);
}

static void run(struct job *job)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RING, .delivery = IPC_BALANCED,
	};

	job->channel = new_channel(&opt);
	job->process[0] = (struct process){ .cpu = RECEIVER_CPU, .body = receiver, .job = job };
	job->process[1] = (struct process){ .cpu = SENDER_CPU, .body = sender, .job = job };
	run_processes(job->process, 2);
	ipc_close(job->channel);
}

void case_balanced(void)
{
	struct job job = { 0 };

	if (!settings.count_syscalls)
		return;
	for (unsigned int r = 0; r < settings.runs; r++) {
		const struct report *report = &job.process[0].report;

		run(&job);
		write_record(&(struct record){
			.name = "balanced", .transport = "msgchan-ring", .size = SIZE,
			.peers = 2, .batch = MAX_BATCH, .two_cpus = true,
			.metric = "syscalls_per_claim",
			.value = (double)report->syscalls / (double)report->value,
			.samples = report->value, .run = r,
		});
	}
}
