// SPDX-License-Identifier: MIT
/* In which order waiting calls are served: by the priority of who called, then by arrival. */
#include "urgency.h"

#define SLOTS	64

/* The slot of the call that a server gets now, or -errno. */
static int next_slot(const struct ep *s)
{
	long e = take(s);

	return e < 0 ? e : held(s, e)->slot;
}

/* ---- one client, any number of calls, a server that holds as many ---- */

FIXTURE(prio) {
	int chan;
	struct ep c, s;
};

FIXTURE_SETUP(prio)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	ASSERT_EQ(0, ep_attach(&self->s, self->chan,
			       ATTACH(.role = MSGC_RECEIVER, .held = SLOTS)));
	for (int n = 0; n < SLOTS; n++)
		request(&self->c, n)->cookie = n;
}

FIXTURE_TEARDOWN(prio)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

TEST_F(prio, most_urgent_first)
{
	const struct urgency by[] = {
		OTHER(0), FIFO(10), RR(50), OTHER(0), FIFO(50), RR(10), FIFO(99), RR(1)
	};
	static const int order[] = { 6, 2, 4, 1, 5, 7, 0, 3 };

	for (int n = 0; n < 8; n++)
		ASSERT_EQ(0, start_as(&self->c, n, by[n]));
	for (int n = 0; n < 8; n++) {
		long e = take(&self->s);

		ASSERT_GE(e, 0);
		EXPECT_EQ(order[n], held(&self->s, e)->slot);
		EXPECT_EQ((__s32)by[order[n]].prio, held(&self->s, e)->prio);
	}
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

/* All that is no real-time thread is alike. */
TEST_F(prio, nice_is_nothing)
{
	const struct urgency by[] = {
		OTHER(19), AS(.policy = SCHED_BATCH), OTHER(-20), AS(.policy = SCHED_IDLE), OTHER(0)
	};

	for (int n = 0; n < 5; n++)
		ASSERT_EQ(0, start_as(&self->c, n, by[n]));
	for (int n = 0; n < 5; n++) {
		long e = take(&self->s);

		ASSERT_GE(e, 0);
		EXPECT_EQ(n, held(&self->s, e)->slot);
		EXPECT_EQ(0, held(&self->s, e)->prio);
	}
}

TEST_F(prio, deadline_tasks_first_of_all)
{
	struct urgency most = AS(.policy = SCHED_DEADLINE, .runtime = 5 * MS, .deadline = 100 * MS,
				 .period = 100 * MS);
	long e;

	ASSERT_EQ(0, start_as(&self->c, 0, FIFO(99)));
	if (!be(most))
		SKIP(return, "this machine admits no deadline task");
	ASSERT_EQ(0, start_as(&self->c, 1, most));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	EXPECT_EQ(1, held(&self->s, e)->slot);
	EXPECT_EQ(100, held(&self->s, e)->prio);
	EXPECT_EQ(0, next_slot(&self->s));
}

/* What becomes of the caller after it has called, and who waits later, makes no difference. */
TEST_F(prio, as_it_was_when_queued)
{
	struct msgc_call arg = { .slot = 0, .deadline = MSGC_FOREVER };
	struct sched_param up = { .sched_priority = 50 };
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	ASSERT_EQ(0, start_as(&self->c, 1, OTHER(0)));
	ASSERT_EQ(0, sched_setscheduler(r.tid, SCHED_FIFO, &up));
	ASSERT_TRUE(be(FIFO(60)));
	EXPECT_EQ(-EAGAIN, resume(&self->c, 1, MSGC_NOW));
	be(OTHER(0));
	ASSERT_EQ(0, start_as(&self->c, 2, FIFO(10)));
	EXPECT_EQ(2, next_slot(&self->s));
	EXPECT_EQ(0, next_slot(&self->s));
	EXPECT_EQ(1, next_slot(&self->s));
	detach(self->s.fd);
	EXPECT_EQ(0, runner_end(&r));
}

/* What is withdrawn, from wherever in the queue, leaves the others as they were. */
TEST_F(prio, withdrawn)
{
	static const int prio[] = { 3, 1, 5, 2, 4, 3, 1, 5 }, order[] = { 7, 4, 0, 1, 6 };

	for (int n = 0; n < 8; n++)
		ASSERT_EQ(0, start_as(&self->c, n, FIFO(prio[n])));
	EXPECT_EQ(0, cancel(&self->c, 2, 2));
	EXPECT_EQ(0, cancel(&self->c, 5, 5));
	EXPECT_EQ(0, cancel(&self->c, 3, 3));
	EXPECT_EQ(5, info(self->chan).waiting);
	for (int n = 0; n < 5; n++)
		EXPECT_EQ(order[n], next_slot(&self->s));
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

/* As many as there may be, in no order, beside a sort that keeps equals as they are. */
TEST_F(prio, many)
{
	int prio[SLOTS], order[SLOTS], n = 0;

	for (int i = 0; i < SLOTS; i++) {
		prio[i] = i * 37 % 64 % 13;
		ASSERT_EQ(0, start_as(&self->c, i, prio[i] ? FIFO(prio[i]) : OTHER(0)));
	}
	for (int p = 12; p >= 0; p--)
		for (int i = 0; i < SLOTS; i++)
			if (prio[i] == p)
				order[n++] = i;
	for (int i = 0; i < SLOTS; i++)
		EXPECT_EQ(order[i], next_slot(&self->s));
}

/* ---- threads that sleep in CALL while the server is at work ---- */

TEST(sleeping_callers)
{
	int chan = create_private(CREATE_CALL(.slots = 2, .max_senders = 6));
	const struct urgency by[] = { OTHER(0), OTHER(0), RR(5), FIFO(20), OTHER(0), FIFO(5) };
	static const int order[] = { 0, 3, 2, 5, 1, 4 };
	struct msgc_call arg[6];
	struct runner r[6];
	struct ep c[6], s;

	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 1)));
	for (int n = 0; n < 6; n++) {
		ASSERT_EQ(0, ep_sender(&c[n], chan));
		arg[n] = (struct msgc_call){ .slot = n & 1, .deadline = MSGC_FOREVER };
		ASSERT_TRUE(be(by[n]));		/* which the thread inherits */
		ASSERT_TRUE(runner_start(&r[n], c[n].fd, MSGC_CALL, &arg[n]));
		ASSERT_TRUE(be(OTHER(0)));
		ASSERT_EQ(n ? -EBUSY : 0, take(&s));
	}
	for (int n = 0; n < 6; n++) {
		EXPECT_EQ(c[order[n]].at.id, held(&s, 0)->client) { TH_LOG("turn %d", n); }
		EXPECT_EQ(0, reply(&s, 0, 0, 0));
		EXPECT_EQ(n < 5 ? 0 : -EAGAIN, take(&s));
	}
	for (int n = 0; n < 6; n++)
		EXPECT_EQ(n & 1, runner_end(&r[n]));
}

/* ---- servers that die ---- */

/* A call that comes back is the first of its priority, and no more urgent than that. */
TEST(redelivered)
{
	int chan = create_private(CREATE_CALL(.slots = 5, .flags = MSGC_REDELIVER));
	const struct urgency by[] = { OTHER(0), OTHER(0), FIFO(10), FIFO(10), FIFO(20) };
	static const int order[] = { 4, 2, 3, 0, 1 };
	struct ep c, s;
	struct kid k;

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < 3; n++)
		ASSERT_EQ(0, start_as(&c, n, by[n]));
	k = server_that_took(chan, 2);
	for (int n = 3; n < 5; n++)
		ASSERT_EQ(0, start_as(&c, n, by[n]));
	kid_end(&k, SIGKILL);
	ASSERT_TRUE(until(!info(chan).receivers));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (int n = 0; n < 5; n++) {
		long e = take(&s);

		ASSERT_GE(e, 0);
		EXPECT_EQ(order[n], held(&s, e)->slot);
		EXPECT_EQ(order[n] == 2 || order[n] == 0, held(&s, e)->attempts);
	}
}

/* The order of arrival, whichever of the servers died first. */
TEST(redelivered_by_several)
{
	int chan = create_private(CREATE_CALL(.slots = 4, .max_receivers = 4,
					      .flags = MSGC_REDELIVER | MSGC_MANY_SERVERS));
	struct kid k[3];
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < 4; n++)
		ASSERT_EQ(0, start_as(&c, n, OTHER(0)));
	for (int n = 0; n < 3; n++)
		k[n] = server_that_took(chan, 1);
	for (int n = 0; n < 3; n++) {
		kid_end(&k[(n + 1) % 3], SIGKILL);
		ASSERT_TRUE(until(info(chan).receivers == 2U - n));
	}
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (int n = 0; n < 4; n++)
		EXPECT_EQ(n, next_slot(&s));
}

TEST_HARNESS_MAIN
