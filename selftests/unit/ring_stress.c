// SPDX-License-Identifier: MIT
/*
 * ring_stress - engines in threads, through rings that are far too small, so that both sides sleep
 * all the time. Every byte, every number and the order are checked; a lost wake-up is a hang, ended
 * by the alarm.
 */
#define _DEFAULT_SOURCE
#include "messages.h"

#include <errno.h>
#include <unistd.h>

#define MAX_SENDERS	8
#define STAMP		1000000000ULL	/* cookie: sender times this, and the running number */

static struct chan *chan;
static struct peer *tx[MAX_SENDERS], *rx;
static uint64_t per_sender;		/* messages */
static uint32_t longest;		/* in bytes */
static bool spinning;			/* who spins need not sleep */

/* Bursts, with now and then an abandoned reservation between. */
static void *sender_thread(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	uint64_t random = 1000 + me, sent = 0;

	while (sent < per_sender) {
		uint32_t len = next_random(&random) % (longest + 1);
		struct ipc_msg pad = { 0 };
		bool padded = next_random(&random) % 8 == 0 &&
			ipc_tx_reserve(tx[me]->tx, &pad, 40, IPC_NOW) == 0;
		int err = put_until(tx[me], len, me * STAMP + sent, padded ? IPC_NOW : IPC_FOREVER);

		if (padded)
			CHECK_EQ(ipc_tx_abandon(tx[me]->tx, &pad), 0);
		CHECK(err == 0 || (padded && (err == -EAGAIN || err == -EBUSY)));
		sent += err == 0;
		if (next_random(&random) % 4 == 0)
			CHECK_EQ(ipc_tx_publish(tx[me]->tx), 0);
	}
	CHECK_EQ(ipc_tx_drain(tx[me]->tx, IPC_FOREVER), 0);
	leave(tx[me], MSGC_LEFT);
	return NULL;
}

static void begin(unsigned int senders, uint64_t n, uint32_t ring, unsigned int spin,
		  pthread_t *thread)
{
	per_sender = n;
	longest = ring / 3;
	spinning = spin;
	chan = chan_new(MAX_SENDERS, ring);
	rx = join_receiver(chan, 0, spin);
	for (unsigned int i = 0; i < senders; i++)
		tx[i] = join_sender(chan, ring, spin);
	for (unsigned int i = 0; i < senders; i++)
		pthread_create(&thread[i], NULL, sender_thread, (void *)(uintptr_t)i);
}

static void end(unsigned int senders, pthread_t *thread)
{
	unsigned int slept = 0;

	for (unsigned int i = 0; i < senders; i++) {
		pthread_join(thread[i], NULL);
		slept += tx[i]->sleeps;
		peer_free(tx[i]);
	}
	printf("# receiver slept %u times, senders %u times\n", rx->sleeps, slept);
	CHECK(slept > 0 || spinning);
	chan_free(chan);
}

static void check(const struct ipc_msg *msg, uint64_t *next)
{
	unsigned int from = (unsigned int)(msg->cookie / STAMP);

	CHECK(from < MAX_SENDERS && is_number(msg, from * STAMP + next[from]));
	CHECK_EQ(msg->missed, 0);
	CHECK_EQ(msg->peer, tx[from]->map.id);
	CHECK_EQ(msg->seq, ++next[from]);
	if (atomic_load(&tap_failed) > 20)
		_exit(1);
}

/* One receiver to the end of the stream. It borrows a few and gives them back in any order. */
static void stress(unsigned int senders, uint64_t n, uint32_t ring, unsigned int spin,
		   unsigned int batch)
{
	uint64_t next[MAX_SENDERS] = { 0 }, random = 7;
	pthread_t thread[MAX_SENDERS];
	struct ipc_msg msg[16];
	int got;

	begin(senders, n, ring, spin, thread);
	while ((got = ipc_rx_recv(rx->rx, msg, batch, IPC_FOREVER)) > 0) {
		for (int i = 0; i < got; i++)
			check(&msg[i], next);
		while (got > 0) {
			unsigned int i = next_random(&random) % (unsigned int)got;

			CHECK_EQ(ipc_rx_release(rx->rx, &msg[i], 1), 0);
			msg[i] = msg[--got];
		}
	}
	CHECK_EQ(got, -EPIPE);
	for (unsigned int i = 0; i < senders; i++)
		CHECK_EQ(next[i], n);
	end(senders, thread);
}

static uint64_t sum(const uint64_t *counts)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < MAX_SENDERS; i++)
		all += counts[i];
	return all;
}

/* Receivers that die one after the other, each with something borrowed. */
static void stress_takeover(unsigned int senders, uint64_t n, uint32_t ring)
{
	uint64_t next[MAX_SENDERS] = { 0 }, acked[MAX_SENDERS] = { 0 }, seen[MAX_SENDERS] = { 0 };
	uint64_t random = 9;
	pthread_t thread[MAX_SENDERS];
	unsigned int deaths = 0;

	begin(senders, n, ring, 0, thread);
	while (sum(acked) < senders * n) {
		struct ipc_msg msg[16];
		unsigned int keep = next_random(&random) % 4;
		int got = ipc_rx_recv(rx->rx, msg, 1 + next_random(&random) % 16, IPC_FOREVER);

		CHECK(got > 0);
		for (unsigned int i = 0; (int)i < got; i++) {
			unsigned int from = (unsigned int)(msg[i].cookie / STAMP) % MAX_SENDERS;

			CHECK_EQ(msg[i].flags, next[from] < seen[from] ? IPC_F_REDELIVERED : 0);
			check(&msg[i], next);
			seen[from] = next[from] > seen[from] ? next[from] : seen[from];
			if (i + keep < (unsigned int)got) {
				CHECK_EQ(ipc_rx_release(rx->rx, &msg[i], 1), 0);
				acked[from] = next[from];
			}
		}
		if (keep) {
			leave(rx, MSGC_DIED);
			peer_free(rx);
			rx = join_receiver(chan, 0, 0);
			memcpy(next, acked, sizeof(next));
			deaths++;
		}
	}
	printf("# %u receivers died\n", deaths);
	end(senders, thread);
}

static void one_to_one(void)
{
	stress(1, 50000, 4096, 0, 8);
}

static void one_to_one_one_at_a_time(void)
{
	stress(1, 20000, 4096, 0, 1);
}

static void one_to_one_spinning(void)
{
	stress(1, 50000, 4096, 1000, 8);
}

static void eight_to_one(void)
{
	stress(8, 8000, 4096, 0, 16);
}

static void eight_to_one_in_larger_rings(void)
{
	stress(8, 2000, 65536, 100, 16);
}

static void receivers_that_die(void)
{
	stress_takeover(4, 2500, 4096);
}

int main(void)
{
	alarm(600);		/* longer than any machine needs: a hang fails */
	RUN(one_to_one);
	RUN(one_to_one_one_at_a_time);
	RUN(one_to_one_spinning);
	RUN(eight_to_one);
	RUN(eight_to_one_in_larger_rings);
	RUN(receivers_that_die);
	return tap_done();
}
