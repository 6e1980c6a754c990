// SPDX-License-Identifier: GPL-2.0-only
/*
 * call.c - rendezvous: the states of a call, from CALL to the server's letting go of the slot, and
 * the commands that move it.
 *
 * A client's slot is one msgc_txn, a server's inbox entry one msgc_hold. The state says who has the
 * slot's memory, the outcome what the client was told: it is set once a call, and stays when the
 * slot is let go.
 *
 *	       CALL             RECV            REPLY; or the server died
 *	IDLE --------> QUEUED --------> TAKEN ----------------------------> IDLE
 *	                  ^                |
 *	                  +----------------+ the server died, and the channel redelivers:
 *	                                     to the front, attempts + 1
 *
 *	event		while QUEUED			while TAKEN
 *	RECV		TAKEN; one-way: DONE		-
 *	REPLY		-				IDLE, DONE
 *	deadline	IDLE, -ETIMEDOUT		TAKEN, -ETIMEDOUT, server sees GONE
 *	CANCEL		IDLE, -ECANCELED		TAKEN, -ECANCELED, server sees GONE
 *	client died	IDLE, -ESHUTDOWN		TAKEN, -ESHUTDOWN, server sees GONE
 *	server died	-				QUEUED, or IDLE, -EOWNERDEAD
 *	no server left	NEED_SERVER: IDLE, -EHOSTDOWN	-
 *	signal		ends the wait, never the call
 *
 * With an errno goes NOT_EXECUTED if no server ever had the call, else MAYBE (`ever_taken`: this is
 * so for a call that is queued again, too). What comes after the outcome only moves the state: a
 * taken call that timed out, or a one-way call, keeps its slot until the server lets go, who may
 * still be reading the request in place.
 *
 * All of this happens under channel->lock. A deadline has no thread of its own: whoever looks at a
 * call asks overdue_locked() first.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "core.h"

#define CALL_FLAGS	(MSGC_ONEWAY | MSGC_ASYNC | MSGC_NEED_SERVER | MSGC_RESUME)
#define ANY_SLOT	0xffff
#define ENTRY_BITS	16		/* of a call id; the rest is a generation */

struct msgc_txn {			/* a slot and the call in it: channel->lock */
	struct list_head node;		/* QUEUED: in channel->queue; TAKEN: in server->holding */
	struct msgc_endpoint *client;
	struct msgc_endpoint *server;	/* while TAKEN */
	struct msgc_request req;	/* the client's header, copied once */
	u64 deadline;			/* the host's time */
	u32 event, attempts;
	u16 slot, flags, entry;		/* flags: of CALL; entry: in the server's inbox */
	u8 state, outcome, format;	/* format: of the reply */
	bool ever_taken;
	bool waiter;			/* a thread sleeps for the outcome */
};

struct msgc_hold {			/* an inbox entry: channel->lock */
	struct msgc_txn *txn;		/* NULL: free */
	u64 id;
	u32 next;			/* free: the next free one */
};

/* ---- what is shared with user space ---- */

static struct msgc_request *request_of(const struct msgc_txn *txn)
{
	return msgc_region_at(&txn->client->own,
			      sizeof(struct msgc_own) + txn->slot * sizeof(struct msgc_request));
}

static struct msgc_done *done_of(const struct msgc_txn *txn)
{
	return msgc_region_at(&txn->client->inbox, txn->slot * sizeof(struct msgc_done));
}

static struct msgc_held *held_at(const struct msgc_endpoint *server, u32 entry)
{
	return msgc_region_at(&server->inbox, entry * sizeof(struct msgc_held));
}

static struct msgc_answer *answer_at(const struct msgc_endpoint *server, u32 entry)
{
	return msgc_region_at(&server->own,
			      sizeof(struct msgc_own) + entry * sizeof(struct msgc_answer));
}

/* A line that its owner may be changing meanwhile: every word is read once. */
static void read_line(void *to, const void *from)
{
	u64 *dst = to;
	const u64 *src = from;
	int i;

	BUILD_BUG_ON(sizeof(struct msgc_request) != 64 || sizeof(struct msgc_answer) != 64);
	for (i = 0; i < 8; i++)
		dst[i] = READ_ONCE(src[i]);
}

static int read_request(const struct msgc_txn *txn, struct msgc_request *req)
{
	const struct msgc_create *par = &txn->client->ch->par;

	read_line(req, request_of(txn));
	if (req->nfds)
		return -EOPNOTSUPP;
	if (req->zero || req->zero1)
		return -EINVAL;
	return req->len > par->request || req->room > par->reply ? -EMSGSIZE : 0;
}

static int read_answer(const struct msgc_txn *txn, struct msgc_answer *answer, u32 len)
{
	read_line(answer, answer_at(txn->server, txn->entry));
	if (answer->nfds)
		return -EOPNOTSUPP;
	if (answer->zero)
		return -EINVAL;
	return len > txn->req.room ? -EMSGSIZE : 0;
}

static u8 message_flags(const struct msgc_txn *txn)
{
	return (txn->flags & MSGC_ONEWAY ? MSGC_M_ONEWAY : 0) |
	       (txn->attempts ? MSGC_M_REDELIVERED : 0);
}

/* The client's line. */
static void publish(const struct msgc_txn *txn)
{
	struct msgc_done *done = done_of(txn);
	union {
		struct {
			u8 state, outcome, format, flags;
			u32 event;
		};
		u64 word;
	} head = {
		.state = txn->state, .outcome = txn->outcome, .format = txn->format,
		.flags = message_flags(txn), .event = txn->event,
	};

	BUILD_BUG_ON(offsetof(struct msgc_done, state) || offsetof(struct msgc_done, event) != 4);
	/*
	 * One store, after all the rest. Pairs with the client's acquire: who sees the outcome sees
	 * what belongs to it, and who has handled `event` has seen the state that came with it.
	 */
	smp_store_release((u64 *)done, head.word);
}

/* The server's line. */
static void publish_held(const struct msgc_txn *txn, u64 id)
{
	struct msgc_held *held = held_at(txn->server, txn->entry);

	held->cookie = txn->req.cookie;
	held->deadline = msgc_deadline_to_user(txn->deadline);
	held->client = txn->client->id;
	held->len = txn->req.len;
	held->room = txn->req.room;
	held->type = txn->req.type;
	held->slot = txn->slot;
	held->attempts = min_t(u32, txn->attempts, U16_MAX);
	held->format = txn->req.format;
	WRITE_ONCE(held->flags, message_flags(txn));
	/* The id last: pairs with the acquire of a server that looks which calls it holds. */
	smp_store_release(&held->call, id);
}

/* ---- waking: everybody, and key 0, or a multishot poll would end without looking again ---- */

/* handoff: the caller is about to sleep, so the other one may as well run here. */
static void wake(struct msgc_endpoint *ep, bool handoff)
{
	if (handoff)
		msgc_wake_sync(ep);
	else
		wake_up_all(&ep->wait);
}

static void wake_servers(struct msgc_channel *ch, bool handoff)
{
	u32 i;

	for (i = 0; i < ch->par.max_receivers; i++) {
		struct msgc_endpoint *server = ch->member[i].ep;

		if (server && !server->dead)
			wake(server, handoff);
	}
}

/* ---- transitions ---- */

static void enqueue_locked(struct msgc_txn *txn, bool front)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	txn->state = MSGC_QUEUED;
	if (front)
		list_add(&txn->node, &ch->queue);
	else
		list_add_tail(&txn->node, &ch->queue);
	ch->queued++;
}

static void dequeue_locked(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	list_del_init(&txn->node);
	ch->queued--;
}

static void idle_locked(struct msgc_txn *txn)
{
	txn->state = MSGC_IDLE;
	txn->event++;
}

/* Whoever comes first decides the outcome. */
static void settle_locked(struct msgc_txn *txn, u8 outcome, s32 status)
{
	lockdep_assert_held(&txn->client->ch->lock);
	if (txn->outcome)
		return;
	done_of(txn)->status = status;
	txn->outcome = outcome;
	txn->event++;
}

/* It ends without an answer: withdrawn if queued; if a server has it, the client stops waiting. */
static void give_up_locked(struct msgc_txn *txn, int err)
{
	if (txn->state == MSGC_QUEUED) {
		dequeue_locked(txn);
		idle_locked(txn);
	} else {
		struct msgc_held *held = held_at(txn->server, txn->entry);

		WRITE_ONCE(held->flags, held->flags | MSGC_M_GONE);
	}
	settle_locked(txn, txn->ever_taken ? MSGC_O_MAYBE : MSGC_O_NOT_EXECUTED, err);
	publish(txn);
	txn->client->unwoken = true;
}

/*
 * Once for all that has been given up: somebody else chose how many calls that is, and how many
 * pollers are woken.
 */
static void wake_client(struct msgc_endpoint *client)
{
	if (client->unwoken)
		wake(client, false);
	client->unwoken = false;
}

/* The one judge of deadlines. True: it was overdue, and has been given up. */
static bool overdue_locked(struct msgc_txn *txn)
{
	if (txn->state == MSGC_IDLE || txn->outcome)
		return false;
	if (txn->deadline == MSGC_FOREVER || ktime_get_ns() < txn->deadline)
		return false;
	give_up_locked(txn, -ETIMEDOUT);
	return true;
}

static bool judge_locked(struct msgc_txn *txn)
{
	bool overdue = overdue_locked(txn);

	wake_client(txn->client);
	return overdue;
}

static void wake_clients(struct msgc_channel *ch)
{
	u32 i;

	for (i = ch->par.max_receivers; i < ch->nr_members; i++)
		if (ch->member[i].ep)
			wake_client(ch->member[i].ep);
}

static struct msgc_txn *first_waiting_locked(struct msgc_channel *ch)
{
	bool given_up = false;
	struct msgc_txn *txn;

	for (;;) {
		txn = list_first_entry_or_null(&ch->queue, struct msgc_txn, node);
		if (!txn || !overdue_locked(txn))
			break;
		given_up = true;
	}
	if (given_up)
		wake_clients(ch);
	return txn;
}

/* QUEUED -> TAKEN, into a free entry, of which there is one. */
static u32 take_locked(struct msgc_endpoint *server, struct msgc_txn *txn)
{
	struct msgc_channel *ch = server->ch;
	u32 entry = server->free_hold;
	struct msgc_hold *hold = &server->hold[entry];

	dequeue_locked(txn);
	list_add_tail(&txn->node, &server->holding);
	txn->state = MSGC_TAKEN;
	txn->ever_taken = true;
	txn->server = server;
	txn->entry = entry;
	server->free_hold = hold->next;
	hold->txn = txn;
	hold->id = ++ch->call_gen << ENTRY_BITS | entry;
	server->taken++;
	txn->client->taken++;
	publish_held(txn, hold->id);
	done_of(txn)->server = server->id;
	return entry;
}

/* The server has it no longer. The caller says what becomes of it. */
static void untake_locked(struct msgc_txn *txn)
{
	struct msgc_endpoint *client = txn->client, *server = txn->server;
	struct msgc_hold *hold = &server->hold[txn->entry];

	lockdep_assert_held(&server->ch->lock);
	WRITE_ONCE(held_at(server, txn->entry)->call, 0);
	hold->txn = NULL;
	hold->next = server->free_hold;
	server->free_hold = txn->entry;
	if (server->taken-- == server->nr_holds && server->ch->queued)
		wake(server, false);		/* RECV said EBUSY until now */
	list_del_init(&txn->node);
	txn->server = NULL;
	client->taken--;
	if (client->dead)
		msgc_reap_later(client->ch);
}

/* The caller wakes the client. */
static void let_go_locked(struct msgc_txn *txn)
{
	untake_locked(txn);
	idle_locked(txn);
	publish(txn);
}

/* Not what the client has given up; but one-way messages, though their senders have been told. */
static bool redeliverable(const struct msgc_txn *txn)
{
	const struct msgc_create *par = &txn->client->ch->par;

	return par->flags & MSGC_REDELIVER && !txn->client->dead &&
	       (!txn->outcome || txn->flags & MSGC_ONEWAY) &&
	       (!par->max_attempts || txn->attempts < par->max_attempts);
}

static void server_died_locked(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;

	if (redeliverable(txn)) {
		untake_locked(txn);
		txn->attempts++;
		ch->redelivered++;
		enqueue_locked(txn, true);
		publish(txn);
		return;
	}
	if (txn->flags & MSGC_ONEWAY)
		ch->lost++;
	settle_locked(txn, MSGC_O_MAYBE, -EOWNERDEAD);
	let_go_locked(txn);
}

/* ---- CALL ---- */

static int start_locked(struct msgc_txn *txn, u16 flags, u64 deadline)
{
	struct msgc_channel *ch = txn->client->ch;
	struct msgc_done *done = done_of(txn);
	struct msgc_request req;
	int err;

	/* Free, but with an outcome that its client, or a waiter, has not seen: busy once more. */
	if (judge_locked(txn) || txn->state != MSGC_IDLE || txn->waiter)
		return -EBUSY;
	err = read_request(txn, &req);
	if (err)
		return err;
	if (flags & MSGC_NEED_SERVER && !ch->servers)
		return -EHOSTDOWN;
	if (flags & MSGC_ONEWAY)
		req.room = 0;
	txn->req = req;
	txn->flags = flags;
	txn->deadline = deadline;
	txn->attempts = 0;
	txn->ever_taken = false;
	txn->outcome = MSGC_O_NONE;
	txn->format = 0;
	done->status = 0;
	done->len = 0;
	done->type = 0;
	done->server = 0;
	done->cookie = req.cookie;
	enqueue_locked(txn, false);
	publish(txn);
	wake_servers(ch, !(flags & MSGC_ASYNC));
	return 0;
}

static int resume_locked(const struct msgc_txn *txn)
{
	if (txn->waiter)
		return -EBUSY;
	return txn->state == MSGC_IDLE && !txn->outcome ? -ENOENT : 0;
}

/* What the waiting thread looks at; for the last time if there is an err that ends its wait. */
static bool settled(struct msgc_txn *txn, int err)
{
	struct msgc_channel *ch = txn->client->ch;
	bool ret;

	spin_lock(&ch->lock);
	overdue_locked(txn);
	if (err == -ESHUTDOWN && !txn->outcome)
		give_up_locked(txn, err);
	wake_client(txn->client);
	ret = txn->outcome;
	if (ret || err)
		txn->waiter = false;
	spin_unlock(&ch->lock);
	return ret;
}

/* An outcome beats whatever else ends the wait, save INTERRUPT, which must not get lost. */
static long wait_for_outcome(struct msgc_txn *txn, u64 until)
{
	struct msgc_endpoint *ep = txn->client;
	DEFINE_WAIT(wait);
	int err = 0;
	bool done;

	for (;;) {
		prepare_to_wait(&ep->wait, &wait, TASK_INTERRUPTIBLE);
		done = settled(txn, err);
		if (done || err)
			break;
		err = msgc_may_sleep(ep, until);
		if (!err)
			schedule();
	}
	finish_wait(&ep->wait, &wait);
	return done && err != -EINTR ? txn->slot : err;
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

long msgc_call(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	struct msgc_call *call = &arg->call;
	struct msgc_channel *ch = ep->ch;
	struct msgc_txn *txn;
	u64 deadline, until;
	long ret;

	ret = check_call(ch, call);
	if (ret)
		return ret;
	txn = &ep->txn[array_index_nospec(call->slot, ch->par.slots)];
	deadline = msgc_deadline_to_host(call->deadline);

	spin_lock(&ch->lock);
	if (ep->dead)
		ret = -ESHUTDOWN;
	else if (call->flags & MSGC_RESUME)
		ret = resume_locked(txn);
	else
		ret = start_locked(txn, call->flags, deadline);
	if (!ret && !(call->flags & MSGC_ASYNC))
		txn->waiter = true;
	until = min(deadline, txn->deadline);
	spin_unlock(&ch->lock);
	if (ret)
		return ret;

	if (call->flags & MSGC_ASYNC) {
		msgc_timer_arm(ep, until);	/* for those who poll */
		return 0;
	}
	ret = wait_for_outcome(txn, until);
	if (ret == -ERESTARTSYS || ret == -EINTR)
		call->flags |= MSGC_RESUME;
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

	if (ep->dead)
		return -ESHUTDOWN;
	for (i = first; i < end; i++) {
		if (!cancelable(&ep->txn[i], cookie))
			continue;
		give_up_locked(&ep->txn[i], -ECANCELED);
		wake_client(ep);
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

static long try_receive(struct msgc_endpoint *server)
{
	struct msgc_channel *ch = server->ch;
	struct msgc_txn *txn;
	long ret = -EAGAIN;

	spin_lock(&ch->lock);
	if (server->dead) {
		ret = -ESHUTDOWN;
	} else if (server->taken == server->nr_holds) {
		ret = -EBUSY;
	} else {
		txn = first_waiting_locked(ch);
		if (txn) {
			ret = take_locked(server, txn);
			if (txn->flags & MSGC_ONEWAY) {
				settle_locked(txn, MSGC_O_DONE, 0);
				wake(txn->client, false);
			}
			publish(txn);
		}
	}
	spin_unlock(&ch->lock);
	return ret;
}

static long receive(struct msgc_endpoint *server, u64 deadline)
{
	DEFINE_WAIT(wait);
	long ret;

	for (;;) {
		prepare_to_wait(&server->wait, &wait, TASK_INTERRUPTIBLE);
		ret = try_receive(server);
		if (ret != -EAGAIN)
			break;
		ret = msgc_may_sleep(server, deadline);
		if (ret)
			break;
		schedule();
	}
	finish_wait(&server->wait, &wait);
	return ret;
}

long msgc_recv(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	if (arg->recv.flags)
		return -EOPNOTSUPP;
	if (arg->recv.zero)
		return -EINVAL;
	return receive(ep, msgc_deadline_to_host(arg->recv.deadline));
}

static struct msgc_txn *held_call_locked(const struct msgc_endpoint *server, u64 id)
{
	u32 entry = id & (BIT(ENTRY_BITS) - 1);
	const struct msgc_hold *hold;

	if (entry >= server->nr_holds)
		return NULL;
	hold = &server->hold[array_index_nospec(entry, server->nr_holds)];
	return hold->id == id ? hold->txn : NULL;
}

static int answer_locked(struct msgc_endpoint *server, const struct msgc_reply *reply, bool handoff)
{
	struct msgc_answer answer;
	struct msgc_txn *txn;
	int err;

	if (server->dead)
		return -ESHUTDOWN;
	txn = held_call_locked(server, reply->call);
	if (!txn)
		return -ENOENT;
	err = read_answer(txn, &answer, reply->len);
	if (err)
		return err;
	if (!txn->outcome) {
		struct msgc_done *done = done_of(txn);

		done->len = reply->len;
		done->type = answer.type;
		txn->format = answer.format;
		settle_locked(txn, MSGC_O_DONE, reply->status);
	}
	let_go_locked(txn);
	wake(txn->client, handoff);
	return 0;
}

static int answer(struct msgc_endpoint *server, const struct msgc_reply *reply, bool handoff)
{
	int err;

	spin_lock(&server->ch->lock);
	err = answer_locked(server, reply, handoff);
	spin_unlock(&server->ch->lock);
	return err;
}

long msgc_reply(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	return answer(ep, &arg->reply, false);
}

/*
 * `call` is cleared between the halves: written back, it makes a restarted command receive only,
 * and tells the caller that the reply went out. EBUSY would say that nothing was done; it can only
 * mean that other threads took the free entry first.
 */
long msgc_reply_recv(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	const struct msgc_own *own = msgc_region_at(&ep->own, 0);
	bool replied = arg->reply.call;
	long ret;

	if (replied) {
		ret = answer(ep, &arg->reply, true);
		if (ret)
			return ret;
		arg->reply.call = 0;
	}
	ret = receive(ep, msgc_deadline_to_host(READ_ONCE(own->deadline)));
	return replied && ret == -EBUSY ? -EAGAIN : ret;
}

/* ---- readiness ---- */

static u32 slot_events(const struct msgc_txn *txn)
{
	if (READ_ONCE(request_of(txn)->handled) == txn->event)
		return 0;
	return (txn->outcome ? MSGC_IN : 0) | (txn->state == MSGC_IDLE ? MSGC_OUT : 0);
}

/* Judges calls without a waiter; the earliest deadline to come will wake those who poll. */
static u32 client_events_locked(struct msgc_endpoint *ep)
{
	u64 next = MSGC_FOREVER;
	u32 i, events = 0;

	for (i = 0; i < ep->ch->par.slots; i++) {
		struct msgc_txn *txn = &ep->txn[i];

		if (!overdue_locked(txn) && txn->state != MSGC_IDLE && !txn->outcome)
			next = min(next, txn->deadline);
		events |= slot_events(txn);
	}
	wake_client(ep);
	msgc_timer_arm(ep, next);
	return events;
}

u32 msgc_call_events(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		return client_events_locked(ep);
	return first_waiting_locked(ep->ch) ? MSGC_IN : 0;
}

/* ---- coming and going ---- */

static int init_client(struct msgc_endpoint *ep)
{
	u32 i, n = ep->ch->par.slots;

	ep->txn = kvcalloc(n, sizeof(*ep->txn), GFP_KERNEL_ACCOUNT);
	if (!ep->txn)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		struct msgc_txn *txn = &ep->txn[i];

		INIT_LIST_HEAD(&txn->node);
		txn->client = ep;
		txn->slot = i;
		memset(done_of(txn)->fds, 0xff, sizeof_field(struct msgc_done, fds));
	}
	return 0;
}

static int init_server(struct msgc_endpoint *ep)
{
	u32 i;

	ep->hold = kvcalloc(ep->nr_holds, sizeof(*ep->hold), GFP_KERNEL_ACCOUNT);
	if (!ep->hold)
		return -ENOMEM;
	for (i = 0; i < ep->nr_holds; i++) {
		ep->hold[i].next = i + 1;
		memset(held_at(ep, i)->fds, 0xff, sizeof_field(struct msgc_held, fds));
	}
	INIT_LIST_HEAD(&ep->holding);
	return 0;
}

/* The endpoint's own and inbox pages are there. */
int msgc_call_init(struct msgc_endpoint *ep)
{
	return msgc_is_sender(ep) ? init_client(ep) : init_server(ep);
}

void msgc_call_free(struct msgc_endpoint *ep)
{
	kvfree(ep->txn);
	kvfree(ep->hold);
}

void msgc_call_joined(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (!msgc_is_sender(ep))
		ep->ch->servers++;
}

/* Whoever waits, here and below, is woken by the change of the membership that follows. */
static void client_gone_locked(struct msgc_endpoint *ep)
{
	u32 i;

	for (i = 0; i < ep->ch->par.slots; i++)
		if (ep->txn[i].state != MSGC_IDLE)
			give_up_locked(&ep->txn[i], -ESHUTDOWN);
}

static void server_gone_locked(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;
	struct msgc_txn *txn, *next;

	ch->servers--;
	/* Backwards, each to the front: they are queued again in the order of taking. */
	list_for_each_entry_safe_reverse(txn, next, &ep->holding, node)
		server_died_locked(txn);
	if (ch->servers)
		return;		/* the others are woken by the change of the membership */
	list_for_each_entry_safe(txn, next, &ch->queue, node)
		if (txn->flags & MSGC_NEED_SERVER)
			give_up_locked(txn, -EHOSTDOWN);
}

void msgc_call_gone(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		client_gone_locked(ep);
	else
		server_gone_locked(ep);
}

u64 msgc_call_taken(const struct msgc_endpoint *client)
{
	u64 slots = 0;
	u32 i;

	lockdep_assert_held(&client->ch->lock);
	for (i = 0; i < client->ch->par.slots; i++)
		if (client->txn[i].state == MSGC_TAKEN)
			slots |= 1ULL << i;
	return slots;
}

bool msgc_call_drained(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	return !ep->taken;
}
