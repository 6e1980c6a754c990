// SPDX-License-Identifier: MIT
/* untethered - receivers that hold nobody up: copies, starts, overruns counted to the message. */
#include "messages.h"

#include <errno.h>

#define RING 8192U

static struct chan *chan;
static struct peer *tx, *rx;

static void begin(uint32_t channel_flags, uint8_t flags)
{
	chan = chan_new_broadcast(4, RING, channel_flags);
	rx = join_receiver(chan, (uint8_t)(flags | MSGC_UNTETHERED), 0);
	tx = join_sender(chan, RING, 0);
}

static void end(void)
{
	chan_free(chan);
}

static struct msgc_own *own_of(const struct peer *receiver)
{
	return (void *)receiver->own;
}

static void send_many(uint64_t from, uint64_t to, uint32_t len)
{
	for (uint64_t i = from; i < to; i++)
		CHECK_EQ(send_one(tx, len, i), 0);
}

static void copies_are_held_in_any_order(void)
{
	struct ipc_msg msg[3], again;

	begin(MSGC_UNTETHERED_ONLY, 0);
	send_many(0, 3, 100);
	CHECK_EQ(recv_now(rx, msg, 3), 3);
	send_many(3, 500, 100);			/* the ring goes round: they are not in it */
	for (uint64_t i = 0; i < 3; i++) {
		CHECK(is_number(&msg[i], i));
		CHECK_EQ(msg[i].seq, i + 1);
		CHECK_EQ(msg[i].missed, 0);
		CHECK_EQ(msg[i].peer, tx->map.id);
	}
	again = msg[1];
	CHECK_EQ(give_back(rx, &msg[1], 1), 0);
	CHECK_EQ(give_back(rx, &again, 1), -EINVAL);
	CHECK_EQ(give_back(rx, msg, 3), -EINVAL);	/* the second is back: none of them */
	CHECK_EQ(give_back(rx, &msg[2], 1), 0);
	CHECK_EQ(give_back(rx, &msg[0], 1), 0);
	CHECK_EQ(give_back(rx, &msg[0], 1), -EINVAL);
	CHECK_EQ(give_back(rx, &(struct ipc_msg){ 0 }, 1), -EINVAL);
	end();
}

static void it_holds_nobody_up(void)
{
	struct peer *tethered;
	struct ipc_msg msg;

	chan = chan_new(4, RING);
	tx = join_sender(chan, RING, 0);
	rx = join_receiver(chan, MSGC_UNTETHERED, 0);
	tethered = join_receiver(chan, 0, 0);		/* it took no seat */
	CHECK(tethered);
	for (uint64_t i = 0; i < 1000; i++) {
		CHECK_EQ(send_one(tx, 1000, i), 0);
		CHECK_EQ(recv_one(tethered, i), 1);
	}
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK_EQ(give_back(rx, &msg, 1), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);	/* says that all may go */
	CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
	CHECK_EQ(slot_of(rx, tx)->taken, 1056000);
	CHECK_EQ(slot_of(rx, tx)->head, 0);
	CHECK_EQ(tx->kicks, 0);				/* and armed nothing */
	CHECK_EQ(rx->waits + rx->kicks, 0);
	leave(rx, MSGC_DIED);
	peer_free(rx);
	CHECK_EQ(send_one(tx, 1000, 1000), 0);
	CHECK_EQ(recv_one(tethered, 1000), 1);		/* its death was no takeover */
	end();
}

static void without_a_tethered_receiver_the_ring_fills(void)
{
	uint64_t n = 0;

	begin(0, 0);
	while (send_one(tx, 1000, n) == 0)
		n++;
	CHECK_EQ(n, RING / 1056);
	for (uint64_t i = 0; i < n; i++)
		CHECK_EQ(recv_one(rx, i), 1);
	CHECK_EQ(send_one(tx, 1000, n), -EAGAIN);
	end();
}

static void starts(void)
{
	struct peer *now, *oldest;
	struct ipc_msg msg;

	begin(MSGC_UNTETHERED_ONLY, 0);
	send_many(0, 100, 1000);
	now = join_receiver(chan, MSGC_UNTETHERED, 0);
	oldest = join_receiver(chan, MSGC_UNTETHERED | MSGC_OLDEST, 0);
	CHECK_EQ(recv_now(now, &msg, 1), -EAGAIN);
	CHECK_EQ(recv_now(oldest, &msg, 1), 1);
	CHECK_EQ(msg.missed, 0);			/* it was not there */
	CHECK(msg.cookie >= 100 - RING / 1056 && msg.cookie < 100 - RING / 1056 + 2);
	for (uint64_t i = msg.cookie + 1; i < 100; i++)
		CHECK_EQ(recv_one(oldest, i), 1);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);		/* this one was, before the ring */
	CHECK_EQ(msg.missed, msg.cookie);
	send_many(100, 101, 1000);
	CHECK_EQ(recv_one(now, 100), 1);
	CHECK_EQ(own_of(now)->missed, 0);
	end();
}

/* Whatever the sizes and however far behind: what was not delivered was counted. */
static void missed_is_exact(void)
{
	uint64_t random = 1, sent = 0, next = 0, missed = 0;

	begin(MSGC_UNTETHERED_ONLY, 0);
	while (sent < 20000) {
		uint64_t n = next_random(&random) % 60;
		struct ipc_msg msg[8];
		int got;

		for (; n; n--, sent++)
			send_many(sent, sent + 1, next_random(&random) % 700);
		got = recv_now(rx, msg, 1 + next_random(&random) % 8);
		for (int i = 0; i < got; i++) {
			next += msg[i].missed;
			missed += msg[i].missed;
			CHECK(is_number(&msg[i], next));
			CHECK_EQ(msg[i].seq, ++next);
		}
		if (got > 0)
			CHECK_EQ(give_back(rx, msg, (unsigned int)got), 0);
		if (atomic_load(&tap_failed))
			break;
	}
	CHECK(missed > 1000 && missed < 19000);
	CHECK_EQ(own_of(rx)->missed, missed);
	CHECK_EQ(ipc_obs_missed(rx->obs), missed);
	CHECK_EQ(rx->refusals, 0);
	end();
}

/* Neither for a ring that is all one message, nor with a reservation open in it. */
static void the_oldest_goes_whatever_its_size(void)
{
	struct ipc_msg open = { 0 }, msg = { 0 };

	begin(MSGC_UNTETHERED_ONLY, 0);
	send_many(0, 5, RING - 32);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK(is_number(&msg, 4));
	CHECK_EQ(msg.missed, 4);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &open, 1000, IPC_NOW), 0);
	for (uint64_t i = 5; i < 11; i++)
		CHECK_EQ(put(tx, 1000, i), 0);
	CHECK_EQ(put(tx, 1000, 11), -EBUSY);
	open.cookie = 99;
	fill(open.data, 1000, 99);
	CHECK_EQ(ipc_tx_commit(tx->tx, &open), 0);
	CHECK_EQ(put(tx, 1000, 11), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), -EOPNOTSUPP);
	CHECK_EQ(tx->waits, 0);
	end();
}

static void too_much_is_held(void)
{
	static struct ipc_msg msg[257];
	struct ipc_msg big[3];

	begin(MSGC_UNTETHERED_ONLY, 0);
	send_many(0, 3, RING - 64);
	for (uint64_t i = 0; i < 2; i++) {
		send_many(i, i + 1, RING - 64);
		CHECK_EQ(recv_now(rx, &big[i], 1), 1);
	}
	send_many(7, 8, RING - 64);
	CHECK_EQ(recv_now(rx, &big[2], 1), -ENOBUFS);
	CHECK_EQ(recv_until(rx, &big[2], 1, IPC_FOREVER), -ENOBUFS);
	CHECK(is_number(&big[0], 0) && is_number(&big[1], 1));
	CHECK_EQ(give_back(rx, &big[1], 1), 0);
	CHECK_EQ(recv_now(rx, &big[1], 1), -ENOBUFS);		/* freed as a prefix */
	CHECK_EQ(give_back(rx, &big[0], 1), 0);
	CHECK_EQ(recv_now(rx, &big[0], 1), 1);
	CHECK(is_number(&big[0], 7));
	CHECK_EQ(give_back(rx, &big[0], 1), 0);
	for (uint64_t i = 0; i < 256; i++) {			/* 2 x 8192 bytes in places of 64 */
		send_many(i, i + 1, 0);
		CHECK_EQ(recv_now(rx, &msg[i], 1), 1);
	}
	send_many(256, 257, 0);
	CHECK_EQ(recv_now(rx, &msg[256], 1), -ENOBUFS);
	CHECK_EQ(give_back(rx, msg, 1), 0);
	CHECK_EQ(recv_one(rx, 256), 1);
	CHECK_EQ(recv_now(rx, msg, 1), -EAGAIN);
	end();
}

/* Copies of all sizes, given back in any order: none runs into another. */
static void the_arena_goes_round(void)
{
	uint64_t random = 5, sent = 0, got = 0;
	struct ipc_msg held[32];
	unsigned int n = 0, full = 0;

	begin(MSGC_UNTETHERED_ONLY, 0);
	while (got < 20000 && !atomic_load(&tap_failed)) {
		int now;

		send_many(sent, sent + 1, next_random(&random) % 1500);
		sent++;
		now = n < 32 ? recv_now(rx, &held[n], 1) : -ENOBUFS;
		full += now == -ENOBUFS;
		CHECK(now == 1 || now == -ENOBUFS);
		got += now == 1;
		n += now == 1;
		while (n && (now != 1 || next_random(&random) % 3 == 0)) {
			unsigned int i = next_random(&random) % n;

			CHECK(is_number(&held[i], held[i].cookie));
			CHECK_EQ(held[i].seq, held[i].cookie + 1);
			CHECK_EQ(give_back(rx, &held[i], 1), 0);
			held[i] = held[--n];
		}
	}
	CHECK(full > 100);
	end();
}

static void the_stream_ends(void)
{
	begin(MSGC_UNTETHERED_ONLY, 0);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	send_many(0, 1, 10);
	leave(tx, MSGC_LEFT);
	CHECK(events_of(rx) & MSGC_IN);
	CHECK_EQ(recv_one(rx, 0), 1);
	CHECK_EQ(recv_one(rx, 1), -EPIPE);
	CHECK_EQ(recv_until(rx, &(struct ipc_msg){ 0 }, 1, IPC_FOREVER), -EPIPE);
	end();
}

static void stay_waits_for_others(void)
{
	struct ipc_msg msg;

	begin(MSGC_UNTETHERED_ONLY, MSGC_STAY);
	leave(tx, MSGC_LEFT);
	CHECK_EQ(recv_until(rx, &msg, 1, now_ns() + 1000000), -ETIMEDOUT);
	CHECK_EQ(rx->sleeps, 1);
	peer_free(tx);
	end();
}

static void it_sleeps_and_is_woken(void)
{
	struct ipc_msg msg;

	begin(MSGC_UNTETHERED_ONLY, 0);
	CHECK_EQ(events_of(rx), 0);		/* arms */
	send_many(0, 1, 10);
	CHECK_EQ(tx->kicks, 1);
	CHECK_EQ(events_of(rx), MSGC_IN);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK_EQ(give_back(rx, &msg, 1), 0);
	CHECK_EQ(slot_of(rx, tx)->taken, 64);
	CHECK_EQ(events_of(rx), 0);
	end();
}

/* What a departed sender left is read until its place is needed; then it is gone, and counted. */
static void the_dead_make_room(void)
{
	struct peer *dead[4];
	struct ipc_msg msg;

	begin(MSGC_UNTETHERED_ONLY, 0);
	dead[0] = tx;
	for (unsigned int i = 1; i < 4; i++)
		dead[i] = join_sender(chan, RING, 0);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK_EQ(send_one(dead[i], 10, i), 0);
		CHECK_EQ(send_one(dead[i], 10, 10 + i), 0);
		leave(dead[i], MSGC_DIED);
	}
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK_EQ(msg.peer, dead[0]->map.id);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(tx->index, dead[0]->index);
	send_many(77, 78, 10);
	for (unsigned int i = 0; i < 7; i++) {
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
		CHECK_EQ(msg.missed, 0);
		CHECK(is_number(&msg, msg.peer == tx->map.id ? 77 : msg.seq * 10 - 10 +
				(msg.peer == dead[1]->map.id ? 1U :
				 msg.peer == dead[2]->map.id ? 2U : 3U)));
	}
	CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
	CHECK_EQ(own_of(rx)->missed, 1);		/* the second of the first */
	CHECK_EQ(rx->refusals, 0);
	peer_free(dead[0]);
	end();
}

static void many_take_turns(void)
{
	struct ipc_msg msg[16];
	uint64_t next[4] = { 0 };
	struct peer *many[4];
	unsigned int total = 0;

	begin(MSGC_UNTETHERED_ONLY, 0);
	many[0] = tx;
	for (unsigned int s = 1; s < 4; s++)
		many[s] = join_sender(chan, RING, 0);
	for (unsigned int s = 0; s < 4; s++)
		for (uint64_t i = 0; i < 100; i++)
			CHECK_EQ(send_one(many[s], 0, s * 1000 + i), 0);
	while (total < 400) {
		int got = recv_now(rx, msg, 1 + total % 16);

		CHECK(got > 0);
		for (int i = 0; i < got; i++) {
			unsigned int s = (unsigned int)(msg[i].cookie / 1000);

			CHECK(is_number(&msg[i], s * 1000 + next[s]));
			next[s]++;
		}
		CHECK_EQ(give_back(rx, msg, (unsigned int)got), 0);
		total += (unsigned int)got;
		for (unsigned int s = 0; s < 4; s++)
			CHECK(next[s] + 80 > total / 4);
	}
	end();
}

static void an_evicted_one_is_told(void)
{
	begin(MSGC_UNTETHERED_ONLY, 0);
	leave(rx, MSGC_DIED);
	CHECK_EQ(recv_one(rx, 1), -ESHUTDOWN);
	CHECK(!join_receiver(chan, 0, 0));	/* tethered: not here */
	peer_free(rx);
	end();
}

int main(void)
{
	RUN(copies_are_held_in_any_order);
	RUN(it_holds_nobody_up);
	RUN(without_a_tethered_receiver_the_ring_fills);
	RUN(starts);
	RUN(missed_is_exact);
	RUN(the_oldest_goes_whatever_its_size);
	RUN(too_much_is_held);
	RUN(the_arena_goes_round);
	RUN(the_stream_ends);
	RUN(stay_waits_for_others);
	RUN(it_sleeps_and_is_woken);
	RUN(the_dead_make_room);
	RUN(many_take_turns);
	RUN(an_evicted_one_is_told);
	return tap_done();
}
