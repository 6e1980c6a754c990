// SPDX-License-Identifier: MIT
/* ring_many - more than 64 senders: who is looked at, who has to kick, and in what order. */
#define _GNU_SOURCE
#include "messages.h"

#include <errno.h>
#include <unistd.h>

#define RING	4096U
#define MANY	200U
#define LOOKS	9U	/* enough to find a ring empty for long */

static struct chan *chan;
static struct peer *rx, *tx[MANY];

static void begin(void)
{
	chan = chan_new(MANY, RING);
	rx = join_receiver(chan, 0, 0);
	for (uint32_t i = 0; i < MANY; i++)
		tx[i] = join_sender(chan, RING, 0);
}

static void end(void)
{
	chan_free(chan);
}

static unsigned int n_hot(void)
{
	int n = 0;

	for (uint32_t w = 0; w < MSGC_SENDERS / 64; w++)
		n += __builtin_popcountll(__atomic_load_n(&chan->status->hot[w], __ATOMIC_RELAXED));
	return (unsigned int)n;
}

static bool is_hot(const struct peer *sender)
{
	uint32_t n = sender->map.number;

	return __atomic_load_n(&chan->status->hot[n / 64], __ATOMIC_RELAXED) >> n % 64 & 1;
}

static void look(struct peer *receiver, unsigned int times)
{
	struct ipc_msg msg;

	while (times--)
		CHECK_EQ(recv_now(receiver, &msg, 1), -EAGAIN);
}

/* Look until everything is found empty, then sleep for a moment. */
static void doze(struct peer *receiver)
{
	struct ipc_msg msg;

	look(receiver, LOOKS);
	CHECK_EQ(ipc_rx_recv(receiver->rx, &msg, 1, now_ns() + 1000000), -ETIMEDOUT);
}

/* The next message of a sender, and a look at everybody else. */
static void send_and_take(struct peer *sender, uint64_t number)
{
	struct ipc_msg msg[2];

	CHECK_EQ(send_one(sender, 10, number), 0);
	CHECK_EQ(recv_now(rx, msg, 2), 1);
	CHECK(is_number(&msg[0], number));
	CHECK_EQ(ipc_rx_release(rx->rx, msg, 1), 0);
}

static void those_that_stay_empty_become_quiet(void)
{
	begin();
	CHECK_EQ(n_hot(), MANY);
	look(rx, 3);
	CHECK_EQ(events_of(rx), 0);		/* poll hears no wishes, nor are there any yet */
	CHECK_EQ(n_hot(), MANY);
	doze(rx);
	CHECK_EQ(n_hot(), 0);
	end();
}

static void one_kick_a_burst(void)
{
	begin();
	doze(rx);
	for (uint64_t i = 0; i < 5; i++)
		CHECK_EQ(send_one(tx[77], 10, i), 0);
	CHECK_EQ(tx[77]->kicks, 1);
	CHECK_EQ(n_hot(), 1);
	CHECK(is_hot(tx[77]));
	for (uint64_t i = 0; i < 5; i++)
		CHECK_EQ(recv_one(rx, i), 1);
	CHECK_EQ(send_one(tx[77], 10, 5), 0);
	CHECK_EQ(tx[77]->kicks, 1);
	CHECK_EQ(recv_one(rx, 5), 1);
	end();
}

static void the_busy_ones_stay_hot(void)
{
	struct ipc_msg msg;

	begin();
	for (uint64_t i = 0; i < LOOKS; i++)
		send_and_take(tx[64], i);
	CHECK_EQ(ipc_rx_recv(rx->rx, &msg, 1, now_ns() + 1000000), -ETIMEDOUT);
	CHECK(is_hot(tx[64]));
	CHECK_EQ(n_hot(), 1);
	end();
}

/* Who never sleeps would never be heard. */
static void a_busy_receiver_says_it_too(void)
{
	uint64_t i;

	begin();
	for (i = 0; i < 100 && n_hot() > 1; i++)
		send_and_take(tx[3], i);
	CHECK_EQ(n_hot(), 1);
	CHECK_EQ(rx->waits, 1);
	for (; i < 5000; i++)
		send_and_take(tx[3], i);
	CHECK_EQ(rx->waits, 1);			/* nothing is wasted any more */
	end();
}

/* The wait that hears the wishes of a busy receiver may be the one that is interrupted. */
static void a_busy_receiver_hears_an_interrupt(void)
{
	unsigned int heard = 0;
	struct ipc_msg msg[2];
	uint64_t i;

	begin();
	rx->interrupted = true;
	for (i = 0; i < 100; i++) {
		int got;

		CHECK_EQ(send_one(tx[3], 10, i), 0);
		got = recv_now(rx, msg, 2);
		if (got == -EINTR) {
			heard++;
			got = recv_now(rx, msg, 2);
		}
		CHECK_EQ(got, 1);
		CHECK(is_number(&msg[0], i));
		CHECK_EQ(ipc_rx_release(rx->rx, msg, 1), 0);
	}
	CHECK_EQ(heard, 1);
	CHECK(!rx->interrupted);
	end();
}

static void quiet_again_after_it_was_not(void)
{
	begin();
	doze(rx);
	CHECK_EQ(send_one(tx[199], 10, 1), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	doze(rx);
	CHECK_EQ(n_hot(), 0);
	CHECK_EQ(send_one(tx[199], 10, 2), 0);
	CHECK_EQ(tx[199]->kicks, 2);
	CHECK_EQ(recv_one(rx, 2), 1);
	end();
}

static void a_successor_looks_everywhere(void)
{
	struct ipc_msg msg[4];
	struct peer *old;

	begin();
	doze(rx);
	CHECK_EQ(send_one(tx[9], 10, 1), 0);
	CHECK_EQ(recv_now(rx, msg, 4), 1);	/* not released: the next one gets it again */
	doze(rx);
	CHECK_EQ(n_hot(), 0);
	old = rx;
	leave(old, MSGC_DIED);
	rx = join_receiver(chan, 0, 0);
	CHECK_EQ(n_hot(), MANY);
	CHECK_EQ(recv_now(rx, msg, 4), 1);
	CHECK(msg[0].flags & IPC_F_REDELIVERED);
	peer_free(old);
	end();
}

static void who_leaves_is_looked_at(void)
{
	struct peer *gone = NULL;

	begin();
	doze(rx);
	CHECK_EQ(put(tx[100], 10, 7), 0);
	CHECK_EQ(ipc_tx_publish(tx[100]->tx), 0);
	gone = tx[100];
	leave(gone, MSGC_DIED);
	CHECK_EQ(recv_one(rx, 7), 1);
	look(rx, 1);
	CHECK(!is_hot(gone));			/* and its ring has gone */
	peer_free(gone);
	end();
}

static void turns_among_the_hot(void)
{
	static const uint32_t busy[] = { 0, 70, 199 };
	struct ipc_msg msg[64];

	begin();
	doze(rx);
	for (uint64_t i = 0; i < 63; i++)
		for (unsigned int s = 0; s < 3; s++)
			CHECK_EQ(send_one(tx[busy[s]], 0, i), 0);
	for (unsigned int turn = 0; turn < 6; turn++) {
		int n = turn < 3 ? 32 : 31;	/* the quantum; then what is left */

		CHECK_EQ(recv_now(rx, msg, (unsigned int)n), n);
		for (int i = 0; i < n; i++)
			CHECK_EQ(msg[i].peer, tx[busy[turn % 3]]->map.id);
		CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)n), 0);
	}
	look(rx, 1);
	end();
}

static void quiet_only_when_all_have_taken(void)
{
	struct ipc_msg msg[2];
	struct peer *two;

	chan = chan_new_broadcast(MANY, RING, 0);
	rx = join_receiver(chan, 0, 0);
	two = join_receiver(chan, 0, 0);
	tx[0] = join_sender(chan, RING, 0);
	look(rx, 1);
	look(two, 1);
	CHECK_EQ(send_one(tx[0], 10, 1), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	doze(rx);
	CHECK(is_hot(tx[0]));
	CHECK_EQ(recv_now(two, msg, 2), 1);
	doze(rx);
	CHECK(!is_hot(tx[0]));
	end();
}

/* ---- threads ---- */

#define THREADS		4U
#define BURSTS		3000U

/* Bursts from senders in no order, with pauses in which all falls quiet. */
static void *send_bursts(void *arg)
{
	unsigned int first = (unsigned int)(uintptr_t)arg;
	uint64_t random = first + 1, sent[MANY] = { 0 };

	for (unsigned int i = 0; i < BURSTS; i++) {
		uint32_t s = next_random(&random) % (MANY / THREADS) * THREADS + first;

		for (uint32_t n = next_random(&random) % 3 + 1; n; n--) {
			CHECK_EQ(put_until(tx[s], 40, sent[s]++, now_ns() + 20000000000), 0);
			CHECK_EQ(ipc_tx_publish(tx[s]->tx), 0);
		}
		if (next_random(&random) % 64 == 0)
			usleep(next_random(&random) % 500);
	}
	for (uint32_t s = first; s < MANY; s += THREADS)
		leave(tx[s], MSGC_LEFT);
	return NULL;
}

/* Nothing is lost, nothing comes out of order, nobody sleeps for ever. */
static void bursts(void)
{
	uint64_t next[MSGC_SENDERS + 8] = { 0 };
	pthread_t thread[THREADS];
	struct ipc_msg msg[16];
	unsigned int kicks = 0;
	int got;

	begin();
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, send_bursts, (void *)i);
	while ((got = ipc_rx_recv(rx->rx, msg, 16, now_ns() + 20000000000)) > 0) {
		for (int i = 0; i < got; i++)
			CHECK(is_number(&msg[i], next[MSGC_INDEX(msg[i].peer)]++));
		CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)got), 0);
	}
	CHECK_EQ(got, -EPIPE);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (uint32_t i = 0; i < MANY; i++)
		kicks += tx[i]->kicks;
	printf("# receiver slept %u times, senders kicked %u times\n", rx->sleeps, kicks);
	for (uint32_t i = 0; i < MANY; i++)
		peer_free(tx[i]);
	end();
}

int main(void)
{
	alarm(120);
	RUN(those_that_stay_empty_become_quiet);
	RUN(one_kick_a_burst);
	RUN(the_busy_ones_stay_hot);
	RUN(a_busy_receiver_says_it_too);
	RUN(a_busy_receiver_hears_an_interrupt);
	RUN(quiet_again_after_it_was_not);
	RUN(a_successor_looks_everywhere);
	RUN(who_leaves_is_looked_at);
	RUN(turns_among_the_hot);
	RUN(quiet_only_when_all_have_taken);
	RUN(bursts);
	return tap_done();
}
