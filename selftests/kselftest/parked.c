// SPDX-License-Identifier: MIT
/*
 * parked.c - commands by io_uring: that they do what ioctl does, what a parked one waits for, and
 * what ends it.
 */
#include "ring.h"
#include "worker.h"

/* ---- the same by ioctl and by io_uring ---- */

/*
 * One script, played on two equal pairs of endpoints, by ioctl and by io_uring; results and the
 * client's lines are compared after each step.
 */
struct pair {
	int chan;
	struct ep a, b;		/* sender or client; receiver or server */
};

union arg {
	struct msgc_wait wait;
	struct msgc_none none;
	struct msgc_refuse refuse;
	struct msgc_claim claim;
	struct msgc_return give_back;
	struct msgc_call call;
	struct msgc_cancel cancel;
	struct msgc_recv recv;
	struct msgc_reply reply;
};

struct step {
	const char *what;
	bool b;			/* by b, else a */
	__u32 nr;
	union arg arg;
	long want;
	enum { AS_IT_IS, HELD_CALL, HELD_CLAIM, PEER_ID } with;	/* what is filled in */
	bool by_ioctl;		/* by both: it only prepares */
	bool publish;		/* a has published a record before */
};

#define CALL_CMD(...)	.nr = MSGC_CALL, .arg.call = { __VA_ARGS__ }
#define RECV_CMD(...)	.nr = MSGC_RECV, .arg.recv = { __VA_ARGS__ }
#define REPLY_CMD(...)	.nr = MSGC_REPLY, .arg.reply = { __VA_ARGS__ }
#define NEXT_CMD(...)	.nr = MSGC_REPLY_RECV, .arg.reply = { __VA_ARGS__ }
#define WAIT_CMD(...)	.nr = MSGC_WAIT, .arg.wait = { __VA_ARGS__ }
#define CLAIM_CMD(...)	.nr = MSGC_CLAIM, .arg.claim = { __VA_ARGS__ }
#define NONE_CMD(n)	.nr = n, .arg.none = { { 0, 0 } }
#define FOREVER		.deadline = MSGC_FOREVER

#define A(name, result, ...)	{ .what = name, .want = result, __VA_ARGS__ }
#define B(name, result, ...)	{ .what = name, .want = result, .b = true, __VA_ARGS__ }

static void fill_in(const struct pair *p, const struct step *s, union arg *arg)
{
	const struct msgc_claims *claims = (void *)p->b.area[MSGC_INBOX];

	if (s->with == HELD_CALL)
		arg->reply.call = held(&p->b, 0)->call;
	else if (s->with == HELD_CLAIM)
		arg->give_back.id = claims->entry[__builtin_ctzll(claims->held)].id;
	else if (s->with == PEER_ID)
		arg->refuse.peer = s->b ? p->a.at.id : p->b.at.id;
}

static long play(struct pair *p, struct io_uring *ring, const struct step *s)
{
	int fd = s->b ? p->b.fd : p->a.fd;
	union arg arg = s->arg;

	if (s->publish)
		tx_send(&p->a, 1, "x", 1);
	fill_in(p, s, &arg);
	return ring && !s->by_ioctl ? ring_cmd(ring, fd, s->nr, &arg) : cmd(fd, s->nr, &arg);
}

static void pair_open(struct pair *p, struct msgc_create how)
{
	p->chan = create_private(how);
	ep_sender(&p->a, p->chan);
	ep_receiver(&p->b, p->chan);
}

static void pair_close(struct pair *p)
{
	ep_close(&p->a);
	ep_close(&p->b);
	close(p->chan);
}

static void play_both(struct __test_metadata *_metadata, struct msgc_create how,
		      const struct step *script, int steps)
{
	struct io_uring ring;
	struct pair p, q;

	if (!can_park())
		SKIP(return, "before 6.7");
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, 0));
	pair_open(&p, how);
	pair_open(&q, how);
	for (int i = 0; i < steps; i++) {
		const struct step *s = &script[i];
		long x = play(&p, NULL, s), y = play(&q, &ring, s);

		EXPECT_EQ(s->want, x) { TH_LOG("by ioctl: %s", s->what); }
		EXPECT_EQ(s->want, y) { TH_LOG("by io_uring: %s", s->what); }
		for (int n = 0; how.mode == MSGC_RENDEZVOUS && n < 4; n++) {
			EXPECT_EQ(says(&p.a, n), says(&q.a, n)) {
				TH_LOG("slot %d after: %s", n, s->what);
			}
		}
	}
	pair_close(&p);
	pair_close(&q);
	io_uring_queue_exit(&ring);
}

#define PLAY(how, script)	play_both(_metadata, how, script, ARRAY_SIZE(script))

TEST(same_calls)
{
	static const struct step script[] = {
		A("call, a flag unknown", -EOPNOTSUPP, CALL_CMD(.flags = 0x100, FOREVER)),
		A("call, a pad", -EINVAL, CALL_CMD(.zero = 1, FOREVER)),
		A("call, a slot too far", -EINVAL, CALL_CMD(.slot = 4, FOREVER)),
		A("call, no deadline", -EINVAL, CALL_CMD(.slot = 0)),
		A("call, both flags", -EINVAL, CALL_CMD(.flags = 10, FOREVER)),
		A("nothing to resume", -ENOENT, CALL_CMD(.flags = MSGC_RESUME, FOREVER)),
		A("call, overdue", 0, CALL_CMD(.deadline = 1)),
		A("start", 0, CALL_CMD(.flags = MSGC_ASYNC, FOREVER)),
		A("start, busy", -EBUSY, CALL_CMD(.flags = MSGC_ASYNC, FOREVER)),
		A("call, busy", -EBUSY, CALL_CMD(FOREVER)),
		A("resume, not now", -EAGAIN, CALL_CMD(.flags = MSGC_RESUME)),
		A("resume, in time", -ETIMEDOUT, CALL_CMD(.flags = MSGC_RESUME, .deadline = 1)),
		A("wait, an event unknown", -EOPNOTSUPP, WAIT_CMD(.events = 32, .kick = -1)),
		A("wait for nothing", -EINVAL, WAIT_CMD(.kick = -1)),
		A("wait, no such kick", -EBADF, WAIT_CMD(.events = 1, .kick = 999)),
		A("wait, not now", -EAGAIN, WAIT_CMD(.events = 1, .kick = -1)),
		B("recv, a flag", -EOPNOTSUPP, RECV_CMD(.flags = 1)),
		B("recv, a pad", -EINVAL, RECV_CMD(.zero = 1)),
		B("server waits", 1, WAIT_CMD(.events = 1, .kick = -1, FOREVER)),
		B("recv", 0, RECV_CMD(FOREVER)),
		B("recv, not now", -EAGAIN, RECV_CMD(.deadline = 0)),
		B("recv, in time", -ETIMEDOUT, RECV_CMD(.deadline = 1)),
		B("reply, no such call", -ENOENT, REPLY_CMD(.call = 77)),
		B("reply, too long", -EMSGSIZE, REPLY_CMD(.len = PAGE + 1), .with = HELD_CALL),
		B("reply", 0, REPLY_CMD(.len = 0, .status = -5), .with = HELD_CALL),
		A("client waits", 1, WAIT_CMD(.events = 1, .kick = -1, FOREVER)),
		A("resume", 0, CALL_CMD(.flags = MSGC_RESUME, FOREVER)),
		A("start again", 0, CALL_CMD(.slot = 1, .flags = MSGC_ASYNC, FOREVER)),
		B("next, no such call", -ENOENT, NEXT_CMD(.call = 77)),
		B("next, receive only", 0, NEXT_CMD(.call = 0)),
		A("start one more", 0, CALL_CMD(.slot = 2, .flags = MSGC_ASYNC, FOREVER)),
		B("next", 0, NEXT_CMD(.len = 0), .with = HELD_CALL),
		B("next, nothing there", -EAGAIN, NEXT_CMD(.len = 0), .with = HELD_CALL),
		A("cancel, a flag", -EOPNOTSUPP, .nr = MSGC_CANCEL, .arg.cancel = { .flags = 1 }),
		A("cancel nothing", -ENOENT, .nr = MSGC_CANCEL, .arg.cancel = { .cookie = 9 }),
		A("start to cancel", 0, CALL_CMD(.slot = 3, .flags = MSGC_ASYNC, FOREVER)),
		A("cancel", 0, .nr = MSGC_CANCEL, .arg.cancel = { .slot = 3 }),
		A("one way, nobody", 0, CALL_CMD(.flags = MSGC_ONEWAY, .deadline = 1)),
		A("interrupt", 0, NONE_CMD(MSGC_INTERRUPT)),
		A("wait, interrupted", -EINTR, WAIT_CMD(.events = 1, .kick = -1, FOREVER)),
		B("interrupt server", 0, NONE_CMD(MSGC_INTERRUPT)),
		B("recv, interrupted", -EINTR, RECV_CMD(FOREVER)),
		B("recv, once only", -ETIMEDOUT, RECV_CMD(.deadline = 1)),
		A("of a server", -ENOTTY, RECV_CMD(FOREVER)),
		B("of a client", -ENOTTY, CALL_CMD(FOREVER)),
		A("of a ring", -ENOTTY, NONE_CMD(MSGC_KICK)),
		A("unknown", -ENOTTY, .nr = 0xbcff, .arg.none = { { 0, 0 } }),
		B("detach server", 0, NONE_CMD(MSGC_DETACH), .by_ioctl = true),
		A("need server", -EHOSTDOWN, CALL_CMD(.flags = MSGC_NEED_SERVER, FOREVER)),
		B("recv, dead", -ESHUTDOWN, RECV_CMD(FOREVER)),
		A("detach client", 0, NONE_CMD(MSGC_DETACH), .by_ioctl = true),
		A("call, dead", -ESHUTDOWN, CALL_CMD(FOREVER)),
	};

	PLAY(CREATE_CALL(), script);
}

TEST(same_ring)
{
	static const struct step script[] = {
		A("kick", 0, NONE_CMD(MSGC_KICK)),
		A("kick with something", -EINVAL, .nr = MSGC_KICK, .arg.none = { { 0, 1 } }),
		B("wait, not now", -EAGAIN, WAIT_CMD(.events = 1, .kick = -1)),
		B("wait, in time", -ETIMEDOUT, WAIT_CMD(.events = 1, .kick = -1, .deadline = 1)),
		A("room", 4, WAIT_CMD(.events = 4, .kick = -1, FOREVER)),
		B("refuse, a flag", -EOPNOTSUPP, .nr = MSGC_REFUSE, .arg.refuse = { .flags = 1 }),
		B("refuse nobody", -ENOENT, .nr = MSGC_REFUSE, .arg.refuse = { .peer = 1 }),
		B("refuse", 0, .nr = MSGC_REFUSE, .arg.refuse = { .peer = 0 }, .with = PEER_ID),
		B("claim", -ENOTTY, CLAIM_CMD(.n = 1)),
		B("interrupt", 0, NONE_CMD(MSGC_INTERRUPT)),
		B("interrupted", -EINTR, WAIT_CMD(.events = 1, .kick = -1, FOREVER)),
	};

	PLAY(CREATE(), script);
}

TEST(same_claims)
{
	static const struct step script[] = {
		B("claim, a flag", -EOPNOTSUPP, CLAIM_CMD(.n = 1, .flags = 1)),
		B("claim none", 0, CLAIM_CMD(.n = 0)),
		B("claim, not now", -EAGAIN, CLAIM_CMD(.n = 1)),
		B("claim, in time", -ETIMEDOUT, CLAIM_CMD(.n = 1, .deadline = 1)),
		B("claim", 1, CLAIM_CMD(.n = 1, FOREVER), .publish = true),
		B("return, a pad", -EINVAL, .nr = MSGC_RETURN, .arg.give_back = { .zero = 1 }),
		B("return nothing", -ENOENT, .nr = MSGC_RETURN, .arg.give_back = { .id = 99 }),
		B("return", 0, .nr = MSGC_RETURN, .arg.give_back = { .id = 0 }, .with = HELD_CLAIM),
		B("claim again", 1, CLAIM_CMD(.n = 9, FOREVER)),
		B("interrupt", 0, NONE_CMD(MSGC_INTERRUPT)),
		B("interrupted", -EINTR, CLAIM_CMD(.n = 1, FOREVER)),
		B("claim after", -EAGAIN, CLAIM_CMD(.n = 1)),
		A("detach", 0, NONE_CMD(MSGC_DETACH), .by_ioctl = true),
		B("the end", -EPIPE, CLAIM_CMD(.n = 1, FOREVER)),
	};

	PLAY(CREATE(.delivery = MSGC_BALANCED), script);
}

/* ---- kinds of rings ---- */

FIXTURE(parked) {
	int chan;
	struct ep c, s;
	struct io_uring ring;
};

FIXTURE_VARIANT(parked) {
	unsigned int setup;
	bool files;		/* registered */
	bool async;		/* begun in a worker */
};

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER	(1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN	(1U << 13)
#endif
#define DEFERRED	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

FIXTURE_VARIANT_ADD(parked, plain) { .setup = 0 };
FIXTURE_VARIANT_ADD(parked, deferred) { .setup = DEFERRED };
FIXTURE_VARIANT_ADD(parked, sqpoll) { .setup = IORING_SETUP_SQPOLL };
FIXTURE_VARIANT_ADD(parked, large_sqes) { .setup = IORING_SETUP_SQE128 };
FIXTURE_VARIANT_ADD(parked, registered) { .setup = DEFERRED, .files = true };
FIXTURE_VARIANT_ADD(parked, workers) { .setup = 0, .async = true };

FIXTURE_SETUP(parked)
{
	if (!can_park())
		SKIP(return, "before 6.7");
	self->chan = create_private(CREATE_CALL());
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	for (int i = 0; i < 4; i++)
		request(&self->c, i)->room = PAGE;
	ASSERT_EQ(0, io_uring_queue_init(64, &self->ring, variant->setup));
	if (variant->files) {
		int fds[2] = { self->c.fd, self->s.fd };

		ASSERT_EQ(0, io_uring_register_files(&self->ring, fds, 2));
	}
}

FIXTURE_TEARDOWN(parked)
{
	io_uring_queue_exit(&self->ring);
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/* As the variant has it. */
#define FILL(e, nr, arg, data)								\
({											\
	struct io_uring_sqe *__sqe = fill(&self->ring, (e)->fd, nr, arg, data);	\
											\
	if (variant->files && ((e) == &self->c || (e) == &self->s)) {			\
		__sqe->fd = (e) == &self->s;						\
		__sqe->flags |= IOSQE_FIXED_FILE;					\
	}										\
	if (variant->async)								\
		__sqe->flags |= IOSQE_ASYNC;						\
	__sqe;										\
})
#define SEND(e, nr, arg, data)								\
({											\
	FILL(e, nr, arg, data);								\
	io_uring_submit(&self->ring);							\
})
#define CALL(n, f, until)								\
	SEND(&self->c, MSGC_CALL,							\
	     (&(struct msgc_call){ .slot = n, .flags = f, .deadline = until }), n)
#define RECV(until, data)								\
	SEND(&self->s, MSGC_RECV, (&(struct msgc_recv){ .deadline = until }), data)
#define WAIT(e, what)									\
	SEND(e, MSGC_WAIT,								\
	     (&(struct msgc_wait){ .events = what, .kick = -1, .deadline = MSGC_FOREVER }), 0)
#define REAP()		reap(&self->ring, SOON, NULL)
#define NOTHING_COMES()	EXPECT_EQ(-ETIME, reap(&self->ring, QUIET, NULL))
#define QUEUES(n)	EXPECT_TRUE(until(says(&self->c, n) == SAYS(QUEUED, NOTHING, 0)))

TEST_F(parked, call_and_reply)
{
	CALL(0, 0, MSGC_FOREVER);
	QUEUES(0);
	NOTHING_COMES();
	ASSERT_EQ(0, take(&self->s));
	NOTHING_COMES();
	EXPECT_EQ(0, reply(&self->s, 0, 5, 7));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(SAYS(IDLE, DONE, 7), says(&self->c, 0));
	EXPECT_EQ(5, line(&self->c, 0)->len);
}

/* Each completion names its slot, in whatever order they are answered. */
TEST_F(parked, calls_out_of_order)
{
	static const int order[] = { 2, 0, 3, 1 };

	for (int i = 0; i < 4; i++)
		CALL(i, 0, MSGC_FOREVER);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(i, receive(&self->s, in_ms(SOON)));
	for (int i = 0; i < 4; i++) {
		__u64 data;
		int entry;

		for (entry = 0; held(&self->s, entry)->slot != order[i]; entry++)
			;
		EXPECT_EQ(0, reply(&self->s, entry, 0, 0));
		EXPECT_EQ(order[i], reap(&self->ring, SOON, &data));
		EXPECT_EQ(order[i], (int)data);
	}
}

/* It has its outcome, but its thread does not know yet: nobody else may have the slot. */
TEST_F(parked, slot_until_told)
{
	if (!(variant->setup & DEFERRED))
		SKIP(return, "it would know at once");
	CALL(0, 0, MSGC_FOREVER);
	ASSERT_EQ(0, take(&self->s));
	EXPECT_EQ(0, reply(&self->s, 0, 0, 0));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
}

TEST_F(parked, recv)
{
	RECV(MSGC_FOREVER, 0);
	NOTHING_COMES();
	EXPECT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(1, held(&self->s, 0)->slot);
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 1));
}

/* Several that wait: one call ends one of them. */
TEST_F(parked, recv_one_each)
{
	for (int i = 0; i < 4; i++)
		RECV(MSGC_FOREVER, i);
	NOTHING_COMES();
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, start(&self->c, i, MSGC_FOREVER));
		EXPECT_EQ(i, REAP());
		NOTHING_COMES();
	}
}

TEST_F(parked, reply_recv)
{
	struct msgc_reply r = { .len = 3 };

	WRITE_ONCE(ep_own(&self->s)->deadline, MSGC_FOREVER);
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&self->s));
	r.call = held(&self->s, 0)->call;
	SEND(&self->s, MSGC_REPLY_RECV, &r, 0);
	NOTHING_COMES();
	EXPECT_TRUE(until(says(&self->c, 0) == SAYS(IDLE, DONE, 0)));
	EXPECT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(1, held(&self->s, 0)->slot);
}

/*
 * Its reply went out, and its call came, but another thread took that and with it the last entry:
 * it has to end, and not with EBUSY.
 */
TEST_F(parked, reply_recv_but_full)
{
	int chan = create_private(CREATE_CALL());
	struct msgc_reply r = { .len = 0 };
	struct ep c, s;

	if (!(variant->setup & DEFERRED))
		SKIP(return, "it would take the call at once");
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 1)));
	WRITE_ONCE(ep_own(&s)->deadline, MSGC_FOREVER);
	EXPECT_EQ(0, start(&c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&s));
	r.call = held(&s, 0)->call;
	SEND(&s, MSGC_REPLY_RECV, &r, 0);
	NOTHING_COMES();
	EXPECT_EQ(0, start(&c, 1, MSGC_FOREVER));
	ASSERT_EQ(0, take(&s));
	EXPECT_EQ(-EAGAIN, REAP());
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

/*
 * REPLY_RECV gives the last entry back and takes it again at once: a RECV that is parked beside it
 * must not be told, it would end with EBUSY.
 */
TEST_F(parked, recv_beside_reply_recv)
{
	int chan = create_private(CREATE_CALL());
	struct msgc_recv r = { .deadline = MSGC_FOREVER };
	struct msgc_reply next = { .len = 0 };
	struct ep c, s;

	if (variant->async)
		SKIP(return, "some would begin too late");
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 1)));
	WRITE_ONCE(ep_own(&s)->deadline, MSGC_FOREVER);
	for (int i = 0; i < 3; i++)
		SEND(&s, MSGC_RECV, &r, 0);
	EXPECT_TRUE(until(!io_uring_sq_ready(&self->ring)));
	EXPECT_EQ(0, start(&c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(0, start(&c, 1, MSGC_FOREVER));
	EXPECT_EQ(-EBUSY, REAP());
	next.call = held(&s, 0)->call;
	SEND(&s, MSGC_REPLY_RECV, &next, 0);
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(1, held(&s, 0)->slot);
	NOTHING_COMES();
	EXPECT_EQ(0, reply(&s, 0, 0, 0));
	NOTHING_COMES();
	EXPECT_EQ(0, start(&c, 2, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(2, held(&s, 0)->slot);
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

TEST_F(parked, wait)
{
	WAIT(&self->s, MSGC_IN);
	NOTHING_COMES();
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(MSGC_IN, REAP());
	EXPECT_EQ(0, take(&self->s));
}

TEST_F(parked, claim)
{
	int chan = create_private(CREATE(.delivery = MSGC_BALANCED));
	struct msgc_claim c = { .n = 4, .deadline = MSGC_FOREVER };
	struct ep tx, rx;

	ASSERT_EQ(0, ep_receiver(&rx, chan));
	ASSERT_EQ(0, ep_sender(&tx, chan));
	SEND(&rx, MSGC_CLAIM, &c, 0);
	EXPECT_TRUE(until(ep_status(&rx)->armed));
	EXPECT_EQ(-EBUSY, cmd(rx.fd, MSGC_CLAIM, &c));
	tx_send(&tx, 1, "x", 1);
	EXPECT_EQ(1, REAP());
	c.deadline = MSGC_NOW;
	EXPECT_EQ(-EAGAIN, cmd(rx.fd, MSGC_CLAIM, &c));
	ep_close(&tx);
	ep_close(&rx);
	close(chan);
}

/* Rings: a KICK wakes a parked WAIT, and a release one for space. */
TEST_F(parked, wait_on_rings)
{
	int chan = create_private(CREATE(.ring_max = 8192));
	struct ep tx, rx;

	ASSERT_EQ(0, ep_receiver(&rx, chan));
	ASSERT_EQ(0, ep_sender(&tx, chan));
	rx_sync(&rx);
	for (int n = 0; n < 3; n++) {
		WAIT(&rx, MSGC_IN);
		NOTHING_COMES();
		tx_send(&tx, 1, "x", 1);
		EXPECT_EQ(MSGC_IN, REAP());
		EXPECT_EQ(1, rx_drain(&rx, 0));
		WRITE_ONCE(tx_control(&tx)->need, tx.tail + 32);
		tx_put(&tx, 0, "x", 1);
		tx_publish(&tx);
		WRITE_ONCE(tx_control(&tx)->need, tx.tail);
		WAIT(&tx, MSGC_OUT);
		NOTHING_COMES();
		EXPECT_EQ(1, rx_drain(&rx, 0));
		EXPECT_EQ(MSGC_OUT, REAP());
		WRITE_ONCE(tx_control(&tx)->need, 0);
	}
	ep_close(&tx);
	ep_close(&rx);
	close(chan);
}

/* ---- what ends a parked command ---- */

TEST_F(parked, deadlines)
{
	long entry = -ETIMEDOUT;

	/* on a slow machine only a later one is taken before its deadline */
	for (unsigned int ms = 30; entry == -ETIMEDOUT && ms < SOON; ms *= 2) {
		CALL(0, 0, in_ms(ms));
		entry = receive(&self->s, in_ms(ms));
		if (entry < 0)
			EXPECT_EQ(0, REAP());
	}
	ASSERT_EQ(0, entry);
	/* nobody answers it, nor takes this one */
	CALL(1, 0, in_ms(30));
	EXPECT_EQ(0 + 1, REAP() + REAP());
	EXPECT_EQ(SAYS(TAKEN, MAYBE, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 1));
	RECV(in_ms(20), 9);
	EXPECT_EQ(-ETIMEDOUT, REAP());
}

/* The earlier one that comes later moves the timer; the later one is not forgotten. */
TEST_F(parked, deadlines_of_several)
{
	__u64 deadline[] = { in_ms(3600 * 1000), in_ms(20), in_ms(100) }, data;
	unsigned int told = 0;

	for (int i = 0; i < 3; i++)
		RECV(deadline[i], i);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-ETIMEDOUT, reap(&self->ring, SOON, &data));
		ASSERT_GT(3, data);
		EXPECT_GE(now(), deadline[data]);
		told |= 1 << data;
	}
	EXPECT_EQ(1 << 1 | 1 << 2, told);
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, reap(&self->ring, SOON, &data));
	EXPECT_EQ(0, data);
}

TEST_F(parked, interrupt_ends_one)
{
	RECV(MSGC_FOREVER, 1);
	RECV(MSGC_FOREVER, 2);
	NOTHING_COMES();
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, REAP());
	NOTHING_COMES();
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, REAP());
}

/* The call goes on, and may be waited for again. */
TEST_F(parked, interrupted_call_goes_on)
{
	CALL(0, 0, MSGC_FOREVER);
	QUEUES(0);
	EXPECT_EQ(-EBUSY, resume(&self->c, 0, MSGC_NOW));	/* it has a waiter */
	EXPECT_EQ(0, none(self->c.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, REAP());
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	CALL(0, MSGC_RESUME, MSGC_FOREVER);
	ASSERT_EQ(0, take(&self->s));
	EXPECT_EQ(0, reply(&self->s, 0, 0, 4));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(SAYS(IDLE, DONE, 4), says(&self->c, 0));
}

TEST_F(parked, cancel_tells_the_call)
{
	request(&self->c, 2)->cookie = 42;
	CALL(2, 0, MSGC_FOREVER);
	QUEUES(2);
	EXPECT_EQ(0, cancel(&self->c, 0xffff, 42));
	EXPECT_EQ(2, REAP());
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ECANCELED), says(&self->c, 2));
}

TEST_F(parked, detach)
{
	CALL(0, 0, MSGC_FOREVER);
	QUEUES(0);
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ESHUTDOWN), says(&self->c, 0));
	RECV(MSGC_FOREVER, 0);
	NOTHING_COMES();
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(-ESHUTDOWN, REAP());
}

/* Its file stays open: the endpoint lives, and the command with it. */
TEST_F(parked, closed_fd)
{
	if (variant->files)
		SKIP(return, "a registered file is open anyway");
	CALL(0, 0, MSGC_FOREVER);
	QUEUES(0);
	ep_close(&self->c);
	self->c.fd = -1;
	EXPECT_EQ(1, info(self->chan).senders);
	ASSERT_EQ(0, take(&self->s));
	EXPECT_EQ(0, reply(&self->s, 0, 0, 0));
	EXPECT_EQ(0, REAP());
	EXPECT_TRUE(until(!info(self->chan).senders));
}

/*
 * The ring's end ends the waits, not what they wait for. (6.12 has a check, with lockdep only, that
 * it fails itself if a deferring ring is closed by a thread that lives on.)
 */
TEST_F(parked, ring_closed)
{
	if (variant->setup & DEFERRED && !access("/proc/lockdep_stats", F_OK))
		SKIP(return, "not with lockdep");
	CALL(0, 0, MSGC_FOREVER);
	RECV(MSGC_FOREVER, 0);
	EXPECT_EQ(0, REAP());
	RECV(MSGC_FOREVER, 1);
	NOTHING_COMES();
	io_uring_queue_exit(&self->ring);
	ASSERT_EQ(0, io_uring_queue_init(8, &self->ring, 0));
	EXPECT_TRUE(until(resume(&self->c, 0, MSGC_NOW) == -EAGAIN));
	EXPECT_EQ(0, reply(&self->s, 0, 0, 6));		/* it finds the call in its inbox */
	EXPECT_EQ(0, resume(&self->c, 0, in_ms(SOON)));
	EXPECT_EQ(SAYS(IDLE, DONE, 6), says(&self->c, 0));
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, receive(&self->s, in_ms(SOON)));	/* nobody else took it */
}

/* ---- what is refused ---- */

TEST_F(parked, not_by_io_uring)
{
	struct msgc_none n = { .zero = { 0, 0 } };
	struct ep bound;
	struct msgc_recv r = { .deadline = MSGC_NOW };
	int chan = create_private(CREATE_CALL());

	SEND(&self->c, MSGC_DETACH, &n, 0);
	EXPECT_EQ(-EOPNOTSUPP, REAP());
	ASSERT_EQ(0, ep_attach(&bound, chan,
			       ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_BOUND)));
	EXPECT_EQ(-EPERM, ring_cmd(&self->ring, bound.fd, MSGC_RECV, &r));
	ep_close(&bound);
	close(chan);
}

/* So many may wait at an endpoint; then the rest still works. */
TEST_F(parked, too_many)
{
	long refused = 0, ret;

	for (int i = 0; i < 200; i++) {
		WAIT(&self->s, MSGC_IN);
		if (i < 128)
			continue;
		ret = REAP();
		EXPECT_EQ(-EUSERS, ret);
		refused += ret == -EUSERS;
	}
	EXPECT_EQ(200 - 128, refused);
	NOTHING_COMES();
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	for (int i = 0; i < 128; i++)
		ASSERT_EQ(MSGC_IN, REAP());
}

/* ---- processes ---- */

struct shared {
	struct ep *c, *s;
	struct io_uring *ring;
};

/* A forked child's own ring, and the one that it inherited. */
static int stranger(int sk, void *p)
{
	struct msgc_recv r = { .deadline = MSGC_NOW };
	struct shared *sh = p;
	struct io_uring ring;

	if (io_uring_queue_init(8, &ring, 0))
		return 1;
	tell(sk, ring_cmd(&ring, sh->s->fd, MSGC_RECV, &r));
	tell(sk, ring_cmd(sh->ring, sh->s->fd, MSGC_RECV, &r));
	hear(sk);
	return 0;
}

TEST_F(parked, strangers)
{
	struct shared sh = { &self->c, &self->s, &self->ring };
	struct kid k;

	if (variant->setup & (DEFERRED | IORING_SETUP_SQPOLL))
		SKIP(return, "a single issuer, or a thread of the owner's");
	k = kid_start(stranger, &sh);
	EXPECT_EQ(-EPERM, hear(k.sk));
	EXPECT_EQ(-EPERM, hear(k.sk));
	tell(k.sk, 0);
	EXPECT_EQ(0, kid_end(&k, 0));
}

struct victim {
	int chan;
	unsigned int setup;
	bool execs;
};

/* Has a call and a RECV parked, and a call taken, and then ends in its way. */
static int victim(int sk, void *p)
{
	struct victim *v = p;
	struct io_uring ring;
	struct ep c, s;

	if (io_uring_queue_init(8, &ring, v->setup) || ep_sender(&c, v->chan) ||
	    ep_receiver(&s, v->chan))
		return 1;
	ring_call(&ring, &c, 0, 0, MSGC_FOREVER);
	ring_recv(&ring, &s, MSGC_FOREVER, 9);
	if (reap(&ring, SOON, NULL))
		return 2;
	ring_recv(&ring, &s, MSGC_FOREVER, 9);
	ring_call(&ring, &c, 1, 0, in_ms(3600 * 1000));
	if (reap(&ring, SOON, NULL) != 1)
		return 3;
	ring_recv(&ring, &s, MSGC_FOREVER, 9);
	tell(sk, 1);
	if (v->execs) {
		hear(sk);
		execl("/proc/self/exe", "parked", "--hold", NULL);
		return 4;
	}
	pause();
	return 5;
}

TEST_F(parked, killed)
{
	struct victim v = {
		.chan = create_private(CREATE_CALL()), .setup = variant->setup,
	};
	struct kid k = kid_start(victim, &v);

	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(-SIGKILL, kid_end(&k, SIGKILL));
	EXPECT_TRUE(until(!info(v.chan).receivers && !info(v.chan).senders));
	close(v.chan);
}

TEST_F(parked, exec)
{
	struct victim v = {
		.chan = create_private(CREATE_CALL()), .setup = variant->setup,
		.execs = true,
	};
	struct kid k = kid_start(victim, &v);

	EXPECT_EQ(1, hear(k.sk));
	tell(k.sk, 1);
	/* its rings go with exec, and its endpoint fds, which are O_CLOEXEC */
	EXPECT_TRUE(until(!info(v.chan).receivers && !info(v.chan).senders));
	kid_end(&k, SIGKILL);
	close(v.chan);
}

/* ---- links, several rings, many endpoints ---- */

TEST_F(parked, linked)
{
	struct msgc_recv r = { .deadline = in_ms(SOON) };
	struct msgc_none n = { .zero = { 0, 0 } };

	/* a result above 0 does not break it: INTERRUPT comes when the call has been taken */
	EXPECT_EQ(0, start(&self->c, 3, MSGC_FOREVER));
	EXPECT_EQ(0, take(&self->s));
	EXPECT_EQ(0, start(&self->c, 2, MSGC_FOREVER));
	FILL(&self->s, MSGC_RECV, &r, 1)->flags |= IOSQE_IO_LINK;
	FILL(&self->c, MSGC_INTERRUPT, &n, 2);
	io_uring_submit(&self->ring);
	EXPECT_EQ(1, REAP());
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(-EINTR, wait_for(self->c.fd, MSGC_IN, MSGC_NOW));
	/* an error does */
	r.deadline = MSGC_NOW;
	FILL(&self->s, MSGC_RECV, &r, 1)->flags |= IOSQE_IO_LINK;
	FILL(&self->c, MSGC_INTERRUPT, &n, 2);
	io_uring_submit(&self->ring);
	EXPECT_EQ(-EAGAIN, REAP());
	EXPECT_EQ(-ECANCELED, REAP());
}

/* A reply that is linked to the read of a file into the reply's place. */
TEST_F(parked, reply_linked_to_a_read)
{
	struct msgc_reply r = { .len = 4 };
	struct io_uring_sqe *sqe;
	char name[] = "/tmp/parked-XXXXXX";
	int file = mkstemp(name);

	unlink(name);
	ASSERT_EQ(4, write(file, "text", 4));
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&self->s));
	r.call = held(&self->s, 0)->call;
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_read(sqe, file, seen_reply(&self->s, 0, 0), 4, 0);
	sqe->flags |= IOSQE_IO_LINK;
	FILL(&self->s, MSGC_REPLY, &r, 1);
	io_uring_submit(&self->ring);
	EXPECT_EQ(4, REAP());
	EXPECT_EQ(0, REAP());
	EXPECT_EQ(0, memcmp(reply_data(&self->c, 0), "text", 4));
	EXPECT_EQ(4, line(&self->c, 0)->len);
	close(file);
}

/* A ring whose thread does not enter the kernel keeps no other from the calls that come. */
TEST_F(parked, rings_of_two_threads)
{
	struct worker w;
	struct msgc_recv r = { .deadline = in_ms(SOON) };

	RECV(MSGC_FOREVER, 0);
	NOTHING_COMES();
	worker_start(&w);
	begin(&w, self->s.fd, MSGC_RECV, &r);
	usleep(10000);
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_LE(0, end(&w));
	EXPECT_LE(0, REAP());
	w.nr = 0;
	sem_post(&w.go);
	pthread_join(w.thread, NULL);
}

/* Both of one thread, which looks at one of them only: a call may not wait for the other. */
TEST_F(parked, two_rings_of_one_endpoint)
{
	struct io_uring other;

	ASSERT_EQ(0, io_uring_queue_init(8, &other, variant->setup));
	RECV(MSGC_FOREVER, 0);
	NOTHING_COMES();
	ring_recv(&other, &self->s, MSGC_FOREVER, 0);
	EXPECT_EQ(-ETIME, reap(&other, QUIET, NULL));
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	if (variant->setup & DEFERRED)
		EXPECT_LE(0, reap(&other, SOON, NULL));
	EXPECT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	EXPECT_LE(0, REAP());
	if (!(variant->setup & DEFERRED))
		EXPECT_LE(0, reap(&other, SOON, NULL));
	io_uring_queue_exit(&other);
}

/* One of them goes while it waits: the other gets what comes. */
TEST_F(parked, one_of_two_rings_goes)
{
	struct io_uring other;

	ASSERT_EQ(0, io_uring_queue_init(8, &other, 0));
	ring_recv(&other, &self->s, MSGC_FOREVER, 0);
	RECV(MSGC_FOREVER, 0);
	NOTHING_COMES();
	io_uring_queue_exit(&other);
	EXPECT_EQ(0, start(&self->c, 2, MSGC_FOREVER));
	EXPECT_LE(0, REAP());
}

/* It ends at once, in a worker, while the ring goes. */
TEST_F(parked, workers_and_the_end_of_the_ring)
{
	if (!variant->async)
		SKIP(return, "for workers");
	for (int n = 0; n < 50; n++) {
		EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
		for (int i = 0; i < 8; i++)
			FILL(&self->s, MSGC_RECV,
			     (&(struct msgc_recv){ .deadline = i % 2 ? MSGC_NOW : MSGC_FOREVER }),
			     0);
		io_uring_submit(&self->ring);
		io_uring_queue_exit(&self->ring);
		ASSERT_EQ(0, io_uring_queue_init(64, &self->ring, variant->setup));
		/* whether one of them took it or not, it is still there for who asks */
		while (says(&self->c, 0) == SAYS(QUEUED, NOTHING, 0) && take(&self->s) < 0)
			usleep(1000);
		EXPECT_EQ(0, reply(&self->s, 0, 0, 0));
		EXPECT_EQ(0, resume(&self->c, 0, in_ms(SOON)));
	}
}

/* A sender that publishes filler for ever does not keep the thread in the kernel. */
TEST_F(parked, filler_only)
{
	int chan = create_private(CREATE(.delivery = MSGC_BALANCED, .ring_max = 65536));
	struct msgc_claim c = { .n = 1, .deadline = MSGC_FOREVER };
	struct msgc_record *rec;
	struct ep tx, rx;
	long ret = -ETIME;

	ASSERT_EQ(0, ep_receiver(&rx, chan));
	ASSERT_EQ(0, ep_sender(&tx, chan));
	for (__u64 at = 0; at < tx.at.ring; at += MSGC_ALIGN) {
		rec = (void *)(tx.area[MSGC_DATA] + at);
		memset(rec, 0, sizeof(*rec));
		rec->span_flags = 1 | MSGC_R_PAD;
	}
	SEND(&rx, MSGC_CLAIM, &c, 0);
	for (int n = 0; n < 20000 && ret == -ETIME; n++) {
		for (int i = 0; i < 64; i++) {
			rec = (void *)(tx.area[MSGC_DATA] + (tx.tail & (tx.at.ring - 1)));
			rec->check = (__u32)(tx.tail >> 5) ^ rec->span_flags;
			tx.tail += MSGC_ALIGN;
		}
		if (tx_publish(&tx))
			kick(tx.fd);
		ret = reap(&self->ring, 0, NULL);
	}
	/* EPROTO: it was read while it was overwritten */
	EXPECT_TRUE(ret == -ETIME || ret == -EINTR || ret == -EPROTO) { TH_LOG("%ld", ret); }
	EXPECT_EQ(0, none(rx.fd, MSGC_INTERRUPT));
	if (ret == -ETIME)
		EXPECT_EQ(-EINTR, REAP());
	ep_close(&tx);
	ep_close(&rx);
	close(chan);
}

TEST_F(parked, many_endpoints)
{
	enum { N = 200 };
	static struct ep client[N];
	int chan = create_private(CREATE_CALL(.max_senders = N, .max_receivers = 1));
	struct ep s;
	__u64 data;

	if (variant->async)
		SKIP(return, "in no order");
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = N)));
	for (int i = 0; i < N; i++) {
		struct msgc_call c = { .slot = i % 4, .deadline = MSGC_FOREVER };

		ASSERT_EQ(0, ep_sender(&client[i], chan));
		SEND(&client[i], MSGC_CALL, &c, i);
	}
	for (int i = 0; i < N; i++)
		ASSERT_EQ(i, receive(&s, in_ms(SOON)));
	for (int i = N - 1; i >= 0; i--) {
		EXPECT_EQ(0, reply(&s, i, 0, 0));
		EXPECT_EQ(i % 4, reap(&self->ring, SOON, &data));
		EXPECT_EQ(i, (int)data);
	}
	for (int i = 0; i < N; i++)
		ep_close(&client[i]);
	ep_close(&s);
	close(chan);
}

/* ---- files ---- */

TEST_F(parked, files_of_the_reply)
{
	int chan = create_private(CREATE_CALL()), pfd[2];
	struct msgc_call call = { .deadline = MSGC_FOREVER };
	char byte = 0;
	struct ep c, s;
	int fd;

	ASSERT_EQ(0, ep_attach(&c, chan,
			       ATTACH(.role = MSGC_SENDER, .flags = MSGC_TAKES_FILES)));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, pipe(pfd));
	SEND(&c, MSGC_CALL, &call, 0);
	ASSERT_EQ(0, receive(&s, in_ms(SOON)));
	answer(&s, 0)->nfds = 1;
	answer(&s, 0)->fds[0] = pfd[1];
	EXPECT_EQ(0, reply(&s, 0, 0, 0));
	EXPECT_EQ(0, REAP());
	fd = line(&c, 0)->fds[0];
	ASSERT_LT(0, fd);
	EXPECT_EQ(1, write(fd, "f", 1));
	EXPECT_EQ(1, read(pfd[0], &byte, 1));
	EXPECT_EQ('f', byte);
	close(fd);
	close(pfd[0]);
	close(pfd[1]);
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

/* Who waits there would not hear of what was parked. The core refuses it, or the module. */
TEST(none_in_a_ring_with_iopoll)
{
	int chan = create_private(CREATE_CALL());
	const __u64 none[2] = { 0 };
	struct io_uring ring;
	struct ep s;

	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, IORING_SETUP_IOPOLL));
	EXPECT_EQ(-EOPNOTSUPP, ring_cmd(&ring, s.fd, MSGC_INTERRUPT, none));
	io_uring_queue_exit(&ring);
	ep_close(&s);
	close(chan);
}

/* ---- before 6.7: nothing is parked ---- */

TEST(where_nothing_is_parked)
{
	struct msgc_recv r = { .deadline = MSGC_FOREVER };
	struct msgc_call call = { .deadline = MSGC_FOREVER };
	struct msgc_reply next = { .call = 0 };
	struct io_uring ring;
	struct pair p;

	if (can_park())
		SKIP(return, "this kernel parks");
	ASSERT_EQ(0, io_uring_queue_init(8, &ring, 0));
	pair_open(&p, CREATE_CALL());
	EXPECT_EQ(-EAGAIN, ring_cmd(&ring, p.b.fd, MSGC_RECV, &r));
	EXPECT_EQ(-EOPNOTSUPP, ring_cmd(&ring, p.b.fd, MSGC_REPLY_RECV, &next));
	EXPECT_EQ(-EOPNOTSUPP, ring_cmd(&ring, p.a.fd, MSGC_CALL, &call));
	EXPECT_EQ(SAYS(IDLE, NOTHING, 0), says(&p.a, 0));
	call.flags = MSGC_ASYNC;
	call.slot = 3;
	EXPECT_EQ(0, ring_cmd(&ring, p.a.fd, MSGC_CALL, &call));
	EXPECT_EQ(0, ring_cmd(&ring, p.b.fd, MSGC_RECV, &r));
	EXPECT_EQ(0, reply(&p.b, 0, 0, 0));
	call.flags = MSGC_RESUME;
	EXPECT_EQ(3, ring_cmd(&ring, p.a.fd, MSGC_CALL, &call));	/* above 0 */
	/* asked to: it blocks in a worker */
	fill(&ring, p.b.fd, MSGC_RECV, &r, 0)->flags |= IOSQE_ASYNC;
	io_uring_submit(&ring);
	EXPECT_EQ(-ETIME, reap(&ring, QUIET, NULL));
	EXPECT_EQ(0, start(&p.a, 1, MSGC_FOREVER));
	EXPECT_EQ(0, reap(&ring, SOON, NULL));
	pair_close(&p);
	io_uring_queue_exit(&ring);
}

/* exec()'s other side: there, with nothing of what was open, until it is killed. */
int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--hold")) {
		pause();
		return 0;
	}
	return test_harness_run(argc, argv);
}
