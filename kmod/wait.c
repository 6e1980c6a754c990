// SPDX-License-Identifier: GPL-2.0-only
/*
 * wait.c - what every wait of an endpoint shares: its deadline, its timer, INTERRUPT, and the
 * wake-ups.
 *
 * The timer is armed lazily: started only when a deadline is earlier than the one it is set to,
 * never cancelled before the endpoint's end. When it rings it marks itself idle and wakes
 * everybody; who is not overdue looks, and arms it again.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>

#include "core.h"

/* Deadlines are absolute CLOCK_MONOTONIC. MSGC_NOW and MSGC_FOREVER are no times. */
u64 __msgc_deadline_to_host(u64 deadline, s64 offset)
{
	if (deadline == MSGC_NOW || deadline == MSGC_FOREVER)
		return deadline;
	if (deadline >= KTIME_MAX / 2)
		return KTIME_MAX;
	return max_t(s64, (s64)deadline - offset, 1);
}

u64 __msgc_deadline_to_user(u64 deadline, s64 offset)
{
	if (deadline == MSGC_NOW || deadline == MSGC_FOREVER || deadline == KTIME_MAX)
		return deadline;
	return max_t(s64, (s64)deadline + offset, 1);
}

/* INTERRUPT ends one wait, the first that asks. */
bool msgc_interrupted(struct msgc_endpoint *ep)
{
	return atomic_read(&ep->interrupted) && atomic_xchg(&ep->interrupted, 0);
}

/* As any waiter of a wait queue; the address says that it is one of ours. */
int msgc_wake_waiter(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	return autoremove_wake_function(entry, mode, flags, key);
}

/*
 * The clock is read only for a deadline that the timer does not cover: where it is set to that time
 * or an earlier one, it will ring and wake the caller, who has joined ep->wait, and asks again; or
 * is yet to park, and is refused then.
 */
static bool is_over(struct msgc_endpoint *ep, u64 deadline)
{
	if (deadline >= READ_ONCE(ep->timer_at))	/* MSGC_FOREVER always is */
		return false;
	if (ktime_get_ns() >= deadline)
		return true;
	msgc_timer_arm(ep, deadline);
	return false;
}

/* 0 if a command that found nothing may wait, else why not. Sees to it that the timer is armed. */
int msgc_may_wait(struct msgc_endpoint *ep, u64 deadline)
{
	if (READ_ONCE(ep->dead))
		return -ESHUTDOWN;
	if (msgc_interrupted(ep))
		return -EINTR;
	if (deadline == MSGC_NOW)
		return -EAGAIN;
	return is_over(ep, deadline) ? -ETIMEDOUT : 0;
}

/*
 * Asked after the calling thread has joined ep->wait and found nothing: 0 if it may schedule(),
 * else why not. -ERESTARTSYS also without a signal (task work, the freezer): the command is then
 * begun again without the application's knowing.
 */
int msgc_may_sleep(struct msgc_endpoint *ep, u64 deadline)
{
	return msgc_may_wait(ep, deadline) ?: signal_pending(current) ? -ERESTARTSYS : 0;
}

/*
 * The timer's callback may set timer_at to idle right after a start here and so hide a deadline
 * from the next caller, who then moves the timer back. No deadline is lost by that: the
 * callback wakes everybody after it has marked, and every waiter joined the queue before he
 * armed.
 */
void msgc_timer_arm(struct msgc_endpoint *ep, u64 deadline)
{
	if (deadline >= READ_ONCE(ep->timer_at))
		return;
	spin_lock(&ep->timer_lock);
	if (deadline < READ_ONCE(ep->timer_at)) {
		WRITE_ONCE(ep->timer_at, deadline);
		hrtimer_start(&ep->timer, ns_to_ktime(deadline), HRTIMER_MODE_ABS_SOFT);
	}
	spin_unlock(&ep->timer_lock);
}

enum hrtimer_restart msgc_timer_fired(struct hrtimer *timer)
{
	struct msgc_endpoint *ep = container_of(timer, struct msgc_endpoint, timer);

	WRITE_ONCE(ep->timer_at, U64_MAX);
	msgc_wake_all(ep);
	msgc_inherit_timer(ep);
	return HRTIMER_NORESTART;
}

/*
 * ---- waking: everybody, and with key 0 (with a key io_uring's multishot poll would complete
 * without asking ->poll, and never arm again) ----
 */

/* After a mark that is not made under channel->lock. */
void msgc_wake_all(struct msgc_endpoint *ep)
{
	wake_up_all(&ep->wait);
	msgc_parked_wake(ep);
}

/* CALLs are told of their outcome when they get it. */
static bool has_parked(const struct msgc_endpoint *ep)
{
	return !list_empty(&ep->parking.recvs) || !list_empty(&ep->parking.others);
}

/*
 * Called under or after the channel->lock section that made the condition true: a waiter joins
 * the queue before he takes that lock to look, and a command is parked under it.
 */
void msgc_wake(struct msgc_endpoint *ep)
{
	/* No barrier needed: channel->lock orders the joining and this look, see above. */
	if (waitqueue_active(&ep->wait))
		wake_up_all(&ep->wait);
	if (has_parked(ep))
		msgc_parked_wake(ep);
}

/*
 * The same, but the sleepers of ours first, synchronously: this thread is about to sleep, or to
 * return to user space with its work done. Those that are left are exclusive waiters
 * (EPOLLEXCLUSIVE), of whom one was woken, or have joined since, and looked, or will.
 */
void msgc_wake_sync(struct msgc_endpoint *ep)
{
	/* No barrier needed, as in msgc_wake(). */
	if (waitqueue_active(&ep->wait))
		__wake_up_sync(&ep->wait, TASK_NORMAL);
	msgc_wake(ep);
}
