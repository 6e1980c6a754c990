// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - ring mode in the kernel: who may go on, who is woken, and where a successor starts.
 *
 * The kernel never touches a record. It reads a sender's tail and need, a receiver's taken,
 * head and gen, each once, and believes none of them: an index says how much, bounded by what
 * the kernel knows itself (head_seen, the line), never where.
 *
 * Sleeping and waking (docs/protocol.md 5; model selftests/models/wake.pml):
 *
 *	receiver, in WAIT and ->poll			sender
 *	0: join the wait queue				1: write records, store tail
 *	A: set the armed bit, always			2: full barrier
 *	B: full barrier				3: armed & line.receivers, or not hot? -> KICK
 *	C: readable? -> return, the bit stays
 *	D: sleep				KICK: full barrier; clear the bit, then wake all
 *
 * C looks at hot rings only: hot.c says why that is enough.
 *
 * Space is the same with the roles swapped and an amount in place of the bit: need, space_at,
 * head (6; models space, bspace).
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/nospec.h>

#include "command.h"
#include "ring.h"

static u64 *seen_of(const struct msgc_endpoint *ep)
{
	if (msgc_is_ring(ep->ch) && msgc_is_sender(ep))
		return &control_of(ep)->seen;
	return &((struct msgc_own *)msgc_region_at(&ep->own, 0))->seen;
}

/* ---- positions ---- */

u64 msgc_ring_tail(struct msgc_endpoint *sender)
{
	if (departed(sender))
		return sender->line->end;
	/* Pairs with the sender's release store of tail (1). */
	return smp_load_acquire((u64 *)msgc_region_at(&sender->own, MSGC_TAIL_AT(sender->number)));
}

static void refuse_pair(struct msgc_endpoint *sender, struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = sender->ch;

	sender->refused |= receiver_bit(receiver);
	WRITE_ONCE(sender->line->receivers, sender->line->receivers & ~receiver_bit(receiver));
	ch->changed = true;		/* told once for all, by msgc_ring_unlock() */
	if (departed(sender))
		msgc_reap_later(ch);	/* it may have been the last that had not drained it */
}

/*
 * A head that is misaligned or beyond the tail ends the pair and blames neither: a sender that
 * lowers its tail makes an honest head look wrong. So does one behind what it was; with several
 * receivers that is no news, a newcomer may start behind the others. Head before tail: the tail
 * read is then no older.
 */
static bool head_is_wrong(struct msgc_endpoint *sender, u64 head)
{
	return head % MSGC_ALIGN || head > msgc_ring_tail(sender) ||
	       (is_exclusive(sender->ch) && head < head_floor(sender));
}

/*
 * The smallest head of those who hold this sender's space, and whose it is; NULL: nobody's. Who
 * has not positioned itself holds everything, as the sender's library sees it.
 */
static struct msgc_endpoint *laggard_of(struct msgc_endpoint *sender, u64 *smallest)
{
	struct msgc_channel *ch = sender->ch;
	u64 holders = ch->st->tethered & sender->line->receivers, head;
	struct msgc_endpoint *laggard = NULL;

	for (; holders; holders &= holders - 1) {
		struct msgc_endpoint *receiver = lowest_receiver(ch, holders);

		head = sender->line->head;
		if (positioned(receiver, sender)) {
			/* Pairs with the receiver's release store of head. */
			head = smp_load_acquire(&slot_of(receiver, sender)->head);
			if (head_is_wrong(sender, head)) {
				refuse_pair(sender, receiver);
				continue;
			}
		}
		if (laggard && head >= *smallest)
			continue;
		*smallest = head;
		laggard = receiver;
	}
	return laggard;
}

/* What the sender may count as released. */
u64 msgc_ring_head(struct msgc_endpoint *sender)
{
	u64 head;

	lockdep_assert_held(&sender->ch->lock);
	if (sender->walk)
		return sender->line->head;
	if (!laggard_of(sender, &head))
		return head_floor(sender);
	sender->head_seen = max(sender->head_seen, head);
	return head;
}

struct msgc_endpoint *msgc_ring_laggard(struct msgc_endpoint *sender)
{
	u64 head;
	struct msgc_endpoint *laggard;

	if (sender->walk)
		return msgc_claims_laggard(sender);
	laggard = laggard_of(sender, &head);
	return laggard && head < msgc_ring_tail(sender) ? laggard : NULL;
}

/* Who looked at heads may have refused a pair. */
void msgc_ring_unlock(struct msgc_channel *ch)
	__releases(&ch->lock)
{
	if (ch->changed)
		msgc_generation_bump(ch);
	spin_unlock(&ch->lock);
}

bool msgc_ring_drained(struct msgc_endpoint *sender)
{
	return msgc_ring_head(sender) >= sender->line->end;
}

/* ---- predicates ---- */

static bool readable_from(const struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	u64 taken;

	if (!takes_from(receiver, sender))
		return false;
	taken = positioned(receiver, sender) ? READ_ONCE(slot_of(receiver, sender)->taken) :
					       sender->line->head;
	return msgc_ring_tail(sender) != taken;
}

/* Not of the quiet ones: hot.c. */
static bool readable(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;

	if (receiver->claimer)
		return msgc_claimable(receiver);
	for (sender = msgc_hot_from(ch, 0); sender; sender = msgc_hot_from(ch, sender->number + 1))
		if (readable_from(receiver, sender))
			return true;
	return false;
}

bool msgc_ring_untaken(struct msgc_endpoint *sender)
{
	u64 takers;

	for (takers = sender->line->receivers; takers; takers &= takers - 1)
		if (readable_from(lowest_receiver(sender->ch, takers), sender))
			return true;
	return false;
}

u64 msgc_ring_borrowed(struct msgc_endpoint *receiver, struct msgc_endpoint *sender, u64 *head)
{
	const struct msgc_slot *slot = slot_of(receiver, sender);
	u64 taken = READ_ONCE(slot->taken);

	*head = READ_ONCE(slot->head);
	if (!is_tethered(receiver) || !takes_from(receiver, sender) ||
	    !positioned(receiver, sender))
		return 0;
	return taken > *head ? min(taken - *head, msgc_region_bytes(&sender->data)) : 0;
}

u64 msgc_ring_held(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;
	u64 head, held = 0;

	if (receiver->claimer)
		return msgc_claims_bytes_held(receiver);
	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender))
		held += msgc_ring_borrowed(receiver, sender, &head);
	return held;
}

/* There was a sender, all have left, and everything is taken. */
bool msgc_ring_at_end(const struct msgc_endpoint *receiver)
{
	const struct msgc_status *st = receiver->ch->st;

	return !(receiver->flags & MSGC_STAY) && !st->senders &&
	       (receiver->found || st->joined > receiver->since);
}

/* Receivers hold its space, but none takes from it any more. */
static bool refused_by_all(const struct msgc_endpoint *sender)
{
	u64 tethered = sender->ch->st->tethered;

	return tethered && !(tethered & sender->line->receivers);
}

/*
 * The reserve that failed, or the drain, would succeed now; or, with every pair refused, fail for
 * good. Where nobody may hold space, always.
 */
static bool writable(struct msgc_endpoint *sender)
{
	u64 need = READ_ONCE(control_of(sender)->need);
	u64 head;

	msgc_claims_collect(sender->ch);
	head = msgc_ring_head(sender);
	return !need || head >= need || refused_by_all(sender) ||
	       (sender->ch->par.flags & MSGC_UNTETHERED_ONLY);
}

static u32 ring_events(struct msgc_endpoint *ep)
{
	if (msgc_is_sender(ep))
		return writable(ep) ? MSGC_OUT : 0;
	if (ep->standby)
		return 0;
	if (readable(ep))
		return MSGC_IN;
	/* Who holds all that it may cannot tell yet whether that was all. */
	if (ep->claimer && msgc_claims_full(ep))
		return 0;
	return msgc_ring_at_end(ep) ? MSGC_HUP : 0;
}

u32 msgc_events(struct msgc_endpoint *ep)
{
	u32 events;

	lockdep_assert_held(&ep->ch->lock);
	if (ep->dead)
		return MSGC_ERR;
	events = msgc_is_ring(ep->ch) ? ring_events(ep) : msgc_call_events(ep);
	if (READ_ONCE(*seen_of(ep)) != ep->ch->st->generation)
		events |= MSGC_PRI;
	return events;
}

/*
 * A: say what is waited for, always: whoever looks only later, or was told before, relies on
 * the bit. The caller does B.
 */
void msgc_arm(struct msgc_endpoint *ep)
{
	struct msgc_status *st = ep->ch->st;

	lockdep_assert_held(&ep->ch->lock);
	if (!msgc_is_ring(ep->ch) || ep->dead)
		return;
	if (msgc_is_sender(ep))
		set_space_at(ep, READ_ONCE(control_of(ep)->need));
	else if (ep->claimer)
		msgc_claims_arm(ep);
	else
		WRITE_ONCE(st->armed, st->armed | receiver_bit(ep));
}

/* ---- KICK ---- */

/*
 * Clear, then wake: in the other order a waiter could arm in between and sleep. Was anybody armed?
 * Not only its sender's doing: hot.c.
 */
bool msgc_kick_receivers(struct msgc_endpoint *sender)
{
	struct msgc_channel *ch = sender->ch;
	u64 armed = ch->st->armed & sender->line->receivers;
	bool any = armed;

	msgc_hot_set(sender);
	if (sender->walk) {
		msgc_claims_kick(sender);
		armed &= ~ch->st->tethered;
	}
	WRITE_ONCE(ch->st->armed, ch->st->armed & ~armed);
	for (; armed; armed &= armed - 1)
		msgc_wake_sync(lowest_receiver(ch, armed));
	return any;
}

/*
 * Its own head first: without a position, or where that is not enough, it has released nothing that
 * this KICK could be about. (Balanced ones have none: the kernel owns the head.)
 */
static bool released_enough(const struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	u64 space_at = sender->line->space_at;

	if (!sender->walk && (!positioned(receiver, sender) ||
			      READ_ONCE(slot_of(receiver, sender)->head) < space_at))
		return false;
	return msgc_ring_head(sender) >= space_at;
}

/*
 * 64 senders per section, each of whom may have 64 receivers: with the lock dropped in between, who
 * goes to sleep meanwhile looks at the heads itself. Was there one to be woken?
 */
static bool kick_senders(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	u32 n, looked = 0;
	bool woken = false;

	msgc_claims_collect(ch);
	for_each_set_bit(n, ch->sleepers, ch->par.max_senders) {
		struct msgc_endpoint *sender;

		if (!(++looked % 64)) {
			msgc_ring_unlock(ch);
			spin_lock(&ch->lock);
			if (!test_bit(n, ch->sleepers))
				continue;
		}
		sender = ch->member[ch->par.max_receivers + n].ep;
		if (!released_enough(receiver, sender))
			continue;
		set_space_at(sender, 0);
		woken = true;
		if (departed(sender))
			msgc_reap_later(ch);
		else
			msgc_wake_sync(sender);
	}
	return woken;
}

static int kick(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;
	int err = 0;

	/*
	 * after the tail (1) or head was stored, before armed or space_at is read: pairs with B
	 */
	smp_mb();
	spin_lock(&ch->lock);
	if (ep->dead) {
		err = -ESHUTDOWN;
	} else {
		ch->kicks++;
		atomic64_inc(&ep->kicks);
		if (!(msgc_is_sender(ep) ? msgc_kick_receivers(ep) : kick_senders(ep)))
			atomic64_inc(&ep->needless);
	}
	msgc_ring_unlock(ch);
	return err;
}

long msgc_kick(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	return kick(ep);
}

/* ---- WAIT ---- */

/* The endpoint to kick on the way to sleep: another of the caller's own. */
static struct file *kick_get(s32 fd)
{
	struct msgc_endpoint *peer;
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	peer = file->private_data;
	if (file->f_op == &msgc_endpoint_fops && peer->pid == task_tgid(current) &&
	    msgc_is_ring(peer->ch))
		return file;
	fput(file);
	return ERR_PTR(-EBADF);
}

/* A and C in one go, and B between them. */
static u32 arm_and_look(struct msgc_endpoint *ep, struct msgc_endpoint *peer)
{
	struct msgc_channel *ch = ep->ch;
	u32 events;

	spin_lock(&ch->lock);
	msgc_arm(ep);							/* A */
	/* B: pairs with 2, and with the barrier in kick(); with a peer to kick it is 2 as well */
	smp_mb();
	if (peer) {
		spin_unlock(&ch->lock);
		kick(peer);
		spin_lock(&ch->lock);
	}
	events = msgc_events(ep);					/* C */
	msgc_ring_unlock(ch);
	return events;
}

static u32 look(struct msgc_endpoint *ep)
{
	u32 events;

	spin_lock(&ep->ch->lock);
	events = msgc_events(ep);
	msgc_ring_unlock(ep->ch);
	return events;
}

/*
 * INTERRUPT comes first: readiness that comes to nothing must not hide it. Who was woken looks
 * before he arms again: only whoever is going to sleep has to.
 */
static long wait_events(struct msgc_endpoint *ep, u32 want, struct msgc_endpoint *peer,
			u64 deadline)
{
	struct msgc_waiter waiter = MSGC_WAITER(waiter, MSGC_WAITS_EVENT, deadline);
	long ret;

	waiter.want.events = want;
	do {
		prepare_to_wait(&ep->wait, &waiter.entry, TASK_INTERRUPTIBLE);	/* 0 */
		ret = arm_and_look(ep, peer) & want;
		peer = NULL;
		if (msgc_interrupted(ep))
			ret = -EINTR;
		if (!ret)
			ret = msgc_may_sleep(ep, deadline);
		if (ret)
			break;
		schedule();						/* D */
		ret = look(ep) & want;
		if (msgc_interrupted(ep))
			ret = -EINTR;
	} while (!ret);
	finish_wait(&ep->wait, &waiter.entry);
	return ret > 0 && ret & MSGC_ERR ? -ESHUTDOWN : ret;
}

/* Whether it makes sense; the endpoint to kick; the wishes. */
static int prepare_wait(struct msgc_endpoint *ep, const struct msgc_wait *wait, struct file **kick)
{
	if (wait->events & ~(MSGC_IN | MSGC_PRI | MSGC_OUT | MSGC_ERR | MSGC_HUP))
		return -EOPNOTSUPP;
	if (!wait->events)
		return -EINVAL;
	if (wait->kick != -1) {
		struct file *file = kick_get(wait->kick);

		if (IS_ERR(file))
			return PTR_ERR(file);
		*kick = file;
	}
	if (msgc_is_ring(ep->ch) && !msgc_is_sender(ep))
		msgc_hot_wishes(ep);
	return 0;
}

long msgc_wait(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	u32 want = arg->wait.events;
	struct file *file = NULL;
	long ret;

	ret = prepare_wait(ep, &arg->wait, &file);
	if (ret)
		return ret;
	ret = wait_events(ep, want | MSGC_ERR | MSGC_HUP, file ? file->private_data : NULL,
			  msgc_deadline_to_host(arg->wait.deadline));
	if (file)
		fput(file);
	return ret;
}

/* The peer is kicked before it has joined the queue, but what follows from that it finds then. */
long msgc_wait_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want)
{
	struct file *file = NULL;
	int err = prepare_wait(ep, &arg->wait, &file);

	if (err)
		return err;
	if (file) {
		arm_and_look(ep, file->private_data);
		fput(file);
	}
	want->deadline = msgc_deadline_to_host(arg->wait.deadline);
	want->events = arg->wait.events | MSGC_ERR | MSGC_HUP;
	return -EAGAIN;
}

long msgc_wait_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why)
{
	struct msgc_channel *ch = ep->ch;
	long ret;

	if (!why && msgc_interrupted(ep))
		why = -EINTR;
	if (why == -EINTR || why == -ECANCELED)
		return why;
	spin_lock(&ch->lock);
	msgc_arm(ep);							/* A */
	smp_mb();							/* B: pairs with 2 */
	ret = msgc_events(ep) & want->events;			/* C */
	if (!ret)
		ret = why ?: msgc_park(ep, want);		/* 0, D: under the lock */
	msgc_ring_unlock(ch);
	return ret > 0 && ret & MSGC_ERR ? -ESHUTDOWN : ret;
}

/* ---- REFUSE ---- */

static struct msgc_endpoint *find_peer(struct msgc_endpoint *ep, u32 id)
{
	struct msgc_channel *ch = ep->ch;
	struct msgc_endpoint *peer = NULL;

	if (MSGC_INDEX(id) < ch->nr_members)
		peer = ch->member[array_index_nospec(MSGC_INDEX(id), ch->nr_members)].ep;
	return peer && peer->since && peer->id == id && peer->role != ep->role ? peer : NULL;
}

long msgc_refuse(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	struct msgc_channel *ch = ep->ch;
	struct msgc_endpoint *peer, *sender, *receiver;
	long ret = -ENOENT;

	if (arg->refuse.flags)
		return -EOPNOTSUPP;
	if (arg->refuse.zero)
		return -EINVAL;
	spin_lock(&ch->lock);
	peer = ep->dead ? NULL : find_peer(ep, arg->refuse.peer);
	if (ep->dead) {
		ret = -ESHUTDOWN;	/* its line may be another's by now */
	} else if (peer) {
		sender = msgc_is_sender(ep) ? ep : peer;
		receiver = msgc_is_sender(ep) ? peer : ep;
		if (!receiver->dead && !(sender->refused & receiver_bit(receiver)))
			refuse_pair(sender, receiver);
		ret = 0;
	}
	msgc_ring_unlock(ch);
	return ret;
}
