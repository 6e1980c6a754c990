/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the two ways of a batch share. A call is in one state at a time:
 *
 *	FREE -> ADDED (its slot is filled) -> CALLED (the kernel has it) -> ENDED -> FREE
 *
 * All but the CALLED, which end in any order, are in a list: a stack, and two queues.
 */
#ifndef LIBIPC_BATCH_H
#define LIBIPC_BATCH_H

#include <liburing.h>
#include <pthread.h>

#include "internal.h"

enum state { FREE, ADDED, CALLED, ENDED, STATES };

struct entry {
	uint32_t next;		/* of its list, if there is one */
	uint8_t state;
	bool forgotten;		/* cancelling has been asked for */
	int32_t res;		/* ENDED: how the command ended, or 0 */
	uint32_t member;	/* CALLED, poll: who is polled for it */
	uint64_t cookie;
	struct msgc_call call;
	struct ipc_endpoint *ep;
};

/* How calls get to the kernel and come back. */
struct ipc_way {
	unsigned int flags;	/* of CALL */
	/* Give it all that is added, each of which is CALLED then, or ENDED. */
	int (*submit)(struct ipc_batch *b);
	/*
	 * The same, then wait until something more has ENDED, better n more; so many are CALLED or
	 * ADDED.
	 */
	int (*wait)(struct ipc_batch *b, uint32_t n, uint64_t deadline);
	int (*cancel)(struct ipc_batch *b, uint32_t i);	/* what is CALLED */
};

extern const struct ipc_way ipc_way_uring, ipc_way_poll;

/* Polled: an endpoint with calls in flight. */
struct member {
	struct ipc_endpoint *ep;
	uint32_t calls;
};

/*
 * It lies in memory that reads as zeros in a forked child, but for what that needs to free it,
 * which stands in a page before it: the size of all of it, and the ring.
 */
struct ipc_batch {
	const struct ipc_way *way;	/* NULL: in a forked child */
	struct io_uring *ring;		/* of way_uring */
	int why;			/* not that way */
	bool tried;			/* that its commands pass */
	bool only_uring;
	pthread_t thread;
	uint32_t capacity;
	uint32_t used;			/* no entry from here on was ever used */
	uint32_t count[STATES], first[STATES], last[STATES];
	uint32_t members, hint;		/* way_poll: how many; to be looked at first */
	struct member *member;
	struct pollfd *fds;
	struct entry entry[];
};

/* The first of a list that is not empty. */
static inline uint32_t ipc_batch_pop(struct ipc_batch *b, enum state from)
{
	uint32_t i = b->first[from];

	b->first[from] = b->entry[i].next;
	b->count[from]--;
	return i;
}

/* To the end of a queue. */
static inline void ipc_batch_append(struct ipc_batch *b, uint32_t i, enum state to)
{
	if (b->count[to]++)
		b->entry[b->last[to]].next = i;
	else
		b->first[to] = i;
	b->last[to] = i;
	b->entry[i].state = (uint8_t)to;
}

/* The kernel has what was the first of the ADDED. */
static inline void ipc_batch_called(struct ipc_batch *b)
{
	b->entry[ipc_batch_pop(b, ADDED)].state = CALLED;
	b->count[CALLED]++;
}

/* A command has ended; or what was the first of the ADDED never began. */
void ipc_batch_called_ended(struct ipc_batch *b, uint32_t i, int32_t res);
void ipc_batch_first_ended(struct ipc_batch *b, int32_t res);

/* CANCEL, by ioctl. */
int ipc_batch_cancel_now(const struct entry *e);

/* A ring for so many calls, as good a one as this kernel has; and whether our commands pass. */
int ipc_batch_ring_open(struct io_uring *ring, uint32_t capacity);
int ipc_batch_ring_try(struct io_uring *ring, const struct ipc_endpoint *ep);

#endif
