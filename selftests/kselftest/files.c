// SPDX-License-Identifier: MIT
/*
 * Files that travel with calls and replies: who gets them, what is refused, and that nothing keeps
 * one that it should not. What is sent is one end of a pipe: the other one tells when the last
 * reference to it has gone.
 */
#include <liburing.h>
#include <sys/resource.h>

#include "call.h"

#define SLOTS	8

/* ---- endpoints that ask for files ---- */

static long taking(struct ep *e, int chan, __u32 role)
{
	return ep_attach(e, chan, ATTACH(.role = role, .flags = MSGC_TAKES_FILES));
}

static long taking_sender(struct ep *e, int chan)
{
	return taking(e, chan, MSGC_SENDER);
}

static long taking_receiver(struct ep *e, int chan)
{
	return taking(e, chan, MSGC_RECEIVER);
}

/* ---- pipes ---- */

struct tube { int r, w; };

static struct tube tube(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		abort();
	return (struct tube){ fds[0], fds[1] };
}

/* Nobody has the reading end any more. */
static bool closed(const struct tube *t)
{
	return until(poll_now(t->w, POLLOUT) & POLLERR);
}

static bool is_open(const struct tube *t)
{
	return !(poll_now(t->w, POLLOUT) & POLLERR);
}

/* @fd is the reading end of this one. */
static bool leads_to(int fd, const struct tube *t)
{
	char byte = 0;

	return write(t->w, "x", 1) == 1 && poll_now(fd, POLLIN) & POLLIN &&
	       read(fd, &byte, 1) == 1 && byte == 'x';
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* So that only @n more can be opened. */
static struct rlimit leave_room(int n)
{
	struct rlimit was, now;
	int fd = 0;

	getrlimit(RLIMIT_NOFILE, &was);
	for (; n || fcntl(fd, F_GETFD) >= 0; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			n--;
	now = was;
	now.rlim_cur = fd;
	setrlimit(RLIMIT_NOFILE, &now);
	return was;
}

/* ---- messages ---- */

/* The reading ends go with what is called next on this slot. */
static void ask(const struct ep *c, int slot, const struct tube *t, int n)
{
	struct msgc_request *q = request(c, slot);

	*q = (struct msgc_request){ .room = PAGE, .cookie = 0x1000 + slot, .nfds = n };
	for (int i = 0; i < n && i < MSGC_FDS; i++)
		q->fds[i] = t[i].r;
}

static void say(const struct ep *s, int entry, const struct tube *t, int n)
{
	struct msgc_answer *a = answer(s, entry);

	*a = (struct msgc_answer){ .nfds = n };
	for (int i = 0; i < n && i < MSGC_FDS; i++)
		a->fds[i] = t[i].r;
}

/* How many numbers are in a line, none behind the first -1. */
static int numbers(const __s32 *fds)
{
	int n = 0, behind;

	while (n < MSGC_FDS && fds[n] >= 0)
		n++;
	for (behind = n; behind < MSGC_FDS; behind++)
		if (fds[behind] != -1)
			return -1;
	return n;
}

static void close_all(const __s32 *fds)
{
	for (int i = 0; i < MSGC_FDS && fds[i] >= 0; i++)
		close(fds[i]);
}

static bool cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

/* ---- the usual ---- */

FIXTURE(files) {
	int chan, fds;
	struct ep c, s;
	struct tube t[MSGC_FDS];
};

FIXTURE_VARIANT(files) {
	__u64 spin_ns;
};

FIXTURE_VARIANT_ADD(files, sleeping) {
	.spin_ns = 0,
};

FIXTURE_VARIANT_ADD(files, looking) {
	.spin_ns = 200000,
};

FIXTURE_SETUP(files)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .max_senders = 4,
						.flags = MSGC_MANY_SERVERS,
						.spin_ns = variant->spin_ns));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, taking_receiver(&self->s, self->chan));
	ASSERT_EQ(0, taking_sender(&self->c, self->chan));
	for (int i = 0; i < MSGC_FDS; i++)
		self->t[i] = tube();
	for (int i = 0; i < SLOTS; i++)
		ask(&self->c, i, NULL, 0);
	self->fds = open_files();
}

FIXTURE_TEARDOWN(files)
{
	ep_close(&self->c);
	ep_close(&self->s);
	close(self->chan);
}

/* A call in a thread that waits for it, taken by the server. */
static long call_taken(struct ep *c, struct ep *s, struct runner *r, struct msgc_call *arg)
{
	*arg = (struct msgc_call){ .deadline = MSGC_FOREVER };
	return runner_start(r, c->fd, MSGC_CALL, arg) ? take(s) : -ETIME;
}

TEST_F(files, both_ways)
{
	struct msgc_call arg;
	struct msgc_held *h;
	struct msgc_done *d = line(&self->c, 0);
	struct runner r;
	long e;

	ask(&self->c, 0, &self->t[0], 2);
	e = call_taken(&self->c, &self->s, &r, &arg);
	ASSERT_LE(0, e);
	h = held(&self->s, e);
	EXPECT_EQ(2, h->nfds);
	EXPECT_EQ(0, h->flags);
	ASSERT_EQ(2, numbers(h->fds));
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(leads_to(h->fds[i], &self->t[i]));
		EXPECT_TRUE(cloexec(h->fds[i]));
		close(h->fds[i]);
	}
	EXPECT_EQ(0, numbers(d->fds));

	say(&self->s, e, &self->t[2], 1);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(0, d->flags);
	ASSERT_EQ(1, numbers(d->fds));
	EXPECT_TRUE(leads_to(d->fds[0], &self->t[2]));
	EXPECT_TRUE(cloexec(d->fds[0]));
	close(d->fds[0]);
	EXPECT_EQ(0, h->nfds);
	EXPECT_EQ(0, numbers(h->fds));

	ask(&self->c, 0, NULL, 0);			/* and then without any */
	e = call_taken(&self->c, &self->s, &r, &arg);
	ASSERT_LE(0, e);
	EXPECT_EQ(0, h->nfds);
	EXPECT_EQ(0, numbers(h->fds));
	EXPECT_EQ(0, numbers(d->fds));
	say(&self->s, e, NULL, 0);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(0, numbers(d->fds));
	EXPECT_EQ(self->fds, open_files());
}

/* Who did not ask for files has none to close; what was sent is dropped, and both are told. */
TEST_F(files, not_asked_for)
{
	struct msgc_call arg;
	struct ep c, s;
	struct runner r;
	long e;
	int fds;

	ep_close(&self->s);
	ASSERT_EQ(0, ep_receiver(&s, self->chan));
	ASSERT_EQ(0, ep_sender(&c, self->chan));
	fds = open_files();
	ask(&c, 0, &self->t[0], 1);
	e = call_taken(&c, &s, &r, &arg);
	ASSERT_LE(0, e);
	EXPECT_EQ(0, held(&s, e)->nfds);
	EXPECT_EQ(0, numbers(held(&s, e)->fds));
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, held(&s, e)->flags);
	say(&s, e, &self->t[1], 1);
	EXPECT_EQ(0, reply(&s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&c, 0));
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, line(&c, 0)->flags);
	EXPECT_EQ(0, numbers(line(&c, 0)->fds));
	EXPECT_EQ(fds, open_files());
	for (int i = 0; i < 2; i++) {
		close(self->t[i].r);
		EXPECT_TRUE(closed(&self->t[i]));
	}
	ep_close(&c);
	ep_close(&s);
	ASSERT_EQ(0, taking_receiver(&self->s, self->chan));
}

/* What a call brought is closed by its reply, though the replying thread goes to sleep with it. */
TEST_F(files, closed_before_the_next_call)
{
	struct msgc_reply again = { 0 };
	struct msgc_call arg;
	struct runner r, server;
	long e;

	ask(&self->c, 0, &self->t[0], 1);
	e = call_taken(&self->c, &self->s, &r, &arg);
	ASSERT_LE(0, e);
	close(self->t[0].r);
	close(held(&self->s, e)->fds[0]);
	EXPECT_TRUE(is_open(&self->t[0]));
	say(&self->s, e, NULL, 0);
	ep_own(&self->s)->deadline = MSGC_FOREVER;
	again.call = held(&self->s, e)->call;
	ASSERT_TRUE(runner_start(&server, self->s.fd, MSGC_REPLY_RECV, &again));
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_TRUE(closed(&self->t[0]));
	EXPECT_EQ(0, cmd(self->s.fd, MSGC_INTERRUPT, &(struct msgc_none){ 0 }));
	EXPECT_EQ(-EINTR, runner_end(&server));
}

/* The most there may be, and no more numbers than were there before; then nobody has them. */
TEST_F(files, eight_both_ways)
{
	struct msgc_call arg;
	struct msgc_held *h;
	struct msgc_done *d = line(&self->c, 0);
	struct runner r;
	long e;

	ask(&self->c, 0, self->t, MSGC_FDS);
	e = call_taken(&self->c, &self->s, &r, &arg);
	ASSERT_LE(0, e);
	h = held(&self->s, e);
	ASSERT_EQ(MSGC_FDS, numbers(h->fds));
	EXPECT_EQ(MSGC_FDS, h->nfds);
	for (int i = 0; i < MSGC_FDS; i++)
		EXPECT_TRUE(leads_to(h->fds[i], &self->t[i]));
	close_all(h->fds);
	say(&self->s, e, self->t, MSGC_FDS);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
	ASSERT_EQ(MSGC_FDS, numbers(d->fds));
	for (int i = 0; i < MSGC_FDS; i++)
		EXPECT_TRUE(leads_to(d->fds[i], &self->t[i]));
	close_all(d->fds);
	EXPECT_EQ(self->fds, open_files());
	for (int i = 0; i < MSGC_FDS; i++) {
		close(self->t[i].r);
		EXPECT_TRUE(closed(&self->t[i]));
	}
}

/* ---- what is refused: nothing was done then ---- */

static const struct { int nfds, at, fd; long err; } bad[] = {
	{ MSGC_FDS + 1, -1, 0, -EINVAL },
	{ 255, -1, 0, -EINVAL },
	{ 2, 0, -1, -EBADF },
	{ 2, 1, 1000, -EBADF },
	{ MSGC_FDS, 7, 0x7fffffff, -EBADF },
};

TEST_F(files, refused_requests)
{
	struct msgc_request *q = request(&self->c, 0);

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ask(&self->c, 0, self->t, bad[i].nfds);
		if (bad[i].at >= 0)
			q->fds[bad[i].at] = bad[i].fd;
		EXPECT_EQ(bad[i].err, start(&self->c, 0, MSGC_FOREVER)) { TH_LOG("%u", i); }
	}
	ask(&self->c, 0, self->t, 2);
	q->fds[1] = self->c.fd;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	q->fds[1] = self->s.fd;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	q->fds[1] = self->t[1].r;
	q->len = PAGE + 1;
	EXPECT_EQ(-EMSGSIZE, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(-EAGAIN, take(&self->s));
	EXPECT_EQ(SAYS(IDLE, NOTHING, 0), says(&self->c, 0));

	q->len = 0;
	EXPECT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	q->fds[0] = self->t[2].r;
	EXPECT_EQ(-EBUSY, start(&self->c, 0, MSGC_FOREVER));
	close(self->t[2].r);
	EXPECT_TRUE(closed(&self->t[2]));
	close(self->t[0].r);
	EXPECT_TRUE(is_open(&self->t[0]));
}

TEST_F(files, refused_replies)
{
	struct msgc_answer *a;
	long e;
	__u64 id;

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_LE(0, e);
	a = answer(&self->s, e);
	id = held(&self->s, e)->call;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		say(&self->s, e, self->t, bad[i].nfds);
		if (bad[i].at >= 0)
			a->fds[bad[i].at] = bad[i].fd;
		EXPECT_EQ(bad[i].err, reply(&self->s, e, 0, 0)) { TH_LOG("%u", i); }
	}
	say(&self->s, e, self->t, 1);
	a->fds[0] = self->c.fd;
	EXPECT_EQ(-EINVAL, reply(&self->s, e, 0, 0));
	a->fds[0] = self->t[0].r;
	EXPECT_EQ(-EMSGSIZE, reply(&self->s, e, PAGE + 1, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, id + 0x10000, 0, 0));
	EXPECT_EQ(-ENOENT, reply_id(&self->s, 0x1ffff, 0, 0));
	close(self->t[0].r);
	EXPECT_TRUE(closed(&self->t[0]));
	EXPECT_EQ(SAYS(TAKEN, NOTHING, 0), says(&self->c, 0));
	EXPECT_EQ(id, held(&self->s, e)->call);
	say(&self->s, e, NULL, 0);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
}

/* By name of its inode, as the core does it by its operations: on every kernel. */
TEST_F(files, no_rings)
{
	struct io_uring ring;

	if (io_uring_queue_init(4, &ring, 0))
		SKIP(return, "no io_uring");
	ask(&self->c, 0, self->t, 1);
	request(&self->c, 0)->fds[0] = ring.ring_fd;
	EXPECT_EQ(-EINVAL, start(&self->c, 0, MSGC_FOREVER));
	io_uring_queue_exit(&ring);
}

/* Devices, channels and paths may travel. */
TEST_F(files, other_kinds)
{
	int root = open("/", O_PATH | O_CLOEXEC);
	int fds[] = { device(), self->chan, root, eventfd(0, EFD_CLOEXEC) };
	struct msgc_held *h;
	struct ep c;
	long e;

	ask(&self->c, 0, NULL, 0);
	request(&self->c, 0)->nfds = 4;
	memcpy(request(&self->c, 0)->fds, fds, sizeof(fds));
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_LE(0, e);
	h = held(&self->s, e);
	ASSERT_EQ(4, numbers(h->fds));
	EXPECT_EQ(0, taking_sender(&c, h->fds[1]));
	EXPECT_LE(0, openat(h->fds[2], "dev", O_PATH | O_CLOEXEC));
}

/* ---- limits ---- */

TEST_F(files, truncated_request)
{
	struct msgc_held *h;
	struct rlimit was;
	long e;

	ask(&self->c, 0, self->t, 5);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	was = leave_room(2);
	e = take(&self->s);
	setrlimit(RLIMIT_NOFILE, &was);
	ASSERT_LE(0, e);
	h = held(&self->s, e);
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, h->flags);
	EXPECT_EQ(2, h->nfds);
	ASSERT_EQ(2, numbers(h->fds));
	EXPECT_TRUE(leads_to(h->fds[1], &self->t[1]));
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	for (int i = 2; i < 5; i++) {
		close(self->t[i].r);
		EXPECT_TRUE(closed(&self->t[i]));
	}

	ask(&self->c, 0, self->t, 2);			/* and none at all */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	was = leave_room(0);
	e = take(&self->s);
	setrlimit(RLIMIT_NOFILE, &was);
	ASSERT_LE(0, e);
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, held(&self->s, e)->flags);
	EXPECT_EQ(0, held(&self->s, e)->nfds);
	EXPECT_EQ(0, numbers(held(&self->s, e)->fds));
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));

	ask(&self->c, 0, self->t, 1);			/* this is of the past */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_LE(0, e);
	EXPECT_EQ(0, held(&self->s, e)->flags);
}

TEST_F(files, truncated_reply)
{
	struct msgc_done *d = line(&self->c, 0);
	struct msgc_call arg;
	struct rlimit was;
	struct runner r;
	long e = call_taken(&self->c, &self->s, &r, &arg);

	ASSERT_LE(0, e);
	say(&self->s, e, self->t, 5);
	was = leave_room(0);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
	setrlimit(RLIMIT_NOFILE, &was);
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, d->flags);
	EXPECT_EQ(0, numbers(d->fds));

	e = call_taken(&self->c, &self->s, &r, &arg);
	ASSERT_LE(0, e);
	EXPECT_EQ(0, d->flags);
	say(&self->s, e, NULL, 0);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, runner_end(&r));
}

struct user { int chan; struct tube *t; };

/* An ordinary user, who may have 32 files open, may have as many in flight. */
static int ordinary(int sk, void *p)
{
	struct rlimit limit = { 32, 32 };
	struct user *u = p;
	struct ep c;

	(void)sk;
	if (become(1000, 1000) || taking_sender(&c, u->chan))
		return 1;
	close(u->t[6].w);
	close(u->t[7].w);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	for (int i = 0; i < SLOTS; i++)
		ask(&c, i, u->t, MSGC_FDS);
	for (int i = 0; i < 4; i++)
		if (start(&c, i, MSGC_FOREVER))
			return 3;
	if (start(&c, 4, MSGC_FOREVER) != -ETOOMANYREFS)
		return 4;
	ask(&c, 5, NULL, 0);
	if (start(&c, 5, MSGC_FOREVER))
		return 5;
	if (cancel(&c, 1, 0x1001) || start(&c, 4, MSGC_FOREVER))
		return 6;
	return start(&c, 1, MSGC_FOREVER) == -ETOOMANYREFS ? 0 : 7;
}

TEST_F(files, too_many_in_flight)
{
	struct user u = { self->chan, self->t };
	struct rlimit was, small;
	struct kid k = kid_start(ordinary, &u);

	EXPECT_EQ(0, kid_end(&k, 0));
	k = kid_start(ordinary, &u);			/* the first one's count no more */
	EXPECT_EQ(0, kid_end(&k, 0));

	getrlimit(RLIMIT_NOFILE, &was);
	small = was;
	small.rlim_cur = 32;
	setrlimit(RLIMIT_NOFILE, &small);
	for (int i = 0; i < SLOTS; i++) {
		ask(&self->c, i, self->t, MSGC_FDS);
		EXPECT_EQ(0, start(&self->c, i, MSGC_FOREVER));
	}
	setrlimit(RLIMIT_NOFILE, &was);
}

/* ---- deaths ---- */

FIXTURE(ends) {
	int chan;
	struct ep c;
	struct tube t;
};

FIXTURE_SETUP(ends)
{
	self->chan = create_private(CREATE_CALL(.slots = SLOTS, .max_attempts = 1,
						.flags = MSGC_MANY_SERVERS | MSGC_REDELIVER));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, taking_sender(&self->c, self->chan));
	self->t = tube();
	ask(&self->c, 0, &self->t, 1);
}

FIXTURE_TEARDOWN(ends)
{
	ep_close(&self->c);
	close(self->chan);
}

TEST_F(ends, redelivered)
{
	struct msgc_held *h;
	struct ep s;
	long e;

	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	close(self->t.r);
	die_holding(self->chan, 1);
	EXPECT_EQ(SAYS(QUEUED, NOTHING, 0), says(&self->c, 0));
	EXPECT_TRUE(is_open(&self->t));
	ASSERT_EQ(0, taking_receiver(&s, self->chan));
	e = take(&s);
	ASSERT_LE(0, e);
	h = held(&s, e);
	EXPECT_EQ(MSGC_M_REDELIVERED, h->flags);
	EXPECT_EQ(1, h->nfds);
	ASSERT_EQ(1, numbers(h->fds));
	EXPECT_TRUE(leads_to(h->fds[0], &self->t));
	close(h->fds[0]);
	EXPECT_TRUE(is_open(&self->t));
	ep_close(&s);					/* the second time */
	EXPECT_EQ(SAYS(IDLE, MAYBE, -EOWNERDEAD), says(&self->c, 0));
	EXPECT_TRUE(closed(&self->t));
}

TEST_F(ends, redelivered_message)
{
	struct msgc_call arg = { .flags = MSGC_ONEWAY, .deadline = MSGC_FOREVER };
	struct runner r;
	struct ep s;
	long e;

	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	close(self->t.r);
	die_holding(self->chan, 1);
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(SAYS(QUEUED, DONE, 0), says(&self->c, 0));
	ASSERT_EQ(0, taking_receiver(&s, self->chan));
	e = take(&s);
	ASSERT_LE(0, e);
	ASSERT_EQ(1, numbers(held(&s, e)->fds));
	EXPECT_TRUE(leads_to(held(&s, e)->fds[0], &self->t));
	close(held(&s, e)->fds[0]);
	say(&s, e, &self->t, 0);
	EXPECT_EQ(0, reply(&s, e, 0, 0));
	EXPECT_TRUE(closed(&self->t));
	ep_close(&s);
}

TEST_F(ends, while_queued)
{
	struct tube t;

	ASSERT_EQ(0, start(&self->c, 0, in_ms(1)));		/* a deadline */
	close(self->t.r);
	EXPECT_EQ(MSGC_IN, wait_for(self->c.fd, MSGC_IN, MSGC_FOREVER));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 0));
	EXPECT_TRUE(closed(&self->t));

	t = tube();						/* a waiter's */
	ask(&self->c, 0, &t, 1);
	EXPECT_EQ(0, call(&self->c, 0, 0, in_ms(20)));
	EXPECT_EQ(SAYS(IDLE, NOT_EXECUTED, -ETIMEDOUT), says(&self->c, 0));
	close(t.r);
	EXPECT_TRUE(closed(&t));

	t = tube();						/* CANCEL */
	ask(&self->c, 0, &t, 1);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	close(t.r);
	EXPECT_TRUE(is_open(&t));
	EXPECT_EQ(0, cancel(&self->c, 0, 0x1000));
	EXPECT_TRUE(closed(&t));

	t = tube();						/* the client's death */
	ask(&self->c, 0, &t, 1);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	close(t.r);
	EXPECT_TRUE(is_open(&t));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_TRUE(closed(&t));
}

/* The server has its own copies, and keeps the call. */
TEST_F(ends, while_taken)
{
	struct tube t;
	struct ep s;
	long e;

	ASSERT_EQ(0, taking_receiver(&s, self->chan));
	for (int way = 0; way < 3; way++) {
		t = tube();
		ask(&self->c, way, &t, 1);
		e = way == 0 ? take_in_time(&self->c, way, &s) :
			       start(&self->c, way, MSGC_FOREVER) ?: take(&s);
		ASSERT_LE(0, e);
		close(t.r);
		if (held(&s, e)->fds[0] >= 0)
			close(held(&s, e)->fds[0]);
		if (way)
			EXPECT_TRUE(is_open(&t));
		EXPECT_EQ(way ? 0 : MSGC_IN,
			  way == 0 ? wait_for(self->c.fd, MSGC_IN, MSGC_FOREVER) :
			  way == 1 ? cancel(&self->c, way, 0x1001) : detach(self->c.fd));
		EXPECT_TRUE(closed(&t)) { TH_LOG("%d", way); }
		EXPECT_EQ(MSGC_M_GONE, held(&s, e)->flags);
		WRITE_ONCE(request(&self->c, way)->handled, line(&self->c, way)->event);
		t = tube();					/* too late */
		say(&s, e, &t, 1);
		EXPECT_EQ(0, reply(&s, e, 0, 0));
		close(t.r);
		EXPECT_TRUE(closed(&t)) { TH_LOG("%d", way); }
	}
	ep_close(&s);
}

static int client_dies(int sk, void *p)
{
	struct user *u = p;
	struct ep c;

	if (taking_sender(&c, u->chan))
		return 1;
	ask(&c, 0, u->t, 1);
	if (start(&c, 0, MSGC_FOREVER))
		return 2;
	tell(sk, 1);
	hear(sk);
	return 0;
}

TEST_F(ends, killed_client)
{
	struct user u = { self->chan, &self->t };
	struct kid k = kid_start(client_dies, &u);

	EXPECT_EQ(1, hear(k.sk));
	close(self->t.r);
	EXPECT_TRUE(is_open(&self->t));
	EXPECT_EQ(-SIGKILL, kid_end(&k, SIGKILL));
	EXPECT_TRUE(closed(&self->t));
}

/* In the queue of a socket that travels stands the very endpoint whose call it travels with. */
static int makes_a_cycle(int sk, void *p)
{
	struct user *u = p;
	struct ep c;
	int s[2];

	if (taking_sender(&c, u->chan) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s))
		return 1;
	if (send_fd(s[0], c.fd) || send_fd(s[0], u->t->r))
		return 2;
	ask(&c, 0, NULL, 0);
	request(&c, 0)->nfds = 1;
	request(&c, 0)->fds[0] = s[1];
	if (start(&c, 0, MSGC_FOREVER))
		return 3;
	ep_unmap(&c);
	close(s[0]);
	close(s[1]);
	close(c.fd);
	tell(sk, 1);
	hear(sk);
	return 0;
}

TEST_F(ends, cycle)
{
	struct user u = { self->chan, &self->t };
	struct kid k = kid_start(makes_a_cycle, &u);

	EXPECT_EQ(1, hear(k.sk));
	close(self->t.r);
	EXPECT_TRUE(is_open(&self->t));
	EXPECT_EQ(2, info(self->chan).senders);
	EXPECT_EQ(-SIGKILL, kid_end(&k, SIGKILL));
	EXPECT_TRUE(closed(&self->t));
	EXPECT_TRUE(until(info(self->chan).senders == 1));
}

/* ---- replies that nobody waits for ---- */

TEST_F(files, asynchronous)
{
	struct msgc_done *d = line(&self->c, 0);
	long e;

	ask(&self->c, 0, self->t, 1);			/* its request may bring some */
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	e = take(&self->s);
	ASSERT_LE(0, e);
	ASSERT_EQ(1, numbers(held(&self->s, e)->fds));
	say(&self->s, e, &self->t[1], 1);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	close(self->t[1].r);
	EXPECT_TRUE(closed(&self->t[1]));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	EXPECT_EQ(MSGC_M_FDS_TRUNCATED, d->flags);
	EXPECT_EQ(0, numbers(d->fds));
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_NOW));
	EXPECT_EQ(0, numbers(d->fds));

	ask(&self->c, 0, NULL, 0);
	ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
	EXPECT_EQ(0, d->flags);
}

TEST_F(files, oneway)
{
	struct msgc_call arg = { .flags = MSGC_ONEWAY, .deadline = MSGC_FOREVER };
	struct runner r;
	long e;

	ask(&self->c, 0, self->t, 2);
	ASSERT_TRUE(runner_start(&r, self->c.fd, MSGC_CALL, &arg));
	e = take(&self->s);
	ASSERT_LE(0, e);
	EXPECT_EQ(0, runner_end(&r));
	EXPECT_EQ(2, numbers(held(&self->s, e)->fds));
	EXPECT_TRUE(leads_to(held(&self->s, e)->fds[1], &self->t[1]));
	close_all(held(&self->s, e)->fds);
	say(&self->s, e, &self->t[2], 1);
	EXPECT_EQ(0, reply(&self->s, e, 0, 0));
	EXPECT_EQ(0, line(&self->c, 0)->flags & MSGC_M_FDS_TRUNCATED);
	for (int i = 0; i < 3; i++) {
		close(self->t[i].r);
		EXPECT_TRUE(closed(&self->t[i]));
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A call whose waiter was interrupted, answered with one file. */
static bool answered_unheard(struct ep *c, struct ep *s, const struct tube *t)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct msgc_call arg;
	struct runner r;
	long e = call_taken(c, s, &r, &arg);

	sigaction(SIGUSR1, &sa, NULL);
	if (e < 0)
		return false;
	pthread_kill(r.thread, SIGUSR1);
	if (runner_end(&r) != -EINTR || arg.flags != MSGC_RESUME)
		return false;
	say(s, e, t, 1);
	return !reply(s, e, 0, 0);
}

TEST_F(files, interrupted_and_resumed)
{
	struct msgc_done *d = line(&self->c, 0);

	ASSERT_TRUE(answered_unheard(&self->c, &self->s, &self->t[0]));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
	close(self->t[0].r);
	EXPECT_TRUE(is_open(&self->t[0]));
	EXPECT_EQ(0, numbers(d->fds));
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_NOW));
	ASSERT_EQ(1, numbers(d->fds));
	EXPECT_EQ(0, d->flags);
	EXPECT_TRUE(leads_to(d->fds[0], &self->t[0]));
	EXPECT_EQ(0, resume(&self->c, 0, MSGC_NOW));		/* once */
	EXPECT_EQ(self->fds, open_files());
	close(d->fds[0]);
	EXPECT_TRUE(closed(&self->t[0]));
}

/* The next call on the slot is the end of them; so is the endpoint's. */
TEST_F(files, never_collected)
{
	ASSERT_TRUE(answered_unheard(&self->c, &self->s, &self->t[0]));
	close(self->t[0].r);
	EXPECT_TRUE(is_open(&self->t[0]));
	ASSERT_TRUE(answered_unheard(&self->c, &self->s, &self->t[1]));
	EXPECT_TRUE(closed(&self->t[0]));
	close(self->t[1].r);
	EXPECT_TRUE(is_open(&self->t[1]));
	EXPECT_EQ(0, detach(self->c.fd));
	EXPECT_TRUE(closed(&self->t[1]));
}

/* ---- many at a time ---- */

struct race {
	struct ep *c, *s;
	int chan;
	const struct tube *t;
	volatile bool stop;
	unsigned long seen, bad;
};

/* Both at about the same time: INTERRUPT of the client, and the reply. */
static void *interrupt_and_answer(void *p)
{
	struct race *x = p;

	while (!x->stop) {
		long e = receive(x->s, in_ms(20));

		if (e < 0)
			continue;
		say(x->s, e, x->t, 1);
		x->bad += none(x->c->fd, MSGC_INTERRUPT) != 0;
		x->bad += reply(x->s, e, 0, 0) != 0;
	}
	return NULL;
}

/*
 * INTERRUPT is told even where the outcome came with it; the files are then for RESUME, and for
 * nobody else.
 */
TEST_F(files, interrupt_beside_the_reply)
{
	struct race x = { .c = &self->c, .s = &self->s, .t = self->t };
	struct msgc_done *d = line(&self->c, 0);
	__u64 end = in_ms(2000);
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, interrupt_and_answer, &x));
	for (int i = 0; i < 3000 && now() < end; i++) {
		long ret = call(&self->c, 0, 0, in_ms(15000));

		if (ret == -EINTR) {
			ASSERT_EQ(0, numbers(d->fds));
			do {
				ret = resume(&self->c, 0, in_ms(15000));
			} while (ret == -EINTR);
		}
		ASSERT_EQ(0, ret);
		ASSERT_EQ(SAYS(IDLE, DONE, 0), says(&self->c, 0));
		ASSERT_EQ(1, numbers(d->fds));
		close(d->fds[0]);
	}
	x.stop = true;
	pthread_join(t, NULL);
	EXPECT_EQ(0, x.bad);
	EXPECT_EQ(self->fds, open_files());
}

/* Looks at the inbox from aside: who finds an id finds what belongs to it. */
static void *watch(void *p)
{
	struct race *x = p;
	struct msgc_held *h = held(x->s, 0);

	while (!x->stop) {
		__u64 id = load_acquire(&h->call);
		int nfds, n;

		if (!id)
			continue;
		nfds = READ_ONCE(h->nfds);
		n = numbers(h->fds);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (READ_ONCE(h->call) != id)
			continue;
		x->seen++;
		x->bad += nfds != MSGC_FDS || n != MSGC_FDS;
	}
	return NULL;
}

TEST_F(files, never_seen_without)
{
	struct race x = { .s = &self->s };
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, watch, &x));
	ask(&self->c, 0, self->t, MSGC_FDS);
	for (int i = 0; i < 2000 || (!x.seen && i < 20000); i++) {
		long e;

		ASSERT_EQ(0, start(&self->c, 0, MSGC_FOREVER));
		e = take(&self->s);
		ASSERT_EQ(0, e);
		sched_yield();
		close_all(held(&self->s, e)->fds);
		ASSERT_EQ(0, reply(&self->s, e, 0, 0));
	}
	x.stop = true;
	pthread_join(t, NULL);
	EXPECT_LT(0, x.seen);
	EXPECT_EQ(0, x.bad);
	EXPECT_EQ(self->fds, open_files());
}

/* Takes, looks, answers with the same number of files. */
static void *serve(void *p)
{
	struct race *x = p;

	while (!x->stop) {
		long e = receive(x->s, in_ms(20));
		struct msgc_held *h;

		if (e == -ESHUTDOWN)
			break;
		if (e < 0)
			continue;
		h = held(x->s, e);
		x->bad += h->call && (h->nfds != 2 || numbers(h->fds) != 2);
		close_all(h->fds);
		say(x->s, e, x->t, 2);
		reply(x->s, e, 0, 0);
		x->seen++;
	}
	return NULL;
}

/* One slot each: its number is in the cookie. */
static void *ask_on(void *p)
{
	struct race *x = p;
	static int next;
	int slot = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % SLOTS;
	struct msgc_done *d = line(x->c, slot);

	ask(x->c, slot, x->t, 2);
	while (!x->stop) {
		long ret = call(x->c, slot, 0, in_ms(20000));

		if (ret == -EBUSY) {			/* the server has it still */
			sched_yield();
			continue;
		}
		x->bad += ret != slot;
		if (d->outcome != MSGC_O_DONE)
			continue;
		x->bad += numbers(d->fds) != 2;
		close_all(d->fds);
		x->seen++;
	}
	return NULL;
}

/* Two threads on one endpoint on either side. */
TEST_F(files, four_threads)
{
	struct race clients[2], servers[2];
	pthread_t t[4];

	for (int i = 0; i < 2; i++) {
		clients[i] = (struct race){ .c = &self->c, .t = self->t };
		servers[i] = (struct race){ .s = &self->s, .t = self->t };
		ASSERT_EQ(0, pthread_create(&t[i], NULL, ask_on, &clients[i]));
		ASSERT_EQ(0, pthread_create(&t[2 + i], NULL, serve, &servers[i]));
	}
	EXPECT_TRUE(until(clients[0].seen > 500 && clients[1].seen > 500));
	for (int i = 0; i < 2; i++) {
		clients[i].stop = true;
		pthread_join(t[i], NULL);
	}
	for (int i = 0; i < 2; i++) {
		servers[i].stop = true;
		pthread_join(t[2 + i], NULL);
	}
	EXPECT_EQ(0, clients[0].bad + clients[1].bad);
	EXPECT_EQ(0, servers[0].bad + servers[1].bad);
	EXPECT_EQ(self->fds, open_files());
}

/* What a header says changes all the time, its files and what else is checked. */
static void *change_headers(void *p)
{
	static const __u8 nfds[] = { 0, 2, 255, 1 };
	struct race *x = p;
	volatile struct msgc_request *q = request(x->c, 0);
	volatile struct msgc_answer *a = answer(x->s, 0);

	for (unsigned int i = 0; !x->stop; i++) {
		q->nfds = nfds[i % 4];
		a->nfds = nfds[(i / 4) % 4];
		q->len = i % 3 ? 0 : PAGE + 1;
		a->zero = !(i % 5);
		q->fds[1] = i % 7 ? x->t[1].r : -1;
	}
	return NULL;
}

static bool refused(long ret)
{
	return ret == -EINVAL || ret == -EMSGSIZE || ret == -EBADF;
}

/* The files of a message are new ones, as many as its line says. */
static bool has_its_files(const struct msgc_held *h)
{
	bool ret = h->nfds <= 2 && numbers(h->fds) == h->nfds;

	for (int i = 0; i < h->nfds; i++)
		ret &= fcntl(h->fds[i], F_GETFD) >= 0;
	return ret;
}

TEST_F(files, headers_that_change)
{
	struct race x = { .c = &self->c, .s = &self->s, .t = self->t };
	int with = 0, without = 0, not_called = 0;
	__u64 end = now() + 10000 * MS;
	pthread_t t;
	long ret;

	ask(&self->c, 0, self->t, 2);
	say(&self->s, 0, self->t, 2);
	ASSERT_EQ(0, pthread_create(&t, NULL, change_headers, &x));
	while ((with < 500 || without < 500 || not_called < 500) && now() < end) {
		ret = start(&self->c, 0, MSGC_FOREVER);
		not_called += ret < 0;
		if (refused(ret))
			continue;
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, take(&self->s));
		x.bad += !has_its_files(held(&self->s, 0)) || held(&self->s, 0)->len > PAGE;
		*(held(&self->s, 0)->nfds ? &with : &without) += 1;
		close_all(held(&self->s, 0)->fds);
		do
			ret = reply(&self->s, 0, 0, 0);
		while (refused(ret));
		ASSERT_EQ(0, ret);
	}
	x.stop = true;
	pthread_join(t, NULL);
	EXPECT_TRUE(with && without && not_called);
	EXPECT_EQ(0, x.bad);
	for (int i = 0; i < 2; i++) {
		close(self->t[i].r);
		EXPECT_TRUE(until(closed(&self->t[i])));
	}
}

static int serving_kid(int sk, void *p)
{
	struct race x = *(struct race *)p;
	struct ep s;
	pthread_t t[2];

	if (taking_receiver(&s, x.chan))
		return 1;
	x.s = &s;
	tell(sk, s.at.id);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, serve, &x);
	hear(sk);
	x.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return x.bad ? 2 : 0;
}

/* Servers are killed, and evicted, at any moment: at the end nobody has anything. */
TEST_F(ends, servers_come_and_go)
{
	struct race x = { .chan = self->chan }, clients[2];
	struct tube tubes[2] = { tube(), tube() };
	int rounds = getenv("SLOW") ? 20 : 60, before;
	pthread_t t[2];

	x.t = tubes;
	for (int i = 0; i < 2; i++) {
		clients[i] = (struct race){ .c = &self->c, .t = tubes };
		ASSERT_EQ(0, pthread_create(&t[i], NULL, ask_on, &clients[i]));
	}
	before = open_files();
	for (int i = 0; i < rounds; i++) {
		struct kid k = kid_start(serving_kid, &x);
		int id = hear(k.sk);

		/* the first one when both clients have had an answer */
		if (i == 0)
			EXPECT_TRUE(until(clients[0].seen && clients[1].seen));
		usleep(i * 211 % 10000);
		if (i % 3) {
			EXPECT_EQ(-SIGKILL, kid_end(&k, SIGKILL));
		} else {
			EXPECT_EQ(0, evict(self->chan, id));
			EXPECT_EQ(0, kid_end(&k, 0));
		}
	}
	for (int i = 0; i < 2; i++)
		clients[i].stop = true;
	EXPECT_TRUE(until(!info(self->chan).receivers));
	for (int slot = 0; slot < SLOTS; slot++)
		until(cancel(&self->c, slot, 0x1000 + slot) == -ENOENT);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	EXPECT_EQ(0, clients[0].bad + clients[1].bad);
	EXPECT_EQ(before, open_files());
	for (int i = 0; i < 2; i++) {
		close(tubes[i].r);
		EXPECT_TRUE(closed(&tubes[i]));
	}
}

TEST_HARNESS_MAIN
