// SPDX-License-Identifier: MIT
/*
 * A guest's two CPUs are two threads of a host that may be busy. What two processes do together is
 * measured only while both really run: a ping-pong on a cache line tells, before and after. So a
 * run is thrown away for what the host did, never for what it measured.
 */
#include "bench.h"

#define ROUNDS		20000U
#define STALL		50U	/* times the fastest round: a CPU was away */
#define TOO_LONG	200000U	/* likewise, for all of them */
#define PERCENT		33U	/* of the time that may be lost */
#define TRIES		100U	/* of the whole program; then it takes what it gets */

struct lines {
	_Alignas(64) uint64_t there;
	_Alignas(64) uint64_t back;
};

static unsigned int tries, runs, noisy;

static void pinger(struct process *me)
{
	struct lines *lines = (struct lines *)(uintptr_t)me->job;
	uint64_t fastest = UINT64_MAX, total = 0, stalled = 0;

	meet(me);
	for (uint64_t i = 1; i <= ROUNDS && (i < 100 || total / TOO_LONG < fastest); i++) {
		uint64_t begin = ticks(), took;

		__atomic_store_n(&lines->there, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&lines->back, __ATOMIC_ACQUIRE) != i)
			relax();
		took = ticks() - begin;
		total += took;
		fastest = took < fastest ? took : fastest;
		if (i > 100 && took / STALL > fastest)
			stalled += took;
	}
	__atomic_store_n(&lines->there, UINT64_MAX, __ATOMIC_RELEASE);
	me->report.value = 100 * stalled / total;
}

static void ponger(struct process *me)
{
	struct lines *lines = (struct lines *)(uintptr_t)me->job;
	uint64_t seen = 0, now = 0;

	meet(me);
	for (; now != UINT64_MAX; seen = now) {
		while ((now = __atomic_load_n(&lines->there, __ATOMIC_ACQUIRE)) == seen)
			relax();
		__atomic_store_n(&lines->back, now, __ATOMIC_RELEASE);
	}
}

static bool is_quiet(void)
{
	struct lines *lines = new_shared(sizeof(*lines));
	struct process process[2] = {
		{ .cpu = SENDER_CPU, .body = pinger, .job = lines },
		{ .cpu = RECEIVER_CPU, .body = ponger, .job = lines },
	};

	run_processes(process, 2);
	free_shared(lines, sizeof(*lines));
	return process[0].report.value < PERCENT;
}

static void wait_for_quiet(void)
{
	while (tries < TRIES && !is_quiet())
		tries++;
}

void run_quietly(uint64_t (*run)(void *job, uint64_t n), void *job, uint64_t n)
{
	if (settings.smoke || settings.instructions || settings.count_syscalls) {
		run(job, n);
		return;
	}
	runs++;
	for (;;) {
		wait_for_quiet();
		run(job, n);
		if (is_quiet())
			return;
		if (tries++ >= TRIES)
			break;
	}
	noisy++;
}

void report_noise(void)
{
	if (runs)
		write_record(&(struct record){
			.name = "host", .transport = "none", .two_cpus = true,
			.metric = "noisy_runs", .value = noisy, .samples = runs,
		});
}
