// SPDX-License-Identifier: MIT
/* Rounds of a client and its servers: calibrated, timed, recorded. */
#include "rounds.h"

#define MOST	200000U		/* rounds of a run */

void make_rounds(struct process *me, void (*one)(void *with, uint64_t number), void *with)
{
	const struct rounds *r = me->job;

	meet(me);
	for (uint64_t i = 0; i < r->warm_up; i++)
		one(with, i);
	start(me);
	for (uint64_t i = 0; i < r->n; i++) {
		uint64_t begin = ticks();

		one(with, r->warm_up + i);
		r->samples[i] = ticks() - begin;
	}
	stop(me);
	meet(me);
}

void run_rounds(struct rounds *r, void (*client)(struct process *me),
		void (*server)(struct process *me), unsigned int servers)
{
	r->servers = servers;
	r->process[0] = (struct process){ .cpu = SENDER_CPU, .body = client, .job = r };
	for (unsigned int i = 0; i < servers; i++)
		r->process[1 + i] = (struct process){
			.cpu = r->record.two_cpus ? RECEIVER_CPU : SENDER_CPU,
			.body = server, .job = r, .number = i,
		};
	run_processes(r->process, 1 + servers);
}

static uint64_t run(void *of, uint64_t n)
{
	struct rounds *r = of;

	r->n = n;
	r->warm_up = n / 8 + 1;
	r->run(r);
	return r->process[0].report.ns;
}

static void record(const struct rounds *r, unsigned int run_no, const char *metric, double value)
{
	struct record record = r->record;

	record.metric = metric;
	record.value = value;
	record.samples = r->n * r->ops;
	record.run = run_no;
	write_record(&record);
}

/* Both sides together. */
static struct report sum_of(const struct rounds *r)
{
	struct report sum = { 0 };

	for (unsigned int i = 0; i <= r->servers; i++) {
		sum.cpu_ns += r->process[i].report.cpu_ns;
		sum.syscalls += r->process[i].report.syscalls;
		sum.switches += r->process[i].report.switches;
	}
	return sum;
}

/*
 * Where instructions are counted, a second is 500 million of them, or passes as soon as all sleep:
 * so the time of those that sleep can be reproduced there, whatever else the host does.
 */
static void report(struct rounds *r, unsigned int run_no)
{
	const struct report *clock = &r->process[0].report;
	double tick_ns = (double)clock->ns / (double)clock->ticks / r->ops;
	double ops = (double)(r->n * r->ops), p50;
	bool both = r->process[1].report.ticks;		/* the servers have measured, too */
	struct report sum = sum_of(r);

	if (settings.count_syscalls) {
		record(r, run_no, "syscalls", (double)sum.syscalls / ops);
		return;
	}
	if (both)
		record(r, run_no, "switches", (double)sum.switches / ops);
	p50 = (double)median(r->samples, r->n) * tick_ns;
	if (settings.instructions && !r->sleep) {
		record(r, run_no, "instructions", p50 / 2);
		return;
	}
	record(r, run_no, "ns_p50", p50);
	record(r, run_no, "ns_p99", (double)r->samples[r->n * 99 / 100] * tick_ns);
	if (both)
		record(r, run_no, "cpu_ns", (double)sum.cpu_ns / ops);
}

void measure_rounds(struct rounds *r, unsigned int n)
{
	uint64_t *samples = new_shared(MOST * sizeof(*samples));

	for (unsigned int i = 0; i < n; i++) {
		r[i].samples = samples;
		r[i].n = calibrate(run, &r[i], MOST);
	}
	for (unsigned int k = 0; k < settings.runs; k++)
		for (unsigned int i = 0; i < n; i++) {
			if (r[i].record.two_cpus)
				run_quietly(run, &r[i], r[i].n);
			else
				run(&r[i], r[i].n);
			report(&r[i], k);
		}
	free_shared(samples, MOST * sizeof(*samples));
}
