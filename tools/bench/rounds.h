/* SPDX-License-Identifier: MIT */
/*
 * Closed loops: one client makes rounds, each of which is timed, with servers that answer. What the
 * cases rtt, calls, batch and fanout measure.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include "bench.h"

#define MOST_SERVERS	32U

struct rounds {
	struct record record;		/* what is measured; the rest is filled in */
	const void *how;		/* the case's own */
	void (*run)(struct rounds *r);	/* makes what is needed, and calls run_rounds() */
	unsigned int ops;		/* operations of a round */
	bool sleep;			/* the servers do: its time is of interest, see report() */
	uint64_t n, warm_up;		/* rounds of a run, and before */
	uint64_t *samples;		/* of ticks(), a round each; shared */
	unsigned int servers;
	struct process process[1 + MOST_SERVERS];	/* the client is the first */
};

/* Measure n of them, interleaved, settings.runs times each, and write the records. */
void measure_rounds(struct rounds *r, unsigned int n);

/* One run of processes whose job is r. All servers measure, after the warm-up, or none does. */
void run_rounds(struct rounds *r, void (*client)(struct process *me),
		void (*server)(struct process *me), unsigned int servers);

/* What a client does. The numbers count from 0. */
void make_rounds(struct process *me, void (*one)(void *with, uint64_t number), void *with);

/* How many a client makes in a run, the warm-up's included. */
static inline uint64_t all_rounds(const struct rounds *r)
{
	return r->warm_up + r->n;
}

#endif
