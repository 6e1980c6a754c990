/* SPDX-License-Identifier: MIT */
/* Messages one way, from one or more senders to a receiver: what stream.c and fanin.c measure. */
#ifndef ONEWAY_H
#define ONEWAY_H

#include "bench.h"

#define ONEWAY_MOST	8000000	/* messages of a run */

struct oneway {
	const char *name;		/* the case */
	const struct transport *transport;
	struct shape shape;
	unsigned int idle;		/* so many more are attached and say nothing */
	bool two_cpus;
	uint64_t least;			/* messages of a run, if not as many as its time allows */
	uint64_t messages;		/* of a run, all senders together */
	uint64_t warm_up;		/* and before */
	void *link;
	struct process process[MAX_SENDERS + 2];
};

/* Measure n of them, interleaved, settings.runs times each, and write the records. */
void oneway_measure(struct oneway *jobs, unsigned int n);

#endif
