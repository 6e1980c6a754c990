// SPDX-License-Identifier: GPL-2.0-only
/*
 * death.c - the end of an endpoint, and of what it leaves behind.
 *
 * However it comes (its process, DETACH, EVICT, its last reference), the first one wins, in
 * this order (docs/protocol.md 13):
 *
 *	1  it is dead: no command of it does anything any more
 *	2  every writable mapping is zapped; later accesses show its scratch page
 *	3  its words are read once, into the lines
 *	4  only then do others learn of it
 *
 * A dead sender stays in the table until its ring is drained, a dead client until its last call
 * is let go, anybody until evicted. Then the reaper (a work item of the channel) takes it out:
 * REVOKED, barrier, zapped in every peer's window, index free. It holds no lock while it waits
 * for a peer's map_lock: a member that is slow in a fault delays nobody's funeral.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "core.h"

/* The first who comes has to see it through. */
static bool claim(struct msgc_endpoint *ep)
{
	bool first;

	mutex_lock(&ep->ch->members);
	spin_lock(&ep->ch->lock);
	first = ep->since && !ep->dead;
	if (first)
		WRITE_ONCE(ep->dead, true);	/* 1 */
	spin_unlock(&ep->ch->lock);
	mutex_unlock(&ep->ch->members);
	return first;
}

/* Faults that began before `dead` was set end before the lock is had; later ones see it. */
static void stop_writing(struct msgc_endpoint *ep)
{
	down_write(&ep->map_lock);
	msgc_zap_writable(ep);			/* 2 */
	up_write(&ep->map_lock);
}

static void bequeath(struct msgc_endpoint *ep, u32 state)
{
	mutex_lock(&ep->ch->members);
	spin_lock(&ep->ch->lock);
	if (msgc_is_ring(ep->ch))		/* 3 */
		msgc_ring_gone(ep);
	else
		msgc_call_gone(ep);
	msgc_line_set_state(ep, state);		/* 4 */
	if (msgc_is_ring(ep->ch))
		msgc_ring_promote(ep->ch);
	ep->until = ep->ch->st->generation + 1;
	msgc_generation_bump(ep->ch);
	spin_unlock(&ep->ch->lock);
	mutex_unlock(&ep->ch->members);
}

/*
 * No lock is held while its own faults and mappings are waited for. Who comes second waits for the
 * first, or ->release could give up the channel while calls of the dead are still to be settled.
 */
void msgc_endpoint_die(struct msgc_endpoint *ep, u32 state)
{
	if (claim(ep)) {
		stop_writing(ep);
		bequeath(ep, state);
		msgc_reap_later(ep->ch);
		complete_all(&ep->settled);
		msgc_inherit_settle(ep->ch);
	} else if (ep->since) {
		wait_for_completion(&ep->settled);
	}
}

/* ---- reaping ---- */

/* The reference is the work's; the caller has one too, so this is never the last put. */
void msgc_reap_later(struct msgc_channel *ch)
{
	kref_get(&ch->ref);
	if (!queue_work(msgc_wq, &ch->reap))
		msgc_channel_put(ch);
}

/* Nobody needs what it left. channel->lock held. */
static bool finished(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (!ep->since || !ep->until)
		return false;
	if (!msgc_is_sender(ep))
		return true;
	if (!msgc_is_ring(ep->ch))
		/* a server may still use its memory: evict that one */
		return msgc_call_drained(ep);
	return ep->discarded || msgc_ring_drained(ep);
}

/* Out of the table; for a while yet its place counts as its user's, who freed it. */
void msgc_member_unlink(struct msgc_endpoint *ep)
{
	struct msgc_member *m = &ep->ch->member[ep->index];

	lockdep_assert_held(&ep->ch->members);
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_ring(ep->ch) && msgc_is_sender(ep))
		msgc_ring_unlinked(ep);
	WRITE_ONCE(m->ep, NULL);
	msgc_payers_put(m->freed_by);
	m->freed_by = msgc_payers_get(ep->payers);
	m->freed_ns = ktime_get_ns();
}

/*
 * Takes the next finished one of 64 members out of the table, NULL: none of them is; its reference
 * goes to the caller. No more in one section: what a dead sender left is held by up to 64.
 */
static struct msgc_endpoint *unlink_finished(struct msgc_channel *ch, u32 *index)
{
	u32 end = min(*index + 64, ch->nr_members);
	struct msgc_endpoint *ep = NULL;

	mutex_lock(&ch->members);
	spin_lock(&ch->lock);
	while (!ep && *index < end) {
		ep = ch->member[(*index)++].ep;
		if (!ep || !finished(ep)) {
			ep = NULL;
			continue;
		}
		msgc_member_unlink(ep);
		msgc_line_set_state(ep, MSGC_REVOKED);
		msgc_generation_bump(ch);
	}
	msgc_ring_unlock(ch);
	mutex_unlock(&ch->members);
	/*
	 * REVOKED before the zeros: pairs with the reader's load of the state after it copied a
	 * record
	 */
	smp_mb();
	return ep;
}

/*
 * Those who may have mappings of a stride now. Who attaches later finds what the table says by
 * then.
 */
static void collect_open(struct msgc_channel *ch, const struct msgc_endpoint *peer,
			 struct list_head *batch)
{
	struct msgc_endpoint *ep;

	lockdep_assert_held(&ch->zapping);
	mutex_lock(&ch->members);
	list_for_each_entry(ep, &ch->open, open) {
		if (ep->role == peer->role)
			continue;
		kref_get(&ep->ref);
		list_add(&ep->zap, batch);
	}
	mutex_unlock(&ch->members);
}

void msgc_zap_peer_everywhere(struct msgc_endpoint *peer)
{
	struct msgc_channel *ch = peer->ch;
	struct msgc_endpoint *ep, *next;
	LIST_HEAD(batch);

	mutex_lock(&ch->zapping);
	collect_open(ch, peer, &batch);
	list_for_each_entry_safe(ep, next, &batch, zap) {
		msgc_zap_peer(ep, peer);
		msgc_endpoint_put(ep);
	}
	mutex_unlock(&ch->zapping);
}

/*
 * It has been taken out of the table: no peer sees its pages any more, then its index is free, and
 * reused last. Puts the table's reference.
 */
void msgc_member_vacate(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;

	msgc_zap_peer_everywhere(ep);
	mutex_lock(&ch->members);
	list_add_tail(&ch->member[ep->index].free, &ch->free[ep->role - 1]);
	mutex_unlock(&ch->members);
	msgc_endpoint_put(ep);
}

/*
 * A dead client's slots that no server has go at once, the others when they are let go: a server
 * that keeps one call keeps no more than that one's memory.
 */
static struct msgc_endpoint *next_to_shed(struct msgc_channel *ch, u32 *index, u64 *slots)
{
	struct msgc_endpoint *found = NULL;

	if (msgc_is_ring(ch))
		return NULL;
	spin_lock(&ch->lock);
	while (!found && *index < ch->nr_members) {
		struct msgc_endpoint *ep = ch->member[(*index)++].ep;

		if (!ep || !ep->since || !msgc_is_sender(ep) || ep->line->state == MSGC_LIVE)
			continue;
		*slots = GENMASK_ULL(ch->par.slots - 1, 0) & ~ep->shed & ~msgc_call_taken(ep);
		if (!*slots)
			continue;
		WRITE_ONCE(ep->shed, ep->shed | *slots);
		kref_get(&ep->ref);
		found = ep;
	}
	spin_unlock(&ch->lock);
	return found;
}

static void shed(struct msgc_endpoint *ep, u64 slots)
{
	u64 request = ep->ch->par.request, reply = ep->ch->par.reply;
	u32 i;

	msgc_zap_peer_everywhere(ep);
	down_write(&ep->map_lock);
	msgc_zap_replies(ep);	/* or its own mappings would keep pages that nobody pays for */
	for (i = 0; i < ep->ch->par.slots; i++) {
		if (!(slots & 1ULL << i))
			continue;
		msgc_region_punch(&ep->data, i * request, request);
		msgc_region_punch(&ep->peer, i * reply, reply);
		msgc_uncharge(ep->payers, MSGC_BYTES, request + reply);
		ep->charged -= request + reply;
	}
	up_write(&ep->map_lock);
}

/*
 * Once over the table: who is finished later queues the work anew, and nobody who waits for this
 * run waits for that.
 */
void msgc_reap_work(struct work_struct *work)
{
	struct msgc_channel *ch = container_of(work, struct msgc_channel, reap);
	struct msgc_endpoint *ep;
	u32 index = 0;
	u64 slots;

	while ((ep = next_to_shed(ch, &index, &slots))) {
		shed(ep, slots);
		msgc_endpoint_put(ep);
	}
	index = 0;
	while (index < ch->nr_members) {
		ep = unlink_finished(ch, &index);
		if (ep)
			msgc_member_vacate(ep);
	}
	msgc_channel_put(ch);
}

/*
 * The channel's last user has gone, so all members are dead and nobody has mappings: undrained
 * rings are given up.
 */
void msgc_members_discard(struct msgc_channel *ch)
{
	struct msgc_endpoint *ep;
	u32 i;

	for (i = 0; i < ch->nr_members; i++) {
		mutex_lock(&ch->members);
		spin_lock(&ch->lock);
		ep = ch->member[i].ep;
		WRITE_ONCE(ch->member[i].ep, NULL);
		spin_unlock(&ch->lock);
		mutex_unlock(&ch->members);
		if (ep)
			msgc_endpoint_put(ep);
	}
}

/* ---- EVICT ---- */

static struct msgc_endpoint *member_get(struct msgc_channel *ch, u32 id)
{
	struct msgc_endpoint *ep = NULL;

	spin_lock(&ch->lock);
	if (MSGC_INDEX(id) < ch->nr_members)
		ep = ch->member[MSGC_INDEX(id)].ep;
	if (ep && ep->since && ep->id == id)
		kref_get(&ep->ref);
	else
		ep = NULL;
	spin_unlock(&ch->lock);
	return ep;
}

/* Gives up what a dead member left. */
static void discard(struct msgc_endpoint *ep)
{
	spin_lock(&ep->ch->lock);
	ep->discarded = true;
	spin_unlock(&ep->ch->lock);
	msgc_reap_later(ep->ch);
}

/* What a sender left that may go: nobody has a right to what it overwrote in time anyway. */
static bool may_make_room(const struct msgc_endpoint *ep, const struct msgc_payers *payers)
{
	u32 i;

	if (!ep || !ep->until || !msgc_is_sender(ep) || ep->discarded)
		return false;
	for (i = 0; payers && i < payers->nr; i++)
		if (msgc_payers_have(ep->payers, msgc_payer_uid(payers, i)))
			return true;
	return !payers;
}

/*
 * Untethered-only channels: gives up what the sender left that departed first, of anybody or
 * where one of these payers paid for it.
 */
bool msgc_make_room(struct msgc_channel *ch, const struct msgc_payers *payers)
{
	struct msgc_endpoint *first = NULL;
	u32 i;

	if (!(ch->par.flags & MSGC_UNTETHERED_ONLY))
		return false;
	spin_lock(&ch->lock);
	for (i = ch->par.max_receivers; i < ch->nr_members; i++) {
		struct msgc_endpoint *ep = ch->member[i].ep;

		if (may_make_room(ep, payers) && (!first || ep->until < first->until))
			first = ep;
	}
	if (first)
		first->discarded = true;
	spin_unlock(&ch->lock);
	if (first)
		msgc_reap_later(ch);
	return first;
}

int msgc_channel_evict(struct msgc_channel *ch, void __user *arg)
{
	struct msgc_endpoint *ep;
	struct msgc_whom whom;
	int err = msgc_copy_in(&whom, sizeof(whom), sizeof(whom), arg);

	if (err)
		return err;
	if (whom.flags)
		return -EOPNOTSUPP;
	if (whom.zero)
		return -EINVAL;
	ep = member_get(ch, whom.peer);
	if (!ep)
		return -ENOENT;
	if (READ_ONCE(ep->dead) &&
	    (msgc_channel_may_own(ch) || uid_eq(msgc_payer_uid(ep->payers, 0), current_uid())))
		discard(ep);
	else if (msgc_channel_may_own(ch))
		msgc_endpoint_die(ep, MSGC_DIED);
	else
		err = -EPERM;
	msgc_endpoint_put(ep);
	return err;
}
