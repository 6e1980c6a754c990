// SPDX-License-Identifier: MIT
/*
 * Ring channels with several receivers: broadcast, untethered ones, channels where nobody may be
 * tethered, standbys of an exclusive one.
 */
#include "msgc.h"

#define ALICE	1001
/* the payload of half of a two-page ring */
static const char half[PAGE - sizeof(struct msgc_record)];

static struct msgc_wait in_forever = {
	.events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER
};

static struct msgc_wait out_forever = {
	.events = MSGC_OUT, .kick = -1, .deadline = MSGC_FOREVER
};

static long receiver_with(struct ep *r, int chan, __u32 flags)
{
	return ep_attach(r, chan, ATTACH(.role = MSGC_RECEIVER, .flags = flags));
}

/* The result of an attach that nobody keeps. */
static int try_receiver(int chan, __u32 flags)
{
	struct msgc_attach at = ATTACH(.role = MSGC_RECEIVER, .flags = flags);
	int fd = cmd(chan, MSGC_ATTACH, &at);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* A receiver with that number, which somebody had just now: as soon as the reaper has run. */
static bool receiver_at(struct ep *r, int chan, __u32 number)
{
	for (int n = 0; n < 20000; n++) {
		if (!ep_receiver(r, chan) && r->at.number == number)
			return true;
		if (r->fd >= 0)
			ep_close(r);
		usleep(1000);
	}
	return false;
}

/* As a library starts on a broadcast channel, and says that it has seen who is there. */
static void start_now(const struct ep *r, __u32 n)
{
	rx_start(r, n, rx_tail(r, n));
	WRITE_ONCE(ep_own(r)->seen, ep_status(r)->generation);
}

static __u64 low_of(const struct ep *r, __u32 n)
{
	struct msgc_control *c = (void *)(r->area[MSGC_PEER] + n * r->at.area[MSGC_PEER].stride +
					  MSGC_CONTROL_AT(n));

	return load_acquire(&c->low);
}

static __u64 bit(const struct ep *r)
{
	return 1ULL << r->at.number;
}

static __u64 takers(const struct ep *s)
{
	return READ_ONCE(ep_line(s, s->at.id)->receivers);
}

static bool in(const struct ep *r)
{
	return wait_for(r->fd, MSGC_IN, MSGC_NOW) == MSGC_IN;
}

static bool out(const struct ep *s)
{
	return wait_for(s->fd, MSGC_OUT, MSGC_NOW) == MSGC_OUT;
}

static void want(const struct ep *s, __u64 head)
{
	WRITE_ONCE(tx_control(s)->need, head);
}

static __u32 state(const struct ep *seen_by, __u32 id)
{
	struct msgc_line *line = ep_line(seen_by, id);

	return READ_ONCE(line->id) == id ? READ_ONCE(line->state) : (__u32)MSGC_FREE;
}

static __u32 laggard(int chan, const struct ep *s)
{
	return peer(chan, s->at.id).laggard;
}

/* ---- broadcast ---- */

FIXTURE(bcast) {
	int chan;
	struct ep tx, rx[3];
};

FIXTURE_SETUP(bcast)
{
	self->chan = create_private(CREATE(.delivery = MSGC_BROADCAST, .max_senders = 2,
					   .ring_max = 2 * PAGE));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_attach(&self->tx, self->chan, ATTACH(.role = MSGC_SENDER)));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, ep_receiver(&self->rx[i], self->chan));
		rx_start(&self->rx[i], 0, 0);
	}
	for (int i = 0; i < 3; i++)
		WRITE_ONCE(ep_own(&self->rx[i])->seen, ep_status(&self->tx)->generation);
	WRITE_ONCE(tx_control(&self->tx)->seen, ep_status(&self->tx)->generation);
}

FIXTURE_TEARDOWN(bcast)
{
	close(self->chan);
}

TEST_F(bcast, masks)
{
	EXPECT_EQ(MSGC_BROADCAST, info(self->chan).delivery);
	EXPECT_EQ(3, info(self->chan).receivers);
	EXPECT_EQ(7, ep_status(&self->tx)->tethered);
	EXPECT_EQ(7, takers(&self->tx));
	ep_close(&self->rx[1]);
	EXPECT_EQ(5, ep_status(&self->tx)->tethered);
	EXPECT_EQ(5, takers(&self->tx));
	EXPECT_EQ(-EINVAL, try_receiver(self->chan, MSGC_AS_STANDBY));
	EXPECT_EQ(0, try_receiver(self->chan, MSGC_OLDEST | MSGC_STAY));
}

TEST_F(bcast, everybody_gets_it)
{
	struct runner r[3];

	for (int i = 0; i < 3; i++) {
		EXPECT_FALSE(in(&self->rx[i]));
		ASSERT_TRUE(runner_start(&r[i], self->rx[i].fd, MSGC_WAIT, &in_forever));
	}
	tx_put(&self->tx, 7, "x", 1);
	EXPECT_TRUE(tx_publish(&self->tx));
	EXPECT_EQ(7, ep_status(&self->tx)->armed);
	EXPECT_EQ(0, kick(self->tx.fd));
	EXPECT_EQ(0, peer(self->chan, self->tx.at.id).needless);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(MSGC_IN, runner_end(&r[i]));
		EXPECT_EQ(7, rx_take(&self->rx[i], 0)->type);
		EXPECT_FALSE(in(&self->rx[i]));
	}
	EXPECT_EQ(span_of(1), peer(self->chan, self->rx[2].at.id).held_bytes);
	rx_release(&self->rx[2], 0);
	EXPECT_EQ(0, peer(self->chan, self->rx[2].at.id).held_bytes);
	EXPECT_EQ(span_of(1), peer(self->chan, self->rx[1].at.id).held_bytes);
}

/* Only the bits of those that are woken are cleared, and only of the armed ones that take. */
TEST_F(bcast, kick_clears_what_it_wakes)
{
	struct msgc_refuse f = { .peer = self->tx.at.id };

	EXPECT_EQ(0, cmd(self->rx[1].fd, MSGC_REFUSE, &f));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, poll_now(self->rx[i].fd, POLLIN));
	EXPECT_EQ(3, ep_status(&self->tx)->armed);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(2, ep_status(&self->tx)->armed);
	EXPECT_EQ(0, kick(self->tx.fd));
	EXPECT_EQ(1, peer(self->chan, self->tx.at.id).needless);
}

TEST_F(bcast, space_by_the_slowest)
{
	struct runner r;

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	want(&self->tx, PAGE);
	ASSERT_TRUE(runner_start(&r, self->tx.fd, MSGC_WAIT, &out_forever));
	EXPECT_EQ(2, rx_drain(&self->rx[0], 0));
	EXPECT_NE(NULL, rx_take(&self->rx[1], 0));
	rx_release(&self->rx[1], 0);
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_EQ(self->rx[2].at.id, laggard(self->chan, &self->tx));
	EXPECT_EQ(0, peer(self->chan, self->tx.at.id).head);
	EXPECT_EQ(2 * PAGE, info(self->chan).depth);
	EXPECT_NE(NULL, rx_take(&self->rx[2], 0));
	EXPECT_FALSE(r.done);
	rx_release(&self->rx[2], 0);
	EXPECT_EQ(MSGC_OUT, runner_end(&r));
	EXPECT_EQ(PAGE, peer(self->chan, self->tx.at.id).head);
	EXPECT_EQ(self->rx[1].at.id, laggard(self->chan, &self->tx));
	rx_drain(&self->rx[1], 0);
	rx_drain(&self->rx[2], 0);
	EXPECT_EQ(0, laggard(self->chan, &self->tx));
}

/* The laggard goes, in several ways: what it held is free, and who sleeps for it wakes. */
enum { CLOSES, DETACHES, EVICTED, REFUSES, IS_REFUSED, LIES, WAYS };

static void let_go(int chan, struct ep *tx, struct ep *rx, int how)
{
	struct msgc_refuse f = { .peer = how == REFUSES ? tx->at.id : rx->at.id };

	switch (how) {
	case CLOSES:
		ep_close(rx);
		break;
	case DETACHES:
		detach(rx->fd);
		break;
	case EVICTED:
		evict(chan, rx->at.id);
		break;
	case REFUSES:
		cmd(rx->fd, MSGC_REFUSE, &f);
		break;
	case IS_REFUSED:
		cmd(tx->fd, MSGC_REFUSE, &f);
		break;
	case LIES:
		WRITE_ONCE(rx_slot(rx, 0)->head, 1 << 20);
		kick(rx->fd);
		break;
	}
}

TEST_F(bcast, laggard_goes)
{
	struct runner r;

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	rx_drain(&self->rx[0], 0);
	rx_drain(&self->rx[1], 0);
	for (int how = 0; how < WAYS; how++) {
		/* the last of the three each time: its index is used again, and holds again */
		__u32 id = self->rx[2].at.id;

		want(&self->tx, PAGE);
		ASSERT_TRUE(runner_start(&r, self->tx.fd, MSGC_WAIT, &out_forever)) {
			TH_LOG("way %d", how);
		}
		EXPECT_EQ(id, laggard(self->chan, &self->tx));
		let_go(self->chan, &self->tx, &self->rx[2], how);
		EXPECT_EQ(MSGC_OUT, runner_end(&r)) { TH_LOG("way %d", how); }
		EXPECT_EQ(0, takers(&self->tx) & 4) { TH_LOG("way %d", how); }
		EXPECT_EQ(how < REFUSES ? 3 : 7, ep_status(&self->tx)->tethered);
		if (how != CLOSES)
			ep_close(&self->rx[2]);
		ASSERT_TRUE(receiver_at(&self->rx[2], self->chan, 2));
		EXPECT_EQ(7, takers(&self->tx)) { TH_LOG("way %d", how); }
		rx_start(&self->rx[2], 0, 0);
	}
}

/* A refusal is of a pair: the others take, and hold, and the sender waits for them only. */
TEST_F(bcast, one_liar)
{
	WRITE_ONCE(rx_slot(&self->rx[1], 0)->head, 16);
	tx_fill(&self->tx);
	tx_publish(&self->tx);
	want(&self->tx, PAGE);
	EXPECT_FALSE(out(&self->tx));
	EXPECT_EQ(5, takers(&self->tx));
	EXPECT_EQ(7, ep_status(&self->tx)->tethered);
	EXPECT_EQ(1, peer(self->chan, self->tx.at.id).refused);
	EXPECT_EQ(POLLPRI, poll_now(self->rx[0].fd, POLLPRI));
	EXPECT_FALSE(in(&self->rx[1]));
	EXPECT_TRUE(in(&self->rx[0]));
	EXPECT_EQ(2, rx_drain(&self->rx[0], 0));
	EXPECT_FALSE(out(&self->tx));
	EXPECT_EQ(2, rx_drain(&self->rx[2], 0));
	EXPECT_TRUE(out(&self->tx));
}

/* With all of them refused nobody makes space: it must not sleep for ever. */
TEST_F(bcast, all_liars)
{
	tx_fill(&self->tx);
	tx_publish(&self->tx);
	want(&self->tx, PAGE);
	for (int i = 0; i < 3; i++) {
		EXPECT_FALSE(out(&self->tx));
		WRITE_ONCE(rx_slot(&self->rx[i], 0)->head, 3 * PAGE);
	}
	EXPECT_TRUE(out(&self->tx));
	EXPECT_EQ(0, takers(&self->tx));
}

/* A newcomer that has not said where it starts holds everything; saying so is a release. */
TEST_F(bcast, newcomer)
{
	struct runner r;
	struct ep n;

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	for (int i = 0; i < 3; i++)
		rx_drain(&self->rx[i], 0);
	want(&self->tx, PAGE);
	EXPECT_TRUE(out(&self->tx));
	ASSERT_EQ(0, ep_receiver(&n, self->chan));
	EXPECT_TRUE(in(&n));		/* nothing is known of the ring: look */
	ASSERT_TRUE(runner_start(&r, self->tx.fd, MSGC_WAIT, &out_forever));
	EXPECT_EQ(n.at.id, laggard(self->chan, &self->tx));
	start_now(&n, 0);
	EXPECT_EQ(MSGC_OUT, runner_end(&r));
	EXPECT_FALSE(in(&n));
	tx_send(&self->tx, 3, NULL, 0);
	EXPECT_EQ(3, rx_take(&n, 0)->type);
	EXPECT_EQ(NULL, rx_take(&n, 0));
}

/* It may begin behind where the others are: what they released counts for them only. */
TEST_F(bcast, oldest)
{
	struct ep n;

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	for (int i = 0; i < 3; i++)
		rx_drain(&self->rx[i], 0);
	want(&self->tx, PAGE);
	EXPECT_TRUE(out(&self->tx));
	EXPECT_EQ(2 * PAGE, peer(self->chan, self->tx.at.id).head);
	ASSERT_EQ(0, receiver_with(&n, self->chan, MSGC_OLDEST));
	EXPECT_EQ(MSGC_OLDEST, ep_line(&n, n.at.id)->flags);
	rx_start(&n, 0, low_of(&n, 0));
	EXPECT_FALSE(out(&self->tx));
	EXPECT_EQ(15, takers(&self->tx));
	EXPECT_NE(NULL, rx_take(&n, 0));
	EXPECT_FALSE(out(&self->tx));
	rx_release(&n, 0);
	EXPECT_TRUE(out(&self->tx));
	EXPECT_EQ(1, rx_drain(&n, 0));
}

TEST_F(bcast, joins_overlap)
{
	struct ep a, b;

	tx_put(&self->tx, 1, half, sizeof(half));
	tx_publish(&self->tx);
	for (int i = 0; i < 3; i++)
		rx_drain(&self->rx[i], 0);
	want(&self->tx, PAGE);
	ASSERT_EQ(0, receiver_with(&a, self->chan, MSGC_OLDEST));
	ASSERT_EQ(0, receiver_with(&b, self->chan, MSGC_OLDEST));
	rx_start(&b, 0, 0);
	rx_drain(&b, 0);
	EXPECT_FALSE(out(&self->tx));		/* a */
	rx_start(&a, 0, 0);
	EXPECT_FALSE(out(&self->tx));
	ep_close(&b);
	EXPECT_FALSE(out(&self->tx));
	EXPECT_EQ(1, rx_drain(&a, 0));
	EXPECT_TRUE(out(&self->tx));
}

/* The last one leaves: what it released is free, the rest waits for whoever comes. */
TEST_F(bcast, nobody_left)
{
	struct ep n;

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	rx_drain(&self->rx[0], 0);
	rx_take(&self->rx[1], 0);
	rx_release(&self->rx[1], 0);
	rx_take(&self->rx[1], 0);
	ep_close(&self->rx[2]);
	ep_close(&self->rx[0]);
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->head);
	ep_close(&self->rx[1]);
	EXPECT_EQ(0, ep_status(&self->tx)->tethered);
	EXPECT_EQ(0, takers(&self->tx));
	EXPECT_EQ(PAGE, ep_line(&self->tx, self->tx.at.id)->head);
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->redo);
	want(&self->tx, PAGE);
	EXPECT_TRUE(out(&self->tx));
	want(&self->tx, 2 * PAGE);
	EXPECT_FALSE(out(&self->tx));
	/* before the newcomer can have looked at `low`, nothing may be free */
	ASSERT_EQ(0, receiver_with(&n, self->chan, MSGC_OLDEST));
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->head);
	want(&self->tx, PAGE);
	EXPECT_FALSE(out(&self->tx));
	/* as it came, so it goes */
	ep_close(&n);
	EXPECT_EQ(PAGE, ep_line(&self->tx, self->tx.at.id)->head);
}

/* The last one's word, within bounds. */
TEST_F(bcast, last_words)
{
	const struct {
		__u64 head, left;
	} cases[] = { { PAGE + 16, PAGE }, { 0, PAGE }, { ~0ULL, PAGE + 32 } };
	struct ep *last = &self->rx[0];
	unsigned int i;

	ep_close(&self->rx[2]);
	ep_close(&self->rx[1]);
	tx_put(&self->tx, 1, half, sizeof(half));
	tx_put(&self->tx, 1, NULL, 0);
	tx_publish(&self->tx);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		rx_start(last, 0, PAGE);
		EXPECT_EQ(PAGE, peer(self->chan, self->tx.at.id).head);
		WRITE_ONCE(rx_slot(last, 0)->head, cases[i].head);
		ep_close(last);
		EXPECT_EQ(cases[i].left, ep_line(&self->tx, self->tx.at.id)->head) {
			TH_LOG("case %u", i);
		}
		ASSERT_EQ(0, ep_receiver(last, self->chan));
	}
}

/* What a dead sender left stays until everybody has it, or has gone. */
TEST_F(bcast, dead_ring)
{
	__u32 id = self->tx.at.id;

	tx_send(&self->tx, 1, "x", 1);
	ep_close(&self->tx);
	for (int i = 0; i < 3; i++)
		WRITE_ONCE(ep_own(&self->rx[i])->seen, ep_status(&self->rx[0])->generation);
	EXPECT_EQ(1, rx_drain(&self->rx[0], 0));
	EXPECT_EQ(POLLHUP, poll_now(self->rx[0].fd, POLLIN));
	EXPECT_EQ(POLLIN, poll_now(self->rx[1].fd, POLLIN));
	EXPECT_EQ(1, rx_drain(&self->rx[1], 0));
	usleep(20000);
	EXPECT_EQ(MSGC_LEFT, state(&self->rx[0], id));
	EXPECT_EQ(1, rx_drain(&self->rx[2], 0));
	EXPECT_TRUE(until(state(&self->rx[0], id) == MSGC_REVOKED));
}

TEST_F(bcast, dead_ring_and_the_laggard_goes)
{
	for (int how = 0; how < WAYS; how++) {
		struct ep tx;
		__u32 n;

		if (how == IS_REFUSED)
			continue;
		ASSERT_EQ(0, ep_attach(&tx, self->chan, ATTACH(.role = MSGC_SENDER)));
		n = tx.at.number;
		for (int i = 0; i < 3; i++)
			rx_start(&self->rx[i], n, 0);
		tx_send(&tx, 1, "x", 1);
		detach(tx.fd);
		rx_drain(&self->rx[0], n);
		rx_drain(&self->rx[1], n);
		usleep(5000);
		EXPECT_EQ(MSGC_LEFT, state(&self->rx[0], tx.at.id)) { TH_LOG("way %d", how); }
		if (how == LIES) {
			WRITE_ONCE(rx_slot(&self->rx[2], n)->head, 1 << 20);
			kick(self->rx[2].fd);
		} else {
			let_go(self->chan, &tx, &self->rx[2], how);
		}
		EXPECT_TRUE(until(state(&self->rx[0], tx.at.id) == MSGC_REVOKED)) {
			TH_LOG("way %d", how);
		}
		if (how != CLOSES)
			ep_close(&self->rx[2]);
		ep_close(&tx);
		ASSERT_TRUE(receiver_at(&self->rx[2], self->chan, 2));
	}
}

/* With nobody there it waits for the first who comes, also if that one starts at its end. */
TEST_F(bcast, dead_ring_for_nobody)
{
	struct ep n;

	for (int i = 0; i < 3; i++)
		ep_close(&self->rx[i]);
	tx_send(&self->tx, 1, "x", 1);
	detach(self->tx.fd);
	usleep(5000);
	EXPECT_EQ(MSGC_LEFT, state(&self->tx, self->tx.at.id));
	ASSERT_EQ(0, ep_receiver(&n, self->chan));
	EXPECT_TRUE(in(&n));
	rx_start(&n, 0, ep_line(&n, self->tx.at.id)->end);
	EXPECT_TRUE(until(state(&n, self->tx.at.id) == MSGC_REVOKED));
	EXPECT_EQ(MSGC_HUP, wait_for(n.fd, MSGC_IN, MSGC_NOW));
}

/* Indices up to the last one, and no further; one KICK reaches all, the slowest holds. */
TEST(sixty_four)
{
	int chan = create_private(CREATE(.delivery = MSGC_BROADCAST, .max_receivers = 64,
					 .max_senders = 1, .ring_max = PAGE));
	static struct ep rx[64];
	struct ep tx;

	ASSERT_EQ(0, ep_attach(&tx, chan, ATTACH(.role = MSGC_SENDER)));
	for (__u32 i = 0; i < 64; i++) {
		ASSERT_EQ(0, receiver_with(&rx[i], chan, i % 3 ? 0 : MSGC_UNTETHERED));
		EXPECT_EQ(i, rx[i].at.number);
	}
	EXPECT_EQ(-EUSERS, try_receiver(chan, 0));
	EXPECT_EQ(-EUSERS, try_receiver(chan, MSGC_UNTETHERED));
	EXPECT_EQ(~0ULL, takers(&tx));
	EXPECT_EQ(0x6db6db6db6db6db6ULL, ep_status(&tx)->tethered);
	for (int i = 0; i < 64; i++)
		start_now(&rx[i], 0);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(0, poll_now(rx[i].fd, POLLIN));
	EXPECT_EQ(~0ULL, ep_status(&tx)->armed);
	tx_send(&tx, 1, "x", 1);
	EXPECT_EQ(0, ep_status(&tx)->armed);
	want(&tx, tx.tail);
	for (int i = 63; i >= 0; i--) {
		EXPECT_EQ(POLLIN, poll_now(rx[i].fd, POLLIN));
		EXPECT_EQ(i < 1, out(&tx)) { TH_LOG("receiver %d", i); }
		EXPECT_EQ(1, rx_drain(&rx[i], 0));
	}
	/* a place in the middle: the newcomer's */
	ep_close(&rx[30]);
	EXPECT_EQ(~(1ULL << 30), takers(&tx));
	ASSERT_TRUE(until(!receiver_with(&rx[30], chan, 0)));
	EXPECT_EQ(30, rx[30].at.number);
	EXPECT_EQ(~0ULL, takers(&tx));
	EXPECT_EQ(0x6db6db6db6db6db6ULL | 1ULL << 30, ep_status(&tx)->tethered);
	close(chan);
}

/* ---- untethered ---- */

FIXTURE(tap) {
	int chan;
	struct ep tx, rx, tap;
};

FIXTURE_VARIANT(tap) {
	__u32 delivery;
};

FIXTURE_VARIANT_ADD(tap, exclusive) {
	.delivery = MSGC_EXCLUSIVE
};

FIXTURE_VARIANT_ADD(tap, broadcast) {
	.delivery = MSGC_BROADCAST
};

FIXTURE_SETUP(tap)
{
	self->chan = create_private(CREATE(.delivery = variant->delivery, .max_senders = 2,
					   .ring_max = 2 * PAGE));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_attach(&self->tx, self->chan, ATTACH(.role = MSGC_SENDER)));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, receiver_with(&self->tap, self->chan, MSGC_UNTETHERED));
	rx_start(&self->rx, 0, 0);
	start_now(&self->tap, 0);
}

FIXTURE_TEARDOWN(tap)
{
	close(self->chan);
}

TEST_F(tap, masks)
{
	struct ep second;

	EXPECT_EQ(1, ep_status(&self->tx)->tethered);
	EXPECT_EQ(3, takers(&self->tx));
	EXPECT_EQ(MSGC_UNTETHERED, ep_line(&self->tx, self->tap.at.id)->flags);
	EXPECT_EQ(MSGC_LIVE, state(&self->tx, self->tap.at.id));
	EXPECT_EQ(2, info(self->chan).receivers);
	ASSERT_EQ(0, ep_attach(&second, self->chan, ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(3, takers(&second));
	ep_close(&self->tap);
	EXPECT_EQ(1, takers(&self->tx));
	EXPECT_EQ(1, ep_status(&self->tx)->tethered);
	/* no seat of its own, and it takes nobody's */
	ep_close(&self->rx);
	ASSERT_EQ(0, receiver_with(&self->tap, self->chan, MSGC_UNTETHERED));
	EXPECT_EQ(0, ep_status(&self->tx)->tethered);
	EXPECT_EQ(0, ep_receiver(&self->rx, self->chan));
}

/* Readable by its own `taken`, and armed as everybody. */
TEST_F(tap, readable)
{
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->tap.fd, MSGC_WAIT, &in_forever));
	EXPECT_EQ(bit(&self->tap), ep_status(&self->tx)->armed);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
	EXPECT_EQ(1, rx_drain(&self->rx, 0));
	EXPECT_FALSE(in(&self->rx));
	EXPECT_TRUE(in(&self->tap));
	WRITE_ONCE(rx_slot(&self->tap, 0)->taken, rx_tail(&self->tap, 0));
	EXPECT_FALSE(in(&self->tap));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_TRUE(in(&self->tap));
	EXPECT_TRUE(in(&self->rx));
}

/* Wherever it stands, nobody waits for it, and no head of its is wrong. */
TEST_F(tap, holds_nothing)
{
	struct ep late;

	ASSERT_EQ(0, receiver_with(&late, self->chan, MSGC_UNTETHERED));
	tx_fill(&self->tx);
	tx_publish(&self->tx);
	want(&self->tx, 2 * PAGE);
	EXPECT_FALSE(out(&self->tx));
	WRITE_ONCE(rx_slot(&self->tap, 0)->taken, PAGE);
	WRITE_ONCE(rx_slot(&self->tap, 0)->head, 17);
	EXPECT_EQ(self->rx.at.id, laggard(self->chan, &self->tx));
	EXPECT_EQ(0, peer(self->chan, self->tap.at.id).held_bytes);
	EXPECT_EQ(2, rx_drain(&self->rx, 0));
	EXPECT_TRUE(out(&self->tx));
	EXPECT_EQ(0, laggard(self->chan, &self->tx));
	EXPECT_EQ(0, peer(self->chan, self->tx.at.id).refused);
	EXPECT_EQ(7, takers(&self->tx));
	/* what a dead sender left goes without it, too */
	detach(self->tx.fd);
	EXPECT_TRUE(until(state(&self->tap, self->tx.at.id) == MSGC_REVOKED));
}

/* Nor does it stand in for a receiver: without one the ring is full when it is full. */
TEST_F(tap, is_no_receiver)
{
	ep_close(&self->rx);
	tx_fill(&self->tx);
	tx_publish(&self->tx);
	WRITE_ONCE(rx_slot(&self->tap, 0)->taken, 2 * PAGE);
	WRITE_ONCE(rx_slot(&self->tap, 0)->head, 2 * PAGE);
	want(&self->tx, PAGE);
	EXPECT_FALSE(out(&self->tx));
	/* and leaves nothing to a successor */
	ep_close(&self->tap);
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->head);
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->redo);
	EXPECT_FALSE(out(&self->tx));
}

TEST_F(tap, refused)
{
	struct msgc_refuse f = { .peer = self->tx.at.id };

	EXPECT_EQ(0, cmd(self->tap.fd, MSGC_REFUSE, &f));
	EXPECT_EQ(1, takers(&self->tx));
	EXPECT_EQ(1, ep_status(&self->tx)->tethered);
	tx_send(&self->tx, 1, "x", 1);
	want(&self->tx, self->tx.tail);
	EXPECT_FALSE(in(&self->tap));
	EXPECT_FALSE(out(&self->tx));
}

TEST_F(tap, end_of_stream)
{
	tx_send(&self->tx, 1, "x", 1);
	detach(self->tx.fd);
	WRITE_ONCE(ep_own(&self->tap)->seen, ep_status(&self->tap)->generation);
	EXPECT_EQ(POLLIN, poll_now(self->tap.fd, POLLIN));
	WRITE_ONCE(rx_slot(&self->tap, 0)->taken, rx_tail(&self->tap, 0));
	EXPECT_EQ(POLLHUP, poll_now(self->tap.fd, POLLIN));
	/* taken away before it looked: then there is no more for it, either */
	WRITE_ONCE(rx_slot(&self->tap, 0)->taken, 0);
	rx_drain(&self->rx, 0);
	EXPECT_TRUE(until(state(&self->tap, self->tx.at.id) == MSGC_REVOKED));
	EXPECT_EQ(MSGC_HUP, wait_for(self->tap.fd, MSGC_IN, MSGC_NOW));
}

/* Its claim, for people. */
TEST_F(tap, missed)
{
	EXPECT_EQ(0, info(self->chan).missed);
	WRITE_ONCE(ep_own(&self->tap)->missed, 5);
	WRITE_ONCE(ep_own(&self->rx)->missed, 2);
	EXPECT_EQ(7, info(self->chan).missed);
	EXPECT_EQ(0, info(self->chan).lost);
	EXPECT_EQ(5, peer(self->chan, self->tap.at.id).lost);
	EXPECT_EQ(2, peer(self->chan, self->rx.at.id).lost);
}

/* It reads as others do, and needs the right for it; of a role's places it takes one. */
static int taps_as_alice(int sk, void *p)
{
	struct msgc_attach at = ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_UNTETHERED);
	int dev = device(), chan, n = 0;

	if (become(ALICE, ALICE))
		return 1;
	chan = open_name(dev, p, MSGC_WRITE);
	tell(sk, chan < 0 ? chan : try_receiver(chan, MSGC_UNTETHERED));
	chan = open_name(dev, p, MSGC_READ);
	while (cmd(chan, MSGC_ATTACH, &at) >= 0)
		n++;
	tell(sk, n);
	tell(sk, cmd(chan, MSGC_ATTACH, &at));
	return 0;
}

TEST(rights_of_an_untethered)
{
	int dev = device(),
	    chan = create(dev, CREATE(.name = "taps", .perm = 0606, .max_receivers = 7));
	struct kid k;

	ASSERT_GE(chan, 0);
	k = kid_start(taps_as_alice, "taps");
	EXPECT_EQ(-EACCES, hear(k.sk));
	EXPECT_EQ(4, hear(k.sk));
	EXPECT_EQ(-EDQUOT, hear(k.sk));
	EXPECT_EQ(0, kid_end(&k, 0));
	close(chan);
	close(dev);
}

/* ---- nobody tethered: the oldest is overwritten ---- */

FIXTURE(over) {
	int chan;
	struct ep rx, a, b;
};

FIXTURE_SETUP(over)
{
	self->chan = create_private(CREATE(.flags = MSGC_UNTETHERED_ONLY, .delivery = 0,
					   .max_senders = 2, .ring_max = 2 * PAGE));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, receiver_with(&self->rx, self->chan, MSGC_UNTETHERED));
	ASSERT_EQ(0, ep_attach(&self->a, self->chan, ATTACH(.role = MSGC_SENDER)));
	ASSERT_EQ(0, ep_attach(&self->b, self->chan, ATTACH(.role = MSGC_SENDER)));
}

FIXTURE_TEARDOWN(over)
{
	close(self->chan);
}

TEST_F(over, what_it_is)
{
	EXPECT_EQ(MSGC_BROADCAST, info(self->chan).delivery);
	EXPECT_EQ(MSGC_UNTETHERED_ONLY, info(self->chan).flags);
	EXPECT_EQ(MSGC_UNTETHERED_ONLY, ep_status(&self->rx)->flags);
	EXPECT_EQ(-EINVAL, try_receiver(self->chan, 0));
	EXPECT_EQ(-EINVAL, try_receiver(self->chan, MSGC_OLDEST));
	EXPECT_EQ(-EINVAL, try_receiver(self->chan, MSGC_AS_STANDBY));
	EXPECT_EQ(0, try_receiver(self->chan, MSGC_UNTETHERED | MSGC_OLDEST));
	EXPECT_EQ(0, ep_status(&self->rx)->tethered);
	EXPECT_EQ(1, takers(&self->a));
}

TEST_F(over, always_writable)
{
	tx_fill(&self->a);
	tx_publish(&self->a);
	want(&self->a, 1ULL << 40);
	EXPECT_TRUE(out(&self->a));
	EXPECT_EQ(POLLOUT, poll_now(self->a.fd, POLLOUT));
	tx_fill(&self->a);
	WRITE_ONCE(tx_control(&self->a)->low, 2 * PAGE);
	tx_send(&self->a, 1, NULL, 0);
	EXPECT_TRUE(in(&self->rx));
	rx_start(&self->rx, 0, 3 * PAGE);
	rx_start(&self->rx, 1, 0);
	EXPECT_TRUE(in(&self->rx));
	rx_start(&self->rx, 0, self->a.tail);
	EXPECT_FALSE(in(&self->rx));
}

/* No head tells where a dead one stood: its tail is believed as far as its ring goes. */
TEST_F(over, end)
{
	const struct {
		__u64 low, tail, end;
	} cases[] = {
		{ PAGE, 2 * PAGE, 2 * PAGE },
		{ 7 * PAGE, 9 * PAGE + 32, 9 * PAGE },
		{ 7 * PAGE, 8 * PAGE + 17, 8 * PAGE },
		{ 0, 1ULL << 50, 2 * PAGE },
		{ 1ULL << 50, PAGE, PAGE },
		{ 7 * PAGE + 1, 8 * PAGE, 2 * PAGE },
		{ ~0ULL, ~0ULL, 2 * PAGE },
		{ ~31ULL, ~31ULL, ~31ULL },
		{ ~31ULL - PAGE, ~0ULL, ~31ULL },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ep s;

		ep_close(&self->b);
		ASSERT_TRUE(until(!ep_attach(&s, self->chan, ATTACH(.role = MSGC_SENDER))));
		WRITE_ONCE(tx_control(&s)->low, cases[i].low);
		WRITE_ONCE(tx_tail(&s)->tail, cases[i].tail);
		detach(s.fd);
		EXPECT_EQ(cases[i].end, ep_line(&self->rx, s.at.id)->end) {
			TH_LOG("case %u", i);
		}
		evict(self->chan, s.at.id);
		self->b = s;
	}
}

/* What the dead left stays for whoever comes, until an index is needed: then the oldest goes. */
TEST_F(over, index_needed)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);
	struct ep late, c, d;

	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &at));
	tx_send(&self->a, 1, "x", 1);
	tx_send(&self->b, 2, "x", 1);
	detach(self->b.fd);
	detach(self->a.fd);
	usleep(20000);
	EXPECT_EQ(MSGC_LEFT, state(&self->rx, self->a.at.id));
	EXPECT_EQ(MSGC_LEFT, state(&self->rx, self->b.at.id));
	ASSERT_EQ(0, receiver_with(&late, self->chan, MSGC_UNTETHERED | MSGC_OLDEST));
	EXPECT_TRUE(in(&late));
	rx_start(&late, 0, low_of(&late, 0));
	rx_start(&late, 1, low_of(&late, 1));
	EXPECT_EQ(1, rx_take(&late, 0)->type);
	EXPECT_EQ(2, rx_take(&late, 1)->type);
	EXPECT_EQ(MSGC_HUP, wait_for(late.fd, MSGC_IN, MSGC_NOW));

	ASSERT_EQ(0, ep_attach(&c, self->chan, ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(self->b.at.number, c.at.number);
	EXPECT_NE(self->b.at.id, c.at.id);
	EXPECT_EQ(MSGC_LIVE, state(&self->rx, c.at.id));
	EXPECT_EQ(MSGC_LEFT, state(&self->rx, self->a.at.id));
	EXPECT_EQ(0, rx_tail(&late, c.at.number));
	ASSERT_EQ(0, ep_attach(&d, self->chan, ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(self->a.at.number, d.at.number);
	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &at));
	EXPECT_EQ(MSGC_LIVE, state(&self->rx, c.at.id));
}

/* With nothing in it, it is not kept. */
TEST_F(over, empty)
{
	detach(self->a.fd);
	EXPECT_TRUE(until(state(&self->rx, self->a.at.id) == MSGC_REVOKED));
}

/* On other channels what the dead left belongs to the receiver that will come. */
TEST(kept_where_tethered)
{
	int chan = create_private(CREATE(.delivery = MSGC_BROADCAST, .max_senders = 1));
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, chan));
	tx_send(&s, 1, "x", 1);
	detach(s.fd);
	EXPECT_EQ(-EUSERS, cmd(chan, MSGC_ATTACH, &at));
	EXPECT_EQ(MSGC_LEFT, state(&s, s.at.id));
	close(chan);
}

/* One user's share: what he left goes for him, a moment later, and nobody else's. */
static int share_as_alice(int sk, void *p)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = PAGE), again = at;
	int dev = device(), chan, n;
	struct ep s;

	if (become(ALICE, ALICE))
		return 1;
	chan = open_name(dev, p, MSGC_WRITE);
	for (n = 0; n < 2; n++) {
		if (ep_attach(&s, chan, at))
			return 2;
		tx_send(&s, 1, "x", 1);
		tell(sk, s.at.id);
		ep_close(&s);
	}
	tell(sk, cmd(chan, MSGC_ATTACH, &again));
	usleep(120000);
	tell(sk, ep_attach(&s, chan, at));
	hear(sk);
	return 0;
}

TEST(share_of_an_untethered_only)
{
	int dev = device(),
	    chan = create(dev, CREATE(.name = "share", .perm = 0602, .delivery = 0,
				      .flags = MSGC_UNTETHERED_ONLY, .max_senders = 4));
	struct ep rx, mine;
	struct kid k;
	int id[2];

	ASSERT_GE(chan, 0);
	ASSERT_EQ(0, receiver_with(&rx, chan, MSGC_UNTETHERED));
	ASSERT_EQ(0, ep_sender(&mine, chan));
	tx_send(&mine, 1, "x", 1);
	detach(mine.fd);
	k = kid_start(share_as_alice, "share");
	id[0] = hear(k.sk);
	id[1] = hear(k.sk);
	EXPECT_EQ(-EDQUOT, hear(k.sk));
	EXPECT_EQ(0, hear(k.sk));
	EXPECT_NE(MSGC_LEFT, state(&rx, id[0]));
	EXPECT_EQ(MSGC_LEFT, state(&rx, id[1]));
	EXPECT_EQ(MSGC_LEFT, state(&rx, mine.at.id));
	tell(k.sk, 1);
	EXPECT_EQ(0, kid_end(&k, 0));
	close(chan);
	close(dev);
}

/* ---- standbys ---- */

FIXTURE(standby) {
	int chan;
	struct ep tx, rx, next;
};

FIXTURE_SETUP(standby)
{
	self->chan = create_private(CREATE(.max_senders = 2, .ring_max = 2 * PAGE));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_attach(&self->tx, self->chan, ATTACH(.role = MSGC_SENDER)));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	rx_sync(&self->rx);
	ASSERT_EQ(0, receiver_with(&self->next, self->chan, MSGC_AS_STANDBY));
	WRITE_ONCE(ep_own(&self->next)->seen, ep_status(&self->next)->generation);
}

FIXTURE_TEARDOWN(standby)
{
	close(self->chan);
}

TEST_F(standby, waits)
{
	EXPECT_EQ(-EBUSY, try_receiver(self->chan, 0));
	EXPECT_EQ(-EBUSY, try_receiver(self->chan, MSGC_OLDEST));
	EXPECT_EQ(MSGC_STANDBY, state(&self->tx, self->next.at.id));
	EXPECT_EQ(MSGC_STANDBY, peer(self->chan, self->next.at.id).state);
	EXPECT_EQ(bit(&self->rx), ep_status(&self->tx)->tethered);
	EXPECT_EQ(bit(&self->rx), takers(&self->tx));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(0, poll_now(self->next.fd, POLLIN));
	EXPECT_EQ(-EAGAIN, wait_for(self->next.fd, MSGC_IN, MSGC_NOW));
	rx_drain(&self->rx, 0);
	ep_close(&self->tx);
	WRITE_ONCE(ep_own(&self->next)->seen, ep_status(&self->next)->generation);
	EXPECT_EQ(POLLHUP, poll_ms(self->rx.fd, POLLIN, 1000) & POLLHUP);
	EXPECT_EQ(0, poll_now(self->next.fd, POLLIN) & ~POLLPRI);
}

/* It is woken, told, and starts where the first one's release ended, knowing what that one saw. */
TEST_F(standby, promoted)
{
	struct msgc_line *line = ep_line(&self->next, self->tx.at.id);
	__u64 one = span_of(1);
	struct runner r;

	for (int n = 0; n < 3; n++)
		tx_send(&self->tx, n, "x", 1);
	rx_take(&self->rx, 0);
	rx_release(&self->rx, 0);
	rx_take(&self->rx, 0);
	ASSERT_TRUE(runner_start(&r, self->next.fd, MSGC_WAIT, &in_forever));
	ep_close(&self->rx);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
	EXPECT_EQ(POLLPRI, poll_now(self->next.fd, POLLPRI));
	EXPECT_EQ(MSGC_LIVE, state(&self->tx, self->next.at.id));
	EXPECT_EQ(bit(&self->next), ep_status(&self->tx)->tethered);
	EXPECT_EQ(bit(&self->next), takers(&self->tx));
	EXPECT_EQ(one, line->head);
	EXPECT_EQ(2 * one, line->redo);
	EXPECT_EQ(1, line->attempts);
	EXPECT_EQ(1, rx_take(&self->next, 0)->type);
	EXPECT_EQ(2, rx_take(&self->next, 0)->type);
	EXPECT_EQ(NULL, rx_take(&self->next, 0));
	EXPECT_EQ(-EBUSY, try_receiver(self->chan, 0));
	/* there was a sender, it leaves: the end, for this one, too */
	rx_release(&self->next, 0);
	ep_close(&self->tx);
	EXPECT_EQ(POLLHUP, poll_ms(self->next.fd, POLLIN, 1000) & POLLHUP);
}

/* Evicted, detached, gone: whoever came first follows. */
TEST_F(standby, in_order)
{
	struct ep third, fourth;

	ASSERT_EQ(0, receiver_with(&third, self->chan, MSGC_AS_STANDBY));
	detach(self->next.fd);
	/* a lower index, but later */
	ASSERT_EQ(0, receiver_with(&fourth, self->chan, MSGC_AS_STANDBY | MSGC_STAY));
	EXPECT_EQ(0, evict(self->chan, self->rx.at.id));
	EXPECT_EQ(MSGC_LIVE, state(&self->tx, third.at.id));
	EXPECT_EQ(MSGC_STANDBY, state(&self->tx, fourth.at.id));
	EXPECT_EQ(bit(&third), ep_status(&self->tx)->tethered);
	detach(third.fd);
	EXPECT_EQ(MSGC_LIVE, state(&self->tx, fourth.at.id));
	EXPECT_EQ(bit(&fourth), ep_status(&self->tx)->tethered);
	detach(fourth.fd);
	EXPECT_EQ(0, ep_status(&self->tx)->tethered);
	EXPECT_EQ(0, takers(&self->tx));
	EXPECT_EQ(0, try_receiver(self->chan, 0));
}

TEST_F(standby, free_seat)
{
	struct ep r;

	detach(self->next.fd);
	detach(self->rx.fd);
	ASSERT_EQ(0, receiver_with(&r, self->chan, MSGC_AS_STANDBY));
	EXPECT_EQ(MSGC_LIVE, state(&self->tx, r.at.id));
	EXPECT_EQ(bit(&r), ep_status(&self->tx)->tethered);
	EXPECT_EQ(-EBUSY, try_receiver(self->chan, 0));
}

/* Nothing that it wrote counts before its time, nor when it goes before. */
TEST_F(standby, writes_too_early)
{
	struct msgc_line *line = ep_line(&self->tx, self->tx.at.id);

	tx_fill(&self->tx);
	tx_publish(&self->tx);
	rx_start(&self->next, 0, 2 * PAGE);
	want(&self->tx, PAGE);
	EXPECT_FALSE(out(&self->tx));
	EXPECT_EQ(self->rx.at.id, laggard(self->chan, &self->tx));
	EXPECT_EQ(0, peer(self->chan, self->next.at.id).held_bytes);
	kick(self->next.fd);
	EXPECT_FALSE(out(&self->tx));
	ep_close(&self->next);
	EXPECT_EQ(0, line->head);
	EXPECT_EQ(0, line->redo);
	EXPECT_EQ(0, line->attempts);
	EXPECT_EQ(bit(&self->rx), takers(&self->tx));
	EXPECT_FALSE(out(&self->tx));
}

/* A refusal lasts: the promoted one does not take from that sender. */
TEST_F(standby, refused)
{
	struct msgc_refuse f = { .peer = self->next.at.id };

	EXPECT_EQ(0, cmd(self->tx.fd, MSGC_REFUSE, &f));
	EXPECT_EQ(bit(&self->rx), takers(&self->tx));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_TRUE(in(&self->rx));
	ep_close(&self->rx);
	EXPECT_EQ(bit(&self->next), ep_status(&self->tx)->tethered);
	EXPECT_EQ(0, takers(&self->tx));
	EXPECT_FALSE(in(&self->next));
	want(&self->tx, self->tx.tail);
	EXPECT_TRUE(out(&self->tx));		/* reserve says EPROTO */
	/* the next owner of the index begins anew */
	ep_close(&self->next);
	ASSERT_TRUE(receiver_at(&self->rx, self->chan, self->next.at.number));
	EXPECT_EQ(bit(&self->rx), takers(&self->tx));
}

/* An attach that fails last of all must not leave a standby waiting for it. */
static void *attach_in_vain(void *p)
{
	struct msgc_attach *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*at = ATTACH(.role = MSGC_RECEIVER);
	mprotect(at, PAGE, PROT_READ);
	for (int n = 0; n < 300; n++) {
		long ret = cmd(*(int *)p, MSGC_ATTACH, at);

		if (ret != -EFAULT && ret != -EBUSY && ret != -EUSERS)
			return (void *)ret;
	}
	return NULL;
}

TEST(standby_of_a_failure)
{
	int chan = create_private(CREATE(.max_receivers = 8, .max_senders = 1));
	void *ret = NULL;
	pthread_t t;
	struct ep r;

	ASSERT_EQ(0, pthread_create(&t, NULL, attach_in_vain, &chan));
	for (int n = 0; n < 300; n++) {
		if (receiver_with(&r, chan, MSGC_AS_STANDBY))
			continue;
		EXPECT_TRUE(until(state(&r, r.at.id) == MSGC_LIVE)) { TH_LOG("round %d", n); }
		EXPECT_TRUE(until(READ_ONCE(ep_status(&r)->tethered) == bit(&r)));
		ep_close(&r);
	}
	pthread_join(t, &ret);
	EXPECT_EQ(NULL, ret);
	close(chan);
}

TEST_HARNESS_MAIN
