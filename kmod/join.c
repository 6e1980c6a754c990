// SPDX-License-Identifier: GPL-2.0-only
/*
 * join.c - who takes from whom: ring endpoints come and go, and what a receiver leaves to its
 * successor.
 *
 * All under channel->lock, before the generation changes. tethered but not in a sender's line
 * means refused: the bit in `receivers` is set before the one in `tethered` and cleared after
 * it, and a sender loads them in that order.
 */
#include <linux/mm.h>

#include "ring.h"

/* ---- receivers ---- */

/* Of who had its index before. */
static void forget_refusals(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;

	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender))
		sender->refused &= ~receiver_bit(receiver);
}

/*
 * A tethered receiver holds everything until it has positioned itself: a successor from where
 * the last one ended, a newcomer among several from 0 on, whatever was released before it came.
 */
static void receiver_joined(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;

	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		if (!receiver->found)
			receiver->found = !departed(sender) || !msgc_ring_drained(sender);
		if (ch->par.delivery == MSGC_BROADCAST && is_tethered(receiver))
			WRITE_ONCE(sender->line->head, 0);
		if (receiver->claimer && msgc_walk_ended(sender))
			continue;
		msgc_hot_set(sender);		/* it has looked at none yet */
		WRITE_ONCE(sender->line->receivers, sender->line->receivers |
			   (receiver_bit(receiver) & ~sender->refused));
	}
	ch->takers |= receiver_bit(receiver);
	if (!is_tethered(receiver))
		return;
	smp_wmb();	/* see above: pairs with the sender's loads */
	WRITE_ONCE(ch->st->tethered, ch->st->tethered | receiver_bit(receiver));
}

/*
 * Takeover (docs/protocol.md 11; model takeover): its words are read once, and clamped: base is
 * what it had released, redo what it had seen. It may lose or repeat messages by lying, as it
 * might have eaten them; it can accuse nobody.
 */
static void take_over(struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	struct msgc_line *line = sender->line;
	struct msgc_slot *slot = slot_of(receiver, sender);
	u64 floor = head_floor(sender), tail = max(msgc_ring_tail(sender), floor);
	u64 base, redo;

	if (!positioned(receiver, sender)) {
		sender->head_seen = line->head;
		return;
	}
	base = round_down(clamp(READ_ONCE(slot->head), floor, tail), MSGC_ALIGN);
	redo = max(line->redo, round_down(clamp(READ_ONCE(slot->taken), base, tail), MSGC_ALIGN));
	if (redo <= base)
		WRITE_ONCE(line->attempts, 0);
	else if (base != line->head)
		WRITE_ONCE(line->attempts, 1);
	else if (line->attempts < U8_MAX)
		WRITE_ONCE(line->attempts, line->attempts + 1);
	sender->ch->redelivered += redo > base ? redo - base : 0;
	sender->head_seen = base;
	WRITE_ONCE(line->head, base);
	WRITE_ONCE(line->redo, redo);
}

/*
 * The last of several leaves: what it had released is free, the rest is kept for whoever comes.
 * Its word is taken within bounds, as at a takeover.
 */
static void keep_rest(struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	u64 floor = head_floor(sender), tail = max(msgc_ring_tail(sender), floor), head = floor;

	if (takes_from(receiver, sender) && positioned(receiver, sender))
		head = clamp(READ_ONCE(slot_of(receiver, sender)->head), floor, tail);
	sender->head_seen = round_down(head, MSGC_ALIGN);
	WRITE_ONCE(sender->line->head, sender->head_seen);
}

static void bequeath(struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	if (!is_tethered(receiver))
		return;
	if (is_exclusive(receiver->ch))
		take_over(receiver, sender);
	else if (!receiver->ch->st->tethered)
		keep_rest(receiver, sender);
}

static void receiver_gone(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;

	if (receiver->standby)
		return;
	/* What it read comes first: pairs with the acquire load of senders that reuse the space. */
	smp_store_release(&ch->st->tethered, ch->st->tethered & ~receiver_bit(receiver));
	ch->takers &= ~receiver_bit(receiver);
	smp_wmb();	/* as in receiver_joined(), the other way round */
	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		if (!receiver->claimer)
			bequeath(receiver, sender);
		WRITE_ONCE(sender->line->receivers,
			   sender->line->receivers & ~receiver_bit(receiver));
	}
	if (receiver->claimer)
		msgc_claims_receiver_gone(receiver);
}

/* ---- the one seat of an exclusive channel ---- */

/* Its holder; also one who is just attaching, or dead with what it leaves not settled yet. */
static bool has_seat(const struct msgc_endpoint *ep)
{
	return is_tethered(ep) && !ep->standby && (!ep->since || ep->line->state == MSGC_LIVE);
}

/* Under members or channel->lock. */
bool msgc_seat_taken(const struct msgc_channel *ch)
{
	u32 i;

	for (i = 0; is_exclusive(ch) && i < ch->par.max_receivers; i++)
		if (ch->member[i].ep && has_seat(ch->member[i].ep))
			return true;
	return false;
}

static struct msgc_endpoint *oldest_standby(const struct msgc_channel *ch)
{
	struct msgc_endpoint *oldest = NULL, *ep;
	u32 i;

	for (i = 0; i < ch->par.max_receivers; i++) {
		ep = ch->member[i].ep;
		if (ep && ep->standby && ep->since && !ep->dead &&
		    (!oldest || ep->since < oldest->since))
			oldest = ep;
	}
	return oldest;
}

/* If the seat is free, to the standby that came first; after every change that may free it. */
void msgc_ring_promote(struct msgc_channel *ch)
{
	struct msgc_endpoint *heir = oldest_standby(ch);

	lockdep_assert_held(&ch->lock);
	if (!heir || msgc_seat_taken(ch))
		return;
	heir->standby = false;
	msgc_line_set_state(heir, MSGC_LIVE);
	receiver_joined(heir);
	ch->changed = true;
}

/* ---- senders ---- */

static void sender_joined(struct msgc_endpoint *sender)
{
	struct msgc_status *st = sender->ch->st;

	msgc_hot_set(sender);
	WRITE_ONCE(sender->line->receivers, sender->ch->takers);
	WRITE_ONCE(st->joined, sender->since);
	WRITE_ONCE(st->senders, st->senders + 1);
}

/* What it says it may have overwritten: believed, as it can only cost it its own messages. */
static u64 low_of(const struct msgc_endpoint *sender, u64 tail)
{
	u64 low = READ_ONCE(control_of(sender)->low);

	return low % MSGC_ALIGN || low > tail ? 0 : low;
}

/*
 * Its end: what it had published, believed only within what its ring can hold. space_at = end
 * makes the last release KICK.
 */
static void sender_gone(struct msgc_endpoint *sender)
{
	u64 tail = msgc_ring_tail(sender), size = msgc_region_bytes(&sender->data);
	/* With its pair refused the head known here may be an old one. */
	u64 head = sender->walk ? msgc_walk_cursor(sender) :
				  max(msgc_ring_head(sender), low_of(sender, tail));
	u64 most = sender->walk ? size - (head - sender->line->head) : size;
	struct msgc_status *st = sender->ch->st;
	u64 end = tail < head ? head : head + min(tail - head, most);

	if (msgc_walk_ended(sender))
		end = head;
	end = round_down(end, MSGC_ALIGN);
	WRITE_ONCE(sender->line->end, end);
	set_space_at(sender, end);
	msgc_hot_set(sender);		/* as the KICK that it may owe */
	WRITE_ONCE(st->senders, st->senders - 1);
}

/* ---- either ---- */

void msgc_ring_joined(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep)) {
		sender_joined(ep);
		return;
	}
	forget_refusals(ep);
	if (ep->standby)
		msgc_ring_promote(ep->ch);
	else
		receiver_joined(ep);
}

void msgc_ring_gone(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		sender_gone(ep);
	else
		receiver_gone(ep);
}

/* What was kept about its ring. */
void msgc_ring_unlinked(struct msgc_endpoint *sender)
{
	lockdep_assert_held(&sender->ch->lock);
	msgc_claims_forget(sender);
	msgc_hot_clear(sender);
	__clear_bit(sender->number, sender->ch->sleepers);
}
