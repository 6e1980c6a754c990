// SPDX-License-Identifier: GPL-2.0-only
/*
 * txn.c - rendezvous: the states of a call, from CALL to the server's letting go of the slot.
 *
 * A client's slot is one msgc_txn, a server's inbox entry one msgc_hold. The state says who has the
 * slot's memory, the outcome what the client was told: it is set once a call, and stays when the
 * slot is let go.
 *
 *	       CALL             RECV            REPLY; or the server died
 *	IDLE --------> QUEUED --------> TAKEN ----------------------------> IDLE
 *	                  ^                |
 *	                  +----------------+ the server died, and the channel redelivers:
 *	                                     to its old place, attempts + 1
 *
 * The queue is ordered by the priority that the caller had at CALL, then by arrival. Nothing ages:
 * a call can wait for as long as more urgent ones come.
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
 * call asks msgc_txn_overdue() first.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "txn.h"

#define ENTRY_BITS	16		/* of a call id; the rest is a generation */

/* ---- what is shared with user space ---- */

static void find_lines_of_slot(struct msgc_txn *txn)
{
	const struct msgc_endpoint *client = txn->client;

	txn->request = msgc_region_at(&client->own, sizeof(struct msgc_own) +
				      txn->slot * sizeof(*txn->request));
	txn->done = msgc_region_at(&client->inbox, txn->slot * sizeof(*txn->done));
}

static void find_lines_of_entry(struct msgc_endpoint *server, u32 entry)
{
	struct msgc_hold *hold = &server->hold[entry];

	hold->line = msgc_region_at(&server->inbox, entry * sizeof(*hold->line));
	hold->answer = msgc_region_at(&server->own, sizeof(struct msgc_own) +
				      entry * sizeof(*hold->answer));
}

/* Part of a line that its owner may be changing meanwhile: every word is read once. */
static __always_inline void read_words(void *to, const void *from, size_t bytes)
{
	u64 *dst = to;
	const u64 *src = from;
	size_t i;

	for (i = 0; i < bytes / sizeof(*dst); i++)
		dst[i] = READ_ONCE(src[i]);
}

/* The header, but for its files, of a slot that is free. What it says may be nonsense. */
int msgc_txn_read_request(struct msgc_txn *txn)
{
	const struct msgc_create *par = &txn->client->ch->par;
	struct msgc_request *req = &txn->req;

	lockdep_assert_held(&txn->client->ch->lock);
	BUILD_BUG_ON(offsetof(struct msgc_request, fds) != 4 * sizeof(u64));
	read_words(req, txn->request, offsetof(struct msgc_request, fds));
	if (req->zero || req->zero1)
		return -EINVAL;
	return req->len > par->request || req->room > par->reply ? -EMSGSIZE : 0;
}

/* Where a call with this id would be held. */
struct msgc_hold *msgc_hold_of(const struct msgc_endpoint *server, u64 id)
{
	u32 entry = id & (BIT(ENTRY_BITS) - 1);

	if (entry >= server->nr_holds)
		return NULL;
	return &server->hold[array_index_nospec(entry, server->nr_holds)];
}

#define SAME_PLACE(ours, theirs)								\
	BUILD_BUG_ON(offsetof(struct msgc_txn, ours) - offsetof(struct msgc_txn, head) !=	\
		     offsetof(struct msgc_done, theirs) ||					\
		     sizeof_field(struct msgc_txn, ours) !=					\
		     sizeof_field(struct msgc_done, theirs))

/* The client's line; then whoever is given the outcome without a look under channel->lock. */
void msgc_txn_publish(struct msgc_txn *txn)
{
	u64 *line = (u64 *)txn->done;

	lockdep_assert_held(&txn->client->ch->lock);
	SAME_PLACE(state, state);
	SAME_PLACE(outcome, outcome);
	SAME_PLACE(format, format);
	SAME_PLACE(marks, flags);
	SAME_PLACE(event, event);
	/*
	 * One store, after all the rest. Pairs with the client's acquire: who sees the outcome sees
	 * what belongs to it, and who has handled `event` has seen the state that came with it.
	 */
	smp_store_release(line, txn->head);
	if (txn->outcome)
		msgc_parked_settled(txn);
}

/* The server's line, but for the id. */
static void fill_held(const struct msgc_txn *txn)
{
	struct msgc_held *held = txn->server->hold[txn->entry].line;

	held->cookie = txn->req.cookie;
	held->deadline = msgc_deadline_to_user(txn->deadline);
	held->client = txn->client->id;
	held->len = txn->req.len;
	held->room = txn->req.room;
	held->type = txn->req.type;
	held->slot = txn->slot;
	held->attempts = min_t(u32, txn->attempts, U16_MAX);
	held->prio = txn->prio;
	held->format = txn->req.format;
	WRITE_ONCE(held->flags, txn->marks);
}

/* From here on the server has it. */
void msgc_txn_show(struct msgc_endpoint *server, u32 entry)
{
	struct msgc_hold *hold = &server->hold[entry];

	lockdep_assert_held(&server->ch->lock);
	hold->id = ++server->ch->call_gen << ENTRY_BITS | entry;
	/* The id last: pairs with the acquire of a server that looks which calls it holds. */
	smp_store_release(&hold->line->call, hold->id);
}

/* ---- waking ---- */

/*
 * handoff: the caller is about to sleep, so the other one may as well run here; but not if he would
 * rather look on while it runs elsewhere.
 */
void msgc_call_wake(struct msgc_endpoint *ep, bool handoff)
{
	if (handoff && !ep->ch->par.spin_ns)
		msgc_wake_sync(ep);
	else
		msgc_wake(ep);
}

void msgc_call_wake_servers(struct msgc_channel *ch, bool handoff)
{
	u32 i;

	for (i = 0; i < ch->par.max_receivers; i++) {
		struct msgc_endpoint *server = ch->member[i].ep;

		if (server && !server->dead)
			msgc_call_wake(server, handoff);
	}
}

/* ---- transitions ---- */

/*
 * How urgent a thread is, as the scheduler sees it now: a priority lent by a futex counts, too. The
 * scheduler counts the other way round: -1 a deadline task, then 0 to 98, and from 100 on nice
 * values, which are all the same here.
 */
u8 msgc_task_prio(const struct task_struct *task)
{
	return clamp(MAX_RT_PRIO - 1 - READ_ONCE(task->prio), 0, MAX_RT_PRIO);
}

/*
 * The calling thread. Not under channel->lock, since on PREEMPT_RT a lock lends its holder the
 * priority of whoever waits for it.
 */
u8 msgc_call_prio(void)
{
	return msgc_task_prio(current);
}

static bool goes_before(struct rb_node *a, const struct rb_node *b)
{
	const struct msgc_txn *x = rb_entry(a, struct msgc_txn, place);
	const struct msgc_txn *y = rb_entry(b, struct msgc_txn, place);

	return x->prio == y->prio ? x->arrival < y->arrival : x->prio > y->prio;
}

/* A call that is queued again comes before all of its priority that no server has had yet. */
void msgc_txn_enqueue(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	txn->state = MSGC_QUEUED;
	rb_add_cached(&txn->place, &ch->queue, goes_before);
	WRITE_ONCE(ch->queued, ch->queued + 1);		/* pairs with count_told() of uring.c */
	msgc_inherit_queued(txn);
}

/* A call that waits becomes more urgent, or less. */
void msgc_txn_requeue(struct msgc_txn *txn, u8 prio)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	rb_erase_cached(&txn->place, &ch->queue);
	txn->prio = prio;
	rb_add_cached(&txn->place, &ch->queue, goes_before);
}

static void dequeue_locked(struct msgc_txn *txn)
{
	struct msgc_channel *ch = txn->client->ch;

	lockdep_assert_held(&ch->lock);
	rb_erase_cached(&txn->place, &ch->queue);
	WRITE_ONCE(ch->queued, ch->queued - 1);
}

static void idle_locked(struct msgc_txn *txn)
{
	lockdep_assert_held(&txn->client->ch->lock);
	txn->state = MSGC_IDLE;
	txn->event++;
}

/* Whoever comes first decides the outcome. */
void msgc_txn_settle(struct msgc_txn *txn, u8 outcome, s32 status)
{
	lockdep_assert_held(&txn->client->ch->lock);
	if (txn->outcome)
		return;
	txn->done->status = status;
	txn->outcome = outcome;
	txn->event++;
	msgc_bound_done(txn);
}

/* It ends without an answer: withdrawn if queued; if a server has it, the client stops waiting. */
void msgc_txn_give_up(struct msgc_txn *txn, int err)
{
	lockdep_assert_held(&txn->client->ch->lock);
	if (txn->state == MSGC_QUEUED) {
		dequeue_locked(txn);
		idle_locked(txn);
	} else {
		struct msgc_held *held = txn->server->hold[txn->entry].line;

		WRITE_ONCE(held->flags, held->flags | MSGC_M_GONE);
	}
	msgc_txn_settle(txn, txn->ever_taken ? MSGC_O_MAYBE : MSGC_O_NOT_EXECUTED, err);
	msgc_files_drop(&txn->files);
	msgc_txn_publish(txn);
	txn->client->unwoken = true;
	msgc_inherit_gave_up(txn);
}

/*
 * Once for all that has been given up: somebody else chose how many calls that is, and how many
 * pollers are woken.
 */
void msgc_call_wake_client(struct msgc_endpoint *client)
{
	lockdep_assert_held(&client->ch->lock);
	if (client->unwoken)
		msgc_call_wake(client, false);
	client->unwoken = false;
	msgc_inherit_all_gave_up(client->ch);
}

/* The one judge of deadlines. True: it was overdue, and has been given up. */
bool msgc_txn_overdue(struct msgc_txn *txn)
{
	lockdep_assert_held(&txn->client->ch->lock);
	if (txn->state == MSGC_IDLE || txn->outcome)
		return false;
	if (txn->deadline == MSGC_FOREVER || ktime_get_ns() < txn->deadline)
		return false;
	msgc_txn_give_up(txn, -ETIMEDOUT);
	return true;
}

bool msgc_txn_judge(struct msgc_txn *txn)
{
	bool overdue = msgc_txn_overdue(txn);

	msgc_call_wake_client(txn->client);
	return overdue;
}

static void wake_clients(struct msgc_channel *ch)
{
	u32 i;

	for (i = ch->par.max_receivers; i < ch->nr_members; i++)
		if (ch->member[i].ep)
			msgc_call_wake_client(ch->member[i].ep);
}

struct msgc_txn *msgc_txn_first_waiting(struct msgc_channel *ch)
{
	bool given_up = false;
	struct msgc_txn *txn;

	lockdep_assert_held(&ch->lock);
	for (;;) {
		txn = rb_entry_safe(rb_first_cached(&ch->queue), struct msgc_txn, place);
		if (!txn || !msgc_txn_overdue(txn))
			break;
		given_up = true;
	}
	if (given_up)
		wake_clients(ch);
	return txn;
}

/* The server sees it at once, or when its files are installed. */
static void reveal(struct msgc_txn *txn, struct msgc_files **files)
{
	struct msgc_endpoint *server = txn->server;
	struct msgc_hold *hold = &server->hold[txn->entry];

	if (unlikely(txn->files)) {
		if (server->flags & MSGC_TAKES_FILES) {
			hold->id = MSGC_UNSEEN;
			*files = msgc_files_ref(txn->files);
			return;
		}
		WRITE_ONCE(hold->line->flags, hold->line->flags | MSGC_M_FDS_TRUNCATED);
	}
	msgc_txn_show(server, txn->entry);
}

/* QUEUED -> TAKEN, into a free entry, of which there is one. */
u32 msgc_txn_take(struct msgc_endpoint *server, struct msgc_txn *txn, struct msgc_files **files)
{
	u32 entry = server->free_hold;
	struct msgc_hold *hold = &server->hold[entry];

	lockdep_assert_held(&server->ch->lock);
	dequeue_locked(txn);
	txn->state = MSGC_TAKEN;
	txn->ever_taken = true;
	txn->server = server;
	txn->taken_at = jiffies;
	txn->entry = entry;
	server->free_hold = hold->next;
	hold->txn = txn;
	server->taken++;
	txn->client->taken++;
	server->partner = txn->client->id;
	txn->client->partner = server->id;
	fill_held(txn);
	reveal(txn, files);
	txn->done->server = server->id;
	msgc_inherit_taken(txn);
	return entry;
}

/* The server has it no longer. The caller says what becomes of it. */
static void untake_locked(struct msgc_txn *txn)
{
	struct msgc_endpoint *client = txn->client, *server = txn->server;
	struct msgc_hold *hold = &server->hold[txn->entry];

	lockdep_assert_held(&server->ch->lock);
	WRITE_ONCE(hold->line->call, 0);
	/* a dead server finds its numbers there still */
	if (unlikely(txn->req.nfds && !server->dead))
		msgc_files_clear(hold->line);
	hold->txn = NULL;
	hold->next = server->free_hold;
	server->free_hold = txn->entry;
	server->taken--;
	msgc_inherit_untaken(txn);
	txn->server = NULL;
	client->taken--;
	if (client->dead)
		msgc_reap_later(client->ch);
}

/* The caller wakes the client; and a server that lives and held as many as it can. */
void msgc_txn_let_go(struct msgc_txn *txn)
{
	untake_locked(txn);
	if (unlikely(txn->files))
		msgc_files_drop(&txn->files);
	idle_locked(txn);
	msgc_txn_publish(txn);
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

	lockdep_assert_held(&ch->lock);
	if (redeliverable(txn)) {
		untake_locked(txn);
		txn->attempts++;
		txn->marks |= MSGC_M_REDELIVERED;
		ch->redelivered++;
		if (txn->outcome)
			txn->prio = txn->base;	/* nobody waits for it any more */
		msgc_txn_enqueue(txn);
		msgc_txn_publish(txn);
		return;
	}
	if (txn->flags & MSGC_ONEWAY)
		ch->skipped++;
	msgc_txn_settle(txn, MSGC_O_MAYBE, -EOWNERDEAD);
	msgc_txn_let_go(txn);
}

/* ---- readiness ---- */

static u32 slot_events(const struct msgc_txn *txn)
{
	if (READ_ONCE(txn->request->handled) == txn->event)
		return 0;
	return (txn->outcome ? MSGC_IN : 0) | (txn->state == MSGC_IDLE ? MSGC_OUT : 0);
}

/* Judges calls without a waiter; the earliest deadline to come will wake those who poll. */
static u32 client_events_locked(struct msgc_endpoint *ep)
{
	u64 next = MSGC_FOREVER;
	u32 i, events = 0;

	lockdep_assert_held(&ep->ch->lock);
	for (i = 0; i < ep->ch->par.slots; i++) {
		struct msgc_txn *txn = &ep->txn[i];

		if (!msgc_txn_overdue(txn) && txn->state != MSGC_IDLE && !txn->outcome)
			next = min(next, txn->deadline);
		events |= slot_events(txn);
	}
	msgc_call_wake_client(ep);
	msgc_timer_arm(ep, next);
	return events;
}

u32 msgc_call_events(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		return client_events_locked(ep);
	return msgc_txn_first_waiting(ep->ch) ? MSGC_IN : 0;
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

		txn->client = ep;
		txn->slot = i;
		find_lines_of_slot(txn);
		memset(txn->done->fds, 0xff, sizeof_field(struct msgc_done, fds));
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
		find_lines_of_entry(ep, i);
		memset(ep->hold[i].line->fds, 0xff, sizeof_field(struct msgc_held, fds));
	}
	return ep->flags & MSGC_BOUND ? msgc_bound_attach(ep) : 0;
}

/* The endpoint's own and inbox pages are there. */
int msgc_call_init(struct msgc_endpoint *ep)
{
	msgc_inherit_init(ep);
	return msgc_is_sender(ep) ? init_client(ep) : init_server(ep);
}

void msgc_call_free(struct msgc_endpoint *ep)
{
	kvfree(ep->txn);
	kvfree(ep->hold);
	msgc_bound_free(ep);
	msgc_spin_free(ep);
	msgc_inherit_free(ep);
}

void msgc_call_joined(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		return;
	ep->ch->servers++;
	msgc_bound_update(ep->ch);
}

/* Whoever waits, here and below, is woken by the change of the membership that follows. */
static void client_gone_locked(struct msgc_endpoint *ep)
{
	u32 i;

	lockdep_assert_held(&ep->ch->lock);
	for (i = 0; i < ep->ch->par.slots; i++) {
		if (ep->txn[i].state != MSGC_IDLE)
			msgc_txn_give_up(&ep->txn[i], -ESHUTDOWN);
		msgc_files_drop(&ep->txn[i].got);
	}
}

/* No server is left. */
static void give_up_waiting(struct msgc_channel *ch)
{
	struct rb_node *node, *next;

	lockdep_assert_held(&ch->lock);
	for (node = rb_first_cached(&ch->queue); node; node = next) {
		struct msgc_txn *txn = rb_entry(node, struct msgc_txn, place);

		next = rb_next(node);
		if (txn->flags & MSGC_NEED_SERVER)
			msgc_txn_give_up(txn, -EHOSTDOWN);
	}
}

static void server_gone_locked(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;
	u32 i;

	lockdep_assert_held(&ch->lock);
	ch->servers--;
	msgc_bound_update(ch);
	for (i = 0; i < ep->nr_holds && ep->taken; i++)
		if (ep->hold[i].txn)
			server_died_locked(ep->hold[i].txn);
	if (!ch->servers)
		give_up_waiting(ch);
	/* else the others are woken by the change of the membership */
}

void msgc_call_gone(struct msgc_endpoint *ep)
{
	lockdep_assert_held(&ep->ch->lock);
	if (msgc_is_sender(ep))
		client_gone_locked(ep);
	else
		server_gone_locked(ep);
	msgc_inherit_all_gave_up(ep->ch);
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
