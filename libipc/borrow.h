/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * borrow.h - what a receiver has handed out: places for messages, in a chain per ring, from the
 * oldest message to the youngest, and the free ones in another. They are taken and given back in
 * chains as they are.
 */
#ifndef IPC_BORROW_H
#define IPC_BORROW_H

#include "ring_shared.h"

/* A message that the application holds, or a free place for one. */
struct borrow {
	uint64_t pos;			/* of its record */
	uint64_t stamp;			/* names the message, its place below; 0: released */
	uint32_t source;		/* NONE: that ring is gone */
	uint32_t next;			/* younger one of the same source, or the next free place */
};

struct places {
	uint32_t free, n_free;
	uint64_t stamp;			/* the last one given */
	struct borrow borrow[IPC_RX_BORROWED];
};

/* Borrowed from one ring; oldest NONE: nothing is. */
struct chain {
	uint32_t oldest, youngest;
};

static inline void put_place(struct places *places, uint32_t i)
{
	places->borrow[i].next = places->free;
	places->free = i;
	places->n_free++;
}

static inline void places_init(struct places *places)
{
	places->free = NONE;
	for (uint32_t i = IPC_RX_BORROWED; i-- > 0; )
		put_place(places, i);
}

static inline struct borrow *place_of(struct places *places, const struct ipc_msg *msg)
{
	return &places->borrow[msg->priv[0] % IPC_RX_BORROWED];
}

/*
 * The free place @i is this message's from now on; the receiver's address tells its messages from
 * others'. Returns the next free one: lengthen() has to follow.
 */
static inline uint32_t lend(struct places *places, uint32_t i, uint32_t source, uint64_t pos,
			    const void *rx, struct ipc_msg *msg)
{
	struct borrow *borrow = &places->borrow[i];

	places->stamp += IPC_RX_BORROWED;
	borrow->pos = pos;
	borrow->stamp = places->stamp | i;
	borrow->source = source;
	msg->priv[0] = borrow->stamp;
	msg->priv[1] = (uintptr_t)rx;
	msg->priv[4] = 0;			/* files.c: nothing travels with it */
	return borrow->next;
}

/* The @got first free places, to @last, are the youngest of this chain; @next is free. */
static inline void lengthen(struct places *places, struct chain *chain, uint32_t last,
			    uint32_t next, unsigned int got)
{
	if (chain->oldest == NONE)
		chain->oldest = places->free;
	else
		places->borrow[chain->youngest].next = places->free;
	chain->youngest = last;
	places->free = next;
	places->n_free -= got;
}

/* Free those from the oldest on that have been released. False: that one is still held. */
static inline bool shorten(struct places *places, struct chain *chain)
{
	uint32_t i = chain->oldest, last = NONE;

	while (i != NONE && !places->borrow[i].stamp) {
		last = i;
		i = last == chain->youngest ? NONE : places->borrow[last].next;
		places->n_free++;
	}
	if (last == NONE)
		return false;
	places->borrow[last].next = places->free;
	places->free = chain->oldest;
	chain->oldest = i;
	return true;
}

/* The ring is gone. What was borrowed from it can still be given back. */
static inline void orphan(struct places *places, struct chain *chain)
{
	uint32_t i, next = chain->oldest;

	while (next != NONE) {
		i = next;
		next = i == chain->youngest ? NONE : places->borrow[i].next;
		places->borrow[i].source = NONE;
		if (!places->borrow[i].stamp)
			put_place(places, i);
	}
	chain->oldest = NONE;
}

#endif
