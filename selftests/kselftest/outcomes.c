// SPDX-License-Identifier: MIT
/*
 * Rendezvous: what call.c leaves open of the outcome table. Each state meets each event while a
 * thread sleeps for the outcome, or is stopped meanwhile; one-way messages after their outcome;
 * which half of REPLY_RECV was done; deadlines between clocks. All by control of who does what
 * when, nothing by luck.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "ring.h"

#define SLOTS	4

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return ok ? 0 : -1;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void handle(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	sigaction(SIGUSR1, &sa, NULL);
}

/* ---- a thread sleeps in CALL ---- */

enum { NEVER_TAKEN, QUEUED_AGAIN, IS_TAKEN, STATES };

FIXTURE(sleeper) {
	int chan;
	struct ep c, s;
	long entry;		/* where the server holds the call */
	struct msgc_call arg;
	struct runner r;
};

FIXTURE_VARIANT(sleeper) {
	int state;
};

FIXTURE_VARIANT_ADD(sleeper, never_taken) { .state = NEVER_TAKEN };
FIXTURE_VARIANT_ADD(sleeper, queued_again) { .state = QUEUED_AGAIN };
FIXTURE_VARIANT_ADD(sleeper, taken) { .state = IS_TAKEN };

FIXTURE_SETUP(sleeper)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER));
	ASSERT_LE(0, self->chan);
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	*request(&self->c, 0) = (struct msgc_request){ .room = PAGE, .cookie = 5 };
}

FIXTURE_TEARDOWN(sleeper)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/* A thread sleeps for a call in that state. */
static bool sleeps(struct _test_data_sleeper *self, int state, int flags, __u64 deadline)
{
	self->arg = (struct msgc_call){ .slot = 0, .flags = flags, .deadline = deadline };
	if (state != QUEUED_AGAIN && ep_receiver(&self->s, self->chan))
		return false;
	if (!runner_start(&self->r, self->c.fd, MSGC_CALL, &self->arg))
		return false;
	if (state == QUEUED_AGAIN) {
		die_holding(self->chan, 1);
		if (ep_receiver(&self->s, self->chan))
			return false;
	}
	self->entry = state == IS_TAKEN ? take(&self->s) : 0;
	return self->entry >= 0 && says(&self->c, 0) / 1000000 ==
	       (state == IS_TAKEN ? TAKEN : QUEUED);
}

/* What it is told when it is given up for this reason, in each state. */
static int given_up(int state, int err)
{
	return SAYS(state == IS_TAKEN ? TAKEN : IDLE, state == NEVER_TAKEN ? NOT_EXECUTED : MAYBE,
		    err);
}

/* The server knows, has the slot until it lets go, and changes nothing of what was told. */
static bool lets_go(struct _test_data_sleeper *self, int state)
{
	int told = says(&self->c, 0) % 1000000;

	if (state != IS_TAKEN)
		return take(&self->s) == -EAGAIN;
	return held(&self->s, self->entry)->flags & MSGC_M_GONE &&
	       start(&self->c, 0, MSGC_FOREVER) == -EBUSY &&
	       !reply(&self->s, self->entry, 3, 7) &&
	       says(&self->c, 0) == told && line(&self->c, 0)->len == 0;
}

TEST_F(sleeper, deadline)
{
	ASSERT_TRUE(sleeps(self, variant->state, 0, in_ms(3000)));
	EXPECT_TRUE(until(self->r.done) || until(self->r.done));
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(given_up(variant->state, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_TRUE(lets_go(self, variant->state));
}

TEST_F(sleeper, cancel)
{
	ASSERT_TRUE(sleeps(self, variant->state, 0, MSGC_FOREVER));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 6));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 1, 5));
	EXPECT_EQ(0, cancel(&self->c, 0xffff, 5));
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(given_up(variant->state, -ECANCELED), says(&self->c, 0));
	EXPECT_TRUE(lets_go(self, variant->state));
}

TEST_F(sleeper, server_dies)
{
	ASSERT_TRUE(sleeps(self, variant->state, 0, MSGC_FOREVER));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	EXPECT_TRUE(asleep(getpid(), self->r.tid));
	EXPECT_FALSE(self->r.done);
	ep_close(&self->s);
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	self->entry = take(&self->s);
	ASSERT_LE(0, self->entry);
	EXPECT_EQ(variant->state != NEVER_TAKEN, held(&self->s, self->entry)->attempts);
	EXPECT_EQ(0, reply(&self->s, self->entry, 0, 0));
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

TEST_F(sleeper, no_server_left)
{
	if (variant->state == QUEUED_AGAIN)	/* as soon as there is none: see the next state */
		return;
	ASSERT_TRUE(sleeps(self, variant->state, MSGC_NEED_SERVER, MSGC_FOREVER));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(SAYS(IDLE, variant->state == NEVER_TAKEN ? NOT_EXECUTED : MAYBE, -EHOSTDOWN),
		  says(&self->c, 0));
}

TEST_F(sleeper, client_dies)
{
	ASSERT_TRUE(sleeps(self, variant->state, 0, MSGC_FOREVER));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(given_up(variant->state, -ESHUTDOWN), says(&self->c, 0));
	if (variant->state == IS_TAKEN) {
		EXPECT_EQ(MSGC_M_GONE, held(&self->s, self->entry)->flags);
		EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
	}
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_TRUE(until(!info(self->chan).depth));
}

/*
 * With one CPU, and more urgent than the sleeper: it is woken by the answer, and cannot look yet.
 * Until it has, the slot is not to be had, and what it was told stays.
 */
TEST_F(sleeper, outcome_not_fetched)
{
	struct sched_param fifo = { .sched_priority = 1 }, other = { .sched_priority = 0 };
	long ret[3];
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_TRUE(sleeps(self, variant->state, 0, MSGC_FOREVER));
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO, &fifo));
	if (variant->state != IS_TAKEN)
		self->entry = take(&self->s);
	ret[0] = reply(&self->s, self->entry, 3, 7);
	ret[1] = start(&self->c, 0, MSGC_FOREVER);
	ret[2] = resume(&self->c, 0, MSGC_FOREVER);
	sched_setscheduler(0, SCHED_OTHER, &other);
	EXPECT_EQ(0, ret[0]);
	EXPECT_EQ(-EBUSY, ret[1]);
	EXPECT_EQ(-EBUSY, ret[2]);
	EXPECT_EQ(0, runner_end(&self->r));
	EXPECT_EQ(SAYS(IDLE, DONE, 7), says(&self->c, 0));
}

/* Its own struct cannot be written any more, so nothing would restart it right: EINTR. */
TEST_F(sleeper, struct_read_only)
{
	struct msgc_call *arg = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_TRUE(sleeps(self, variant->state, 0, MSGC_FOREVER));
	EXPECT_EQ(0, none(self->c.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&self->r));
	*arg = self->arg;
	ASSERT_TRUE(runner_start(&self->r, self->c.fd, MSGC_CALL, arg));
	handle(SA_RESTART);
	ASSERT_EQ(0, mprotect(arg, PAGE, PROT_READ));
	pthread_kill(self->r.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, runner_end(&self->r));
	EXPECT_EQ(NOTHING, line(&self->c, 0)->outcome);		/* the call goes on */
	self->entry = variant->state == IS_TAKEN ? self->entry : take(&self->s);
	EXPECT_EQ(0, reply(&self->s, self->entry, 0, 0));
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EFAULT, cmd(self->c.fd, MSGC_CALL, (void *)16));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

/* ---- a client that is stopped, or frozen, while it sleeps in CALL ---- */

struct stopped {
	int chan;
	__u64 deadline;
	struct msgc_done *told;		/* shared */
};

static int caller(int sk, void *p)
{
	struct stopped *st = p;
	struct ep c;
	long ret;

	if (ep_sender(&c, st->chan))
		return 1;
	*request(&c, 0) = (struct msgc_request){ .room = PAGE, .cookie = 5 };
	tell(sk, c.at.id);
	hear(sk);
	ret = call(&c, 0, 0, st->deadline);
	*st->told = *line(&c, 0);
	return ret ? 2 : 0;
}

FIXTURE(stopped) {
	struct stopped st;
	struct ep s;
	struct kid k;
	__u32 client;
	long entry;
};

FIXTURE_SETUP(stopped)
{
	self->st.chan = create_private(CREATE_CALL(.slots = SLOTS));
	self->st.told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, ep_receiver(&self->s, self->st.chan));
}

FIXTURE_TEARDOWN(stopped)
{
	ep_close(&self->s);
	close(self->st.chan);
}

/* Its call is taken, it sleeps, and is stopped there. */
static bool stop_it(struct _test_data_stopped *self, __u64 deadline)
{
	self->st.deadline = deadline;
	self->k = kid_start(caller, &self->st);
	self->client = hear(self->k.sk);
	tell(self->k.sk, 1);
	self->entry = receive(&self->s, MSGC_FOREVER);
	if (self->entry < 0 || !asleep(self->k.pid, self->k.pid))
		return false;
	kill(self->k.pid, SIGSTOP);
	return until(task_state(self->k.pid, self->k.pid) == 'T');
}

/* What it is told when it goes on. */
static int goes_on(struct _test_data_stopped *self)
{
	kill(self->k.pid, SIGCONT);
	if (kid_end(&self->k, 0))
		return -1;
	return SAYS(self->st.told->state, self->st.told->outcome, self->st.told->status);
}

/* The answer was there before the deadline, and is looked at after it. */
TEST_F(stopped, success_wins)
{
	__u64 deadline = in_ms(3000);

	ASSERT_TRUE(stop_it(self, deadline));
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
	if (now() >= deadline)
		SKIP(return, "a machine too slow");
	while (now() < deadline)
		usleep(1000);
	EXPECT_EQ(SAYS(IDLE, DONE, 7), goes_on(self));
}

/* Success wins over what comes later, too: the death of who gave it. */
TEST_F(stopped, answered_then_dead)
{
	ASSERT_TRUE(stop_it(self, MSGC_FOREVER));
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(SAYS(IDLE, DONE, 7), goes_on(self));
}

TEST_F(stopped, too_late)
{
	__u64 deadline = in_ms(3000);

	ASSERT_TRUE(stop_it(self, deadline));
	while (now() < deadline)
		usleep(1000);
	EXPECT_EQ(SAYS(TAKEN, MAYBE, -ETIMEDOUT), goes_on(self));
	EXPECT_TRUE(held(&self->s, self->entry)->flags & MSGC_M_GONE);
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
}

TEST_F(stopped, its_server_dies)
{
	ASSERT_TRUE(stop_it(self, MSGC_FOREVER));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(SAYS(IDLE, MAYBE, -EOWNERDEAD), goes_on(self));
}

/* Whatever ends a client that holds still: the server sees it. */
TEST_F(stopped, killed)
{
	ASSERT_TRUE(stop_it(self, MSGC_FOREVER));
	EXPECT_EQ(-SIGKILL, kid_end(&self->k, SIGKILL));
	EXPECT_TRUE(until(held(&self->s, self->entry)->flags & MSGC_M_GONE));
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
}

TEST_F(stopped, evicted)
{
	ASSERT_TRUE(stop_it(self, MSGC_FOREVER));
	EXPECT_EQ(0, evict(self->st.chan, self->client));
	EXPECT_TRUE(until(held(&self->s, self->entry)->flags & MSGC_M_GONE));
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
	kill(self->k.pid, SIGCONT);
	kid_end(&self->k, SIGKILL);
}

#define CGROUP	"/tmp/msgc-freezer"

/* cgroup.events, once it says so. */
static bool says_frozen(const char *what)
{
	char text[128] = { 0 };
	int fd = open(CGROUP "/kid/cgroup.events", O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, what);

	close(fd);
	return is;
}

/* The freezer makes signal_pending() true, and nobody is to notice. */
TEST_F(stopped, freezer)
{
	char pid[16];

	mkdir(CGROUP, 0700);
	if (mount("none", CGROUP, "cgroup2", 0, NULL) ||
	    (mkdir(CGROUP "/kid", 0700) && errno != EEXIST))
		SKIP(return, "no cgroup2");
	self->st.deadline = MSGC_FOREVER;
	self->k = kid_start(caller, &self->st);
	hear(self->k.sk);
	snprintf(pid, sizeof(pid), "%d", self->k.pid);
	ASSERT_EQ(0, write_text(CGROUP "/kid/cgroup.procs", pid));
	tell(self->k.sk, 1);
	self->entry = receive(&self->s, MSGC_FOREVER);
	EXPECT_TRUE(asleep(self->k.pid, self->k.pid));
	for (int n = 0; n < 3; n++) {
		EXPECT_EQ(0, write_text(CGROUP "/kid/cgroup.freeze", "1"));
		EXPECT_TRUE(until(says_frozen("frozen 1")));
		EXPECT_EQ(0, write_text(CGROUP "/kid/cgroup.freeze", "0"));
		EXPECT_TRUE(until(says_frozen("frozen 0")));
		EXPECT_TRUE(asleep(self->k.pid, self->k.pid));
		EXPECT_EQ(-EAGAIN, take(&self->s));
	}
	EXPECT_EQ(0, held(&self->s, self->entry)->flags);
	EXPECT_EQ(0, reply(&self->s, self->entry, 3, 7));
	EXPECT_EQ(SAYS(IDLE, DONE, 7), goes_on(self));
	rmdir(CGROUP "/kid");
	umount(CGROUP);
}

/* ---- one-way messages, whose outcome comes before their end ---- */

FIXTURE(oneway) {
	int chan;
	struct ep c, s;
};

FIXTURE_SETUP(oneway)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .flags = MSGC_REDELIVER,
						.max_attempts = 1));
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	*request(&self->c, 0) = (struct msgc_request){ .cookie = 5 };
}

FIXTURE_TEARDOWN(oneway)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/* Sent, with a deadline that does not matter any more, and taken by a server that died. */
static bool sent_to_the_dead(struct _test_data_oneway *self, int flags, __u64 deadline)
{
	if (call(&self->c, 0, MSGC_ONEWAY | MSGC_ASYNC | flags, deadline))
		return false;
	die_holding(self->chan, 1);
	return says(&self->c, 0) == SAYS(QUEUED, DONE, 0);
}

TEST_F(oneway, comes_again)
{
	__u64 deadline = in_ms(3000);
	long e;

	ASSERT_TRUE(sent_to_the_dead(self, 0, deadline));
	while (now() < deadline)
		usleep(1000);
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	e = take(&self->s);
	ASSERT_LE(0, e);
	EXPECT_EQ(MSGC_M_ONEWAY | MSGC_M_REDELIVERED, held(&self->s, e)->flags);
	EXPECT_EQ(SAYS(TAKEN, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 5));
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
}

TEST_F(oneway, withdrawn_while_it_waits_again)
{
	ASSERT_TRUE(sent_to_the_dead(self, 0, MSGC_FOREVER));
	EXPECT_EQ(-ENOENT, cancel(&self->c, 0, 6));
	EXPECT_EQ(0, cancel(&self->c, 0, 5));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	EXPECT_EQ(-EAGAIN, take(&self->s));
}

TEST_F(oneway, given_up_after_the_last_attempt)
{
	ASSERT_TRUE(sent_to_the_dead(self, 0, MSGC_FOREVER));
	EXPECT_EQ(0, info(self->chan).skipped);
	die_holding(self->chan, 1);
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(1, info(self->chan).skipped);
}

/* Not for the dead: what they sent ends with them, as soon as no server has it. */
TEST_F(oneway, its_client_dies)
{
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	ASSERT_EQ(0, call(&self->c, 0, MSGC_ONEWAY | MSGC_ASYNC, MSGC_FOREVER));
	ASSERT_LE(0, take(&self->s));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_EQ(SAYS(TAKEN, DONE, 0), says(&self->c, 0));
	EXPECT_TRUE(held(&self->s, 0)->flags & MSGC_M_GONE);
	ep_close(&self->s);
	ASSERT_TRUE(until(ep_receiver(&self->s, self->chan) == 0));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(0, info(self->chan).redelivered);
}

/* Nor what its client has given up. */
TEST_F(oneway, given_up_and_not_redelivered)
{
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_LE(0, take(&self->s));
	EXPECT_EQ(0, cancel(&self->c, 0, 5));
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(SAYS(IDLE, MAYBE, -ECANCELED), says(&self->c, 0));
	ep_close(&self->s);
	ASSERT_TRUE(until(ep_receiver(&self->s, self->chan) == 0));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));		/* the slot is its own again */
}

/* ---- REPLY_RECV: which half was done ---- */

FIXTURE(halves) {
	int chan;
	struct ep c, s;
	struct msgc_reply *arg;		/* in a page of its own */
	struct runner r;
};

FIXTURE_SETUP(halves)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS));
	ASSERT_EQ(0, ep_receiver(&self->s, self->chan));
	ASSERT_EQ(0, ep_sender(&self->c, self->chan));
	for (int n = 0; n < SLOTS; n++)
		*request(&self->c, n) = (struct msgc_request){ .room = PAGE };
	self->arg = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&self->s));
	*self->arg = (struct msgc_reply){ .call = held(&self->s, 0)->call, .status = 9 };
	ep_own(&self->s)->deadline = MSGC_FOREVER;
}

FIXTURE_TEARDOWN(halves)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

#define OUT	SAYS(IDLE, DONE, 9)
#define NOT_OUT	SAYS(TAKEN, NOTHING, 0)

static long reply_recv(struct _test_data_halves *self)
{
	return cmd(self->s.fd, MSGC_REPLY_RECV, self->arg);
}

/* The reply goes out, and it sleeps for the next call. */
static bool sleeps_in_second_half(struct _test_data_halves *self)
{
	return runner_start(&self->r, self->s.fd, MSGC_REPLY_RECV, self->arg) &&
	       says(&self->c, 0) == OUT;
}

TEST_F(halves, again)
{
	ep_own(&self->s)->deadline = MSGC_NOW;
	EXPECT_EQ(-EAGAIN, reply_recv(self));
	EXPECT_EQ(OUT, says(&self->c, 0));
	EXPECT_EQ(0, self->arg->call);
	EXPECT_EQ(9, self->arg->status);		/* and nothing else is changed */
}

TEST_F(halves, deadline)
{
	ep_own(&self->s)->deadline = 1;
	EXPECT_EQ(-ETIMEDOUT, reply_recv(self));
	EXPECT_EQ(OUT, says(&self->c, 0));
	EXPECT_EQ(0, self->arg->call);
}

TEST_F(halves, interrupt)
{
	ASSERT_TRUE(sleeps_in_second_half(self));
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&self->r));
	EXPECT_EQ(0, self->arg->call);
	/* sticky: it came before the second half */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	ASSERT_EQ(0, take(&self->s));
	EXPECT_EQ(0, none(self->s.fd, MSGC_INTERRUPT));
	*self->arg = (struct msgc_reply){ .call = held(&self->s, 0)->call, .status = 9 };
	EXPECT_EQ(-EINTR, reply_recv(self));
	EXPECT_EQ(0, self->arg->call);
	EXPECT_EQ(OUT, says(&self->c, 0));
}

TEST_F(halves, dead_before_and_between)
{
	__u64 id = self->arg->call;

	ASSERT_TRUE(sleeps_in_second_half(self));
	EXPECT_EQ(0, detach(self->s.fd));
	EXPECT_EQ(-ESHUTDOWN, runner_end(&self->r));
	EXPECT_EQ(0, self->arg->call);			/* between: the reply is out */
	self->arg->call = id;
	EXPECT_EQ(-ESHUTDOWN, reply_recv(self));
	EXPECT_EQ(id, self->arg->call);			/* before: nothing was done */
}

TEST_F(halves, nothing_done)
{
	__u64 id = self->arg->call;
	struct msgc_answer *a = answer(&self->s, 0);

	ASSERT_EQ(0, start(&self->c, 1, MSGC_FOREVER));
	a->nfds = MSGC_FDS + 1;
	EXPECT_GT(0, reply_recv(self));
	a->nfds = 0;
	a->zero = 1;
	EXPECT_EQ(-EINVAL, reply_recv(self));
	a->zero = 0;
	self->arg->len = PAGE + 1;
	EXPECT_EQ(-EMSGSIZE, reply_recv(self));
	self->arg->len = 0;
	self->arg->call += 0x10000;
	EXPECT_EQ(-ENOENT, reply_recv(self));
	EXPECT_EQ(id + 0x10000, self->arg->call);
	self->arg->call = id | 0xffff;
	EXPECT_EQ(-ENOENT, reply_recv(self));
	EXPECT_EQ(-EFAULT, cmd(self->s.fd, MSGC_REPLY_RECV, (void *)16));
	EXPECT_EQ(NOT_OUT, says(&self->c, 0));
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 1));
	self->arg->call = id;
	EXPECT_LE(0, reply_recv(self));
	EXPECT_EQ(OUT, says(&self->c, 0));
	EXPECT_EQ(id, self->arg->call);			/* success writes nothing back */
}

/* Read-only by the time of the signal: `call` cannot be zeroed, so EINTR in place of a restart. */
TEST_F(halves, struct_read_only)
{
	handle(SA_RESTART);
	ASSERT_TRUE(sleeps_in_second_half(self));
	ASSERT_EQ(0, mprotect(self->arg, PAGE, PROT_READ));
	pthread_kill(self->r.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, runner_end(&self->r));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, self->arg->call, 0, 0));	/* once is enough */
	EXPECT_EQ(OUT, says(&self->c, 0));
}

TEST_F(halves, uring_completions)
{
	static const unsigned long nr[] = { MSGC_REPLY_RECV, MSGC_RECV };
	struct msgc_recv recv = { .deadline = MSGC_FOREVER };
	void *arg[] = { self->arg, &recv };
	struct io_uring ring;
	struct poller p = { .ring = &ring };

	if (io_uring_queue_init(32, &ring, 0))
		SKIP(return, "no io_uring");
	for (int n = 0; n < 2; n++) {
		long e;

		ASSERT_TRUE(poller_start(&p, self->s.fd, nr[n], arg[n]));
		EXPECT_EQ(OUT, says(&self->c, 0));
		EXPECT_TRUE(poller_sleeps_on(&p));
		ASSERT_EQ(0, start(&self->c, 1 + n, MSGC_FOREVER));
		e = poller_end(&p);
		ASSERT_LE(0, e);
		EXPECT_EQ(1 + n, held(&self->s, e)->slot);
		EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	}
	io_uring_queue_exit(&ring);
}

/* ---- clocks: what is exact in one is exact in the other ---- */

#define OFFSET	(1000000 * 1000 * MS)		/* a million seconds */

struct clocks {
	int chan;
	__u64 deadline;
};

/* Deadlines as it sees them, less its own clock's offset; then waits of its own end in time. */
static int server_in_timens(int sk, void *p)
{
	struct clocks *c = p;
	struct msgc_reply nothing = { .call = 0 };
	struct msgc_recv one = { .deadline = 1 };
	struct ep s;
	long e;

	if (now() < OFFSET || ep_receiver(&s, c->chan))
		return 1;
	e = receive(&s, in_ms(60000));
	if (e < 0 || held(&s, e)->deadline != c->deadline + OFFSET)
		return 2;
	e = receive(&s, in_ms(60000));
	if (e < 0 || held(&s, e)->deadline != MSGC_FOREVER)
		return 3;
	if (receive(&s, in_ms(5)) != -ETIMEDOUT || cmd(s.fd, MSGC_RECV, &one) != -ETIMEDOUT)
		return 4;
	ep_own(&s)->deadline = in_ms(5);
	if (cmd(s.fd, MSGC_REPLY_RECV, &nothing) != -ETIMEDOUT)
		return 5;
	tell(sk, 0);
	hear(sk);
	return 0;
}

static int into_timens(int sk, void *p)
{
	struct kid k;
	int heard;

	if (unshare(CLONE_NEWTIME) ||
	    write_text("/proc/self/timens_offsets", "monotonic 1000000 0"))
		return 9;
	k = kid_start(server_in_timens, p);
	heard = hear(k.sk);
	tell(sk, heard);
	return kid_end(&k, 0);
}

TEST(server_of_another_clock)
{
	struct clocks c = { .chan = create_private(CREATE_CALL(.slots = SLOTS)),
			    .deadline = in_ms(3600000) };
	struct ep client;
	struct kid k;

	ASSERT_EQ(0, ep_sender(&client, c.chan));
	ASSERT_EQ(0, start(&client, 0, c.deadline));
	ASSERT_EQ(0, start(&client, 1, MSGC_FOREVER));
	k = kid_start(into_timens, &c);
	EXPECT_EQ(0, hear(k.sk));
	EXPECT_EQ(0, kid_end(&k, 0));
}

TEST_HARNESS_MAIN
