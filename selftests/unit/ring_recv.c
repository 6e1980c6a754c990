// SPDX-License-Identifier: MIT
/* ring_recv - the receiver's half: borrowing, releasing, order, fairness, the end of the stream. */
#include "messages.h"

#include <errno.h>

#define RING 65536U

static struct chan *chan;
static struct peer *rx;

static void begin(uint8_t flags)
{
	chan = chan_new(8, RING);
	rx = join_receiver(chan, flags, 0);
}

static void end(void)
{
	chan_free(chan);
}

static void release_in_any_order(void)
{
	struct ipc_msg msg[4];
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 100, i), 0);
	CHECK_EQ(recv_now(rx, msg, 4), 4);
	CHECK_EQ(slot_of(rx, tx)->taken, 4 * 160);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[2], 1), 0);
	CHECK_EQ(slot_of(rx, tx)->head, 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[0], 1), 0);
	CHECK_EQ(slot_of(rx, tx)->head, 160);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[1], 1), 0);
	CHECK_EQ(slot_of(rx, tx)->head, 3 * 160);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[3], 1), 0);
	CHECK_EQ(slot_of(rx, tx)->head, 4 * 160);
	end();
}

static void release_refuses_what_is_not_borrowed(void)
{
	struct ipc_msg msg[3], twice[2], zero = { 0 };
	struct chan *second;
	struct peer *tx, *stranger;

	begin(0);
	tx = join_sender(chan, RING, 0);
	second = chan_new(8, RING);
	stranger = join_receiver(second, 0, 0);
	CHECK_EQ(send_one(join_sender(second, RING, 0), 100, 0), 0);
	CHECK_EQ(recv_now(stranger, twice, 1), 1);	/* its first, too */
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(tx, 100, i), 0);
	CHECK_EQ(recv_now(rx, msg, 3), 3);
	CHECK_EQ(ipc_rx_release(rx->rx, &zero, 1), -EINVAL);
	CHECK_EQ(ipc_rx_release(stranger->rx, msg, 1), -EINVAL);
	twice[0] = msg[0];
	twice[1] = msg[0];
	CHECK_EQ(ipc_rx_release(rx->rx, twice, 2), -EINVAL);
	CHECK_EQ(slot_of(rx, tx)->head, 0);
	CHECK_EQ(ipc_rx_release(rx->rx, twice, 1), 0);
	CHECK_EQ(ipc_rx_release(rx->rx, msg, 3), -EINVAL);	/* the first is back already */
	CHECK_EQ(slot_of(rx, tx)->head, 160);
	CHECK_EQ(ipc_rx_release(rx->rx, msg, 0), 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[1], 2), 0);
	CHECK_EQ(slot_of(rx, tx)->head, 3 * 160);
	/* The place of a released message is used again: the old name must not release the new. */
	CHECK_EQ(send_one(tx, 100, 9), 0);
	CHECK_EQ(recv_now(rx, twice, 1), 1);
	CHECK_EQ(ipc_rx_release(rx->rx, msg, 3), -EINVAL);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(ipc_rx_release(rx->rx, &msg[i], 1), -EINVAL);
	CHECK_EQ(slot_of(rx, tx)->head, 3 * 160);
	CHECK_EQ(ipc_rx_release(rx->rx, twice, 1), 0);
	chan_free(second);
	end();
}

static void a_receiver_that_holds_sleeps(void)
{
	struct ipc_msg msg[2];
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 100, 1), 0);
	CHECK_EQ(recv_now(rx, msg, 1), 1);
	CHECK_EQ(events_of(rx), 0);
	rx->waits = 0;
	CHECK_EQ(ipc_rx_recv(rx->rx, &msg[1], 1, now_ns() + 30000000), -ETIMEDOUT);
	CHECK_EQ(rx->waits, 1);
	CHECK_EQ(rx->sleeps, 1);
	end();
}

static void taken_is_stored_before_it_is_seen(void)
{
	struct ipc_msg msg[2];
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 1; i <= 5; i++) {
		CHECK_EQ(send_one(tx, 0, i), 0);
		CHECK_EQ(recv_now(rx, msg, 2), 1);
		CHECK_EQ(slot_of(rx, tx)->taken, 32 * i);
		CHECK_EQ(slot_of(rx, tx)->head, 0);
		CHECK_EQ(slot_of(rx, tx)->gen, line_of_peer(tx)->since);
	}
	end();
}

static void too_much_is_held(void)
{
	static struct ipc_msg msg[IPC_RX_BORROWED + 1];
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i <= IPC_RX_BORROWED; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	CHECK_EQ(recv_now(rx, msg, 0), -EINVAL);
	CHECK_EQ(recv_now(rx, msg, IPC_RX_BORROWED + 1), IPC_RX_BORROWED);
	CHECK_EQ(ipc_rx_recv(rx->rx, &msg[IPC_RX_BORROWED], 1, IPC_FOREVER), -ENOBUFS);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[500], 1), 0);
	/* Acknowledged as a prefix: the place is still needed. */
	CHECK_EQ(recv_now(rx, &msg[500], 1), -ENOBUFS);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[0], 1), 0);
	CHECK_EQ(recv_now(rx, &msg[0], 1), 1);
	CHECK(is_number(&msg[0], IPC_RX_BORROWED));
	end();
}

static void senders_take_turns(void)
{
	static struct ipc_msg msg[300];
	struct peer *tx[4];
	uint64_t next[4] = { 0 };
	unsigned int run = 0, longest = 0, last = 9;

	begin(0);
	for (unsigned int s = 0; s < 4; s++) {
		tx[s] = join_sender(chan, RING, 0);
		for (uint64_t i = 0; i < 200; i++)
			CHECK_EQ(send_one(tx[s], 8, s * 1000 + i), 0);
	}
	for (unsigned int got = 0, n = 1; got < 800; n = n % 70 + 1) {
		int now = recv_now(rx, msg, n);

		CHECK(now > 0);
		for (int i = 0; i < now; i++) {
			unsigned int s = (unsigned int)(msg[i].cookie / 1000);

			CHECK(is_number(&msg[i], s * 1000 + next[s]));
			next[s]++;
			run = s == last ? run + 1 : 1;
			last = s;
			longest = run > longest && next[s] < 190 ? run : longest;
		}
		CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)now), 0);
		got += (unsigned int)now;
	}
	CHECK_EQ(longest, 32);
	end();
}

static void turns_are_counted_in_bytes_too(void)
{
	struct ipc_msg msg[4];
	struct peer *a, *b;

	chan = chan_new(8, 4 * RING);
	rx = join_receiver(chan, 0, 0);
	a = join_sender(chan, 4 * RING, 0);
	b = join_sender(chan, 4 * RING, 0);
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQ(send_one(a, RING, i), 0);
		CHECK_EQ(send_one(b, RING, 10 + i), 0);
	}
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQ(recv_now(rx, msg, 2), 2);
		CHECK(is_number(&msg[0], i));
		CHECK(is_number(&msg[1], 10 + i));
	}
	end();
}

static void one_sender_is_never_starved_by_its_turn(void)
{
	struct ipc_msg msg;
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
	end();
}

static void the_stream_ends(void)
{
	struct peer *tx;

	begin(0);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);		/* nobody has come yet */
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 10, 1), 0);
	leave(tx, MSGC_LEFT);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(recv_one(rx, 2), -EPIPE);
	CHECK_EQ(ipc_rx_recv(rx->rx, &(struct ipc_msg){ 0 }, 1, IPC_FOREVER), -EPIPE);
	peer_free(tx);
	tx = join_sender(chan, RING, 0);		/* ends the end, as with a FIFO */
	CHECK_EQ(recv_one(rx, 2), -EAGAIN);
	CHECK_EQ(send_one(tx, 10, 2), 0);
	CHECK_EQ(recv_one(rx, 2), 1);
	end();
}

static void a_ring_that_was_found_counts(void)
{
	struct peer *tx;

	chan = chan_new(8, RING);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 10, 1), 0);
	leave(tx, MSGC_DIED);
	rx = join_receiver(chan, 0, 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(recv_one(rx, 2), -EPIPE);
	leave(rx, MSGC_LEFT);
	peer_free(rx);
	rx = join_receiver(chan, 0, 0);			/* that one finds nothing */
	CHECK_EQ(recv_one(rx, 2), -EAGAIN);
	peer_free(tx);
	end();
}

/* Who holds all that it may cannot know whether there is more. */
static void full_is_no_end(void)
{
	static struct ipc_msg msg[IPC_RX_BORROWED];
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i <= IPC_RX_BORROWED; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	CHECK_EQ(recv_now(rx, msg, IPC_RX_BORROWED), IPC_RX_BORROWED);
	leave(tx, MSGC_LEFT);
	CHECK_EQ(recv_one(rx, IPC_RX_BORROWED), -ENOBUFS);
	CHECK_EQ(ipc_rx_release(rx->rx, msg, IPC_RX_BORROWED), 0);
	CHECK_EQ(recv_one(rx, IPC_RX_BORROWED), 1);
	CHECK_EQ(recv_one(rx, 0), -EPIPE);
	peer_free(tx);
	end();
}

static void stay_waits_for_others(void)
{
	struct peer *tx;

	begin(MSGC_STAY);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 10, 1), 0);
	leave(tx, MSGC_LEFT);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(recv_one(rx, 2), -EAGAIN);
	CHECK_EQ(ipc_rx_recv(rx->rx, &(struct ipc_msg){ 0 }, 1, now_ns() + 1000000), -ETIMEDOUT);
	peer_free(tx);
	end();
}

static void the_departed_are_served_first(void)
{
	struct ipc_msg msg[8];
	struct peer *live, *gone;

	begin(0);
	live = join_sender(chan, RING, 0);
	gone = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQ(send_one(live, 10, i), 0);
		CHECK_EQ(send_one(gone, 10, 10 + i), 0);
	}
	leave(gone, MSGC_DIED);
	*tail_of(gone) = 1 << 20;	/* what counts is the end that the kernel noted */
	CHECK_EQ(recv_now(rx, msg, 8), 6);
	for (uint64_t i = 0; i < 3; i++) {
		CHECK(is_number(&msg[i], 10 + i));
		CHECK(is_number(&msg[3 + i], i));
	}
	CHECK_EQ(ipc_rx_release(rx->rx, msg, 6), 0);
	CHECK_EQ(rx->kicks, 1);		/* the kernel is told that the ring is drained */
	CHECK_EQ(line_of_peer(gone)->state, MSGC_REVOKED);
	peer_free(gone);
	end();
}

/* A departed ring that is still held must not give the living ones endless turns. */
static void a_held_departed_ring_leaves_turns_alone(void)
{
	struct ipc_msg held, msg;
	struct peer *gone, *a, *b;
	unsigned int run = 0;

	begin(0);
	gone = join_sender(chan, RING, 0);
	a = join_sender(chan, RING, 0);
	b = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(gone, 10, 1), 0);
	leave(gone, MSGC_DIED);
	CHECK_EQ(recv_now(rx, &held, 1), 1);
	for (uint64_t i = 0; i < 100; i++) {
		CHECK_EQ(send_one(a, 0, i), 0);
		CHECK_EQ(send_one(b, 0, i), 0);
	}
	do {
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
		run++;
	} while (msg.peer == a->map.id);
	CHECK_EQ(run, 33);
	end();
}

static void an_index_is_used_again(void)
{
	struct ipc_msg held, msg;
	struct peer *first, *other, *heir;

	begin(0);
	first = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(first, 10, 1), 0);
	CHECK_EQ(send_one(first, 10, 2), 0);
	CHECK_EQ(recv_now(rx, &held, 1), 1);
	leave(first, MSGC_DIED);
	drop_ring(first);		/* with one borrowed and one not taken */
	do {
		other = join_sender(chan, RING, 0);
	} while (other->index != first->index);
	heir = other;
	CHECK_EQ(send_one(heir, 10, 3), 0);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK(is_number(&msg, 3));
	CHECK_EQ(msg.peer, heir->map.id);
	CHECK_EQ(msg.seq, 1);
	CHECK_EQ(msg.missed, 0);
	CHECK_EQ(slot_of(rx, heir)->head, 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &held, 1), 0);
	CHECK_EQ(slot_of(rx, heir)->head, 0);
	CHECK_EQ(ipc_rx_release(rx->rx, &held, 1), -EINVAL);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	CHECK_EQ(slot_of(rx, heir)->head, 64);
	peer_free(first);
	end();
}

/* All places come back, also those released out of order before their ring went. */
static void no_place_is_lost_with_a_ring(void)
{
	static struct ipc_msg msg[IPC_RX_BORROWED];
	struct peer *tx;

	begin(MSGC_STAY);
	for (unsigned int round = 0; round < 3; round++) {
		tx = join_sender(chan, RING, 0);
		for (uint64_t i = 0; i < IPC_RX_BORROWED; i++)
			CHECK_EQ(send_one(tx, 0, i), 0);
		CHECK_EQ(recv_now(rx, msg, IPC_RX_BORROWED), IPC_RX_BORROWED);
		CHECK_EQ(ipc_rx_release(rx->rx, &msg[100], 600), 0);
		leave(tx, MSGC_DIED);
		drop_ring(tx);
		CHECK_EQ(recv_now(rx, msg, 1), -EAGAIN);
		CHECK_EQ(ipc_rx_release(rx->rx, msg, 100), 0);
		CHECK_EQ(ipc_rx_release(rx->rx, &msg[100], 1), -EINVAL);
		CHECK_EQ(ipc_rx_release(rx->rx, &msg[700], IPC_RX_BORROWED - 700), 0);
		peer_free(tx);
	}
	end();
}

static void what_is_missing_is_counted(void)
{
	struct ipc_msg msg[3];
	struct peer *tx;
	uint64_t *seq;

	begin(0);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	seq = (uint64_t *)((char *)tx->map.data + 32 + offsetof(struct msgc_record, seq_format));
	*seq = 7;
	CHECK_EQ(recv_now(rx, msg, 3), 3);
	CHECK_EQ(msg[0].missed, 0);
	CHECK_EQ(msg[1].seq, 7);
	CHECK_EQ(msg[1].missed, 5);
	CHECK_EQ(msg[2].missed, 0);		/* a number that goes back accuses nobody */
	end();
}

static void an_evicted_receiver_is_told(void)
{
	struct peer *tx;

	begin(0);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 0, 1), 0);
	leave(rx, MSGC_DIED);
	CHECK_EQ(recv_one(rx, 1), -ESHUTDOWN);
	CHECK_EQ(recv_one(rx, 1), -ESHUTDOWN);
	peer_free(rx);
	end();
}

int main(void)
{
	RUN(release_in_any_order);
	RUN(release_refuses_what_is_not_borrowed);
	RUN(a_receiver_that_holds_sleeps);
	RUN(taken_is_stored_before_it_is_seen);
	RUN(too_much_is_held);
	RUN(senders_take_turns);
	RUN(turns_are_counted_in_bytes_too);
	RUN(one_sender_is_never_starved_by_its_turn);
	RUN(the_stream_ends);
	RUN(a_ring_that_was_found_counts);
	RUN(full_is_no_end);
	RUN(stay_waits_for_others);
	RUN(the_departed_are_served_first);
	RUN(a_held_departed_ring_leaves_turns_alone);
	RUN(an_index_is_used_again);
	RUN(no_place_is_lost_with_a_ring);
	RUN(what_is_missing_is_counted);
	RUN(an_evicted_receiver_is_told);
	return tap_done();
}
