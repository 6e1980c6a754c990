// SPDX-License-Identifier: MIT
/* BOUND servers: only one thread serves; and a call that would wait for itself is refused. */
#include "worker.h"

#define MOST	17

/* ---- thread n serves channel n, and calls the next one ---- */

struct circle {
	int n, chan[MOST];
	struct worker w[MOST];
	struct ep s[MOST], c[MOST];
	struct msgc_call arg[MOST];
};

static long serve_as(struct circle *o, int n, struct ep *s, int flags)
{
	memset(s, 0, sizeof(*s));
	s->at = ATTACH(.role = MSGC_RECEIVER, .flags = flags, .held = 4);
	s->fd = run(&o->w[n], o->chan[n], MSGC_ATTACH, &s->at);
	return s->fd < 0 ? s->fd : ep_map(s);
}

static bool circle_start(struct circle *o, int n)
{
	bool ok = true;

	o->n = n;
	for (int i = 0; i < n; i++) {
		o->chan[i] = create_private(CREATE_CALL(.flags = MSGC_MANY_SERVERS));
		worker_start(&o->w[i]);
		ok = ok && serve_as(o, i, &o->s[i], MSGC_BOUND) == 0;
	}
	for (int i = 0; i < n; i++)
		ok = ok && ep_sender(&o->c[i], o->chan[(i + 1) % n]) == 0;
	return ok;
}

static void circle_stop(struct circle *o)
{
	for (int i = 0; i < o->n; i++) {
		detach(o->c[i].fd);
		detach(o->s[i].fd);
	}
	for (int i = 0; i < o->n; i++) {
		worker_stop(&o->w[i]);
		ep_close(&o->c[i]);
		ep_close(&o->s[i]);
		close(o->chan[i]);
	}
}

static void call_begin(struct circle *o, int n, int flags, __u64 deadline)
{
	o->arg[n] = (struct msgc_call){ .flags = flags, .deadline = deadline };
	begin(&o->w[n], o->c[n].fd, MSGC_CALL, &o->arg[n]);
}

/* The thread calls the next one, and gets an answer to that. */
static long call_now(struct circle *o, int n, int flags, __u64 deadline)
{
	call_begin(o, n, flags, deadline);
	return end(&o->w[n]);
}

/* It calls, and sleeps for the outcome. */
static bool blocks(struct circle *o, int n)
{
	call_begin(o, n, 0, MSGC_FOREVER);
	return asleep(getpid(), o->w[n].tid) && !o->w[n].done;
}

static long take_one(struct circle *o, int n)
{
	struct msgc_recv arg = { .deadline = MSGC_NOW };

	return run(&o->w[n], o->s[n].fd, MSGC_RECV, &arg);
}

/* The thread answers what it holds in this entry. */
static long answer_one(struct circle *o, int n, long entry)
{
	struct msgc_reply arg = { .call = held(&o->s[n], entry)->call };

	return run(&o->w[n], o->s[n].fd, MSGC_REPLY, &arg);
}

FIXTURE(bound) {
	struct circle o;
};

FIXTURE_VARIANT(bound) {
	int n;
};

FIXTURE_VARIANT_ADD(bound, two) { .n = 2 };
FIXTURE_VARIANT_ADD(bound, three) { .n = 3 };
FIXTURE_VARIANT_ADD(bound, sixteen) { .n = 16 };

FIXTURE_SETUP(bound)
{
	ASSERT_TRUE(circle_start(&self->o, variant->n));
}

FIXTURE_TEARDOWN(bound)
{
	circle_stop(&self->o);
}

/* All others wait, each for the next: the last may not, but may serve them. */
TEST_F(bound, circle)
{
	struct circle *o = &self->o;
	int last = o->n - 1;

	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(-EDEADLK, call_now(o, last, 0, MSGC_FOREVER));
	EXPECT_EQ(-EDEADLK, call_now(o, last, MSGC_ONEWAY, MSGC_FOREVER));
	EXPECT_EQ(-EDEADLK, call_now(o, last, 0, in_ms(60000)));
	EXPECT_EQ(SAYS(IDLE, NOTHING, 0), says(&o->c[last], 0));
	EXPECT_EQ(0, info(o->chan[0]).waiting);
	for (int i = last; i > 0; i--) {
		ASSERT_EQ(0, take_one(o, i));
		EXPECT_EQ(-EDEADLK, i == last ? call_now(o, i, 0, MSGC_FOREVER) : -EDEADLK);
		EXPECT_EQ(0, answer_one(o, i, 0));
		EXPECT_EQ(0, end(&o->w[i - 1]));
	}
	ASSERT_TRUE(blocks(o, last));
	ASSERT_EQ(0, take_one(o, 0));
	EXPECT_EQ(0, answer_one(o, 0, 0));
	EXPECT_EQ(0, end(&o->w[last]));
}

/* A call that nobody sleeps for blocks nobody; to sleep for it then is refused all the same. */
TEST_F(bound, asynchronous)
{
	struct circle *o = &self->o;
	int last = o->n - 1;

	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(0, call_now(o, last, MSGC_ASYNC, MSGC_FOREVER));
	EXPECT_EQ(-EAGAIN, call_now(o, last, MSGC_RESUME, MSGC_NOW));
	EXPECT_EQ(-EDEADLK, call_now(o, last, MSGC_RESUME, MSGC_FOREVER));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&o->c[last], 0));
	EXPECT_EQ(0, cancel(&o->c[last], 0, 0));
	EXPECT_EQ(0, call_now(o, last, MSGC_RESUME, MSGC_FOREVER));
}

/* A wait that was interrupted is none; but then it cannot be begun again. */
TEST_F(bound, interrupted)
{
	struct circle *o = &self->o;
	int last = o->n - 1;

	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(0, none(o->c[0].fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, end(&o->w[0]));
	ASSERT_TRUE(blocks(o, last));
	EXPECT_EQ(-EDEADLK, call_now(o, 0, MSGC_RESUME, MSGC_FOREVER));
	ASSERT_EQ(0, take_one(o, 0));
	EXPECT_EQ(-EDEADLK, call_now(o, 0, MSGC_RESUME, MSGC_FOREVER));
	EXPECT_EQ(0, answer_one(o, 0, 0));
	EXPECT_EQ(0, end(&o->w[last]));
	call_begin(o, 0, MSGC_RESUME, MSGC_FOREVER);
	EXPECT_TRUE(asleep(getpid(), o->w[0].tid));
}

/* One that timed out, neither; what may still be answered by somebody else is not refused. */
TEST_F(bound, may_still_be_answered)
{
	struct circle *o = &self->o;
	int last = o->n - 1;
	struct ep other;

	EXPECT_EQ(0, call_now(o, 0, 0, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&o->c[0], 0));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(-EDEADLK, call_now(o, last, 0, in_ms(5)));
	ASSERT_EQ(0, ep_receiver(&other, o->chan[0]));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&o->c[last], 0));
	EXPECT_EQ(0, detach(other.fd));
	EXPECT_EQ(-EDEADLK, call_now(o, last, 0, in_ms(5)));
	EXPECT_EQ(0, detach(o->s[0].fd));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	ep_close(&other);
	/* the thread of another server than before, and one that is not BOUND */
	ASSERT_EQ(0, ep_receiver(&other, o->chan[0]));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	ep_close(&other);
	ASSERT_EQ(0, ep_attach(&other, o->chan[0],
			       ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_BOUND)));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	ep_close(&other);
}

/* Three servers, and the first and the last of them are the same thread's. */
TEST_F(bound, not_the_only_server)
{
	struct circle *o = &self->o;
	int last = o->n - 1;
	struct ep other, again;

	ASSERT_EQ(0, ep_receiver(&other, o->chan[0]));
	ASSERT_EQ(0, serve_as(o, 0, &again, MSGC_BOUND));
	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&o->c[last], 0));
	ep_close(&other);
	EXPECT_EQ(0, call_now(o, last, 0, in_ms(5)));
	ep_close(&again);
	EXPECT_EQ(-EDEADLK, call_now(o, last, 0, in_ms(5)));
}

/* Other threads than the servers' own are never refused anything. */
TEST_F(bound, other_callers)
{
	struct circle *o = &self->o;
	int last = o->n - 1;

	for (int i = 0; i < last; i++)
		ASSERT_TRUE(blocks(o, i));
	EXPECT_EQ(0, call(&o->c[last], 0, 0, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&o->c[last], 0));
}

/* Followed no further than that. */
TEST(seventeen)
{
	static struct circle o;

	ASSERT_TRUE(circle_start(&o, 17));
	for (int i = 0; i < 16; i++)
		ASSERT_TRUE(blocks(&o, i));
	EXPECT_EQ(0, call_now(&o, 16, 0, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&o.c[16], 0));
	circle_stop(&o);
}

/* A circle of one. */
TEST(to_oneself)
{
	static struct circle o;

	ASSERT_TRUE(circle_start(&o, 1));
	EXPECT_EQ(-EDEADLK, call_now(&o, 0, 0, MSGC_FOREVER));
	EXPECT_EQ(0, call_now(&o, 0, MSGC_ASYNC, MSGC_FOREVER));
	EXPECT_EQ(0, take_one(&o, 0));
	EXPECT_EQ(-EDEADLK, call_now(&o, 0, MSGC_RESUME, MSGC_FOREVER));
	EXPECT_EQ(0, answer_one(&o, 0, 0));
	EXPECT_EQ(0, call_now(&o, 0, MSGC_RESUME, MSGC_FOREVER));
	circle_stop(&o);
}

TEST(only_its_thread_serves)
{
	struct msgc_reply none_held = { .call = 0 };
	static struct circle o;

	ASSERT_TRUE(circle_start(&o, 1));
	EXPECT_EQ(-EPERM, take(&o.s[0]));
	EXPECT_EQ(-EPERM, cmd(o.s[0].fd, MSGC_REPLY_RECV, &none_held));
	EXPECT_EQ(-EPERM, cmd(o.s[0].fd, MSGC_RECV, NULL));
	EXPECT_EQ(-EAGAIN, wait_for(o.s[0].fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(-EAGAIN, take_one(&o, 0));
	ASSERT_EQ(0, start(&o.c[0], 0, MSGC_FOREVER));
	EXPECT_EQ(MSGC_IN, wait_for(o.s[0].fd, MSGC_IN, MSGC_NOW));
	ASSERT_EQ(0, take_one(&o, 0));
	EXPECT_EQ(-EPERM, reply(&o.s[0], 0, 0, 0));
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&o.c[0], 0));
	EXPECT_EQ(0, answer_one(&o, 0, 0));
	circle_stop(&o);
}

/* Both at once, again and again: one sleeps, and the other is refused. */
TEST(both_at_once)
{
	static struct circle o;
	int refused[2] = { 0, 0 };

	ASSERT_TRUE(circle_start(&o, 2));
	for (int n = 0; n < 300; n++) {
		int who;

		for (int i = 0; i < 2; i++)
			call_begin(&o, i ^ (n & 1), 0, MSGC_FOREVER);
		ASSERT_TRUE(until(o.w[0].done || o.w[1].done));
		who = o.w[0].done ? 0 : 1;
		ASSERT_EQ(-EDEADLK, end(&o.w[who]));
		refused[who]++;
		ASSERT_EQ(0, take_one(&o, who));	/* which is there already */
		ASSERT_EQ(0, answer_one(&o, who, 0));
		ASSERT_EQ(0, end(&o.w[!who]));
	}
	TH_LOG("refused: %d and %d times", refused[0], refused[1]);
	circle_stop(&o);
}

TEST_HARNESS_MAIN
