/* SPDX-License-Identifier: MIT */
/* What the cases batch and fanout share: a round of calls, and what they carry. */
#ifndef BATCH_H
#define BATCH_H

#include <liburing.h>

#include "library.h"

#define CALLS	32U		/* of a round */
#define SIZE	64U		/* bytes of a request, and of its answer */

/* One number, in each word: what was asked. The answer to it has all bits turned over. */
void fill_number(void *data, uint64_t number);
uint64_t read_number(const void *data, size_t size);

/* The answers of one round, each once. */
struct round {
	uint64_t first;		/* number of its first call */
	uint32_t seen;		/* a bit for each */
};

void round_answered(struct round *round, const void *data, size_t size);

/* A ring of the best kind that this kernel has. */
void open_ring(struct io_uring *ring);

struct ipc_endpoint *calls_endpoint(struct ipc_channel *channel, uint32_t role);
struct ipc_channel *calls_channel(unsigned int slots);
struct ipc_batch *new_batch(void);
bool batches_offered(void);	/* by this kernel, through io_uring */

/* Through the library: one after the other, or as one batch; call i goes to ep[i % n]. */
void call_each(struct ipc_endpoint *const *ep, unsigned int n, uint64_t first);
void call_batch(struct ipc_batch *b, struct ipc_endpoint *const *ep, unsigned int n,
		uint64_t first);

/* Turns a request into its answer. */
void answer(struct ipc_msg *msg);

#endif
