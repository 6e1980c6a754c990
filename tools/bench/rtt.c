// SPDX-License-Identifier: MIT
/* Case rtt: one message there and one back, closed loop, two processes; every round is timed. */
#include <stdlib.h>

#include "payload.h"

#define SIZE	64
#define MOST	200000	/* rounds of a run */

struct job {
	const struct transport *transport;
	struct shape shape;
	bool two_cpus;
	void *there, *back;
	uint64_t rounds, warm_up;
	uint64_t *samples;		/* of ticks(); shared */
	struct process process[2];	/* client and server */
};

/* Both directions of a process: one end, where a round trip is one operation. */
struct ends {
	const struct transport *t;
	void *out, *in;
};

static struct ends attach(const struct job *job, bool is_client)
{
	const struct transport *t = job->transport;
	struct ends ends = { .t = t };

	if (t->call) {
		ends.out = t->attach(job->there, is_client);
	} else {
		ends.out = t->attach(is_client ? job->there : job->back, true);
		ends.in = t->attach(is_client ? job->back : job->there, false);
	}
	return ends;
}

static void detach(struct ends *ends)
{
	ends->t->detach(ends->out);
	if (ends->in)
		ends->t->detach(ends->in);
}

static void ping(const struct ends *ends, struct source *from, struct sink *to)
{
	if (ends->t->call) {
		ends->t->call(ends->out, from, to);
	} else {
		ends->t->send(ends->out, from, 1);
		ends->t->recv(ends->in, to, 1);
	}
}

static void pong(const struct ends *ends, struct sink *to, struct source *from, bool last)
{
	if (ends->t->serve) {
		ends->t->serve(ends->out, to, from, last);
	} else {
		ends->t->recv(ends->in, to, 1);
		ends->t->send(ends->out, from, 1);
	}
}

static void client(struct process *me)
{
	const struct job *job = me->job;
	struct ends ends = attach(job, true);
	struct source from;
	struct sink to;

	source_init(&from, SIZE, 0);
	sink_init(&to, SIZE, 1);
	meet(me);
	for (uint64_t i = 0; i < job->warm_up; i++)
		ping(&ends, &from, &to);
	start(me);
	for (uint64_t i = 0; i < job->rounds; i++) {
		uint64_t begin = ticks();

		ping(&ends, &from, &to);
		job->samples[i] = ticks() - begin;
	}
	stop(me);
	meet(me);
	detach(&ends);
}

static void server(struct process *me)
{
	const struct job *job = me->job;
	uint64_t all = job->warm_up + job->rounds;
	struct ends ends = attach(job, false);
	struct source from;
	struct sink to;

	source_init(&from, SIZE, 0);
	sink_init(&to, SIZE, 1);
	meet(me);
	for (uint64_t i = 0; i < all; i++) {
		if (i == job->warm_up)
			start(me);
		pong(&ends, &to, &from, i == all - 1);
	}
	stop(me);
	meet(me);
	detach(&ends);
}

static uint64_t run(void *of, uint64_t rounds)
{
	struct job *job = of;
	const struct transport *t = job->transport;

	job->rounds = rounds;
	job->warm_up = rounds / 8 + 1;
	job->there = t->create(&job->shape);
	job->back = t->call ? NULL : t->create(&job->shape);
	job->process[0] = (struct process){ .cpu = SENDER_CPU, .body = client, .job = job };
	job->process[1] = (struct process){
		.cpu = job->two_cpus ? RECEIVER_CPU : SENDER_CPU, .body = server, .job = job,
	};
	run_processes(job->process, 2);
	t->destroy(job->there);
	if (job->back)
		t->destroy(job->back);
	return job->process[0].report.ns;
}

static void record(const struct job *job, unsigned int run_no, const char *metric, double value)
{
	write_record(&(struct record){
		.name = "rtt", .transport = job->transport->name, .size = SIZE, .peers = 2,
		.batch = 1, .two_cpus = job->two_cpus, .metric = metric, .value = value,
		.samples = job->rounds, .run = run_no,
	});
}

static void report(struct job *job, unsigned int run_no)
{
	const struct report *client_side = &job->process[0].report;
	const struct report *server_side = &job->process[1].report;
	double ns = (double)client_side->ns / (double)client_side->ticks;
	double rounds = (double)job->rounds;
	double p50;

	if (settings.count_syscalls) {
		record(job, run_no, "syscalls",
		       (double)(client_side->syscalls + server_side->syscalls) / rounds);
		return;
	}
	record(job, run_no, "switches",
	       (double)(client_side->switches + server_side->switches) / rounds);
	p50 = (double)median(job->samples, job->rounds) * ns;
	if (settings.instructions) {
		record(job, run_no, "instructions", p50 / 2);
		return;
	}
	record(job, run_no, "ns_p50", p50);
	record(job, run_no, "ns_p99", (double)job->samples[job->rounds * 99 / 100] * ns);
	record(job, run_no, "cpu_ns", (double)(client_side->cpu_ns + server_side->cpu_ns) / rounds);
}

static void placement(bool two_cpus)
{
	static const struct transport *const all[] = {
		&msgchan_rendezvous, &msgchan_ring, &pipes, &seqpacket, &eventfd_shm, &binder,
		&msgchan_rendezvous_spin, &msgchan_ring_polled, &spin,
	};
	struct job jobs[ARRAY_SIZE(all)] = { 0 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if ((all[i]->polled && !two_cpus) || (all[i] == &binder && !binder_offered()))
			continue;
		jobs[n] = (struct job){
			.transport = all[i], .two_cpus = two_cpus,
			.shape = { .size = SIZE, .senders = 1, .batch = 1 },
			.samples = new_shared(MOST * sizeof(uint64_t)),
		};
		jobs[n].rounds = calibrate(run, &jobs[n], MOST);
		n++;
	}
	for (unsigned int r = 0; r < settings.runs; r++)
		for (unsigned int i = 0; i < n; i++) {
			if (two_cpus)
				run_quietly(run, &jobs[i], jobs[i].rounds);
			else
				run(&jobs[i], jobs[i].rounds);
			report(&jobs[i], r);
		}
	for (unsigned int i = 0; i < n; i++)
		free_shared(jobs[i].samples, MOST * sizeof(uint64_t));
}

void case_rtt(void)
{
	placement(false);
	if (!settings.instructions)
		placement(true);
}
