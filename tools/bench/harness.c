// SPDX-License-Identifier: MIT
/* Processes: forked, each on its CPU, started together, watched, and what they measured. */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define LIMIT	180	/* seconds that a run may take */

/* What the processes of a run share. */
struct crew {
	pthread_barrier_t barrier;
	unsigned int n;
	struct report report[];
};

/* ---- shared memory ---- */

void *new_shared(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (mem == MAP_FAILED)
		die_errno(errno, "no %zu bytes of shared memory", size);
	return mem;
}

void free_shared(void *mem, size_t size)
{
	munmap(mem, size);
}

/* ---- counting system calls: the kernel's own tracepoint, exact ---- */

static int tracepoint(void)
{
	static int id;
	FILE *file;

	if (id)
		return id;
	id = -1;
	file = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "re");
	if (!file)
		return id;
	if (fscanf(file, "%d", &id) != 1)
		id = -1;
	fclose(file);
	return id;
}

static int open_counter(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_TRACEPOINT,
		.config = (unsigned int)tracepoint(),
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		die_errno(errno, "cannot count system calls");
	return fd;
}

/*
 * The first counter has the kernel patch its own code. One is kept open, so that this happens now,
 * while nothing runs, and not in each run: emulated processors do not always see a patch in time.
 */
void prepare_counting(void)
{
	if (tracepoint() <= 0)
		die("this kernel has no tracepoint to count system calls by");
	open_counter();
}

static uint64_t system_calls(int counter)
{
	uint64_t n = 0;

	if (counter >= 0 && read(counter, &n, sizeof(n)) != sizeof(n))
		die_errno(errno, "cannot read the count of system calls");
	return n;
}

/* ---- in a process ---- */

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
}

void meet(struct process *me)
{
	pthread_barrier_wait(&me->crew->barrier);
}

/* The count is read last here and first in stop(): nothing of ours is in it but that read. */
void start(struct process *me)
{
	me->begin.switches = switches();
	me->begin.cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	me->begin.ns = read_clock(CLOCK_MONOTONIC);
	me->begin.ticks = ticks();
	me->begin.syscalls = system_calls(me->counter);
}

void stop(struct process *me)
{
	struct report *report = &me->report;

	report->syscalls = system_calls(me->counter) - me->begin.syscalls;
	report->ticks = ticks() - me->begin.ticks;
	report->ns = read_clock(CLOCK_MONOTONIC) - me->begin.ns;
	report->cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID) - me->begin.cpu_ns;
	report->switches = switches() - me->begin.switches;
	if (me->counter >= 0)
		report->syscalls--;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die_errno(errno, "cannot stay on CPU %d", cpu);
}

_Noreturn static void child(struct process *me)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIMIT);
	pin(me->cpu);
	me->counter = settings.count_syscalls ? open_counter() : -1;
	me->body(me);
	me->report.done = true;
	me->crew->report[me->index] = me->report;
	_exit(0);
}

/* ---- in the parent ---- */

static struct crew *new_crew(unsigned int n)
{
	struct crew *crew = new_shared(sizeof(*crew) + n * sizeof(crew->report[0]));
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&crew->barrier, &attr, n);
	pthread_barrierattr_destroy(&attr);
	crew->n = n;
	return crew;
}

/* One that fails would leave the others waiting. */
static void wait_for_all(const pid_t *pids, unsigned int n)
{
	int status;

	for (unsigned int left = n; left; left--) {
		pid_t pid = wait(&status);

		if (pid > 0 && !status)
			continue;
		for (unsigned int i = 0; i < n; i++)
			if (pids[i] != pid)
				kill(pids[i], SIGKILL);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			die("a process did not end within %d s", LIMIT);
		die("a process ended with wait status 0x%x", status);
	}
}

void run_processes(struct process *process, unsigned int n)
{
	struct crew *crew = new_crew(n);
	pid_t pids[MAX_SENDERS + 2];

	for (unsigned int i = 0; i < n; i++) {
		process[i].crew = crew;
		process[i].index = i;
		process[i].report = (struct report){ 0 };
		pids[i] = fork();
		if (pids[i] < 0)
			die_errno(errno, "fork");
		if (!pids[i])
			child(&process[i]);
	}
	wait_for_all(pids, n);
	for (unsigned int i = 0; i < n; i++) {
		process[i].report = crew->report[i];
		if (!process[i].report.done)
			die("a process reported nothing");
	}
	free_shared(crew, sizeof(*crew) + n * sizeof(crew->report[0]));
}

uint64_t calibrate(uint64_t (*run)(void *job, uint64_t n), void *job, uint64_t most)
{
	uint64_t wanted = settings.run_ms * UINT64_C(1000000), n = 8, ns;

	if (settings.smoke)
		return 64;
	for (;; n *= 4) {
		ns = run(job, n);
		if (ns > wanted / 8 || n * 4 > most)
			break;
	}
	n = (uint64_t)((double)n * (double)wanted / (double)ns);
	return n < most ? n + 1 : most;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

uint64_t median(uint64_t *values, uint64_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return values[n / 2];
}
