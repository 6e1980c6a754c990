// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - the hot commands by io_uring; those that have to wait are parked.
 *
 * A parked command is a waiter in endpoint->wait, as a sleeping thread is, so whatever wakes one
 * wakes the other. Whoever takes it out of that queue, under the queue's lock, has claimed it, and
 * nobody else touches it:
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

#define MOST	128		/* parked, of an endpoint: whoever wakes it walks over them */

struct parked {
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

static struct parked *parked_new(struct msgc_endpoint *ep, struct io_uring_cmd *cmd,
				 const struct msgc_command *c)
{
	struct parked *p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);

	if (!p)
		return ERR_PTR(-ENOMEM);
	if (atomic_inc_return(&ep->parked) > MOST) {
		atomic_dec(&ep->parked);
		kfree(p);
		return ERR_PTR(-EUSERS);
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
	atomic_dec(&p->ep->parked);
	kfree(p);
}

/* ---- waking ---- */

/*
 * A call for one of several RECVs of a ring: as many are told as there are calls. A ring that
 * nobody looks at keeps no other one from hearing of it: then somebody may be told in vain.
 */
static bool tell_of_call(struct msgc_endpoint *ep, const void *ring)
{
	lockdep_assert_held(&ep->wait.lock);
	if (ep->told != ring) {
		ep->told = ring;
		ep->nr_told = 0;
	}
	if (ep->nr_told >= READ_ONCE(ep->ch->queued))
		return false;
	ep->nr_told++;
	return true;
}

/* Without channel->lock: whoever changes what is read here wakes afterwards. */
static bool is_about(const struct parked *p)
{
	const struct msgc_waiter *w = &p->waiter;
	struct msgc_endpoint *ep = p->ep;

	if (READ_ONCE(ep->dead) || atomic_read(&ep->interrupted) ||
	    w->deadline < READ_ONCE(ep->timer_at))
		return true;
	if (w->txn)
		return READ_ONCE(w->txn->outcome);
	return w->what != MSGC_WAITS_CALL || tell_of_call(ep, p->ring);
}

static void look_again(struct io_uring_cmd *cmd, unsigned int issue_flags);

/*
 * The end of a CALL may be told together with others that its thread waits for, too. A RECV or
 * CLAIM takes something, and somebody may wait for just that.
 */
static int wake_parked(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct parked *p = container_of(entry, struct parked, waiter.entry);

	if (!is_about(p))
		return 0;
	list_del_init(&entry->entry);
	if (p->waiter.txn)
		msgc_uring_in_task_lazy(p->cmd, look_again);
	else
		msgc_uring_in_task(p->cmd, look_again);
	return 0;
}

/* A RECV that was told of a call is about to look, or will not. */
static void has_heard(struct parked *p)
{
	struct msgc_endpoint *ep = p->ep;

	if (p->waiter.what != MSGC_WAITS_CALL)
		return;
	spin_lock_irq(&ep->wait.lock);
	if (ep->told == p->ring && ep->nr_told)
		ep->nr_told--;
	spin_unlock_irq(&ep->wait.lock);
}

static bool claim(struct parked *p)
{
	bool claimed;

	spin_lock_irq(&p->ep->wait.lock);
	claimed = !list_empty(&p->waiter.entry.entry);
	list_del_init(&p->waiter.entry.entry);
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
	p->waiter.entry.func = wake_parked;
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
