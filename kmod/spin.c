// SPDX-License-Identifier: GPL-2.0-only
/*
 * spin.c - rendezvous: looking for a while before sleeping, on channels made with spin_ns.
 *
 * Only while the thread that is waited for is about to get on by itself: it runs, or is being
 * woken, on another CPU, and nobody wants this one. "Runs" would not be enough: after one sleep
 * each side would wake the other, find that it does not run yet, and sleep, too.
 *
 * The thread waited for is the one that last waited at the endpoint that was last dealt with: a
 * guess, that costs a sleep where it is wrong. Nobody joins a wait queue while he looks, so that
 * his partner has nobody to wake.
 */
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>

#include "txn.h"

/* The thread that is waited for, referenced; leaves word of who waits here, for the other side. */
static struct task_struct *partner_get(struct msgc_endpoint *ep)
{
	struct task_struct *old = NULL, *task = NULL;
	struct msgc_channel *ch = ep->ch;
	const struct msgc_endpoint *other;

	spin_lock(&ch->lock);
	if (ep->thread != current) {
		old = ep->thread;
		ep->thread = get_task_struct(current);
	}
	other = ep->partner ? ch->member[MSGC_INDEX(ep->partner)].ep : NULL;
	if (other && other->id == ep->partner && other->thread)
		task = get_task_struct(other->thread);
	spin_unlock(&ch->lock);
	if (old)
		put_task_struct(old);
	return task;
}

static bool runs_elsewhere(const struct task_struct *task)
{
	unsigned int state = READ_ONCE(task->__state);

	return (state == TASK_RUNNING || state == TASK_WAKING) &&
	       task_cpu(task) != raw_smp_processor_id();
}

/* single_task_running(): need_resched() alone misses who may wait for the end of the slice. */
static bool may_look_on(struct msgc_endpoint *ep, const struct task_struct *partner)
{
	return runs_elsewhere(partner) && !need_resched() && single_task_running() &&
	       !signal_pending(current) && !atomic_read(&ep->interrupted) && !READ_ONCE(ep->dead);
}

/* Without a lock: only worth a real look. */
static bool something_came(const struct msgc_endpoint *ep, const struct msgc_txn *txn)
{
	if (txn)
		return READ_ONCE(txn->outcome);
	return READ_ONCE(ep->ch->queued) || READ_ONCE(ep->taken) == ep->nr_holds;
}

/* For the outcome of a call or, without one, for a call. True: look, it may be there. */
bool msgc_spin(struct msgc_endpoint *ep, const struct msgc_txn *txn, u64 deadline)
{
	struct task_struct *partner = partner_get(ep);
	u64 end = min(ktime_get_ns() + ep->ch->par.spin_ns, deadline);
	u64 rounds = 0;
	bool came;

	if (!partner)
		return false;
	for (;;) {
		came = something_came(ep, txn);
		if (came || !may_look_on(ep, partner) || ktime_get_ns() >= end)
			break;
		rounds++;
		cpu_relax();
	}
	put_task_struct(partner);
	atomic64_add(rounds, &ep->looks);
	return came;
}

/* The thread that last waited may have ended. */
u64 msgc_spin_bytes(const struct msgc_endpoint *ep)
{
	return ep->ch->par.spin_ns ? sizeof(struct task_struct) : 0;
}

void msgc_spin_free(struct msgc_endpoint *ep)
{
	if (ep->thread)
		put_task_struct(ep->thread);
}
