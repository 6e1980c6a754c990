// SPDX-License-Identifier: GPL-2.0-only
/*
 * status.c - the area that everybody reads and only the kernel writes: a header, and a line per
 * endpoint.
 */
#include <linux/log2.h>
#include <linux/mm.h>

#include "core.h"

#define LINE_OFF	ALIGN(sizeof(struct msgc_status), sizeof(struct msgc_line))

u64 msgc_status_bytes(const struct msgc_create *par)
{
	return PAGE_ALIGN(LINE_OFF +
			  sizeof(struct msgc_line) * (par->max_senders + par->max_receivers));
}

void msgc_status_init(struct msgc_channel *ch)
{
	struct msgc_status *st = msgc_region_at(&ch->status, 0);

	st->mode = ch->par.mode;
	st->delivery = ch->par.delivery;
	st->flags = ch->par.flags;
	st->max_senders = ch->par.max_senders;
	st->max_receivers = ch->par.max_receivers;
	st->slots = ch->par.slots;
	st->line_off = LINE_OFF;
	st->hot_used = msgc_is_ring(ch) && ch->par.max_senders > 64;
	st->generation = 1;
	ch->st = st;
}

static struct msgc_line *line_at(const struct msgc_channel *ch, u32 index)
{
	return msgc_region_at(&ch->status, LINE_OFF + index * sizeof(struct msgc_line));
}

/*
 * Readers load the id before and after the rest. Its pages are installed and, where the index
 * had an owner before, zapped everywhere, so that whoever sees the id sees the right pages.
 */
void msgc_line_publish(struct msgc_endpoint *ep)
{
	struct msgc_line *line = line_at(ep->ch, ep->index);
	u32 shift = msgc_is_ring(ep->ch) && msgc_is_sender(ep) ?
			    ilog2(msgc_region_bytes(&ep->data)) :
			    0;

	lockdep_assert_held(&ep->ch->lock);
	WRITE_ONCE(line->id, 0);
	smp_wmb();		/* pairs with the reader's second look at the id */
	WRITE_ONCE(line->state, ep->standby ? MSGC_STANDBY : MSGC_LIVE);
	WRITE_ONCE(line->ring_shift, shift);
	WRITE_ONCE(line->flags, ep->flags);
	WRITE_ONCE(line->attempts, 0);
	WRITE_ONCE(line->since, ep->since);
	WRITE_ONCE(line->space_at, 0);
	WRITE_ONCE(line->head, 0);
	WRITE_ONCE(line->redo, 0);
	WRITE_ONCE(line->end, 0);
	WRITE_ONCE(line->receivers, 0);
	ep->line = line;
	smp_store_release(&line->id, ep->id);	/* pairs with the reader's first look at the id */
}

void msgc_line_set_state(struct msgc_endpoint *ep, u32 state)
{
	lockdep_assert_held(&ep->ch->lock);
	/* pairs with the readers' loads: what goes with the state is there */
	smp_store_release(&ep->line->state, state);
}

/*
 * The membership has changed: everybody is told, who sleeps is woken and looks again (and arms
 * again, so the bits can go). After the generation a full barrier: a joiner reads the tails
 * only then, and a sender looks at the generation only after it stored `low` and had a barrier
 * of its own (libipc/tx.c), so one of the two sees the other.
 */
void msgc_generation_bump(struct msgc_channel *ch)
{
	u32 i;

	lockdep_assert_held(&ch->lock);
	ch->changed = false;
	/* Pairs with the acquire loads of whoever caches the membership: what changed is there. */
	smp_store_release(&ch->st->generation, ch->st->generation + 1);
	WRITE_ONCE(ch->st->armed, 0);
	/* Pairs with the sender's barrier after `low`, and with the one of channel_poll(). */
	smp_mb();
	for (i = 0; i < ch->nr_members; i++)
		if (ch->member[i].ep)
			msgc_wake_all(ch->member[i].ep);
	wake_up_all(&ch->wait);
}
