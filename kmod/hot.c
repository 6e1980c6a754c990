// SPDX-License-Identifier: GPL-2.0-only
/*
 * hot.c - which rings anybody looks at: a bit per sender, so that those that stay empty cost
 * nothing.
 *
 * A set bit says nothing. A clear one says: whoever takes from this ring has taken all of it, and
 * its sender KICKs after its next publish (docs/protocol.md 12; models quiet, quiet2):
 *
 *	sender					kernel, in WAIT of a receiver that wishes it
 *	1: store tail				Q: clear the bit
 *	2: full barrier				R: full barrier
 *	3: bit clear? -> KICK			S: not all taken, by anybody? -> as KICK does
 *
 *	KICK: set the bit, THEN wake the armed
 *
 * Either 3 sees the bit of Q, or S sees the tail of 1. Q to S are one section of channel->lock, as
 * is each look at the rings and each KICK, so WAIT and ->poll may look at hot rings alone, whether
 * or not they hear wishes themselves: for a bit that they find clear, S was not yet answered by a
 * publish that needs no KICK; a later one KICKs. Whatever sets a bit wakes the armed: from then on
 * the sender relies on being looked at, and who looked before did not look there.
 *
 * The bitmap is right on every channel; wishes are heard, and users look at it, where hot_used
 * says so.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "ring.h"

void msgc_hot_set(struct msgc_endpoint *sender)
{
	u64 *word = &sender->ch->st->hot[sender->number / 64];
	u64 bit = 1ULL << sender->number % 64;

	lockdep_assert_held(&sender->ch->lock);
	if (!(*word & bit))
		/* Pairs with the receivers' acquire loads: who sees the bit finds the tail. */
		smp_store_release(word, *word | bit);
}

void msgc_hot_clear(struct msgc_endpoint *sender)
{
	u64 *word = &sender->ch->st->hot[sender->number / 64];

	lockdep_assert_held(&sender->ch->lock);
	WRITE_ONCE(*word, *word & ~(1ULL << sender->number % 64));
}

/* The first hot ring from sender number @n on. */
struct msgc_endpoint *msgc_hot_from(const struct msgc_channel *ch, u32 n)
{
	const unsigned long *hot = (const unsigned long *)ch->st->hot;	/* u64: all are 64-bit */

	lockdep_assert_held(&ch->lock);
	for_each_set_bit_from(n, hot, ch->par.max_senders) {
		struct msgc_endpoint *ep = ch->member[ch->par.max_receivers + n].ep;

		if (ep && ep->since)
			return ep;
	}
	return NULL;
}

/* ---- wishes ---- */

static struct msgc_endpoint *first_of(const struct msgc_channel *ch, u32 word, u64 bits)
{
	return ch->member[ch->par.max_receivers + word * 64 + __ffs64(bits)].ep;
}

/*
 * Of these rings, those that it takes from and that are empty for everybody: a receiver that is
 * behind would set the bit again at once, and be woken for nothing.
 */
static u64 grantable(const struct msgc_endpoint *receiver, u32 word, u64 wishes)
{
	u64 left, granted = 0;

	for (left = wishes; left; left &= left - 1) {
		struct msgc_endpoint *sender = first_of(receiver->ch, word, left);

		if (sender && sender->since && takes_from(receiver, sender) &&
		    !msgc_ring_untaken(sender))
			granted |= left & -left;
	}
	return granted;
}

/* Of 64 senders at a time: at most 64 rings, each with at most 64 receivers, under the lock. */
static void hear_wishes(struct msgc_endpoint *receiver, u32 word, u64 wishes)
{
	struct msgc_channel *ch = receiver->ch;
	u64 *hot = &ch->st->hot[word];

	spin_lock(&ch->lock);
	wishes = receiver->dead ? 0 : grantable(receiver, word, wishes & *hot);
	WRITE_ONCE(*hot, *hot & ~wishes);				/* Q */
	smp_mb();							/* R: pairs with 2 */
	for (; wishes; wishes &= wishes - 1) {
		struct msgc_endpoint *sender = first_of(ch, word, wishes);

		if (msgc_ring_untaken(sender))					/* S */
			msgc_kick_receivers(sender);
	}
	msgc_ring_unlock(ch);
}

/*
 * Once in a WAIT: who is woken by S looks again, and must not set off the next round with the
 * same wish while another receiver is behind.
 */
void msgc_hot_wishes(struct msgc_endpoint *receiver)
{
	const struct msgc_status *st = receiver->ch->st;
	const struct msgc_slots *slots = msgc_region_at(&receiver->own, 0);
	u32 word;

	if (!st->hot_used || receiver->claimer)
		return;			/* CLAIM walks over all rings */
	for (word = 0; word * 64 < receiver->ch->par.max_senders; word++) {
		/* Read once, and only a wish; of rings that are quiet already it asks nothing. */
		u64 wishes = READ_ONCE(slots->quiet[word]) & READ_ONCE(st->hot[word]);

		if (wishes) {
			hear_wishes(receiver, word, wishes);
			cond_resched();
		}
	}
}
