// SPDX-License-Identifier: GPL-2.0-only
/*
 * claim.c - balanced delivery: each record goes to one of several receivers, who holds it until it
 * is released, returned or dead.
 *
 * The kernel finds the records (walk.c) and owns the head:
 *
 *	line.head                         cursor                 tail
 *	   | held | finished | given back | not given out so far |
 *	   +-------- walk->given ---------+
 *
 * The head is the first record that was given out and is not finished; what is finished behind it
 * needs no memory. Who dies, or RETURNs, gives back; of its sender that goes first. So a new record
 * goes only to one who finds nothing given back: of a sender there is never more given out and not
 * finished than receivers have entries, and the sender pays for that much (most_given). Among
 * senders it goes by turns, also of what was given back: one whose records come back for ever holds
 * up nobody else's, whether it is refused by all or its records are returned by all.
 *
 * Sleeping and waking are ring.c's picture. CLAIM sleeps, and KICK and RETURN assign records to
 * the sleepers, until records or sleepers run out (models assign, balanced): a receiver that is
 * stopped just then merely holds what it was given. Pollers are woken if something is left for
 * them. A death wakes everybody, as every change of the membership does.
 *
 * A receiver releases by setting bits in its own page (msgc_own.released). CLAIM reads them, and
 * so does whoever goes to sleep for space:
 *
 *	sender, in WAIT and ->poll			receiver
 *	A' copy `need` to line.space_at			1' set the bit in `released`
 *	B' full barrier					2' full barrier
 *	C' collect released bits, look at the head	3' line.space_at? -> CLAIM
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "claim.h"
#include "command.h"

#define WALK		32		/* headers, or records, per section of channel->lock */
#define PATIENCE	2048		/* sections that find PADs only, of one CLAIM in time */
#define ENTRY_BITS	6		/* of an id; the rest is a running number */

bool msgc_is_claimer(const struct msgc_endpoint *ep)
{
	return ep->ch->par.delivery == MSGC_BALANCED && !msgc_is_sender(ep) && is_tethered(ep);
}

static struct msgc_own *own_of(const struct msgc_endpoint *receiver)
{
	return msgc_region_at(&receiver->own, 0);
}

static struct msgc_claims *inbox_of(const struct msgc_endpoint *receiver)
{
	return msgc_region_at(&receiver->inbox, 0);
}

static u64 free_entries(const struct msgc_claimer *c)
{
	return GENMASK_ULL(c->nr - 1, 0) & ~c->held;
}

/* ---- entries ---- */

/* Of the free ones one whose bit in `released` is clear, if there is one: see unwatched. */
static u32 pick_entry(struct msgc_claimer *c)
{
	u64 released = READ_ONCE(own_of(c->ep)->released), free = free_entries(c);
	u32 entry = __ffs64(free & ~released ?: free);

	c->unwatched &= ~(1ULL << entry);
	c->unwatched |= released & 1ULL << entry;
	return entry;
}

static void hold(struct msgc_claimer *c, struct msgc_given *given)
{
	u32 entry = pick_entry(c);
	struct msgc_claims *claims = inbox_of(c->ep);

	given->holder = c->ep;
	given->entry = entry;
	given->since_ns = ktime_get_coarse_ns();
	c->entry[entry] = given;
	c->held |= 1ULL << entry;
	c->bytes += given->span;
	claims->entry[entry] = (struct msgc_entry){
		.id = ++c->number << ENTRY_BITS | entry, .pos = given->pos,
		.sender = given->sender->id, .span = given->span, .attempts = given->attempts,
		.flags = given->attempts ? MSGC_M_REDELIVERED : 0,
	};
	/* Pairs with the library's load of it. */
	smp_store_release(&claims->held, c->held);
}

static struct msgc_given *let_go(struct msgc_claimer *c, u32 entry)
{
	struct msgc_claims *claims = inbox_of(c->ep);
	struct msgc_given *given = c->entry[entry];

	c->entry[entry] = NULL;
	c->held &= ~(1ULL << entry);
	c->bytes -= given->span;
	WRITE_ONCE(claims->held, c->held);
	WRITE_ONCE(claims->entry[entry].id, 0);
	return given;
}

/* A receiver wants a KICK while a thread of it sleeps or polls, and it could take something. */
static void update_armed(struct msgc_claimer *c)
{
	struct msgc_status *st = c->ep->ch->st;
	bool wants = free_entries(c) && (c->polled || !list_empty(&c->asleep));

	WRITE_ONCE(st->armed, wants ? st->armed | receiver_bit(c->ep) :
				      st->armed & ~receiver_bit(c->ep));
}

static void wake_poller(struct msgc_claimer *c)
{
	c->polled = false;
	update_armed(c);
	msgc_wake_sync(c->ep);
}

/*
 * With an entry free again: it was not told of what came meanwhile. It looks itself, and arms: the
 * sender whose wait let many be released must not look at all rings for each of them.
 */
static void look_again(struct msgc_claimer *c)
{
	if (c->polled)
		wake_poller(c);
}

static void release(struct msgc_claimer *c, u64 mask)
{
	bool was_full = !free_entries(c);

	mask &= c->held;
	if (!mask)
		return;
	for (; mask; mask &= mask - 1) {
		struct msgc_given *given = let_go(c, __ffs64(mask));

		if (given->sender) {
			list_del(&given->node);
			msgc_walk_publish_head(given->sender);
		}
		list_add(&given->node, &c->spare);
	}
	if (was_full)
		look_again(c);
}

/* What it has marked since it was given. A bit that is seen clear counts again. */
static void collect(struct msgc_claimer *c)
{
	u64 released = READ_ONCE(own_of(c->ep)->released);

	c->unwatched &= released;
	release(c, released & ~c->unwatched);
}

/* C': whoever looks at heads on behalf of a sender calls this first. */
void msgc_claims_collect(struct msgc_channel *ch)
{
	struct msgc_endpoint *receiver;
	u64 mask;

	lockdep_assert_held(&ch->lock);
	if (ch->par.delivery != MSGC_BALANCED)
		return;
	for_each_claimer(ch, receiver, mask)
		collect(receiver->claimer);
}

/* ---- giving ---- */

/* Given back by the dead: also of a sender that has ended since. */
static bool has_back(const struct msgc_endpoint *receiver, const struct msgc_endpoint *sender)
{
	return rb_first_cached(&sender->walk->back) &&
	       (sender->walk->ended || !is_refused(receiver, sender));
}

static struct msgc_given *get_spare(struct msgc_claimer *c)
{
	struct msgc_given *given = list_first_entry(&c->spare, struct msgc_given, node);

	list_del(&given->node);
	return given;
}

/* It stays where it is among the sender's, and brings its own memory. */
static void give_again(struct msgc_claimer *c, struct msgc_given *given)
{
	rb_erase_cached(&given->back, &given->sender->walk->back);
	c->ep->ch->redelivered += given->span;
	kfree(get_spare(c));
	hold(c, given);
}

static void give_fresh(struct msgc_claimer *c, struct msgc_endpoint *sender, u32 span)
{
	struct msgc_walk *walk = sender->walk;
	struct msgc_given *given = get_spare(c);

	given->sender = sender;
	given->pos = walk->cursor;
	given->span = span;
	given->attempts = 0;
	list_add_tail(&given->node, &walk->given);
	walk->cursor += span;
	hold(c, given);
}

/* What claimable_from() says is there, but for PADs and what is no record. */
static bool give_from(struct msgc_claimer *c, struct msgc_endpoint *sender, u32 *budget)
{
	struct msgc_given *given;
	u32 span;

	if (has_back(c->ep, sender)) {
		given = rb_entry(rb_first_cached(&sender->walk->back), struct msgc_given, back);
		span = given->span;
		(*budget)--;
		give_again(c, given);
	} else {
		span = is_refused(c->ep, sender) ? 0 : msgc_walk_next(sender, budget);
		if (!span)
			return false;
		give_fresh(c, sender, span);
	}
	msgc_turn_used(sender, span);
	return true;
}

static bool give_in_turn(struct msgc_claimer *c, u32 *budget)
{
	struct msgc_endpoint *first = msgc_turn_first(c->ep->ch), *sender = first;

	if (!first)
		return false;
	do {
		if (give_from(c, sender, budget))
			return true;
		sender = msgc_turn_next(sender);	/* also of who has nothing but PADs */
	} while (*budget && sender != first);
	return false;
}

/* One record for this receiver, of one sender or of any, if there is one and the budget lasts. */
static bool give_one(struct msgc_claimer *c, struct msgc_endpoint *only, u32 *budget)
{
	if (!*budget || c->got >= c->want || !free_entries(c))
		return false;
	if (!(only ? give_from(c, only, budget) : give_in_turn(c, budget)))
		return false;
	c->got++;
	return true;
}

/*
 * The waker assigns, one to each sleeper in turn: of its own sender, as the sleepers found nothing
 * of others. What it does not come to within its budget, they walk over themselves: all are woken.
 */
static void assign(struct msgc_endpoint *sender)
{
	struct msgc_channel *ch = sender->ch;
	struct msgc_claimer *c, *next;
	u32 budget = WALK;
	LIST_HEAD(full);

	while ((c = list_first_entry_or_null(&ch->claiming, struct msgc_claimer, asleep)))
		list_move_tail(&c->asleep, give_one(c, sender, &budget) ? &ch->claiming :
								     &full);
	list_splice(&full, &ch->claiming);
	list_for_each_entry_safe(c, next, &ch->claiming, asleep) {
		if (!c->got && budget)
			continue;
		if (c->got)
			list_del_init(&c->asleep);
		update_armed(c);
		msgc_wake_sync(c->ep);
	}
}

/* ---- predicates ---- */

static bool claimable_from(const struct msgc_endpoint *receiver, struct msgc_endpoint *sender)
{
	const struct msgc_walk *walk = sender->walk;

	return has_back(receiver, sender) ||
	       (!walk->ended && !is_refused(receiver, sender) &&
		msgc_ring_tail(sender) != walk->cursor);
}

/* Also where PADs are all there is: only the walk can tell. */
bool msgc_claimable(struct msgc_endpoint *receiver)
{
	struct msgc_endpoint *sender;

	collect(receiver->claimer);
	if (!free_entries(receiver->claimer))
		return false;
	for (sender = first_sender(receiver->ch); sender; sender = next_sender(sender))
		if (claimable_from(receiver, sender))
			return true;
	return false;
}

/* A, of a poller or WAIT; the caller does B. */
void msgc_claims_arm(struct msgc_endpoint *receiver)
{
	receiver->claimer->polled = true;
	collect(receiver->claimer);
	update_armed(receiver->claimer);
}

/* A sender's KICK, or something of it was given back: who sleeps is given, who polls is woken. */
void msgc_claims_kick(struct msgc_endpoint *sender)
{
	struct msgc_channel *ch = sender->ch;
	struct msgc_endpoint *receiver;
	u64 mask;

	assign(sender);
	for_each_claimer(ch, receiver, mask) {
		struct msgc_claimer *c = receiver->claimer;

		if (c->polled && free_entries(c) && claimable_from(receiver, sender))
			wake_poller(c);
	}
}

bool msgc_claims_full(const struct msgc_endpoint *receiver)
{
	return !free_entries(receiver->claimer);
}

u32 msgc_claims_held(const struct msgc_endpoint *receiver)
{
	return hweight64(receiver->claimer->held);
}

u64 msgc_claims_bytes_held(const struct msgc_endpoint *receiver)
{
	return receiver->claimer->bytes;
}

bool msgc_claims_row(struct msgc_wait_row *row, const struct msgc_endpoint *receiver, u32 entry)
{
	const struct msgc_claimer *c = receiver->claimer;
	const struct msgc_given *given;

	if (entry >= c->nr)
		return false;
	given = c->entry[array_index_nospec(entry, c->nr)];
	if (!given)
		return false;
	row->what = MSGC_HELD_CLAIM;
	row->on = given->sender ? given->sender->id : 0;
	row->attempts = given->attempts;
	row->since_ns = msgc_deadline_to_user(given->since_ns);
	row->position = given->pos;
	row->bytes = given->span;
	return true;
}

/* Who holds the record at the head. */
struct msgc_endpoint *msgc_claims_laggard(const struct msgc_endpoint *sender)
{
	struct msgc_given *first =
		list_first_entry_or_null(&sender->walk->given, struct msgc_given, node);

	return first ? first->holder : NULL;
}

/* ---- giving back ---- */

static bool given_up(const struct msgc_given *given)
{
	u32 most = given->sender->ch->par.max_attempts;

	return most && given->attempts >= most;
}

static bool stands_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct msgc_given, back)->pos <
	       rb_entry(b, struct msgc_given, back)->pos;
}

/* Of a ring that is there still. */
static void give_back(struct msgc_claimer *c, u32 entry)
{
	struct msgc_given *given = let_go(c, entry);
	struct msgc_endpoint *sender = given->sender;

	given->holder = NULL;
	if (given_up(given)) {
		sender->ch->skipped++;
		list_del(&given->node);
		kfree(given);
	} else {
		given->attempts += given->attempts < MSGC_ATTEMPTS;
		rb_add_cached(&given->back, &sender->walk->back, stands_before);
	}
	msgc_walk_publish_head(sender);
}

/* Marked as released is released; the rest goes to others, who are woken by the new generation. */
void msgc_claims_receiver_gone(struct msgc_endpoint *receiver)
{
	struct msgc_claimer *c = receiver->claimer;
	u64 left;

	lockdep_assert_held(&receiver->ch->lock);
	c->polled = false;
	list_del_init(&c->asleep);
	collect(c);
	for (left = c->held; left; left &= left - 1)
		if (c->entry[__ffs64(left)]->sender)
			give_back(c, __ffs64(left));
	release(c, ~0ULL);		/* of rings that are gone */
	update_armed(c);
}

/* Its ring goes: what is still held of it is held without a sender. */
void msgc_claims_forget(struct msgc_endpoint *sender)
{
	struct msgc_given *given, *next;

	if (!sender->walk)
		return;
	list_for_each_entry_safe(given, next, &sender->walk->given, node) {
		list_del_init(&given->node);
		given->sender = NULL;
		if (!given->holder)
			kfree(given);
	}
	sender->walk->back = RB_ROOT_CACHED;
}

/* ---- CLAIM, RETURN ---- */

/*
 * Releases, and says that one CLAIM runs. While another does, what it was given may have a bit that
 * was meant for the entry before: only that one's thread knows.
 */
static int begin_locked(struct msgc_claimer *c, u32 n)
{
	if (c->ep->dead)
		return -ESHUTDOWN;
	if (c->busy)
		collect(c);
	else
		release(c, READ_ONCE(own_of(c->ep)->released));
	if (!n)
		return 0;
	if (c->busy || !free_entries(c))
		return -EBUSY;
	c->busy = true;
	c->want = n;
	c->got = 0;
	return 0;
}

static int begin(struct msgc_claimer *c, u32 n)
{
	int err;

	spin_lock(&c->ep->ch->lock);
	err = begin_locked(c, n);
	msgc_ring_unlock(c->ep->ch);
	return err;
}

/* It was assigned something just now, which comes first: why it was to end is for the next time. */
static long tell_later(struct msgc_claimer *c, long ret)
{
	if (ret == -EINTR)
		atomic_set(&c->ep->interrupted, 1);
	if (ret == -EPROTO)
		c->accused = true;
	return c->got;
}

static long end(struct msgc_claimer *c, long ret)
{
	spin_lock(&c->ep->ch->lock);
	list_del_init(&c->asleep);
	if (!c->ep->dead)
		update_armed(c);
	c->busy = false;
	if (c->ep->dead)
		ret = -ESHUTDOWN;	/* what it was given has been given back */
	else if (c->got)
		ret = tell_later(c, ret);
	msgc_ring_unlock(c->ep->ch);
	return ret;
}

/* The number claimed, -EAGAIN: nothing there; -EINPROGRESS: the budget was used up. */
static long take_locked(struct msgc_claimer *c)
{
	u32 budget = WALK, had = c->got;

	while (give_one(c, NULL, &budget))
		;
	/* On to a whole batch while there is something; PADs keep nobody who has anything. */
	if (!budget && c->got < c->want && (!c->got || c->got > had))
		return -EINPROGRESS;
	if (c->got)
		return c->got;
	if (c->accused) {
		c->accused = false;
		return -EPROTO;
	}
	return msgc_ring_at_end(c->ep) ? -EPIPE : -EAGAIN;
}

/* Arms only when there is nothing, and then looks again. */
static long look_locked(struct msgc_claimer *c)
{
	long ret;

	if (c->ep->dead)
		return -ESHUTDOWN;
	ret = take_locked(c);
	if (ret != -EAGAIN)
		return ret;
	if (list_empty(&c->asleep))
		list_add_tail(&c->asleep, &c->ep->ch->claiming);
	update_armed(c);			/* A */
	smp_mb();				/* B: pairs with 2 of ring.c's picture */
	return take_locked(c);			/* C */
}

static long look(struct msgc_claimer *c)
{
	long ret;

	spin_lock(&c->ep->ch->lock);
	ret = look_locked(c);
	msgc_ring_unlock(c->ep->ch);
	return ret;
}

/*
 * A sender that publishes nothing but PADs, for ever, keeps nobody: a deadline ends it, and so
 * does patience where there is none. Then pollers are told, as there may be something after all.
 */
static int walk_on(struct msgc_endpoint *ep, u64 deadline, u32 *rounds)
{
	if (msgc_interrupted(ep))
		return -EINTR;
	if (deadline != MSGC_FOREVER && ++*rounds >= PATIENCE && ktime_get_ns() >= deadline) {
		msgc_wake_all(ep);
		return deadline == MSGC_NOW ? -EAGAIN : -ETIMEDOUT;
	}
	if (signal_pending(current))
		return -ERESTARTSYS;
	cond_resched();
	return 0;
}

static long claim(struct msgc_claimer *c, u64 deadline)
{
	struct msgc_endpoint *ep = c->ep;
	struct msgc_waiter waiter = MSGC_WAITER(waiter, MSGC_WAITS_CLAIM, deadline);
	u32 rounds = 0;
	long ret;

	for (;;) {
		prepare_to_wait(&ep->wait, &waiter.entry, TASK_INTERRUPTIBLE);	/* 0 */
		ret = look(c);						/* A, B, C */
		if (ret == -EINPROGRESS) {
			finish_wait(&ep->wait, &waiter.entry);
			ret = walk_on(ep, deadline, &rounds);
		} else if (ret == -EAGAIN) {
			ret = msgc_may_sleep(ep, deadline);
			if (!ret)
				schedule();				/* D */
		}
		if (ret)
			break;
	}
	finish_wait(&ep->wait, &waiter.entry);
	return end(c, ret);
}

/* 1: there is something to be claimed. */
static int check_and_begin(struct msgc_endpoint *ep, const struct msgc_claim *claim)
{
	if (!ep->claimer)
		return -ENOTTY;
	if (claim->flags)
		return -EOPNOTSUPP;
	return begin(ep->claimer, claim->n) ?: !!claim->n;
}

long msgc_claim(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	int ret = check_and_begin(ep, &arg->claim);

	if (ret <= 0)
		return ret;
	return claim(ep->claimer, msgc_deadline_to_host(arg->claim.deadline));
}

long msgc_claim_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want)
{
	int ret = check_and_begin(ep, &arg->claim);

	want->deadline = msgc_deadline_to_host(arg->claim.deadline);
	return ret <= 0 ? ret : -EAGAIN;
}

static long look_or_park(struct msgc_claimer *c, struct msgc_awaited *want)
{
	struct msgc_channel *ch = c->ep->ch;
	long ret;

	spin_lock(&ch->lock);
	ret = look_locked(c);						/* A, B, C */
	if (ret == -EAGAIN)
		ret = msgc_park(c->ep, want);				/* 0, D: under the lock */
	msgc_ring_unlock(ch);
	return ret;
}

/* Whoever runs this has other things to do than to walk over PADs for ever. */
long msgc_claim_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why)
{
	struct msgc_claimer *c = ep->claimer;
	u32 rounds = 0;
	long ret = why;

	if (!why)
		ret = look_or_park(c, want);
	while (ret == -EINPROGRESS && ++rounds < PATIENCE) {
		cond_resched();
		ret = look_or_park(c, want);
	}
	if (ret == -EIOCBQUEUED || (ret == -EAGAIN && !why))
		return ret;
	return end(c, ret == -EINPROGRESS ? -EINTR : ret);
}

static long return_locked(struct msgc_claimer *c, u64 id, struct msgc_given *spare)
{
	u32 entry = id & (MSGC_CLAIMS - 1);
	struct msgc_given *given;
	struct msgc_endpoint *sender;
	bool was_full;

	if (c->ep->dead)
		return -ESHUTDOWN;
	collect(c);
	if (entry >= c->nr)
		return -ENOENT;
	entry = array_index_nospec(entry, c->nr);
	if (!c->entry[entry] || inbox_of(c->ep)->entry[entry].id != id)
		return -ENOENT;
	given = c->entry[entry];
	sender = given->sender;
	if (!sender) {
		release(c, 1ULL << entry);
		return 0;
	}
	was_full = !free_entries(c);
	list_add(&spare->node, &c->spare);
	give_back(c, entry);
	msgc_claims_kick(sender);
	if (was_full)
		look_again(c);
	return 1;
}

/* The record keeps its memory: what the entry needs for its next one is allocated before. */
long msgc_return(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	struct msgc_given *spare;
	long ret;

	if (!ep->claimer)
		return -ENOTTY;
	if (arg->give_back.flags)
		return -EOPNOTSUPP;
	if (arg->give_back.zero)
		return -EINVAL;
	spare = kzalloc(sizeof(*spare), GFP_KERNEL_ACCOUNT);
	if (!spare)
		return -ENOMEM;
	spin_lock(&ep->ch->lock);
	ret = return_locked(ep->claimer, arg->give_back.id, spare);
	msgc_ring_unlock(ep->ch);
	if (ret <= 0)
		kfree(spare);
	return min(ret, 0L);
}

/* ---- attaching ---- */

/* Of one sender's records, at a time. */
static u64 most_given(const struct msgc_endpoint *sender)
{
	u64 entries = (u64)MSGC_CLAIMS * sender->ch->par.max_receivers;

	return min(entries, sender->area[MSGC_DATA].size / 2 / MSGC_ALIGN);
}

/* A receiver pays for what it holds, a sender for what may be given back of its. */
u64 msgc_claims_bytes(const struct msgc_endpoint *ep)
{
	u64 nr = msgc_is_claimer(ep) ? ep->nr_holds : 0;

	if (ep->ch->par.delivery == MSGC_BALANCED && msgc_is_sender(ep))
		nr = most_given(ep);
	return nr * sizeof(struct msgc_given);
}

static int init_sender(struct msgc_endpoint *ep)
{
	ep->walk = kzalloc(sizeof(*ep->walk), GFP_KERNEL_ACCOUNT);
	if (!ep->walk)
		return -ENOMEM;
	INIT_LIST_HEAD(&ep->walk->given);
	ep->walk->back = RB_ROOT_CACHED;
	return 0;
}

static int init_receiver(struct msgc_endpoint *ep)
{
	struct msgc_claimer *c;
	struct msgc_given *given;
	u32 i;

	c = kzalloc(struct_size(c, entry, ep->nr_holds), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	ep->claimer = c;
	c->ep = ep;
	c->nr = ep->nr_holds;
	INIT_LIST_HEAD(&c->asleep);
	INIT_LIST_HEAD(&c->spare);
	for (i = 0; i < c->nr; i++) {
		given = kzalloc(sizeof(*given), GFP_KERNEL_ACCOUNT);
		if (!given)
			return -ENOMEM;		/* msgc_claims_free() has the rest */
		list_add(&given->node, &c->spare);
	}
	return 0;
}

int msgc_claims_init(struct msgc_endpoint *ep)
{
	if (ep->ch->par.delivery != MSGC_BALANCED)
		return 0;
	if (msgc_is_sender(ep))
		return init_sender(ep);
	return msgc_is_claimer(ep) ? init_receiver(ep) : 0;
}

void msgc_claims_free(struct msgc_endpoint *ep)
{
	struct msgc_given *given, *next;

	msgc_claims_forget(ep);
	kfree(ep->walk);
	if (ep->claimer)
		list_for_each_entry_safe(given, next, &ep->claimer->spare, node)
			kfree(given);
	kfree(ep->claimer);
}
