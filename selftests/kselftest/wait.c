// SPDX-License-Identifier: MIT
/*
 * Sleeping and waking in ring mode: WAIT, KICK, INTERRUPT, poll, select and epoll, deadlines,
 * signals, space and end of stream.
 */
#include <sys/epoll.h>
#include <sys/select.h>

#include "msgc.h"

FIXTURE(wait) {
	int chan;
	struct ep tx, rx;
};

FIXTURE_SETUP(wait)
{
	self->chan = create_private(CREATE(.max_senders = 4, .ring_max = 8192));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, ep_sender(&self->tx, self->chan));
	rx_sync(&self->rx);
	WRITE_ONCE(tx_control(&self->tx)->seen, ep_status(&self->tx)->generation);
}

FIXTURE_TEARDOWN(wait)
{
	ep_close(&self->tx);
	ep_close(&self->rx);
	close(self->chan);
}

#define IN_FOREVER (&(struct msgc_wait){ .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER })
#define OUT_FOREVER \
	(&(struct msgc_wait){ .events = MSGC_OUT, .kick = -1, .deadline = MSGC_FOREVER })

/* ---- readable, and the armed bit ---- */

TEST_F(wait, readable)
{
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_FOREVER));
	EXPECT_EQ(POLLIN, poll_now(self->rx.fd, POLLIN));
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
}

/* A receiver that holds a borrowed message sleeps, in every kind of wait. */
TEST_F(wait, borrowed_is_not_readable)
{
	fd_set set;
	struct timeval tv = { .tv_usec = 10000 };
	__u64 begin = now();

	tx_send(&self->tx, 1, "x", 1);
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, in_ms(20)));
	EXPECT_GE(now() - begin, 20 * MS);
	EXPECT_EQ(0, poll_ms(self->rx.fd, POLLIN, 20));
	FD_ZERO(&set);
	FD_SET(self->rx.fd, &set);
	EXPECT_EQ(0, select(self->rx.fd + 1, &set, NULL, NULL, &tv));
	EXPECT_GE(now() - begin, 50 * MS);
	rx_release(&self->rx, 0);
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
}

/* A pair that nobody has positioned counts as taken = line.head: a message in it is one to read. */
TEST_F(wait, unpositioned)
{
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	tx_send(&s, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_NE(NULL, rx_take(&self->rx, s.at.number));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	ep_close(&s);
}

TEST_F(wait, select)
{
	fd_set set;
	struct timeval tv = { 0 };

	tx_send(&self->tx, 1, "x", 1);
	FD_ZERO(&set);
	FD_SET(self->rx.fd, &set);
	EXPECT_EQ(1, select(self->rx.fd + 1, &set, NULL, NULL, &tv));
	FD_SET(self->tx.fd, &set);
	EXPECT_EQ(1, select(self->tx.fd + 1, NULL, &set, NULL, &tv));
}

static bool armed(const struct ep *e)
{
	return READ_ONCE(ep_status(e)->armed) & (1ULL << MSGC_INDEX(e->at.id));
}

/* Armed by every WAIT and every ->poll, ready or not; cleared by KICK alone. */
TEST_F(wait, armed_bit)
{
	kick(self->tx.fd);
	EXPECT_FALSE(armed(&self->rx));
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
	EXPECT_TRUE(armed(&self->rx));
	kick(self->tx.fd);
	EXPECT_FALSE(armed(&self->rx));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_TRUE(armed(&self->rx));
	kick(self->tx.fd);
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, in_ms(2)));
	EXPECT_TRUE(armed(&self->rx));

	tx_put(&self->tx, 1, "x", 1);
	EXPECT_TRUE(tx_publish(&self->tx));
	kick(self->tx.fd);
	EXPECT_FALSE(armed(&self->rx));
	EXPECT_EQ(POLLIN, poll_now(self->rx.fd, POLLIN));
	EXPECT_TRUE(armed(&self->rx));
	kick(self->tx.fd);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_TRUE(armed(&self->rx));
}

/* A poll for output alone, on a receiver, or a sender's own poll, arms nobody. */
TEST_F(wait, senders_do_not_arm)
{
	kick(self->tx.fd);
	poll_now(self->tx.fd, POLLOUT);
	wait_for(self->tx.fd, MSGC_OUT, MSGC_NOW);
	EXPECT_EQ(0, ep_status(&self->rx)->armed);
}

TEST_F(wait, kick_wakes)
{
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	EXPECT_TRUE(armed(&self->rx));
	kick(self->tx.fd);		/* nothing there: looks, arms, sleeps on */
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_TRUE(until(armed(&self->rx)));
	EXPECT_FALSE(r.done);
	tx_put(&self->tx, 1, "x", 1);
	EXPECT_TRUE(tx_publish(&self->tx));
	kick(self->tx.fd);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
}

/* One KICK wakes every thread and poller there is. */
TEST_F(wait, kick_wakes_all)
{
	struct runner r[3];

	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(runner_start(&r[i], self->rx.fd, MSGC_WAIT, IN_FOREVER));
	tx_send(&self->tx, 1, "x", 1);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(MSGC_IN, runner_end(&r[i]));
}

TEST_F(wait, kicks_are_counted)
{
	__u64 kicks = peer(self->chan, self->tx.at.id).kicks,
	      needless = peer(self->chan, self->tx.at.id).needless;

	kick(self->tx.fd);
	poll_now(self->rx.fd, POLLIN);
	kick(self->tx.fd);
	kick(self->tx.fd);
	EXPECT_EQ(3, peer(self->chan, self->tx.at.id).kicks - kicks);
	EXPECT_LE(1, peer(self->chan, self->tx.at.id).needless - needless);
}

/* ---- deadlines ---- */

TEST_F(wait, deadlines)
{
	__u64 begin;

	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, 0));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, 1));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, now()));
	begin = now();
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, begin + 30 * MS));
	EXPECT_GE(now() - begin, 30 * MS);
	/* readiness beats a passed deadline */
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, 1));
}

/* The one timer of an endpoint serves the earlier of two deadlines, whichever came first. */
TEST_F(wait, two_deadlines)
{
	struct msgc_wait late = { .events = MSGC_IN, .kick = -1, .deadline = in_ms(3600 * 1000) };
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, &late));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->rx.fd, MSGC_IN, in_ms(20)));
	EXPECT_FALSE(r.done);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
}

/* ---- signals and INTERRUPT ---- */

static volatile int handled;

static void handler(int sig)
{
	handled = sig;
}

static void catch(int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	handled = 0;
	sigaction(SIGUSR1, &sa, NULL);
}

TEST_F(wait, signal_restarts)
{
	struct runner r;

	catch(SA_RESTART);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	pthread_kill(r.thread, SIGUSR1);
	EXPECT_TRUE(until(handled));
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_FALSE(r.done);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
}

TEST_F(wait, signal_interrupts)
{
	struct runner r;

	catch(0);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	pthread_kill(r.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, runner_end(&r));
	EXPECT_EQ(SIGUSR1, handled);
	EXPECT_TRUE(armed(&self->rx));
}

/* Stopped and continued, as by a shell's job control or a debugger: nothing is interrupted. */
TEST_F(wait, stop_and_continue)
{
	struct runner r;
	pid_t me = getpid(), child;

	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	child = fork();
	if (!child) {
		until(task_state(me, me) == 'T');
		kill(me, SIGCONT);
		_exit(0);
	}
	kill(me, SIGSTOP);
	waitpid(child, NULL, 0);
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_FALSE(r.done);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, runner_end(&r));
}

/* Sticky, once, and never restarted. */
TEST_F(wait, interrupt)
{
	struct runner r;

	EXPECT_EQ(0, none(self->rx.fd, MSGC_INTERRUPT));
	EXPECT_EQ(0, none(self->rx.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, wait_for(self->rx.fd, MSGC_IN, MSGC_FOREVER));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	catch(SA_RESTART);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	EXPECT_EQ(0, none(self->rx.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, runner_end(&r));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
}

/* Also a wait that would have ended by itself: readiness may come to nothing, again and again. */
TEST_F(wait, interrupt_of_the_ready)
{
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(0, none(self->rx.fd, MSGC_INTERRUPT));
	EXPECT_EQ(-EINTR, wait_for(self->rx.fd, MSGC_IN, MSGC_FOREVER));
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_FOREVER));
}

TEST_F(wait, detach_wakes)
{
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	EXPECT_EQ(0, detach(self->rx.fd));
	EXPECT_EQ(-ESHUTDOWN, runner_end(&r));
	EXPECT_EQ(-ESHUTDOWN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(-ESHUTDOWN, kick(self->rx.fd));
	EXPECT_EQ(-ESHUTDOWN, none(self->rx.fd, MSGC_INTERRUPT));
	EXPECT_EQ(POLLERR, poll_now(self->rx.fd, POLLIN) & POLLERR);
}

/* ---- epoll ---- */

static int epoll_on(int fd, __u32 events)
{
	struct epoll_event ev = { .events = events };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) ? -errno : ep;
}

static int epoll_ms(int ep, int ms)
{
	struct epoll_event ev;

	return epoll_wait(ep, &ev, 1, ms) == 1 ? (int)ev.events : 0;
}

TEST_F(wait, epoll_level)
{
	int ep = epoll_on(self->rx.fd, EPOLLIN);

	ASSERT_GE(ep, 0);
	EXPECT_EQ(0, epoll_ms(ep, 0));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	EXPECT_EQ(1, rx_drain(&self->rx, 0));
	EXPECT_EQ(0, epoll_ms(ep, 0));
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	close(ep);
}

/*
 * Several messages, each drained before the next: every one is a new edge, though ->poll once
 * reported readiness already.
 */
TEST_F(wait, epoll_edge)
{
	int ep = epoll_on(self->rx.fd, EPOLLIN | EPOLLET);

	ASSERT_GE(ep, 0);
	EXPECT_EQ(0, epoll_ms(ep, 0));
	for (int n = 0; n < 4; n++) {
		tx_send(&self->tx, n, "x", 1);
		EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000)) { TH_LOG("message %d", n); }
		EXPECT_EQ(0, epoll_ms(ep, 0));
		EXPECT_EQ(1, rx_drain(&self->rx, 0));
	}
	close(ep);
}

/* The second message comes before the first is drained: still one more edge. */
TEST_F(wait, epoll_edge_undrained)
{
	int ep = epoll_on(self->rx.fd, EPOLLIN | EPOLLET);

	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	tx_send(&self->tx, 2, "x", 1);
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	EXPECT_EQ(0, epoll_ms(ep, 0));
	close(ep);
}

TEST_F(wait, epoll_oneshot)
{
	int ep = epoll_on(self->rx.fd, EPOLLIN | EPOLLONESHOT);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };

	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	rx_drain(&self->rx, 0);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(0, epoll_ms(ep, 20));
	EXPECT_EQ(0, epoll_ctl(ep, EPOLL_CTL_MOD, self->rx.fd, &ev));
	EXPECT_EQ(EPOLLIN, epoll_ms(ep, 1000));
	close(ep);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

struct exclusive {
	int fd, cpu;
};

static int exclusive_poller(int sk, void *p)
{
	struct exclusive *x = p;
	int ep;

	pin(x->cpu);
	ep = epoll_on(x->fd, EPOLLIN | EPOLLEXCLUSIVE);
	tell(sk, ep < 0 ? ep : 0);
	tell(sk, epoll_ms(ep, 5000));
	return 0;
}

/*
 * Two pollers with EPOLLEXCLUSIVE: the first is woken but killed before it runs (this thread keeps
 * its CPU, by real-time priority). The other one has to hear of the message.
 */
TEST_F(wait, epoll_exclusive_killed)
{
	struct sched_param fifo = { .sched_priority = 10 };
	struct exclusive a = { self->rx.fd, 0 },
			 b = { self->rx.fd, sysconf(_SC_NPROCESSORS_ONLN) > 1 };
	struct kid first, second;

	first = kid_start(exclusive_poller, &a);
	ASSERT_EQ(0, hear(first.sk));
	ASSERT_TRUE(asleep(first.pid, first.pid));
	second = kid_start(exclusive_poller, &b);
	ASSERT_EQ(0, hear(second.sk));
	ASSERT_TRUE(asleep(second.pid, second.pid));
	pin(0);
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_FIFO, &fifo));
	tx_send(&self->tx, 1, "x", 1);
	kill(first.pid, SIGKILL);
	fifo.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &fifo);
	EXPECT_EQ(EPOLLIN, hear(second.sk));
	kid_end(&first, 0);
	kid_end(&second, 0);
}

/* ---- a sender dies between its publish and its KICK ---- */

static int publish_only(int sk, void *p)
{
	struct ep s;

	if (ep_sender(&s, *(int *)p))
		return 1;
	tell(sk, 1);
	hear(sk);
	tx_put(&s, 9, "last", 4);
	tell(sk, tx_publish(&s));	/* must kick now, and never will */
	for (;;)
		pause();
}

TEST_F(wait, killed_before_the_kick)
{
	struct kid k = kid_start(publish_only, &self->chan);
	struct runner r;

	ASSERT_EQ(1, hear(k.sk));
	rx_sync(&self->rx);
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	tell(k.sk, 1);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_TRUE(asleep(getpid(), r.tid));
	kid_end(&k, SIGKILL);
	EXPECT_EQ(MSGC_IN, runner_end(&r) & MSGC_IN);
	EXPECT_EQ(9, rx_take(&self->rx, 1)->type);
}

/* ---- kick-and-wait ---- */

FIXTURE(pair) {
	int there, back;
	struct ep a_tx, a_rx;		/* a sends to b on `there`, b to a on `back` */
	struct side {
		struct ep tx, rx;
	} b;
};

FIXTURE_SETUP(pair)
{
	self->there = create_private(CREATE(.ring_max = 8192));
	self->back = create_private(CREATE(.ring_max = 8192));
	ASSERT_EQ(0, ep_sender(&self->a_tx, self->there));
	ASSERT_EQ(0, ep_receiver(&self->b.rx, self->there));
	ASSERT_EQ(0, ep_sender(&self->b.tx, self->back));
	ASSERT_EQ(0, ep_receiver(&self->a_rx, self->back));
	rx_sync(&self->a_rx);
	rx_sync(&self->b.rx);
}

FIXTURE_TEARDOWN(pair)
{
	close(self->there);
	close(self->back);
}

static void *answer(void *p)
{
	struct side *b = p;
	struct msgc_wait w = { .events = MSGC_IN, .kick = b->tx.fd, .deadline = in_ms(20000) };

	for (int n = 0; n < 200; n++) {
		long ret = cmd(b->rx.fd, MSGC_WAIT, &w);
		const struct msgc_record *r;

		if (ret != MSGC_IN)
			return (void *)-ret;
		r = rx_take(&b->rx, 0);
		tx_put(&b->tx, r->type, NULL, 0);
		rx_release(&b->rx, 0);
		/* no barrier, no KICK: the next WAIT does both */
		store_release(&tx_tail(&b->tx)->tail, b->tx.tail);
	}
	kick(b->tx.fd);
	return NULL;
}

TEST_F(pair, ping_pong)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = self->a_tx.fd };
	pthread_t t;
	void *ret;

	ASSERT_EQ(0, pthread_create(&t, NULL, answer, &self->b));
	for (int n = 0; n < 200; n++) {
		tx_put(&self->a_tx, n, NULL, 0);
		store_release(&tx_tail(&self->a_tx)->tail, self->a_tx.tail);
		w.deadline = in_ms(20000);
		ASSERT_EQ(MSGC_IN, cmd(self->a_rx.fd, MSGC_WAIT, &w)) { TH_LOG("round %d", n); }
		ASSERT_EQ(n, (int)rx_take(&self->a_rx, 0)->type);
		rx_release(&self->a_rx, 0);
	}
	pthread_join(t, &ret);
	EXPECT_EQ(NULL, ret);
}

static int attach_for_parent(int sk, void *p)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);
	int fd = cmd(*(int *)p, MSGC_ATTACH, &at);

	send_fd(sk, fd);
	hear(sk);
	return 0;
}

/* Only an endpoint, and only one's own. Nothing is done otherwise, not even the look. */
TEST_F(pair, kick_refuses)
{
	struct msgc_wait w = { .events = MSGC_IN, .deadline = MSGC_NOW };
	struct kid k = kid_start(attach_for_parent, &self->there);
	int foreign = recv_fd(k.sk);
	int wrong[] = { -2, 1000, open("/dev/null", O_RDWR), self->there, foreign };

	ASSERT_GE(foreign, 0);
	tx_send(&self->b.tx, 1, NULL, 0);
	for (int i = 0; i < 5; i++) {
		w.kick = wrong[i];
		EXPECT_EQ(-EBADF, cmd(self->a_rx.fd, MSGC_WAIT, &w)) { TH_LOG("case %d", i); }
	}
	w.kick = self->a_tx.fd;
	EXPECT_EQ(MSGC_IN, cmd(self->a_rx.fd, MSGC_WAIT, &w));
	kid_end(&k, 0);
}

/* ---- space ---- */

TEST_F(wait, space)
{
	struct runner r;

	EXPECT_EQ(POLLOUT, poll_now(self->tx.fd, POLLOUT));
	EXPECT_EQ(MSGC_OUT, wait_for(self->tx.fd, MSGC_OUT, MSGC_NOW));
	tx_fill(&self->tx);		/* two pages, two records */
	tx_publish(&self->tx);
	EXPECT_EQ(POLLOUT, poll_now(self->tx.fd, POLLOUT));	/* no reserve has failed yet */

	WRITE_ONCE(tx_control(&self->tx)->need, PAGE);
	EXPECT_EQ(0, poll_now(self->tx.fd, POLLOUT));
	EXPECT_EQ(PAGE, ep_line(&self->rx, self->tx.at.id)->space_at);
	EXPECT_EQ(-EAGAIN, wait_for(self->tx.fd, MSGC_OUT, MSGC_NOW));
	EXPECT_EQ(-ETIMEDOUT, wait_for(self->tx.fd, MSGC_OUT, in_ms(5)));
	ASSERT_TRUE(runner_start(&r, self->tx.fd, MSGC_WAIT, OUT_FOREVER));
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	/* taken is not released */
	EXPECT_EQ(-EAGAIN, wait_for(self->tx.fd, MSGC_OUT, MSGC_NOW));
	rx_release(&self->rx, 0);
	EXPECT_EQ(MSGC_OUT, runner_end(&r));
	EXPECT_EQ(POLLOUT, poll_now(self->tx.fd, POLLOUT));

	/* more than one release gives: the sender sleeps on */
	WRITE_ONCE(tx_control(&self->tx)->need, 2 * PAGE);
	EXPECT_EQ(0, poll_now(self->tx.fd, POLLOUT));
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	rx_release(&self->rx, 0);
	EXPECT_EQ(POLLOUT, poll_ms(self->tx.fd, POLLOUT, 1000));
	WRITE_ONCE(tx_control(&self->tx)->need, 0);
	EXPECT_EQ(POLLOUT, poll_now(self->tx.fd, POLLOUT));
}

TEST_F(wait, space_for_pollers)
{
	int ep = epoll_on(self->tx.fd, EPOLLOUT | EPOLLET);

	EXPECT_EQ(EPOLLOUT, epoll_ms(ep, 0));
	for (int round = 0; round < 3; round++) {
		tx_put(&self->tx, 0, "some", 4);
		tx_publish(&self->tx);
		WRITE_ONCE(tx_control(&self->tx)->need, self->tx.tail);
		EXPECT_EQ(0, poll_now(self->tx.fd, POLLOUT));
		EXPECT_EQ(0, epoll_ms(ep, 0));
		rx_drain(&self->rx, 0);
		EXPECT_EQ(EPOLLOUT, epoll_ms(ep, 1000)) { TH_LOG("round %d", round); }
	}
	close(ep);
}

/*
 * drain: the same wait with need = tail. A receiver that leaves does not end it, its successor's
 * release does.
 */
TEST_F(wait, drain)
{
	struct runner r;
	struct ep second;

	tx_send(&self->tx, 1, "x", 1);
	WRITE_ONCE(tx_control(&self->tx)->need, self->tx.tail);
	ASSERT_TRUE(runner_start(&r, self->tx.fd, MSGC_WAIT, OUT_FOREVER));
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	ep_close(&self->rx);
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_FALSE(r.done);
	ASSERT_EQ(0, ep_receiver(&second, self->chan));
	EXPECT_TRUE(asleep(getpid(), r.tid));
	EXPECT_FALSE(r.done);
	EXPECT_EQ(1, rx_drain(&second, 0));
	EXPECT_EQ(MSGC_OUT, runner_end(&r));
	self->rx = second;
}

/*
 * Without a receiver there is nobody who could release: the sender waits for one. Taking up the
 * position is a release, too.
 */
TEST_F(wait, space_before_the_first_receiver)
{
	int chan = create_private(CREATE(.ring_max = 8192));
	struct runner r;
	struct ep s, first;

	ASSERT_EQ(0, ep_sender(&s, chan));
	tx_fill(&s);
	tx_publish(&s);
	WRITE_ONCE(tx_control(&s)->need, PAGE);
	ASSERT_TRUE(runner_start(&r, s.fd, MSGC_WAIT, OUT_FOREVER));
	ASSERT_EQ(0, ep_receiver(&first, chan));
	EXPECT_EQ(MSGC_IN, wait_for(first.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(2, rx_drain(&first, 0));
	EXPECT_EQ(MSGC_OUT, runner_end(&r));
}

/* REFUSE, by either side, ends the pair: nothing of it is readable, and it holds no space. */
TEST_F(wait, refused_pair)
{
	struct msgc_refuse f = { .peer = self->tx.at.id };
	struct ep other;

	ASSERT_EQ(0, ep_sender(&other, self->chan));
	rx_sync(&self->rx);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(0, cmd(self->rx.fd, MSGC_REFUSE, &f));
	EXPECT_EQ(0, ep_line(&self->tx, self->tx.at.id)->receivers);
	EXPECT_EQ(1, peer(self->chan, self->tx.at.id).refused);
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(POLLPRI, poll_now(self->tx.fd, POLLPRI));
	EXPECT_EQ(1, ep_status(&self->tx)->tethered);

	/* the others go on */
	tx_send(&other, 2, "x", 1);
	EXPECT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(2, rx_take(&self->rx, other.at.number)->type);
	f.peer = self->rx.at.id;
	EXPECT_EQ(0, cmd(other.fd, MSGC_REFUSE, &f));
	EXPECT_EQ(0, ep_line(&other, other.at.id)->receivers);
	ep_close(&other);
}

/* ---- end of stream, and changes of membership ---- */

TEST_F(wait, end_of_stream)
{
	struct ep again;

	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN) & POLLHUP);
	tx_send(&self->tx, 1, "x", 1);
	ep_close(&self->tx);
	rx_sync(&self->rx);
	EXPECT_EQ(POLLIN, poll_now(self->rx.fd, POLLIN));
	EXPECT_NE(NULL, rx_take(&self->rx, 0));
	rx_release(&self->rx, 0);
	EXPECT_EQ(POLLHUP, poll_ms(self->rx.fd, POLLIN, 1000));
	EXPECT_EQ(MSGC_HUP, wait_for(self->rx.fd, MSGC_IN, MSGC_FOREVER));

	/* a sender that attaches ends it */
	ASSERT_EQ(0, ep_sender(&again, self->chan));
	rx_sync(&self->rx);
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_IN, MSGC_NOW));
	self->tx = again;
}

/*
 * Never a sender, no end. The stream that ended before this receiver came has not ended for it,
 * unless it finds something.
 */
TEST_F(wait, no_end_before_the_first_sender)
{
	int chan = create_private(CREATE());
	struct ep r, s;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(0, poll_now(r.fd, POLLIN) & POLLHUP);
	ASSERT_EQ(0, ep_sender(&s, chan));
	ep_close(&s);
	EXPECT_EQ(POLLHUP, poll_ms(r.fd, POLLIN, 1000));
	ep_close(&r);
	ASSERT_EQ(0, ep_receiver(&r, chan));
	rx_sync(&r);
	EXPECT_EQ(0, poll_now(r.fd, POLLIN));
	ep_close(&r);

	ASSERT_EQ(0, ep_sender(&s, chan));
	tx_send(&s, 1, "x", 1);
	ep_close(&s);
	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(POLLIN, poll_now(r.fd, POLLIN) & (POLLIN | POLLHUP));
	rx_sync(&r);
	for (int n = 0; n < 3; n++)
		if (READ_ONCE(rx_line(&r, n)->id))
			rx_drain(&r, n);
	EXPECT_EQ(POLLHUP, poll_ms(r.fd, POLLIN, 1000));
}

TEST_F(wait, stay)
{
	struct ep r;

	ep_close(&self->rx);
	ASSERT_EQ(0, ep_attach(&r, self->chan, ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_STAY)));
	EXPECT_EQ(MSGC_STAY, ep_line(&r, r.at.id)->flags & MSGC_STAY);
	ep_close(&self->tx);
	usleep(10000);
	rx_sync(&r);
	EXPECT_EQ(0, poll_now(r.fd, POLLIN));
	EXPECT_EQ(-EAGAIN, wait_for(r.fd, MSGC_IN, MSGC_NOW));
	self->rx = r;
}

/* Somebody asleep in WAIT hears of the end. */
TEST_F(wait, end_wakes)
{
	struct runner r;

	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, IN_FOREVER));
	ep_close(&self->tx);
	EXPECT_EQ(MSGC_HUP, runner_end(&r) & MSGC_HUP);
}

TEST_F(wait, membership_is_pri)
{
	struct msgc_wait w = { .events = MSGC_PRI, .kick = -1, .deadline = MSGC_FOREVER };
	__u64 gen = ep_status(&self->rx)->generation;
	struct runner r;
	struct ep s;

	EXPECT_EQ(0, poll_now(self->rx.fd, POLLPRI));
	EXPECT_EQ(0, poll_now(self->tx.fd, POLLPRI));
	EXPECT_EQ(-EAGAIN, wait_for(self->rx.fd, MSGC_PRI, MSGC_NOW));
	ASSERT_TRUE(runner_start(&r, self->rx.fd, MSGC_WAIT, &w));
	ASSERT_EQ(0, ep_sender(&s, self->chan));
	EXPECT_EQ(MSGC_PRI, runner_end(&r));
	EXPECT_GT(ep_status(&self->rx)->generation, gen);
	EXPECT_EQ(ep_status(&self->rx)->joined, ep_line(&self->rx, s.at.id)->since);
	EXPECT_EQ(POLLPRI, poll_now(self->rx.fd, POLLPRI));
	EXPECT_EQ(POLLPRI, poll_now(self->tx.fd, POLLPRI));
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLIN));
	rx_sync(&self->rx);
	EXPECT_EQ(0, poll_now(self->rx.fd, POLLPRI));
	ep_close(&s);
	EXPECT_EQ(POLLPRI, poll_ms(self->rx.fd, POLLPRI, 1000));
}

/* ---- time namespaces: a deadline is the caller's clock ---- */

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return ok ? 0 : -1;
}

static int wait_in_timens(int sk, void *p)
{
	struct ep r;
	__u64 begin;

	if (ep_receiver(&r, *(int *)p))
		return 1;
	begin = now();
	if (begin < 1000 * 1000 * MS)
		return 2;		/* the offset is not in force */
	tell(sk, wait_for(r.fd, MSGC_IN, begin + 30 * MS));
	tell(sk, now() - begin >= 30 * MS);
	return 0;
}

static int into_timens(int sk, void *p)
{
	struct kid k;

	if (unshare(CLONE_NEWTIME) ||
	    write_text("/proc/self/timens_offsets", "monotonic 1000000 0"))
		return 1;
	k = kid_start(wait_in_timens, p);
	tell(sk, hear(k.sk));
	tell(sk, hear(k.sk));
	return kid_end(&k, 0);
}

TEST_F(wait, time_namespace)
{
	int chan = create_private(CREATE());
	struct kid k = kid_start(into_timens, &chan);

	EXPECT_EQ(-ETIMEDOUT, hear(k.sk));
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(0, kid_end(&k, 0));
}

/* ---- two threads, nothing but the protocol between them ---- */

#define MANY	5000

static void *stream(void *p)
{
	struct ep *s = p;

	for (__u32 n = 0; n < MANY; n++) {
		while (s->tail + span_of(64) -
			       READ_ONCE(((struct msgc_slots *)s->area[MSGC_PEER])->slot[0].head) >
		       8192) {
			WRITE_ONCE(tx_control(s)->need, s->tail + span_of(64) - 8192);
			if (wait_for(s->fd, MSGC_OUT, in_ms(10000)) != MSGC_OUT)
				return (void *)1;
			WRITE_ONCE(tx_control(s)->need, 0);
		}
		tx_send(s, n, s, 64);
	}
	return NULL;
}

TEST_F(wait, stream)
{
	pthread_t t;
	void *ret;

	ASSERT_EQ(0, pthread_create(&t, NULL, stream, &self->tx));
	for (__u32 n = 0; n < MANY; n++) {
		const struct msgc_record *r;

		while (!(r = rx_take(&self->rx, 0)))
			ASSERT_EQ(MSGC_IN, wait_for(self->rx.fd, MSGC_IN, in_ms(10000)));
		ASSERT_EQ(n, r->type);
		if (n % 3 == 0)
			rx_release(&self->rx, 0);
	}
	rx_release(&self->rx, 0);
	pthread_join(t, &ret);
	EXPECT_EQ(NULL, ret);
}

TEST_HARNESS_MAIN
