// SPDX-License-Identifier: GPL-2.0-only
/*
 * uring.c - the hot commands by io_uring; those that have to wait are parked.
 *
 * A parked command is in a list of its endpoint, or a CALL in its slot, under parking.lock. Whoever
 * takes it out has claimed it, and nobody else touches it:
 *
 *	the settler	of a CALL has published its outcome: task work only tells
 *	a waker		queues task work, in which its thread looks again: it is through, or parks
 *	cancellation	(that thread's exit or exec, the ring's end) ends it with -ECANCELED; not
 *			what it waits for: a call goes on
 *
 * Cancellation that finds it claimed leaves it to the task work, and comes again. So a command has
 * no states of its own, and ends once.
 *
 * Task work is queued under the list's lock. That may wake who waits for the ring, or for its
 * eventfd, and who polls these; but never an endpoint's queue, which only this module wakes.
 *
 * Before 6.7 nothing may be parked, since the core could not cancel it: a command that would have
 * to wait is refused, or blocks in a worker thread if it was sent there (IOSQE_ASYNC).
 *
 * Locks: the core holds the ring's lock around most of this, outside of all of ours. io_uring's
 * completions are not called under a spinlock.
 */
#include <linux/sched/signal.h>

#include "command.h"
#include "txn.h"

#define MOST	128		/* parked, of an endpoint: its death tells all under a lock */

struct msgc_parked {		/* in the memory that the core has for it */
	struct list_head node;		/* but of a CALL: in a list of msgc_parking; or empty */
	struct msgc_awaited want;
};

static struct msgc_parked *parked_of(struct io_uring_cmd *cmd)
{
	BUILD_BUG_ON(sizeof(struct msgc_parked) > sizeof(cmd->pdu));
	BUILD_BUG_ON(offsetof(struct io_uring_cmd, pdu) % __alignof__(struct msgc_parked));
	return (struct msgc_parked *)cmd->pdu;
}

static struct io_uring_cmd *command_of(struct msgc_parked *p)
{
	return container_of((void *)p, struct io_uring_cmd, pdu);
}

static struct msgc_endpoint *endpoint_of(const struct io_uring_cmd *cmd)
{
	return cmd->file->private_data;
}

static bool is_recv(const struct io_uring_cmd *cmd)
{
	return cmd->cmd_op == MSGC_RECV || cmd->cmd_op == MSGC_REPLY_RECV;
}

/* ---- claiming; under parking.lock ---- */

static void look_again(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead);
static void hand_over(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead);
MSGC_URING_TASK_WORK(look_again_work, look_again)
MSGC_URING_TASK_WORK(hand_over_work, hand_over)

static bool is_call(struct msgc_parked *p)
{
	return command_of(p)->cmd_op == MSGC_CALL;
}

/* Also asked of one that is yet to begin, and has no slot. */
static bool is_parked(struct msgc_parked *p)
{
	const struct msgc_txn *txn;

	if (!is_call(p))
		return !list_empty(&p->node);
	txn = READ_ONCE(p->want.txn);
	return txn && txn->parked == p;
}

static void take_out(struct msgc_parked *p)
{
	if (is_call(p))
		WRITE_ONCE(p->want.txn->parked, NULL);
	else
		list_del_init(&p->node);
}

/* Never put off until its thread has more to do: it may take what somebody waits for. */
static void tell(struct msgc_parked *p)
{
	take_out(p);
	msgc_uring_in_task(command_of(p), look_again_work);
}

static void tell_others(struct msgc_parking *lot)
{
	struct msgc_parked *p, *next;

	list_for_each_entry_safe(p, next, &lot->others, node)
		tell(p);
}

static void tell_or_keep(struct msgc_parking *lot, struct msgc_parked *p, bool all, u64 timer_at)
{
	if (all || p->want.deadline < timer_at)
		tell(p);
	else
		lot->soonest = min(lot->soonest, p->want.deadline);
}

/*
 * CALLs and RECVs: all of them, or those whose deadline the timer does not cover, since it has rung
 * or is yet to be armed.
 */
static void tell_of_marks(struct msgc_endpoint *ep)
{
	bool all = READ_ONCE(ep->dead) || atomic_read(&ep->interrupted);
	struct msgc_parking *lot = &ep->parking;
	u64 timer_at = READ_ONCE(ep->timer_at);
	struct msgc_parked *p, *next;
	u32 i;

	if (!all && lot->soonest >= timer_at)
		return;
	lot->soonest = MSGC_FOREVER;
	for (i = 0; ep->txn && i < ep->ch->par.slots; i++)
		if (ep->txn[i].parked)
			tell_or_keep(lot, ep->txn[i].parked, all, timer_at);
	list_for_each_entry_safe(p, next, &lot->recvs, node)
		tell_or_keep(lot, p, all, timer_at);
}

/*
 * As many RECVs of a runner are told as there are calls: true counts one more. None is forgotten:
 * whoever queues a call wakes under channel->lock, and one that has heard takes that to look.
 */
static bool count_told(struct msgc_endpoint *ep, const void *runner)
{
	struct msgc_parking *lot = &ep->parking;

	if (lot->told != runner) {
		WRITE_ONCE(lot->told, runner);
		atomic_set(&lot->nr_told, 0);
	}
	if (atomic_read(&lot->nr_told) >= READ_ONCE(ep->ch->queued))
		return false;
	atomic_inc(&lot->nr_told);
	return true;
}

/*
 * A runner that nobody enters keeps no other one from hearing of it: some are told in vain, and all
 * where two take turns in the list. None is told before all are counted: one that hears of a call
 * at once is counted no more, and another would be told of the same.
 */
static void tell_of_calls(struct msgc_endpoint *ep)
{
	struct msgc_parking *lot = &ep->parking;
	struct msgc_parked *p, *next;
	LIST_HEAD(counted);

	list_for_each_entry_safe(p, next, &lot->recvs, node) {
		if (count_told(ep, msgc_uring_runner(command_of(p))))
			list_move_tail(&p->node, &counted);
		else if (!lot->mixed)
			break;
	}
	list_for_each_entry_safe(p, next, &counted, node)
		tell(p);
}

/* Without channel->lock: whoever changes what is read here calls this afterwards. */
void msgc_parked_wake(struct msgc_endpoint *ep)
{
	struct msgc_parking *lot = &ep->parking;

	spin_lock_irq(&lot->lock);
	tell_of_marks(ep);
	tell_of_calls(ep);
	tell_others(lot);
	spin_unlock_irq(&lot->lock);
}

/*
 * Its thread has only to be told, together with other outcomes that it waits for, unless there are
 * files to be installed for it.
 */
void __msgc_parked_settled(struct msgc_txn *txn)
{
	struct msgc_parking *lot = &txn->client->parking;
	struct msgc_parked *p;

	lockdep_assert_held(&txn->client->ch->lock);
	spin_lock_irq(&lot->lock);
	p = txn->parked;
	if (p && unlikely(txn->got)) {
		tell(p);
	} else if (p) {
		take_out(p);
		msgc_uring_in_task_lazy(command_of(p), hand_over_work);
	}
	spin_unlock_irq(&lot->lock);
}

static void park_recv(struct msgc_parking *lot, struct msgc_parked *p)
{
	const void *runner = msgc_uring_runner(command_of(p));

	if (list_empty(&lot->recvs)) {
		lot->runner = runner;
		lot->mixed = false;
	}
	lot->mixed |= runner != lot->runner;
	list_add_tail(&p->node, &lot->recvs);
}

static void park(struct msgc_parking *lot, struct msgc_parked *p)
{
	struct io_uring_cmd *cmd = command_of(p);

	if (is_call(p)) {
		WRITE_ONCE(p->want.txn->parked, p);
	} else if (is_recv(cmd)) {
		park_recv(lot, p);
	} else {
		list_add_tail(&p->node, &lot->others);
		return;
	}
	lot->soonest = min(lot->soonest, p->want.deadline);
}

/*
 * Whoever changes what was looked for wakes it, since he needs channel->lock for that. INTERRUPT
 * and the timer's callback do not; they set their mark, then wake: the mark is looked at here under
 * the lock that they take for it. So it does not matter that the timer was armed before this.
 */
long msgc_park(struct msgc_endpoint *ep, struct msgc_awaited *want)
{
	struct msgc_parking *lot = &ep->parking;
	bool parks;

	lockdep_assert_held(&ep->ch->lock);
	spin_lock_irq(&lot->lock);
	parks = !atomic_read(&ep->interrupted) && want->deadline >= READ_ONCE(ep->timer_at);
	if (parks)
		park(lot, container_of(want, struct msgc_parked, want));
	spin_unlock_irq(&lot->lock);
	return parks ? -EIOCBQUEUED : -EAGAIN;
}

void msgc_parking_init(struct msgc_parking *lot)
{
	spin_lock_init(&lot->lock);
	INIT_LIST_HEAD(&lot->recvs);
	INIT_LIST_HEAD(&lot->others);
	lot->soonest = MSGC_FOREVER;
}

static bool claim(struct msgc_parking *lot, struct msgc_parked *p)
{
	bool claimed;

	spin_lock_irq(&lot->lock);
	claimed = is_parked(p);
	if (claimed)
		take_out(p);
	spin_unlock_irq(&lot->lock);
	return claimed;
}

/* ---- looking ---- */

/*
 * A RECV that was told of a call is about to look, or will not. Before it takes channel->lock for
 * that, so whoever has queued a call since counts it no more. Should `told` change just now, too
 * few are counted, and one more is told.
 */
static void has_heard(struct msgc_parking *lot, struct io_uring_cmd *cmd)
{
	if (is_recv(cmd) && READ_ONCE(lot->told) == msgc_uring_runner(cmd))
		atomic_dec_if_positive(&lot->nr_told);
}

static long look_for(struct io_uring_cmd *cmd, int why)
{
	return msgc_command_of(cmd->cmd_op)->look(endpoint_of(cmd), &parked_of(cmd)->want, why);
}

static int may_wait_for(struct io_uring_cmd *cmd)
{
	if (fatal_signal_pending(current))
		return -ECANCELED;
	return msgc_may_wait(endpoint_of(cmd), parked_of(cmd)->want.deadline);
}

/* The result; or -EIOCBQUEUED: it is parked, and may be gone. */
static long look(struct io_uring_cmd *cmd)
{
	for (;;) {
		long ret = look_for(cmd, 0);
		int why;

		if (ret != -EAGAIN)
			return ret;
		why = may_wait_for(cmd);
		if (why)
			return look_for(cmd, why);
	}
}

/*
 * The command was marked as cancelable, so this is the only way for it to end. Before
 * msgc_uring_done() has taken it off the core's list, under the ring's lock, cancel() may still
 * come for it. After that, its file may be gone.
 */
static void finish(struct io_uring_cmd *cmd, long ret, unsigned int issue_flags)
{
	if (ret == -EIOCBQUEUED)
		return;			/* the command may be gone */
	if (ret == -EBUSY && cmd->cmd_op == MSGC_REPLY_RECV)
		ret = -EAGAIN;		/* as of msgc_reply_recv() */
	atomic_dec(&endpoint_of(cmd)->parking.nr);
	msgc_uring_done(cmd, ret, issue_flags);
}

/*
 * Task work: the end of a wait, as settled_locked() of call.c has it, without channel->lock. No
 * priority was lent to this thread for it.
 */
static void hand_over(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	struct msgc_txn *txn = parked_of(cmd)->want.txn;
	long slot = txn->slot;

	/* Pairs with the acquire of whoever begins or resumes: the slot is no longer looked at. */
	smp_store_release(&txn->waiter, false);
	finish(cmd, slot, issue_flags);
}

/* Task work. If its thread ends it may be run by any other; or its thread is to end, and cannot. */
static void look_again(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	struct msgc_endpoint *ep = endpoint_of(cmd);
	long ret;

	has_heard(&ep->parking, cmd);
	if (dead || fatal_signal_pending(current)) {
		ret = look_for(cmd, -ECANCELED);
		msgc_wake_all(ep);		/* others were not told of its call */
	} else {
		ret = look(cmd);
		if (ret != -EIOCBQUEUED)
			msgc_inherit_settle(ep->ch);
	}
	finish(cmd, ret, issue_flags);
}

static void cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	if (claim(&endpoint_of(cmd)->parking, parked_of(cmd)))
		finish(cmd, look_for(cmd, -ECANCELED), issue_flags);
}

/* ---- issuing ---- */

/* It ends here, or is parked: it may be gone then, but the core still holds the file for us. */
static int begin(struct msgc_endpoint *ep, const struct msgc_command *c, struct io_uring_cmd *cmd,
		 union msgc_hot *arg, unsigned int issue_flags)
{
	struct msgc_parked *p = parked_of(cmd);
	long ret;

	if (atomic_inc_return(&ep->parking.nr) > MOST) {
		atomic_dec(&ep->parking.nr);
		return -EUSERS;
	}
	*p = (struct msgc_parked){ .node = LIST_HEAD_INIT(p->node) };
	msgc_uring_mark_cancelable(cmd, issue_flags);
	ret = c->begin(ep, arg, &p->want);
	if (ret == -EAGAIN) {
		msgc_inherit_settle(ep->ch);
		ret = look(cmd);
	}
	msgc_inherit_settle(ep->ch);
	finish(cmd, ret, issue_flags);
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
	const struct msgc_payload *payload = msgc_uring_payload(cmd);
	union msgc_hot arg;
	int err;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (c->cmd == MSGC_DETACH || msgc_uring_is_iopoll(cmd))
		return -EOPNOTSUPP;
	if (ep->bound)
		return -EPERM;
	arg.none.zero[0] = READ_ONCE(payload->word[0]);
	arg.none.zero[1] = READ_ONCE(payload->word[1]);
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
	if (ret <= 0 && ret != -EAGAIN)
		return ret;
	msgc_uring_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}
