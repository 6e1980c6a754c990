// SPDX-License-Identifier: GPL-2.0-only
/*
 * held.c - who holds what, and who waits for whom: PEERS rows of kind WAIT.
 *
 * A cell is a member and a column: of a ring channel the pair of a receiver with a sender, of a
 * balanced one and of a rendezvous channel an entry of a receiver's inbox. A cursor is the next
 * cell. After the cells of all members come as many again, for the threads that wait: the column is
 * then a place in the endpoint's wait queue.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/nospec.h>
#include <linux/pid_namespace.h>

#include "txn.h"

#define COLUMNS	1024U

static_assert(COLUMNS >= MSGC_SENDERS && COLUMNS >= MSGC_HELD);

/* The clock when jiffies said that. */
static u64 since(unsigned long then)
{
	return msgc_deadline_to_user(ktime_get_ns() - jiffies64_to_nsecs(jiffies - then));
}

static void fill_holder(struct msgc_wait_row *row, const struct msgc_endpoint *ep)
{
	memset(row, 0, sizeof(*row));
	row->endpoint = ep->id;
	row->tid = pid_nr_ns(ep->pid, task_active_pid_ns(current));
	memcpy(row->comm, ep->comm, sizeof(row->comm));
}

/* A pair: what the receiver took of this sender's and has not released. */
static bool pair_row(struct msgc_wait_row *row, struct msgc_endpoint *receiver, u32 number)
{
	struct msgc_channel *ch = receiver->ch;
	struct msgc_endpoint *sender;
	u64 head, bytes;

	if (number >= ch->par.max_senders)
		return false;
	sender = ch->member[ch->par.max_receivers +
			    array_index_nospec(number, ch->par.max_senders)].ep;
	if (!sender || !sender->since)
		return false;
	bytes = msgc_ring_borrowed(receiver, sender, &head);
	if (!bytes)
		return false;
	fill_holder(row, receiver);
	row->what = MSGC_HELD_RING;
	row->on = sender->id;
	row->position = head;
	row->bytes = bytes;
	row->attempts = head < sender->line->redo ? sender->line->attempts : 0;
	return true;
}

static bool claim_row(struct msgc_wait_row *row, const struct msgc_endpoint *receiver, u32 entry)
{
	fill_holder(row, receiver);
	return msgc_claims_row(row, receiver, entry);
}

static bool call_row(struct msgc_wait_row *row, const struct msgc_endpoint *server, u32 entry)
{
	const struct msgc_txn *txn;

	if (entry >= server->nr_holds)
		return false;
	txn = server->hold[array_index_nospec(entry, server->nr_holds)].txn;
	if (!txn)
		return false;
	fill_holder(row, server);
	row->what = MSGC_HELD_CALL;
	row->on = txn->client->id;
	row->call_state = txn->state;
	row->slot = txn->slot;
	row->attempts = txn->attempts;
	row->since_ns = since(txn->taken_at);
	row->deadline = msgc_deadline_to_user(txn->deadline);
	row->bytes = txn->req.len;
	return true;
}

/* The rest of one receiver's cells, at most COLUMNS; false: none of them has anything. */
static bool next_of(struct msgc_wait_row *row, struct msgc_endpoint *ep, u64 *cursor)
{
	bool found = false;

	do {
		u32 column = (*cursor)++ % COLUMNS;

		if (ep->claimer)
			found = claim_row(row, ep, column);
		else if (msgc_is_ring(ep->ch))
			found = pair_row(row, ep, column);
		else
			found = call_row(row, ep, column);
	} while (!found && *cursor % COLUMNS);
	return found;
}

static bool may_see(const struct msgc_endpoint *ep, bool all)
{
	return ep && ep->since && (all || uid_eq(ep->uid, current_euid()));
}

/* ---- waiting threads ---- */

static void fill_waiter(struct msgc_wait_row *row, const struct msgc_endpoint *ep,
			const struct msgc_waiter *waiter)
{
	struct task_struct *task = waiter->entry.private;

	fill_holder(row, ep);
	memcpy(row->comm, task->comm, sizeof(row->comm) - 1);
	row->tid = task_pid_nr_ns(task, task_active_pid_ns(current));
	msgc_inherit_row(row, task);
	row->what = waiter->what;
	if (waiter->what == MSGC_WAITS_OUTCOME)
		row->slot = waiter->want.txn->slot;
	else if (waiter->what == MSGC_WAITS_EVENT)
		row->slot = waiter->want.events;
	row->since_ns = since(waiter->since);
	row->deadline = msgc_deadline_to_user(waiter->want.deadline);
}

/* Of a call: who has it, or the only one that can take it. */
static void fill_server(struct msgc_wait_row *row, const struct msgc_txn *txn)
{
	const struct msgc_endpoint *server = txn->server;
	const struct msgc_channel *ch = txn->client->ch;

	if (!server && ch->par.max_receivers == 1 && ch->servers)
		server = ch->member[0].ep;
	row->call_state = txn->state;
	row->attempts = txn->attempts;
	row->bytes = txn->state == MSGC_IDLE ? 0 : txn->req.len;
	row->on = server ? server->id : 0;
}

/* For whom: of a sender, the receiver that holds its space. */
static void fill_target(struct msgc_wait_row *row, struct msgc_endpoint *ep,
			const struct msgc_waiter *waiter)
{
	const struct msgc_endpoint *laggard;

	if (waiter->what == MSGC_WAITS_OUTCOME) {
		fill_server(row, waiter->want.txn);
	} else if (waiter->what == MSGC_WAITS_EVENT && msgc_is_sender(ep) &&
		   waiter->want.events & MSGC_OUT) {
		laggard = msgc_ring_laggard(ep);
		row->on = laggard ? laggard->id : 0;
	}
}

/* A thread in the queue cannot leave it, and so not exit, while its lock is held. */
static bool waiter_row(struct msgc_wait_row *row, struct msgc_endpoint *ep, u32 place)
{
	struct wait_queue_entry *entry;
	struct msgc_waiter waiter;
	bool found = false;

	spin_lock_irq(&ep->wait.lock);
	list_for_each_entry(entry, &ep->wait.head, entry) {
		if (!msgc_is_waiter(entry) || place--)
			continue;
		waiter = *container_of(entry, struct msgc_waiter, entry);
		fill_waiter(row, ep, &waiter);
		found = true;
		break;
	}
	spin_unlock_irq(&ep->wait.lock);
	if (found)
		fill_target(row, ep, &waiter);
	return found;
}

/* ---- all of them ---- */

static void to_next_member(u64 *cursor)
{
	*cursor = round_down(*cursor, COLUMNS) + COLUMNS;
}

static bool next_waiter(struct msgc_wait_row *row, struct msgc_endpoint *ep, u64 *cursor)
{
	if (!waiter_row(row, ep, *cursor % COLUMNS)) {
		to_next_member(cursor);
		return false;
	}
	(*cursor)++;
	return true;
}

/* `all`: also what other users hold, and their threads. */
bool msgc_held_next(struct msgc_channel *ch, u64 *cursor, bool all, struct msgc_wait_row *row)
{
	u64 cells = (u64)ch->nr_members * COLUMNS;
	bool found = false;

	while (!found && *cursor < 2 * cells) {
		bool waits = *cursor >= cells;
		u32 index = (u32)((waits ? *cursor - cells : *cursor) / COLUMNS);
		struct msgc_endpoint *ep;

		spin_lock(&ch->lock);
		msgc_claims_collect(ch);
		ep = ch->member[array_index_nospec(index, ch->nr_members)].ep;
		if (!may_see(ep, all) || (!waits && msgc_is_sender(ep)))
			to_next_member(cursor);
		else
			found = waits ? next_waiter(row, ep, cursor) : next_of(row, ep, cursor);
		msgc_ring_unlock(ch);
		cond_resched();
	}
	return found;
}
