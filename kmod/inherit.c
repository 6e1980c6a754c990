// SPDX-License-Identifier: GPL-2.0-only
/*
 * inherit.c - priority inheritance (INHERIT): a server thread is as urgent as those who wait for
 * it.
 *
 * A thread that serves such channels is an heir. It is lent priorities: by each call that it took
 * and that has no outcome yet, and by the most urgent call of a queue. The queue lends to one
 * thread, the one that waits in RECV for longest; when that takes the call, or leaves, the next one
 * gets it. Where nobody waits it lends to those who have to finish first: the threads that took the
 * calls that are held for longest, of MOST of these. The greatest of what an heir is lent is
 * `wanted`. That is reckoned under channel->lock, and made so after it, under a lock of the heir's,
 * since the scheduler must not be asked under a spinlock. Who makes somebody more urgent sees to it
 * before he sleeps himself: msgc_inherit_settle() looks at the state of the heirs, not at a list of
 * what is to do, for somebody else who has begun may never run on (his lock lends him our priority;
 * a list would not). Who becomes less urgent sees to it himself at the end of his command, or else
 * a work item does. Calls that are overdue lend until somebody judges them; here the timer has that
 * done, too.
 *
 * What is not covered: threads that neither are in RECV or REPLY_RECV nor hold a call (in poll, in
 * WAIT, between REPLY and RECV); nice values; deadlines (a SCHED_DEADLINE client lends 99). What a
 * thread is lent it passes on to the call that it sleeps for, but if that comes later, its server's
 * server does not hear of it. With RT_GROUP_SCHED, a thread whose group has no runtime must not be
 * lent anything, and nobody checks that.
 *
 * A thread that was changed by somebody else while boosted stays as that one wished, until nothing
 * is lent to it any more. This look and what follows are not one step, and nor is the scheduler's
 * own check that who lowers himself does no more: a server that sets its policy over and over may
 * lose that or, if it means to cheat, keep what it was lent. So whoever may serve such a channel is
 * trusted with the priorities of those who call.
 */
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/rtmutex.h>
#include <linux/sched/prio.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <uapi/linux/sched/types.h>

#include "txn.h"

#define MOST	64		/* held calls whose threads a queue lends to */
#define UNSURE	0xff		/* somebody is about it */

struct msgc_heir {
	struct hlist_node node;		/* in heirs */
	struct rcu_head rcu;
	refcount_t ref;			/* held calls, RECV, a server endpoint, a boost, `todo` */
	struct task_struct *task;	/* referenced; may be dead */
	struct msgc_payers *payers;	/* for what a dead one occupies */

	/* in the `waiting` of the one channel where it is in RECV: that one's lock */
	struct list_head waits;
	u8 lent;			/* by the queue of that channel */

	/* heirs_lock */
	u32 reasons[MAX_RT_PRIO];	/* how many lend so much */
	DECLARE_BITMAP(prios, MAX_RT_PRIO);	/* where that is not 0; and bit 0 */
	u8 wanted;			/* the greatest; read without the lock */
	struct list_head todo;
	struct msgc_txn *call;		/* in INHERIT channels: that it sleeps for; see pass_on() */
	u64 arrival;			/* of that: the slot may have another one */
	u8 base;			/* of that: its priority without what the heir is lent */

	/* one at a time asks the scheduler; it lends its priority to who has it, as we do */
	struct rt_mutex lock;
	u8 applied;			/* the `wanted` that was seen to; or UNSURE; likewise */
	u8 boost;			/* what we gave it; 0: it is its own; read likewise */
	bool hands_off;			/* others changed it */
	bool own_reset;			/* reset on fork; this and below: while boosted */
	u8 own_prio;			/* read likewise */
	unsigned int own_policy;
	u64 own_slack;
};

static void settle_work(struct work_struct *work);

/* By task. Read under RCU. */
static DEFINE_HASHTABLE(heirs, 8);
static LIST_HEAD(todo);			/* lowered, and left to the work item; each referenced */
/* Writing to `heirs`; `todo`; of each heir, what its comment says. */
static DEFINE_SPINLOCK(heirs_lock);
static DECLARE_WORK(settling, settle_work);

/* ---- heirs ---- */

/* NULL: it is none; or as good as gone, which is to say that it has no reason and no boost. */
static struct msgc_heir *heir_get(const struct task_struct *task)
{
	struct msgc_heir *h;

	rcu_read_lock();
	hash_for_each_possible_rcu(heirs, h, node, (unsigned long)task)
		if (h->task == task && refcount_inc_not_zero(&h->ref))
			break;
	rcu_read_unlock();
	return h;
}

static u64 heir_bytes(void)
{
	return sizeof(struct msgc_heir) + sizeof(struct task_struct);
}

static void heir_put(struct msgc_heir *h)
{
	if (!h || !refcount_dec_and_test(&h->ref))
		return;
	spin_lock(&heirs_lock);
	hash_del_rcu(&h->node);
	spin_unlock(&heirs_lock);
	msgc_uncharge(h->payers, MSGC_BYTES, heir_bytes());
	msgc_payers_put(h->payers);
	put_task_struct(h->task);
	kfree_rcu(h, rcu);
}

/* Only the thread itself makes its heir, so there is one at most that has references. */
static struct msgc_heir *heir_new(struct msgc_payers *payers)
{
	struct msgc_heir *h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);

	if (!h)
		return NULL;
	if (msgc_charge(payers, MSGC_BYTES, heir_bytes())) {
		kfree(h);
		return NULL;
	}
	refcount_set(&h->ref, 1);
	h->task = get_task_struct(current);
	h->payers = msgc_payers_get(payers);
	INIT_LIST_HEAD(&h->waits);
	INIT_LIST_HEAD(&h->todo);
	__set_bit(0, h->prios);
	rt_mutex_init(&h->lock);
	spin_lock(&heirs_lock);
	hash_add_rcu(heirs, &h->node, (unsigned long)h->task);
	spin_unlock(&heirs_lock);
	return h;
}

/* ---- the scheduler; under heir->lock ---- */

static bool is_rt(unsigned int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static unsigned int boosted_policy(const struct msgc_heir *h)
{
	return is_rt(h->own_policy) ? h->own_policy : SCHED_FIFO;
}

/*
 * Is it as we left it? Others than the privileged cannot clear the flag, but anybody may lower his
 * own real-time priority: what nobody but us has allowed him he does not keep.
 */
static bool is_ours(const struct msgc_heir *h)
{
	struct task_struct *task = h->task;
	unsigned int policy = READ_ONCE(task->policy), prio = READ_ONCE(task->rt_priority);

	if (!task->sched_reset_on_fork)
		return false;
	if (policy == boosted_policy(h) && prio == h->boost)
		return true;
	return is_rt(policy) && prio <= h->boost && prio > h->own_prio &&
	       prio > task_rlimit(task, RLIMIT_RTPRIO);
}

static void remember(struct msgc_heir *h)
{
	const struct task_struct *task = h->task;

	h->own_policy = READ_ONCE(task->policy);
	WRITE_ONCE(h->own_prio, READ_ONCE(task->rt_priority));
	h->own_reset = task->sched_reset_on_fork;
	h->own_slack = task->timer_slack_ns;
}

static void raise(struct msgc_heir *h, u8 prio)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = boosted_policy(h),
		.sched_flags = SCHED_FLAG_RESET_ON_FORK,
		.sched_priority = prio,
	};

	if (!sched_setattr_nocheck(h->task, &attr))
		WRITE_ONCE(h->boost, prio);
}

/* Its nice value and its slice are its own all the time. */
static void restore(struct msgc_heir *h)
{
	struct task_struct *task = h->task;
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = h->own_policy,
		.sched_flags = h->own_reset ? SCHED_FLAG_RESET_ON_FORK : 0,
		.sched_priority = h->own_prio,
		.sched_nice = task_nice(task),
		.sched_runtime = msgc_custom_slice(task),
	};

	sched_setattr_nocheck(task, &attr);
	WRITE_ONCE(h->boost, 0);
	/* Real-time threads have none (from 6.12 on), and afterwards the default one. */
	if (!is_rt(h->own_policy) && task->timer_slack_ns == task->default_timer_slack_ns)
		task->timer_slack_ns = h->own_slack;
}

static void set_urgency(struct msgc_heir *h, u8 wanted)
{
	if (h->boost && !is_ours(h)) {
		WRITE_ONCE(h->boost, 0);
		h->hands_off = true;
	}
	if (h->hands_off) {
		h->hands_off = wanted;
		return;
	}
	if (!h->boost)
		remember(h);
	if (h->own_policy == SCHED_DEADLINE)
		return;
	if (wanted > h->own_prio)
		raise(h, wanted);
	else if (h->boost)
		restore(h);
}

/*
 * Once is enough: whoever changes `wanted` later comes here later, or leaves it to the work item. A
 * boost has a reference, so that who has no reason any more is found by itself.
 */
static void apply(struct msgc_heir *h)
{
	u8 was, wanted;

	rt_mutex_lock(&h->lock);
	was = h->applied;
	WRITE_ONCE(h->applied, UNSURE);
	/* Either this sees what lend() wants, or who lent sees that it is not settled. */
	smp_mb();
	wanted = READ_ONCE(h->wanted);
	if (wanted && !was)
		refcount_inc(&h->ref);
	if (wanted != was)
		set_urgency(h, wanted);
	WRITE_ONCE(h->applied, wanted);
	rt_mutex_unlock(&h->lock);
	if (was && !wanted)
		heir_put(h);
}

static bool settled(const struct msgc_heir *h)
{
	return READ_ONCE(h->wanted) == READ_ONCE(h->applied);
}

/* ---- what is lent; under channel->lock ---- */

static void later_locked(struct msgc_heir *h)
{
	lockdep_assert_held(&heirs_lock);
	if (list_empty(&h->todo)) {
		refcount_inc(&h->ref);
		list_add_tail(&h->todo, &todo);
	}
	queue_work(msgc_wq, &settling);
}

static void later(struct msgc_heir *h)
{
	spin_lock(&heirs_lock);
	later_locked(h);
	spin_unlock(&heirs_lock);
}

/*
 * What one reason lends changes. `mine`: this is a command that ends with msgc_inherit_settle(), so
 * that the calling thread can lower itself.
 */
static void lend(struct msgc_heir *h, u8 *lent, u8 prio, bool mine)
{
	bool lowered;
	u8 wanted;

	if (*lent == prio)
		return;
	spin_lock(&heirs_lock);
	if (*lent && !--h->reasons[*lent])
		__clear_bit(*lent, h->prios);
	if (prio && !h->reasons[prio]++)
		__set_bit(prio, h->prios);
	*lent = prio;
	wanted = find_last_bit(h->prios, MAX_RT_PRIO);
	lowered = wanted < h->wanted;
	WRITE_ONCE(h->wanted, wanted);
	smp_mb();			/* pairs with the one in apply(): settled() comes after */
	if (lowered && !(mine && h->task == current))
		later_locked(h);
	spin_unlock(&heirs_lock);
}

static u8 capped(const struct msgc_txn *txn)
{
	return min(txn->prio, txn->client->ch->lent.cap);
}

/* What a held call lends for itself: as long as somebody waits for its answer. */
static u8 of_call(const struct msgc_txn *txn)
{
	return txn->outcome || txn->flags & MSGC_ONEWAY ? 0 : capped(txn);
}

/* Somebody has to see when it is overdue. */
static void arm(const struct msgc_txn *txn)
{
	if (capped(txn) && txn->deadline != MSGC_FOREVER)
		msgc_timer_arm(txn->client, txn->deadline);
}

static u8 of_queue(const struct msgc_channel *ch)
{
	struct rb_node *first = rb_first_cached(&ch->queue);

	return first ? capped(rb_entry(first, struct msgc_txn, place)) : 0;
}

/* To one who waits, else to those who hold calls. */
static void share_out(struct msgc_channel *ch, bool mine)
{
	struct msgc_lent *lent = &ch->lent;
	struct msgc_heir *first;
	struct msgc_txn *txn;
	u8 prio = of_queue(ch);
	bool done = true;
	int n = 0;

	lockdep_assert_held(&ch->lock);
	if (!prio && !lent->queue)
		return;
	lent->queue = prio;
	first = list_first_entry_or_null(&lent->waiting, struct msgc_heir, waits);
	if (first) {
		lend(first, &first->lent, prio, mine);
		done = settled(first);
		prio = 0;
	}
	list_for_each_entry(txn, &lent->taken, lends) {
		if (n++ == MOST)
			break;
		lend(txn->heir, &txn->lent, max(of_call(txn), prio), mine);
		done = done && settled(txn->heir);
	}
	WRITE_ONCE(lent->unsettled, !done);
}

/* It is no longer in RECV. The caller has another reference. */
static void stop_waiting(struct msgc_heir *h)
{
	if (list_empty(&h->waits))
		return;
	list_del_init(&h->waits);
	lend(h, &h->lent, 0, true);
	heir_put(h);
}

void __msgc_inherit_queued(struct msgc_txn *txn)
{
	arm(txn);
	share_out(txn->client->ch, true);
}

/*
 * By the calling thread, which was in RECV until now. What it is lent as such is taken back last:
 * it has no reason to become less urgent. Who took a call that another one was to take was not made
 * urgent before, and may not come to the end of its command; else who lent it that sees to it.
 */
void __msgc_inherit_taken(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_heir *h = heir_get(current);

	if (h) {
		bool unexpected = of_call(txn) > h->lent;

		txn->heir = h;
		list_add_tail(&txn->lends, &ch->lent.taken);
		lend(h, &txn->lent, of_call(txn), true);
		stop_waiting(h);
		if (unexpected && !settled(h))
			later(h);
	}
	share_out(ch, true);
}

void __msgc_inherit_untaken(struct msgc_txn *txn)
{
	struct msgc_heir *h = txn->heir;

	if (h) {
		list_del(&txn->lends);
		lend(h, &txn->lent, 0, true);
		txn->heir = NULL;
		heir_put(h);
	}
	share_out(txn->client->ch, true);
}

/* In any context: what it lent is taken back by the work item. */
void __msgc_inherit_gave_up(struct msgc_txn *txn)
{
	if (txn->heir)
		lend(txn->heir, &txn->lent, 0, false);
	share_out(txn->client->ch, false);
}

/* ---- making it so; without locks ---- */

static struct msgc_heir *next_unsettled(struct msgc_channel *ch)
{
	struct msgc_heir *found, *first;
	struct msgc_txn *txn;
	int n = 0;

	spin_lock(&ch->lock);
	first = list_first_entry_or_null(&ch->lent.waiting, struct msgc_heir, waits);
	found = first && !settled(first) && first->task != current ? first : NULL;
	list_for_each_entry(txn, &ch->lent.taken, lends) {
		if (found || n++ == MOST)
			break;
		if (!settled(txn->heir) && txn->heir->task != current)
			found = txn->heir;
	}
	if (found)
		refcount_inc(&found->ref);
	else
		WRITE_ONCE(ch->lent.unsettled, false);
	spin_unlock(&ch->lock);
	return found;
}

static void set_call_prio_locked(struct msgc_txn *txn, u8 prio)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	if (txn->outcome || txn->prio == prio)
		return;
	if (txn->state == MSGC_QUEUED)
		msgc_txn_requeue(txn, prio);
	else
		txn->prio = prio;
	arm(txn);
	if (txn->heir) {
		lend(txn->heir, &txn->lent, of_call(txn), false);
		WRITE_ONCE(ch->lent.unsettled, true);	/* also if the queue lends nothing */
	}
	share_out(ch, false);
}

/*
 * A call is as urgent as its caller. What he is lent he passes on while he sleeps for it, and not
 * longer: else a server could keep what it was lent, by a call that it never answers. Returns the
 * endpoint of that call, referenced.
 */
static struct msgc_endpoint *pass_on(struct msgc_heir *h)
{
	struct msgc_endpoint *ep = NULL;
	struct msgc_txn *txn;

	spin_lock(&heirs_lock);
	txn = h->call;
	if (txn) {
		ep = txn->client;	/* whose file the thread holds while `call` is set */
		kref_get(&ep->ref);
	}
	spin_unlock(&heirs_lock);
	if (!ep)
		return NULL;
	spin_lock(&ep->ch->lock);
	spin_lock(&heirs_lock);
	if (h->call != txn || h->arrival != txn->arrival)
		txn = NULL;
	spin_unlock(&heirs_lock);
	if (txn)
		set_call_prio_locked(txn, max(h->base, READ_ONCE(h->boost)));
	spin_unlock(&ep->ch->lock);
	return ep;
}

static void apply_further(struct msgc_heir *h);

/* `further`: also what they pass on; no more than one step. */
static void settle_others(struct msgc_channel *ch, bool further)
{
	int n;

	for (n = 0; n <= MOST && READ_ONCE(ch->lent.unsettled); n++) {
		struct msgc_heir *h = next_unsettled(ch);

		if (!h)
			break;
		if (further)
			apply_further(h);
		else
			apply(h);
		heir_put(h);
	}
}

static void settle_call(struct msgc_heir *h)
{
	struct msgc_endpoint *ep = pass_on(h);

	if (!ep)
		return;
	settle_others(ep->ch, false);
	msgc_endpoint_put(ep);
}

static void apply_further(struct msgc_heir *h)
{
	apply(h);
	settle_call(h);
}

/* Oneself last: others could be left as they are if that made this thread wait for the CPU. */
void __msgc_inherit_settle(struct msgc_channel *ch)
{
	struct msgc_heir *h;

	settle_others(ch, true);
	h = heir_get(current);
	if (h)
		apply(h);
	heir_put(h);
}

static struct msgc_heir *pop_todo(void)
{
	struct msgc_heir *h;

	spin_lock(&heirs_lock);
	h = list_first_entry_or_null(&todo, struct msgc_heir, todo);
	if (h)
		list_del_init(&h->todo);
	spin_unlock(&heirs_lock);
	return h;
}

static void settle_work(struct work_struct *unused)
{
	struct msgc_heir *h;

	while ((h = pop_todo())) {
		apply_further(h);
		heir_put(h);
		cond_resched();
	}
}

/* ---- threads in RECV ---- */

/* Where there is no memory for it, or none that may be charged, it serves without inheriting. */
void __msgc_inherit_begin(struct msgc_endpoint *server)
{
	struct msgc_channel *ch = server->ch;
	struct msgc_heir *h = heir_get(current) ?: heir_new(server->payers), *old = NULL;

	if (!h)
		return;
	spin_lock(&ch->lock);
	if (server->heir != h) {	/* kept: most often the next one is the same thread */
		old = server->heir;
		refcount_inc(&h->ref);
		server->heir = h;
	}
	list_add_tail(&h->waits, &ch->lent.waiting);	/* with the reference */
	share_out(ch, true);
	spin_unlock(&ch->lock);
	heir_put(old);
	__msgc_inherit_settle(ch);
}

void __msgc_inherit_end(struct msgc_endpoint *server)
{
	struct msgc_channel *ch = server->ch;
	struct msgc_heir *h = heir_get(current);

	if (!h)
		return;
	spin_lock(&ch->lock);
	stop_waiting(h);
	share_out(ch, true);
	spin_unlock(&ch->lock);
	heir_put(h);
}

/* ---- heirs that sleep in CALL ---- */

/*
 * Of the calling thread, whose effective one is given: without what it is lent. (Nor by a futex:
 * that cannot be told from ours while it changes.)
 */
u8 __msgc_inherit_own(u8 prio)
{
	struct msgc_heir *h = heir_get(current);

	if (!h)
		return prio;
	rt_mutex_lock(&h->lock);
	if (h->boost)
		prio = h->own_prio;
	else if (READ_ONCE(current->policy) != SCHED_DEADLINE)
		prio = READ_ONCE(current->rt_priority);
	rt_mutex_unlock(&h->lock);
	heir_put(h);
	return prio;
}

/* The calling thread goes to sleep for its call, which was made with its own priority. */
void __msgc_inherit_sleep(struct msgc_txn *txn)
{
	struct msgc_heir *h = heir_get(current);

	if (!h)
		return;
	spin_lock(&heirs_lock);
	h->call = txn;
	h->arrival = txn->arrival;	/* while it has a waiter, the slot has no other call */
	h->base = txn->prio;
	spin_unlock(&heirs_lock);
	if (READ_ONCE(h->boost))
		settle_call(h);
	heir_put(h);
}

void __msgc_inherit_woken(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_heir *h = heir_get(current);

	if (!h)
		return;
	spin_lock(&ch->lock);
	spin_lock(&heirs_lock);
	h->call = NULL;
	spin_unlock(&heirs_lock);
	if (txn->arrival == h->arrival)
		set_call_prio_locked(txn, h->base);
	spin_unlock(&ch->lock);
	heir_put(h);
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
 * has it, that is not the business of user namespaces.
 */
int msgc_inherit_create(struct msgc_channel *ch)
{
	struct msgc_lent *lent = &ch->lent;

	if (!msgc_inherits(ch))
		return 0;
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
	heir_put(ep->heir);
}

/*
 * Its own priority, and the one that it was given. Under the lock of a wait queue, which timers
 * take: so no lock of ours, and no reference.
 */
void msgc_inherit_row(struct msgc_wait_row *row, const struct task_struct *task)
{
	const struct msgc_heir *h;

	rcu_read_lock();
	row->boost = 0;
	row->prio = msgc_task_prio(task);
	hash_for_each_possible_rcu(heirs, h, node, (unsigned long)task) {
		if (h->task != task || !READ_ONCE(h->boost))
			continue;
		row->boost = READ_ONCE(h->boost);
		row->prio = READ_ONCE(h->own_prio);
	}
	rcu_read_unlock();
}
