// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - a process that has endpoints: they die with it, whatever copies of their fds exist.
 *
 * Most deaths are seen in ->flush, when the last thread closes its files. A process that closed
 * the fd but kept a mapping, shares its table with another, or left the fd only in an io_uring,
 * is seen through the wait queue of its struct pid. That is woken under tasklist_lock with
 * interrupts off, so there is one entry per process, and all it does is to look and to queue
 * work.
 */
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "core.h"

struct msgc_owner {
	struct list_head node;
	struct pid *pid;
	struct list_head endpoints;
	struct wait_queue_entry wait;	/* in pid->wait_pidfd */
	struct work_struct work;
};

static LIST_HEAD(owners);
static DEFINE_MUTEX(owners_lock);	/* owners, and the list of each one's endpoints */

/* Also called under tasklist_lock. A wake-up with threads left is the exit of one of them. */
static bool group_dead(struct pid *pid)
{
	struct task_struct *task;
	bool dead;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	dead = !task || !atomic_read(&task->signal->live);
	rcu_read_unlock();
	return dead;
}

static int owner_notified(struct wait_queue_entry *wait, unsigned int mode, int flags, void *key)
{
	struct msgc_owner *owner = container_of(wait, struct msgc_owner, wait);

	if (group_dead(owner->pid))
		queue_work(msgc_wq, &owner->work);
	return 0;
}

static struct msgc_endpoint *next_living(struct msgc_owner *owner)
{
	struct msgc_endpoint *ep, *found = NULL;

	mutex_lock(&owners_lock);
	list_for_each_entry(ep, &owner->endpoints, of_owner) {
		if (ep->since && !READ_ONCE(ep->dead)) {
			kref_get(&ep->ref);
			found = ep;
			break;
		}
	}
	mutex_unlock(&owners_lock);
	return found;
}

static void owner_died(struct work_struct *work)
{
	struct msgc_owner *owner = container_of(work, struct msgc_owner, work);
	struct msgc_endpoint *ep;

	while ((ep = next_living(owner))) {
		msgc_endpoint_die(ep, MSGC_DIED);
		msgc_endpoint_put(ep);
	}
}

static void owner_enter(struct msgc_owner *owner, struct pid *pid)
{
	owner->pid = get_pid(pid);
	INIT_LIST_HEAD(&owner->endpoints);
	INIT_WORK(&owner->work, owner_died);
	init_waitqueue_func_entry(&owner->wait, owner_notified);
	list_add(&owner->node, &owners);
	add_wait_queue(&pid->wait_pidfd, &owner->wait);
}

/*
 * Off the list, so that no new endpoint finds it; out of the queue, so that no work is queued
 * any more; then the work's end.
 */
static void owner_free(struct msgc_owner *owner)
{
	remove_wait_queue(&owner->pid->wait_pidfd, &owner->wait);
	cancel_work_sync(&owner->work);
	put_pid(owner->pid);
	kfree(owner);
}

/* Of the calling process, which cannot have died therefore. */
int msgc_owner_add(struct msgc_endpoint *ep)
{
	/* Allocated before: memory may be long in coming, and everybody's death takes the lock. */
	struct msgc_owner *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	struct msgc_owner *owner;

	if (!fresh)
		return -ENOMEM;
	mutex_lock(&owners_lock);
	list_for_each_entry(owner, &owners, node)
		if (owner->pid == ep->pid)
			goto found;
	owner = fresh;
	fresh = NULL;
	owner_enter(owner, ep->pid);
found:
	ep->owner = owner;
	list_add(&ep->of_owner, &owner->endpoints);
	mutex_unlock(&owners_lock);
	kfree(fresh);
	return 0;
}

void msgc_owner_remove(struct msgc_endpoint *ep)
{
	struct msgc_owner *owner = ep->owner;
	bool last;

	if (!owner)
		return;
	mutex_lock(&owners_lock);
	list_del(&ep->of_owner);
	last = list_empty(&owner->endpoints);
	if (last)
		list_del(&owner->node);
	mutex_unlock(&owners_lock);
	if (last)
		owner_free(owner);
}

/* In ->flush: the owner's last thread is closing its files. */
bool msgc_owner_exiting(const struct msgc_endpoint *ep)
{
	return (current->flags & PF_EXITING) && task_tgid(current) == ep->pid &&
	       group_dead(ep->pid);
}

/* In ->release: it went with the owner's address space, before the pid's waiters were told. */
bool msgc_owner_dead(const struct msgc_endpoint *ep)
{
	return group_dead(ep->pid);
}
