// SPDX-License-Identifier: MIT
/*
 * Rendezvous: calls and answers, every row of the outcome table, and what each side finds when the
 * other one has gone.
 */
#include <sched.h>

#include "ring.h"

#define SLOTS	4

/* ---- the usual: one client, one server, one page each way ---- */

FIXTURE(call) {
	int chan;
	struct ep c, s;
};

FIXTURE_SETUP(call)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .max_senders = 4));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	for (int n = 0; n < SLOTS; n++)
		*request(&self->c, n) = (struct msgc_request){
			.len = 5, .room = PAGE, .type = 7, .format = 3, .cookie = 0x1000 + n
		};
}

FIXTURE_TEARDOWN(call)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

TEST_F(call, round_trip)
{
	struct msgc_call arg = { .slot = 1, .deadline = MSGC_FOREVER };
	struct msgc_held *h;
	struct msgc_done *d = line(&self->c, 1);
	struct runner r;
	long entry;

	memcpy(request_data(&self->c, 1), "hello", 5);
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 1));
	entry = receive(&self->s, in_ms(1000));
	ASSERT_GE(entry, 0);
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 1));
	EXPECT_FALSE(r.done);
	h = held(&self->s, entry);
	EXPECT_EQ((__u64)entry, h->call & 0xffff);
	EXPECT_EQ(0x1001, h->cookie);
	EXPECT_EQ(MSGC_FOREVER, h->deadline);
	EXPECT_EQ(self->c.at.id, h->client);
	EXPECT_EQ(5, h->len);
	EXPECT_EQ(PAGE, h->room);
	EXPECT_EQ(7, h->type);
	EXPECT_EQ(1, h->slot);
	EXPECT_EQ(0, h->attempts);
	EXPECT_EQ(3, h->format);
	EXPECT_EQ(0, h->flags);
	EXPECT_EQ(0, memcmp(seen_request(&self->s, 0, 1), "hello", 5));

	memcpy(seen_reply(&self->s, 0, 1), "world!", 6);
	*answer(&self->s, entry) = (struct msgc_answer){ .type = 8, .format = 4 };
	EXPECT_EQ(0, reply(&self->s, entry, 6, -42));
	EXPECT_EQ(1, runner_end(&r));
	EXPECT_EQ(SAYS(IDLE, DONE, -42), says(&self->c, 1));
	EXPECT_EQ(6, d->len);
	EXPECT_EQ(8, d->type);
	EXPECT_EQ(4, d->format);
	EXPECT_EQ(0, d->flags);
	EXPECT_EQ(self->s.at.id, d->server);
	EXPECT_EQ(0x1001, d->cookie);
	EXPECT_EQ(-1, d->fds[0]);
	EXPECT_EQ(0, memcmp(reply_data(&self->c, 1), "world!", 6));
	EXPECT_EQ(0, held(&self->s, entry)->call);
}

TEST_F(call, sizes)
{
	static const __u32 len[] = { 0, 1, PAGE - 1, PAGE };

	for (int i = 0; i < 4; i++) {
		long entry;

		request(&self->c, 0)->len = len[i];
		request(&self->c, 0)->room = len[i];
		memset(request_data(&self->c, 0), 0x30 + i, len[i]);
		ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
		entry = take(&self->s);
		ASSERT_GE(entry, 0);
		EXPECT_EQ(len[i], held(&self->s, entry)->len);
		EXPECT_EQ(len[i], held(&self->s, entry)->room);
		EXPECT_EQ(-EMSGSIZE, reply(&self->s, entry, len[i] + 1, 0));
		EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
		EXPECT_EQ(0, reply(&self->s, entry, len[i], 0));
		EXPECT_EQ(len[i], line(&self->c, 0)->len);
	}
	request(&self->c, 0)->len = PAGE + 1;
	EXPECT_EQ(-EMSGSIZE, start(&self->c, 0, MSGC_FOREVER));
	request(&self->c, 0)->len = ~0U;
	EXPECT_EQ(-EMSGSIZE, start(&self->c, 0, MSGC_FOREVER));
	request(&self->c, 0)->len = 0;
	request(&self->c, 0)->room = PAGE + 1;
	EXPECT_EQ(-EMSGSIZE, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

/* The kernel uses what the header said at CALL, whatever it says later. */
TEST_F(call, header_is_copied_once)
{
	long entry;

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	*request(&self->c, 0) =
		(struct msgc_request){ .len = ~0U, .room = ~0U, .cookie = 99, .type = 99 };
	entry = take(&self->s);
	ASSERT_GE(entry, 0);
	EXPECT_EQ(5, held(&self->s, entry)->len);
	EXPECT_EQ(PAGE, held(&self->s, entry)->room);
	EXPECT_EQ(0x1000, held(&self->s, entry)->cookie);
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 99));
	EXPECT_EQ(-EMSGSIZE, reply(&self->s, entry, PAGE + 1, 0));
	EXPECT_EQ(0, reply(&self->s, entry, 0, 0));
	EXPECT_EQ(0x1000, line(&self->c, 0)->cookie);
}

/* ---- every errno of every command, with otherwise valid data ---- */

TEST_F(call, call_refuses)
{
	struct msgc_call arg = {
		.slot = 0, .flags = MSGC_ASYNC, .zero = 1, .deadline = MSGC_FOREVER
	};
	struct msgc_request *q = request(&self->c, 0), was = *q;

	EXPECT_EQ(-EINVAL, cmd(self->c.fd, MSGC_CALL, &arg));
	EXPECT_EQ(-EFAULT, cmd(self->c.fd, MSGC_CALL, NULL));
	EXPECT_EQ(-EINVAL, start(&self->c, SLOTS, MSGC_FOREVER));
	EXPECT_EQ(-EINVAL, start(&self->c, 0xffff, MSGC_FOREVER));
	EXPECT_EQ(-EOPNOTSUPP, call(&self->c, 0, 0x10, MSGC_FOREVER));
	EXPECT_EQ(-EINVAL, call(&self->c, 0, 0, MSGC_NOW));
	EXPECT_EQ(-EINVAL, call(&self->c, 0, MSGC_ASYNC, MSGC_NOW));
	EXPECT_EQ(-EINVAL, call(&self->c, 0, MSGC_ASYNC | MSGC_RESUME, MSGC_FOREVER));
	EXPECT_EQ(-ENOENT, resume(&self->c, 0, MSGC_FOREVER));
	q->nfds = MSGC_FDS + 1;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	*q = was;
	q->zero = 1;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	*q = was;
	q->zero1 = 1;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	*q = was;
	EXPECT_EQ(0, says(&self->c, 0));
	EXPECT_EQ(0, line(&self->c, 0)->event);
	EXPECT_EQ(-EAGAIN, take(&self->s));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_LE(0, take(&self->s));
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

TEST_F(call, recv_refuses)
{
	struct msgc_recv flags = { .flags = 1 }, pad = { .zero = 1 };

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EOPNOTSUPP, cmd(self->s.fd, MSGC_RECV, &flags));
	EXPECT_EQ(-EINVAL, cmd(self->s.fd, MSGC_RECV, &pad));
	EXPECT_EQ(-EFAULT, cmd(self->s.fd, MSGC_RECV, NULL));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	EXPECT_LE(0, take(&self->s));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(-ETIMEDOUT, receive(&self->s, 1));
	EXPECT_EQ(-ETIMEDOUT, receive(&self->s, in_ms(5)));
}

TEST_F(call, reply_refuses)
{
	struct msgc_held *h;
	__u64 id;
	long e;

	EXPECT_EQ(-ENOENT, reply_id(&self->s, 0, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, 0x10000, 0, 0));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	h = held(&self->s, e);
	id = h->call;
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id + 0x10000, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id - 0x10000, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id + 1, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id | 0xffff, 0, 0));
	EXPECT_EQ(-EFAULT, cmd(self->s.fd, MSGC_REPLY, NULL));
	answer(&self->s, e)->nfds = MSGC_FDS + 1;
	EXPECT_EQ(-EINVAL, reply_id(&self->s, id, 0, 0));
	answer(&self->s, e)->nfds = 0;
	answer(&self->s, e)->zero = 1;
	EXPECT_EQ(-EINVAL, reply_id(&self->s, id, 0, 0));
	answer(&self->s, e)->zero = 0;
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
	EXPECT_EQ(0, reply_id(&self->s, id, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id, 0, 0));

	/* the next call in the same entry has another id */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(e, take(&self->s));
	EXPECT_NE(id, h->call);
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id, 0, 0));
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
}

TEST_F(call, cancel_refuses)
{
	struct msgc_cancel flags = { .flags = 1, .cookie = 0x1000 },
			   pad = { .zero = 1, .cookie = 0x1000 };

	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 0x1000));
	/* not the cookie of an unused slot */
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0xffff, 0));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EOPNOTSUPP, cmd(self->c.fd, MSGC_CANCEL, &flags));
	EXPECT_EQ(-EINVAL, cmd(self->c.fd, MSGC_CANCEL, &pad));
	EXPECT_EQ(-EINVAL, cancel(&self->c, SLOTS, 0x1000));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 0x1001));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 1, 0x1000));
	EXPECT_EQ(-EFAULT, cmd(self->c.fd, MSGC_CANCEL, NULL));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	EXPECT_EQ(0, cancel(&self->c, 0xffff, 0x1000));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ECANCELED), says(&self->c, 0));
}

TEST_F(call, wrong_role)
{
	unsigned char arg[16] = { 0 };

	EXPECT_EQ(-ENOTTY, cmd(self->c.fd, MSGC_RECV, arg));
	EXPECT_EQ(-ENOTTY, cmd(self->c.fd, MSGC_REPLY, arg));
	EXPECT_EQ(-ENOTTY, cmd(self->c.fd, MSGC_REPLY_RECV, arg));
	EXPECT_EQ(-ENOTTY, cmd(self->s.fd, MSGC_CALL, arg));
	EXPECT_EQ(-ENOTTY, cmd(self->s.fd, MSGC_CANCEL, arg));
	EXPECT_EQ(-ENOTTY, cmd(self->s.fd, MSGC_REFUSE, arg));
}

TEST_F(call, after_detach)
{
	long e;

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_EQ(-ESHUTDOWN, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_EQ(-ESHUTDOWN, cancel(&self->c, 0, 0x1000));
	EXPECT_EQ(-ESHUTDOWN, resume(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(-ESHUTDOWN, take(&self->s));
	EXPECT_EQ(-ESHUTDOWN, reply_id(&self->s, 1, 0, 0));
}

/* ---- the outcome table of the ABI, row by row ---- */

enum { NEVER_TAKEN, QUEUED_AGAIN, IS_TAKEN, ANSWERED, STATES };

FIXTURE(outcome) {
	int chan;
	struct ep c, s;
	long entry;		/* where a server holds the call */
};

FIXTURE_VARIANT(outcome) {
	int state;
};

FIXTURE_VARIANT_ADD(outcome, never_taken) {
	.state = NEVER_TAKEN,
};

FIXTURE_VARIANT_ADD(outcome, queued_again) {
	.state = QUEUED_AGAIN,
};

FIXTURE_VARIANT_ADD(outcome, taken) {
	.state = IS_TAKEN,
};

FIXTURE_VARIANT_ADD(outcome, answered) {
	.state = ANSWERED,
};

/*
 * A call in that state, asynchronous so that nothing waits for it; the entry where it is held, or
 * an error.
 */
static long put_into_state(int chan, struct ep *c, struct ep *s, int state, __u64 deadline)
{
	long entry = -1;

	*request(c, 0) = (struct msgc_request){ .room = PAGE, .cookie = 5 };
	if (start(c, 0, deadline))
		return -1;
	if (state == QUEUED_AGAIN)
		die_holding(chan, 1);
	if (ep_receiver(s, chan))
		return -1;
	if (state < IS_TAKEN)
		return 0;
	entry = take(s);
	if (entry >= 0 && state == ANSWERED && reply(s, entry, 3, 0))
		return -1;
	return entry;
}

FIXTURE_SETUP(outcome)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
}

FIXTURE_TEARDOWN(outcome)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/*
 * Given up, in each state: withdrawn from the queue, or its server sees that and lets go of a slot
 * that is busy until then.
 */
static bool withdrawn(const struct ep *c, const struct ep *s, long entry, int state)
{
	if (state <= QUEUED_AGAIN)
		return take(s) == -EAGAIN;
	if (state == ANSWERED)
		return true;
	return held(s, entry)->flags & MSGC_M_GONE && start(c, 0, MSGC_FOREVER) == -EBUSY &&
	       !reply(s, entry, 3, 0) && line(c, 0)->state == IDLE;
}

TEST_F(outcome, deadline)
{
	static const int want[STATES] = { SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT),
					  SAYS(IDLE, MAYBE, -ETIMEDOUT),
					  SAYS(TAKEN, MAYBE, -ETIMEDOUT), SAYS(IDLE, DONE, 0) };
	__u64 deadline = in_ms(3000);	/* a slow machine has to get into the state before */

	self->entry = put_into_state(self->chan, &self->c, &self->s, variant->state, deadline);
	ASSERT_LE(0, self->entry);
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_FOREVER));
	if (variant->state != ANSWERED)
		EXPECT_GE(now(), deadline);
	EXPECT_EQ(want[variant->state], says(&self->c, 0));
	EXPECT_TRUE(withdrawn(&self->c, &self->s, self->entry, variant->state));
	/* a late answer changes nothing of what the client was told */
	EXPECT_EQ(want[variant->state] % 1000000, says(&self->c, 0) % 1000000);
}

TEST_F(outcome, cancel)
{
	static const int want[STATES] = { SAYS(IDLE, NOT_EXECUTED, -ECANCELED),
					  SAYS(IDLE, MAYBE, -ECANCELED),
					  SAYS(TAKEN, MAYBE, -ECANCELED), SAYS(IDLE, DONE, 0) };

	self->entry = put_into_state(self->chan, &self->c, &self->s, variant->state, MSGC_FOREVER);
	ASSERT_LE(0, self->entry);
	EXPECT_EQ(variant->state == ANSWERED ? -ENOENT : 0, cancel(&self->c, 0, 5));
	EXPECT_EQ(want[variant->state], says(&self->c, 0));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 5));
	EXPECT_TRUE(withdrawn(&self->c, &self->s, self->entry, variant->state));
	EXPECT_EQ(want[variant->state] % 1000000, says(&self->c, 0) % 1000000);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A signal ends the wait and never the call: it keeps its place and can be waited for again. */
TEST_F(outcome, signal)
{
	static const int want[STATES] = { SAYS(QUEUED, NOTHING, 0), SAYS(QUEUED, NOTHING, 0),
					  SAYS(TAKEN, NOTHING, 0), SAYS(IDLE, DONE, 0) };
	struct msgc_call arg = { .slot = 0, .flags = MSGC_RESUME, .deadline = MSGC_FOREVER };
	struct sigaction sa = { .sa_handler = on_signal };
	struct runner r;

	sigaction(SIGUSR1, &sa, NULL);
	self->entry = put_into_state(self->chan, &self->c, &self->s, variant->state, MSGC_FOREVER);
	ASSERT_LE(0, self->entry);
	if (variant->state == ANSWERED) {
		EXPECT_EQ(0, resume(&self->c, 0, MSGC_FOREVER));
		EXPECT_EQ(want[variant->state], says(&self->c, 0));
		return;
	}
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	pthread_kill(r.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, runner_end(&r));
	EXPECT_EQ(MSGC_RESUME, arg.flags);
	EXPECT_EQ(want[variant->state], says(&self->c, 0));
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	if (variant->state < IS_TAKEN)
		self->entry = take(&self->s);
	EXPECT_EQ(0, held(&self->s, self->entry)->flags & MSGC_M_GONE);
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 0));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

/*
 * The client dies: its call is removed, or its server sees that it is gone, and may still answer.
 */
TEST_F(outcome, client_dies)
{
	self->entry = put_into_state(self->chan, &self->c, &self->s, variant->state, MSGC_FOREVER);
	ASSERT_LE(0, self->entry);
	EXPECT_EQ(0, detach(self->c.fd));
	if (variant->state <= QUEUED_AGAIN) {
		EXPECT_EQ(-EAGAIN, take(&self->s));
	} else if (variant->state == IS_TAKEN) {
		EXPECT_EQ(MSGC_M_GONE, held(&self->s, self->entry)->flags & MSGC_M_GONE);
		EXPECT_EQ(0, reply(&self->s, self->entry, 3, 0));
		EXPECT_EQ(-ENOENT, reply(&self->s, self->entry, 3, 0));
	}
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

/*
 * The server dies: what it held goes back to the queue here; what it did not hold, or had
 * answered, is untouched.
 */
TEST_F(outcome, server_dies)
{
	static const int want[STATES] = { SAYS(QUEUED, NOTHING, 0), SAYS(QUEUED, NOTHING, 0),
					  SAYS(QUEUED, NOTHING, 0), SAYS(IDLE, DONE, 0) };
	static const int attempts[STATES] = { 0, 1, 1, 0 };
	long e;

	self->entry = put_into_state(self->chan, &self->c, &self->s, variant->state, MSGC_FOREVER);
	ASSERT_LE(0, self->entry);
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(want[variant->state], says(&self->c, 0));
	ep_close(&self->s);
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	e = take(&self->s);
	if (variant->state == ANSWERED) {
		EXPECT_EQ(-EAGAIN, e);
		return;
	}
	ASSERT_GE(e, 0);
	EXPECT_EQ(attempts[variant->state], held(&self->s, e)->attempts);
	EXPECT_EQ(attempts[variant->state] ? MSGC_M_REDELIVERED : 0, held(&self->s, e)->flags);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

/* No server left: NEED_SERVER ends it, unlike the default above. */
TEST_F(outcome, no_server_left)
{
	struct msgc_call arg = { .slot = 0, .flags = MSGC_NEED_SERVER, .deadline = MSGC_FOREVER };
	struct runner r;

	*request(&self->c, 0) = (struct msgc_request){ .room = PAGE, .cookie = 5 };
	EXPECT_EQ(-EHOSTDOWN, call(&self->c, 0, MSGC_NEED_SERVER, MSGC_FOREVER));
	EXPECT_EQ(0, says(&self->c, 0));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	if (variant->state != NEVER_TAKEN)
		EXPECT_LE(0, self->entry = take(&self->s));
	if (variant->state == ANSWERED)
		EXPECT_EQ(0, reply(&self->s, self->entry, 0, 0));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(variant->state == NEVER_TAKEN ? SAYS(IDLE, NOT_EXECUTED, -EHOSTDOWN) :
		  variant->state == ANSWERED	? SAYS(IDLE, DONE, 0) :
						  SAYS(IDLE, MAYBE, -EHOSTDOWN),
		  says(&self->c, 0));
}

/* ---- servers that die, without redelivery and with a limit ---- */

TEST_F(call, owner_dead)
{
	struct msgc_call arg = { .slot = 0, .deadline = MSGC_FOREVER };
	struct runner r;
	struct kid k;

	ep_close(&self->s);
	ASSERT_TRUE(until(!info(self->chan).receivers));
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	k = server_that_took(self->chan, 1);
	EXPECT_EQ(TAKEN, line(&self->c, 0)->state);
	EXPECT_FALSE(r.done);
	kid_end(&k, SIGKILL);
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(SAYS(IDLE, MAYBE, -EOWNERDEAD), says(&self->c, 0));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

TEST(max_attempts)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER,
					      .max_attempts = 2));
	struct ep c;

	ASSERT_EQ(0, ep_sender(&c, chan));
	*request(&c, 0) = (struct msgc_request){ .cookie = 1 };
	ASSERT_EQ(0, start(&c, 0, MSGC_FOREVER));
	for (int n = 0; n < 2; n++) {
		die_holding(chan, 1);
		EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&c, 0)) { TH_LOG("death %d", n); }
	}
	die_holding(chan, 1);
	EXPECT_EQ(SAYS(IDLE, MAYBE, -EOWNERDEAD), says(&c, 0));
}

/* To the front of the queue, in the order in which they had been taken. */
TEST(redelivery_order)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER));
	static const int order[] = { 1, 0, 3, 2 };
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < SLOTS; n++)
		ASSERT_EQ(0, start(&c, order[n], MSGC_FOREVER));
	die_holding(chan, 3);
	EXPECT_EQ(3, info(chan).redelivered);
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (int n = 0; n < SLOTS; n++) {
		long e = take(&s);

		ASSERT_GE(e, 0);
		EXPECT_EQ(order[n], held(&s, e)->slot);
		EXPECT_EQ(n < 3, held(&s, e)->attempts);
	}
}

/* ---- slots ---- */

TEST_F(call, slot_busy_until_let_go)
{
	long e = take_in_time(&self->c, 0, &self->s);
	__u32 event;

	ASSERT_GE(e, 0);
	event = line(&self->c, 0)->event;
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(SAYS(TAKEN, MAYBE, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_EQ(event + 1, line(&self->c, 0)->event);
	EXPECT_EQ(POLLIN, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	request(&self->c, 0)->handled = line(&self->c, 0)->event;
	EXPECT_EQ(0, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(0, reply(&self->s, e, 3, 0));
	EXPECT_EQ(SAYS(IDLE, MAYBE, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_EQ(event + 2, line(&self->c, 0)->event);
	EXPECT_EQ(POLLOUT, poll_now(self->c.fd, POLLOUT));
	request(&self->c, 0)->handled = line(&self->c, 0)->event;
	EXPECT_EQ(0, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
}

TEST_F(call, asynchronous)
{
	struct msgc_wait in = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner r;
	long e[SLOTS];

	for (int n = 0; n < SLOTS; n++)
		ASSERT_EQ(0, start(&self->c, n, MSGC_FOREVER));
	EXPECT_EQ(0, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(-EAGAIN, resume(&self->c, 0, MSGC_NOW));
	EXPECT_EQ(-ETIMEDOUT, resume(&self->c, 0, in_ms(5)));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	for (int n = 0; n < SLOTS; n++) {
		e[n] = take(&self->s);
		EXPECT_EQ(n, held(&self->s, e[n])->slot);
	}
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_WAIT, &in));
	EXPECT_EQ(0, reply(&self->s, e[2], 0, 0));
	EXPECT_EQ(MSGC_IN, runner_end(&r));
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(2, resume(&self->c, 2, MSGC_FOREVER));
	request(&self->c, 2)->handled = line(&self->c, 2)->event;
	EXPECT_EQ(0, poll_now(self->c.fd, POLLIN | POLLOUT));
	EXPECT_EQ(0, reply(&self->s, e[0], 0, 0));
	EXPECT_EQ(POLLIN | POLLOUT, poll_ms(self->c.fd, POLLIN | POLLOUT, 1000));
}

TEST_F(call, second_waiter)
{
	struct msgc_call arg = { .slot = 0, .deadline = MSGC_FOREVER };
	struct runner r;
	long e;

	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	EXPECT_EQ(-EBUSY, resume(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EBUSY, call(&self->c, 0, 0, MSGC_FOREVER));
	/* different slots are independent */
	EXPECT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	e = take(&self->s);
	EXPECT_EQ(0, held(&self->s, e)->slot);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
}

/* A deadline that nobody waits for is judged all the same: by RECV, by poll. */
TEST_F(call, asynchronous_deadline)
{
	ASSERT_EQ(0, start(&self->c, 0, in_ms(10)));
	EXPECT_EQ(POLLIN | POLLOUT, poll_ms(self->c.fd, POLLIN | POLLOUT, 2000));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 0));
	ASSERT_EQ(0, start(&self->c, 1, 1));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 1));
	EXPECT_EQ(0, poll_now(self->s.fd, POLLIN));
}

/* ---- one-way ---- */

TEST_F(call, one_way)
{
	struct msgc_call arg = { .slot = 0, .flags = MSGC_ONEWAY, .deadline = MSGC_FOREVER };
	struct runner r;
	long e;

	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	EXPECT_EQ(0, runner_end(&r));				/* done when taken */
	EXPECT_EQ(SAYS(TAKEN, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(MSGC_M_ONEWAY, held(&self->s, e)->flags);
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EMSGSIZE, reply(&self->s, e, 1, 0));		/* no room for an answer */
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	/* nobody takes it */
	EXPECT_EQ(1, call(&self->c, 1, MSGC_ONEWAY, in_ms(5)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 1));
}

/* ---- several clients, several servers ---- */

TEST_F(call, several_clients_in_order)
{
	struct ep c[3];

	for (int n = 0; n < 3; n++)
		ASSERT_EQ(0, ep_sender(&c[n], self->chan));
	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	for (int n = 0; n < 6; n++) {
		request_data(&c[n % 3], n / 3)[0] = n;
		ASSERT_EQ(0, start(&c[n % 3], n / 3, MSGC_FOREVER));
	}
	for (int n = 0; n < 6; n++) {
		long e = take(&self->s);

		ASSERT_GE(e, 0);
		EXPECT_EQ(c[n % 3].at.id, held(&self->s, e)->client);
		EXPECT_EQ(n / 3, held(&self->s, e)->slot);
		EXPECT_EQ(n, seen_request(&self->s, c[n % 3].at.number, n / 3)[0]);
	}
	for (int n = 0; n < 3; n++)
		ep_close(&c[n]);
}

TEST_F(call, one_server_only)
{
	EXPECT_GT(0, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)));
	ep_close(&self->s);
	EXPECT_TRUE(until(ep_receiver(&self->s, self->chan) == 0));
}

TEST(many_servers)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_MANY_SERVERS,
					      .max_receivers = 3));
	struct ep c, s[3];
	long e[3];

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < 3; n++)
		ASSERT_EQ(0, ep_receiver(&s[n], chan));
	EXPECT_EQ(-EUSERS, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)));
	for (int n = 0; n < 3; n++) {
		*request(&c, n) = (struct msgc_request){ .room = PAGE };
		ASSERT_EQ(0, start(&c, n, MSGC_FOREVER));
	}
	for (int n = 0; n < 3; n++) {
		e[n] = take(&s[n]);
		EXPECT_EQ(n, held(&s[n], e[n])->slot);
		EXPECT_EQ(-EAGAIN, n == 2 ? take(&s[0]) : -EAGAIN);
	}
	/* a call belongs to the server that took it */
	EXPECT_EQ(-ENOENT, reply_id(&s[0], held(&s[1], e[1])->call, 0, 0));
	EXPECT_EQ(0, detach(s[0].fd));
	EXPECT_EQ(SAYS(IDLE, MAYBE, -EOWNERDEAD), says(&c, 0));
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&c, 1));
	EXPECT_EQ(0, reply(&s[1], e[1], 0, 0));
	EXPECT_EQ(0, reply(&s[2], e[2], 0, 0));
	EXPECT_EQ(s[2].at.id, line(&c, 2)->server);
}

/* One call wakes a server, however many sleep, and is given to one of them. */
TEST(many_servers_asleep)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_MANY_SERVERS,
					      .max_receivers = 3));
	struct msgc_recv arg = { .deadline = MSGC_FOREVER };
	struct runner r[3];
	struct ep c, s[3];
	int done = 0;

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < 3; n++) {
		ASSERT_EQ(0, ep_receiver(&s[n], chan));
		ASSERT_TRUE(runner_start(&r[n], s[n].fd, MSGC_RECV, &arg));
	}
	for (int calls = 1; calls <= 3; calls++) {
		ASSERT_EQ(0, start(&c, calls, MSGC_FOREVER));
		EXPECT_TRUE(until((done = r[0].done + r[1].done + r[2].done) >= calls));
		usleep(5000);
		EXPECT_EQ(calls, r[0].done + r[1].done + r[2].done);
	}
}

TEST(all_entries_held)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS));
	struct ep c, s;
	long e;

	ASSERT_EQ(0, ep_sender(&c, chan));
	EXPECT_EQ(-EINVAL, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER, .held = 1025)));
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 2)));
	for (int n = 0; n < 3; n++)
		ASSERT_EQ(0, start(&c, n, MSGC_FOREVER));
	EXPECT_LE(0, e = take(&s));
	EXPECT_LE(0, take(&s));
	EXPECT_EQ(-EBUSY, take(&s));
	EXPECT_EQ(-EBUSY, receive(&s, MSGC_FOREVER));
	EXPECT_EQ(0, reply(&s, e, 0, 0));
	EXPECT_EQ(e, take(&s));
	EXPECT_EQ(2, held(&s, e)->slot);
}

/* ---- REPLY_RECV ---- */

TEST_F(call, reply_recv)
{
	struct msgc_reply arg = { .call = 0 };
	struct runner r;

	ep_own(&self->s)->deadline = MSGC_NOW;
	EXPECT_EQ(-EAGAIN, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));	/* call 0: only receive */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_LE(0, take(&self->s));

	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call + 0x10000 };
	EXPECT_EQ(-ENOENT, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));
	EXPECT_NE(0, arg.call);
	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call, .len = 4097 };
	EXPECT_EQ(-EMSGSIZE, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));
	EXPECT_NE(0, arg.call);
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
	/* after any other error nothing was done */
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 1));

	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call, .len = 2, .status = 9 };
	EXPECT_EQ(0, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));
	EXPECT_EQ(SAYS(IDLE, DONE, 9), says(&self->c, 0));
	EXPECT_EQ(1, held(&self->s, 0)->slot);

	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call };
	EXPECT_EQ(-EAGAIN, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));	/* the reply went out */
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 1));
	ep_own(&self->s)->deadline = in_ms(5);
	arg = (struct msgc_reply){ .call = 0 };
	EXPECT_EQ(-ETIMEDOUT, cmd(self->s.fd, MSGC_REPLY_RECV, &arg));
	ep_own(&self->s)->deadline = MSGC_FOREVER;
	ASSERT_TRUE(runner_start(&r, self->s.fd, MSGC_REPLY_RECV, &arg));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_LE(0, runner_end(&r));
}

static int volatile restarts;

static void count_restart(int sig)
{
	(void)sig;
	restarts++;
}

/* The reply goes out once, whatever signals come while the second half sleeps. */
TEST_F(call, reply_recv_restarts)
{
	struct sigaction sa = { .sa_handler = count_restart, .sa_flags = SA_RESTART };
	struct msgc_reply arg;
	struct runner r;

	sigaction(SIGUSR1, &sa, NULL);
	ep_own(&self->s)->deadline = MSGC_FOREVER;
	for (int n = 0; n < 2; n++) {
		ASSERT_EQ(0, start(&self->c, n, MSGC_FOREVER));
		ASSERT_LE(0, take(&self->s));
		arg = (struct msgc_reply){ .call = held(&self->s, 0)->call, .status = 5 + n };
		ASSERT_TRUE(runner_start(&r, self->s.fd, MSGC_REPLY_RECV, &arg));
		EXPECT_EQ(SAYS(IDLE, DONE, 5 + n), says(&self->c, n));
		restarts = 0;
		pthread_kill(r.thread, SIGUSR1);
		EXPECT_TRUE(until(restarts));
		/* without SA_RESTART: EINTR, and the zeroed call tells that the reply is out */
		if (n) {
			EXPECT_EQ(-EINTR, runner_end(&r));
			EXPECT_EQ(0, arg.call);
			break;
		}
		EXPECT_TRUE(asleep(getpid(), r.tid));
		EXPECT_FALSE(r.done);
		ASSERT_EQ(0, start(&self->c, 3, MSGC_FOREVER));
		EXPECT_EQ(0, runner_end(&r));
		EXPECT_EQ(3, held(&self->s, 0)->slot);
		EXPECT_EQ(0, reply(&self->s, 0, 0, 0));
		sa.sa_flags = 0;
		sigaction(SIGUSR1, &sa, NULL);
	}
}

static volatile sig_atomic_t lingers, go_on;

static void linger(int sig)
{
	(void)sig;
	lingers = 1;
	while (!go_on)
		usleep(1000);
}

/* Restarted, it finds the inbox full; EBUSY would say that the reply did not go out. */
TEST(reply_recv_restarts_too_late)
{
	struct sigaction sa = { .sa_handler = linger, .sa_flags = SA_RESTART };
	int chan = create_private(CREATE_CALL(.slots = SLOTS));
	struct msgc_reply arg;
	struct runner r;
	struct ep c, s;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 1)));
	ep_own(&s)->deadline = MSGC_FOREVER;
	ASSERT_EQ(0, start(&c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&s));
	arg = (struct msgc_reply){ .call = held(&s, 0)->call, .status = 5 };
	ASSERT_TRUE(runner_start(&r, s.fd, MSGC_REPLY_RECV, &arg));
	EXPECT_EQ(SAYS(IDLE, DONE, 5), says(&c, 0));
	pthread_kill(r.thread, SIGUSR1);
	EXPECT_TRUE(until(lingers));
	ASSERT_EQ(0, start(&c, 1, MSGC_FOREVER));
	EXPECT_EQ(0, take(&s));
	go_on = 1;
	EXPECT_EQ(-EAGAIN, runner_end(&r));
	EXPECT_EQ(0, arg.call);
}

TEST_F(call, call_restarts)
{
	struct sigaction sa = { .sa_handler = count_restart, .sa_flags = SA_RESTART };
	struct msgc_call arg = { .slot = 0, .deadline = MSGC_FOREVER };
	struct runner r;
	long e;

	sigaction(SIGUSR1, &sa, NULL);
	for (int taken = 0; taken < 2; taken++) {
		arg.flags = 0;
		ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
		e = taken ? take(&self->s) : 0;
		restarts = 0;
		pthread_kill(r.thread, SIGUSR1);
		EXPECT_TRUE(until(restarts));
		EXPECT_TRUE(asleep(getpid(), r.tid));
		EXPECT_FALSE(r.done);
		e = taken ? e : take(&self->s);
		EXPECT_EQ(-EAGAIN, take(&self->s));		/* one call, not two */
		EXPECT_EQ(0, reply(&self->s, e, 0, 0));
		EXPECT_EQ(0, runner_end(&r));
		EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	}
}

TEST_F(call, interrupt)
{
	struct msgc_call arg = { .slot = 0, .deadline = MSGC_FOREVER };
	struct msgc_recv recv = { .deadline = MSGC_FOREVER };
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	EXPECT_EQ(0, none(self->c.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&r));
	EXPECT_EQ(MSGC_RESUME, arg.flags);
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	EXPECT_EQ(0, reply(&self->s, take(&self->s), 0, 0));
	EXPECT_EQ(0, cmd(self->c.fd, MSGC_CALL, &arg));
	ASSERT_TRUE(runner_start(&r, self->s.fd, MSGC_RECV, &recv));
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&r));
}

TEST_F(call, uring_completion_during_call)
{
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct io_uring ring;
	struct poller p = { .ring = &ring };
	long e;

	if (io_uring_queue_init(32, &ring, 0))
		SKIP(return, "no io_uring");
	ASSERT_TRUE(poller_start(&p, self->c.fd, MSGC_CALL, &arg));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	EXPECT_TRUE(poller_sleeps_on(&p));
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, poller_end(&p));
	io_uring_queue_exit(&ring);
}

/* ---- races ---- */

static void *serve(void *p)
{
	struct ep *s = p;

	while (!READ_ONCE(s->seq)) {
		long e = receive(s, in_ms(50));

		if (e >= 0)
			reply(s, e, 0, 77);
	}
	return NULL;
}

/* Signals all the time: with SA_RESTART no call is lost, doubled or ended early. */
static volatile bool stop_signals;

static void *pester(void *p)
{
	while (!stop_signals) {
		pthread_kill(*(pthread_t *)p, SIGUSR1);
		usleep(200);
	}
	return NULL;
}

TEST_F(call, signal_storm)
{
	struct sigaction sa = { .sa_handler = count_restart, .sa_flags = SA_RESTART };
	pthread_t me = pthread_self(), server, signals;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&server, NULL, serve, &self->s);
	pthread_create(&signals, NULL, pester, &me);
	for (int n = 0; n < 300; n++) {
		ASSERT_EQ(n % SLOTS, call(&self->c, n % SLOTS, 0, MSGC_FOREVER)) {
			TH_LOG("call %d", n);
		}
		ASSERT_EQ(SAYS(IDLE, DONE, 77), says(&self->c, n % SLOTS));
		ASSERT_EQ(2 * (n / SLOTS + 1), (int)line(&self->c, n % SLOTS)->event);
	}
	stop_signals = true;
	pthread_join(signals, NULL);
	WRITE_ONCE(self->s.seq, 1);
	pthread_join(server, NULL);
	EXPECT_LT(0, restarts);
}

/*
 * Deadlines, cancels and answers at the same moment: each call ends in exactly one way, and says
 * which.
 */
TEST_F(call, ending_race)
{
	int ended[2] = { 0 };
	pthread_t server;

	pthread_create(&server, NULL, serve, &self->s);
	for (int n = 0; n < 400; n++) {
		int slot = n % SLOTS;

		request(&self->c, slot)->cookie = n;
		if (n & 1) {
			ASSERT_EQ(slot, call(&self->c, slot, 0, now() + n * 500)) {
				TH_LOG("call %d", n);
			}
		} else {
			ASSERT_EQ(0, start(&self->c, slot, MSGC_FOREVER));
			if (n & 2)
				sched_yield();
			cancel(&self->c, slot, n);
			ASSERT_EQ(slot, resume(&self->c, slot, MSGC_FOREVER));
		}
		switch (says(&self->c, slot) % 1000000) {
		case SAYS(0, DONE, 77):
			ended[0]++;
			break;
		case SAYS(0, NOT_EXECUTED, -ETIMEDOUT):
		case SAYS(0, MAYBE, -ETIMEDOUT):
		case SAYS(0, NOT_EXECUTED, -ECANCELED):
		case SAYS(0, MAYBE, -ECANCELED):
			ended[1]++;
			break;
		default:
			EXPECT_EQ(0, says(&self->c, slot)) { TH_LOG("call %d", n); }
		}
		ASSERT_TRUE(until(line(&self->c, slot)->state == IDLE));
	}
	WRITE_ONCE(self->s.seq, 1);
	pthread_join(server, NULL);
	EXPECT_EQ(400, ended[0] + ended[1]);
}

/* ---- windows when clients go ---- */

/* A dead client does not keep pages that it no longer pays for. */
TEST_F(call, replies_after_detach)
{
	unsigned char *own = reply_data(&self->c, 0);

	seen_reply(&self->s, 0, 0)[0] = 0x66;
	EXPECT_EQ(0x66, own[0]);
	ASSERT_EQ(0, detach(self->c.fd));
	EXPECT_TRUE(until(own[0] == 0));
}

/*
 * The request of a taken call stays readable after its client's death, until let go; then the
 * windows show nothing of anybody's.
 */
TEST_F(call, window_after_the_client)
{
	unsigned char *rd, *wr;
	long e;

	memset(request_data(&self->c, 0), 0x11, PAGE);
	memset(request_data(&self->c, 1), 0x22, PAGE);
	rd = seen_request(&self->s, 0, 0);
	wr = seen_reply(&self->s, 0, 0);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	EXPECT_EQ(0x11, rd[100]);
	EXPECT_EQ(0x22, rd[PAGE]);
	ep_close(&self->c);
	EXPECT_TRUE(until(held(&self->s, e)->flags & MSGC_M_GONE));
	EXPECT_TRUE(until(rd[PAGE] == 0));		/* not taken: gone at once */
	EXPECT_EQ(0x11, rd[100]);
	wr[0] = 1;
	EXPECT_EQ(0, reply(&self->s, e, 1, 0));
	EXPECT_TRUE(until(rd[100] == 0));

	/* a read and then a write fault, behind the revocation */
	EXPECT_EQ(0, wr[2 * PAGE]);
	wr[2 * PAGE] = 0x33;
	wr[3 * PAGE] = 0x44;
	EXPECT_EQ(0, rd[2 * PAGE]);

	/*
	 * the next client in that index starts from zero, and what was written above is not in its
	 * memory
	 */
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	while (self->c.at.number) {
		struct ep next;

		ASSERT_EQ(0, ep_sender(&next, self->chan));
		ep_close(&self->c);
		self->c = next;
	}
	EXPECT_EQ(0, reply_data(&self->c, 2)[0] | reply_data(&self->c, 3)[0]);
	EXPECT_EQ(0, wr[2 * PAGE]);
	wr[2 * PAGE] = 0x55;
	EXPECT_EQ(0x55, reply_data(&self->c, 2)[0]);
}

/*
 * A read-only window shows a zero page, the writable one the server's own scratch: one server's
 * bytes never reach another.
 */
TEST(scratch_is_not_shared)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_MANY_SERVERS));
	unsigned char *w[2];
	struct ep c, s[2];

	ASSERT_EQ(0, ep_sender(&c, chan));
	for (int n = 0; n < 2; n++) {
		ASSERT_EQ(0, ep_receiver(&s[n], chan));
		w[n] = seen_reply(&s[n], 0, 0);
		EXPECT_EQ(0, w[n][0]);
	}
	ep_close(&c);
	/* until then they may see the client's pages */
	ASSERT_TRUE(until(ep_line(&s[0], c.at.id)->state == MSGC_REVOKED));
	for (int n = 0; n < 2; n++)
		EXPECT_EQ(0, w[n][PAGE]);
	memset(w[0], 0x66, SLOTS * PAGE);
	for (int p = 0; p < SLOTS; p++) {
		EXPECT_EQ(0, w[1][p * PAGE]);
		EXPECT_EQ(0, seen_request(&s[0], 0, p)[0]);
	}
}

/* An evicted server can no longer write into the reply of the call that was given to another. */
TEST(evicted_server)
{
	int chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER));
	struct ep c, bad, next;
	unsigned char *w;
	long e;

	ASSERT_EQ(0, ep_sender(&c, chan));
	*request(&c, 0) = (struct msgc_request){ .room = PAGE };
	ASSERT_EQ(0, ep_receiver(&bad, chan));
	ASSERT_EQ(0, start(&c, 0, MSGC_FOREVER));
	e = take(&bad);
	w = seen_reply(&bad, 0, 0);
	w[0] = 1;
	EXPECT_EQ(0, evict(chan, bad.at.id));
	ASSERT_EQ(0, ep_receiver(&next, chan));
	e = take(&next);
	ASSERT_GE(e, 0);
	EXPECT_EQ(1, held(&next, e)->attempts);
	seen_reply(&next, 0, 0)[0] = 2;
	w[0] = 3;
	EXPECT_EQ(2, reply_data(&c, 0)[0]);
	EXPECT_EQ(0, reply(&next, e, 1, 0));
	EXPECT_EQ(2, reply_data(&c, 0)[0]);
}

/* ---- end of stream: servers always stay ---- */

/* Its death, and later the end of what it left, are changes of the membership. */
TEST_F(call, no_hangup_for_servers)
{
	ep_close(&self->c);
	EXPECT_TRUE(until((ep_own(&self->s)->seen = ep_status(&self->s)->generation,
			   !poll_now(self->s.fd, POLLIN | POLLPRI))));
	EXPECT_EQ(-ETIMEDOUT, receive(&self->s, in_ms(5)));
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(POLLIN, poll_now(self->s.fd, POLLIN));
}

/* ---- killed clients, at any moment ---- */

static int busy_client(int sk, void *p)
{
	struct ep c;
	int n = 0;

	(void)sk;
	if (ep_sender(&c, *(int *)p))
		return 1;
	while (call(&c, n % SLOTS, n % 3 ? 0 : MSGC_ASYNC, in_ms(1)) != -EINVAL)
		n++;
	return 0;
}

TEST_F(call, kill_storm)
{
	for (int round = 0; round < 20; round++) {
		struct kid k = kid_start(busy_client, &self->chan);

		for (int n = 0; n < 10 + round; n++) {
			long e = receive(&self->s, in_ms(20));

			if (e >= 0)
				reply(&self->s, e, 0, 0);
		}
		kid_end(&k, SIGKILL);
	}
	ASSERT_TRUE(until(info(self->chan).senders == 1));
	while (take(&self->s) >= 0)
		;
	for (int n = 0; n < 3; n++) {
		struct ep c;

		EXPECT_TRUE(until(ep_sender(&c, self->chan) == 0));
	}
}

/* ---- time namespaces: client, host and server have different clocks ---- */

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return ok ? 0 : -1;
}

static int client_in_timens(int sk, void *p)
{
	struct ep c;

	if (now() < 1000000 * 1000 * MS || ep_sender(&c, *(int *)p))
		return 1;
	tell(sk, start(&c, 0, in_ms(60000)));
	hear(sk);
	return 0;
}

static int enter_timens(int sk, void *p)
{
	struct kid k;

	if (unshare(CLONE_NEWTIME) ||
	    write_text("/proc/self/timens_offsets", "monotonic 1000000 0"))
		return 1;
	k = kid_start(client_in_timens, p);
	tell(sk, hear(k.sk));
	hear(sk);
	return kid_end(&k, 0);
}

TEST_F(call, time_namespaces)
{
	struct kid k = kid_start(enter_timens, &self->chan);
	__u64 end = in_ms(60000);
	long e;

	EXPECT_EQ(0, hear(k.sk));
	e = take(&self->s);
	ASSERT_GE(e, 0);
	EXPECT_GT(held(&self->s, e)->deadline, end - 20000 * MS);
	EXPECT_LT(held(&self->s, e)->deadline, end + 20000 * MS);
	EXPECT_EQ(0, kid_end(&k, 0));
}

TEST_HARNESS_MAIN
