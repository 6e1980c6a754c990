// SPDX-License-Identifier: MIT
/*
 * hostile_sender - senders that write anything against a receiver, which an innocent sender shares,
 * and against an untethered receiver beside it.
 *
 * Whatever they write: both receivers read nothing outside their rings, end each call, refuse none
 * but them, and get the innocent sender's messages complete: the untethered one is told exactly how
 * many it missed.
 */
#include "fuzz.h"

#include <errno.h>

#define LIARS	3U

enum { RECV, RELEASE, TAKEOVER, DRAIN, OBSERVE, FORGET, STEPS };
enum { SEND, PAD, LIAR_SEND, TAIL, LOW, HEADER, BYTES, LEAVE, JOIN, ACTIONS };

const unsigned int step_kinds = STEPS, action_kinds = ACTIONS;

static struct chan *chan;
static struct peer *rx, *observer, *liar[LIARS];
static uint32_t seen_ids[64];		/* of liars, so that a late report is known */
static unsigned int n_ids, n_takeovers;
static struct innocent innocent;
static struct held held, copies;	/* the observer's */
static uint64_t observed;		/* of the innocent sender: next to come */

static void join_liar(unsigned int i)
{
	liar[i] = join_sender(chan, RING, 0);
	if (n_ids < 64)
		seen_ids[n_ids++] = liar[i]->map.id;
}

static void forget_liar(unsigned int i)
{
	if (chan->peer[liar[i]->index] == liar[i])
		drop_ring(liar[i]);
	peer_free(liar[i]);
	liar[i] = NULL;
}

void begin(void)
{
	n_ids = 0;
	n_takeovers = 0;
	held.n = 0;
	copies.n = 0;
	observed = 0;
	chan = chan_new(1 + LIARS, 2 * RING);	/* half of each stride is not there */
	rx = join_receiver(chan, 0, 0);
	observer = join_receiver(chan, MSGC_UNTETHERED, 0);
	innocent = (struct innocent){ .tx = join_sender(chan, RING, 0) };
	for (unsigned int i = 0; i < LIARS; i++)
		join_liar(i);
}

/* ---- what the senders do ---- */

static void write_header(struct peer *sender, const struct action *action)
{
	uint64_t pos = (lie(action, *tail_of(sender)) & ~31ULL) % RING;
	struct msgc_record *record = (void *)((char *)sender->map.data + pos);
	uint32_t span_flags = action->where / 4 % 64;
	bool odd = action->where % 4 == 3;

	if (action->how & 8)
		span_flags |= MSGC_R_PAD;
	if (action->how & 16)
		span_flags |= (uint32_t)(action->value << 20);
	record->span_flags = span_flags;
	record->len = 32 * (span_flags % 64 - 1);
	if (action->how & 32)
		record->len = (uint32_t)(action->value * 77);
	record->check = (uint32_t)((*tail_of(sender) & ~(RING - 1ULL)) + pos) >> 5 ^ span_flags;
	record->check ^= action->how & 64 ? 1 : 0;
	if (!odd)		/* and publish it: this is how a receiver gets far */
		__atomic_store_n(tail_of(sender), *tail_of(sender) + MSGC_SPAN(span_flags),
				 __ATOMIC_RELEASE);
}

static void liar_acts(unsigned int i, const struct action *action)
{
	struct peer *sender = liar[i];
	uint8_t *data = sender->map.data;

	switch (action->kind) {
	case LIAR_SEND:
		send_one(sender, (uint32_t)(action->value * 16 % RING), action->how);
		break;
	case TAIL:
		*tail_of(sender) = lie(action, *tail_of(sender));
		break;
	case LOW:
		control_of(sender)->low = lie(action, *tail_of(sender));
		break;
	case HEADER:
		write_header(sender, action);
		break;
	case BYTES:
		data[(*tail_of(sender) + action->value) % RING] = action->how;
		break;
	case LEAVE:
		if (!sender->dead)
			leave(sender, action->how & 1 ? MSGC_LEFT : MSGC_DIED);
		break;
	}
}

void perform(const struct action *action)
{
	unsigned int i = action->where % LIARS;

	switch (action->kind) {
	case SEND:
		innocent_send(&innocent, (uint32_t)(action->value * 16 % (RING - 31)));
		break;
	case PAD:
		innocent_pad(&innocent);
		break;
	case JOIN:
		if (!liar[i]->dead)	/* joining is slow: not before it has left */
			break;
		forget_liar(i);
		join_liar(i);
		break;
	default:
		liar_acts(i, action);
	}
}

/* ---- what the receiver does ---- */

static bool is_liar(uint32_t id)
{
	for (unsigned int i = 0; i < n_ids; i++)
		if (seen_ids[i] == id)
			return true;
	return n_ids == 64 && id != innocent.tx->map.id;
}

/* Inside the ring of its sender, every byte of it readable. */
static void check_liars_message(const struct ipc_msg *msg)
{
	uint64_t stride = 2 * chan->ring_max;
	uint64_t at = (uint64_t)((char *)msg->data - chan->data);
	volatile uint8_t sink;

	MUST(is_liar(msg->peer));
	MUST(msg->len <= RING && at % stride + msg->len <= 2 * RING);
	MUST(at / stride == MSGC_INDEX(msg->peer) - chan->max_receivers);
	for (uint32_t i = 0; i < msg->len; i++)
		sink = ((const uint8_t *)msg->data)[i];
	(void)sink;
}

static int take_some(unsigned int n)
{
	struct ipc_msg *msg = held.msg + held.n;
	unsigned int before = actions_done();
	int got;

	n = n < HOLD - held.n ? n : HOLD - held.n;
	if (!n)
		return 0;
	got = recv_now(rx, msg, n);
	MUST(got > 0 ? (unsigned int)got <= n : got == -EAGAIN || got == -EPROTO);
	for (int i = 0; i < got; i++) {
		if (msg[i].peer == innocent.tx->map.id)
			innocent_check(&innocent, &msg[i]);
		else
			check_liars_message(&msg[i]);
	}
	if (got == -EPROTO)
		MUST(is_liar(msg[0].peer));
	if (got == -EAGAIN && before == actions_done())
		MUST(innocent.next == innocent.sent);
	held.n += got > 0 ? (unsigned int)got : 0;
	return got;
}

/* What it gets is a copy: even the liar cannot change it, nor is it longer than a ring. */
static void check_copy(const struct ipc_msg *msg)
{
	volatile uint8_t sink;

	if (msg->peer == innocent.tx->map.id) {
		observed += msg->missed;
		MUST(msg->seq == observed + 1 && is_number(msg, observed));
		MUST(msg->len == innocent.len[observed % 256]);
		observed++;
		return;
	}
	MUST(is_liar(msg->peer) && msg->len <= RING);
	for (uint32_t i = 0; i < msg->len; i++)
		sink = ((const uint8_t *)msg->data)[i];
	(void)sink;
}

static int observe(unsigned int n)
{
	struct ipc_msg *msg = copies.msg + copies.n;
	unsigned int before = actions_done();
	int got;

	n = n < HOLD - copies.n ? n : HOLD - copies.n;
	if (!n)
		return 0;
	got = recv_now(observer, msg, n);
	MUST(got > 0 ? (unsigned int)got <= n :
	     got == -EAGAIN || got == -EPROTO || got == -ENOBUFS);
	for (int i = 0; i < got; i++)
		check_copy(&msg[i]);
	if (got == -EPROTO)
		MUST(is_liar(msg[0].peer));
	/* It has all, or all that it lacks may have been overwritten: the next one will tell. */
	if (got == -EAGAIN && before == actions_done())
		MUST(observed == innocent.sent ||
		     control_of(innocent.tx)->low == *tail_of(innocent.tx));
	copies.n += got > 0 ? (unsigned int)got : 0;
	return got;
}

static void take_over(void)
{
	if (n_takeovers++ > 3)			/* slow, too */
		return;
	innocent_taken_over(&innocent, &held);
	held.n = 0;
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = join_receiver(chan, 0, 0);
}

void step(unsigned int kind)
{
	int err;

	switch (kind) {
	case RECV:
		take_some(1 + next_byte() % 16U);
		break;
	case RELEASE:
		hold_release(&held, rx, next_byte());
		break;
	case TAKEOVER:
		take_over();
		break;
	case OBSERVE:
		observe(1 + next_byte() % 16U);
		break;
	case FORGET:
		hold_release(&copies, observer, next_byte());
		break;
	case DRAIN:
		err = ipc_tx_drain(innocent.tx->tx, IPC_NOW);
		MUST(err == -EAGAIN || err == 0);
		events_of(innocent.tx);
		break;
	}
	innocent_awake(&innocent, rx);
}

/* The liars are still there, but at rest: the rest comes, and then there is room again. */
void end(void)
{
	unsigned int calls = 0;
	int got;

	no_more_actions();
	innocent_send(&innocent, 100);
	do {
		while (held.n)
			hold_release(&held, rx, 0);
		got = take_some(16);
		MUST(++calls < 10000);
	} while (got != -EAGAIN);
	MUST(innocent.next == innocent.sent);
	MUST(ipc_tx_drain(innocent.tx->tx, IPC_NOW) == 0);
	innocent_send(&innocent, RING - 32);
	MUST(take_some(1) == 1);
	do {
		while (copies.n)
			hold_release(&copies, observer, 0);
		got = observe(16);
		MUST(++calls < 20000);
	} while (got != -EAGAIN);
	MUST(observed == innocent.sent);
	innocent_awake(&innocent, rx);
	for (unsigned int i = 0; i < LIARS; i++)
		peer_free(liar[i]);
	chan_free(chan);
}
