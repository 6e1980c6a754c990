// SPDX-License-Identifier: MIT
/*
 * phases - what a sender may do to an untethered receiver, done at every single load of its.
 *
 * The receiver's engine is compiled in here with a hook before each acquire load, so before each
 * word that it reads of another process: a test runs once with the event before the first load of
 * ipc_obs_recv(), once before the second, and so on until the call has fewer loads than that.
 */
#include "messages.h"

#include <errno.h>

static void before_load(void);

#include "ring_shared.h"

#undef load_acquire
#define load_acquire(p) (before_load(), __atomic_load_n(p, __ATOMIC_ACQUIRE))
#include "../../libipc/observe.c"

#define RING 4096U

static struct chan *chan;
static struct peer *tx, *rx;
static long countdown = -1;
static void (*event)(void);
static uint64_t sent;

static void before_load(void)
{
	if (countdown >= 0 && countdown-- == 0)
		event();
}

static void send_more(unsigned int n, uint32_t len)
{
	for (; n; n--, sent++)
		CHECK_EQ(send_one(tx, len, sent), 0);
}

static void begin(void)
{
	chan = chan_new_broadcast(2, RING, MSGC_UNTETHERED_ONLY);
	rx = join_receiver(chan, MSGC_UNTETHERED | MSGC_STAY, 0);
	tx = join_sender(chan, RING, 0);
	sent = 0;
}

/* All that is there, with the event before load number @at; false: there was no such load. */
static bool receive_all(long at, uint64_t *next, uint64_t *missed, int *last)
{
	bool hit;

	countdown = at;
	do {
		struct ipc_msg msg;

		*last = recv_now(rx, &msg, 1);
		if (*last != 1)
			continue;
		*missed += msg.missed;
		*next += msg.missed;
		CHECK(is_number(&msg, *next));
		CHECK_EQ(msg.seq, ++*next);
		CHECK_EQ(give_back(rx, &msg, 1), 0);
	} while (*last == 1);
	hit = countdown < 0;
	countdown = -1;
	return hit;
}

/* @before messages are there, then @during happens at each phase; none is torn, none uncounted. */
static void at_every_phase(unsigned int before, uint32_t len, void (*during)(void))
{
	bool hit = true;
	long at;

	event = during;
	for (at = 0; hit && !atomic_load(&tap_failed); at++) {
		uint64_t next = 0, missed = 0;
		int last;

		begin();
		send_more(before, len);
		hit = receive_all(at, &next, &missed, &last);
		CHECK_EQ(last, -EAGAIN);
		receive_all(-1, &next, &missed, &last);		/* what came with the last load */
		CHECK_EQ(next, sent);
		CHECK_EQ(ipc_obs_missed(rx->obs), missed);
		CHECK_EQ(rx->refusals, 0);
		chan_free(chan);
	}
	CHECK(at > 20);
	printf("# %ld phases\n", at);
}

static void send_1_small(void)
{
	send_more(1, 10);
}

static void send_3_middling(void)
{
	send_more(3, 1000);
}

static void send_a_ring_of_small_ones(void)
{
	send_more(RING / 64, 20);
}

static void send_1_large(void)
{
	send_more(1, RING - 32);
}

static void send_3_rings(void)
{
	send_more(3, RING - 32);
	send_more(2, 700);
}

static void small_over_small(void)
{
	at_every_phase(RING / 64, 10, send_1_small);
}

static void middling_over_middling(void)
{
	at_every_phase(3, 1000, send_3_middling);
}

static void small_over_large(void)
{
	at_every_phase(1, RING - 32, send_1_small);
}

static void large_over_large(void)
{
	at_every_phase(1, RING - 32, send_1_large);
}

static void rings_over_middling(void)
{
	at_every_phase(3, 1000, send_3_rings);
}

static void a_ring_over_large(void)
{
	at_every_phase(1, RING - 32, send_a_ring_of_small_ones);
}

/*
 * A sender that overwrites what lies at `low` faster than it is copied: half way ahead of it there
 * is time. The receiver must not follow at its heels for ever, nor skip the last message.
 */
static void send_again_soon(void)
{
	send_more(1, 500);
	countdown = 40;			/* loads: a copy takes twice as many */
}

static void a_sender_that_is_faster(void)
{
	uint64_t next = 0, missed = 0, got = 0;
	struct ipc_msg msg;
	int last;

	begin();
	event = send_again_soon;
	send_more(20, 500);
	countdown = 0;
	for (unsigned int i = 0; i < 100; i++) {
		if (recv_now(rx, &msg, 1) != 1)
			continue;
		next += msg.missed;
		CHECK(is_number(&msg, next));
		CHECK_EQ(msg.seq, ++next);
		CHECK_EQ(give_back(rx, &msg, 1), 0);
		got++;
	}
	countdown = -1;
	CHECK(got > 90);
	printf("# %llu of %llu\n", (unsigned long long)got, (unsigned long long)sent);
	receive_all(-1, &next, &missed, &last);
	CHECK_EQ(next, sent);
	chan_free(chan);
}

/* ---- the end of a ring ---- */

static struct peer *gone, *heir;

static void die_and_be_dropped(void)
{
	gone = tx;
	leave(gone, MSGC_DIED);
	drop_ring(gone);
}

static void be_replaced(void)
{
	die_and_be_dropped();
	do {
		heir = join_sender(chan, RING, 0);
	} while (heir->index != gone->index);
	CHECK_EQ(send_one(heir, 500, 1000), 0);
	CHECK_EQ(send_one(heir, 900, 1001), 0);
}

static void receive_of_both(uint64_t *old, uint64_t *young)
{
	struct ipc_msg msg;

	while (recv_now(rx, &msg, 1) == 1) {
		CHECK_EQ(msg.missed, 0);
		if (heir && msg.peer == heir->map.id)
			CHECK(is_number(&msg, 1000 + (*young)++));
		else
			CHECK(is_number(&msg, (*old)++));
		CHECK_EQ(give_back(rx, &msg, 1), 0);
	}
}

/*
 * What it delivers is whole and from whom it says. What it does not is the end of the old ring: of
 * that, it counts 1; if its line is another's before it had looked at the tail, nothing.
 */
static void die_at_every_phase(void (*during)(void), uint64_t from_heir)
{
	bool hit = true;

	event = during;
	for (long at = 0; hit && !atomic_load(&tap_failed); at++) {
		uint64_t old = 0, young = 0;

		begin();
		gone = NULL;
		heir = NULL;
		CHECK_EQ(recv_one(rx, 0), -EAGAIN);
		send_more(3, 1000);
		countdown = at;
		receive_of_both(&old, &young);
		hit = countdown < 0;
		countdown = -1;
		receive_of_both(&old, &young);
		CHECK_EQ(young, hit ? from_heir : 0);
		if (!heir || old == 3)
			CHECK_EQ(ipc_obs_missed(rx->obs), old < 3);
		CHECK_EQ(rx->refusals, 0);
		if (gone)
			peer_free(gone);
		chan_free(chan);
	}
}

static void a_ring_that_goes(void)
{
	die_at_every_phase(die_and_be_dropped, 0);
}

static void a_ring_that_is_replaced(void)
{
	die_at_every_phase(be_replaced, 2);
}

int main(void)
{
	RUN(small_over_small);
	RUN(middling_over_middling);
	RUN(small_over_large);
	RUN(large_over_large);
	RUN(rings_over_middling);
	RUN(a_ring_over_large);
	RUN(a_sender_that_is_faster);
	RUN(a_ring_that_goes);
	RUN(a_ring_that_is_replaced);
	return tap_done();
}
