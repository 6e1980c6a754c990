// SPDX-License-Identifier: GPL-2.0-only
/*
 * inherit.c - priority inheritance (INHERIT): a server thread is as urgent as those who wait for
 * it. What that takes of the scheduler stands in heir.c.
 *
 * A thread that serves such channels is an heir. It is lent priorities: by each call that it took
 * and that has no outcome yet, and by the most urgent call of a queue. The queue lends to one
 * thread, the one that waits in RECV for longest; when that takes the call, or leaves, the next one
 * gets it. Where nobody waits it lends to those who have to finish first: the threads that took the
 * calls that are held for longest, of MOST of these. Calls that are overdue lend until somebody
 * judges them; here the timer has that done, too.
 *
 * Who makes somebody more urgent sees to it before he sleeps himself: msgc_inherit_settle() looks
 * at the state of the heirs, not at a list of what is to do, for somebody else who has begun may
 * never run on (his lock lends him our priority; a list would not). For the same reason a channel
 * counts as unsettled for as long as any of them is, whoever is about it. Those that nobody looks
 * at so, and those that are to be raised before others are lowered, are left to the work item.
 *
 * A thread that sleeps for a call passes on to it what it is lent. But nothing may come back to
 * where it was passed on: it would stay when its reason has gone, or go round for ever. So what a
 * queue lends only because of such passing on is not passed on again; and a thread whose sleep
 * closes a ring of threads, each of which sleeps for a call that the next one took, passes on
 * nothing in that sleep.
 *
 * What is not covered: threads that neither are in RECV or REPLY_RECV nor hold a call (in poll, in
 * WAIT, between REPLY and RECV); nice values; deadlines (a SCHED_DEADLINE client lends 99). What is
 * lent to a thread that sleeps for a call already reaches that call's server at once, but the one
 * that this one sleeps for in turn only by the work item.
 */
#include <linux/capability.h>

#include "heir.h"

#define MOST	64		/* held calls whose threads a queue lends to */
#define DEPTH	16		/* threads that sleep for each other's calls, in a path */

static const struct msgc_loan nothing;

/* ---- what is lent; under channel->lock ---- */

static u8 capped(const struct msgc_channel *ch, u8 prio)
{
	return min(prio, ch->lent.cap);
}

/* What a held call lends for itself: as long as somebody waits for its answer. */
static struct msgc_loan of_call(const struct msgc_txn *txn)
{
	u8 prio = capped(txn->client->ch, txn->prio);

	if (txn->outcome || txn->flags & MSGC_ONEWAY)
		prio = 0;
	return (struct msgc_loan){ .prio = prio, .further = prio };
}

/* In all, to the thread that took it; the queue has been looked at. */
static struct msgc_loan of_taken(const struct msgc_txn *txn)
{
	struct msgc_loan loan = of_call(txn), queue = txn->client->ch->lent.queue;

	if (!txn->shares)
		return loan;
	return (struct msgc_loan){
		.prio = max(loan.prio, queue.prio),
		.further = max(loan.further, queue.further),
	};
}

/* Those to which something was passed on come before any that is as urgent by itself. */
static struct msgc_loan of_queue(const struct msgc_channel *ch)
{
	struct rb_node *node = rb_first_cached(&ch->queue);
	struct msgc_loan loan = nothing;
	int n;

	for (n = 0; node && n < MOST; n++, node = rb_next(node)) {
		const struct msgc_txn *txn = rb_entry(node, struct msgc_txn, place);

		loan.prio = max(loan.prio, capped(ch, txn->prio));
		loan.further = max(loan.further, capped(ch, txn->base));
		if (txn->base == txn->prio)
			break;
	}
	return loan;
}

/* `further`: also what it passes on. */
static bool is_seen_to(const struct msgc_heir *h, bool further)
{
	return msgc_heir_settled(h) && (!further || msgc_heir_has_passed(h));
}

/* One that is yet to be seen to, but for this thread. */
static struct msgc_heir *unsettled(struct msgc_channel *ch, bool further,
				   const struct task_struct *but)
{
	struct msgc_heir *h;
	struct msgc_txn *txn;
	int n = 0;

	lockdep_assert_held(&ch->lock);
	h = list_first_entry_or_null(&ch->lent.waiting, struct msgc_heir, waits);
	if (h && !is_seen_to(h, further) && h->task != but)
		return h;
	list_for_each_entry(txn, &ch->lent.taken, lends) {
		if (n++ == MOST)
			break;
		h = txn->heir;
		if (!is_seen_to(h, further) && h->task != but)
			return h;
	}
	return NULL;
}

/* To one who waits, else to those who hold calls. */
static void share_out(struct msgc_channel *ch, bool mine)
{
	struct msgc_lent *lent = &ch->lent;
	struct msgc_loan loan = of_queue(ch);
	struct msgc_heir *first;
	struct msgc_txn *txn;
	int n = 0;

	lockdep_assert_held(&ch->lock);
	lent->stale = false;
	if (!loan.prio && !lent->queue.prio)
		return;
	lent->queue = loan;
	first = list_first_entry_or_null(&lent->waiting, struct msgc_heir, waits);
	if (first)
		msgc_heir_lend(first, &first->lent, loan, mine);
	list_for_each_entry(txn, &lent->taken, lends) {
		if (n++ == MOST)
			break;
		txn->shares = !first;
		msgc_heir_lend(txn->heir, &txn->lent, of_taken(txn), mine);
	}
	WRITE_ONCE(lent->unsettled, unsettled(ch, true, NULL));
}

/*
 * Left to the work item, too: what it is lent others were lent until now, and those may be lowered
 * before the calling thread comes to the end of its command; or nobody else looks at this one.
 */
static void lend_surely(struct msgc_heir *h, struct msgc_loan *lent, struct msgc_loan loan)
{
	msgc_heir_lend(h, lent, loan, true);
	if (!msgc_heir_settled(h))
		msgc_heir_later(h);
}

/* It is no longer in RECV. The caller has another reference. */
static void stop_waiting(struct msgc_heir *h)
{
	if (list_empty(&h->waits))
		return;
	list_del_init(&h->waits);
	msgc_heir_lend(h, &h->lent, nothing, true);
	msgc_heir_put(h);
}

/*
 * A command ends with msgc_inherit_settle(). Of the calls that a server held when it died, which
 * may be many, msgc_inherit_all_gave_up() sees to all at once.
 */
static void call_changed(struct msgc_channel *ch, bool by_death)
{
	if (by_death)
		ch->lent.stale = true;
	else
		share_out(ch, true);
}

/* Somebody has to see when it is overdue, though its caller may have ceased to wait. */
void __msgc_inherit_queued(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;

	if (capped(ch, txn->base) && txn->deadline != MSGC_FOREVER)
		msgc_timer_arm(txn->client, txn->deadline);
	call_changed(ch, txn->attempts);
}

/*
 * By the calling thread, which was in RECV until now. What it is lent as such is taken back last:
 * it has no reason to become less urgent. Most often it was made urgent for this call before; else
 * who was is lowered.
 */
void __msgc_inherit_taken(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_heir *h = msgc_heir_get(current);

	if (h) {
		WRITE_ONCE(txn->heir, h);
		txn->shares = false;
		list_add_tail(&txn->lends, &ch->lent.taken);
		lend_surely(h, &txn->lent, of_call(txn));
		stop_waiting(h);
	}
	share_out(ch, true);
}

void __msgc_inherit_untaken(struct msgc_txn *txn)
{
	struct msgc_heir *h = txn->heir;

	if (h) {
		list_del(&txn->lends);
		msgc_heir_lend(h, &txn->lent, nothing, true);
		WRITE_ONCE(txn->heir, NULL);
		msgc_heir_put(h);
	}
	call_changed(txn->client->ch, txn->server->dead);
}

/* In any context: what it lent for itself is taken back by the work item. */
void __msgc_inherit_gave_up(struct msgc_txn *txn)
{
	if (txn->heir)
		msgc_heir_lend(txn->heir, &txn->lent, of_taken(txn), false);
	txn->client->ch->lent.stale = true;
}

/* Once for all that has been given up, or was held by a server that died. */
void __msgc_inherit_all_gave_up(struct msgc_channel *ch)
{
	if (ch->lent.stale)
		share_out(ch, false);
}

/* ---- making it so; without locks ---- */

/*
 * The calling thread comes last. It may be preempted before it does: until then the channel is not
 * settled.
 */
static struct msgc_heir *next_unsettled(struct msgc_channel *ch, bool further)
{
	struct msgc_heir *found;

	spin_lock(&ch->lock);
	found = unsettled(ch, further, current);
	if (found)
		refcount_inc(&found->ref);
	else if (!unsettled(ch, true, NULL))
		WRITE_ONCE(ch->lent.unsettled, false);
	spin_unlock(&ch->lock);
	return found;
}

/* Its heir may be beyond those that others look at. */
static void set_call_prio_locked(struct msgc_txn *txn, u8 prio, bool mine)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	if (txn->outcome || txn->prio == prio)
		return;
	if (txn->state == MSGC_QUEUED)
		msgc_txn_requeue(txn, prio);
	else
		txn->prio = prio;
	if (txn->heir) {
		lend_surely(txn->heir, &txn->lent, of_taken(txn));
		WRITE_ONCE(ch->lent.unsettled, true);	/* also if the queue lends nothing */
	}
	share_out(ch, mine);
}

/* What an heir has passed on, and when. */
struct passed {
	struct msgc_endpoint *ep;	/* of the call that it sleeps for; referenced */
	u32 passing;
	u8 prio;
};

static struct msgc_endpoint *endpoint_of_call(struct msgc_heir *h)
{
	struct msgc_endpoint *ep = NULL;

	spin_lock(&msgc_heirs_lock);
	if (h->call) {
		ep = h->call->client;	/* whose file the thread holds while `call` is set */
		kref_get(&ep->ref);
	}
	spin_unlock(&msgc_heirs_lock);
	return ep;
}

/*
 * A call is as urgent as its caller. What he is lent he passes on while he sleeps for it, and not
 * longer: else a server could keep what it was lent, by a call that it never answers.
 */
static bool pass_on(struct msgc_heir *h, struct passed *passed)
{
	struct msgc_endpoint *ep = endpoint_of_call(h);
	struct msgc_txn *txn;
	bool sleeps;

	if (!ep)
		return false;
	spin_lock(&ep->ch->lock);
	spin_lock(&msgc_heirs_lock);
	txn = h->call;
	sleeps = txn && txn->client == ep;	/* and on until channel->lock is dropped */
	*passed = (struct passed){ ep, ++h->passing, msgc_heir_passes(h) };
	spin_unlock(&msgc_heirs_lock);
	if (sleeps)
		set_call_prio_locked(txn, max(txn->base, passed->prio), true);
	spin_unlock(&ep->ch->lock);
	if (!sleeps)
		msgc_endpoint_put(ep);
	return sleeps;
}

/* `further`: also what they pass on; no more than one step. */
static void settle_others(struct msgc_channel *ch, bool further)
{
	int n;

	for (n = 0; n <= MOST && READ_ONCE(ch->lent.unsettled); n++) {
		struct msgc_heir *h = next_unsettled(ch, further);

		if (!h)
			break;
		if (further)
			msgc_heir_see_to(h);
		else
			msgc_heir_apply(h);
		msgc_heir_put(h);
	}
}

/*
 * Only then it counts as done: who passed something on may never come to the rest; and not if
 * somebody else has passed on something since, which may be less, or more.
 */
static void settle_call(struct msgc_heir *h)
{
	struct passed passed;

	if (!pass_on(h, &passed))
		return;
	settle_others(passed.ep->ch, false);
	spin_lock(&msgc_heirs_lock);
	if (h->passing == passed.passing)
		WRITE_ONCE(h->passed, passed.prio);
	spin_unlock(&msgc_heirs_lock);
	msgc_endpoint_put(passed.ep);
}

void msgc_heir_see_to(struct msgc_heir *h)
{
	msgc_heir_apply(h);
	settle_call(h);
}

/* Oneself last: others could be left as they are if that made this thread wait for the CPU. */
void __msgc_inherit_settle(struct msgc_channel *ch)
{
	struct msgc_heir *h;

	settle_others(ch, true);
	h = msgc_heir_get(current);
	if (h)
		msgc_heir_apply(h);
	msgc_heir_put(h);
}

/* ---- threads in RECV ---- */

/* Where there is no memory for it, or none that may be charged, it serves without inheriting. */
void __msgc_inherit_begin(struct msgc_endpoint *server)
{
	struct msgc_channel *ch = server->ch;
	struct msgc_heir *h = msgc_heir_get(current) ?: msgc_heir_new(server->payers), *old = NULL;

	if (h) {
		spin_lock(&ch->lock);
		if (server->heir != h) {	/* kept: most often the next one is the same */
			old = server->heir;
			refcount_inc(&h->ref);
			server->heir = h;
		}
		list_add_tail(&h->waits, &ch->lent.waiting);	/* with the reference */
		if (list_is_first(&h->waits, &ch->lent.waiting))
			lend_surely(h, &h->lent, of_queue(ch));
		share_out(ch, true);
		spin_unlock(&ch->lock);
	}
	msgc_heir_put(old);
	__msgc_inherit_settle(ch);
}

void __msgc_inherit_end(struct msgc_endpoint *server)
{
	struct msgc_channel *ch = server->ch;
	struct msgc_heir *h = msgc_heir_get(current);

	if (!h)
		return;
	spin_lock(&ch->lock);
	stop_waiting(h);
	share_out(ch, true);
	spin_unlock(&ch->lock);
	msgc_heir_put(h);
}

/* ---- heirs that sleep in CALL ---- */

/*
 * Does this call wait for that thread, along calls that were taken? True also if that cannot be
 * told, for there are too many. Who takes a call is awake, and goes to sleep later: so whoever is
 * the last of a ring finds the others here.
 */
static bool leads_to(const struct msgc_txn *txn, const struct msgc_heir *me)
{
	int depth;

	lockdep_assert_held(&msgc_heirs_lock);
	rcu_read_lock();		/* a heir that lets go of its call meanwhile */
	for (depth = 0; txn && depth < DEPTH; depth++) {
		const struct msgc_heir *h = READ_ONCE(txn->heir);

		if (h == me)
			break;
		txn = h ? h->call : NULL;
	}
	rcu_read_unlock();
	return txn;
}

/* The calling thread goes to sleep for its call, which has its own priority yet. */
void __msgc_inherit_sleep(struct msgc_txn *txn)
{
	struct msgc_heir *h = msgc_heir_get(current);

	if (!h)
		return;
	spin_lock(&msgc_heirs_lock);
	h->passing++;
	WRITE_ONCE(h->passed, 0);
	WRITE_ONCE(h->call, leads_to(txn, h) ? NULL : txn);
	spin_unlock(&msgc_heirs_lock);
	if (READ_ONCE(h->boost))
		settle_call(h);
	msgc_heir_put(h);
}

/* It waits no longer: from here on the call may get another waiter, or its slot another call. */
void __msgc_inherit_woken(struct msgc_txn *txn)
{
	struct msgc_heir *h = msgc_heir_get(current);

	lockdep_assert_held(&txn->client->ch->lock);
	if (!h)
		return;
	spin_lock(&msgc_heirs_lock);
	WRITE_ONCE(h->call, NULL);
	spin_unlock(&msgc_heirs_lock);
	set_call_prio_locked(txn, txn->base, false);
	msgc_heir_put(h);
}

/* ---- calls that nobody looks at ---- */

static void judge_work(struct work_struct *work)
{
	struct msgc_endpoint *client = container_of(work, struct msgc_endpoint, judge);

	spin_lock(&client->ch->lock);
	msgc_call_events(client);
	spin_unlock(&client->ch->lock);
	msgc_endpoint_put(client);
}

/* The client's timer rang. */
void __msgc_inherit_timer(struct msgc_endpoint *client)
{
	kref_get(&client->ref);
	if (!queue_work(msgc_wq, &client->judge))
		msgc_endpoint_put(client);	/* not the last: its work has one */
}

/* ---- channels, endpoints, rows ---- */

/*
 * What a creator could not give to its own threads it cannot have lent to others. As the scheduler
 * has it, that is not the business of user namespaces. With RT_GROUP_SCHED, a thread whose group
 * has no runtime would never run again, and nobody but the scheduler knows who that is.
 */
int msgc_inherit_create(struct msgc_channel *ch)
{
	struct msgc_lent *lent = &ch->lent;

	if (!msgc_inherits(ch))
		return 0;
	if (IS_ENABLED(CONFIG_RT_GROUP_SCHED))
		return -EOPNOTSUPP;
	lent->cap = capable(CAP_SYS_NICE) ? MAX_RT_PRIO - 1 :
					    min(rlimit(RLIMIT_RTPRIO), MAX_RT_PRIO - 1UL);
	INIT_LIST_HEAD(&lent->waiting);
	INIT_LIST_HEAD(&lent->taken);
	return lent->cap ? 0 : -EPERM;
}

void msgc_inherit_init(struct msgc_endpoint *ep)
{
	INIT_WORK(&ep->judge, judge_work);
}

void msgc_inherit_free(struct msgc_endpoint *ep)
{
	msgc_heir_put(ep->heir);
}
