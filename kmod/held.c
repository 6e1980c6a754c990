// SPDX-License-Identifier: GPL-2.0-only
/*
 * held.c - who holds what: PEERS rows of kind WAIT.
 *
 * A cell is a receiver and a column: of a ring channel the pair with a sender, of a balanced one
 * and of a rendezvous channel an entry of its inbox. A cursor is the next cell. Cells end at
 * MSGC_RECEIVERS * COLUMNS; rows of waiting threads have the cursors above.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/nospec.h>
#include <linux/pid_namespace.h>

#include "txn.h"

#define COLUMNS	1024U

static_assert(COLUMNS >= MSGC_SENDERS && COLUMNS >= MSGC_HELD);

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
	row->since_ns = msgc_deadline_to_user(txn->taken_ns);
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

/* `all`: also what other users hold. */
bool msgc_held_next(struct msgc_channel *ch, u64 *cursor, bool all, struct msgc_wait_row *row)
{
	bool found = false;

	while (!found && *cursor < (u64)ch->par.max_receivers * COLUMNS) {
		u32 number = array_index_nospec((u32)(*cursor / COLUMNS), ch->par.max_receivers);
		struct msgc_endpoint *ep;

		spin_lock(&ch->lock);
		msgc_claims_collect(ch);
		ep = ch->member[number].ep;
		if (may_see(ep, all))
			found = next_of(row, ep, cursor);
		else
			*cursor = (number + 1ULL) * COLUMNS;
		spin_unlock(&ch->lock);
		cond_resched();
	}
	return found;
}
