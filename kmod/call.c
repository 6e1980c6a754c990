// SPDX-License-Identifier: GPL-2.0-only
/*
 * call.c - rendezvous: the commands CALL, CANCEL, RECV, REPLY and REPLY_RECV, and how they wait.
 * What they do to a call stands in txn.c.
 */
#include <linux/err.h>
#include <linux/nospec.h>

#include "command.h"
#include "txn.h"

#define CALL_FLAGS	(MSGC_ONEWAY | MSGC_ASYNC | MSGC_NEED_SERVER | MSGC_RESUME)
#define ANY_SLOT	0xffff

/* ---- CALL ---- */

/* The files that a header names, if any. Before channel->lock, under which the rest is read. */
static int fetch_files(const struct msgc_endpoint *ep, const u8 *nfds, const s32 *fds,
		       struct msgc_files **files)
{
	u8 n = READ_ONCE(*nfds);
	struct msgc_files *got;

	if (likely(!n))
		return 0;
	got = msgc_files_get(ep, fds, n);
	if (IS_ERR(got))
		return PTR_ERR(got);
	*files = got;
	return 0;
}

/* A new call, as it stands in the queue and in the client's line; its header has been read. */
static void reset_locked(struct msgc_txn *txn, u16 flags, u64 deadline, u8 prio)
{
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_done *done = txn->done;

	lockdep_assert_held(&ch->lock);
	if (flags & MSGC_ONEWAY)
		txn->req.room = 0;
	txn->flags = flags;
	txn->deadline = deadline;
	txn->prio = prio;
	txn->base = prio;
	txn->arrival = ch->arrivals++;
	txn->attempts = 0;
	txn->ever_taken = false;
	txn->outcome = MSGC_O_NONE;
	txn->format = 0;
	txn->marks = flags & MSGC_ONEWAY ? MSGC_M_ONEWAY : 0;
	done->status = 0;
	done->len = 0;
	done->type = 0;
	done->server = 0;
	done->cookie = txn->req.cookie;
}

static int start_locked(struct msgc_txn *txn, const struct msgc_call *call, u64 deadline, u8 prio,
			struct msgc_files *files, bool sleeps)
{
	struct msgc_channel *ch = txn->client->ch;
	int err;

	lockdep_assert_held(&ch->lock);
	if (txn->state != MSGC_IDLE) {
		/* Even if that makes it free: it has an outcome then that nobody has seen. */
		msgc_txn_judge(txn);
		return -EBUSY;
	}
	if (smp_load_acquire(&txn->waiter))	/* pairs with hand_over() of uring.c */
		return -EBUSY;
	err = msgc_txn_read_request(txn);
	if (err)
		return err;
	if (call->flags & MSGC_NEED_SERVER && !ch->servers)
		return -EHOSTDOWN;
	if (sleeps) {
		err = msgc_bound_wait(txn);
		if (err)
			return err;
	}
	/* its owner may have changed that since they were got */
	txn->req.nfds = unlikely(files) ? msgc_files_nr(files) : 0;
	if (unlikely(files || txn->with_fds))
		msgc_files_begin(txn, files);
	reset_locked(txn, call->flags, deadline, prio);
	msgc_txn_enqueue(txn);
	msgc_txn_publish(txn);
	msgc_call_wake_servers(ch, sleeps);
	return 0;
}

static int resume_locked(struct msgc_txn *txn, u64 deadline, bool sleeps)
{
	lockdep_assert_held(&txn->client->ch->lock);
	if (smp_load_acquire(&txn->waiter))	/* pairs with hand_over() of uring.c */
		return -EBUSY;
	if (txn->state == MSGC_IDLE && !txn->outcome)
		return -ENOENT;
	return txn->outcome || deadline == MSGC_NOW || !sleeps ? 0 : msgc_bound_wait(txn);
}

/* What ends a wait whatever the outcome: nobody may be there to be told. */
static bool comes_first(int err)
{
	return err == -EINTR || err == -ECANCELED;
}

/*
 * What the waiter looks at; for the last time if there is an err that ends its wait. Files that
 * came with the outcome are its to install, and then it will cease to be the waiter. Those that an
 * interrupted one does not get are for RESUME.
 */
static bool settled_locked(struct msgc_txn *txn, int err, struct msgc_files **files)
{
	bool ret;

	lockdep_assert_held(&txn->client->ch->lock);
	if (!txn->outcome) {
		msgc_txn_overdue(txn);
		if (err == -ESHUTDOWN && !txn->outcome)
			msgc_txn_give_up(txn, err);
		msgc_call_wake_client(txn->client);
	}
	ret = txn->outcome;
	if (ret || err) {
		if (unlikely(txn->got) && ret && !comes_first(err))
			swap(txn->got, *files);
		else
			txn->waiter = false;
		msgc_bound_done(txn);
		msgc_inherit_woken(txn);
	}
	return ret;
}

static bool settled(struct msgc_txn *txn, int err, struct msgc_files **files)
{
	struct msgc_channel *ch = txn->client->ch;
	bool ret;

	spin_lock(&ch->lock);
	ret = settled_locked(txn, err, files);
	spin_unlock(&ch->lock);
	return ret;
}

/*
 * An outcome beats whatever else ends the wait, save INTERRUPT, which must not get lost. Who was
 * woken looks before it joins the queue again: most often it has no need to.
 */
static long wait_for_outcome(struct msgc_txn *txn, u64 until, struct msgc_files **files)
{
	struct msgc_endpoint *ep = txn->client;
	struct msgc_waiter waiter = MSGC_WAITER(waiter, MSGC_WAITS_OUTCOME, until);
	int err = 0;
	bool done;

	waiter.want.txn = txn;
	do {
		prepare_to_wait(&ep->wait, &waiter.entry, TASK_INTERRUPTIBLE);
		done = settled(txn, 0, files);
		if (done)
			break;
		err = msgc_may_sleep(ep, until);
		if (!err)
			schedule();
		done = settled(txn, err, files);
	} while (!done && !err);
	finish_wait(&ep->wait, &waiter.entry);
	return done && err != -EINTR ? txn->slot : err;
}

/*
 * A server that was woken on this CPU may run first: most often it has answered before we come
 * back, and nobody needs to put us to sleep and wake us.
 */
static bool served_meanwhile(struct msgc_txn *txn, u64 until, struct msgc_files **files)
{
	if (txn->client->ch->par.spin_ns && msgc_spin(txn->client, txn, until))
		return settled(txn, 0, files);
	if (!need_resched())
		return false;
	cond_resched();
	return settled(txn, 0, files);
}

static int check_call(const struct msgc_channel *ch, const struct msgc_call *call)
{
	if (call->flags & ~CALL_FLAGS)
		return -EOPNOTSUPP;
	if (call->zero || call->slot >= ch->par.slots)
		return -EINVAL;
	if (call->flags & MSGC_RESUME)
		return call->flags & MSGC_ASYNC ? -EINVAL : 0;
	return call->deadline == MSGC_NOW ? -EINVAL : 0;
}

/* Which call it is about, if all is well. */
static struct msgc_txn *find_call(const struct msgc_endpoint *ep, const struct msgc_call *call)
{
	int err = check_call(ep->ch, call);

	return err ? ERR_PTR(err) : &ep->txn[array_index_nospec(call->slot, ep->ch->par.slots)];
}

/* Who waits for it. */
enum waits { NOBODY, THREAD, RING };

/*
 * Begins, or resumes. After that there is a waiter, unless it is asynchronous. By io_uring it is
 * parked in the same section, unless it has its outcome (-EAGAIN), and may be gone then.
 */
static int begin(struct msgc_txn *txn, const struct msgc_call *call, enum waits who,
		 struct msgc_awaited *want)
{
	u64 deadline = msgc_deadline_to_host(call->deadline);
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_files *files = NULL;
	bool resume = call->flags & MSGC_RESUME;
	u8 prio = msgc_inherit_own(ch, msgc_call_prio());
	int err = resume ? 0 : fetch_files(txn->client, &txn->request->nfds, txn->request->fds,
					   &files);

	if (err)
		return err;
	spin_lock(&ch->lock);
	if (txn->client->dead)
		err = -ESHUTDOWN;
	else if (resume)
		err = resume_locked(txn, deadline, who == THREAD);
	else
		err = start_locked(txn, call, deadline, prio, files, who == THREAD);
	if (!err) {
		files = NULL;		/* the call has them */
		txn->waiter = who != NOBODY;
		want->txn = txn;
		want->deadline = min(deadline, txn->deadline);
		if (who == RING)
			err = txn->outcome ? -EAGAIN : msgc_park(txn->client, want);
	}
	spin_unlock(&ch->lock);
	if (unlikely(files))
		msgc_files_put(files);
	return err;
}

long msgc_call(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	struct msgc_call *call = &arg->call;
	struct msgc_txn *txn = find_call(ep, call);
	struct msgc_files *files = NULL;
	struct msgc_awaited want;
	long ret;

	if (IS_ERR(txn))
		return PTR_ERR(txn);
	ret = begin(txn, call, call->flags & MSGC_ASYNC ? NOBODY : THREAD, &want);
	if (ret)
		return ret;
	msgc_inherit_settle(ep->ch);
	if (call->flags & MSGC_ASYNC) {
		msgc_timer_arm(ep, want.deadline);	/* for those who poll */
		return 0;
	}
	msgc_inherit_sleep(txn);
	ret = served_meanwhile(txn, want.deadline, &files) ?
		txn->slot : wait_for_outcome(txn, want.deadline, &files);
	if (unlikely(files))
		msgc_files_collect(txn, files);
	if (ret == -ERESTARTSYS || ret == -EINTR)
		call->flags |= MSGC_RESUME;
	return ret;
}

long msgc_call_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want)
{
	struct msgc_txn *txn = find_call(ep, &arg->call);

	return IS_ERR(txn) ? PTR_ERR(txn) : begin(txn, &arg->call, RING, want);
}

long msgc_call_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why)
{
	struct msgc_txn *txn = want->txn;
	struct msgc_files *files = NULL;
	long ret = why;

	spin_lock(&ep->ch->lock);
	if (settled_locked(txn, why, &files) && !comes_first(why))
		ret = txn->slot;
	else if (!why)
		ret = msgc_park(ep, want);
	spin_unlock(&ep->ch->lock);
	if (unlikely(files))
		msgc_files_collect(txn, files);
	return ret;
}

/* ---- CANCEL ---- */

/* A one-way message that is queued again can still be withdrawn, though it has its outcome. */
static bool cancelable(const struct msgc_txn *txn, u64 cookie)
{
	return txn->req.cookie == cookie &&
	       (txn->state == MSGC_QUEUED || (txn->state == MSGC_TAKEN && !txn->outcome));
}

static int cancel_locked(struct msgc_endpoint *ep, u32 first, u32 end, u64 cookie)
{
	u32 i;

	lockdep_assert_held(&ep->ch->lock);
	if (ep->dead)
		return -ESHUTDOWN;
	for (i = first; i < end; i++) {
		if (!cancelable(&ep->txn[i], cookie))
			continue;
		msgc_txn_give_up(&ep->txn[i], -ECANCELED);
		msgc_call_wake_client(ep);
		return 0;
	}
	return -ENOENT;
}

long msgc_cancel(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	const struct msgc_cancel *cancel = &arg->cancel;
	struct msgc_channel *ch = ep->ch;
	u32 first = 0, end = ch->par.slots;
	int err;

	if (cancel->flags)
		return -EOPNOTSUPP;
	if (cancel->zero)
		return -EINVAL;
	if (cancel->slot != ANY_SLOT) {
		if (cancel->slot >= ch->par.slots)
			return -EINVAL;
		first = array_index_nospec(cancel->slot, ch->par.slots);
		end = first + 1;
	}
	spin_lock(&ch->lock);
	err = cancel_locked(ep, first, end, cancel->cookie);
	spin_unlock(&ch->lock);
	return err;
}

/* ---- RECV, REPLY ---- */

static long receive_locked(struct msgc_endpoint *server, struct msgc_files **files)
{
	struct msgc_txn *txn;
	long ret;

	lockdep_assert_held(&server->ch->lock);
	if (server->dead)
		return -ESHUTDOWN;
	if (server->taken == server->nr_holds)
		return -EBUSY;
	txn = msgc_txn_first_waiting(server->ch);
	if (!txn)
		return -EAGAIN;
	ret = msgc_txn_take(server, txn, files);
	if (txn->flags & MSGC_ONEWAY) {
		msgc_txn_settle(txn, MSGC_O_DONE, 0);
		msgc_call_wake(txn->client, false);
	}
	msgc_txn_publish(txn);
	return ret;
}

static long try_receive(struct msgc_endpoint *server, struct msgc_files **files)
{
	long ret;

	spin_lock(&server->ch->lock);
	ret = receive_locked(server, files);
	spin_unlock(&server->ch->lock);
	return ret;
}

static long wait_for_call(struct msgc_endpoint *server, u64 deadline, struct msgc_files **files)
{
	struct msgc_waiter waiter = MSGC_WAITER(waiter, MSGC_WAITS_CALL, deadline);
	long ret;

	if (server->ch->par.spin_ns && msgc_spin(server, NULL, deadline)) {
		ret = try_receive(server, files);
		if (ret != -EAGAIN)
			return ret;
	}
	do {
		prepare_to_wait(&server->wait, &waiter.entry, TASK_INTERRUPTIBLE);
		ret = try_receive(server, files);
		if (ret != -EAGAIN)
			break;
		ret = msgc_may_sleep(server, deadline);
		if (ret)
			break;
		if (msgc_inherit_unsettled(server->ch)) {
			/* Another thread took the call that we were made urgent for. */
			finish_wait(&server->wait, &waiter.entry);
			msgc_inherit_settle(server->ch);
		} else {
			schedule();
		}
		ret = try_receive(server, files);	/* as in wait_for_outcome() */
	} while (ret == -EAGAIN);
	finish_wait(&server->wait, &waiter.entry);
	return ret;
}

static long receive(struct msgc_endpoint *server, u64 deadline)
{
	struct msgc_files *files = NULL;
	long ret;

	msgc_inherit_begin(server);
	ret = wait_for_call(server, deadline, &files);
	msgc_inherit_end(server);
	if (unlikely(files))
		msgc_files_receive(server, ret, files);
	return ret;
}

static int check_recv(const struct msgc_recv *recv)
{
	if (recv->flags)
		return -EOPNOTSUPP;
	return recv->zero ? -EINVAL : 0;
}

long msgc_recv(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	return check_recv(&arg->recv) ?: receive(ep, msgc_deadline_to_host(arg->recv.deadline));
}

long msgc_recv_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want)
{
	want->deadline = msgc_deadline_to_host(arg->recv.deadline);
	return check_recv(&arg->recv) ?: -EAGAIN;
}

static long receive_or_park(struct msgc_endpoint *server, struct msgc_awaited *want, int why,
			    struct msgc_files **files)
{
	long ret = receive_locked(server, files);

	return ret == -EAGAIN ? why ?: msgc_park(server, want) : ret;
}

/* Of REPLY_RECV, too. */
long msgc_recv_look(struct msgc_endpoint *server, struct msgc_awaited *want, int why)
{
	struct msgc_files *files = NULL;
	long ret;

	if (comes_first(why))
		return why;
	spin_lock(&server->ch->lock);
	ret = receive_or_park(server, want, why, &files);
	spin_unlock(&server->ch->lock);
	if (unlikely(files))
		msgc_files_receive(server, ret, files);
	return ret;
}

/* What the server's line says becomes the outcome; each field is read once. */
static int take_answer(struct msgc_txn *txn, const struct msgc_reply *reply,
		       const struct msgc_answer *line, struct msgc_files **files)
{
	if (READ_ONCE(line->zero))
		return -EINVAL;
	if (reply->len > txn->req.room)
		return -EMSGSIZE;
	if (unlikely(files[0] || txn->files))
		msgc_files_answer(txn, &files[0], &files[1]);
	if (!txn->outcome) {
		txn->done->len = reply->len;
		txn->done->type = READ_ONCE(line->type);
		txn->format = READ_ONCE(line->format);
		msgc_txn_settle(txn, MSGC_O_DONE, reply->status);
	}
	return 0;
}

/*
 * `hold`: where the call would be; or NULL. `receives`: who answers looks for the next call in the
 * same section.
 */
static int answer_locked(struct msgc_endpoint *server, const struct msgc_hold *hold,
			 const struct msgc_reply *reply, bool handoff, bool receives,
			 struct msgc_files **files)
{
	bool full = server->taken == server->nr_holds;
	struct msgc_txn *txn;
	int err;

	lockdep_assert_held(&server->ch->lock);
	if (server->dead)
		return -ESHUTDOWN;
	if (!hold || !hold->txn || hold->id != reply->call)
		return -ENOENT;
	txn = hold->txn;
	err = take_answer(txn, reply, hold->answer, files);
	if (err)
		return err;
	msgc_txn_let_go(txn);
	if (unlikely(full) && !receives && server->ch->queued)
		msgc_call_wake(server, false);		/* RECV said EBUSY until now */
	msgc_call_wake(txn->client, handoff);
	return 0;
}

/* With `want`, it receives in the same section, or parks. */
static long answer(struct msgc_endpoint *server, const struct msgc_reply *reply, bool handoff,
		   struct msgc_awaited *want)
{
	/* of the reply, and then of the request: whatever is to be put in the end */
	struct msgc_files *files[2] = { NULL, NULL }, *received = NULL;
	const struct msgc_hold *hold = msgc_hold_of(server, reply->call);
	long ret = hold ? fetch_files(server, &hold->answer->nfds, hold->answer->fds, files) : 0;

	if (ret)
		return ret;
	spin_lock(&server->ch->lock);
	ret = answer_locked(server, hold, reply, handoff, want, files);
	if (!ret && want)
		ret = receive_or_park(server, want, 0, &received);
	spin_unlock(&server->ch->lock);
	if (unlikely(files[0] || files[1])) {
		msgc_files_drop(&files[0]);
		msgc_files_drop(&files[1]);
	}
	if (unlikely(received))
		msgc_files_receive(server, ret, received);
	return ret;
}

long msgc_reply(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	return answer(ep, &arg->reply, false, NULL);
}

static u64 own_deadline(const struct msgc_endpoint *ep)
{
	const struct msgc_own *own = msgc_region_at(&ep->own, 0);

	return msgc_deadline_to_host(READ_ONCE(own->deadline));
}

/*
 * `call` is cleared between the halves: written back, it makes a restarted command receive only,
 * and tells the caller that the reply went out. EBUSY would say that nothing was done: others can
 * have taken the free entry, be it before the restart.
 */
long msgc_reply_recv(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	long ret;

	if (arg->reply.call) {
		ret = answer(ep, &arg->reply, true, NULL);
		if (ret)
			return ret;
		arg->reply.call = 0;
	}
	ret = receive(ep, own_deadline(ep));
	return ret == -EBUSY ? -EAGAIN : ret;
}

long msgc_reply_recv_begin(struct msgc_endpoint *ep, union msgc_hot *arg,
			   struct msgc_awaited *want)
{
	want->deadline = own_deadline(ep);
	return arg->reply.call ? answer(ep, &arg->reply, false, want) : -EAGAIN;
}
