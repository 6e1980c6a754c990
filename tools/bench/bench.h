/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark's files share: processes, messages, transports, records.
 *
 * A case (rtt.c, stream.c, ...) sets up a link of some transport, forks processes that use it, and
 * writes records. A transport (ring.c, pipe.c, ...) moves messages from senders to one receiver. A
 * message is filled and checked by the code of payload.h, whatever carries it.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __printf(fmt, args) __attribute__((__format__(__printf__, fmt, args)))

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MAX_SENDERS	1024U
#define MAX_BATCH	32U
#define SENDER_CPU	0
#define RECEIVER_CPU	1

/* How the whole program was asked to work. */
struct settings {
	unsigned int runs;	/* of each measurement */
	unsigned int run_ms;	/* about, for one run */
	bool instructions;	/* the clock counts instructions, 2 ns each; one CPU */
	bool count_syscalls;	/* and nothing else */
	bool smoke;		/* as little as possible: a test of this program, not of speed */
};

extern struct settings settings;

/* The reason goes to stderr; the program ends with status 1, and so does the whole benchmark. */
_Noreturn __printf(1, 2) void die(const char *fmt, ...);
_Noreturn __printf(2, 3) void die_errno(int err, const char *fmt, ...);

/* ---- processes (harness.c) ---- */

/* What one process measured between start() and stop(). */
struct report {
	uint64_t ns, cpu_ns, syscalls;
	uint64_t switches;	/* of context: how often this process stopped running */
	uint64_t ticks;		/* of ticks(), in the same time */
	uint64_t value;		/* the case's own */
	bool done;
};

struct process {
	int cpu;
	void (*body)(struct process *me);
	const void *job;	/* what body needs to know */
	unsigned int number;	/* of a sender */
	struct report report;	/* what it measured, in the parent when it has ended */
	struct crew *crew;	/* this and the rest: the harness's */
	struct report begin;
	unsigned int index;
	int counter;		/* fd that counts system calls, or -1 */
};

/* Forks them, waits for all; dies if one of them does, or takes longer than three minutes. */
void run_processes(struct process *process, unsigned int n);

void meet(struct process *me);		/* until all processes of this run have come here */
void start(struct process *me);
void stop(struct process *me);

void prepare_counting(void);	/* once, before the first run that counts system calls */

/* How many operations take about settings.run_ms; run(job, n) does n and returns nanoseconds. */
uint64_t calibrate(uint64_t (*run)(void *job, uint64_t n), void *job, uint64_t most);

/* quiet.c: run(job, n) while the host lets both CPUs run; then a record of how often it did not. */
void run_quietly(uint64_t (*run)(void *job, uint64_t n), void *job, uint64_t n);
void report_noise(void);

uint64_t median(uint64_t *values, uint64_t n);	/* sorts them */

/* Memory that forked processes share, zeroed. */
void *new_shared(size_t size);
void free_shared(void *mem, size_t size);

/* A clock without a system call, in units of its own. */
static inline uint64_t ticks(void)
{
	return __builtin_ia32_rdtsc();
}

static inline void relax(void)
{
	__builtin_ia32_pause();
}

/* ---- transports ---- */

/* What a link is to carry. */
struct shape {
	size_t size;		/* bytes of a message, a multiple of 8, at least 8 */
	unsigned int senders;
	unsigned int batch;	/* messages that are passed on together, at most MAX_BATCH */
	unsigned int places;	/* for senders, 0: as many as there are */
	size_t ring;		/* bytes of a ring, 0: by the size */
};

struct source;			/* payload.h */
struct sink;

/* One way, from senders to a receiver. Functions that cannot do what they should, die. */
struct transport {
	const char *name;
	bool polled;		/* who waits looks, and does not sleep: no use on one CPU */
	size_t max_size;	/* of a message, 0 = any */
	/* Before the fork. */
	void *(*create)(const struct shape *shape);
	void (*destroy)(void *link);
	/* In the process of the sender, or the receiver. What they return ends with the process. */
	void *(*attach)(void *link, bool sender);
	void (*detach)(void *end);
	void (*send)(void *end, struct source *from, unsigned int n);	/* n <= batch */
	unsigned int (*recv)(void *end, struct sink *to, unsigned int n); /* 1 to n */
	/* Where a round trip is one operation, instead of these; @last: no more will be served. */
	void (*call)(void *end, struct source *from, struct sink *to);
	void (*serve)(void *end, struct sink *to, struct source *from, bool last);
};

extern const struct transport msgchan_ring, msgchan_ring_polled, msgchan_rendezvous,
	msgchan_rendezvous_spin, binder, pipes, seqpacket, eventfd_shm, spin, spsc;

bool binder_offered(void);		/* by this kernel */

/* Bytes of a ring: unless the shape says so, at least 64 messages, 1 to 32 MiB. */
size_t ring_bytes(const struct shape *shape);

/* Whether the module offers such ring channels. */
bool ring_offers(unsigned int delivery, unsigned int senders);

/* ---- records (record.c) ---- */

struct record {
	const char *name;	/* the case */
	const char *transport;
	size_t size;
	unsigned int peers;	/* processes or endpoints at the link, both sides */
	unsigned int batch;
	bool two_cpus;
	const char *metric;	/* per operation, unless the name says otherwise */
	double value;
	uint64_t samples;	/* operations that the value comes from */
	unsigned int run;
};

/* One line of JSON on stdout. */
void write_record(const struct record *record);
__printf(1, 2) void say(const char *fmt, ...);	/* to stderr */

/* ---- cases ---- */

void case_rtt(void);
void case_stream(void);
void case_handover(void);
void case_fanin(void);
void case_balanced(void);
void case_calls(void);
void case_batch(void);
void case_fanout(void);
void case_memory(void);

#endif
