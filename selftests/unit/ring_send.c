// SPDX-License-Identifier: MIT
/* ring_send - the sender's half: reservations, publishing, space, waiting, and when it kicks. */
#define _DEFAULT_SOURCE
#include "messages.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING 4096U

static struct chan *chan;
static struct peer *tx, *rx;

static void begin(void)
{
	chan = chan_new(4, 2 * RING);
	rx = join_receiver(chan, 0, 0);
	tx = join_sender(chan, RING, 0);
}

static void end(void)
{
	chan_free(chan);
}

static void every_length_at_every_place(void)
{
	begin();
	for (uint32_t len = 0; len <= RING - 32; len++) {
		struct ipc_msg msg = { 0 };

		CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, len, IPC_NOW), 0);
		CHECK_EQ(msg.cap, len);
		CHECK_EQ((uintptr_t)msg.data % 32, 0);
		fill(msg.data, len, len);
		msg.cookie = len;
		msg.type = len;
		msg.format = (uint8_t)len;
		CHECK_EQ(ipc_tx_commit(tx->tx, &msg), 0);
		CHECK_EQ(ipc_tx_publish(tx->tx), 0);
		CHECK_EQ(recv_now(rx, &msg, 1), 1);
		CHECK(is_number(&msg, len));
		CHECK_EQ(msg.len, len);
		CHECK_EQ(msg.seq, len + 1);
		CHECK_EQ(msg.missed, 0);
		CHECK_EQ(msg.peer, tx->map.id);
		CHECK_EQ(msg.flags, 0);
		CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	}
	end();
}

static void the_whole_ring_is_usable_and_not_more(void)
{
	struct ipc_msg msg = { 0 };

	begin();
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, RING - 31, IPC_NOW), -EMSGSIZE);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, RING + 1, IPC_NOW), -EMSGSIZE);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, UINT32_MAX, IPC_FOREVER), -EMSGSIZE);
	for (uint64_t i = 0; i < 5; i++) {
		CHECK_EQ(send_one(tx, 32, 2 * i), 0);	/* so that the next one wraps */
		CHECK_EQ(recv_one(rx, 2 * i), 1);
		CHECK_EQ(send_one(tx, RING - 32, 2 * i + 1), 0);
		CHECK_EQ(send_one(tx, 0, 0), -EAGAIN);
		CHECK_EQ(recv_one(rx, 2 * i + 1), 1);
	}
	end();
}

static void small_records_fill_the_ring_exactly(void)
{
	struct ipc_msg msg[8];

	begin();
	for (uint64_t i = 0; i < RING / 32; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	CHECK_EQ(send_one(tx, 0, 0), -EAGAIN);
	/* Each released record makes room for exactly one: the limit is exact. */
	for (uint64_t i = 0; i < 200; i++) {
		CHECK_EQ(recv_now(rx, msg, 1), 1);
		CHECK_EQ(send_one(tx, 0, RING / 32 + i), -EAGAIN);
		CHECK_EQ(ipc_rx_release(rx->rx, msg, 1), 0);
		CHECK_EQ(send_one(tx, 0, RING / 32 + i), 0);
		CHECK_EQ(send_one(tx, 0, 0), -EAGAIN);
	}
	end();
}

static void commit_in_any_order(void)
{
	struct ipc_msg msg[3] = { 0 };

	begin();
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQ(ipc_tx_reserve(tx->tx, &msg[i], 100 * i, IPC_NOW), 0);
		fill(msg[i].data, 100 * i, i);
		msg[i].cookie = i;
		msg[i].type = i;
		msg[i].format = (uint8_t)i;
	}
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg[2]), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 1);
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg[1]), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 2);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	CHECK_EQ(*tail_of(tx), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_FOREVER), -EBUSY);
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg[0]), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	for (uint64_t i = 0; i < 3; i++) {
		struct ipc_msg got;

		CHECK_EQ(recv_now(rx, &got, 1), 1);
		CHECK(is_number(&got, i));
		CHECK_EQ(got.seq, i + 1);
		CHECK_EQ(got.missed, 0);
		CHECK_EQ(ipc_rx_release(rx->rx, &got, 1), 0);
	}
	end();
}

static void commit_refuses_what_is_not_open(void)
{
	struct ipc_msg msg = { 0 }, other = { 0 }, zero = { 0 };
	struct peer *second;

	begin();
	second = join_sender(chan, RING, 0);
	CHECK_EQ(ipc_tx_commit(tx->tx, &zero), -EINVAL);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &zero), -EINVAL);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 10, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(second->tx, &other, 10, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_commit(tx->tx, &other), -EINVAL);
	CHECK_EQ(ipc_tx_commit(tx->tx, &zero), -EINVAL);
	msg.len = 11;
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), -EMSGSIZE);
	msg.len = 10;
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), 0);
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), -EINVAL);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &msg), -EINVAL);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), -EINVAL);
	CHECK_EQ(ipc_tx_abandon(second->tx, &other), 0);
	CHECK_EQ(ipc_tx_abandon(second->tx, &other), -EINVAL);
	end();
}

static void commit_may_shrink(void)
{
	struct ipc_msg msg = { 0 };

	begin();
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 1000, IPC_NOW), 0);
	fill(msg.data, 10, 7);
	msg.len = 10;
	CHECK_EQ(ipc_tx_commit(tx->tx, &msg), 0);
	CHECK_EQ(send_one(tx, 5, 8), 0);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	CHECK_EQ(msg.len, 10);
	CHECK(is_filled(msg.data, 10, 7));
	CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	CHECK_EQ(recv_one(rx, 8), 1);
	end();
}

static void abandoning_the_last_rolls_back(void)
{
	struct ipc_msg a = { 0 }, b = { 0 }, c = { 0 };

	begin();
	CHECK_EQ(ipc_tx_reserve(tx->tx, &a, 100, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &b, 100, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &c, 100, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &b), 0);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &c), 0);	/* b with it */
	CHECK_EQ(ipc_tx_abandon(tx->tx, &a), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(*tail_of(tx), 0);
	CHECK_EQ(send_one(tx, RING - 32, 1), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	end();
}

static void abandoning_another_leaves_a_pad(void)
{
	struct ipc_msg a = { 0 }, got;

	begin();
	CHECK_EQ(send_one(tx, 40, 1), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &a, 100, IPC_NOW), 0);
	CHECK_EQ(put(tx, 40, 2), 0);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &a), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(recv_now(rx, &got, 1), 1);
	CHECK(is_number(&got, 2));
	CHECK_EQ(got.seq, 2);		/* a PAD carries no number, so it does not look lost */
	CHECK_EQ(got.missed, 0);
	end();
}

/* A PAD that stands last, alone. */
static void publish_a_pad(void)
{
	struct ipc_msg a = { 0 }, b = { 0 };

	CHECK_EQ(ipc_tx_reserve(tx->tx, &a, 100, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &b, 100, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &a), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(ipc_tx_abandon(tx->tx, &b), 0);
}

static void taking_a_pad_alone_releases_it(void)
{
	begin();
	publish_a_pad();
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(events_of(tx), 0);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	CHECK_EQ(rx->kicks, 1);			/* somebody was waiting for that */
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	CHECK_EQ(send_one(tx, RING - 32, 1), 0);
	end();
}

static void a_pad_goes_with_what_precedes_it(void)
{
	struct ipc_msg got;

	begin();
	CHECK_EQ(send_one(tx, 10, 1), 0);
	publish_a_pad();
	CHECK_EQ(recv_now(rx, &got, 1), 1);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	CHECK_EQ(slot_of(rx, tx)->taken, *tail_of(tx));
	CHECK_EQ(slot_of(rx, tx)->head, 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_rx_release(rx->rx, &got, 1), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	end();
}

static void own_reservations_in_the_way(void)
{
	struct ipc_msg open = { 0 }, msg = { 0 };

	begin();
	CHECK_EQ(send_one(tx, 1000, 1), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &open, 1000, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, RING - 32, IPC_FOREVER), -EBUSY);
	/* What is in the way here is not ours any more. */
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 2000, IPC_NOW), -EAGAIN);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 2000, IPC_FOREVER), 0);
	end();
}

static void too_many_reservations(void)
{
	struct ipc_msg open = { 0 }, msg = { 0 };

	begin();
	for (uint64_t i = 0; i < 100; i++)		/* finished ones never count */
		CHECK_EQ(put(tx, 0, i), 0);
	CHECK_EQ(recv_one(rx, 0), -EAGAIN);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	for (uint64_t i = 0; i < 100; i++)
		CHECK_EQ(recv_one(rx, i), 1);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &open, 0, IPC_NOW), 0);
	for (uint64_t i = 0; i < IPC_TX_OPEN - 1; i++)
		CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 0, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 0, IPC_NOW), -ENOBUFS);
	CHECK_EQ(ipc_tx_commit(tx->tx, &open), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &msg, 0, IPC_NOW), 0);
	end();
}

static void a_full_ring_says_so_and_when_it_is_over(void)
{
	struct ipc_msg msg;
	uint64_t until;

	begin();
	CHECK_EQ(put(tx, 2000, 1), 0);
	CHECK_EQ(put(tx, 1000, 2), 0);
	CHECK_EQ(events_of(tx), MSGC_OUT);		/* none has failed */
	CHECK_EQ(put(tx, 2500, 3), -EAGAIN);
	CHECK_EQ(control_of(tx)->need, 32 + 2016 + 32 + 1024 + 32 + 2528 - RING);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);		/* the failed reserve has published both */
	CHECK(is_number(&msg, 1));
	CHECK_EQ(events_of(tx), 0);
	until = now_ns() + 20000000;
	CHECK_EQ(put_until(tx, 2500, 3, until), -ETIMEDOUT);
	CHECK(now_ns() >= until);
	CHECK_EQ(control_of(tx)->waits, 1);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	CHECK_EQ(rx->kicks, 1);
	CHECK_EQ(events_of(tx), MSGC_OUT);
	CHECK_EQ(put(tx, 2500, 3), 0);
	CHECK_EQ(control_of(tx)->need, 0);
	CHECK(control_of(tx)->hiwat > 3000 && control_of(tx)->hiwat <= RING);
	end();
}

/* A failed reserve is forgotten when a smaller one fits at once. */
static void need_is_cleared_by_any_success(void)
{
	begin();
	CHECK_EQ(send_one(tx, 2000, 1), 0);
	CHECK_EQ(put(tx, 4000, 2), -EAGAIN);
	CHECK_EQ(events_of(tx), 0);
	CHECK_EQ(put(tx, 10, 2), 0);
	CHECK_EQ(events_of(tx), MSGC_OUT);
	end();
}

static void *release_later(void *unused)
{
	struct ipc_msg msg;

	(void)unused;
	for (uint64_t i = 0; i < 2; i++) {
		CHECK_EQ(ipc_rx_recv(rx->rx, &msg, 1, IPC_FOREVER), 1);
		CHECK(is_number(&msg, i));
		CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	}
	return NULL;
}

static void a_sleeping_sender_has_published(void)
{
	pthread_t thread;

	begin();
	CHECK_EQ(put(tx, 3000, 0), 0);			/* committed only */
	pthread_create(&thread, NULL, release_later, NULL);
	CHECK_EQ(put_until(tx, 3000, 1, now_ns() + 5000000000), 0);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, now_ns() + 5000000000), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(slot_of(rx, tx)->head, *tail_of(tx));
	end();
}

static void drain_waits_for_the_last_release(void)
{
	struct ipc_msg msg[2];

	begin();
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);	/* nothing was published */
	CHECK_EQ(put(tx, 10, 1), 0);
	CHECK_EQ(put(tx, 10, 2), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(recv_now(rx, msg, 2), 2);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[1], 1), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, now_ns() + 1000000), -ETIMEDOUT);
	CHECK_EQ(ipc_rx_release(rx->rx, &msg[0], 1), 0);
	CHECK_EQ(ipc_tx_drain(tx->tx, IPC_NOW), 0);
	CHECK_EQ(control_of(tx)->need, 0);
	end();
}

static void it_kicks_who_is_armed_only(void)
{
	begin();
	CHECK_EQ(send_one(tx, 1, 1), 0);
	CHECK_EQ(tx->kicks, 0);
	CHECK_EQ(events_of(rx), MSGC_IN);		/* arms, also when readable */
	CHECK_EQ(send_one(tx, 1, 2), 0);
	CHECK_EQ(tx->kicks, 1);
	CHECK_EQ(send_one(tx, 1, 3), 0);
	CHECK_EQ(tx->kicks, 1);
	CHECK_EQ(events_of(rx), MSGC_IN);
	CHECK_EQ(ipc_tx_publish(tx->tx), 0);		/* nothing new */
	CHECK_EQ(tx->kicks, 1);
	line_of_peer(tx)->receivers = 0;		/* armed, but not for us: a standby */
	CHECK_EQ(send_one(tx, 1, 4), 0);
	CHECK_EQ(tx->kicks, 1);
	end();
}

static void an_evicted_sender_is_told(void)
{
	struct peer *heir;

	begin();
	CHECK_EQ(send_one(tx, 1, 1), 0);
	leave(tx, MSGC_DIED);
	CHECK_EQ(send_one(tx, 1, 2), -ESHUTDOWN);
	CHECK_EQ(ipc_tx_publish(tx->tx), -ESHUTDOWN);
	drop_ring(tx);
	do {
		heir = join_sender(chan, RING, 0);
	} while (heir->index != tx->index);
	CHECK_EQ(ipc_tx_publish(tx->tx), -ESHUTDOWN);	/* live again, but not ours */
	CHECK_EQ(ipc_tx_publish(heir->tx), 0);
	peer_free(tx);
	end();
}

static void a_refused_pair_is_no_endless_wait(void)
{
	struct peer *heir;

	begin();
	CHECK_EQ(send_one(tx, 3000, 1), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(rx->refusals, 0);
	line_of_peer(tx)->receivers = 0;
	chan->status->generation++;
	CHECK_EQ(send_one(tx, 2000, 2), -EPROTO);	/* never looked again before the refusal */
	CHECK_EQ(put_until(tx, 2000, 2, IPC_FOREVER), -EPROTO);
	leave(rx, MSGC_LEFT);
	CHECK_EQ(send_one(tx, 2000, 2), 0);	/* what was released before it left counts */
	CHECK_EQ(send_one(tx, 2100, 3), -EAGAIN);	/* somebody may come */
	heir = join_receiver(chan, 0, 0);
	CHECK_EQ(recv_one(heir, 2), 1);
	CHECK_EQ(send_one(tx, 2100, 3), 0);
	peer_free(rx);
	end();
}

static void the_first_receiver_wakes_a_full_sender(void)
{
	chan = chan_new(4, RING);
	tx = join_sender(chan, RING, 0);
	CHECK_EQ(send_one(tx, 4000, 1), 0);
	CHECK_EQ(send_one(tx, 40, 2), -EAGAIN);
	CHECK_EQ(events_of(tx), 0);
	rx = join_receiver(chan, 0, 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(events_of(tx), MSGC_OUT);
	CHECK_EQ(send_one(tx, 40, 2), 0);
	end();
}

static void finish_abandons_what_is_open(void)
{
	struct ipc_msg open = { 0 };

	begin();
	CHECK_EQ(put(tx, 10, 1), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &open, 10, IPC_NOW), 0);
	CHECK_EQ(put(tx, 10, 2), 0);
	CHECK_EQ(ipc_tx_reserve(tx->tx, &open, 10, IPC_NOW), 0);
	CHECK_EQ(ipc_tx_finish(tx->tx), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	CHECK_EQ(recv_one(rx, 2), 1);
	CHECK_EQ(recv_one(rx, 3), -EAGAIN);
	CHECK_EQ(ipc_tx_commit(tx->tx, &open), -EINVAL);
	ipc_tx_dropped(tx->tx, 3);
	CHECK_EQ(control_of(tx)->drops, 3);
	end();
}

/* Whatever a receiver stores as its head: the sender writes only where nobody can be reading. */
static void lying_heads_free_nothing(void)
{
	static const uint64_t lies[] = { 6112 + 32, 1ULL << 40, ~0ULL, ~31ULL, 33, 1, 2016 };

	for (unsigned int i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		begin();
		CHECK_EQ(send_one(tx, 1984, 1), 0);	/* [0, 2016) */
		CHECK_EQ(send_one(tx, 2016, 2), 0);	/* [2016, 4064) */
		CHECK_EQ(recv_one(rx, 1), 1);
		CHECK_EQ(recv_one(rx, 2), 1);
		CHECK_EQ(send_one(tx, 2000, 3), 0);	/* looks, sees 4064; [4064, 6112) */
		slot_of(rx, tx)->head = lies[i];
		CHECK_EQ(put(tx, 2100, 4), -EPROTO);
		CHECK_EQ(tx->refusals, 1);
		CHECK_EQ(control_of(tx)->low, 4064);
		end();
	}
}

/* Aligned and between, but no record starts there: `low` names the next one that does. */
static void low_is_always_a_record_start(void)
{
	begin();
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 992, i), 0);
	CHECK_EQ(recv_now(rx, &(struct ipc_msg){ 0 }, 1), 1);
	slot_of(rx, tx)->head = 64;
	CHECK_EQ(put(tx, 0, 9), 0);
	CHECK_EQ(control_of(tx)->low, 1024);
	slot_of(rx, tx)->head = 1024;
	CHECK_EQ(put(tx, 0, 9), 0);
	CHECK_EQ(put(tx, 32, 9), 0);
	CHECK_EQ(control_of(tx)->low, 1024);
	slot_of(rx, tx)->head = 4096;
	CHECK_EQ(put(tx, 1024, 9), 0);
	CHECK_EQ(control_of(tx)->low, 4096);
	end();
}

/* Nor where a record started in an earlier round. */
static void old_record_starts_are_forgotten(void)
{
	begin();
	for (uint64_t i = 0; i < RING / 32; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	for (uint64_t i = 0; i < RING / 32; i++)
		CHECK_EQ(recv_one(rx, i), 1);
	CHECK_EQ(send_one(tx, 2016, 1), 0);
	CHECK_EQ(send_one(tx, 2016, 2), 0);
	slot_of(rx, tx)->head = RING + 64;
	CHECK_EQ(put(tx, 32, 3), 0);
	CHECK_EQ(control_of(tx)->low, RING + 2048);
	end();
}

/* A try to raise the limit stored `low`, then the membership changed: who comes starts there. */
static void positioning_is_a_release(void)
{
	chan = chan_new(4, RING);
	tx = join_sender(chan, RING, 0);
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 992, i), 0);
	CHECK_EQ(put(tx, 992, 4), -EAGAIN);
	CHECK_EQ(events_of(tx), 0);
	control_of(tx)->low = 1024;
	rx = join_receiver(chan, 0, 0);
	CHECK_EQ(rx->kicks, 1);
	CHECK_EQ(put(tx, 992, 4), 0);
	end();
}

/* Runs in the sender between its look at the heads and its store of `low`. */
static void change_receivers(int signal_number)
{
	signal(signal_number, SIG_DFL);
	mprotect(tx->own, tx->own_size, PROT_READ | PROT_WRITE);
	slot_of(rx, tx)->head = 0;		/* it takes back what it had released, and dies */
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = join_receiver(chan, 0, 0);
}

static void a_join_while_the_limit_rises(void)
{
	begin();
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 992, i), 0);
	CHECK_EQ(recv_one(rx, 0), 1);
	CHECK_EQ(recv_one(rx, 1), 1);
	signal(SIGSEGV, change_receivers);
	mprotect(tx->own, tx->own_size, PROT_READ);
	CHECK_EQ(put(tx, 992, 4), -EAGAIN);	/* the new one starts at 0 and holds everything */
	CHECK_EQ(slot_of(rx, tx)->head, 0);
	CHECK_EQ(recv_one(rx, 0), 1);
	CHECK_EQ(put(tx, 992, 4), 0);
	end();
}

static void a_waiter_is_kicked_once(void)
{
	begin();
	for (uint64_t i = 0; i < 4; i++)
		CHECK_EQ(send_one(tx, 0, i), 0);
	for (uint64_t i = 0; i < 4; i++) {
		line_of_peer(tx)->space_at = 64;
		CHECK_EQ(recv_one(rx, i), 1);
		CHECK_EQ(rx->kicks, i < 1 ? 0 : 1);	/* it is the second that reaches 64 */
	}
	end();
}

/* A time is part of the span and not of the length, whichever way a record is finished. */
static void times_travel(void)
{
	struct ipc_msg msg[3] = { 0 }, got[3];
	struct peer *timed;
	uint64_t before;

	begin();
	chan->timed = true;
	timed = join_sender(chan, RING, 0);
	CHECK_EQ(ipc_tx_reserve(timed->tx, &msg[0], RING - 63, IPC_NOW), -EMSGSIZE);
	before = now_ns();
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQ(ipc_tx_reserve(timed->tx, &msg[i], 100, IPC_NOW), 0);
		fill(msg[i].data, 100, i);
		msg[i].cookie = i;
		msg[i].type = (uint32_t)i;
		msg[i].format = (uint8_t)i;
	}
	msg[1].time = 42;
	for (unsigned int i = 3; i-- > 0; )
		CHECK_EQ(ipc_tx_commit(timed->tx, &msg[i]), 0);
	CHECK_EQ(ipc_tx_publish(timed->tx), 0);
	CHECK_EQ(*tail_of(timed), 3 * 192);
	CHECK_EQ(recv_now(rx, got, 3), 3);
	for (uint64_t i = 0; i < 3; i++)
		CHECK(is_number(&got[i], i));
	CHECK(got[0].time >= before && got[0].time <= now_ns());
	CHECK_EQ(got[1].time, 42);
	CHECK_EQ(ipc_rx_release(rx->rx, got, 3), 0);
	CHECK_EQ(send_one(tx, 10, 7), 0);
	CHECK_EQ(recv_now(rx, got, 1), 1);
	CHECK_EQ(got[0].time, 0);
	end();
}

int main(void)
{
	alarm(600);		/* a lost wake-up is a failure */
	RUN(every_length_at_every_place);
	RUN(the_whole_ring_is_usable_and_not_more);
	RUN(small_records_fill_the_ring_exactly);
	RUN(commit_in_any_order);
	RUN(commit_refuses_what_is_not_open);
	RUN(commit_may_shrink);
	RUN(times_travel);
	RUN(abandoning_the_last_rolls_back);
	RUN(abandoning_another_leaves_a_pad);
	RUN(taking_a_pad_alone_releases_it);
	RUN(a_pad_goes_with_what_precedes_it);
	RUN(own_reservations_in_the_way);
	RUN(too_many_reservations);
	RUN(a_full_ring_says_so_and_when_it_is_over);
	RUN(need_is_cleared_by_any_success);
	RUN(a_sleeping_sender_has_published);
	RUN(drain_waits_for_the_last_release);
	RUN(it_kicks_who_is_armed_only);
	RUN(an_evicted_sender_is_told);
	RUN(a_refused_pair_is_no_endless_wait);
	RUN(the_first_receiver_wakes_a_full_sender);
	RUN(finish_abandons_what_is_open);
	RUN(lying_heads_free_nothing);
	RUN(low_is_always_a_record_start);
	RUN(old_record_starts_are_forgotten);
	RUN(positioning_is_a_release);
	RUN(a_join_while_the_limit_rises);
	RUN(a_waiter_is_kicked_once);
	return tap_done();
}
