// SPDX-License-Identifier: MIT
/*
 * ring_takeover - a receiver dies, another goes on: nothing lost, what comes again is flagged, and
 * one that lied frames nobody.
 *
 * takeover.c is compiled in here with a hook before each word that it reads, so that something can
 * happen right there.
 */
#include "messages.h"

#include <errno.h>

static void before_load(void);

#define __atomic_load_n(p, order)	(before_load(), __atomic_load_n(p, order))
#include "../../libipc/takeover.c"
#undef __atomic_load_n

#define RING 8192U

static long countdown = -1;
static void (*event)(void);

static void before_load(void)
{
	if (countdown >= 0 && countdown-- == 0)
		event();
}

static struct chan *chan;
static struct peer *tx, *rx;

static void begin(void)
{
	chan = chan_new(4, RING);
	tx = join_sender(chan, RING, 0);
	rx = join_receiver(chan, 0, 0);
}

static void end(void)
{
	chan_free(chan);
}

static void succeed(void)
{
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = join_receiver(chan, 0, 0);
}

static void expect(uint64_t number, uint8_t flags, uint16_t attempts)
{
	struct ipc_msg msg;

	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK(is_number(&msg, number));
	CHECK_EQ(msg.seq, number + 1);
	CHECK_EQ(msg.missed, 0);
	CHECK_EQ(msg.flags, flags);
	CHECK_EQ(msg.attempts, attempts);
}

static void expect_lost(uint64_t lost)
{
	struct ipc_rx_counts counts;

	ipc_rx_counts(rx->rx, &counts);
	CHECK_EQ(counts.lost, lost);
	CHECK_EQ(counts.refused, 0);
	CHECK_EQ(rx->refusals + tx->refusals, 0);
}

static void what_was_taken_comes_again_flagged(void)
{
	struct ipc_msg msg[5];

	begin();
	for (uint64_t i = 0; i < 6; i++)
		CHECK_EQ(send_one(tx, 40, i), 0);
	CHECK_EQ(recv_now(rx, msg, 5), 5);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[0], 2), 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[3], 1), 0);	/* out of order: not acknowledged */
	succeed();
	for (uint64_t i = 2; i < 5; i++)
		expect(i, IPC_F_REDELIVERED, 1);
	expect(5, 0, 0);
	CHECK_EQ(recv_one(rx, 6), -EAGAIN);
	end();
}

static void attempts_count_who_held_the_first(void)
{
	begin();
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 40, i), 0);
	expect(0, 0, 0);
	expect(1, 0, 0);
	for (uint16_t n = 1; n < 5; n++) {
		succeed();
		expect(0, IPC_F_REDELIVERED, n);
	}
	/* Taken by the first only, but that counts. */
	expect(1, IPC_F_REDELIVERED, 4);
	expect(2, 0, 0);
	end();
}

static void one_that_took_nothing_changes_nothing(void)
{
	begin();
	CHECK_EQ(send_one(tx, 40, 0), 0);
	succeed();
	succeed();
	expect(0, 0, 0);
	end();
}

/* The sender's limit has moved since; everything from the last head on is still there. */
static void nothing_is_lost_over_many_successors(void)
{
	uint64_t random = 1, sent = 0, acked = 0;

	begin();
	while (sent < 3000) {
		struct ipc_msg msg[8];
		int got;

		while (send_one(tx, next_random(&random) % 300, sent) == 0)
			sent++;
		got = recv_now(rx, msg, 1 + next_random(&random) % 8);
		CHECK(got > 0);
		for (int i = 0; i < got; i++) {
			CHECK(is_number(&msg[i], acked + (unsigned int)i));
			CHECK_EQ(msg[i].missed, 0);
		}
		got = (int)(next_random(&random) % (unsigned int)(got + 1));
		CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)got), 0);
		acked += (unsigned int)got;
		succeed();
		if (atomic_load(&tap_failed))
			break;
	}
	end();
}

/* A predecessor left rubbish: the successor goes on at the next record, and nobody is refused. */
static void rubbish_left_behind_frames_nobody(void)
{
	struct ipc_msg msg;

	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(tx, 1000, i), 0);
	expect(0, 0, 0);
	slot_of(rx, tx)->head = 64;			/* inside the first */
	succeed();
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK(is_number(&msg, 1));
	CHECK_EQ(msg.missed, 1);
	CHECK_EQ(slot_of(rx, tx)->head, 1056);		/* and the space that was skipped is free */
	expect_lost(1);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	CHECK_EQ(recv_one(rx, 2), 1);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	end();
}

static void forge(char *at, uint64_t pos, uint32_t span)
{
	*(struct msgc_record *)at = (struct msgc_record){
		.span_flags = span,
		.type = 666,
		.check = check_word(pos, span),
		.seq_format = 99,
		.cookie = 0xbad,
	};
}

/* Headers are no secret: an honest sender may pass on a payload full of them, then of rubbish. */
static void forged_headers_are_no_messages(void)
{
	struct ipc_msg msg = { 0 };

	for (uint64_t head = 32; head <= 1024; head += 32) {
		begin();
		CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 1024, IPC_NOW), 0);
		memset(msg.data, 0xff, 1024);
		for (uint64_t at = 0; at < 512; at += 32)
			forge((char *)msg.data + at, 32 + at, 1);
		CHECK_EQ(ipc_tx_commit(tx->tx, &msg), 0);
		CHECK_EQ(send_one(tx, 10, 7), 0);
		CHECK_EQ(send_one(tx, 10, 8), 0);
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
		slot_of(rx, tx)->head = head;
		slot_of(rx, tx)->taken = head;
		succeed();
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
		CHECK(is_number(&msg, 7));
		CHECK_EQ(msg.seq, 2);
		CHECK_EQ(msg.missed, 1);
		CHECK_EQ(recv_one(rx, 8), 1);
		CHECK_EQ(recv_one(rx, 9), -EAGAIN);
		expect_lost(1);
		end();
	}
}

/* The sender has seen the rubbish: `low` is where it knows that a record starts. */
static void reading_goes_on_at_low(void)
{
	struct ipc_msg msg;

	begin();
	for (uint64_t i = 0; i < 7; i++)
		CHECK_EQ(send_one(tx, 1000, i), 0);
	expect(0, 0, 0);
	slot_of(rx, tx)->head = 64;
	CHECK_EQ(send_one(tx, 1000, 7), -EAGAIN);	/* looked, freed 64 bytes, stored low */
	CHECK_EQ(control_of(tx)->low, 1056);
	succeed();
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK(is_number(&msg, 1));
	CHECK_EQ(msg.missed, 1);
	expect_lost(1);
	end();
}

/* While the successor walks there, the sender overwrites the first, with what leads elsewhere. */
static void overwrite_the_first(void)
{
	struct ipc_msg msg = { 0 };

	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 832, IPC_NOW), 0);
	fill(msg.data, 832, 7);
	forge((char *)msg.data + 768, 0, 2);		/* at position RING */
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
}

static void the_way_to_the_start_may_be_overwritten(void)
{
	struct ipc_msg msg[8];
	bool again = true;

	event = overwrite_the_first;
	for (long at = 0; again; at++) {
		begin();
		for (uint64_t i = 0; i < 7; i++)
			CHECK_EQ(send_one(tx, 1000, i), 0);
		expect(0, 0, 0);
		slot_of(rx, tx)->head = 64;
		leave(rx, MSGC_DIED);
		peer_free(rx);
		countdown = at;
		rx = join_receiver(chan, 0, 0);
		again = countdown < 0;
		countdown = -1;
		CHECK_EQ(recv_now(rx, msg, 8), again ? 7 : 6);
		for (unsigned int i = 0; i < 6; i++)
			CHECK(is_number(&msg[i], i + 1));
		CHECK_EQ(msg[0].missed, 1);
		expect_lost(1);
		end();
	}
}

/* What stands between `low` and the start is the sender's writing, and nobody else's. */
static void a_bad_header_on_the_way_is_the_senders(void)
{
	struct ipc_rx_counts counts;
	struct ipc_msg msg[2];

	for (unsigned int departed = 0; departed < 2; departed++) {
		begin();
		for (uint64_t i = 0; i < 3; i++)
			CHECK_EQ(send_one(tx, 1000, i), 0);
		CHECK_EQ(recv_now(rx, msg, 2), 2);
		CHECK_EQ(ipc_rx_release(rx->rx, msg, 1), 0);
		((struct msgc_record *)tx->map.data)->check ^= 1;
		if (departed)
			leave(tx, MSGC_LEFT);
		succeed();
		CHECK_EQ(recv_now(rx, msg, 1), -EPROTO);
		CHECK_EQ(msg[0].peer, tx->map.id);
		CHECK_EQ(recv_now(rx, msg, 1), departed ? -EPIPE : -EAGAIN);
		ipc_rx_counts(rx->rx, &counts);
		CHECK_EQ(counts.refused, 1);
		CHECK_EQ(counts.lost, 0);
		if (departed)
			peer_free(tx);		/* its ring has gone: there is nothing to read */
		end();
	}
}

/* The sender answers for what stands behind the start, too. */
static void a_later_bad_record_is_the_senders(void)
{
	struct ipc_msg msg;

	begin();
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	expect(0, 0, 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &(struct ipc_msg){ 0 }, 0), 0);
	slot_of(rx, tx)->head = 32;
	succeed();
	((struct msgc_record *)tx->map.data)[2].check ^= 1;
	expect(1, 0, 0);
	CHECK_EQ(recv_now(rx, &msg, 1), -EPROTO);
	CHECK_EQ(msg.peer, tx->map.id);
	CHECK_EQ(rx->refusals, 1);
	end();
}

static void a_departed_ring_is_taken_over(void)
{
	begin();
	CHECK_EQ(send_one(tx, 40, 0), 0);
	CHECK_EQ(send_one(tx, 40, 1), 0);
	expect(0, 0, 0);
	leave(tx, MSGC_DIED);
	succeed();
	expect(0, IPC_F_REDELIVERED, 1);
	expect(1, 0, 0);
	CHECK_EQ(recv_one(rx, 2), -EPIPE);
	end();
}

/* A standby takes nothing, and sees no end, until it is promoted; then it is a successor. */
static void a_standby_takes_over(void)
{
	struct peer *first, *second, *third;
	struct ipc_msg msg[3];

	begin();
	first = join_receiver(chan, MSGC_AS_STANDBY, 0);
	second = join_receiver(chan, MSGC_AS_STANDBY, 0);
	CHECK(!join_receiver(chan, 0, 0));
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 40, i), 0);
	CHECK_EQ(recv_one(first, 0), -EAGAIN);
	CHECK_EQ(events_of(first), 0);
	CHECK_EQ(recv_until(second, msg, 1, now_ns() + 1000000), -ETIMEDOUT);
	CHECK_EQ(slot_of(first, tx)->gen, 0);			/* holds nothing */
	CHECK_EQ(recv_now(rx, msg, 3), 3);
	CHECK_EQ(give_back(rx, msg, 1), 0);
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = first;
	CHECK_EQ(events_of(rx), MSGC_IN);
	expect(1, IPC_F_REDELIVERED, 1);
	expect(2, IPC_F_REDELIVERED, 1);
	CHECK_EQ(recv_one(second, 1), -EAGAIN);
	third = join_receiver(chan, MSGC_AS_STANDBY, 0);
	leave(tx, MSGC_LEFT);
	leave(third, MSGC_DIED);			/* a standby's death is no takeover */
	peer_free(third);
	CHECK_EQ(recv_one(second, 1), -EAGAIN);			/* no end for it yet */
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = second;
	expect(1, IPC_F_REDELIVERED, 2);
	expect(2, IPC_F_REDELIVERED, 2);
	expect(3, 0, 0);
	CHECK_EQ(recv_one(rx, 4), -EPIPE);
	end();
}

static void a_standby_in_an_empty_seat_receives(void)
{
	chan = chan_new(4, RING);
	tx = join_sender(chan, RING, 0);
	rx = join_receiver(chan, MSGC_AS_STANDBY, 0);
	CHECK_EQ(send_one(tx, 40, 0), 0);
	expect(0, 0, 0);
	end();
}

static void an_evicted_standby_is_told(void)
{
	struct peer *standby;

	begin();
	standby = join_receiver(chan, MSGC_AS_STANDBY, 0);
	leave(standby, MSGC_DIED);
	CHECK_EQ(recv_one(standby, 0), -ESHUTDOWN);
	peer_free(standby);
	end();
}

int main(void)
{
	RUN(what_was_taken_comes_again_flagged);
	RUN(attempts_count_who_held_the_first);
	RUN(one_that_took_nothing_changes_nothing);
	RUN(nothing_is_lost_over_many_successors);
	RUN(rubbish_left_behind_frames_nobody);
	RUN(forged_headers_are_no_messages);
	RUN(reading_goes_on_at_low);
	RUN(the_way_to_the_start_may_be_overwritten);
	RUN(a_bad_header_on_the_way_is_the_senders);
	RUN(a_later_bad_record_is_the_senders);
	RUN(a_departed_ring_is_taken_over);
	RUN(a_standby_takes_over);
	RUN(a_standby_in_an_empty_seat_receives);
	RUN(an_evicted_standby_is_told);
	return tap_done();
}
