// SPDX-License-Identifier: GPL-2.0-only
/*
 * heir.c - threads that are lent priorities (INHERIT): how much in all, and the scheduler.
 *
 * The greatest of what an heir is lent is `wanted`. That is reckoned under channel->lock, and made
 * so after it, under a lock of the heir's, since the scheduler must not be asked under a spinlock.
 * Who makes somebody more urgent sees to it before he sleeps himself; who becomes less urgent sees
 * to it himself at the end of his command, or else a work item does.
 *
 * A thread that was changed by somebody else while boosted stays as that one wished, until nothing
 * is lent to it any more. This look and what follows are not one step, and nor is the scheduler's
 * own check that who lowers himself does no more: a server that sets its policy over and over may
 * lose that or, if it means to cheat, keep what it was lent. So whoever may serve such a channel is
 * trusted with the priorities of those who call.
 */
#include <linux/hashtable.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <uapi/linux/sched/types.h>

#include "heir.h"

#define UNSURE	0xff		/* somebody is about it */

static void settle_work(struct work_struct *work);

/* By task. Read under RCU. */
static DEFINE_HASHTABLE(heirs, 8);
static LIST_HEAD(todo);			/* left to the work item; each referenced */
DEFINE_SPINLOCK(msgc_heirs_lock);
static DECLARE_DELAYED_WORK(settling, settle_work);

/* ---- heirs ---- */

/* NULL: it is none; or as good as gone, which is to say that it has no reason and no boost. */
struct msgc_heir *msgc_heir_get(const struct task_struct *task)
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

void msgc_heir_put(struct msgc_heir *h)
{
	if (!h || !refcount_dec_and_test(&h->ref))
		return;
	spin_lock(&msgc_heirs_lock);
	hash_del_rcu(&h->node);
	spin_unlock(&msgc_heirs_lock);
	msgc_uncharge(h->payers, MSGC_BYTES, heir_bytes());
	msgc_payers_put(h->payers);
	put_task_struct(h->task);
	kfree_rcu(h, rcu);
}

/*
 * Of the calling thread. Only the thread itself makes its heir, so there is one at most that has
 * references.
 */
struct msgc_heir *msgc_heir_new(struct msgc_payers *payers)
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
	__set_bit(0, h->loans.there);
	__set_bit(0, h->further.there);
	rt_mutex_init(&h->lock);
	spin_lock(&msgc_heirs_lock);
	hash_add_rcu(heirs, &h->node, (unsigned long)h->task);
	spin_unlock(&msgc_heirs_lock);
	return h;
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

/* ---- the scheduler; under heir->lock ---- */

static bool is_rt(unsigned int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static unsigned int boosted_policy(const struct msgc_heir *h)
{
	return is_rt(h->own_policy) ? h->own_policy : SCHED_FIFO;
}

struct urgency {
	unsigned int policy, prio;
	bool reset;
};

/* As one: under the lock that the scheduler holds while it changes them. */
static struct urgency urgency_of(struct task_struct *task)
{
	struct urgency u;
	unsigned long flags;

	raw_spin_lock_irqsave(&task->pi_lock, flags);
	u = (struct urgency){ task->policy, task->rt_priority, task->sched_reset_on_fork };
	raw_spin_unlock_irqrestore(&task->pi_lock, flags);
	return u;
}

/*
 * Is it as we left it? Others than the privileged cannot clear the flag, but anybody may lower his
 * own real-time priority: what nobody but us has allowed him he does not keep.
 */
static bool is_ours(const struct msgc_heir *h)
{
	struct urgency u = urgency_of(h->task);

	if (!u.reset)
		return false;
	if (u.policy == boosted_policy(h) && u.prio == h->boost)
		return true;
	return is_rt(u.policy) && u.prio <= h->boost && u.prio > h->own_prio &&
	       u.prio > task_rlimit(h->task, RLIMIT_RTPRIO);
}

static void remember(struct msgc_heir *h)
{
	struct urgency u = urgency_of(h->task);

	h->own_policy = u.policy;
	WRITE_ONCE(h->own_prio, u.prio);
	h->own_reset = u.reset;
	h->own_slack = h->task->timer_slack_ns;
}

/* This and restore(): true if the scheduler refuses it for the moment. */
static bool raise(struct msgc_heir *h, u8 prio)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = boosted_policy(h),
		.sched_flags = SCHED_FLAG_RESET_ON_FORK,
		.sched_priority = prio,
	};
	int err = sched_setattr_nocheck(h->task, &attr);

	if (!err)
		WRITE_ONCE(h->boost, prio);
	return err == -EBUSY;
}

/*
 * Its nice value and its slice are its own all the time. Where it may not go back to, it is a
 * normal thread rather than one that keeps what it was lent.
 */
static bool restore(struct msgc_heir *h)
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
	int err = sched_setattr_nocheck(task, &attr);

	if (err && err != -EBUSY) {
		attr.sched_policy = SCHED_NORMAL;
		attr.sched_priority = 0;
		err = sched_setattr_nocheck(task, &attr);
	}
	if (err == -EBUSY)
		return true;
	WRITE_ONCE(h->boost, 0);
	/* Real-time threads have none (from 6.12 on), and afterwards the default one. */
	if (!is_rt(h->own_policy) && task->timer_slack_ns == task->default_timer_slack_ns)
		task->timer_slack_ns = h->own_slack;
	return false;
}

/* True: refused, as it is while a deadline task waits for a lock (a futex) of the thread's. */
static bool set_urgency(struct msgc_heir *h, u8 wanted)
{
	if (h->boost && !is_ours(h)) {
		WRITE_ONCE(h->boost, 0);
		h->hands_off = true;
	}
	if (h->hands_off) {
		h->hands_off = wanted;
		return false;
	}
	if (!h->boost)
		remember(h);
	if (h->own_policy == SCHED_DEADLINE)
		return false;
	if (wanted > h->own_prio)
		return raise(h, wanted);
	return h->boost && restore(h);
}

static void try_again(struct msgc_heir *h)
{
	spin_lock(&msgc_heirs_lock);
	if (list_empty(&h->todo)) {
		refcount_inc(&h->ref);
		list_add_tail(&h->todo, &todo);
	}
	spin_unlock(&msgc_heirs_lock);
	queue_delayed_work(msgc_wq, &settling, 1);
}

/*
 * Once is enough: whoever changes `wanted` later comes here later, or leaves it to the work item. A
 * boost has a reference, so that who has no reason any more is found by itself.
 */
void msgc_heir_apply(struct msgc_heir *h)
{
	bool had, has, again;
	u8 was, wanted;

	rt_mutex_lock(&h->lock);
	had = h->kept;
	was = h->applied;
	WRITE_ONCE(h->applied, UNSURE);
	/* Either this sees what is wanted, or who lent sees that it is not settled. */
	smp_mb();
	wanted = READ_ONCE(h->wanted);
	if (wanted != was || h->refused)
		h->refused = set_urgency(h, wanted);
	again = h->refused;
	has = wanted || h->boost;
	h->kept = has;
	if (has && !had)
		refcount_inc(&h->ref);
	smp_store_release(&h->applied, wanted);		/* pairs with msgc_heir_settled() */
	rt_mutex_unlock(&h->lock);
	if (again)
		try_again(h);
	if (had && !has)
		msgc_heir_put(h);
}

/*
 * Of the calling thread, whose effective one is given: without what it is lent. (Nor by a futex:
 * that cannot be told from ours while it changes.)
 */
u8 __msgc_inherit_own(u8 prio)
{
	struct msgc_heir *h = msgc_heir_get(current);

	if (!h)
		return prio;
	rt_mutex_lock(&h->lock);
	if (h->boost && is_ours(h))
		prio = h->own_prio;
	else if (READ_ONCE(current->policy) != SCHED_DEADLINE)
		prio = READ_ONCE(current->rt_priority);
	rt_mutex_unlock(&h->lock);
	msgc_heir_put(h);
	return prio;
}

/* ---- what is lent; under channel->lock ---- */

static void later_locked(struct msgc_heir *h)
{
	lockdep_assert_held(&msgc_heirs_lock);
	if (list_empty(&h->todo)) {
		refcount_inc(&h->ref);
		list_add_tail(&h->todo, &todo);
	}
	mod_delayed_work(msgc_wq, &settling, 0);
}

/* In the order in which they are given to it. */
void msgc_heir_later(struct msgc_heir *h)
{
	spin_lock(&msgc_heirs_lock);
	later_locked(h);
	spin_unlock(&msgc_heirs_lock);
}

/* One reason less for this, one more for that. Returns the greatest. */
static u8 recount(struct msgc_tally *tally, u8 old, u8 new)
{
	if (old && !--tally->nr[old])
		__clear_bit(old, tally->there);
	if (new && !tally->nr[new]++)
		__set_bit(new, tally->there);
	return find_last_bit(tally->there, MAX_RT_PRIO);
}

/*
 * What one reason lends changes. `mine`: msgc_inherit_settle() follows, which sees to those that
 * became more urgent, and to the calling thread last. All others are left to the work item.
 */
void msgc_heir_lend(struct msgc_heir *h, struct msgc_loan *lent, struct msgc_loan loan, bool mine)
{
	u8 wanted, may_pass;
	bool lowered;

	if (lent->prio == loan.prio && lent->further == loan.further)
		return;
	spin_lock(&msgc_heirs_lock);
	wanted = recount(&h->loans, lent->prio, loan.prio);
	may_pass = recount(&h->further, lent->further, loan.further);
	lowered = wanted < h->wanted || may_pass < h->may_pass;
	*lent = loan;
	WRITE_ONCE(h->wanted, wanted);
	WRITE_ONCE(h->may_pass, may_pass);
	smp_mb();	/* pairs with the one in msgc_heir_apply(): msgc_heir_settled() follows */
	if (!mine || (lowered && h->task != current))
		later_locked(h);
	spin_unlock(&msgc_heirs_lock);
}

/* ---- what others leave to do ---- */

static struct msgc_heir *pop(struct list_head *list)
{
	struct msgc_heir *h;

	spin_lock(&msgc_heirs_lock);
	h = list_first_entry_or_null(list, struct msgc_heir, todo);
	if (h)
		list_del_init(&h->todo);
	spin_unlock(&msgc_heirs_lock);
	return h;
}

/* Only those that are there now: who is refused comes again, in a moment. */
static void settle_work(struct work_struct *unused)
{
	struct msgc_heir *h;
	LIST_HEAD(batch);

	spin_lock(&msgc_heirs_lock);
	list_splice_init(&todo, &batch);
	spin_unlock(&msgc_heirs_lock);
	while ((h = pop(&batch))) {
		msgc_heir_see_to(h);
		msgc_heir_put(h);
		cond_resched();
	}
}

/* No endpoint is left, so nothing is lent. Who cannot be lowered even now stays as he is. */
void msgc_inherit_exit(void)
{
	struct msgc_heir *h;

	flush_workqueue(msgc_wq);
	flush_delayed_work(&settling);
	cancel_delayed_work_sync(&settling);
	while ((h = pop(&todo))) {
		if (h->kept)
			msgc_heir_put(h);
		msgc_heir_put(h);
	}
}
