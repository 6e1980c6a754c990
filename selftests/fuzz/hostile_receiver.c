// SPDX-License-Identifier: MIT
/*
 * hostile_receiver - a receiver that writes anything about one sender, against that sender; another
 * sender, whom it treats well, is innocent. Honest and lying receivers follow each other; with
 * broadcast delivery a second receiver is there all the time, and innocent too.
 *
 * Whatever it writes: the sender stays within its ring, ends each call, and its words never go
 * back; an honest successor refuses nobody and sees nothing that was not sent; the second receiver
 * gets everything.
 */
#include "fuzz.h"

#include <errno.h>

#define OPEN	8U

enum { RESERVE, FINISH, PUBLISH, SEND, DRAIN, STEPS };
enum { INNOCENT_SEND, RECV, RELEASE, SLOT, GEN, SEEN, REFUSE, KICK, SUCCESSOR, SECOND,
	ACTIONS };

const unsigned int step_kinds = STEPS, action_kinds = ACTIONS;

static struct chan *chan;
static struct peer *rx, *victim;
static struct peer *second;		/* NULL: exclusive delivery */
static uint64_t next_second[2];		/* what it is to get: of the innocent, of the victim */
static bool lying;			/* this receiver has */
static bool refused;			/* this receiver and the victim are apart */
static struct innocent innocent;
static struct held held;

static struct ipc_msg open[OPEN];
static unsigned int n_open, n_receivers;
static uint64_t number, last_number;	/* of the victim's: next to send; last that came */
static uint64_t low, tail;		/* as its words stood before */

void begin(void)
{
	n_open = 0;
	n_receivers = 0;
	number = 1;
	last_number = 0;
	low = 0;
	tail = 0;
	lying = false;
	refused = false;
	held.n = 0;
	next_second[0] = 0;
	next_second[1] = 1;
	second = NULL;
	if (next_byte() % 2) {
		chan = chan_new_broadcast(2, 2 * RING, 0);
		second = join_receiver(chan, 0, 0);
	} else {
		chan = chan_new(2, 2 * RING);
	}
	rx = join_receiver(chan, 0, 0);
	victim = join_sender(chan, RING, 0);
	innocent = (struct innocent){ .tx = join_sender(chan, RING, 0) };
}

/*
 * Every other message of the victim's is full of what a liar might take for records, had it a way
 * to make a successor read there; number 0 is never sent.
 */
static void forge_records(const struct ipc_msg *msg)
{
	uint64_t at = (uint64_t)((char *)msg->data - (char *)victim->map.data);
	uint64_t pos = *tail_of(victim) + (at - *tail_of(victim)) % RING;

	for (uint32_t i = 0; i + 32 <= msg->len; i += 32, pos += 32) {
		uint32_t span_flags = 1 + (uint32_t)(msg->cookie + i / 32) / 2 % 3;

		*(struct msgc_record *)((char *)msg->data + i) = (struct msgc_record){
			.span_flags = span_flags,
			.check = (uint32_t)(pos >> 5) ^ span_flags,
		};
	}
}

static void fill_victims(const struct ipc_msg *msg)
{
	fill(msg->data, msg->len, msg->cookie);
	if (msg->cookie % 2)
		forge_records(msg);
}

static bool is_victims(const struct ipc_msg *msg, uint64_t n)
{
	if (n % 2)
		return msg->cookie == n && msg->type == (uint32_t)n && msg->format == (uint8_t)n;
	return is_number(msg, n);
}

/* ---- what the receiver does ---- */

/* What an honest receiver sees of the victim was sent; in order, as long as it lives. */
static void check_victims_message(const struct ipc_msg *msg)
{
	if (lying)			/* it said itself that this may be overwritten */
		return;
	MUST(msg->cookie > last_number && msg->cookie < number);
	MUST(is_victims(msg, msg->cookie));
	last_number = msg->cookie;
}

static int take_some(unsigned int n)
{
	struct ipc_msg *msg = held.msg + held.n;
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
			check_victims_message(&msg[i]);
	}
	if (got == -EPROTO) {
		MUST(msg[0].peer == victim->map.id && (lying || refused));
		refused = true;
	}
	held.n += got > 0 ? (unsigned int)got : 0;
	return got;
}

/* It takes and gives back at once; returns what recv does. */
static int second_takes(void)
{
	struct ipc_msg msg[16];
	int got = recv_now(second, msg, 16);

	MUST(got > 0 || got == -EAGAIN);
	for (int i = 0; i < got; i++) {
		bool of_victim = msg[i].peer == victim->map.id;
		uint64_t n = next_second[of_victim]++;

		MUST(of_victim ? is_victims(&msg[i], n) : is_number(&msg[i], n));
		MUST(!msg[i].missed && !msg[i].flags);
	}
	if (got > 0)
		MUST(give_back(second, msg, (unsigned int)got) == 0);
	MUST(!second->refusals);
	return got;
}

static void succeed(void)
{
	if (n_receivers++ > 5)			/* slow */
		return;
	innocent_taken_over(&innocent, &held);
	if (second)				/* the next one starts at now */
		innocent.next = innocent.sent;
	innocent.seen = second ? innocent.sent : innocent.seen;
	held.n = 0;
	leave(rx, MSGC_DIED);
	peer_free(rx);
	last_number = 0;
	lying = false;
	refused = false;
	rx = join_receiver(chan, 0, 0);
}

static void lie_in_slot(const struct action *action)
{
	struct msgc_slot *slot = slot_of(rx, victim);
	__u64 *word = action->where & 1 ? &slot->head : &slot->taken;

	*word = lie(action, action->where & 2 ? *tail_of(victim) : *word);
	lying = true;
}

static void refuse_victim(void)
{
	struct msgc_line *line = line_of_peer(victim);

	line->receivers &= ~(1ULL << rx->index);
	chan->status->generation++;
	refused = true;
}

void perform(const struct action *action)
{
	switch (action->kind) {
	case INNOCENT_SEND:
		innocent_send(&innocent, (uint32_t)(action->value * 16 % (RING - 31)));
		break;
	case RECV:
		take_some(1 + action->where % 16);
		break;
	case RELEASE:
		hold_release(&held, rx, action->where);
		break;
	case SLOT:
		lie_in_slot(action);
		break;
	case GEN:
		slot_of(rx, victim)->gen = lie(action, slot_of(rx, victim)->gen);
		lying = true;
		break;
	case SEEN:
		((struct msgc_own *)rx->own)->seen = action->value;
		break;
	case REFUSE:
		refuse_victim();
		break;
	case KICK:
		events_of(rx);
		break;
	case SUCCESSOR:
		succeed();
		break;
	case SECOND:
		if (second)
			second_takes();
		break;
	}
}

/* ---- what the victim does ---- */

static void reserve(uint32_t len)
{
	struct ipc_msg *msg = &open[n_open];
	int err;

	if (n_open == OPEN)
		return;
	*msg = (struct ipc_msg){ 0 };
	err = ipc_tx_reserve(victim->tx, msg, len, IPC_NOW);
	MUST(err == 0 || err == -EAGAIN || err == -EBUSY || err == -EPROTO || err == -ENOBUFS);
	if (err < 0)
		return;
	MUST((uint8_t *)msg->data >= (uint8_t *)victim->map.data);
	MUST((uint8_t *)msg->data + len <= (uint8_t *)victim->map.data + 2 * RING);
	n_open++;
}

/* Filled in the order of finishing: numbers go by position, which is the order of reserving. */
static void finish(unsigned int which, bool commit)
{
	struct ipc_msg *msg = &open[which];

	if (commit) {
		msg->cookie = number;
		msg->type = (uint32_t)number;
		msg->format = (uint8_t)number;
		fill_victims(msg);
		number++;
		MUST(ipc_tx_commit(victim->tx, msg) == 0);
	} else {
		MUST(ipc_tx_abandon(victim->tx, msg) == 0);
	}
	memmove(msg, msg + 1, (--n_open - which) * sizeof(*msg));
}

static void check_victim(void)
{
	uint64_t was_low = low, was_tail = tail;

	low = control_of(victim)->low;
	tail = *tail_of(victim);
	MUST(low >= was_low && tail >= was_tail);
	MUST(low % 32 == 0 && tail % 32 == 0);
	MUST(low <= tail && tail - low <= RING);
}

void step(unsigned int kind)
{
	unsigned int which = n_open ? next_byte() % n_open : 0;
	int ret;

	switch (kind) {
	case RESERVE:
		reserve(next_byte() * 16U % (RING - 31));
		break;
	case FINISH:
		if (!n_open)
			break;
		if (which)		/* only the oldest is committed: see there */
			finish(which, false);
		else
			finish(0, next_byte() % 4);
		break;
	case PUBLISH:
		ret = ipc_tx_publish(victim->tx);
		MUST(ret == 0);
		break;
	case SEND:
		reserve(next_byte() * 4U);
		if (n_open == 1)
			finish(0, true);
		ret = ipc_tx_publish(victim->tx);
		MUST(ret == 0);
		break;
	case DRAIN:
		ret = ipc_tx_drain(victim->tx, IPC_NOW);
		MUST(ret == 0 || ret == -EAGAIN || ret == -EPROTO);
		events_of(victim);
		break;
	}
	check_victim();
	innocent_awake(&innocent, rx);
}

/* An honest receiver comes: it blames nobody, and both senders get on with it. */
void end(void)
{
	unsigned int calls = 0;
	int got;

	no_more_actions();
	n_receivers = 0;
	succeed();
	while (second && second_takes() > 0)
		MUST(++calls < 10000);
	while (n_open)
		finish(0, true);
	MUST(ipc_tx_publish(victim->tx) == 0);
	innocent_send(&innocent, 100);
	do {
		while (held.n)
			hold_release(&held, rx, 0);
		if (second)
			second_takes();
		got = take_some(16);
		MUST(got != -EPROTO && ++calls < 10000);
	} while (got != -EAGAIN);
	while (second && second_takes() > 0)
		MUST(++calls < 20000);
	MUST(innocent.next == innocent.sent);
	MUST(!second || (next_second[0] == innocent.sent && next_second[1] == number));
	MUST(ipc_tx_drain(innocent.tx->tx, IPC_NOW) == 0);
	MUST(ipc_tx_drain(victim->tx, IPC_NOW) == 0);
	reserve(RING - 32);
	MUST(n_open == 1);
	finish(0, true);
	MUST(ipc_tx_publish(victim->tx) == 0);
	MUST(take_some(1) == 1 && last_number == number - 1);
	check_victim();
	innocent_awake(&innocent, rx);
	MUST(!rx->refusals);
	chan_free(chan);
}
