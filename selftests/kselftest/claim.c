// SPDX-License-Identifier: MIT
/*
 * claim.c - balanced delivery through the UAPI header: CLAIM, RETURN, what the dead leave, and what
 * senders and receivers may write.
 */
#include "msgc.h"

#define BALANCED(...)	CREATE(.delivery = MSGC_BALANCED, __VA_ARGS__)

static const struct msgc_claims *inbox(const struct ep *r)
{
	return (const struct msgc_claims *)r->area[MSGC_INBOX];
}

static __u64 held(const struct ep *r)
{
	return load_acquire(&inbox(r)->held);
}

static const struct msgc_entry *entry(const struct ep *r, int i)
{
	return &inbox(r)->entry[i];
}

static __u64 head(const struct ep *s)
{
	return load_acquire(&ep_line(s, s->at.id)->head);
}

/* Releases what `mask` says and claims up to n. */
static long claim(const struct ep *r, __u32 n, __u64 mask, __u64 deadline)
{
	struct msgc_claim c = { .n = n, .deadline = deadline };
	long ret;

	WRITE_ONCE(ep_own(r)->released, mask);
	ret = cmd(r->fd, MSGC_CLAIM, &c);
	WRITE_ONCE(ep_own(r)->released, 0);
	return ret;
}

static long give_back(const struct ep *r, __u64 id)
{
	struct msgc_return ret = { .id = id };

	return cmd(r->fd, MSGC_RETURN, &ret);
}

/* The record of an entry carries its type. */
static __u32 type_of(const struct ep *r, int i)
{
	const struct msgc_entry *e = entry(r, i);
	__u32 n = MSGC_INDEX(e->sender) - r->at.max_receivers;
	__u64 size = 1ULL << rx_line(r, n)->ring_shift;
	const struct msgc_record *rec = (const void *)(rx_ring(r, n) + (e->pos & (size - 1)));

	return rec->type;
}

/* Writes a header as it is told. */
static void put_header(struct ep *s, __u64 pos, __u32 len, __u32 span_flags)
{
	struct msgc_record *rec = (void *)(s->area[MSGC_DATA] + (pos & (s->at.ring - 1)));

	rec->len = len;
	rec->span_flags = span_flags;
}

static void put_pad(struct ep *s)
{
	put_header(s, s->tail, 0, 1 | MSGC_R_PAD);
	s->tail += MSGC_ALIGN;
}

static void put_many(struct ep *s, int n)
{
	for (int i = 0; i < n; i++)
		tx_put(s, i, NULL, 0);
}

static void publish(struct ep *s)
{
	if (tx_publish(s))
		kick(s->fd);
}

static long receiver(struct ep *r, int chan, __u32 entries)
{
	return ep_attach(r, chan, ATTACH(.role = MSGC_RECEIVER, .held = entries));
}

FIXTURE(claim)
{
	int chan;
	struct ep s, r, r2;
};

FIXTURE_VARIANT(claim)
{
	__u32 attempts;
};

FIXTURE_VARIANT_ADD(claim, balanced)
{
	.attempts = 0,
};

FIXTURE_SETUP(claim)
{
	self->chan = create_private(BALANCED(.max_attempts = variant->attempts));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_sender(&self->s, self->chan));
	ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
	ASSERT_EQ(0, receiver(&self->r2, self->chan, 0));
}

FIXTURE_TEARDOWN(claim)
{
	ep_close(&self->s);
	ep_close(&self->r);
	ep_close(&self->r2);
	close(self->chan);
}

/* ---- what is refused ---- */

TEST_F(claim, arguments)
{
	struct msgc_claim c = { .n = 1, .flags = 1 };
	struct msgc_return ret = { .id = 1, .flags = 1 };
	struct ep e;

	EXPECT_EQ(64, self->r.at.held);
	EXPECT_EQ(-EOPNOTSUPP, cmd(self->r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(-EOPNOTSUPP, cmd(self->r.fd, MSGC_RETURN, &ret));
	ret = (struct msgc_return){ .id = 1, .zero = 1 };
	EXPECT_EQ(-EINVAL, cmd(self->r.fd, MSGC_RETURN, &ret));
	EXPECT_EQ(-ENOENT, give_back(&self->r, 0));
	EXPECT_EQ(-ENOENT, give_back(&self->r, ~0ULL));
	c = (struct msgc_claim){ .n = 1 };
	EXPECT_EQ(-ENOTTY, cmd(self->s.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(-EINVAL, receiver(&e, self->chan, 65));
	EXPECT_EQ(-EINVAL, ep_attach(&e, self->chan, ATTACH(.role = MSGC_SENDER, .held = 1)));
	EXPECT_EQ(-EINVAL, create_private(CREATE(.max_attempts = 1)));
}

TEST(not_balanced)
{
	int chan = create_private(CREATE(.max_senders = 1));
	struct msgc_claim c = { .n = 1 };
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(-ENOTTY, give_back(&r, 1));
	ep_close(&r);
	close(chan);
}

/* ---- claiming and releasing ---- */

TEST_F(claim, entries)
{
	EXPECT_EQ(-EAGAIN, claim(&self->r, 1, 0, MSGC_NOW));
	tx_put(&self->s, 1, "x", 1);
	tx_put(&self->s, 2, NULL, 0);
	tx_put(&self->s, 3, NULL, 0);
	publish(&self->s);
	EXPECT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	EXPECT_EQ(3, held(&self->r));
	EXPECT_NE(0, entry(&self->r, 0)->id);
	EXPECT_LT(entry(&self->r, 0)->id, entry(&self->r, 1)->id);
	EXPECT_EQ(0, entry(&self->r, 0)->pos);
	EXPECT_EQ(64, entry(&self->r, 0)->span);
	EXPECT_EQ(64, entry(&self->r, 1)->pos);
	EXPECT_EQ(32, entry(&self->r, 1)->span);
	EXPECT_EQ(self->s.at.id, entry(&self->r, 1)->sender);
	EXPECT_EQ(0, entry(&self->r, 0)->attempts);
	EXPECT_EQ(0, entry(&self->r, 0)->flags);
	EXPECT_EQ(2, type_of(&self->r, 1));
	EXPECT_EQ(2, peer(self->chan, self->r.at.id).held);
	EXPECT_EQ(96, peer(self->chan, self->r.at.id).held_bytes);
	EXPECT_EQ(self->r.at.id, peer(self->chan, self->s.at.id).laggard);
	EXPECT_EQ(0, head(&self->s));
	EXPECT_EQ(1, claim(&self->r, 64, 1, MSGC_NOW));
	EXPECT_EQ(64, head(&self->s));
	EXPECT_EQ(2, __builtin_popcountll(held(&self->r)));
	EXPECT_EQ(0, claim(&self->r, 0, ~0ULL, MSGC_NOW));
	EXPECT_EQ(0, held(&self->r));
	EXPECT_EQ(0, entry(&self->r, 1)->id);
	EXPECT_EQ(self->s.tail, head(&self->s));
	EXPECT_EQ(0, info(self->chan).depth);
}

TEST_F(claim, head_is_a_prefix)
{
	put_many(&self->s, 8);
	publish(&self->s);
	ASSERT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	ASSERT_EQ(7, claim(&self->r2, 64, 0, MSGC_NOW));
	EXPECT_EQ(0, claim(&self->r2, 0, 0x55, MSGC_NOW));
	EXPECT_EQ(0, claim(&self->r2, 0, 0x2a, MSGC_NOW));
	EXPECT_EQ(0, head(&self->s));
	EXPECT_EQ(0, claim(&self->r, 0, 1, MSGC_NOW));
	EXPECT_EQ(8 * 32, head(&self->s));
}

TEST_F(claim, nobody_twice)
{
	__u64 next[2] = { 0, 0 }, seen = 0;
	const struct ep *r[] = { &self->r, &self->r2 };

	put_many(&self->s, 1000);
	publish(&self->s);
	while (seen < 1000) {
		int i = seen & 1;
		__u64 mask = held(r[i]);
		long n = claim(r[i], 1 + seen % 7, mask, MSGC_NOW);

		ASSERT_GT(n, 0);
		for (mask = held(r[i]); mask; mask &= mask - 1) {
			const struct msgc_entry *e = entry(r[i], __builtin_ctzll(mask));

			ASSERT_EQ(type_of(r[i], __builtin_ctzll(mask)), e->pos / 32);
			ASSERT_GE(e->pos, next[i]);
			next[i] = e->pos + 32;
			next[!i] = next[i];
			seen++;
		}
	}
	EXPECT_EQ(1000, seen);
	EXPECT_EQ(-EAGAIN, claim(&self->r, 1, ~0ULL, MSGC_NOW));
	EXPECT_EQ(-EAGAIN, claim(&self->r2, 1, ~0ULL, MSGC_NOW));
	EXPECT_EQ(self->s.tail, head(&self->s));
}

TEST_F(claim, all_entries)
{
	struct ep one;

	put_many(&self->s, 200);
	publish(&self->s);
	EXPECT_EQ(64, claim(&self->r, 1000, 0, MSGC_NOW));
	EXPECT_EQ(~0ULL, held(&self->r));
	EXPECT_EQ(-EBUSY, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, poll_now(self->r.fd, POLLIN));
	EXPECT_EQ(1, claim(&self->r, 1, 1ULL << 63, MSGC_NOW));
	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	EXPECT_EQ(1, one.at.held);
	EXPECT_EQ(1, claim(&one, 5, 0, MSGC_NOW));
	EXPECT_EQ(65, type_of(&one, 0));
	EXPECT_EQ(-EBUSY, claim(&one, 1, 2, MSGC_NOW));
	EXPECT_EQ(1, claim(&one, 1, 1, MSGC_NOW));
	EXPECT_EQ(66, type_of(&one, 0));
	ep_close(&one);
}

TEST_F(claim, pads)
{
	put_pad(&self->s);
	tx_put(&self->s, 7, NULL, 0);
	put_pad(&self->s);
	put_pad(&self->s);
	publish(&self->s);
	EXPECT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(7, type_of(&self->r, 0));
	EXPECT_EQ(32, head(&self->s));
	EXPECT_EQ(0, claim(&self->r, 0, 1, MSGC_NOW));
	EXPECT_EQ(64, head(&self->s));
	/* Only the walk can tell that there is nothing. */
	EXPECT_EQ(POLLIN, poll_now(self->r.fd, POLLIN));
	EXPECT_EQ(-EAGAIN, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, poll_now(self->r.fd, POLLIN));
	EXPECT_EQ(self->s.tail, head(&self->s));
	/* A whole ring of them, and something behind: more than one look under the lock. */
	for (int i = 0; i < 2047; i++)
		put_pad(&self->s);
	tx_put(&self->s, 8, NULL, 0);
	publish(&self->s);
	EXPECT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(8, type_of(&self->r, 0));
	EXPECT_EQ(self->s.tail - 32, head(&self->s));
}

static void *flood(void *arg)
{
	struct ep *s = arg;

	while (!READ_ONCE(s->seq)) {
		while (s->tail - head(s) < s->at.ring)
			put_pad(s);
		tx_publish(s);
	}
	return NULL;
}

/* PADs without end keep nobody beyond a deadline, and no one who does not wait. */
TEST_F(claim, pads_for_ever)
{
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, flood, &self->s));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(-EAGAIN, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(-ETIMEDOUT, claim(&self->r, 1, 0, in_ms(50)));
	WRITE_ONCE(self->s.seq, 1);
	pthread_join(t, NULL);
}

static void fill_with_pads(struct ep *s)
{
	while (s->tail < s->at.ring)
		put_pad(s);
	publish(s);
}

/* A section of the lock's worth of them, then it is the next one's turn. */
TEST_F(claim, pads_keep_no_turn)
{
	struct ep other;

	ASSERT_EQ(0, ep_sender(&other, self->chan));
	fill_with_pads(&self->s);
	tx_send(&other, 7, NULL, 0);
	EXPECT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(7, type_of(&self->r, 0));
	EXPECT_GT(PAGE, head(&self->s));
	ep_close(&other);
}

/* Who has something does not walk over all of them for a whole batch. */
TEST_F(claim, pads_keep_nobody_who_has)
{
	put_many(&self->s, 1);
	fill_with_pads(&self->s);
	EXPECT_EQ(1, claim(&self->r, 2, 0, MSGC_NOW));
	EXPECT_EQ(0, claim(&self->r, 0, 1, MSGC_NOW));	/* the head is where the walk is */
	EXPECT_GT(PAGE, head(&self->s));
}

TEST_F(claim, fair)
{
	struct ep other;
	int first = 0;

	ASSERT_EQ(0, ep_sender(&other, self->chan));
	put_many(&self->s, 200);
	publish(&self->s);
	put_many(&other, 200);
	publish(&other);
	EXPECT_EQ(64, claim(&self->r, 64, 0, MSGC_NOW));
	for (int i = 0; i < 64; i++)
		first += entry(&self->r, i)->sender == self->s.at.id;
	EXPECT_EQ(32, first);
	EXPECT_EQ(48, claim(&self->r2, 48, 0, MSGC_NOW));
	for (first = 0; first < 48 && entry(&self->r2, first)->sender == self->s.at.id;)
		first++;
	EXPECT_EQ(32, first);
	ep_close(&other);
}

/* 64 KiB is a turn as well. */
TEST(fair_by_bytes)
{
	int chan = create_private(BALANCED(.ring_max = 1 << 20)), n[2] = { 0, 0 };
	struct ep s[2], r;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, ep_sender(&s[i], chan));
		for (int k = 0; k < 10; k++) {
			put_header(&s[i], s[i].tail, 0, (16384 >> 5));
			s[i].tail += 16384;
		}
		publish(&s[i]);
	}
	ASSERT_EQ(0, receiver(&r, chan, 0));
	EXPECT_EQ(8, claim(&r, 8, 0, MSGC_NOW));
	for (int i = 0; i < 8; i++)
		n[entry(&r, i)->sender == s[1].at.id]++;
	EXPECT_EQ(4, n[0]);
	EXPECT_EQ(4, n[1]);
	for (int i = 0; i < 2; i++)
		ep_close(&s[i]);
	ep_close(&r);
	close(chan);
}

/* ---- hostile senders ---- */

static void good_then(struct ep *s, __u32 len, __u32 span_flags, __u64 more)
{
	tx_put(s, 1, NULL, 0);
	put_header(s, s->tail, len, span_flags);
	s->tail += more;
}

TEST_F(claim, bad_sender)
{
	static const struct {
		const char *name;
		__u32 len, span_flags;
		__u64 more;		/* how far the tail is beyond */
	} bad[] = {
		{ "span 0", 0, 0, 32 },
		{ "PAD, span 0", 0, MSGC_R_PAD, 32 },
		{ "beyond the tail", 0, 2, 32 },
		{ "PAD beyond the tail", 0, 2 | MSGC_R_PAD, 32 },
		{ "huge", 0, 0x3ffffff, 32 },
		{ "longer than its span", 33, 2, 64 },
		{ "longest", ~0U, 2, 64 },
		{ "tail misaligned", 0, 1, 16 },
		{ "tail beyond the ring", 0, 1, 65536 },
		{ "tail beyond all", 0, 1, 1ULL << 40 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		bool tail = !strncmp(bad[i].name, "tail", 4);
		struct ep s, late;

		ASSERT_EQ(0, ep_sender(&s, self->chan));
		good_then(&s, bad[i].len, bad[i].span_flags, bad[i].more);
		publish(&s);
		tx_send(&self->s, 5, NULL, 0);
		/* With a wrong tail nothing is believed, else all that is good before. */
		EXPECT_EQ(tail ? 1 : 2, claim(&self->r, 64, 0, MSGC_NOW)) {
			TH_LOG("%s", bad[i].name);
		}
		EXPECT_EQ(-EPROTO, claim(&self->r, 64, ~0ULL, MSGC_NOW)) {
			TH_LOG("%s", bad[i].name);
		}
		EXPECT_EQ(-EAGAIN, claim(&self->r, 64, 0, MSGC_NOW));
		EXPECT_EQ(-EPROTO, claim(&self->r2, 64, 0, MSGC_NOW));
		EXPECT_EQ(-EAGAIN, claim(&self->r2, 64, 0, MSGC_NOW));
		EXPECT_EQ(0, ep_line(&s, s.at.id)->receivers);
		EXPECT_EQ(2, peer(self->chan, s.at.id).refused);
		EXPECT_EQ(0, peer(self->chan, self->s.at.id).refused);
		EXPECT_EQ(MSGC_PRI | MSGC_OUT, wait_for(s.fd, MSGC_OUT | MSGC_PRI, MSGC_NOW));
		ASSERT_EQ(0, receiver(&late, self->chan, 0));
		EXPECT_EQ(0, ep_line(&s, s.at.id)->receivers);
		EXPECT_EQ(-EAGAIN, claim(&late, 64, 0, MSGC_NOW));
		ep_close(&late);
		ep_close(&s);
		EXPECT_TRUE(until(!peer(self->chan, s.at.id).id)) {
			TH_LOG("%s: its ring stays", bad[i].name);
		}
	}
}

TEST_F(claim, tail_back)
{
	put_many(&self->s, 4);
	publish(&self->s);
	EXPECT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	store_release(&tx_tail(&self->s)->tail, 96);
	EXPECT_EQ(-EPROTO, claim(&self->r, 2, 0, MSGC_NOW));
	EXPECT_EQ(3, held(&self->r));
	EXPECT_EQ(0, claim(&self->r, 0, 3, MSGC_NOW));
	EXPECT_EQ(64, head(&self->s));
}

/* The sender ends while it sleeps for space, and while a receiver sleeps. */
TEST_F(claim, bad_while_asleep)
{
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct runner run;

	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	put_header(&self->s, 0, 0, 0);
	self->s.tail = 32;
	publish(&self->s);
	EXPECT_EQ(-EPROTO, runner_end(&run));
}

struct flipper {
	struct ep *s;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	static const __u32 word[] = { 1, 0, 0x3ffffff, 2, 1 | MSGC_R_PAD, 1000, 1, ~0U };
	unsigned int n = 0;

	while (!READ_ONCE(f->stop)) {
		struct msgc_record *rec = (void *)f->s->area[MSGC_DATA];

		for (unsigned int i = 0; i < f->s->at.ring / 32; i++)
			WRITE_ONCE(rec[i].span_flags, word[n++ % 8 ? 0 : n / 8 % 8]);
		store_release(&tx_tail(f->s)->tail, f->s->tail);
	}
	return NULL;
}

/* Headers change while they are walked: whatever comes out lies within the ring and is disjoint. */
TEST_F_TIMEOUT(claim, header_changes, 120)
{
	for (int round = 0; round < 60; round++) {
		struct ep s;
		struct flipper f = { .s = &s };
		__u64 end = 0;
		pthread_t t;
		long n;

		ASSERT_EQ(0, ep_sender(&s, self->chan));
		put_many(&s, s.at.ring / 32);
		tx_publish(&s);
		ASSERT_EQ(0, pthread_create(&t, NULL, flip, &f));
		while ((n = claim(&self->r, 64, ~0ULL, MSGC_NOW)) > 0) {
			__u64 next = 0;

			for (__u64 m = held(&self->r); m; m &= m - 1) {
				const struct msgc_entry *e = entry(&self->r, __builtin_ctzll(m));

				ASSERT_GE(e->pos, end);
				ASSERT_GE(e->span, 32);
				ASSERT_LE(e->pos + e->span, s.tail);
				next = e->pos + e->span > next ? e->pos + e->span : next;
			}
			end = next;
		}
		EXPECT_TRUE(n == -EPROTO || n == -EAGAIN);
		f.stop = true;
		pthread_join(t, NULL);
		ep_close(&s);
		claim(&self->r, 1, ~0ULL, MSGC_NOW);
		claim(&self->r2, 1, ~0ULL, MSGC_NOW);
	}
}

TEST_F(claim, refuse_is_for_one)
{
	struct msgc_refuse ref = { .peer = self->s.at.id };

	put_many(&self->s, 2);
	publish(&self->s);
	EXPECT_EQ(0, cmd(self->r.fd, MSGC_REFUSE, &ref));
	EXPECT_EQ(-EAGAIN, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, poll_now(self->r.fd, POLLIN));
	EXPECT_EQ(1ULL << self->r2.at.number, ep_line(&self->s, self->s.at.id)->receivers);
	EXPECT_EQ(2, claim(&self->r2, 2, 0, MSGC_NOW));
	/* It is not refused by all. */
	WRITE_ONCE(tx_control(&self->s)->need, 32);
	EXPECT_EQ(-EAGAIN, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(0, cmd(self->r2.fd, MSGC_REFUSE, &ref));
	EXPECT_EQ(MSGC_OUT, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
}

/* ---- liars and releases ---- */

TEST_F(claim, lies_in_released)
{
	put_many(&self->s, 300);
	publish(&self->s);
	EXPECT_EQ(10, claim(&self->r, 10, ~0ULL, MSGC_NOW));
	EXPECT_EQ(10, claim(&self->r2, 10, ~0ULL, MSGC_NOW));
	/* Bits of free entries are nothing; those of others are out of reach. */
	EXPECT_EQ(0, claim(&self->r2, 0, ~0x3ffULL, MSGC_NOW));
	EXPECT_EQ(0x3ff, held(&self->r2));
	EXPECT_EQ(0x3ff, held(&self->r));
	EXPECT_EQ(0, head(&self->s));
	for (int i = 0; i < 100; i++)
		claim(&self->r2, 3, ~0ULL, MSGC_NOW);
	EXPECT_EQ(0x3ff, held(&self->r));
	EXPECT_EQ(0, head(&self->s));
	EXPECT_EQ(0, claim(&self->r, 0, 0x3ff, MSGC_NOW));
	EXPECT_EQ(20 * 32 + 280 * 32, head(&self->s));
}

/* A balanced receiver that pretends to have a position in the ring moves no head. */
TEST_F(claim, no_slots)
{
	put_many(&self->s, 4);
	publish(&self->s);
	rx_slot(&self->r, self->s.at.number)->taken = 96;
	rx_slot(&self->r, self->s.at.number)->head = 96;
	rx_slot(&self->r, self->s.at.number)->gen = ep_line(&self->s, self->s.at.id)->since;
	WRITE_ONCE(tx_control(&self->s)->need, 32);
	EXPECT_EQ(-EAGAIN, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(POLLIN, poll_now(self->r.fd, POLLIN));
	EXPECT_EQ(0, peer(self->chan, self->s.at.id).head);
	EXPECT_EQ(4, claim(&self->r, 4, 0, MSGC_NOW));
}

/* Marked before the sender looks: no system call of the receiver is needed. */
TEST_F(claim, space_marked_before)
{
	tx_fill(&self->s);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	WRITE_ONCE(tx_control(&self->s)->need, 2 * PAGE);
	EXPECT_EQ(-EAGAIN, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	WRITE_ONCE(ep_own(&self->r)->released, 3);
	EXPECT_EQ(MSGC_OUT, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(2 * PAGE, head(&self->s));
	EXPECT_EQ(0, held(&self->r));
}

/* Marked after: space_at says so, and CLAIM of nothing wakes it. */
TEST_F(claim, space_marked_after)
{
	struct msgc_wait w = { .events = MSGC_OUT, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner run;

	tx_fill(&self->s);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	WRITE_ONCE(tx_control(&self->s)->need, 2 * PAGE);
	ASSERT_TRUE(runner_start(&run, self->s.fd, MSGC_WAIT, &w));
	EXPECT_EQ(2 * PAGE, READ_ONCE(ep_line(&self->s, self->s.at.id)->space_at));
	EXPECT_EQ(0, claim(&self->r, 0, 2, MSGC_NOW));
	EXPECT_EQ(0, head(&self->s));
	EXPECT_FALSE(run.done);
	EXPECT_EQ(0, claim(&self->r, 0, 1, MSGC_NOW));
	EXPECT_EQ(MSGC_OUT, runner_end(&run));
}

/* A bit that stood there when the entry was given means nothing until it was seen clear. */
TEST_F(claim, stale_bits)
{
	struct ep one;
	struct msgc_claim c = { .n = 1 };

	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	put_many(&self->s, 3);
	publish(&self->s);
	WRITE_ONCE(ep_own(&one)->released, 1);
	ASSERT_EQ(1, cmd(one.fd, MSGC_CLAIM, &c));
	WRITE_ONCE(tx_control(&self->s)->need, 32);
	EXPECT_EQ(-EAGAIN, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(1, held(&one));
	WRITE_ONCE(ep_own(&one)->released, 0);
	EXPECT_EQ(-EAGAIN, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	WRITE_ONCE(ep_own(&one)->released, 1);
	EXPECT_EQ(MSGC_OUT, wait_for(self->s.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(0, held(&one));
	ep_close(&one);
	/* With more entries those with a clear bit are given first. */
	WRITE_ONCE(ep_own(&self->r)->released, 0xff);
	ASSERT_EQ(1, cmd(self->r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0x100, held(&self->r));
}

/* Beside a CLAIM that sleeps another thread releases; a second one that claims is refused. */
TEST_F(claim, release_beside_a_sleeper)
{
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct runner run;

	put_many(&self->s, 2);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0, claim(&self->r, 0, 1, MSGC_NOW));
	EXPECT_EQ(32, head(&self->s));
	EXPECT_EQ(2, held(&self->r));
	EXPECT_EQ(-EBUSY, claim(&self->r, 1, 2, MSGC_NOW));
	EXPECT_EQ(64, head(&self->s));
	EXPECT_EQ(0, held(&self->r));
	EXPECT_FALSE(run.done);
	tx_send(&self->s, 7, NULL, 0);
	EXPECT_EQ(1, runner_end(&run));
	EXPECT_EQ(7, type_of(&self->r, __builtin_ctzll(held(&self->r))));
}

/* ---- deaths ---- */

TEST_F(claim, death_gives_back)
{
	put_many(&self->s, 10);
	publish(&self->s);
	ASSERT_EQ(3, claim(&self->r, 3, 0, MSGC_NOW));
	ASSERT_EQ(2, claim(&self->r2, 2, 0, MSGC_NOW));
	EXPECT_EQ(1, claim(&self->r, 1, 2, MSGC_NOW));	/* releases 1, has 0 2 5 */
	ep_close(&self->r);
	EXPECT_EQ(0, info(self->chan).redelivered);
	EXPECT_EQ(POLLIN, poll_now(self->r2.fd, POLLIN));
	EXPECT_EQ(4, claim(&self->r2, 4, 3, MSGC_NOW));
	EXPECT_EQ(0, entry(&self->r2, 2)->pos);
	EXPECT_EQ(64, entry(&self->r2, 3)->pos);
	EXPECT_EQ(160, entry(&self->r2, 4)->pos);
	EXPECT_EQ(192, entry(&self->r2, 5)->pos);
	EXPECT_EQ(1, entry(&self->r2, 4)->attempts);
	EXPECT_EQ(MSGC_M_REDELIVERED, entry(&self->r2, 4)->flags);
	EXPECT_EQ(0, entry(&self->r2, 5)->attempts);
	EXPECT_EQ(96, info(self->chan).redelivered);
	EXPECT_EQ(0, head(&self->s));
	EXPECT_EQ(0, claim(&self->r2, 0, ~0ULL, MSGC_NOW));
	EXPECT_EQ(7 * 32, head(&self->s));
	ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
}

/* What it had marked, it had released. */
TEST_F(claim, death_with_marks)
{
	put_many(&self->s, 3);
	publish(&self->s);
	ASSERT_EQ(3, claim(&self->r, 3, 0, MSGC_NOW));
	WRITE_ONCE(ep_own(&self->r)->released, 3);
	ep_close(&self->r);
	EXPECT_EQ(64, head(&self->s));
	EXPECT_EQ(1, claim(&self->r2, 64, 0, MSGC_NOW));
	EXPECT_EQ(64, entry(&self->r2, 0)->pos);
	ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
}

FIXTURE_VARIANT_ADD(claim, twice)
{
	.attempts = 2,
};

TEST_F(claim, max_attempts)
{
	long deaths = 0;

	put_many(&self->s, 1);
	publish(&self->s);
	for (; deaths < 5 && claim(&self->r, 1, 0, MSGC_NOW) == 1; deaths++) {
		EXPECT_EQ(deaths, entry(&self->r, 0)->attempts);
		ep_close(&self->r);
		ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
	}
	EXPECT_EQ(variant->attempts ? 3 : 5, deaths);
	EXPECT_EQ(!!variant->attempts, info(self->chan).skipped);
	EXPECT_EQ(variant->attempts ? self->s.tail : 0, head(&self->s));
	EXPECT_EQ(variant->attempts ? -EAGAIN : 1, claim(&self->r, 1, 0, MSGC_NOW));
}

TEST_F(claim, returned)
{
	__u64 id;

	put_many(&self->s, 3);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	id = entry(&self->r, 1)->id;
	EXPECT_EQ(-ENOENT, give_back(&self->r2, id));
	EXPECT_EQ(-ENOENT, give_back(&self->r, id + 64));
	EXPECT_EQ(0, give_back(&self->r, id));
	EXPECT_EQ(-ENOENT, give_back(&self->r, id));
	EXPECT_EQ(1, held(&self->r));
	EXPECT_EQ(2, claim(&self->r2, 2, 0, MSGC_NOW));
	EXPECT_EQ(32, entry(&self->r2, 0)->pos);
	EXPECT_EQ(1, entry(&self->r2, 0)->attempts);
	EXPECT_EQ(64, entry(&self->r2, 1)->pos);
	EXPECT_EQ(0, give_back(&self->r, entry(&self->r, 0)->id));
	EXPECT_EQ(0, give_back(&self->r2, entry(&self->r2, 0)->id));
	EXPECT_EQ(2, claim(&self->r, 64, 0, MSGC_NOW));
	EXPECT_EQ(0, entry(&self->r, 0)->pos);
	EXPECT_EQ(32, entry(&self->r, 1)->pos);
	EXPECT_EQ(2, entry(&self->r, 1)->attempts);
}

/* All of its records are claimed and given back by one who refuses it then. */
static long leave_back(struct ep *s, struct ep *r, int n)
{
	struct msgc_refuse ref = { .peer = s->at.id };
	long err = claim(r, n, 0, MSGC_NOW) != n;

	err = cmd(r->fd, MSGC_REFUSE, &ref) ?: err;
	for (int i = 0; i < n; i++)
		err = give_back(r, entry(r, i)->id) ?: err;
	return err;
}

/*
 * As many as receivers have entries were given back, and nobody takes them: the others' records go
 * on, also to sleepers, and who is told that there is something gets it.
 */
TEST(back_of_the_refused)
{
	int chan = create_private(BALANCED(.max_receivers = 2));
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct ep bad[3], good, r, honest;
	struct runner run;

	ASSERT_EQ(0, receiver(&r, chan, 0));
	ASSERT_EQ(0, receiver(&honest, chan, 0));
	for (int i = 0; i < 3; i++) {
		struct msgc_refuse ref = { 0 };

		ASSERT_EQ(0, ep_sender(&bad[i], chan));
		ref.peer = bad[i].at.id;
		ASSERT_EQ(0, cmd(honest.fd, MSGC_REFUSE, &ref));
		put_many(&bad[i], MSGC_CLAIMS);
		publish(&bad[i]);
		ASSERT_EQ(0, leave_back(&bad[i], &r, MSGC_CLAIMS));
	}
	ASSERT_EQ(0, ep_sender(&good, chan));
	EXPECT_EQ(0, poll_now(honest.fd, POLLIN));
	ASSERT_TRUE(runner_start(&run, honest.fd, MSGC_CLAIM, &c));
	tx_send(&good, 1, NULL, 0);
	EXPECT_EQ(1, runner_end(&run));
	tx_send(&good, 2, NULL, 0);
	EXPECT_EQ(POLLIN, poll_now(honest.fd, POLLIN));
	EXPECT_EQ(1, claim(&honest, 64, 1, MSGC_NOW));
	EXPECT_EQ(good.at.id, entry(&honest, __builtin_ctzll(held(&honest)))->sender);
	/* Its successor, who refuses nobody, gets them all. */
	ep_close(&honest);
	ASSERT_EQ(0, receiver(&honest, chan, 0));
	EXPECT_EQ(64, claim(&honest, 64, 0, MSGC_NOW));
	EXPECT_EQ(64, claim(&honest, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(64, claim(&honest, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(1, claim(&honest, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(-EAGAIN, claim(&honest, 64, ~0ULL, MSGC_NOW));
	for (int i = 0; i < 3; i++)
		ep_close(&bad[i]);
	ep_close(&good);
	ep_close(&honest);
	ep_close(&r);
	close(chan);
}

/* A message that is returned each time comes back for ever; what others send has its turns. */
TEST_F(claim, returned_for_ever)
{
	int again = 0, others = 0;
	struct ep other;

	ASSERT_EQ(0, ep_sender(&other, self->chan));
	put_many(&self->s, 1);
	publish(&self->s);
	put_many(&other, 10);
	publish(&other);
	for (int i = 0; i < 200; i++) {
		long n = claim(&self->r, 1, 0, MSGC_NOW);

		if (n != 1 && variant->attempts)
			break;
		ASSERT_EQ(1, n);
		if (entry(&self->r, 0)->sender == other.at.id) {
			others++;
			claim(&self->r, 0, 1, MSGC_NOW);
		} else {
			again++;
			ASSERT_EQ(0, give_back(&self->r, entry(&self->r, 0)->id));
		}
	}
	EXPECT_EQ(10, others);
	EXPECT_EQ(variant->attempts ? 3 : 190, again);
	ep_close(&other);
}

/* Its tail may not run ahead of the head by more than its ring: that bounds what is given out. */
TEST_F(claim, overwrites)
{
	put_many(&self->s, 2048);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	EXPECT_EQ(1, claim(&self->r, 1, 2, MSGC_NOW));
	put_many(&self->s, 1);
	publish(&self->s);
	EXPECT_EQ(-EPROTO, claim(&self->r, 1, 0, MSGC_NOW));
}

TEST_F(claim, dead_senders_ring)
{
	__u32 id = self->s.at.id;

	put_many(&self->s, 3);
	put_pad(&self->s);
	publish(&self->s);
	ASSERT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	ep_close(&self->s);
	EXPECT_EQ(2, claim(&self->r2, 64, 0, MSGC_NOW));
	EXPECT_EQ(1, type_of(&self->r2, 0));
	EXPECT_EQ(-EPIPE, claim(&self->r2, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(MSGC_HUP, wait_for(self->r2.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(id, peer(self->chan, id).id);
	EXPECT_EQ(0, type_of(&self->r, 0));
	/* It comes back with its holder's death, also to who was told of the end. */
	ep_close(&self->r);
	EXPECT_EQ(1, claim(&self->r2, 64, 0, MSGC_NOW));
	EXPECT_EQ(id, peer(self->chan, id).id);
	EXPECT_EQ(0, claim(&self->r2, 0, ~0ULL, MSGC_NOW));
	EXPECT_TRUE(until(!peer(self->chan, id).id));
	EXPECT_EQ(-EPIPE, claim(&self->r2, 64, 0, MSGC_NOW));
	ASSERT_EQ(0, ep_sender(&self->s, self->chan));
	EXPECT_EQ(-EAGAIN, claim(&self->r2, 64, 0, MSGC_NOW));
	ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
}

/* What is held of a ring that was given up can be released, or returned, to nobody. */
TEST_F(claim, evicted_ring)
{
	__u32 id = self->s.at.id;

	put_many(&self->s, 5);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	ASSERT_EQ(1, claim(&self->r2, 1, 0, MSGC_NOW));
	ep_close(&self->r2);
	ep_close(&self->s);
	EXPECT_EQ(0, evict(self->chan, id));
	EXPECT_TRUE(until(!peer(self->chan, id).id));
	EXPECT_EQ(-EPIPE, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(3, held(&self->r));
	EXPECT_EQ(0, give_back(&self->r, entry(&self->r, 0)->id));
	EXPECT_EQ(2, held(&self->r));
	ASSERT_EQ(0, ep_sender(&self->s, self->chan));
	put_many(&self->s, 1);
	publish(&self->s);
	EXPECT_EQ(1, claim(&self->r, 5, 2, MSGC_NOW));
	EXPECT_EQ(self->s.at.id, entry(&self->r, __builtin_ctzll(held(&self->r)))->sender);
	ASSERT_EQ(0, receiver(&self->r2, self->chan, 0));
}

/* ---- sleeping ---- */

TEST_F(claim, deadlines)
{
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct runner run;

	EXPECT_EQ(-ETIMEDOUT, claim(&self->r, 1, 0, in_ms(20)));
	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(-EBUSY, claim(&self->r, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, none(self->r.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&run));
	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0, detach(self->r.fd));
	EXPECT_EQ(-ESHUTDOWN, runner_end(&run));
}

TEST_F(claim, kick_assigns)
{
	struct msgc_claim c = { .n = 8, .deadline = MSGC_FOREVER };
	struct runner a, b;

	ASSERT_TRUE(runner_start(&a, self->r.fd, MSGC_CLAIM, &c));
	ASSERT_TRUE(runner_start(&b, self->r2.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(3, ep_status(&self->s)->armed);
	put_many(&self->s, 2);
	publish(&self->s);
	EXPECT_EQ(1, runner_end(&a));
	EXPECT_EQ(1, runner_end(&b));
	EXPECT_EQ(0, ep_status(&self->s)->armed);
	EXPECT_EQ(1, held(&self->r));
	EXPECT_EQ(1, held(&self->r2));
	EXPECT_EQ(1, peer(self->chan, self->s.at.id).kicks);
	EXPECT_EQ(0, peer(self->chan, self->s.at.id).needless);
}

TEST_F(claim, return_assigns)
{
	struct msgc_claim c = { .n = 8, .deadline = MSGC_FOREVER };
	struct runner run;

	put_many(&self->s, 1);
	publish(&self->s);
	ASSERT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
	ASSERT_TRUE(runner_start(&run, self->r2.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0, give_back(&self->r, entry(&self->r, 0)->id));
	EXPECT_EQ(1, runner_end(&run));
	EXPECT_EQ(1, entry(&self->r2, 0)->attempts);
}

TEST_F(claim, death_wakes)
{
	struct msgc_claim c = { .n = 8, .deadline = MSGC_FOREVER };
	struct runner run;

	put_many(&self->s, 2);
	publish(&self->s);
	ASSERT_EQ(2, claim(&self->r, 2, 0, MSGC_NOW));
	ASSERT_TRUE(runner_start(&run, self->r2.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0, detach(self->r.fd));
	EXPECT_EQ(2, runner_end(&run));
	EXPECT_EQ(1, entry(&self->r2, 1)->attempts);
}

/* More than one look under the lock is worth: the sleepers walk on themselves. */
TEST_F(claim, kick_with_many)
{
	struct msgc_claim c = { .n = 64, .deadline = MSGC_FOREVER };
	struct runner run;

	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	for (int i = 0; i < 100; i++)
		put_pad(&self->s);
	put_many(&self->s, 1);
	publish(&self->s);
	EXPECT_EQ(1, runner_end(&run));
}

/*
 * One that is stopped, or killed, after it was chosen and before it ran: on one CPU, whose waker is
 * not preempted by it.
 */
static int sleeper(int sk, void *arg)
{
	struct ep r;
	long n;

	if (receiver(&r, *(int *)arg, 0))
		return 1;
	tell(sk, r.at.id);
	n = claim(&r, 1, 0, MSGC_FOREVER);
	tell(sk, n);
	return n == 1 && type_of(&r, 0) == 0 ? 0 : 2;
}

static void one_cpu(void)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
}

static void realtime(bool on)
{
	struct sched_param p = { .sched_priority = on };

	sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &p);
}

/* It has been assigned the first of two records, and got the signal, when it runs again. */
static __u32 choose_and_signal(int chan, struct ep *s, struct kid *kid, int sig)
{
	__u32 id;

	one_cpu();
	*kid = kid_start(sleeper, &chan);
	id = hear(kid->sk);
	if (!asleep(kid->pid, kid->pid))
		return 0;
	realtime(true);
	put_many(s, 2);
	publish(s);
	kill(kid->pid, sig);
	realtime(false);
	return id;
}

TEST_F(claim, stopped_sleeper)
{
	struct kid kid;
	__u32 id = choose_and_signal(self->chan, &self->s, &kid, SIGSTOP);

	ASSERT_TRUE(until(task_state(kid.pid, kid.pid) == 'T'));
	EXPECT_EQ(1, peer(self->chan, id).held);
	EXPECT_EQ(1, claim(&self->r, 64, 0, MSGC_NOW));
	EXPECT_EQ(1, type_of(&self->r, 0));
	EXPECT_EQ(-EAGAIN, claim(&self->r2, 64, 0, MSGC_NOW));
	kill(kid.pid, SIGCONT);
	EXPECT_EQ(1, hear(kid.sk));
	EXPECT_EQ(0, kid_end(&kid, 0));
}

/*
 * It has been given the one entry, whose bit still stands for the record before, and does not know
 * yet: a release beside it is not of what it was given.
 */
TEST_F(claim, release_beside_a_chosen)
{
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER }, none = { .n = 0 };
	struct runner run;
	struct ep one;

	one_cpu();
	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	put_many(&self->s, 1);
	publish(&self->s);
	ASSERT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	WRITE_ONCE(ep_own(&one)->released, 1);
	ASSERT_TRUE(runner_start(&run, one.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(32, head(&self->s));
	realtime(true);
	tx_send(&self->s, 7, NULL, 0);
	EXPECT_EQ(0, cmd(one.fd, MSGC_CLAIM, &none));
	realtime(false);
	EXPECT_EQ(1, runner_end(&run));
	EXPECT_EQ(1, held(&one));
	EXPECT_EQ(32, head(&self->s));
	ep_close(&one);
}

TEST_F(claim, killed_sleeper)
{
	struct kid kid;

	ASSERT_NE(0, choose_and_signal(self->chan, &self->s, &kid, SIGKILL));
	EXPECT_EQ(-SIGKILL, kid_end(&kid, 0));
	EXPECT_EQ(2, claim(&self->r, 2, 0, in_ms(2000)));
	EXPECT_EQ(0, entry(&self->r, 0)->pos);
	EXPECT_EQ(1, entry(&self->r, 0)->attempts);
	EXPECT_EQ(0, entry(&self->r, 1)->attempts);
}

TEST_F(claim, pollers)
{
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner a, b;

	ASSERT_TRUE(runner_start(&a, self->r.fd, MSGC_WAIT, &w));
	ASSERT_TRUE(runner_start(&b, self->r2.fd, MSGC_CLAIM, &c));
	/* One record is the sleeper's; nothing is left for the poller, who is not woken. */
	tx_send(&self->s, 1, NULL, 0);
	EXPECT_EQ(1, runner_end(&b));
	usleep(20000);
	EXPECT_FALSE(a.done);
	EXPECT_EQ(1ULL << self->r.at.number, ep_status(&self->s)->armed);
	tx_send(&self->s, 2, NULL, 0);
	EXPECT_EQ(MSGC_IN, runner_end(&a));
	EXPECT_EQ(1, claim(&self->r, 1, 0, MSGC_NOW));
}

/* Who holds all it may is not told; then what came meanwhile is news. */
TEST_F(claim, full_poller)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner run;
	struct ep one;

	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	put_many(&self->s, 1);
	publish(&self->s);
	ASSERT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	ASSERT_TRUE(runner_start(&run, one.fd, MSGC_WAIT, &w));
	EXPECT_EQ(0, ep_status(&self->s)->armed & 1ULL << one.at.number);
	put_many(&self->s, 1);
	publish(&self->s);
	usleep(20000);
	EXPECT_FALSE(run.done);
	EXPECT_EQ(0, claim(&one, 0, 1, MSGC_NOW));
	EXPECT_EQ(MSGC_IN, runner_end(&run));
	EXPECT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	ep_close(&one);
}

/* An entry that was given back is free again: its owner wants to hear of what comes then. */
TEST_F(claim, return_arms_the_poller)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct runner poller, sleeper;
	struct ep one;

	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	put_many(&self->s, 1);
	publish(&self->s);
	ASSERT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	ASSERT_TRUE(runner_start(&poller, one.fd, MSGC_WAIT, &w));
	ASSERT_TRUE(runner_start(&sleeper, self->r2.fd, MSGC_CLAIM, &c));
	EXPECT_EQ(0, give_back(&one, entry(&one, 0)->id));
	EXPECT_EQ(1, runner_end(&sleeper));		/* it is given to this one */
	EXPECT_FALSE(poller.done);
	tx_send(&self->s, 1, NULL, 0);
	EXPECT_EQ(MSGC_IN, runner_end(&poller));
	EXPECT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	ep_close(&one);
}

/* The walk for a batch is interrupted; what it has comes first, and the next wait hears of it. */
TEST_F(claim, interrupt_is_told_later)
{
	put_many(&self->s, 40);
	publish(&self->s);
	EXPECT_EQ(0, none(self->r.fd, MSGC_INTERRUPT));
	EXPECT_EQ(32, claim(&self->r, 64, 0, MSGC_NOW));
	EXPECT_EQ(8, claim(&self->r, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(-EINTR, claim(&self->r, 64, ~0ULL, MSGC_NOW));
	EXPECT_EQ(-EAGAIN, claim(&self->r, 64, 0, MSGC_NOW));
}

/* The same of a sender that ends when a sleeper has just been given another's record. */
TEST_F(claim, accusation_is_told_later)
{
	struct msgc_claim c = { .n = 8, .deadline = MSGC_FOREVER };
	struct runner run;
	struct ep other;

	ASSERT_EQ(0, ep_sender(&other, self->chan));
	one_cpu();				/* the sleeper's too */
	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_CLAIM, &c));
	realtime(true);
	tx_send(&other, 7, NULL, 0);
	put_header(&self->s, 0, 0, 0);
	self->s.tail = 32;
	publish(&self->s);
	/* The sleeper was given one and wants no more: this one finds what is no record. */
	EXPECT_EQ(-EPROTO, claim(&self->r2, 1, 0, MSGC_NOW));
	realtime(false);
	EXPECT_EQ(1, runner_end(&run));
	EXPECT_EQ(7, type_of(&self->r, 0));
	EXPECT_EQ(-EPROTO, claim(&self->r, 8, 0, MSGC_NOW));
	EXPECT_EQ(-EAGAIN, claim(&self->r, 8, 0, MSGC_NOW));
	ep_close(&other);
}

/* Who holds all it may cannot know whether there is more: that is no end. */
TEST_F(claim, full_is_no_end)
{
	struct ep one;

	ASSERT_EQ(0, receiver(&one, self->chan, 1));
	put_many(&self->s, 2);
	publish(&self->s);
	ASSERT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(0, poll_now(one.fd, POLLIN) & (POLLIN | POLLHUP));
	EXPECT_EQ(-EAGAIN, wait_for(one.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(-EBUSY, claim(&one, 1, 0, MSGC_NOW));
	EXPECT_EQ(0, claim(&one, 0, 1, MSGC_NOW));
	EXPECT_EQ(POLLIN, poll_now(one.fd, POLLIN) & (POLLIN | POLLHUP));
	EXPECT_EQ(1, claim(&one, 1, 0, MSGC_NOW));
	EXPECT_EQ(-EPIPE, claim(&one, 1, 1, MSGC_NOW));
	EXPECT_EQ(POLLHUP, poll_now(one.fd, POLLIN) & (POLLIN | POLLHUP));
	ep_close(&one);
}

/* ---- everything at once: published = released + skipped + held ---- */

struct score {
	_Atomic long released;
	_Atomic long again;
	_Atomic bool keep_none;
};

static struct score *score;

static int worker(int sk, void *arg)
{
	unsigned int seed = getpid();
	struct ep r;

	if (receiver(&r, *(int *)arg, 0))
		return 1;
	tell(sk, 0);
	for (;;) {
		__u64 mask = held(&r), done = 0;
		long n;

		for (__u64 m = mask; m; m &= m - 1) {
			int i = __builtin_ctzll(m);

			if (!score->keep_none && rand_r(&seed) % 4 == 0)
				continue;
			done |= 1ULL << i;
		}
		n = claim(&r, 1 + rand_r(&seed) % 16, done, in_ms(200));
		/* counted when it is known: a kill in between loses a count, not a message */
		score->released += __builtin_popcountll(done);
		if (n < 0 && n != -EBUSY && n != -ETIMEDOUT)
			return -n;
		for (__u64 m = held(&r); m; m &= m - 1)
			score->again += entry(&r, __builtin_ctzll(m))->attempts != 0;
	}
}

TEST_F_TIMEOUT(claim, kills, 240)
{
	enum { KIDS = 4, ROUNDS = 40, EACH = 200 };
	struct kid kid[KIDS];
	__u64 drained;

	score = mmap(NULL, sizeof(*score), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	for (int i = 0; i < KIDS; i++) {
		kid[i] = kid_start(worker, &self->chan);
		hear(kid[i].sk);
	}
	ep_close(&self->r);
	ep_close(&self->r2);
	for (int round = 0; round < ROUNDS; round++) {
		int k = round % KIDS;

		for (int i = 0; i < EACH; i++) {
			while (self->s.tail + 32 - head(&self->s) > self->s.at.ring) {
				WRITE_ONCE(tx_control(&self->s)->need,
					   self->s.tail + 32 - self->s.at.ring);
				wait_for(self->s.fd, MSGC_OUT, in_ms(1000));
			}
			tx_send(&self->s, round * EACH + i, NULL, 0);
		}
		kid_end(&kid[k], SIGKILL);
		kid[k] = kid_start(worker, &self->chan);
		hear(kid[k].sk);
	}
	score->keep_none = true;
	EXPECT_TRUE(until(head(&self->s) == self->s.tail));
	drained = self->s.tail / 32;
	EXPECT_EQ(ROUNDS * EACH, drained);
	EXPECT_LE((long)score->released, ROUNDS * EACH);
	EXPECT_GT((long)score->released, ROUNDS * EACH - ROUNDS * 64);
	EXPECT_GT((long)score->again, 0);
	for (int i = 0; i < KIDS; i++)
		kid_end(&kid[i], SIGKILL);
	ASSERT_EQ(0, receiver(&self->r, self->chan, 0));
	ASSERT_EQ(0, receiver(&self->r2, self->chan, 0));
}

TEST_HARNESS_MAIN
