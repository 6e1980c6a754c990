// SPDX-License-Identifier: MIT
/*
 * observe_stress - threads: untethered receivers that are overrun all the time, and broadcast ones
 * that come and go. Every byte and every number is checked: nothing torn, nothing uncounted.
 */
#define _GNU_SOURCE
#include "messages.h"

#include <errno.h>
#include <unistd.h>

#define SENDERS		2
#define READERS		3
#define STAMP		1000000000ULL	/* cookie: sender times this, and the running number */

static struct chan *chan;
static struct peer *tx[SENDERS];
static uint64_t per_sender;
static uint32_t longest;
static atomic_ullong delivered, lost, visits;

static void *sender_thread(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	uint64_t random = 100 + me;

	for (uint64_t i = 0; i < per_sender; i++) {
		uint32_t len = next_random(&random) % (longest + 1);

		CHECK_EQ(put_until(tx[me], len, me * STAMP + i, IPC_FOREVER), 0);
		if (next_random(&random) % 4 == 0)
			CHECK(ipc_tx_publish(tx[me]->tx) >= 0);
		if (next_random(&random) % 500 == 0)
			usleep(100);
	}
	CHECK(ipc_tx_publish(tx[me]->tx) >= 0);
	leave(tx[me], MSGC_LEFT);
	return NULL;
}

static void check(const struct ipc_msg *msg, uint64_t *next)
{
	unsigned int from = (unsigned int)(msg->cookie / STAMP) % SENDERS;

	next[from] += msg->missed;
	CHECK(is_number(msg, from * STAMP + next[from]));
	CHECK_EQ(msg->seq, ++next[from]);
	atomic_fetch_add(&lost, msg->missed);
	atomic_fetch_add(&delivered, 1);
	if (atomic_load(&tap_failed) > 20)
		_exit(1);
}

/* To the end of the stream. */
static void *reader_thread(void *arg)
{
	struct peer *rx = arg;
	uint64_t next[SENDERS] = { 0 }, random = rx->index;
	struct ipc_msg msg[8];
	int got;

	while ((got = recv_until(rx, msg, 8, IPC_FOREVER)) > 0) {
		for (int i = 0; i < got; i++)
			check(&msg[i], next);
		if (next_random(&random) % 20 == 0)
			usleep(50);
		CHECK_EQ(give_back(rx, msg, (unsigned int)got), 0);
	}
	CHECK_EQ(got, -EPIPE);
	for (unsigned int s = 0; s < SENDERS; s++)	/* the last one always comes */
		CHECK_EQ(next[s], per_sender);
	CHECK_EQ(rx->refusals, 0);
	return NULL;
}

/*
 * Joins, reads a little, leaves, again and again: what it gets is in order and without a gap. Who
 * joins after all is over and gone waits for the next sender: ended by end_visits().
 */
static void *visitor_thread(void *arg)
{
	uint64_t random = 77;

	(void)arg;
	for (;;) {
		uint8_t flags = next_random(&random) % 2 ? MSGC_OLDEST : 0;
		struct peer *rx = join_receiver(chan, flags, 0);
		uint64_t next[SENDERS] = { 0 };
		int got = 1;

		for (unsigned int n = next_random(&random) % 50; n && got > 0; n--) {
			struct ipc_msg msg;
			unsigned int from;

			got = recv_until(rx, &msg, 1, IPC_FOREVER);
			if (got <= 0)
				break;
			from = (unsigned int)(msg.cookie / STAMP) % SENDERS;
			CHECK(is_number(&msg, msg.cookie));
			CHECK(!next[from] || msg.seq == next[from]);
			CHECK_EQ(msg.missed, 0);
			next[from] = msg.seq + 1;
			CHECK_EQ(give_back(rx, &msg, 1), 0);
		}
		leave(rx, MSGC_DIED);
		peer_free(rx);
		atomic_fetch_add(&visits, 1);
		if (got <= 0)
			return NULL;
	}
}

/* Senders that come and go with nothing to say: the end of the stream, for each who waits. */
static void end_visits(pthread_t visitor)
{
	while (pthread_tryjoin_np(visitor, NULL)) {
		struct peer *last = join_sender(chan, 4096, 0);

		leave(last, MSGC_LEFT);
		peer_free(last);
		usleep(1000);
	}
}

static void run(uint32_t flags, uint8_t receiver, uint64_t n, uint32_t ring, unsigned int spin)
{
	pthread_t sender[SENDERS], reader[READERS], visitor;
	bool tethered = !(flags & MSGC_UNTETHERED_ONLY);

	per_sender = n;
	longest = ring / 3;
	chan = chan_new_broadcast(SENDERS, ring, flags);
	atomic_store(&delivered, 0);
	atomic_store(&lost, 0);
	for (unsigned int i = 0; i < SENDERS; i++)
		tx[i] = join_sender(chan, ring, spin);
	for (unsigned int i = 0; i < READERS; i++)
		pthread_create(&reader[i], NULL, reader_thread,
			       join_receiver(chan, receiver, spin));
	for (unsigned int i = 0; i < SENDERS; i++)
		pthread_create(&sender[i], NULL, sender_thread, (void *)(uintptr_t)i);
	if (tethered)
		pthread_create(&visitor, NULL, visitor_thread, NULL);
	for (unsigned int i = 0; i < SENDERS; i++)
		pthread_join(sender[i], NULL);
	for (unsigned int i = 0; i < READERS; i++)
		pthread_join(reader[i], NULL);
	if (tethered)
		end_visits(visitor);
	printf("# %llu delivered, %llu missed, %llu visits\n", atomic_load(&delivered),
	       atomic_load(&lost), atomic_load(&visits));
	CHECK_EQ(atomic_load(&delivered) + atomic_load(&lost), READERS * SENDERS * n);
	CHECK(tethered ? !atomic_load(&lost) : atomic_load(&lost));
	for (unsigned int i = 0; i < SENDERS; i++)
		if (tethered)
			peer_free(tx[i]);
	chan_free(chan);
}

static void overrun_small_rings(void)
{
	run(MSGC_UNTETHERED_ONLY, MSGC_UNTETHERED, 30000, 4096, 0);
}

static void overrun_larger_rings(void)
{
	run(MSGC_UNTETHERED_ONLY, MSGC_UNTETHERED, 3000, 65536, 100);
}

static void broadcast_with_visitors(void)
{
	run(0, 0, 5000, 4096, 0);
}

int main(void)
{
	alarm(600);		/* longer than any machine needs: a hang fails */
	RUN(overrun_small_rings);
	RUN(overrun_larger_rings);
	RUN(broadcast_with_visitors);
	return tap_done();
}
