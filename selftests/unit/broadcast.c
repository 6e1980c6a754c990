// SPDX-License-Identifier: MIT
/* broadcast - every receiver gets every message, whenever the others join, leave or lag. */
#include "messages.h"

#include <errno.h>

#define RING 8192U
#define LEN 1000U			/* 1,056 bytes: the ring holds 7 */
#define FITS 7U

static struct chan *chan;
static struct peer *tx;

static void begin(void)
{
	chan = chan_new_broadcast(4, RING, 0);
	tx = join_sender(chan, RING, 0);
}

static void end(void)
{
	chan_free(chan);
}

static uint64_t fill_ring(uint64_t from)
{
	while (send_one(tx, LEN, from) == 0)
		from++;
	return from;
}

static void all_get_all(void)
{
	static struct peer *rx[64];

	begin();
	for (unsigned int r = 0; r < 64; r++)
		rx[r] = join_receiver(chan, 0, 0);
	CHECK(rx[63]);
	CHECK(!join_receiver(chan, 0, 0));		/* no place */
	CHECK_EQ(chan->status->tethered, ~0ULL);
	for (uint64_t i = 0; i < 50; i++) {
		CHECK_EQ(send_one(tx, LEN, i), 0);
		for (unsigned int r = 0; r < 64; r++)
			CHECK_EQ(recv_one(rx[(r + i) % 64], i), 1);
	}
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	end();
}

static void the_slowest_holds_space(void)
{
	struct peer *fast, *slow;
	uint64_t n;

	begin();
	fast = join_receiver(chan, 0, 0);
	slow = join_receiver(chan, 0, 0);
	n = fill_ring(0);
	CHECK_EQ(n, FITS);
	for (uint64_t i = 0; i < n; i++)
		CHECK_EQ(recv_one(fast, i), 1);
	CHECK_EQ(send_one(tx, LEN, n), -EAGAIN);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(events_of(tx), 0);
	CHECK_EQ(recv_one(slow, 0), 1);
	CHECK_EQ(send_one(tx, LEN, n), 0);
	CHECK_EQ(send_one(tx, LEN, n + 1), -EAGAIN);
	leave(slow, MSGC_DIED);				/* nobody lags any more */
	CHECK_EQ(events_of(tx), MSGC_OUT);
	CHECK_EQ(send_one(tx, LEN, n + 1), 0);
	CHECK_EQ(recv_one(fast, n), 1);
	CHECK_EQ(recv_one(fast, n + 1), 1);
	peer_free(slow);
	end();
}

/* Only the release of the one who lags kicks a sender that sleeps. */
static void the_last_release_wakes(void)
{
	struct peer *a, *b;
	uint64_t n;

	begin();
	a = join_receiver(chan, 0, 0);
	b = join_receiver(chan, 0, 0);
	n = fill_ring(0);
	CHECK_EQ(events_of(tx), 0);			/* sleeps for it */
	tx->wakes = 0;
	CHECK_EQ(recv_one(a, 0), 1);
	CHECK_EQ(tx->wakes, 0);
	CHECK_EQ(recv_one(b, 0), 1);
	CHECK_EQ(tx->wakes, 1);
	CHECK_EQ(send_one(tx, LEN, n), 0);
	end();
}

static void joins_start_now_or_at_the_oldest(void)
{
	struct peer *first, *now, *oldest;

	begin();
	first = join_receiver(chan, 0, 0);
	for (uint64_t i = 0; i < 20; i++) {
		CHECK_EQ(send_one(tx, LEN, i), 0);
		if (i < 16)
			CHECK_EQ(recv_one(first, i), 1);
	}
	now = join_receiver(chan, 0, 0);
	oldest = join_receiver(chan, MSGC_OLDEST, 0);
	CHECK_EQ(recv_one(now, 0), -EAGAIN);
	/* `low` was last stored when the ring was full: at or below where `first` stands. */
	for (uint64_t i = control_of(tx)->low / 1056; i < 20; i++)
		CHECK_EQ(recv_one(oldest, i), 1);
	CHECK(control_of(tx)->low / 1056 >= 20 - FITS);
	CHECK_EQ(send_one(tx, LEN, 20), 0);
	for (uint64_t i = 16; i < 21; i++)
		CHECK_EQ(recv_one(first, i), 1);
	CHECK_EQ(recv_one(now, 20), 1);
	CHECK_EQ(recv_one(oldest, 20), 1);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	end();
}

/* From a sender that attaches later, a receiver gets all from the first on, however it joined. */
static void a_younger_ring_is_read_from_its_start(void)
{
	struct peer *rx, *young;

	begin();
	CHECK_EQ(fill_ring(0), FITS);
	rx = join_receiver(chan, 0, 0);
	young = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(young, LEN, 100 + i), 0);
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(recv_one(rx, 100 + i), 1);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	end();
}

/* It frees what was kept for the first receiver: a sender that sleeps for that must be woken. */
static void the_first_at_now_wakes_a_full_sender(void)
{
	uint64_t n;

	begin();
	n = fill_ring(0);
	CHECK_EQ(events_of(tx), 0);
	CHECK(join_receiver(chan, 0, 0));
	CHECK_EQ(events_of(tx), MSGC_OUT);
	CHECK_EQ(send_one(tx, LEN, n), 0);
	end();
}

static void the_first_at_the_oldest_gets_what_was_kept(void)
{
	struct peer *rx;
	uint64_t n;

	begin();
	n = fill_ring(0);
	rx = join_receiver(chan, MSGC_OLDEST, 0);
	CHECK_EQ(send_one(tx, LEN, n), -EAGAIN);
	for (uint64_t i = 0; i < n; i++)
		CHECK_EQ(recv_one(rx, i), 1);
	leave(rx, MSGC_LEFT);
	peer_free(rx);
	/* Kept again: all from the last floor on. */
	n = fill_ring(n);
	rx = join_receiver(chan, MSGC_OLDEST, 0);
	CHECK_EQ(recv_one(rx, control_of(tx)->low / 1056), 1);
	end();
}

/* A pair is refused: the others go on, and the sender is told only when it has nobody left. */
static void one_refused_pair_stops_nobody(void)
{
	struct peer *bad, *good;
	uint64_t n, got = 0;

	begin();
	bad = join_receiver(chan, 0, 0);
	good = join_receiver(chan, 0, 0);
	n = fill_ring(0);
	CHECK_EQ(recv_one(bad, 0), 1);
	slot_of(bad, tx)->head = 7;			/* misaligned */
	for (; got < n; got++)
		CHECK_EQ(recv_one(good, got), 1);
	CHECK_EQ(send_one(tx, LEN, n), 0);
	CHECK_EQ(tx->refusals, 1);
	CHECK_EQ(recv_one(good, n), 1);
	n = fill_ring(n + 1);
	CHECK_EQ(send_one(tx, LEN, n), -EAGAIN);	/* full, and that is all */
	CHECK_EQ(events_of(tx), 0);
	slot_of(good, tx)->head = 7;
	CHECK_EQ(send_one(tx, LEN, n), -EPROTO);
	CHECK(events_of(tx) & MSGC_OUT);
	end();
}

/* A dead sender's ring stays until the slowest has drained it. */
static void the_dead_wait_for_the_slowest(void)
{
	struct peer *a, *b;

	begin();
	a = join_receiver(chan, 0, 0);
	b = join_receiver(chan, 0, 0);
	CHECK_EQ(send_one(tx, LEN, 1), 0);
	CHECK_EQ(send_one(tx, LEN, 2), 0);
	leave(tx, MSGC_DIED);
	CHECK_EQ(recv_one(a, 1), 1);
	CHECK_EQ(recv_one(a, 2), 1);
	CHECK_EQ(recv_one(a, 3), -EPIPE);
	CHECK_EQ(line_of_peer(tx)->state, MSGC_DIED);
	CHECK_EQ(recv_one(b, 1), 1);
	CHECK_EQ(recv_one(b, 2), 1);
	CHECK_EQ(line_of_peer(tx)->state, MSGC_REVOKED);
	CHECK_EQ(recv_one(b, 3), -EPIPE);
	peer_free(tx);
	end();
}

/* Members come and go at any time; who is there gets every message from its start on. */
static void members_come_and_go(void)
{
	struct peer *rx[8] = { NULL };
	uint64_t next[8] = { 0 }, random = 3, sent = 0;
	bool known[8] = { false };

	begin();
	while (sent < 20000 && !atomic_load(&tap_failed)) {
		unsigned int r = next_random(&random) % 8;
		struct ipc_msg msg[4];
		int got;

		if (send_one(tx, next_random(&random) % LEN, sent) == 0)
			sent++;
		if (!rx[r]) {
			rx[r] = join_receiver(chan, next_random(&random) % 2 ? MSGC_OLDEST : 0, 0);
			known[r] = false;
			next[r] = sent;
			continue;
		}
		got = recv_now(rx[r], msg, 1 + next_random(&random) % 4);
		CHECK(got > 0 || got == -EAGAIN);
		for (int i = 0; i < got; i++) {
			if (!known[r])
				CHECK(msg[i].cookie <= next[r]);
			else
				CHECK_EQ(msg[i].cookie, next[r]);
			CHECK(is_number(&msg[i], msg[i].cookie));
			CHECK_EQ(msg[i].missed, 0);
			next[r] = msg[i].cookie + 1;
			known[r] = true;
		}
		if (got > 0)
			CHECK_EQ(give_back(rx[r], msg, (unsigned int)got), 0);
		if (next_random(&random) % 50 == 0) {
			leave(rx[r], MSGC_DIED);
			peer_free(rx[r]);
			rx[r] = NULL;
		}
	}
	CHECK_EQ(tx->refusals, 0);
	end();
}

int main(void)
{
	RUN(all_get_all);
	RUN(the_slowest_holds_space);
	RUN(the_last_release_wakes);
	RUN(joins_start_now_or_at_the_oldest);
	RUN(a_younger_ring_is_read_from_its_start);
	RUN(the_first_at_now_wakes_a_full_sender);
	RUN(the_first_at_the_oldest_gets_what_was_kept);
	RUN(one_refused_pair_stops_nobody);
	RUN(the_dead_wait_for_the_slowest);
	RUN(members_come_and_go);
	return tap_done();
}
