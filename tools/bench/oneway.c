// SPDX-License-Identifier: MIT
/* Messages one way: all senders on one CPU, the receiver on the same or on another one. */
#include "oneway.h"

#include <stdlib.h>

#include "payload.h"

/* What sender `number` sends of `all`. */
static uint64_t share_of(const struct oneway *job, uint64_t all, unsigned int number)
{
	return all / job->shape.senders + (number < all % job->shape.senders);
}

static void sender(struct process *me)
{
	const struct oneway *job = me->job;
	const struct transport *t = job->transport;
	uint64_t all = share_of(job, job->warm_up + job->messages, me->number), left = all;
	void *end = t->attach(job->link, true);
	struct source from;

	source_init(&from, job->shape.size, me->number);
	meet(me);
	start(me);
	while (left) {
		unsigned int n = left < job->shape.batch ? (unsigned int)left : job->shape.batch;

		t->send(end, &from, n);
		left -= n;
	}
	stop(me);
	me->report.value = all;
	meet(me);
	t->detach(end);
}

static void receiver(struct process *me)
{
	static struct sink to;
	const struct oneway *job = me->job;
	const struct transport *t = job->transport;
	uint64_t all = job->warm_up + job->messages, early;
	void *end = t->attach(job->link, false);

	sink_init(&to, job->shape.size, job->shape.senders);
	meet(me);
	while (to.count < job->warm_up)
		t->recv(end, &to, job->shape.batch);
	early = to.count;
	start(me);
	while (to.count < all)
		t->recv(end, &to, job->shape.batch);
	stop(me);
	me->report.value = all - early;
	meet(me);
	t->detach(end);
}

static void bystander(struct process *me)
{
	const struct oneway *job = me->job;
	void **ends = calloc(job->idle, sizeof(*ends));

	if (!ends)
		die("no memory");
	for (unsigned int i = 0; i < job->idle; i++)
		ends[i] = job->transport->attach(job->link, true);
	meet(me);
	meet(me);
	for (unsigned int i = 0; i < job->idle; i++)
		job->transport->detach(ends[i]);
	free(ends);
}

/* The receiver is the first process, the senders come next. */
static uint64_t run(void *of, uint64_t messages)
{
	struct oneway *job = of;
	unsigned int n = 0;

	job->messages = messages;
	job->warm_up = messages / 8 + 1;
	job->link = job->transport->create(&job->shape);
	job->process[n++] = (struct process){
		.cpu = job->two_cpus ? RECEIVER_CPU : SENDER_CPU, .body = receiver, .job = job,
	};
	for (unsigned int i = 0; i < job->shape.senders; i++)
		job->process[n++] = (struct process){
			.cpu = SENDER_CPU, .body = sender, .job = job, .number = i,
		};
	if (job->idle)
		job->process[n++] = (struct process){
			.cpu = SENDER_CPU, .body = bystander, .job = job,
		};
	run_processes(job->process, n);
	job->transport->destroy(job->link);
	return job->process[0].report.ns;
}

static void record(const struct oneway *job, unsigned int run_no, const char *metric, double value)
{
	write_record(&(struct record){
		.name = job->name, .transport = job->transport->name, .size = job->shape.size,
		.peers = job->shape.senders + job->idle + 1, .batch = job->shape.batch,
		.two_cpus = job->two_cpus, .metric = metric, .value = value,
		.samples = job->process[0].report.value, .run = run_no,
	});
}

/* The senders' figures are of all their messages, the receiver's of those after the warm-up. */
static void report(const struct oneway *job, unsigned int run_no)
{
	const struct report *in = &job->process[0].report;
	double got = (double)in->value, syscalls = (double)in->syscalls / got;
	double cpu_ns = (double)in->cpu_ns / got, sent = 0, out_syscalls = 0, out_cpu = 0;

	for (unsigned int i = 1; i <= job->shape.senders; i++) {
		const struct report *out = &job->process[i].report;

		sent += (double)out->value;
		out_syscalls += (double)out->syscalls;
		out_cpu += (double)out->cpu_ns;
	}
	if (settings.count_syscalls) {
		record(job, run_no, "syscalls", syscalls + out_syscalls / sent);
	} else if (settings.instructions) {
		record(job, run_no, "instructions", (double)in->ns / 2 / got);
	} else {
		record(job, run_no, "msgs_per_s", got * 1e9 / (double)in->ns);
		record(job, run_no, "cpu_ns", cpu_ns + out_cpu / sent);
	}
}

void oneway_measure(struct oneway *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		jobs[i].messages = jobs[i].least && !settings.smoke ? jobs[i].least :
			calibrate(run, &jobs[i], ONEWAY_MOST);
	for (unsigned int r = 0; r < settings.runs; r++)
		for (unsigned int i = 0; i < n; i++) {
			if (jobs[i].two_cpus)
				run_quietly(run, &jobs[i], jobs[i].messages);
			else
				run(&jobs[i], jobs[i].messages);
			report(&jobs[i], r);
		}
}
