// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk.c - balanced delivery: where the records of a ring begin and end, and whose turn it is.
 *
 * If receivers named the boundaries, one that lies would make its neighbour read from the middle
 * of a record, and an innocent sender would be blamed. So the kernel walks: the tail is read once,
 * then half a header per record, once, and believed only within [cursor, tail). What is no record
 * ends the sender's traffic with everybody: it is the only one who can have written that.
 */
#include <linux/mm.h>
#include <linux/sizes.h>

#include "claim.h"

#define TURN_RECORDS	32		/* of one sender, then it is the next one's turn */
#define TURN_BYTES	SZ_64K

/* ---- heads ---- */

/* After something was finished, or passed. */
void msgc_walk_publish_head(struct msgc_endpoint *sender)
{
	struct msgc_walk *walk = sender->walk;
	struct msgc_line *line = sender->line;
	struct msgc_given *first = list_first_entry_or_null(&walk->given, struct msgc_given, node);
	u64 head = first ? first->pos : walk->cursor;

	if (head != line->head)
		/* Pairs with the load of the sender's library: its readers are done with it. */
		smp_store_release(&line->head, head);
	if (departed(sender)) {
		if (head >= line->end)
			msgc_reap_later(sender->ch);
	} else if (line->space_at && head >= line->space_at) {
		set_space_at(sender, 0);
		msgc_wake_sync(sender);
	}
}

/* ---- the walk ---- */

/*
 * What the sender wrote is no ring: nothing more of it is given to anybody. What was given out or
 * given back before is good.
 */
static void end_of_sender(struct msgc_endpoint *sender)
{
	struct msgc_channel *ch = sender->ch;
	struct msgc_line *line = sender->line;
	struct msgc_endpoint *receiver;
	u64 mask;

	sender->walk->ended = true;
	sender->refused |= ch->st->tethered;
	WRITE_ONCE(line->receivers, line->receivers & ~ch->st->tethered);
	for_each_claimer(ch, receiver, mask)
		receiver->claimer->accused = true;
	ch->changed = true;
	if (departed(sender)) {
		WRITE_ONCE(line->end, sender->walk->cursor);
		msgc_walk_publish_head(sender);
	}
}

static bool tail_is_wrong(const struct msgc_endpoint *sender, u64 tail)
{
	return tail % MSGC_ALIGN || tail < sender->walk->tail_seen ||
	       tail - sender->line->head > msgc_region_bytes(&sender->data);
}

/* The first half of a header, read once. At a multiple of 32: within one page. */
static void read_half(const struct msgc_endpoint *sender, u64 pos, u32 *len, u32 *span_flags)
{
	union {
		u64 word;
		struct {
			u32 len, span_flags;
		};
	} half;
	u64 at = pos & (msgc_region_bytes(&sender->data) - 1);

	BUILD_BUG_ON(offsetof(struct msgc_record, span_flags) != 4);
	half.word = READ_ONCE(*(u64 *)msgc_region_at(&sender->data, at));
	*len = half.len;
	*span_flags = half.span_flags;
}

/*
 * The span of the record at the cursor, PADs passed; 0: there is none, or the budget is used up.
 * Never reads outside of [cursor, tail).
 */
u32 msgc_walk_next(struct msgc_endpoint *sender, u32 *budget)
{
	struct msgc_walk *walk = sender->walk;
	u64 tail = msgc_ring_tail(sender), was = walk->cursor, span = 0;
	u32 len, span_flags;

	if (walk->ended || tail == walk->cursor)
		return 0;
	if (!departed(sender) && tail_is_wrong(sender, tail)) {
		end_of_sender(sender);
		return 0;
	}
	walk->tail_seen = tail;
	for (; walk->cursor != tail && *budget; walk->cursor += span, span = 0) {
		(*budget)--;
		read_half(sender, walk->cursor, &len, &span_flags);
		span = MSGC_SPAN(span_flags);
		if (span < sizeof(struct msgc_record) || span > tail - walk->cursor ||
		    (!(span_flags & MSGC_R_PAD) && len > span - sizeof(struct msgc_record))) {
			end_of_sender(sender);
			span = 0;
			break;
		}
		if (!(span_flags & MSGC_R_PAD))
			break;
	}
	if (walk->cursor != was)
		msgc_walk_publish_head(sender);
	return span;
}

/* ---- whose turn it is: deficit round robin ---- */

static void new_turn(struct msgc_channel *ch, u32 index)
{
	ch->turn = index;
	ch->turn_records = TURN_RECORDS;
	ch->turn_bytes = TURN_BYTES;
}

static struct msgc_endpoint *at_turn(struct msgc_channel *ch)
{
	struct msgc_endpoint *sender =
		sender_from(ch, max(ch->turn, ch->par.max_receivers)) ?: first_sender(ch);

	if (sender && sender->index != ch->turn)
		new_turn(ch, sender->index);
	return sender;
}

/* Who comes after this one, which may be this one. */
struct msgc_endpoint *msgc_turn_next(const struct msgc_endpoint *sender)
{
	new_turn(sender->ch, sender->index + 1);
	return at_turn(sender->ch);
}

/* NULL: there are no senders. */
struct msgc_endpoint *msgc_turn_first(struct msgc_channel *ch)
{
	struct msgc_endpoint *sender = at_turn(ch);

	if (sender && (!ch->turn_records || ch->turn_bytes <= 0))
		return msgc_turn_next(sender);
	return sender;
}

/* A record of it was given out. */
void msgc_turn_used(const struct msgc_endpoint *sender, u32 span)
{
	struct msgc_channel *ch = sender->ch;

	if (sender->index == ch->turn) {
		ch->turn_records -= !!ch->turn_records;
		ch->turn_bytes -= span;
	}
}

bool msgc_walk_ended(const struct msgc_endpoint *sender)
{
	return sender->walk && sender->walk->ended;
}

u64 msgc_walk_cursor(const struct msgc_endpoint *sender)
{
	return sender->walk->cursor;
}
