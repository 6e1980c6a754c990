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

static void receiver_joined(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;

	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		receiver->found |= !departed(sender) || !msgc_ring_drained(sender);
		sender->refused &= ~receiver_bit(receiver);
		msgc_hot_set(sender);		/* it has looked at none yet */
		WRITE_ONCE(sender->line->receivers,
			   sender->line->receivers | receiver_bit(receiver));
	}
	ch->takers |= receiver_bit(receiver);
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

static void receiver_gone(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;

	WRITE_ONCE(ch->st->tethered, ch->st->tethered & ~receiver_bit(receiver));
	ch->takers &= ~receiver_bit(receiver);
	smp_wmb();	/* as in receiver_joined(), the other way round */
	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		take_over(receiver, sender);
		WRITE_ONCE(sender->line->receivers,
			   sender->line->receivers & ~receiver_bit(receiver));
	}
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
	u64 head = max(msgc_ring_head(sender), low_of(sender, tail));
	struct msgc_status *st = sender->ch->st;
	u64 end = round_down(clamp(tail, head, head + size), MSGC_ALIGN);

	WRITE_ONCE(sender->line->end, end);
	set_space_at(sender, end);
	msgc_hot_set(sender);		/* as the KICK that it may owe */
	WRITE_ONCE(st->senders, st->senders - 1);
}

/* ---- either ---- */

void msgc_ring_joined(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		sender_joined(ep);
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
	msgc_hot_clear(sender);
	__clear_bit(sender->number, sender->ch->sleepers);
}
