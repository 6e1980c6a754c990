// SPDX-License-Identifier: MIT
/*
 * More than 64 senders of a ring: which bits are hot, who clears and who sets them, and that
 * nobody sleeps on what is published beside a clear one.
 */
#include <sys/resource.h>

#include "msgc.h"

#define MANY	200

FIXTURE(many) {
	int chan;
	struct ep rx, tx[MANY];
};

static int create_many(unsigned int senders)
{
	return create_private(CREATE(.max_senders = senders, .ring_max = PAGE));
}

FIXTURE_SETUP(many)
{
	self->chan = create_many(MANY);
	ASSERT_LE(0, self->chan);
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	for (int i = 0; i < MANY; i++)
		ASSERT_EQ(0, ep_sender(&self->tx[i], self->chan));
	rx_sync(&self->rx);
}

FIXTURE_TEARDOWN(many)
{
	for (int i = 0; i < MANY; i++)
		ep_close(&self->tx[i]);
	ep_close(&self->rx);
	close(self->chan);
}

static bool is_hot(const struct ep *e, __u32 n)
{
	return load_acquire(&ep_status(e)->hot[n / 64]) >> n % 64 & 1;
}

static unsigned int n_hot(const struct ep *e)
{
	unsigned int n = 0;

	for (int w = 0; w < MSGC_SENDERS / 64; w++)
		n += __builtin_popcountll(load_acquire(&ep_status(e)->hot[w]));
	return n;
}

static void wish(const struct ep *r, __u32 n)
{
	__u64 *word = &((struct msgc_slots *)r->area[MSGC_OWN])->quiet[n / 64];

	WRITE_ONCE(*word, READ_ONCE(*word) | 1ULL << n % 64);
}

static void wish_all(const struct ep *r, __u64 bits)
{
	for (int w = 0; w < MSGC_SENDERS / 64; w++)
		WRITE_ONCE(((struct msgc_slots *)r->area[MSGC_OWN])->quiet[w], bits);
}

/* A WAIT that hears the wishes and finds nothing, or something. */
static long ask(const struct ep *r)
{
	return wait_for(r->fd, MSGC_IN, MSGC_NOW);
}

static void quiet_all(const struct ep *r)
{
	wish_all(r, ~0ULL);
	ask(r);
	wish_all(r, 0);
}

/* Steps 1 to 3; how many KICKs that was. */
static int send_hot(struct ep *s)
{
	bool armed;

	tx_put(s, 1, "x", 1);
	armed = tx_publish(s);		/* with the barrier, so that the bit is loaded after it */
	if (!armed && is_hot(s, s->at.number))
		return 0;
	kick(s->fd);
	return 1;
}

TEST_F(many, wishes_are_heard_in_wait)
{
	EXPECT_EQ(1, ep_status(&self->rx)->hot_used);
	EXPECT_EQ(MANY, n_hot(&self->rx));
	EXPECT_EQ(-EAGAIN, ask(&self->rx));
	EXPECT_EQ(MANY, n_hot(&self->rx));
	wish(&self->rx, 7);
	wish(&self->rx, 64);
	EXPECT_EQ(MANY, n_hot(&self->rx));
	poll_now(self->rx.fd, POLLIN);		/* no place for wishes */
	EXPECT_EQ(MANY, n_hot(&self->rx));
	EXPECT_EQ(-EAGAIN, ask(&self->rx));
	EXPECT_EQ(MANY - 2, n_hot(&self->rx));
	EXPECT_FALSE(is_hot(&self->rx, 7));
	EXPECT_FALSE(is_hot(&self->rx, 64));
}

TEST_F(many, few_senders_do_without)
{
	int chan = create_many(64);
	struct ep s, r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	ASSERT_EQ(0, ep_sender(&s, chan));
	rx_sync(&r);
	EXPECT_EQ(0, ep_status(&r)->hot_used);
	quiet_all(&r);
	tx_put(&s, 1, "x", 1);
	tx_publish(&s);				/* nobody asks for a KICK, so none */
	EXPECT_EQ(MSGC_IN, ask(&r));
	ep_close(&s);
	ep_close(&r);
	close(chan);
}

TEST_F(many, what_is_not_taken_is_not_quiet)
{
	EXPECT_EQ(0, send_hot(&self->tx[130]));
	wish_all(&self->rx, ~0ULL);
	EXPECT_EQ(MSGC_IN, ask(&self->rx));
	EXPECT_EQ(1, n_hot(&self->rx));
	EXPECT_TRUE(is_hot(&self->rx, 130));
	EXPECT_EQ(1, rx_drain(&self->rx, 130));
	EXPECT_EQ(-EAGAIN, ask(&self->rx));
	EXPECT_EQ(0, n_hot(&self->rx));
}

TEST_F(many, kick_sets_the_bit_and_wakes)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner r;

	quiet_all(&self->rx);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, &w));
	EXPECT_EQ(1, send_hot(&self->tx[199]));
	EXPECT_EQ(MSGC_IN, runner_end(&r));
	EXPECT_EQ(1, n_hot(&self->rx));
	EXPECT_EQ(POLLIN, poll_now(self->rx.fd, POLLIN));
	EXPECT_EQ(1, rx_drain(&self->rx, 199));
	send_hot(&self->tx[199]);		/* poll has armed */
	rx_drain(&self->rx, 199);
	EXPECT_EQ(0, send_hot(&self->tx[199]));	/* a burst is one KICK */
}

/* Not armed, not looked at: poll finds it all the same, once it is kicked. */
TEST_F(many, poll_finds_what_a_kick_set)
{
	quiet_all(&self->rx);
	poll_now(self->rx.fd, POLLIN);
	EXPECT_EQ(1, send_hot(&self->tx[0]));
	EXPECT_EQ(POLLIN, poll_now(self->rx.fd, POLLIN));
}

/* The ring lies there with a clear bit, its sender dies before its KICK. */
TEST_F(many, death_does_what_the_kick_owed)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner r;

	quiet_all(&self->rx);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, &w));
	tx_put(&self->tx[65], 1, "x", 1);
	tx_publish(&self->tx[65]);
	EXPECT_EQ(0, detach(self->tx[65].fd));
	EXPECT_EQ(MSGC_IN, runner_end(&r));
	EXPECT_TRUE(is_hot(&self->rx, 65));
	EXPECT_EQ(1, rx_drain(&self->rx, 65));
	EXPECT_TRUE(until(!is_hot(&self->rx, 65)));	/* drained and reaped */
}

TEST_F(many, a_sender_joins_hot)
{
	struct ep again;

	quiet_all(&self->rx);
	EXPECT_EQ(0, n_hot(&self->rx));
	EXPECT_EQ(0, detach(self->tx[100].fd));
	until(READ_ONCE(rx_line(&self->rx, 100)->state) == MSGC_REVOKED);
	EXPECT_EQ(0, n_hot(&self->rx));
	ASSERT_EQ(0, ep_sender(&again, self->chan));
	EXPECT_EQ(100, again.at.number);
	EXPECT_EQ(1, n_hot(&self->rx));
	EXPECT_TRUE(is_hot(&self->rx, 100));
	ep_close(&again);
}

TEST_F(many, a_receiver_joins_all_hot)
{
	struct ep next;

	quiet_all(&self->rx);
	EXPECT_EQ(0, n_hot(&self->rx));
	EXPECT_EQ(0, detach(self->rx.fd));
	ASSERT_EQ(0, ep_receiver(&next, self->chan));
	EXPECT_EQ(MANY, n_hot(&next));
	ep_close(&next);
}

/* Bits beyond the senders, of nobody, of rings that are not its own, and all of them for ever. */
TEST_F(many, wishes_of_a_liar)
{
	for (__u32 n = 128; n < MANY; n++)
		ep_close(&self->tx[n]);
	until(READ_ONCE(rx_line(&self->rx, MANY - 1)->state) == MSGC_REVOKED);
	wish_all(&self->rx, ~0ULL);
	for (int i = 0; i < 1000; i++)
		ask(&self->rx);
	EXPECT_EQ(0, n_hot(&self->rx));
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(1, send_hot(&self->tx[i])) { TH_LOG("sender %d", i); }
		EXPECT_EQ(MSGC_IN, ask(&self->rx));
		EXPECT_EQ(1, rx_drain(&self->rx, i));
		ask(&self->rx);
	}
	for (__u32 n = 128; n < MANY; n++)
		ASSERT_EQ(0, ep_sender(&self->tx[n], self->chan));
	EXPECT_EQ(MANY - 128, n_hot(&self->rx));
}

/* Whose pair is refused has no say over that sender's ring. */
TEST_F(many, no_wishes_for_refused_pairs)
{
	struct msgc_refuse no = { .peer = self->tx[5].at.id };

	EXPECT_EQ(0, cmd(self->rx.fd, MSGC_REFUSE, &no));
	wish_all(&self->rx, ~0ULL);
	ask(&self->rx);
	EXPECT_EQ(1, n_hot(&self->rx));
	EXPECT_TRUE(is_hot(&self->rx, 5));
}

/* A taken that lies keeps its ring hot, or loses only its own messages. */
TEST_F(many, taken_that_lies)
{
	rx_slot(&self->rx, 3)->taken = 4096;
	wish_all(&self->rx, ~0ULL);
	EXPECT_EQ(MSGC_IN, ask(&self->rx));
	EXPECT_EQ(1, n_hot(&self->rx));
	rx_slot(&self->rx, 3)->taken = 0;
	ask(&self->rx);
	EXPECT_EQ(0, n_hot(&self->rx));
}

/* What the kernel does in more than one piece: figures of all rings, a KICK for all sleepers. */
TEST_F(many, all_sleepers_by_one_kick)
{
	struct msgc_info sum;

	for (int i = 0; i < MANY; i++) {
		struct ep *s = &self->tx[i];

		tx_fill(s);
		tx_publish(s);
		WRITE_ONCE(tx_control(s)->need, PAGE);
		EXPECT_EQ(0, poll_now(s->fd, POLLOUT));
	}
	sum = info(self->chan);
	EXPECT_EQ(MANY, sum.senders);
	EXPECT_EQ(1, sum.receivers);
	EXPECT_EQ(MANY, sum.waiting);
	EXPECT_EQ(MANY * PAGE, sum.depth);
	EXPECT_EQ(MANY * PAGE, sum.capacity);
	for (int i = 0; i < MANY; i++) {
		struct msgc_slot *slot = rx_slot(&self->rx, i);

		EXPECT_NE(NULL, rx_take(&self->rx, i));
		store_release(&slot->head, slot->taken);
	}
	EXPECT_EQ(0, kick(self->rx.fd));
	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(0, READ_ONCE(rx_line(&self->rx, i)->space_at));
	EXPECT_EQ(0, info(self->chan).waiting + info(self->chan).depth);
	EXPECT_EQ(0, peer(self->chan, self->rx.at.id).needless);
}

/* ---- lost wake-ups ---- */

struct race {
	struct ep *tx;
	unsigned int senders, messages;
	volatile unsigned int round, published;
	volatile bool stop;
};

/* The sender waits for nobody: it looks at the receiver's head in its window. */
static __u64 head_seen(const struct ep *s)
{
	struct msgc_slots *slots = (void *)s->area[MSGC_PEER];

	return load_acquire(&slots->slot[s->at.number].head);
}

static void *send_all(void *arg)
{
	struct race *r = arg;

	for (unsigned int i = 0; i < r->messages; i++) {
		struct ep *s = &r->tx[i % r->senders];

		while (s->tail - head_seen(s) > 2048 && !r->stop)
			sched_yield();
		send_hot(s);
		if (i % 7 == 0)
			sched_yield();
	}
	return NULL;
}

/* A receiver that wishes all quiet before each sleep, against publishes at any moment. */
TEST_F(many, quiet_against_publish)
{
	struct race race = { .tx = self->tx, .senders = 70, .messages = 20000 };
	unsigned int taken = 0;
	pthread_t thread;

	wish_all(&self->rx, ~0ULL);
	pthread_create(&thread, NULL, send_all, &race);
	while (taken < race.messages) {
		long ret = wait_for(self->rx.fd, MSGC_IN, in_ms(5000));

		EXPECT_EQ(MSGC_IN, ret) { TH_LOG("after %u messages", taken); }
		if (ret != MSGC_IN)
			break;
		for (__u32 n = 0; n < race.senders; n++)
			if (is_hot(&self->rx, n))
				taken += rx_drain(&self->rx, n);
	}
	race.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(race.messages, taken);
}

/* Publishes, without a KICK, some time after it is told to. */
static void *publish_soon(void *arg)
{
	struct race *r = arg;

	for (unsigned int i = 1; i <= r->messages; i++) {
		while (r->round != i && !r->stop)
			sched_yield();
		for (volatile unsigned int k = 0; k < i % 500; k++)
			;
		tx_put(r->tx, 1, NULL, 0);
		tx_publish(r->tx);
		r->published = i;
	}
	return NULL;
}

/*
 * What is published while WAIT clears the bit: WAIT does what a KICK does then, and it is none of
 * the sender's, whose own KICKs all found somebody armed.
 */
TEST_F_TIMEOUT(many, not_the_senders_kick, 300)
{
	struct race race = { .tx = &self->tx[0], .messages = 2000 };
	struct msgc_peer row;
	pthread_t thread;

	wish_all(&self->rx, ~0ULL);
	pthread_create(&thread, NULL, publish_soon, &race);
	while (race.round < race.messages) {
		for (__u32 n = 0; n < 16; n++) {	/* several are hot: a longer look */
			poll_now(self->rx.fd, POLLIN);
			kick(self->tx[n].fd);
		}
		race.round++;
		ask(&self->rx);
		while (race.published != race.round)
			sched_yield();
		EXPECT_EQ(1, rx_drain(&self->rx, 0));
	}
	pthread_join(thread, NULL);
	row = peer(self->chan, self->tx[0].at.id);
	EXPECT_EQ(race.messages, row.kicks);
	EXPECT_EQ(0, row.needless);
}

/* ---- the most that there can be ---- */

static int fill_share(int sk, void *arg)
{
	int chan = recv_fd(sk), n = *(int *)arg;
	struct msgc_attach at;
	long fd;

	if (become(1000, 1000))
		return 1;
	do {
		at = ATTACH(.role = MSGC_SENDER);
		fd = cmd(chan, MSGC_ATTACH, &at);
	} while (fd >= 0 && ++n);
	tell(sk, n);
	tell(sk, fd);
	hear(sk);
	return 0;
}

FIXTURE(full) {
	int chan, most;
	struct ep r;
};

FIXTURE_SETUP(full)
{
	struct rlimit files = { .rlim_cur = 4096, .rlim_max = 4096 };

	/* Where each attach is slow, as many of them take minutes. */
	self->most = getenv("SLOW") ? 128 : MSGC_SENDERS;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	self->chan = create_many(self->most);
	ASSERT_LE(0, self->chan);
	ASSERT_EQ(0, ep_receiver(&self->r, self->chan));
}

FIXTURE_TEARDOWN(full)
{
	ep_close(&self->r);
	close(self->chan);
}

/* Half of the indices for another user, the rest for the owner; one more is one too many. */
TEST_F_TIMEOUT(full, all_1024, 600)
{
	int fd[MSGC_SENDERS], none_yet = 0, most = self->most, n;
	struct ep *r = &self->r;
	struct msgc_attach at;
	struct kid kid;

	kid = kid_start(fill_share, &none_yet);
	ASSERT_EQ(0, send_fd(kid.sk, self->chan));
	EXPECT_EQ(most / 2, hear(kid.sk));
	EXPECT_EQ(-EDQUOT, hear(kid.sk));
	for (n = 0; n < most; n++) {
		at = ATTACH(.role = MSGC_SENDER);
		fd[n] = cmd(self->chan, MSGC_ATTACH, &at);
		if (fd[n] < 0)
			break;
	}
	EXPECT_EQ(most / 2, n);
	EXPECT_EQ(-EUSERS, fd[n]);
	EXPECT_EQ((__u32)most, ep_status(r)->senders);
	EXPECT_EQ((__u32)most, n_hot(r));
	rx_sync(r);
	wish_all(r, ~0ULL);
	EXPECT_EQ(-EAGAIN, ask(r));
	EXPECT_EQ(0, n_hot(r));
	while (n--)
		close(fd[n]);
	EXPECT_EQ(0, kid_end(&kid, 0));
	EXPECT_TRUE(until(ep_status(r)->senders == 0));
	EXPECT_EQ(MSGC_HUP, wait_for(r->fd, MSGC_IN, in_ms(2000)) & MSGC_HUP);
}

TEST_HARNESS_MAIN
