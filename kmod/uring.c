// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - the hot commands by io_uring; those that have to wait are parked.
 *
 * All commands that are parked at an endpoint are one waiter in endpoint->wait: whatever wakes
 * threads wakes that, which finds those that are concerned without looking at the others. Whoever
 * takes a command out of its list, under the queue's lock, has claimed it, and nobody else touches
 * it:
 *
 *	a waker		queues task work, in which its thread looks again: it is through, or parks
 *	cancellation	(that thread's exit or exec, the ring's end) ends it with -ECANCELED; not
 *			what it waits for: a call goes on
 *
 * Cancellation that finds it claimed leaves it to the task work, and comes again. So a command has
 * no states of its own, and ends once.
 *
 * A waker queues the task work under the queue's lock. That may wake who waits for the ring, or for
 * its eventfd, and who polls these; but never an endpoint's queue, which only this module wakes.
 *
 * Before 6.7 nothing may be parked, since the core could not cancel it: a command that would have
 * to wait is refused, or blocks in a worker thread if it was sent there (IOSQE_ASYNC).
 *
 * Locks: the core holds the ring's lock around most of this, outside of all of ours. io_uring's
 * completions are not called under a spinlock.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "command.h"
#include "txn.h"

#define MOST	128		/* parked, of an endpoint: a change of the membership wakes all */

struct parked {
	struct list_head node;		/* in a list of parking, whose lock it is; empty: claimed */
	struct msgc_waiter waiter;
	struct msgc_endpoint *ep;	/* the command has its file */
	struct io_uring_cmd *cmd;
	const void *ring;		/* whose it is; not a reference */
	long (*look)(struct msgc_endpoint *ep, struct msgc_waiter *w, int why);
};

static struct parked **parked_of(struct io_uring_cmd *cmd)
{
	BUILD_BUG_ON(sizeof(struct parked *) > sizeof(cmd->pdu));
	return (struct parked **)cmd->pdu;
}

/* ---- memory: an endpoint keeps what it has had ---- */

static struct parked *take_spare(struct msgc_parking *lot)
{
	struct parked *p = list_first_entry_or_null(&lot->spare, struct parked, node);

	if (p) {
		list_del_init(&p->node);
		return p;
	}
	if (lot->nr == MOST)
		return ERR_PTR(-EUSERS);
	lot->nr++;
	return NULL;
}

static void give_spare(struct msgc_endpoint *ep, struct parked *p)
{
	spin_lock_irq(&ep->wait.lock);
	if (p)
		list_add(&p->node, &ep->parking.spare);
	else
		ep->parking.nr--;
	spin_unlock_irq(&ep->wait.lock);
}

static struct parked *parked_new(struct msgc_endpoint *ep, struct io_uring_cmd *cmd,
				 const struct msgc_command *c)
{
	struct parked *p;

	spin_lock_irq(&ep->wait.lock);
	p = take_spare(&ep->parking);
	spin_unlock_irq(&ep->wait.lock);
	if (IS_ERR(p))
		return p;
	if (!p) {
		p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
		if (!p) {
			give_spare(ep, NULL);
			return ERR_PTR(-ENOMEM);
		}
		INIT_LIST_HEAD(&p->node);
	}
	p->ep = ep;
	p->cmd = cmd;
	p->look = c->look;
	p->ring = msgc_uring_ring(cmd);
	*parked_of(cmd) = p;
	return p;
}

static void parked_free(struct parked *p)
{
	give_spare(p->ep, p);
}

/* ---- waking; under endpoint->wait.lock ---- */

static void look_again(struct io_uring_cmd *cmd, unsigned int issue_flags);

static void take_out(struct parked *p)
{
	list_del_init(&p->node);
	if (p->waiter.txn)
		WRITE_ONCE(p->waiter.txn->parked, NULL);
}

/*
 * The end of a CALL may be told together with others that its thread waits for, too. A RECV or
 * CLAIM takes something, and somebody may wait for just that.
 */
static void tell(struct parked *p)
{
	take_out(p);
	if (p->waiter.txn)
		msgc_uring_in_task_lazy(p->cmd, look_again);
	else
		msgc_uring_in_task(p->cmd, look_again);
}

static void tell_all(struct list_head *list)
{
	struct parked *p, *next;

	list_for_each_entry_safe(p, next, list, node)
		tell(p);
}

/* A call for one of several RECVs of a ring: as many are told as there are calls. */
static bool has_call_for(struct msgc_endpoint *ep, const void *ring)
{
	struct msgc_parking *lot = &ep->parking;

	if (lot->told != ring) {
		lot->told = ring;
		lot->nr_told = 0;
	}
	if (lot->nr_told >= READ_ONCE(ep->ch->queued))
		return false;
	lot->nr_told++;
	return true;
}

/* A ring that nobody looks at keeps no other one from hearing of it: some are told in vain. */
static void tell_of_calls(struct msgc_endpoint *ep)
{
	struct msgc_parking *lot = &ep->parking;
	struct parked *p, *next;

	list_for_each_entry_safe(p, next, &lot->recvs, node) {
		if (has_call_for(ep, p->ring))
			tell(p);
		else if (!lot->mixed)
			break;
	}
}

/* Without channel->lock: whoever changes what is read here wakes afterwards. */
static bool concerns_all(const struct msgc_endpoint *ep)
{
	return READ_ONCE(ep->dead) || atomic_read(&ep->interrupted) ||
	       ep->parking.soonest < READ_ONCE(ep->timer_at);
}

static int wake_parked(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct msgc_parking *lot = container_of(entry, struct msgc_parking, entry);
	struct msgc_endpoint *ep = container_of(lot, struct msgc_endpoint, parking);

	if (concerns_all(ep)) {
		tell_all(&lot->calls);
		tell_all(&lot->recvs);
		lot->soonest = MSGC_FOREVER;
	}
	tell_all(&lot->settled);
	tell_all(&lot->others);
	tell_of_calls(ep);
	return 0;
}

/* Its client is woken afterwards. */
void __msgc_parked_settled(struct msgc_txn *txn)
{
	struct msgc_endpoint *ep = txn->client;
	unsigned long flags;

	lockdep_assert_held(&ep->ch->lock);
	spin_lock_irqsave(&ep->wait.lock, flags);
	if (txn->parked)
		list_move_tail(txn->parked, &ep->parking.settled);
	spin_unlock_irqrestore(&ep->wait.lock, flags);
}

static void join_recvs(struct msgc_parking *lot, struct parked *p)
{
	if (list_empty(&lot->recvs)) {
		lot->ring = p->ring;
		lot->mixed = false;
	}
	lot->mixed |= p->ring != lot->ring;
	list_add_tail(&p->node, &lot->recvs);
}

static void join(struct msgc_endpoint *ep, struct parked *p)
{
	struct msgc_parking *lot = &ep->parking;
	struct msgc_txn *txn = p->waiter.txn;

	if (list_empty(&lot->entry.entry))
		__add_wait_queue(&ep->wait, &lot->entry);
	lot->soonest = min(lot->soonest, p->waiter.deadline);
	if (txn) {
		list_add_tail(&p->node, &lot->calls);
		WRITE_ONCE(txn->parked, &p->node);
	} else if (p->waiter.what == MSGC_WAITS_CALL) {
		join_recvs(lot, p);
	} else {
		list_add_tail(&p->node, &lot->others);
	}
}

/*
 * Whoever changes what was looked for wakes it, since he needs channel->lock for that. INTERRUPT
 * and the timer's callback do not; they set their mark, then wake: the mark is looked at here under
 * the lock that they take for it.
 */
long msgc_park(struct msgc_endpoint *ep, struct msgc_waiter *w)
{
	unsigned long flags;
	bool joins;

	lockdep_assert_held(&ep->ch->lock);
	spin_lock_irqsave(&ep->wait.lock, flags);
	joins = !atomic_read(&ep->interrupted) && w->deadline >= READ_ONCE(ep->timer_at);
	if (joins)
		join(ep, container_of(w, struct parked, waiter));
	spin_unlock_irqrestore(&ep->wait.lock, flags);
	return joins ? -EIOCBQUEUED : -EAGAIN;
}

void msgc_parking_init(struct msgc_endpoint *ep)
{
	struct msgc_parking *lot = &ep->parking;

	init_waitqueue_func_entry(&lot->entry, wake_parked);
	INIT_LIST_HEAD(&lot->entry.entry);
	INIT_LIST_HEAD(&lot->calls);
	INIT_LIST_HEAD(&lot->settled);
	INIT_LIST_HEAD(&lot->recvs);
	INIT_LIST_HEAD(&lot->others);
	INIT_LIST_HEAD(&lot->spare);
	lot->soonest = MSGC_FOREVER;
}

void msgc_parking_free(struct msgc_endpoint *ep)
{
	struct parked *p, *next;

	list_for_each_entry_safe(p, next, &ep->parking.spare, node)
		kfree(p);
}

/* A RECV that was told of a call is about to look, or will not. */
static void has_heard(struct parked *p)
{
	struct msgc_parking *lot = &p->ep->parking;

	if (p->waiter.what != MSGC_WAITS_CALL)
		return;
	spin_lock_irq(&p->ep->wait.lock);
	if (lot->told == p->ring && lot->nr_told)
		lot->nr_told--;
	spin_unlock_irq(&p->ep->wait.lock);
}

static bool claim(struct parked *p)
{
	bool claimed;

	spin_lock_irq(&p->ep->wait.lock);
	claimed = !list_empty(&p->node);
	if (claimed)
		take_out(p);
	spin_unlock_irq(&p->ep->wait.lock);
	return claimed;
}

/* ---- looking ---- */

/* The result; or -EIOCBQUEUED: p is no longer the caller's. */
static long look(struct parked *p)
{
	struct msgc_endpoint *ep = p->ep;
	bool replied = p->waiter.replied;
	long ret = p->look(ep, &p->waiter, 0);

	while (ret == -EAGAIN) {
		int why = msgc_may_wait(ep, p->waiter.deadline);

		ret = p->look(ep, &p->waiter, why);
		if (why)
			break;
	}
	/* as of msgc_reply_recv() */
	return replied && ret == -EBUSY ? -EAGAIN : ret;
}

/*
 * The command was marked as cancelable, so this is the only way for it to end. Before
 * msgc_uring_done() has taken it off the core's list, under the ring's lock, cancel() may still
 * come for it. The core puts the file later.
 */
static void finish(struct parked *p, long ret, unsigned int issue_flags)
{
	if (ret == -EIOCBQUEUED)
		return;			/* p may be gone */
	msgc_uring_done(p->cmd, ret, issue_flags);
	parked_free(p);
}

/* Task work. If its thread ends it may be run by any other; or its thread is to end, and cannot. */
static void look_again(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct parked *p = *parked_of(cmd);
	struct msgc_endpoint *ep = p->ep;
	long ret;

	has_heard(p);
	if (msgc_uring_is_dead(issue_flags) || fatal_signal_pending(current)) {
		ret = p->look(ep, &p->waiter, -ECANCELED);
		wake_up_all(&ep->wait);		/* others were not told of its call */
	} else {
		ret = look(p);
		if (ret != -EIOCBQUEUED)
			msgc_inherit_settle(ep->ch);
	}
	finish(p, ret, issue_flags);
}

static void cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct parked *p = *parked_of(cmd);

	if (claim(p))
		finish(p, p->look(p->ep, &p->waiter, -ECANCELED), issue_flags);
}

/* ---- issuing ---- */

/* It ends here, or is parked. */
static int begin(struct msgc_endpoint *ep, const struct msgc_command *c, struct io_uring_cmd *cmd,
		 union msgc_hot *arg, unsigned int issue_flags)
{
	struct parked *p = parked_new(ep, cmd, c);
	long ret;

	if (IS_ERR(p))
		return PTR_ERR(p);
	ret = c->begin(ep, arg, &p->waiter);
	if (ret != -EIOCBQUEUED) {
		parked_free(p);
		return ret;
	}
	msgc_uring_mark_cancelable(cmd, issue_flags);
	ret = look(p);
	if (ret != -EIOCBQUEUED)
		msgc_inherit_settle(ep->ch);
	finish(p, ret, issue_flags);
	return -EIOCBQUEUED;
}

/* Where it cannot be parked: no command may have done half of what it is about. */
static int refuse_to_wait(const struct msgc_command *c, union msgc_hot *arg)
{
	switch (c->cmd) {
	case MSGC_WAIT:
		arg->wait.deadline = MSGC_NOW;
		return 0;
	case MSGC_CLAIM:
		arg->claim.deadline = MSGC_NOW;
		return 0;
	case MSGC_RECV:
		arg->recv.deadline = MSGC_NOW;
		return 0;
	case MSGC_CALL:
		if (!(arg->call.flags & MSGC_RESUME))
			return -EOPNOTSUPP;
		arg->call.deadline = MSGC_NOW;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static bool may_wait(const struct msgc_command *c, const union msgc_hot *arg)
{
	if (c->cmd == MSGC_CALL)
		return !(arg->call.flags & MSGC_ASYNC);
	if (c->cmd == MSGC_CLAIM)
		return arg->claim.n;
	return c->begin;
}

static long run(struct msgc_endpoint *ep, const struct msgc_command *c, struct io_uring_cmd *cmd,
		union msgc_hot *arg, unsigned int issue_flags)
{
	bool waits = may_wait(c, arg);
	long ret;

	if (waits && MSGC_URING_PARKS)
		return begin(ep, c, cmd, arg, issue_flags);
	if (waits && issue_flags & IO_URING_F_NONBLOCK) {
		ret = refuse_to_wait(c, arg);
		if (ret)
			return ret;
	}
	ret = c->run(ep, arg);
	msgc_inherit_settle(ep->ch);
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

/*
 * The entry lies in memory that is shared with the application: each word is read once. DETACH may
 * take long, and a BOUND server is served by its thread, not by a ring.
 */
static long command(struct msgc_endpoint *ep, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	const struct msgc_command *c = msgc_command_find(ep, cmd->cmd_op);
	const u64 *payload = msgc_uring_payload(cmd);
	union msgc_hot arg;
	int err;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (c->cmd == MSGC_DETACH || issue_flags & IO_URING_F_IOPOLL)
		return -EOPNOTSUPP;
	if (ep->bound)
		return -EPERM;
	arg.none.zero[0] = READ_ONCE(payload[0]);
	arg.none.zero[1] = READ_ONCE(payload[1]);
	err = msgc_command_check(ep, c, &arg);
	return err ?: run(ep, c, cmd, &arg, issue_flags);
}

/*
 * Results above 0 never go out by the return value: 6.1 loses them in workers and breaks links.
 * -EAGAIN would have it tried again.
 */
int msgc_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	long ret;

	if (msgc_uring_is_cancel(issue_flags)) {
		cancel(cmd, issue_flags);
		return 0;
	}
	ret = command(cmd->file->private_data, cmd, issue_flags);
	if (ret == -ENOIOCTLCMD)
		return -ENOTTY;
	if (ret <= 0 && ret != -EAGAIN)
		return ret;
	msgc_uring_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}
