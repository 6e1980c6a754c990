// SPDX-License-Identifier: MIT
/*
 * ring_hostile - peers that write anything, at rest and while the other side works.
 *
 * Every region lies between pages that cannot be touched, and receivers see senders' pages
 * read-only: an access outside ends the program.
 */
#define _DEFAULT_SOURCE
#include "messages.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define RING 4096U

#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static struct chan *chan;
static struct peer *liar, *honest, *rx;

static void begin(void)
{
	chan = chan_new(4, 2 * RING);	/* half of each stride of the window is not there */
	rx = join_receiver(chan, 0, 0);
	liar = join_sender(chan, RING, 0);
	honest = join_sender(chan, RING, 0);
}

static void end(void)
{
	chan_free(chan);
}

static struct msgc_record *record_at(uint64_t pos)
{
	return (struct msgc_record *)((char *)liar->map.data + pos % RING);
}

/* After the liar's `good` first messages: one EPROTO, and the other sender is not troubled. */
static void expect_refusal(uint64_t good)
{
	struct ipc_msg msg[8];
	struct ipc_rx_counts counts;
	int got;

	CHECK_EQ(send_one(honest, 10, 77), 0);
	got = recv_now(rx, msg, 8);
	if (good || got != -EPROTO) {
		unsigned int of_liar = 0;

		CHECK_EQ(got, good + 1);
		for (int i = 0; i < got; i++)
			of_liar += msg[i].peer == liar->map.id;
		CHECK_EQ(of_liar, good);
		CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)got), 0);
		CHECK(events_of(rx) & MSGC_IN);		/* there is still something to hear */
		got = recv_now(rx, msg, 8);
	}
	CHECK_EQ(got, -EPROTO);
	CHECK_EQ(msg[0].peer, liar->map.id);
	CHECK_EQ(rx->refusals, 1);
	ipc_rx_counts(rx->rx, &counts);
	CHECK_EQ(counts.refused, 1);
	CHECK_EQ(counts.lost, 0);
	CHECK_EQ(events_of(rx), 0);
	CHECK_EQ(recv_now(rx, msg, 8), -EAGAIN);
	CHECK_EQ(send_one(honest, 10, 78), 0);
	CHECK_EQ(recv_one(rx, 78), 1);
}

static void bad_tails(void)
{
	static const uint64_t tails[] = {
		32, 64 + 16, 64 + 1, RING + 32, RING + 96, 1ULL << 32, 1ULL << 63, ~0ULL, ~31ULL, 0,
	};

	for (unsigned int i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		begin();
		CHECK_EQ(send_one(liar, 10, 1), 0);
		CHECK_EQ(recv_one(rx, 1), 1);
		*tail_of(liar) = tails[i];
		expect_refusal(0);
		end();
	}
}

/* The records below a bad tail may be as sound as can be. */
static void a_bad_tail_after_sound_records(void)
{
	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(liar, 64, i), 0);
	*tail_of(liar) = 2 * 96 + 16;
	expect_refusal(0);
	end();
}

/* A sound record again, but it would lie over one that is still held. */
static void a_tail_over_borrowed_records(void)
{
	struct msgc_record *record;
	struct ipc_msg msg;

	begin();
	CHECK_EQ(send_one(liar, 10, 1), 0);
	CHECK_EQ(recv_now(rx, &msg, 1), 1);
	record = record_at(64);
	record->len = RING - 64;
	record->span_flags = (RING - 32) / 32;
	record->check = (64 >> 5) ^ record->span_flags;
	*tail_of(liar) = RING + 32;
	expect_refusal(0);
	CHECK(is_number(&msg, 1));
	CHECK_EQ(ipc_rx_release(rx->rx, &msg, 1), 0);
	end();
}

static void bad_lows(void)
{
	static const uint64_t lows[] = { 64 + 32, 16, 1, 1ULL << 40, ~0ULL, ~31ULL };
	struct ipc_msg msg;

	for (unsigned int i = 0; i < sizeof(lows) / sizeof(*lows); i++) {
		begin();
		CHECK_EQ(send_one(liar, 10, 1), 0);
		CHECK_EQ(send_one(honest, 10, 2), 0);
		control_of(liar)->low = lows[i];
		CHECK_EQ(recv_now(rx, &msg, 1), -EPROTO);
		CHECK_EQ(msg.peer, liar->map.id);
		CHECK_EQ(rx->refusals, 1);
		CHECK_EQ(recv_one(rx, 2), 1);
		CHECK_EQ(recv_one(rx, 1), -EAGAIN);
		end();
	}
}

/* For a record of 64 bytes, the last before the tail; `check` 0: as it must be for span_flags. */
static const struct msgc_record bad_header[] = {
	{ .len = 64, .span_flags = 3, .check = 1 },
	{ .len = 64, .span_flags = 3, .check = (2 * 96 >> 5) ^ 3 ^ 1 },
	{ .len = 65, .span_flags = 3 },
	{ .len = RING, .span_flags = 3 },
	{ .len = ~0U, .span_flags = 3 },
	{ .len = 0, .span_flags = 0 },
	{ .len = 64, .span_flags = 1 },
	{ .len = 64, .span_flags = 4 },			/* beyond the tail */
	{ .len = 64, .span_flags = 0x3ffffff },
	{ .len = 0, .span_flags = MSGC_R_PAD },
	{ .len = 0, .span_flags = MSGC_R_PAD | 4 },
	{ .len = 0, .span_flags = MSGC_R_PAD | MSGC_R_EXT | 1 },
	{ .len = 64, .span_flags = MSGC_R_SEALED | 3 },
	{ .len = 64, .span_flags = 1U << 31 | 3 },
};

static void bad_headers(void)
{
	for (unsigned int i = 0; i < sizeof(bad_header) / sizeof(*bad_header); i++) {
		struct msgc_record *record;

		begin();
		for (uint64_t n = 0; n < 3; n++)
			CHECK_EQ(send_one(liar, 64, n), 0);
		record = record_at(2 * 96);
		record->len = bad_header[i].len;
		record->span_flags = bad_header[i].span_flags;
		record->check = bad_header[i].check;
		if (!record->check)
			record->check = (2 * 96 >> 5) ^ record->span_flags;
		expect_refusal(2);
		end();
	}
}

/* A start in the middle: a sound header, but made for another place. */
static void a_moved_record_is_noticed(void)
{
	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(liar, 64, i), 0);
	*record_at(2 * 96) = *record_at(96);
	expect_refusal(2);
	end();
}

/* The kernel takes pages away: that is nobody's lie. */
static void a_ring_that_goes_accuses_nobody(void)
{
	struct ipc_msg msg[2];

	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(liar, 64, i), 0);
	CHECK_EQ(recv_now(rx, msg, 1), 1);
	line_of_peer(liar)->state = MSGC_REVOKED;	/* the generation comes later */
	*tail_of(liar) = 0;
	CHECK_EQ(recv_now(rx, &msg[1], 1), -EAGAIN);
	*tail_of(liar) = 3 * 96;
	line_of_peer(liar)->state = MSGC_LIVE;
	CHECK_EQ(recv_now(rx, &msg[1], 1), 1);
	line_of_peer(liar)->state = MSGC_REVOKED;
	memset(record_at(2 * 96), 0, 96);
	CHECK_EQ(recv_now(rx, &msg[1], 1), -EAGAIN);
	CHECK_EQ(rx->refusals, 0);
	end();
}

/* The other side refused: we hear of it once, and take nothing more. */
static void being_refused_is_heard_once(void)
{
	struct ipc_msg msg;

	begin();
	CHECK_EQ(send_one(liar, 10, 1), 0);
	CHECK_EQ(recv_one(rx, 1), 1);
	line_of_peer(liar)->receivers = 0;
	chan->status->generation++;
	CHECK_EQ(send_one(liar, 10, 2), 0);
	CHECK_EQ(recv_now(rx, &msg, 1), -EPROTO);
	CHECK_EQ(msg.peer, liar->map.id);
	CHECK_EQ(rx->refusals, 0);
	CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
	end();
}

/* A refused sender's ring goes before the application has heard: it hears all the same. */
static void a_report_outlives_its_ring(void)
{
	struct ipc_msg msg[2];
	uint32_t id;

	begin();
	CHECK_EQ(send_one(liar, 10, 1), 0);
	*tail_of(liar) = 64 + 32;
	CHECK_EQ(recv_now(rx, msg, 2), 1);
	id = liar->map.id;
	leave(liar, MSGC_DIED);
	drop_ring(liar);
	CHECK_EQ(recv_now(rx, msg, 1), -EPROTO);
	CHECK_EQ(msg[0].peer, id);
	CHECK_EQ(rx->refusals, 0);			/* -ENOENT: nobody to refuse any more */
	peer_free(liar);
	end();
}

/* Only PADs, as fast as they are taken: a call that does not wait must not go on for ever. */
static void *pad_for_ever(void *stop)
{
	/* This moves within a scan, `head` only after it. */
	const __u64 *taken = &slot_of(rx, liar)->taken;
	uint64_t tail = 0;

	while (!atomic_load((atomic_bool *)stop)) {
		uint64_t limit = __atomic_load_n(taken, __ATOMIC_ACQUIRE) + RING;

		for (; tail < limit; tail += 32) {
			struct msgc_record *record = record_at(tail);

			record->span_flags = MSGC_R_PAD | 1;
			record->check = (uint32_t)(tail >> 5) ^ (MSGC_R_PAD | 1);
			if (tail % 256 == 0)
				store(tail_of(liar), tail);
		}
	}
	return NULL;
}

static void pads_for_ever_do_not_hold_up_a_look(void)
{
	atomic_bool stop = false;
	pthread_t thread;
	struct ipc_msg msg;

	begin();
	pthread_create(&thread, NULL, pad_for_ever, &stop);
	for (unsigned int rounds = 0; rounds < 20000 && !atomic_load(&tap_failed); ) {
		uint64_t taken = slot_of(rx, liar)->taken;

		CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
		taken = slot_of(rx, liar)->taken - taken;
		CHECK(taken <= 3 * RING);
		rounds += taken > 0;
	}
	CHECK_EQ(send_one(honest, 10, 5), 0);
	CHECK_EQ(recv_one(rx, 5), 1);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	end();
}

static uint64_t put_pads(uint64_t tail, unsigned int n)
{
	for (; n; n--, tail += 32) {
		record_at(tail)->span_flags = MSGC_R_PAD | 1;
		record_at(tail)->check = (uint32_t)(tail >> 5) ^ (MSGC_R_PAD | 1);
	}
	store(tail_of(liar), tail);
	return tail;
}

/* A turn is 32 records, whatever they are. */
static void pads_use_up_a_turn(void)
{
	uint64_t tail = 0;

	begin();
	for (uint64_t i = 0; i < 3; i++) {
		tail = put_pads(tail, RING / 32);
		CHECK_EQ(send_one(honest, 10, i), 0);
		CHECK_EQ(recv_one(rx, i), 1);
		CHECK(slot_of(rx, liar)->taken <= tail - RING + 32 * 32);
		CHECK_EQ(recv_one(rx, 0), -EAGAIN);
		CHECK_EQ(slot_of(rx, liar)->head, tail);
	}
	CHECK_EQ(rx->refusals, 0);
	end();
}

/* One that is accused while the other has messages, in each call, is still told of. */
static void an_accusation_waits_for_the_messages(void)
{
	struct ipc_msg msg;

	begin();
	for (uint64_t i = 0; i < 3; i++)
		CHECK_EQ(send_one(honest, 10, i), 0);
	*tail_of(liar) = 16;
	for (uint64_t i = 0; i < 3; i++) {
		int got = recv_now(rx, &msg, 1);

		if (got == -EPROTO) {
			CHECK_EQ(msg.peer, liar->map.id);
			CHECK_EQ(i, 1);			/* next to what came with it */
			got = recv_now(rx, &msg, 1);
		}
		CHECK_EQ(got, 1);
		CHECK(is_number(&msg, i));
	}
	CHECK_EQ(rx->refusals, 1);
	CHECK_EQ(recv_now(rx, &msg, 1), -EAGAIN);
	end();
}

/* ---- while it works: until enough has happened ---- */

static uint64_t any_value(uint64_t *random, uint64_t near)
{
	switch (next_random(random) % 6) {
	case 0: return near + 32 * (next_random(random) % 256);
	case 1: return near - 32 * (next_random(random) % 256);
	case 2: return near + RING;
	case 3: return next_random(random) % (2 * RING);
	case 4: return (uint64_t)next_random(random) << 32 | next_random(random);
	default: return near;
	}
}

static void write_header(uint64_t pos, uint32_t span_flags, uint32_t len)
{
	__u64 *words = (__u64 *)record_at(pos);

	uint64_t check = (uint32_t)(pos >> 5) ^ span_flags;

	store(&words[0], (uint64_t)span_flags << 32 | len);
	store(&words[1], check << 32);
}

/* Sound records, so that the receiver gets far; then, while it reads, some that are nearly so. */
static uint64_t append_records(uint64_t *random, uint64_t tail)
{
	for (unsigned int n = next_random(random) % 8; n > 0; n--) {
		uint32_t units = 1 + next_random(random) % 20;
		uint32_t pad = next_random(random) % 8 ? 0 : MSGC_R_PAD;

		write_header(tail, units | pad, 32 * (units - 1));
		tail += 32 * units;
	}
	__atomic_store_n(tail_of(liar), tail, __ATOMIC_RELEASE);
	return tail;
}

static void scribble_record(uint64_t *random, uint64_t tail)
{
	uint64_t pos = (tail - 32 * (next_random(random) % 128)) & ~31ULL;
	uint32_t span_flags = next_random(random);

	if (next_random(random) % 16)
		span_flags %= 40;
	write_header(pos, span_flags, next_random(random) % (40 * 32));
}

static _Atomic uint64_t consumed;	/* of the liar's ring, so that it does not run ahead */

static void *scribble_on_sender(void *stop)
{
	uint64_t random = 42, tail = 0;

	while (!atomic_load((atomic_bool *)stop)) {
		uint64_t head = atomic_load(&consumed);

		if (tail < head || tail - head > RING || next_random(&random) % 100 == 0)
			tail = head;
		store(&control_of(liar)->low, head);
		store(tail_of(liar), tail);
		if (tail - head >= RING / 2) {
			sched_yield();
			continue;
		}
		tail = append_records(&random, tail);
		if (next_random(&random) % 4 == 0)
			scribble_record(&random, tail);
		if (next_random(&random) % 64 == 0) {
			store(&control_of(liar)->low, any_value(&random, tail));
			store(tail_of(liar), any_value(&random, tail));
		}
	}
	return NULL;
}

static _Atomic uint64_t bytes_seen;	/* so that each is read */

/* Whatever comes: inside the liar's ring, or honest and right. Returns whether it is the liar's. */
static bool check_message(const struct ipc_msg *msg, uint64_t *next_honest)
{
	const char *window = chan->data + liar->map.number * 2 * chan->ring_max;
	const char *data = msg->data;

	if (msg->peer == honest->map.id) {
		CHECK(is_number(msg, (*next_honest)++));
		return false;
	}
	CHECK(data >= window && msg->len <= RING && data + msg->len <= window + 2 * RING);
	for (uint32_t i = 0; i < msg->len; i++)
		bytes_seen += (uint8_t)data[i];
	return true;
}

/* Start anew with the same pages, as a receiver that the kernel let in after the last refusal. */
static void admit_again(void)
{
	line_of_peer(liar)->receivers = chan->status->tethered;
	leave(rx, MSGC_DIED);
	peer_free(rx);
	rx = join_receiver(chan, 0, 0);
}

static void a_sender_that_changes_everything_meanwhile(void)
{
	uint64_t sent = 0, got_honest = 0, got = 0, refused = 0;
	atomic_bool stop = false;
	pthread_t thread;

	begin();
	pthread_create(&thread, NULL, scribble_on_sender, &stop);
	while ((got < 100000 || refused < 2000) && !atomic_load(&tap_failed)) {
		struct ipc_msg msg[16];
		int now;

		if (sent - got_honest < 16)
			sent += send_one(honest, (uint32_t)(sent % 100), sent) == 0;
		now = recv_now(rx, msg, 16);
		for (int i = 0; i < now; i++)
			got += check_message(&msg[i], &got_honest);
		if (now > 0)
			CHECK_EQ(ipc_rx_release(rx->rx, msg, (unsigned int)now), 0);
		if (now == -EPROTO) {
			CHECK_EQ(msg[0].peer, liar->map.id);
			refused++;
			admit_again();
		}
		atomic_store(&consumed, slot_of(rx, liar)->head);
		sched_yield();
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	printf("# %llu messages and %llu honest ones, %llu refusals\n", (unsigned long long)got,
	       (unsigned long long)got_honest, (unsigned long long)refused);
	CHECK(got_honest > 100);
	end();
}

static void *scribble_on_receiver(void *stop)
{
	uint64_t random = 43;

	while (!atomic_load((atomic_bool *)stop)) {
		struct msgc_slot *slot = slot_of(rx, liar);
		uint64_t tail = __atomic_load_n(tail_of(liar), __ATOMIC_RELAXED);

		store(&slot->head, any_value(&random, tail));
		store(&slot->taken, any_value(&random, tail));
		if (next_random(&random) % 8 == 0)
			store(&slot->gen, next_random(&random));
		else
			store(&slot->gen, line_of_peer(liar)->since);
	}
	return NULL;
}

static void a_receiver_that_changes_everything_meanwhile(void)
{
	uint64_t sent = 0, refused = 0, random = 44, low = 0;
	atomic_bool stop = false;
	pthread_t thread;

	begin();
	pthread_create(&thread, NULL, scribble_on_receiver, &stop);
	while ((sent < 20000 || refused < 10000) && !atomic_load(&tap_failed)) {
		int err = put(liar, next_random(&random) % 500, sent);

		CHECK(err == 0 || err == -EAGAIN || err == -EPROTO);
		sent += err == 0;
		CHECK(ipc_tx_publish(liar->tx) == 0);
		CHECK(control_of(liar)->low >= low);	/* never back, never beyond the tail */
		low = control_of(liar)->low;
		CHECK(low <= *tail_of(liar));
		CHECK(*tail_of(liar) - low <= RING);
		if (err < 0)
			sched_yield();
		if (err == -EPROTO) {
			refused++;
			pthread_mutex_lock(&chan->lock);
			line_of_peer(liar)->receivers = chan->status->tethered;
			pthread_mutex_unlock(&chan->lock);
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	printf("# %llu messages, %llu refusals\n", (unsigned long long)sent,
	       (unsigned long long)refused);
	end();
}

int main(void)
{
	alarm(600);		/* an endless loop, or that nothing happens in one, is a failure */
	RUN(bad_tails);
	RUN(a_bad_tail_after_sound_records);
	RUN(a_tail_over_borrowed_records);
	RUN(bad_lows);
	RUN(bad_headers);
	RUN(a_moved_record_is_noticed);
	RUN(a_ring_that_goes_accuses_nobody);
	RUN(being_refused_is_heard_once);
	RUN(a_report_outlives_its_ring);
	RUN(pads_for_ever_do_not_hold_up_a_look);
	RUN(pads_use_up_a_turn);
	RUN(an_accusation_waits_for_the_messages);
	RUN(a_sender_that_changes_everything_meanwhile);
	RUN(a_receiver_that_changes_everything_meanwhile);
	return tap_done();
}
