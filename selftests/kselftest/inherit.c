// SPDX-License-Identifier: MIT
/* Priority inheritance: how urgent server threads are, and that it ends with its reason. */
#include <linux/futex.h>
#include <sys/resource.h>

#include "urgency.h"
#include "worker.h"

#define RESET		1ULL		/* SCHED_FLAG_RESET_ON_FORK */
#define BOOSTED(p)	AS(.policy = SCHED_FIFO, .prio = (p), .flags = RESET)

static bool become_so(pid_t tid, struct urgency u)
{
	return !syscall(SYS_sched_setattr, tid, &u, 0);
}

static long recv_now(struct worker *w, const struct ep *s)
{
	struct msgc_recv arg = { .deadline = MSGC_NOW };

	return run(w, s->fd, MSGC_RECV, &arg);
}

static long answer_now(struct worker *w, const struct ep *s, long entry, int status)
{
	struct msgc_reply arg = { .call = held(s, entry)->call, .status = status };

	return run(w, s->fd, MSGC_REPLY, &arg);
}

/* ---- a server with threads of any kind, that hold what they are told to ---- */

FIXTURE(inherit) {
	int chan;
	struct ep c, s;
	struct worker w, w2;
	struct urgency own;
};

FIXTURE_VARIANT(inherit) {
	struct urgency own;
};

FIXTURE_VARIANT_ADD(inherit, other) { .own = OTHER(5) };
FIXTURE_VARIANT_ADD(inherit, batch) { .own = AS(.policy = SCHED_BATCH, .nice = 3) };
FIXTURE_VARIANT_ADD(inherit, fifo) { .own = FIFO(2) };
FIXTURE_VARIANT_ADD(inherit, with_reset) { .own = AS(.policy = SCHED_OTHER, .flags = RESET) };

FIXTURE_SETUP(inherit)
{
	self->chan = create_private(CREATE_CALL(.slots = 8, .flags = MSGC_INHERIT |
						MSGC_MANY_SERVERS | MSGC_REDELIVER));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	ASSERT_EQ(0, ep_attach(&self->s, self->chan, ATTACH(.role = MSGC_RECEIVER, .held = 8)));
	for (int n = 0; n < 8; n++)
		request(&self->c, n)->cookie = n;
	self->own = variant->own;
	worker_start(&self->w);
	worker_start(&self->w2);
	ASSERT_TRUE(become_so(self->w.tid, self->own));
	ASSERT_TRUE(is(self->w.tid, self->own));
}

FIXTURE_TEARDOWN(inherit)
{
	detach(self->s.fd);
	worker_stop(&self->w);
	worker_stop(&self->w2);
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/* The worker has taken a call of somebody so urgent, and is boosted. */
#define TAKES(slot, prio)							\
do {										\
	ASSERT_EQ(0, start_as(&self->c, slot, FIFO(prio)));			\
	ASSERT_EQ(0, recv_now(&self->w, &self->s));				\
	ASSERT_TRUE(is(self->w.tid, BOOSTED(prio)));				\
} while (0)

TEST_F(inherit, until_the_reply)
{
	TAKES(0, 20);
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
	TAKES(0, 99);
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, -EIO));
	EXPECT_TRUE(is(self->w.tid, self->own));
	EXPECT_EQ(SAYS(IDLE, DONE, -EIO), says(&self->c, 0));
}

/* Another thread than the one that took it answers. */
TEST_F(inherit, anothers_reply)
{
	TAKES(0, 20);
	EXPECT_EQ(0, answer_now(&self->w2, &self->s, 0, 0));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

TEST_F(inherit, reply_and_receive)
{
	struct msgc_reply arg;

	TAKES(0, 20);
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(30)));	/* who has to answer before */
	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call };
	ASSERT_EQ(0, run(&self->w, self->s.fd, MSGC_REPLY_RECV, &arg));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(30)));
	arg = (struct msgc_reply){ .call = held(&self->s, 0)->call };
	begin(&self->w, self->s.fd, MSGC_REPLY_RECV, &arg);
	ep_own(&self->s)->deadline = MSGC_NOW;
	ASSERT_EQ(-EAGAIN, end(&self->w));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/*
 * A call of somebody so urgent, who does not wait, is taken before its deadline: on a slow machine
 * only a later one.
 */
static bool taken_in_time(struct _test_data_inherit *self,
			  long (*begin_call)(const struct ep *c, int slot, __u64 deadline))
{
	bool ok = false;

	for (unsigned int ms = 100; !ok && ms < 10000; ms *= 2) {
		ok = be(FIFO(20)) && !begin_call(&self->c, 0, in_ms(ms));
		ok = be(OTHER(0)) && ok && !recv_now(&self->w, &self->s);
	}
	return ok;
}

/* A deadline that nobody waits for. */
TEST_F(inherit, until_the_deadline)
{
	ASSERT_TRUE(taken_in_time(self, start));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	EXPECT_EQ(SAYS(TAKEN, MAYBE, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* Client 0's calls are all to be given up at the same time; the first of them has been taken. */
static bool begin_overdue(struct worker *w, const struct ep *c, const struct ep *s, unsigned int ms)
{
	__u64 deadline = in_ms(ms);
	bool ok = !start(c, 0, deadline) && !recv_now(w, s);

	for (int n = 1; n < 64; n++)
		ok = ok && !start(c, n, deadline);
	return ok;
}

/* The other CPU: whoever is woken there begins at once. */
static void *keep_awake(void *over)
{
	be(AS(.policy = SCHED_IDLE));
	while (!*(volatile bool *)over)
		;
	return NULL;
}

/*
 * A call that is given up lends nothing any more; what the queue lends to the same thread stays,
 * while all the others are given up, too, and whoever sees to that has no end of a command to come.
 */
TEST_F(inherit, until_the_deadline_but_for_the_queue)
{
	int chan = create_private(CREATE_CALL(.slots = 64, .flags = MSGC_INHERIT));
	volatile bool over = false;
	struct ep c[2], s;
	unsigned int ms = 8;
	pthread_t thread;

	pthread_create(&thread, NULL, keep_awake, (void *)&over);
	ASSERT_EQ(0, ep_sender(&c[0], chan));
	ASSERT_EQ(0, ep_sender(&c[1], chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (int n = 0; n < 40; n++) {
		struct pollfd poller = { .fd = c[0].fd, .events = POLLIN };

		if (!begin_overdue(&self->w, &c[0], &s, ms)) {
			ms *= 2;	/* a slow machine */
			ASSERT_LT(ms, 10000);
			continue;
		}
		ASSERT_EQ(0, start_as(&c[1], 0, FIFO(30)));
		while (says(&c[0], 63) == SAYS(QUEUED, NOTHING, 0))
			poll(&poller, 1, 0);
		for (int i = 0; i < 5; i++) {
			EXPECT_TRUE(is(self->w.tid, BOOSTED(30))) { TH_LOG("round %d", n); }
			usleep(200);
		}
		EXPECT_EQ(0, cancel(&c[1], 0, 0));
		EXPECT_EQ(0, answer_now(&self->w, &s, 0, 0));
		EXPECT_TRUE(is(self->w.tid, self->own));
	}
	over = true;
	pthread_join(thread, NULL);
	ep_close(&c[0]);
	ep_close(&c[1]);
	ep_close(&s);
	close(chan);
}

static long leave_alone(const struct ep *c, int slot, __u64 deadline)
{
	return none(c->fd, MSGC_INTERRUPT) ?: call(c, slot, 0, deadline) != -EINTR;
}

/* One whose caller ceased to wait before he began to. */
TEST_F(inherit, until_the_deadline_left_alone)
{
	ASSERT_TRUE(taken_in_time(self, leave_alone));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	EXPECT_EQ(SAYS(TAKEN, MAYBE, -ETIMEDOUT), says(&self->c, 0));
}

/* One that waits in the queue, and lends to who holds another. */
TEST_F(inherit, until_the_queued_deadline)
{
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, self->own));
	ASSERT_TRUE(be(FIFO(20)));
	ASSERT_EQ(0, start(&self->c, 1, in_ms(300)));
	ASSERT_TRUE(be(OTHER(0)));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	EXPECT_TRUE(until(says(&self->c, 1) == SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT)));
}

TEST_F(inherit, until_canceled)
{
	TAKES(0, 20);
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(30)));
	EXPECT_EQ(0, cancel(&self->c, 1, 1));
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(20))));
	EXPECT_EQ(0, cancel(&self->c, 0, 0));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

TEST_F(inherit, until_the_client_leaves)
{
	TAKES(0, 20);
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

/* What waited in the queue, and lent to who holds another client's call. */
TEST_F(inherit, until_another_client_leaves)
{
	struct ep c;

	ASSERT_EQ(0, ep_sender(&c, self->chan));
	ASSERT_EQ(0, start(&c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(30)));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	ep_close(&c);
}

static int doomed_client(int sk, void *p)
{
	struct ep c;

	if (ep_sender(&c, *(int *)p) || start_as(&c, 0, FIFO(25)))
		return 1;
	tell(sk, 1);
	hear(sk);
	return 0;
}

TEST_F(inherit, until_the_client_dies)
{
	struct kid k = kid_start(doomed_client, &self->chan);

	ASSERT_EQ(1, hear(k.sk));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(25)));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

TEST_F(inherit, until_the_server_leaves)
{
	TAKES(0, 20);
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

TEST_F(inherit, until_evicted)
{
	TAKES(0, 20);
	EXPECT_EQ(0, evict(self->chan, self->s.at.id));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
}

/* A message that is taken is done; until then its sender waits. */
TEST_F(inherit, one_way)
{
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	ASSERT_TRUE(be(FIFO(20)));
	ASSERT_EQ(0, call(&self->c, 1, MSGC_ASYNC | MSGC_ONEWAY, MSGC_FOREVER));
	ASSERT_TRUE(be(OTHER(0)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	ASSERT_EQ(1, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* Each by what it holds; from the queue both, as either may be the first to have time. */
TEST_F(inherit, two_threads)
{
	TAKES(0, 20);
	ASSERT_EQ(0, start_as(&self->c, 1, RR(30)));
	ASSERT_EQ(1, recv_now(&self->w2, &self->s));
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(20))));
	EXPECT_TRUE(is(self->w2.tid, BOOSTED(30)));
	ASSERT_EQ(0, start_as(&self->c, 2, FIFO(40)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(40)));
	EXPECT_TRUE(is(self->w2.tid, BOOSTED(40)));
	EXPECT_EQ(0, cancel(&self->c, 2, 2));
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(20))));
	EXPECT_TRUE(until(is(self->w2.tid, BOOSTED(30))));
	EXPECT_EQ(0, answer_now(&self->w2, &self->s, 1, 0));
	EXPECT_TRUE(is(self->w2.tid, OTHER(0)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* Where one waits, those who are at work are left alone. */
TEST_F(inherit, who_waits_is_to_take_it)
{
	struct msgc_recv arg = { .deadline = MSGC_FOREVER };

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	begin(&self->w2, self->s.fd, MSGC_RECV, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w2.tid));
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(20)));
	ASSERT_EQ(1, end(&self->w2));
	EXPECT_TRUE(is(self->w2.tid, BOOSTED(20)));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* It waits for more while it holds one; what ends the wait does not end that. */
TEST_F(inherit, interrupted_holder)
{
	struct msgc_recv arg = { .deadline = MSGC_FOREVER };

	TAKES(0, 20);
	begin(&self->w, self->s.fd, MSGC_RECV, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, end(&self->w));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

static int doomed_holder(int sk, void *p)
{
	struct ep s;

	if (ep_receiver(&s, *(int *)p) || take(&s) < 0)
		return 1;
	tell(sk, is(0, BOOSTED(20)));
	hear(sk);
	return 0;
}

/* A call that comes back to the queue. */
TEST_F(inherit, redelivered)
{
	struct kid k;

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(20)));
	k = kid_start(doomed_holder, &self->chan);
	ASSERT_EQ(1, hear(k.sk));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(20))));
	ASSERT_EQ(1, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 1, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* What others make of a boosted thread stays; a later boost comes from there, and goes back. */
TEST_F(inherit, changed_by_others)
{
	const struct urgency theirs[] = { FIFO(7), RR(20), FIFO(60), OTHER(0), OTHER(9) };

	for (size_t n = 0; n < 5; n++) {
		TAKES(0, 80);
		ASSERT_TRUE(become_so(self->w.tid, theirs[n]));
		ASSERT_EQ(0, start_as(&self->c, 1, FIFO(90)));
		EXPECT_TRUE(is(self->w.tid, theirs[n])) { TH_LOG("%zu, raised", n); }
		EXPECT_EQ(0, cancel(&self->c, 1, 1));
		EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
		EXPECT_TRUE(is(self->w.tid, theirs[n])) { TH_LOG("%zu, kept", n); }
		ASSERT_EQ(0, start_as(&self->c, 0, FIFO(70)));
		ASSERT_EQ(0, recv_now(&self->w, &self->s));
		EXPECT_EQ(70, urgency_of(self->w.tid).prio) { TH_LOG("%zu, again", n); }
		EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
		EXPECT_TRUE(is(self->w.tid, theirs[n])) { TH_LOG("%zu, back", n); }
		ASSERT_TRUE(become_so(self->w.tid, self->own));
	}
}

/* Before that was noticed. */
TEST_F(inherit, calls_as_it_was_changed)
{
	const struct urgency theirs[] = { FIFO(7), RR(20), FIFO(60), OTHER(0) };
	int chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT));
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	for (size_t n = 0; n < 4; n++) {
		struct msgc_call arg = { .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER };

		TAKES(0, 80);
		ASSERT_TRUE(become_so(self->w.tid, theirs[n]));
		ASSERT_EQ(0, run(&self->w, c.fd, MSGC_CALL, &arg));
		ASSERT_EQ(0, take(&s));
		EXPECT_EQ((__s32)theirs[n].prio, held(&s, 0)->prio);
		EXPECT_EQ(0, reply(&s, 0, 0, 0));
		EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
		ASSERT_TRUE(become_so(self->w.tid, self->own));
	}
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

TEST_F(inherit, nice_set_meanwhile)
{
	struct urgency then = self->own;

	if (then.prio)
		SKIP(return, "a real-time thread has none");
	TAKES(0, 20);
	ASSERT_EQ(0, setpriority(PRIO_PROCESS, self->w.tid, 11));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	then.nice = 11;
	EXPECT_TRUE(is(self->w.tid, then));
}

/* Who is as urgent already is not touched. */
TEST_F(inherit, no_less_urgent)
{
	ASSERT_TRUE(become_so(self->w.tid, RR(50)));
	ASSERT_EQ(0, start_as(&self->c, 0, FIFO(50)));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, RR(50)));
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(51)));
	EXPECT_TRUE(is(self->w.tid, AS(.policy = SCHED_RR, .prio = 51, .flags = RESET)));
	EXPECT_EQ(0, cancel(&self->c, 1, 1));
	EXPECT_TRUE(until(is(self->w.tid, RR(50))));
}

/* The thread ends with what it holds; so does one that waits with its process. */
TEST_F(inherit, thread_that_ends)
{
	struct worker w;

	worker_start(&w);
	ASSERT_EQ(0, start_as(&self->c, 0, FIFO(20)));
	ASSERT_EQ(0, recv_now(&w, &self->s));
	EXPECT_TRUE(is(w.tid, BOOSTED(20)));
	worker_stop(&w);
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_EQ(0, cancel(&self->c, 1, 1));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* ---- what the scheduler refuses: while a deadline task waits for a lock of the thread's ---- */

static const struct urgency deadline_task = {
	.size = sizeof(struct urgency), .policy = SCHED_DEADLINE, .runtime = 5 * MS,
	.deadline = 100 * MS, .period = 100 * MS,
};

/* Until it is killed. */
static int deadline_waiter(int sk, void *p)
{
	__u32 *lock = *(__u32 **)p;

	if (!be(deadline_task)) {
		tell(sk, -EPERM);
		return 1;
	}
	tell(sk, 0);
	return syscall(SYS_futex, lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) ? 2 : 0;
}

/* Of a lock that is the thread's. False: this machine admits no deadline task. */
static bool deadline_waiter_start(struct kid *k, __u32 **lock, pid_t tid)
{
	*lock = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	**lock = tid;
	*k = kid_start(deadline_waiter, lock);
	if (hear(k->sk)) {
		kid_end(k, 0);
		return false;
	}
	return until(READ_ONCE(**lock) & FUTEX_WAITERS) && asleep(k->pid, k->pid);
}

TEST_F(inherit, lowered_when_it_may_be)
{
	struct kid k;
	__u32 *lock;

	TAKES(0, 20);
	if (!deadline_waiter_start(&k, &lock, self->w.tid))
		SKIP(return, "this machine admits no deadline task");
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	TAKES(0, 30);
}

TEST_F(inherit, raised_when_it_may_be)
{
	struct kid k;
	__u32 *lock;

	if (!deadline_waiter_start(&k, &lock, self->w.tid))
		SKIP(return, "this machine admits no deadline task");
	ASSERT_EQ(0, start_as(&self->c, 0, FIFO(20)));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	EXPECT_TRUE(is(self->w.tid, self->own));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(20))));
	EXPECT_EQ(0, answer_now(&self->w, &self->s, 0, 0));
	EXPECT_TRUE(is(self->w.tid, self->own));
}

/* ---- through calls of servers ---- */

struct chain {
	int chan;
	struct ep c, s;
	struct worker w;
};

static bool chain_start(struct chain *o)
{
	o->chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT));
	worker_start(&o->w);
	return !ep_sender(&o->c, o->chan) && !ep_receiver(&o->s, o->chan);
}

static void chain_stop(struct chain *o)
{
	detach(o->s.fd);
	worker_stop(&o->w);
	ep_close(&o->c);
	ep_close(&o->s);
	close(o->chan);
}

TEST_F(inherit, nested)
{
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct chain o;

	ASSERT_TRUE(chain_start(&o));
	TAKES(0, 20);
	begin(&self->w, o.c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	EXPECT_EQ(20, held(&o.s, 0)->prio);
	EXPECT_TRUE(is(o.w.tid, BOOSTED(20)));
	EXPECT_EQ(0, answer_now(&o.w, &o.s, 0, 0));
	EXPECT_TRUE(is(o.w.tid, OTHER(0)));
	EXPECT_EQ(0, end(&self->w));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	chain_stop(&o);
}

/* It sleeps in a call already when it is boosted, whether or not that has been taken. */
TEST_F(inherit, nested_later)
{
	const struct urgency low = self->own.prio ? BOOSTED(self->own.prio) : OTHER(0);
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct chain o;

	ASSERT_TRUE(chain_start(&o));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	for (int taken = 0; taken < 2; taken++) {
		begin(&self->w, o.c.fd, MSGC_CALL, &arg);
		ASSERT_TRUE(asleep(getpid(), self->w.tid));
		if (taken)
			ASSERT_EQ(0, recv_now(&o.w, &o.s));
		ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
		EXPECT_TRUE(is(self->w.tid, BOOSTED(30)));
		if (!taken)
			ASSERT_EQ(0, recv_now(&o.w, &o.s));
		EXPECT_TRUE(is(o.w.tid, BOOSTED(30))) { TH_LOG("taken %d", taken); }
		EXPECT_EQ(0, cancel(&self->c, 1, 1));
		EXPECT_TRUE(until(is(self->w.tid, self->own)));
		EXPECT_TRUE(until(is(o.w.tid, low)));
		EXPECT_EQ(0, answer_now(&o.w, &o.s, 0, 0));
		EXPECT_TRUE(is(o.w.tid, OTHER(0)));
		ASSERT_EQ(0, end(&self->w));
	}
	chain_stop(&o);
}

/* It comes on to who serves the server that its server sleeps for. */
TEST_F(inherit, nested_twice)
{
	const struct urgency low = self->own.prio ? BOOSTED(self->own.prio) : OTHER(0);
	struct msgc_call arg = { .deadline = MSGC_FOREVER }, arg2 = arg;
	struct chain o, o2;

	ASSERT_TRUE(chain_start(&o));
	ASSERT_TRUE(chain_start(&o2));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	begin(&self->w, o.c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	begin(&o.w, o2.c.fd, MSGC_CALL, &arg2);
	ASSERT_TRUE(asleep(getpid(), o.w.tid));
	ASSERT_EQ(0, recv_now(&o2.w, &o2.s));
	EXPECT_TRUE(is(o2.w.tid, low));
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(30)));
	EXPECT_TRUE(is(o.w.tid, BOOSTED(30)));
	EXPECT_TRUE(until(is(o2.w.tid, BOOSTED(30))));
	EXPECT_EQ(0, cancel(&self->c, 1, 1));
	EXPECT_TRUE(until(is(o.w.tid, low)));
	EXPECT_TRUE(until(is(o2.w.tid, low)));
	EXPECT_EQ(0, answer_now(&o2.w, &o2.s, 0, 0));
	EXPECT_EQ(0, end(&o.w));
	EXPECT_EQ(0, answer_now(&o.w, &o.s, 0, 0));
	EXPECT_EQ(0, end(&self->w));
	chain_stop(&o);
	chain_stop(&o2);
}

/* What is lent cannot be kept by lending it on: only who sleeps for a call lends that. */
TEST_F(inherit, nested_without_sleep)
{
	struct msgc_call arg = { .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER };
	const struct urgency low = self->own.prio ? BOOSTED(self->own.prio) : OTHER(0);
	struct chain o;

	ASSERT_TRUE(chain_start(&o));
	TAKES(0, 20);
	ASSERT_EQ(0, run(&self->w, o.c.fd, MSGC_CALL, &arg));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	EXPECT_TRUE(is(o.w.tid, low));
	arg.flags = MSGC_RESUME;
	begin(&self->w, o.c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	EXPECT_TRUE(is(o.w.tid, BOOSTED(20)));
	EXPECT_EQ(0, none(o.c.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, end(&self->w));
	EXPECT_TRUE(until(is(o.w.tid, low)));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	chain_stop(&o);
}

struct next {
	const struct ep *c, *s;		/* the call; what it is a server of */
	sem_t ready;
};

/* Holds a call of nobody urgent, and is the next to wait for that of another thread. */
static void *resume_next(void *p)
{
	struct next *o = p;
	long e = receive(o->s, MSGC_NOW), ret;

	sem_post(&o->ready);
	do
		ret = resume(o->c, 0, MSGC_FOREVER);
	while (ret == -EBUSY);
	return (void *)(reply(o->s, e, 0, 0) ?: ret);
}

/* As one thread ceases to wait for the call another one begins to, which is lent nothing. */
TEST_F(inherit, nested_for_another)
{
	const struct urgency low = self->own.prio ? BOOSTED(self->own.prio) : OTHER(0);
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct chain o;
	struct next next = { .c = &o.c, .s = &self->s };

	ASSERT_TRUE(chain_start(&o));
	sem_init(&next.ready, 0, 0);
	TAKES(0, 20);
	for (int n = 0; n < 30; n++) {
		pthread_t thread;
		void *ret;

		begin(&self->w, o.c.fd, MSGC_CALL, &arg);
		ASSERT_TRUE(asleep(getpid(), self->w.tid));
		if (!n)
			ASSERT_EQ(0, recv_now(&o.w, &o.s));
		ASSERT_TRUE(is(o.w.tid, BOOSTED(20)));
		ASSERT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
		pthread_create(&thread, NULL, resume_next, &next);
		sem_wait(&next.ready);
		EXPECT_EQ(0, none(o.c.fd, MSGC_INTERRUPT));
		EXPECT_EQ(-EINTR, end(&self->w));
		EXPECT_TRUE(until(is(o.w.tid, low)));
		EXPECT_EQ(0, none(o.c.fd, MSGC_INTERRUPT));
		pthread_join(thread, &ret);
		EXPECT_EQ((void *)-EINTR, ret);
		ASSERT_TRUE(is(o.w.tid, low)) { TH_LOG("round %d", n); }
		arg = (struct msgc_call){ .flags = MSGC_RESUME, .deadline = MSGC_FOREVER };
	}
	chain_stop(&o);
}

/*
 * It passes on what it is lent by the first channel. That is the same as what it is lent by the
 * second one, which lends only what was passed on there: no reason to keep passing it on.
 */
TEST_F(inherit, nested_while_lent_elsewhere)
{
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct msgc_call arg2 = { .slot = 1, .deadline = MSGC_FOREVER };
	const struct urgency low = self->own.prio ? BOOSTED(self->own.prio) : OTHER(0);
	struct chain o, o2;

	ASSERT_TRUE(chain_start(&o));
	ASSERT_TRUE(chain_start(&o2));
	ASSERT_EQ(0, start(&o2.c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &o2.s));
	TAKES(0, 20);
	ASSERT_EQ(0, start_as(&self->c, 1, FIFO(20)));
	ASSERT_EQ(1, recv_now(&self->w2, &self->s));
	begin(&self->w2, o2.c.fd, MSGC_CALL, &arg2);
	ASSERT_TRUE(asleep(getpid(), self->w2.tid));
	begin(&self->w, o.c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	EXPECT_TRUE(is(o.w.tid, BOOSTED(20)));
	EXPECT_EQ(0, reply(&self->s, 0, 0, 0));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_TRUE(until(is(o.w.tid, low)));
	EXPECT_EQ(0, cancel(&o.c, 0, 0));
	EXPECT_EQ(0, end(&self->w));
	EXPECT_EQ(0, cancel(&o2.c, 1, 0));
	EXPECT_EQ(1, end(&self->w2));
	chain_stop(&o);
	chain_stop(&o2);
}

/* A message that comes back to the queue is as urgent as its sender, who sleeps for it no more. */
TEST_F(inherit, nested_one_way_redelivered)
{
	struct msgc_call arg = { .slot = 1, .flags = MSGC_ONEWAY, .deadline = MSGC_FOREVER };
	struct chain o;
	struct kid k;

	ASSERT_TRUE(chain_start(&o));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w, &self->s));
	ASSERT_EQ(0, start_as(&o.c, 0, FIFO(20)));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	begin(&o.w, self->c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), o.w.tid));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	k = server_that_took(self->chan, 1);
	EXPECT_EQ(1, end(&o.w));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(says(&self->c, 1) == SAYS(QUEUED, DONE, 0)));
	EXPECT_TRUE(is(self->w.tid, self->own));
	ASSERT_EQ(1, recv_now(&self->w2, &self->s));
	EXPECT_EQ(0, held(&self->s, 1)->prio);
	chain_stop(&o);
}

/* Its own call waits for its own channel's servers, and is not to keep it urgent, nor another. */
TEST_F(inherit, nested_in_its_own_pool)
{
	struct msgc_call arg = { .slot = 2, .deadline = MSGC_FOREVER };

	ASSERT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&self->w2, &self->s));
	ASSERT_EQ(0, start(&self->c, 3, MSGC_FOREVER));
	ASSERT_EQ(1, recv_now(&self->w, &self->s));
	ASSERT_EQ(0, start_as(&self->c, 0, FIFO(20)));
	ASSERT_EQ(2, recv_now(&self->w, &self->s));
	begin(&self->w, self->c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	EXPECT_TRUE(is(self->w.tid, BOOSTED(20)));
	EXPECT_TRUE(is(self->w2.tid, BOOSTED(20)));
	EXPECT_EQ(0, cancel(&self->c, 0, 0));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	EXPECT_TRUE(until(is(self->w2.tid, self->own.prio ? BOOSTED(self->own.prio) : OTHER(0))));
	EXPECT_EQ(0, cancel(&self->c, 2, 2));
	EXPECT_EQ(2, end(&self->w));
	EXPECT_TRUE(until(is(self->w2.tid, OTHER(0))));
}

/* Each sleeps for a call that the next one took: once there is a reason no more, it ends. */
static void nested_in_a_ring(struct __test_metadata *_metadata, int threads, int rounds)
{
	struct msgc_call arg = { .flags = MSGC_RESUME, .deadline = MSGC_FOREVER };
	struct chain o[3];

	for (int n = 0; n < threads; n++) {
		ASSERT_TRUE(chain_start(&o[n]));
		ASSERT_EQ(0, start(&o[n].c, 0, MSGC_FOREVER));
		ASSERT_EQ(0, recv_now(&o[n].w, &o[n].s));
	}
	for (int n = 0; n < threads; n++) {
		begin(&o[n].w, o[(n + 1) % threads].c.fd, MSGC_CALL, &arg);
		ASSERT_TRUE(asleep(getpid(), o[n].w.tid));
	}
	for (int i = 0; i < rounds; i++) {
		ASSERT_EQ(0, start_as(&o[0].c, 1, FIFO(20)));
		EXPECT_TRUE(i % 2 || until(is(o[threads - 1].w.tid, BOOSTED(20))));
		EXPECT_EQ(0, cancel(&o[0].c, 1, 0));
		for (int n = 0; n < threads; n++) {
			ASSERT_TRUE(until(is(o[n].w.tid, OTHER(0)))) {
				TH_LOG("round %d, thread %d", i, n);
			}
		}
	}
	for (int n = 0; n < threads; n++)
		EXPECT_EQ(0, cancel(&o[n].c, 0, 0));
	for (int n = 0; n < threads; n++) {
		EXPECT_EQ(0, end(&o[n].w));
		chain_stop(&o[n]);
	}
}

TEST(nested_ring_of_two)
{
	nested_in_a_ring(_metadata, 2, 20);
}

TEST(nested_ring_of_three)
{
	nested_in_a_ring(_metadata, 3, 20);
}

/* Its call is held, but so are more of them before it than a queue lends to. */
TEST_F(inherit, nested_behind_many)
{
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	int chan = create_private(CREATE_CALL(.slots = 64, .flags = MSGC_INHERIT));
	struct ep c[2], s;
	struct chain o;

	ASSERT_TRUE(chain_start(&o));
	ASSERT_EQ(0, ep_sender(&c[0], chan));
	ASSERT_EQ(0, ep_sender(&c[1], chan));
	ASSERT_EQ(0, ep_attach(&s, chan, ATTACH(.role = MSGC_RECEIVER, .held = 80)));
	for (int n = 0; n < 70; n++) {
		ASSERT_EQ(0, start(&c[n / 64], n % 64, MSGC_FOREVER));
		ASSERT_LE(0, recv_now(&self->w2, &s));
	}
	ASSERT_EQ(0, start(&o.c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, recv_now(&o.w, &o.s));
	arg.slot = 10;
	begin(&o.w, c[1].fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), o.w.tid));
	ASSERT_LE(0, recv_now(&self->w, &s));
	EXPECT_TRUE(is(self->w.tid, self->own));
	ASSERT_EQ(0, start_as(&o.c, 1, FIFO(30)));
	EXPECT_TRUE(is(o.w.tid, BOOSTED(30)));
	EXPECT_TRUE(until(is(self->w.tid, BOOSTED(30))));
	EXPECT_TRUE(is(self->w2.tid, OTHER(0)));
	EXPECT_EQ(0, cancel(&o.c, 1, 0));
	EXPECT_TRUE(until(is(self->w.tid, self->own)));
	EXPECT_EQ(0, detach(s.fd));
	EXPECT_EQ(10, end(&o.w));
	chain_stop(&o);
	ep_close(&s);
	ep_close(&c[0]);
	ep_close(&c[1]);
	close(chan);
}

static struct msgc_wait_row only_row(int chan)
{
	struct msgc_wait_row row[4];
	__u64 cursor = 0;

	if (rows(chan, MSGC_PEERS, MSGC_ROW_WAIT, row, sizeof(row[0]), 4, &cursor) != 1)
		row[0] = (struct msgc_wait_row){ .tid = 0, .boost = ~0 };
	return row[0];
}

/* What PEERS says of a boosted thread that waits. */
TEST_F(inherit, row)
{
	struct msgc_call arg = { .deadline = MSGC_FOREVER };
	struct msgc_wait_row row;
	struct chain o;

	ASSERT_TRUE(chain_start(&o));
	TAKES(0, 20);
	begin(&self->w, o.c.fd, MSGC_CALL, &arg);
	ASSERT_TRUE(asleep(getpid(), self->w.tid));
	row = only_row(o.chan);
	EXPECT_EQ(self->w.tid, row.tid);
	EXPECT_EQ((__s32)self->own.prio, row.prio);
	EXPECT_EQ(20, row.boost);
	EXPECT_EQ(0, cancel(&self->c, 0, 0));
	EXPECT_TRUE(until(!only_row(o.chan).boost));
	EXPECT_TRUE(is(self->w.tid, self->own));
	row = only_row(o.chan);
	EXPECT_EQ(self->w.tid, row.tid);
	EXPECT_EQ((__s32)self->own.prio, row.prio);
	EXPECT_EQ(0, detach(o.c.fd));
	EXPECT_EQ(0, end(&self->w));
	chain_stop(&o);
}

/* ---- at most what the channel's creator may ---- */

static int creator(int sk, void *p)
{
	rlim_t most = *(int *)p;
	struct rlimit lim = { most, most };
	int chan;

	if (setrlimit(RLIMIT_RTPRIO, &lim) || become(1000, 1000))
		return 1;
	chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT));
	tell(sk, chan < 0 ? chan : 0);
	if (chan >= 0)
		send_fd(sk, chan);
	hear(sk);
	return 0;
}

TEST(cap)
{
	int most = 10, chan;
	struct kid k = kid_start(creator, &most);
	struct worker w;
	struct ep c, s;

	ASSERT_EQ(0, hear(k.sk));
	chan = recv_fd(k.sk);
	worker_start(&w);
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, start_as(&c, 0, FIFO(50)));
	ASSERT_EQ(0, recv_now(&w, &s));
	EXPECT_EQ(50, held(&s, 0)->prio);
	EXPECT_TRUE(is(w.tid, BOOSTED(10)));
	ASSERT_EQ(0, start_as(&c, 1, FIFO(60)));
	EXPECT_TRUE(is(w.tid, BOOSTED(10)));
	EXPECT_EQ(0, cancel(&c, 1, 0));
	EXPECT_EQ(0, answer_now(&w, &s, 0, 0));
	EXPECT_TRUE(is(w.tid, OTHER(0)));
	kid_end(&k, 0);
	worker_stop(&w);
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

static bool on_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	return !sched_setaffinity(0, sizeof(one), &one);
}

static volatile bool spins, stop;

static void *spin_as_40(void *unused)
{
	be(FIFO(40));
	spins = true;
	while (!stop)
		;
	return unused;
}

/* It is boosted before it takes the call, and gets nowhere, for another one is more urgent. */
TEST(still_waiting)
{
	struct msgc_recv arg = { .deadline = MSGC_FOREVER };
	int most = 10, chan;
	struct kid k = kid_start(creator, &most);
	struct worker w;
	pthread_t hog;
	struct ep c, s;

	ASSERT_EQ(0, hear(k.sk));
	chan = recv_fd(k.sk);
	ASSERT_TRUE(on_one_cpu());
	worker_start(&w);
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	begin(&w, s.fd, MSGC_RECV, &arg);
	ASSERT_TRUE(asleep(getpid(), w.tid));
	ASSERT_TRUE(be(FIFO(90)));
	pthread_create(&hog, NULL, spin_as_40, NULL);
	ASSERT_TRUE(until(spins));
	EXPECT_EQ(0, start(&c, 0, MSGC_FOREVER));
	EXPECT_TRUE(is(w.tid, BOOSTED(10)));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&c, 0));
	EXPECT_EQ(0, cancel(&c, 0, 0));
	EXPECT_EQ(0, none(s.fd, MSGC_INTERRUPT));
	EXPECT_FALSE(w.done);
	stop = true;
	pthread_join(hog, NULL);
	ASSERT_TRUE(be(OTHER(0)));
	EXPECT_EQ(-EINTR, end(&w));
	EXPECT_TRUE(until(is(w.tid, OTHER(0))));
	kid_end(&k, 0);
	worker_stop(&w);
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

TEST(cap_of_zero)
{
	int most = 0;
	struct kid k = kid_start(creator, &most);

	EXPECT_EQ(-EPERM, hear(k.sk));
	kid_end(&k, 0);
}

/* ---- servers without any right to priorities ---- */

struct plain {
	int chan;
	struct urgency then;		/* what it makes of itself while boosted */
};

static int plain_server(int sk, void *p)
{
	struct plain *o = p;
	struct rlimit lim = { 0, 0 };
	struct ep s;

	if (setrlimit(RLIMIT_RTPRIO, &lim) || become(1000, 1000) || ep_receiver(&s, o->chan))
		return 1;
	tell(sk, 0);
	if (receive(&s, in_ms(100000)) || !is(0, BOOSTED(20)))
		return 2;
	if (!be(o->then) || reply(&s, 0, 0, 0))
		return 3;
	return is(0, o->then.prio ? OTHER(0) : o->then) ? 0 : 4;
}

/* Anybody may lower himself, but keeps nothing of what he was lent. */
TEST(keeps_nothing)
{
	const struct urgency then[] = { BOOSTED(20), BOOSTED(19), BOOSTED(1),
					AS(.policy = SCHED_OTHER, .flags = RESET) };
	struct plain o = { .chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT)) };
	struct ep c;

	ASSERT_EQ(0, ep_sender(&c, o.chan));
	for (int n = 0; n < 4; n++) {
		struct kid k;

		o.then = then[n];
		k = kid_start(plain_server, &o);
		ASSERT_EQ(0, hear(k.sk));
		ASSERT_EQ(0, start_as(&c, 0, FIFO(20)));
		EXPECT_EQ(0, kid_end(&k, 0)) { TH_LOG("as %d", n); }
		EXPECT_TRUE(until(!info(o.chan).receivers));
	}
	ep_close(&c);
	close(o.chan);
}

/* ---- others ---- */

TEST(child_of_a_boosted_thread)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT)), status;
	struct ep c, s;
	pid_t pid;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, start_as(&c, 0, FIFO(20)));
	ASSERT_EQ(0, take(&s));
	ASSERT_TRUE(is(0, BOOSTED(20)));
	pid = fork();
	if (!pid)
		_exit(is(0, OTHER(0)) ? 0 : 1);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, reply(&s, 0, 0, 0));
	EXPECT_TRUE(is(0, OTHER(0)));
	ep_close(&c);
	ep_close(&s);
	close(chan);
}

/* Not as a deadline task, but as urgent as there is beside. */
TEST(deadline_client)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_INHERIT));
	struct worker w;
	struct ep c, s;

	worker_start(&w);
	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	if (!be(deadline_task))
		SKIP(return, "this machine admits no deadline task");
	ASSERT_EQ(0, start_as(&c, 0, deadline_task));
	ASSERT_EQ(0, recv_now(&w, &s));
	EXPECT_TRUE(is(w.tid, BOOSTED(99)));
	EXPECT_EQ(0, answer_now(&w, &s, 0, 0));
	EXPECT_TRUE(is(w.tid, OTHER(0)));
	worker_stop(&w);
}

TEST(without_the_option)
{
	int chan = create_private(CREATE_CALL());
	struct ep c, s;

	ASSERT_EQ(0, ep_sender(&c, chan));
	ASSERT_EQ(0, ep_receiver(&s, chan));
	ASSERT_EQ(0, start_as(&c, 0, FIFO(20)));
	ASSERT_EQ(0, take(&s));
	EXPECT_TRUE(is(0, OTHER(0)));
}

/* ---- the inversion: a server, one that spins, a client, each more urgent, on one CPU ---- */

#define CONTROL	90			/* this test's own threads */
#define SECONDS	40			/* of CPU, that the one who spins may spin */

struct inversion {
	struct ep c, s;
	struct urgency server;
	bool holds;			/* it has a call of nobody urgent when the other comes */
	unsigned int patience;		/* ms of CPU that it spins at most */
	volatile bool go, spins, calls, answered, seen;
	volatile pid_t tid;
	sem_t start;
};

static __u64 cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static void *inversion_server(void *p)
{
	struct inversion *o = p;
	struct msgc_reply arg = { .call = 0 };
	long e;

	be(o->server);
	o->tid = gettid();
	for (int n = !o->holds; n < 2; n++) {
		e = cmd(o->s.fd, MSGC_REPLY_RECV, &arg);
		if (e < 0)
			return (void *)-1L;
		o->go = true;
		while (!n && !o->calls)
			;		/* at work */
		arg = (struct msgc_reply){ .call = held(&o->s, e)->call };
	}
	return (void *)cmd(o->s.fd, MSGC_REPLY, &arg);
}

static void *inversion_hog(void *p)
{
	struct inversion *o = p;

	sem_wait(&o->start);
	be(FIFO(10));
	o->spins = true;
	while (!o->answered && cpu_time() < o->patience * MS)
		;
	o->seen = o->answered;
	return NULL;
}

static void *inversion_client(void *p)
{
	struct inversion *o = p;
	long ret;

	be(FIFO(20));
	o->calls = true;
	ret = call(&o->c, 1, 0, MSGC_FOREVER);
	o->answered = true;
	return (void *)ret;
}

/* Was the client served while the other one spun? -1: something else went wrong. */
static int inversion(struct inversion *o, int flags)
{
	int chan = create_private(CREATE_CALL(.flags = flags));
	pthread_t server, hog, client;
	void *served, *got;
	bool ok;

	sem_init(&o->start, 0, 0);
	ok = on_one_cpu() && !ep_sender(&o->c, chan) && !ep_receiver(&o->s, chan);
	ep_own(&o->s)->deadline = MSGC_FOREVER;
	ok = ok && be(FIFO(CONTROL));
	pthread_create(&server, NULL, inversion_server, o);
	if (o->holds)
		ok = ok && !start_as(&o->c, 0, OTHER(0)) && be(FIFO(CONTROL)) && until(o->go);
	else
		ok = ok && until(o->tid) && asleep(getpid(), o->tid);
	pthread_create(&hog, NULL, inversion_hog, o);
	sem_post(&o->start);
	ok = ok && until(o->spins);
	pthread_create(&client, NULL, inversion_client, o);
	pthread_join(hog, NULL);
	pthread_join(client, &got);
	pthread_join(server, &served);
	be(OTHER(0));
	ep_close(&o->c);
	ep_close(&o->s);
	close(chan);
	return ok && got == (void *)1 && !served ? o->seen : -1;
}

FIXTURE(inversion) { };

FIXTURE_VARIANT(inversion) {
	struct urgency server;
	bool holds;
};

FIXTURE_VARIANT_ADD(inversion, waits) { .server = OTHER(0) };
FIXTURE_VARIANT_ADD(inversion, waits_fifo) { .server = FIFO(1) };
FIXTURE_VARIANT_ADD(inversion, holds) { .server = OTHER(0), .holds = true };
FIXTURE_VARIANT_ADD(inversion, holds_fifo) { .server = FIFO(1), .holds = true };

FIXTURE_SETUP(inversion) { }
FIXTURE_TEARDOWN(inversion) { }

TEST_F_TIMEOUT(inversion, overcome, 100)
{
	struct inversion o = { .server = variant->server, .holds = variant->holds,
			       .patience = SECONDS * 1000 };

	EXPECT_EQ(1, inversion(&o, MSGC_INHERIT));
}

/* Normal threads get a little of the CPU in any case: the kernel keeps it for them. */
TEST_F_TIMEOUT(inversion, without, 100)
{
	struct inversion o = { .server = variant->server, .holds = variant->holds,
			       .patience = 500 };

	if (o.server.policy != SCHED_FIFO)
		SKIP(return, "nothing is certain then");
	EXPECT_EQ(0, inversion(&o, 0));
}

TEST_HARNESS_MAIN
