/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ring.h - where the words of a ring channel stand, and who is there: shared by ring.c (who may
 * go on), join.c (who comes and goes) and hot.c (who is looked at). All under channel->lock.
 */
#ifndef MSGC_RING_H
#define MSGC_RING_H

#include "core.h"

static inline u64 receiver_bit(const struct msgc_endpoint *receiver)
{
	return 1ULL << receiver->number;
}

static inline bool is_tethered(const struct msgc_endpoint *receiver)
{
	return !(receiver->flags & MSGC_UNTETHERED);
}

/* One tethered receiver at a time, and what it leaves goes to the next. */
static inline bool is_exclusive(const struct msgc_channel *ch)
{
	return ch->par.delivery == MSGC_EXCLUSIVE;
}

/* The receiver of the lowest bit: bits of masks belong to members that live. */
static inline struct msgc_endpoint *lowest_receiver(const struct msgc_channel *ch, u64 mask)
{
	return ch->member[__ffs64(mask)].ep;
}

static inline struct msgc_control *control_of(const struct msgc_endpoint *sender)
{
	return msgc_region_at(&sender->own, MSGC_CONTROL_AT(sender->number));
}

static inline struct msgc_slot *slot_of(const struct msgc_endpoint *receiver,
					const struct msgc_endpoint *sender)
{
	return msgc_region_at(&receiver->own, sizeof(struct msgc_slots) +
						      sender->number * sizeof(struct msgc_slot));
}

/*
 * The senders of a channel that have a ring: live, or dead and not drained. None stands beyond
 * what was used at some time: an index is published under channel->lock after `fresh` was raised.
 */
static inline struct msgc_endpoint *sender_from(struct msgc_channel *ch, u32 index)
{
	u32 end = ch->par.max_receivers + READ_ONCE(ch->fresh[MSGC_SENDER - 1]);

	for (; index < end; index++) {
		struct msgc_endpoint *ep = ch->member[index].ep;

		if (ep && ep->since)
			return ep;
	}
	return NULL;
}

static inline struct msgc_endpoint *first_sender(struct msgc_channel *ch)
{
	return sender_from(ch, ch->par.max_receivers);
}

static inline struct msgc_endpoint *next_sender(const struct msgc_endpoint *sender)
{
	return sender_from(sender->ch, sender->index + 1);
}

/* Its end is known: not yet while its mappings are being taken away. */
static inline bool departed(const struct msgc_endpoint *sender)
{
	return sender->line->state != MSGC_LIVE;
}

/* Neither refused nor a standby. */
static inline bool takes_from(const struct msgc_endpoint *receiver,
			      const struct msgc_endpoint *sender)
{
	return sender->line->receivers & receiver_bit(receiver);
}

/* Has this receiver said where it stands in this sender's ring? */
static inline bool positioned(const struct msgc_endpoint *receiver,
			      const struct msgc_endpoint *sender)
{
	/* The receiver stores taken and head first. */
	return smp_load_acquire(&slot_of(receiver, sender)->gen) == sender->since;
}

/* Everybody who was tethered has released what lies below. */
static inline u64 head_floor(const struct msgc_endpoint *sender)
{
	return max(sender->head_seen, sender->line->head);
}

/*
 * The sender sleeps until everybody has released what lies below, 0 = it does not; of a departed
 * one, its ring is to be reaped then.
 */
static inline void set_space_at(struct msgc_endpoint *sender, u64 head)
{
	WRITE_ONCE(sender->line->space_at, head);
	__assign_bit(sender->number, sender->ch->sleepers, head);
}

/* ---- ring.c ---- */
bool msgc_ring_untaken(struct msgc_endpoint *sender);	/* not all, by somebody who takes from it */
bool msgc_kick_receivers(struct msgc_endpoint *sender);

/* ---- hot.c: which rings anybody looks at ---- */
void msgc_hot_set(struct msgc_endpoint *sender);	/* who does it wakes the armed */
void msgc_hot_clear(struct msgc_endpoint *sender);	/* that has gone */
struct msgc_endpoint *msgc_hot_from(const struct msgc_channel *ch, u32 number);
void msgc_hot_wishes(struct msgc_endpoint *receiver);	/* takes channel->lock */

#endif
