/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * claim.h - what balanced delivery remembers: shared by walk.c (where records begin and end) and
 * claim.c (who holds them). All under channel->lock.
 */
#ifndef MSGC_CLAIM_H
#define MSGC_CLAIM_H

#include <linux/rbtree.h>

#include "ring.h"

struct msgc_given {			/* a record that was given out and is not finished */
	struct list_head node;		/* in walk->given, by position; spare: claimer->spare */
	union {
		struct rb_node back;	/* given back: in walk->back, by position */
		u64 since_ns;		/* held */
	};
	struct msgc_endpoint *sender;	/* NULL: its ring is gone */
	struct msgc_endpoint *holder;	/* NULL: given back */
	u64 pos;
	u32 span;			/* bytes */
	u16 attempts;
	u8 entry;			/* of the holder */
};

struct msgc_walk {			/* a sender's ring: channel->lock */
	struct list_head given;
	struct rb_root_cached back;
	u64 cursor;			/* the next one to give out */
	u64 tail_seen;
	bool ended;			/* what stands at the cursor is no record */
};

struct msgc_claimer {			/* a receiver: channel->lock */
	struct msgc_endpoint *ep;
	struct list_head asleep;	/* in channel->claiming, while CLAIM sleeps */
	u32 want, got;			/* of the CLAIM that runs */
	bool busy;			/* one runs */
	bool polled;			/* by WAIT or ->poll, and not woken since */
	bool accused;			/* a pair with it ended: to be told */
	u32 nr;				/* entries */
	u64 held;			/* a bit per entry */
	/* entries whose bit in `released` was set when they were given: only CLAIM believes it */
	u64 unwatched;
	u64 bytes;			/* held */
	u64 number;			/* of the last record given */
	struct list_head spare;		/* a msgc_given per free entry */
	struct msgc_given *entry[];
};

/* The living receivers that claim. */
#define for_each_claimer(ch, receiver, mask)						\
	for ((mask) = (ch)->st->tethered;						\
	     (mask) && ((receiver) = lowest_receiver(ch, mask)); (mask) &= (mask) - 1)

static inline bool is_refused(const struct msgc_endpoint *receiver,
			      const struct msgc_endpoint *sender)
{
	return sender->refused & receiver_bit(receiver);
}

/* ---- walk.c ---- */
void msgc_walk_publish_head(struct msgc_endpoint *sender);
u32 msgc_walk_next(struct msgc_endpoint *sender, u32 *budget);
struct msgc_endpoint *msgc_turn_first(struct msgc_channel *ch);
struct msgc_endpoint *msgc_turn_next(const struct msgc_endpoint *sender);
void msgc_turn_used(const struct msgc_endpoint *sender, u32 span);

#endif
