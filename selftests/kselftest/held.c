// SPDX-License-Identifier: MIT
/* Who holds what, and who waits for whom: PEERS rows of kind WAIT. */
#include "msgc.h"

#define ALICE	1000
#define MANY	16

static long held_rows(int fd, struct msgc_wait_row *row, unsigned int max)
{
	__u64 cursor = 0;

	memset(row, SENTINEL, max * sizeof(*row));
	return rows(fd, MSGC_PEERS, MSGC_ROW_WAIT, row, sizeof(*row), max, &cursor);
}

/* ---- ring ---- */

FIXTURE(ring) {
	int chan;
	struct ep r, s;
};

FIXTURE_SETUP(ring)
{
	self->chan = create_private(CREATE());
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_receiver(&self->r, self->chan));
	ASSERT_EQ(0, ep_sender(&self->s, self->chan));
	for (int i = 0; i < 3; i++)
		tx_send(&self->s, i, "1234", 4);
}

FIXTURE_TEARDOWN(ring)
{
	ep_close(&self->s);
	ep_close(&self->r);
	close(self->chan);
}

TEST_F(ring, what_is_taken_and_not_released_is_held)
{
	struct msgc_wait_row row[MANY];

	EXPECT_EQ(0, held_rows(self->chan, row, MANY));
	ASSERT_NE(NULL, rx_take(&self->r, 0));
	rx_release(&self->r, 0);
	EXPECT_EQ(0, held_rows(self->chan, row, MANY));
	ASSERT_NE(NULL, rx_take(&self->r, 0));
	ASSERT_EQ(1, held_rows(self->chan, row, MANY));
	EXPECT_EQ(self->r.at.id, row[0].endpoint);
	EXPECT_EQ(self->s.at.id, row[0].on);
	EXPECT_EQ(MSGC_HELD_RING, row[0].what);
	EXPECT_EQ(getpid(), row[0].tid);
	EXPECT_STREQ("held", row[0].comm);
	EXPECT_EQ(span_of(4), row[0].position);
	EXPECT_EQ(span_of(4), row[0].bytes);
	EXPECT_EQ(0, row[0].attempts | row[0].call_state | row[0].slot | row[0].prio |
			     row[0].boost | row[0].since_ns | row[0].deadline);
	EXPECT_EQ(row[0].bytes, peer(self->chan, self->r.at.id).held_bytes);
	rx_release(&self->r, 0);
	EXPECT_EQ(0, held_rows(self->chan, row, MANY));
}

TEST_F(ring, a_departed_senders_ring_is_held_too)
{
	struct msgc_wait_row row[MANY];

	rx_take(&self->r, 0);
	detach(self->s.fd);
	ASSERT_EQ(1, held_rows(self->chan, row, MANY));
	EXPECT_EQ(self->s.at.id, row[0].on);
}

static int take_one_and_die(int sk, void *chan)
{
	struct ep r;

	return ep_receiver(&r, *(int *)chan) || !rx_take(&r, 0) || !tell(sk, 1);
}

TEST_F(ring, attempts_count_those_who_died_of_it)
{
	struct msgc_wait_row row[MANY];
	struct ep r;
	struct kid k;

	detach(self->r.fd);
	for (int i = 0; i < 2; i++) {
		k = kid_start(take_one_and_die, &self->chan);
		EXPECT_EQ(1, hear(k.sk));
		ASSERT_EQ(0, kid_end(&k, 0));
	}
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(0, held_rows(self->chan, row, MANY));
	rx_take(&r, 0);
	ASSERT_EQ(1, held_rows(self->chan, row, MANY));
	EXPECT_EQ(2, row[0].attempts);
	rx_release(&r, 0);
	rx_take(&r, 0);
	ASSERT_EQ(1, held_rows(self->chan, row, MANY));
	EXPECT_EQ(0, row[0].attempts);
	ep_close(&r);
}

/* What it writes into its own page is bounded; a refused pair holds nobody up. */
TEST_F(ring, a_liar_holds_a_ring_at_most)
{
	struct msgc_wait_row row[MANY];
	struct msgc_refuse ref = { .peer = self->s.at.id };

	rx_take(&self->r, 0);
	for (__u64 lie = 1ULL << 63; lie; lie >>= 21) {
		WRITE_ONCE(rx_slot(&self->r, 0)->taken, lie);
		ASSERT_EQ(1, held_rows(self->chan, row, MANY));
		EXPECT_LE(row[0].bytes, self->s.at.ring);
	}
	ASSERT_EQ(0, cmd(self->r.fd, MSGC_REFUSE, &ref));
	EXPECT_EQ(0, held_rows(self->chan, row, MANY));
}

TEST_F(ring, rows_come_a_few_at_a_time)
{
	struct msgc_wait_row row[MANY];
	struct ep s[9];
	__u64 cursor = 0;
	int n = 1;

	rx_take(&self->r, 0);
	for (int i = 0; i < 9; i++) {
		ASSERT_EQ(0, ep_sender(&s[i], self->chan));
		if (i % 2)
			continue;
		tx_send(&s[i], 0, "1234", 4);
		ASSERT_NE(NULL, rx_take(&self->r, s[i].at.number));
		n++;
	}
	EXPECT_EQ(n, held_rows(self->chan, row, MANY));
	for (int i = 0; i < n; i++) {
		ASSERT_EQ(1, rows(self->chan, MSGC_PEERS, MSGC_ROW_WAIT, row, sizeof(row[0]), 1,
				  &cursor));
		EXPECT_EQ(i ? s[2 * (i - 1)].at.id : self->s.at.id, row[0].on);
	}
	EXPECT_EQ(0,
		  rows(self->chan, MSGC_PEERS, MSGC_ROW_WAIT, row, sizeof(row[0]), 1, &cursor));
	/* any cursor is safe */
	for (cursor = 1; cursor; cursor <<= 1) {
		__u64 at = cursor - 1;

		EXPECT_LE(0, rows(self->chan, MSGC_PEERS, MSGC_ROW_WAIT, row, sizeof(row[0]), MANY,
				  &at));
	}
	/* cut to what the caller knows */
	cursor = 0;
	memset(row, SENTINEL, sizeof(row));
	EXPECT_EQ(1, rows(self->chan, MSGC_PEERS, MSGC_ROW_WAIT, row, 8, 1, &cursor));
	EXPECT_EQ(self->s.at.id, row[0].on);
	EXPECT_EQ(SENTINEL, ((unsigned char *)row)[8]);
	for (int i = 0; i < 9; i++)
		ep_close(&s[i]);
}

/* ---- calls ---- */

static long start_call(struct ep *c, int slot, __u32 len, __u64 deadline)
{
	struct msgc_call arg = { .slot = slot, .flags = MSGC_ASYNC, .deadline = deadline };
	struct msgc_request *req = (void *)(c->area[MSGC_OWN] + sizeof(struct msgc_own));

	req[slot].len = len;
	return cmd(c->fd, MSGC_CALL, &arg);
}

static long take(struct ep *s)
{
	struct msgc_recv arg = { .deadline = MSGC_NOW };

	return cmd(s->fd, MSGC_RECV, &arg);
}

static long reply(struct ep *s, int entry)
{
	struct msgc_held *held = (struct msgc_held *)s->area[MSGC_INBOX] + entry;
	struct msgc_reply arg = { .call = held->call };

	return cmd(s->fd, MSGC_REPLY, &arg);
}

TEST(calls_that_a_server_has_are_held)
{
	int chan = create_private(CREATE_CALL());
	struct msgc_wait_row row[MANY];
	__u64 deadline = in_ms(60000), before;
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, start_call(&c, 2, 7, deadline));
	ASSERT_EQ(0, start_call(&c, 3, 0, MSGC_FOREVER));
	EXPECT_EQ(0, held_rows(chan, row, MANY));
	usleep(50000);
	before = now();
	ASSERT_EQ(0, take(&s));
	ASSERT_EQ(1, take(&s));
	ASSERT_EQ(2, held_rows(chan, row, MANY));
	EXPECT_EQ(s.at.id, row[0].endpoint);
	EXPECT_EQ(c.at.id, row[0].on);
	EXPECT_EQ(MSGC_HELD_CALL, row[0].what);
	EXPECT_EQ(MSGC_TAKEN, row[0].call_state);
	EXPECT_EQ(2, row[0].slot);
	EXPECT_EQ(7, row[0].bytes);
	EXPECT_EQ(getpid(), row[0].tid);
	EXPECT_EQ(deadline, row[0].deadline);
	EXPECT_EQ(MSGC_FOREVER, row[1].deadline);
	/* by a clock that ticks every few ms */
	EXPECT_GE(row[0].since_ns, before - 20 * MS);
	EXPECT_LE(row[0].since_ns, now());
	ASSERT_EQ(0, reply(&s, 0));
	ASSERT_EQ(1, held_rows(chan, row, MANY));
	EXPECT_EQ(3, row[0].slot);
	ASSERT_EQ(0, reply(&s, 1));
	EXPECT_EQ(0, held_rows(chan, row, MANY));
	ep_close(&s);
	ep_close(&c);
	close(chan);
}

TEST(redelivered_calls_tell_their_attempts)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_REDELIVER));
	struct msgc_wait_row row[MANY];
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, start_call(&c, 0, 0, MSGC_FOREVER));
	for (__u32 i = 0; i < 3; i++) {
		ASSERT_EQ(0, ep_receiver(&s, chan));
		ASSERT_EQ(0, take(&s));
		ASSERT_EQ(1, held_rows(chan, row, MANY));
		EXPECT_EQ(i, row[0].attempts);
		ep_close(&s);
	}
	EXPECT_EQ(0, held_rows(chan, row, MANY));
	ep_close(&c);
	close(chan);
}

/* ---- threads that wait ---- */

/* The only row of a thread that waits, here where nothing is held. */
static bool only_waiter(int chan, const struct runner *run, int what, struct msgc_wait_row *row)
{
	struct msgc_wait_row all[MANY];

	/* one that was woken to look is not in the queue for a moment */
	if (!until(held_rows(chan, all, MANY) == 1))
		return false;
	*row = all[0];
	return row->what == what && row->tid == run->tid && !strcmp(row->comm, "held");
}

TEST(callers_and_servers_wait_for_each_other)
{
	int chan = create_private(CREATE_CALL());
	__u64 before = now(), deadline = in_ms(100000);
	struct msgc_recv recv = { .deadline = MSGC_FOREVER };
	struct msgc_call call = { .slot = 1, .deadline = deadline };
	struct msgc_wait_row row[MANY];
	struct runner server, client;
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_TRUE(runner_start(&server, s.fd, MSGC_RECV, &recv));
	ASSERT_TRUE(only_waiter(chan, &server, MSGC_WAITS_CALL, row));
	EXPECT_EQ(s.at.id, row->endpoint);
	EXPECT_EQ(0, row->on | row->call_state | row->prio | row->boost | row->attempts);
	EXPECT_EQ(MSGC_FOREVER, row->deadline);
	EXPECT_GE(row->since_ns, before - 20 * MS);
	EXPECT_LE(row->since_ns, now());
	ASSERT_EQ(0, none(s.fd, MSGC_INTERRUPT));
	ASSERT_EQ(-EINTR, runner_end(&server));
	EXPECT_EQ(0, held_rows(chan, row, MANY));

	ASSERT_TRUE(runner_start(&client, c.fd, MSGC_CALL, &call));
	ASSERT_TRUE(only_waiter(chan, &client, MSGC_WAITS_OUTCOME, row));
	EXPECT_EQ(c.at.id, row->endpoint);
	EXPECT_EQ(s.at.id, row->on);
	EXPECT_EQ(MSGC_QUEUED, row->call_state);
	EXPECT_EQ(1, row->slot);
	EXPECT_EQ(deadline, row->deadline);
	ASSERT_EQ(0, take(&s));
	ASSERT_EQ(2, held_rows(chan, row, MANY));
	EXPECT_EQ(MSGC_HELD_CALL, row[0].what);
	EXPECT_EQ(MSGC_WAITS_OUTCOME, row[1].what);
	EXPECT_EQ(s.at.id, row[1].on);
	EXPECT_EQ(MSGC_TAKEN, row[1].call_state);
	ASSERT_EQ(0, reply(&s, 0));
	EXPECT_EQ(1, runner_end(&client));
	EXPECT_EQ(0, held_rows(chan, row, MANY));
	ep_close(&s);
	ep_close(&c);
	close(chan);
}

/* Which of several servers will take it, nobody knows; and each thread has a row. */
TEST(many_threads_wait)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_MANY_SERVERS));
	struct msgc_call call[3] = { };
	struct msgc_wait_row row[MANY];
	struct runner client[3];
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (int i = 0; i < 3; i++) {
		call[i] = (struct msgc_call){ .slot = i, .deadline = MSGC_FOREVER };
		ASSERT_TRUE(runner_start(&client[i], c.fd, MSGC_CALL, &call[i]));
	}
	ASSERT_TRUE(until(held_rows(chan, row, MANY) == 3));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, row[i].on);
		/* in whatever order they stand in the queue */
		ASSERT_GT(3, row[i].slot);
		EXPECT_EQ(client[row[i].slot].tid, row[i].tid);
	}
	EXPECT_EQ(7, 1 << row[0].slot | 1 << row[1].slot | 1 << row[2].slot);
	detach(c.fd);
	for (int i = 0; i < 3; i++)
		EXPECT_LE(0, runner_end(&client[i]));
	EXPECT_EQ(0, held_rows(chan, row, MANY));
	ep_close(&s);
	ep_close(&c);
	close(chan);
}

TEST_F(ring, a_sender_waits_for_who_holds_its_space)
{
	struct msgc_wait wait = { .events = MSGC_OUT, .deadline = MSGC_FOREVER, .kick = -1 };
	struct msgc_wait_row row;
	struct runner run;

	rx_position(&self->r, 0);
	tx_fill(&self->s);
	WRITE_ONCE(tx_control(&self->s)->need, 32);
	ASSERT_TRUE(runner_start(&run, self->s.fd, MSGC_WAIT, &wait));
	ASSERT_TRUE(only_waiter(self->chan, &run, MSGC_WAITS_EVENT, &row));
	EXPECT_EQ(self->s.at.id, row.endpoint);
	EXPECT_EQ(self->r.at.id, row.on);
	EXPECT_EQ(MSGC_OUT, row.slot & MSGC_OUT);
	ASSERT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&run));
}

TEST_F(ring, a_receiver_waits_for_anybody)
{
	struct msgc_wait wait = { .events = MSGC_IN, .deadline = in_ms(100000), .kick = -1 };
	struct msgc_wait_row row;
	struct runner run;

	rx_drain(&self->r, 0);
	ASSERT_TRUE(runner_start(&run, self->r.fd, MSGC_WAIT, &wait));
	ASSERT_TRUE(only_waiter(self->chan, &run, MSGC_WAITS_EVENT, &row));
	EXPECT_EQ(self->r.at.id, row.endpoint);
	EXPECT_EQ(0, row.on);
	EXPECT_EQ(MSGC_IN, row.slot & MSGC_IN);
	EXPECT_EQ(wait.deadline, row.deadline);
	tx_send(&self->s, 0, "1234", 4);
	EXPECT_EQ(MSGC_IN, runner_end(&run));
}

TEST(a_balanced_receiver_waits_in_claim)
{
	int chan = create_private(CREATE(.delivery = MSGC_BALANCED));
	struct msgc_claim claim = { .n = 1, .deadline = MSGC_FOREVER };
	struct msgc_wait_row row;
	struct runner run;
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	ASSERT_TRUE(runner_start(&run, r.fd, MSGC_CLAIM, &claim));
	ASSERT_TRUE(only_waiter(chan, &run, MSGC_WAITS_CLAIM, &row));
	EXPECT_EQ(r.at.id, row.endpoint);
	ASSERT_EQ(0, none(r.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&run));
	ep_close(&r);
	close(chan);
}

/* ---- who may see it ---- */

/* The number of rows that somebody sees who may use the channel and does not own it. */
static int count_as_alice(int sk, void *chan)
{
	struct msgc_wait_row row[MANY];
	struct ep c;

	if (become(ALICE, ALICE))
		return 99;
	tell(sk, held_rows(*(int *)chan, row, MANY));
	if (ep_receiver(&c, *(int *)chan) || take(&c) < 0)
		return 98;
	tell(sk, held_rows(*(int *)chan, row, MANY));
	tell(sk, row[0].endpoint == c.at.id);
	hear(sk);			/* somebody of another user waits */
	tell(sk, held_rows(*(int *)chan, row, MANY));
	hear(sk);
	return 0;
}

TEST(holdings_of_others_are_for_the_owner)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_MANY_SERVERS));
	struct msgc_recv recv = { .deadline = MSGC_FOREVER };
	struct msgc_wait_row row[MANY];
	struct runner run;
	struct ep c, s;
	struct kid k;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, start_call(&c, 0, 0, MSGC_FOREVER));
	ASSERT_EQ(0, start_call(&c, 1, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&s));
	k = kid_start(count_as_alice, &chan);
	EXPECT_EQ(0, hear(k.sk));
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(2, held_rows(chan, row, MANY));
	ASSERT_TRUE(runner_start(&run, s.fd, MSGC_RECV, &recv));
	EXPECT_TRUE(until(held_rows(chan, row, MANY) == 3));
	tell(k.sk, 0);
	EXPECT_EQ(1, hear(k.sk));
	tell(k.sk, 0);
	EXPECT_EQ(0, kid_end(&k, 0));
	ASSERT_EQ(0, none(s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&run));
	ep_close(&s);
	ep_close(&c);
	close(chan);
}

TEST_HARNESS_MAIN
