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
 *	B: full barrier					3: armed & line.receivers? -> KICK
 *	C: readable? -> return, the bit stays
 *	D: sleep				KICK: full barrier; clear the bit, then wake all
 *
 * Space is the same with the roles swapped and an amount in place of the bit: need, space_at,
 * head (6; models space, bspace).
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/nospec.h>

#include "core.h"

static u64 receiver_bit(const struct msgc_endpoint *receiver)
{
	return 1ULL << receiver->number;
}

static struct msgc_control *control_of(const struct msgc_endpoint *sender)
{
	return msgc_region_at(&sender->own, MSGC_CONTROL_AT(sender->number));
}

static struct msgc_slot *slot_of(const struct msgc_endpoint *receiver,
				 const struct msgc_endpoint *sender)
{
	return msgc_region_at(&receiver->own, sizeof(struct msgc_slots) +
						      sender->number * sizeof(struct msgc_slot));
}

static u64 *seen_of(const struct msgc_endpoint *ep)
{
	if (msgc_is_ring(ep->ch) && msgc_is_sender(ep))
		return &control_of(ep)->seen;
	return &((struct msgc_own *)msgc_region_at(&ep->own, 0))->seen;
}

/* The senders of a channel that have a ring: live, or dead and not drained. */
static struct msgc_endpoint *sender_from(struct msgc_channel *ch, u32 index)
{
	for (; index < ch->nr_members; index++) {
		struct msgc_endpoint *ep = ch->member[index].ep;

		if (ep && ep->since)
			return ep;
	}
	return NULL;
}

static struct msgc_endpoint *first_sender(struct msgc_channel *ch)
{
	return sender_from(ch, ch->par.max_receivers);
}

static struct msgc_endpoint *next_sender(const struct msgc_endpoint *sender)
{
	return sender_from(sender->ch, sender->index + 1);
}

/* ---- positions ---- */

/* Its end is known: not yet while its mappings are being taken away. */
static bool departed(const struct msgc_endpoint *sender)
{
	return sender->line->state != MSGC_LIVE;
}

u64 msgc_ring_tail(struct msgc_endpoint *sender)
{
	if (departed(sender))
		return sender->line->end;
	/* Pairs with the sender's release store of tail (1). */
	return smp_load_acquire((u64 *)msgc_region_at(&sender->own, MSGC_TAIL_AT(sender->number)));
}

/* Has this receiver said where it stands in this sender's ring? */
static bool positioned(const struct msgc_endpoint *receiver, const struct msgc_endpoint *sender)
{
	/* The receiver stores taken and head first. */
	return smp_load_acquire(&slot_of(receiver, sender)->gen) == sender->since;
}

static u64 head_floor(const struct msgc_endpoint *sender)
{
	return max(sender->head_seen, sender->line->head);
}

static void refuse_pair(struct msgc_endpoint *sender, struct msgc_endpoint *receiver)
{
	sender->refused |= receiver_bit(receiver);
	WRITE_ONCE(sender->line->receivers, sender->line->receivers & ~receiver_bit(receiver));
	msgc_generation_bump(sender->ch);
}

/*
 * What the sender may count as released. A head that is misaligned, behind what it was or
 * beyond the tail ends the pair and blames neither: a sender that lowers its tail makes an
 * honest head look wrong. Head before tail: the tail read is then no older.
 */
u64 msgc_ring_head(struct msgc_endpoint *sender)
{
	struct msgc_endpoint *receiver = sender->ch->receiver;
	u64 head, floor = head_floor(sender);

	lockdep_assert_held(&sender->ch->lock);
	if (!receiver || (sender->refused & receiver_bit(receiver)))
		return floor;
	if (!positioned(receiver, sender))
		return sender->line->head;	/* as the sender's library sees it */
	/* Pairs with the receiver's release store of head. */
	head = smp_load_acquire(&slot_of(receiver, sender)->head);
	if (head % MSGC_ALIGN || head < floor || head > msgc_ring_tail(sender)) {
		refuse_pair(sender, receiver);
		return floor;
	}
	sender->head_seen = head;
	return head;
}

bool msgc_ring_drained(struct msgc_endpoint *sender)
{
	return msgc_ring_head(sender) >= sender->line->end;
}

/* ---- predicates ---- */

static bool readable_from(const struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	u64 taken;

	if (sender->refused & receiver_bit(receiver))
		return false;
	taken = positioned(receiver, sender) ? READ_ONCE(slot_of(receiver, sender)->taken) :
					       sender->line->head;
	return msgc_ring_tail(sender) != taken;
}

static bool readable(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;

	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender))
		if (readable_from(receiver, sender))
			return true;
	return false;
}

u64 msgc_ring_borrowed(struct msgc_endpoint *receiver, struct msgc_endpoint *sender, u64 *head)
{
	*head = msgc_ring_head(sender);
	if (receiver->ch->receiver != receiver || !positioned(receiver, sender) ||
	    sender->refused & receiver_bit(receiver))
		return 0;
	return min(READ_ONCE(slot_of(receiver, sender)->taken) - *head,
		   msgc_region_bytes(&sender->data));
}

u64 msgc_ring_held(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;
	u64 head, held = 0;

	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender))
		held += msgc_ring_borrowed(receiver, sender, &head);
	return held;
}

/* There was a sender, all have left, and everything is taken. */
static bool at_end(const struct msgc_endpoint *receiver)
{
	const struct msgc_status *st = receiver->ch->st;

	return !(receiver->flags & MSGC_STAY) && !st->senders &&
	       (receiver->found || st->joined > receiver->since);
}

/*
 * The reserve that failed, or the drain, would succeed now; or, with the pair refused, fail for
 * good.
 */
static bool writable(struct msgc_endpoint *sender)
{
	u64 need = READ_ONCE(control_of(sender)->need);
	u64 head = msgc_ring_head(sender);

	return !need || head >= need || (sender->ch->st->tethered & ~sender->line->receivers);
}

static u32 ring_events(struct msgc_endpoint *ep)
{
	if (msgc_is_sender(ep))
		return writable(ep) ? MSGC_OUT : 0;
	if (readable(ep))
		return MSGC_IN;
	return at_end(ep) ? MSGC_HUP : 0;
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
		WRITE_ONCE(ep->line->space_at, READ_ONCE(control_of(ep)->need));
	else
		WRITE_ONCE(st->armed, st->armed | receiver_bit(ep));
}

/* ---- membership; under channel->lock, before the generation changes ---- */

static void receiver_joined(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;

	receiver->ch->receiver = receiver;
	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender)) {
		sender->refused &= ~receiver_bit(receiver);
		WRITE_ONCE(sender->line->receivers, receiver_bit(receiver));
		receiver->found |= !departed(sender) || !msgc_ring_drained(sender);
	}
	/*
	 * tethered but not in the line means refused: pairs with the sender's loads in that order
	 */
	smp_wmb();
	WRITE_ONCE(receiver->ch->st->tethered, receiver_bit(receiver));
}

void msgc_ring_joined(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;

	lockdep_assert_held(&ch->lock);
	if (!msgc_is_sender(ep)) {
		receiver_joined(ep);
		return;
	}
	WRITE_ONCE(ep->line->receivers, ch->receiver ? receiver_bit(ch->receiver) : 0);
	WRITE_ONCE(ch->st->joined, ep->since);
	WRITE_ONCE(ch->st->senders, ch->st->senders + 1);
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

	WRITE_ONCE(ch->st->tethered, 0);
	smp_wmb();	/* as in receiver_joined(), the other way round */
	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		take_over(receiver, sender);
		WRITE_ONCE(sender->line->receivers, 0);
	}
	ch->receiver = NULL;
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
	WRITE_ONCE(sender->line->space_at, end);
	WRITE_ONCE(st->senders, st->senders - 1);
}

void msgc_ring_gone(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		sender_gone(ep);
	else
		receiver_gone(ep);
}

/* ---- KICK ---- */

/* Clear, then wake: in the other order a waiter could arm in between and sleep. */
static void kick_receivers(struct msgc_endpoint *sender)
{
	struct msgc_channel *ch = sender->ch;
	u64 armed = ch->st->armed & sender->line->receivers;

	if (!armed || !ch->receiver) {
		atomic64_inc(&sender->needless);
		return;
	}
	WRITE_ONCE(ch->st->armed, ch->st->armed & ~armed);
	msgc_wake_sync(ch->receiver);
}

static void kick_senders(struct msgc_endpoint *receiver)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;
	bool woken = false;

	for (sender = first_sender(ch); sender; sender = next_sender(sender)) {
		if (!sender->line->space_at || msgc_ring_head(sender) < sender->line->space_at)
			continue;
		WRITE_ONCE(sender->line->space_at, 0);
		woken = true;
		if (departed(sender))
			msgc_reap_later(ch);
		else
			msgc_wake_sync(sender);
	}
	if (!woken)
		atomic64_inc(&receiver->needless);
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
		if (msgc_is_sender(ep))
			kick_receivers(ep);
		else
			kick_senders(ep);
	}
	spin_unlock(&ch->lock);
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

static void arm(struct msgc_endpoint *ep)
{
	spin_lock(&ep->ch->lock);
	msgc_arm(ep);
	spin_unlock(&ep->ch->lock);
}

static u32 look(struct msgc_endpoint *ep)
{
	u32 events;

	spin_lock(&ep->ch->lock);
	events = msgc_events(ep);
	spin_unlock(&ep->ch->lock);
	return events;
}

static long wait_events(struct msgc_endpoint *ep, u32 want, struct msgc_endpoint *peer,
			u64 deadline)
{
	DEFINE_WAIT(wait);
	long ret;

	for (;;) {
		prepare_to_wait(&ep->wait, &wait, TASK_INTERRUPTIBLE);	/* 0 */
		arm(ep);						/* A */
		/*
		 * B: pairs with 2, and with the barrier in kick(); with a peer to kick it serves
		 * as 2 as well
		 */
		smp_mb();
		if (peer)
			kick(peer);
		peer = NULL;
		/* Asked first: readiness that comes to nothing must not hide it. */
		if (msgc_interrupted(ep)) {
			ret = -EINTR;
			break;
		}
		ret = look(ep) & want;					/* C */
		if (!ret)
			ret = msgc_may_sleep(ep, deadline);
		if (ret)
			break;
		schedule();						/* D */
	}
	finish_wait(&ep->wait, &wait);
	return ret & MSGC_ERR && ret > 0 ? -ESHUTDOWN : ret;
}

long msgc_wait(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	u32 want = arg->wait.events;
	struct file *file = NULL;
	long ret;

	if (want & ~(MSGC_IN | MSGC_PRI | MSGC_OUT | MSGC_ERR | MSGC_HUP))
		return -EOPNOTSUPP;
	if (!want)
		return -EINVAL;
	if (arg->wait.kick != -1) {
		file = kick_get(arg->wait.kick);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	ret = wait_events(ep, want | MSGC_ERR | MSGC_HUP, file ? file->private_data : NULL,
			  msgc_deadline_to_host(arg->wait.deadline));
	if (file)
		fput(file);
	return ret;
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
	spin_unlock(&ch->lock);
	return ret;
}
