// SPDX-License-Identifier: MIT
/* Several receivers: broadcast, untethered, standby; each told apart, killed, stopped, polled. */
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "common.h"

#define RING 16384u

static struct ipc_channel *ch;
static struct ipc_endpoint *tx;

static struct ipc_endpoint *attach_as(uint32_t role, uint32_t flags)
{
	struct ipc_attach how = {
		.size = sizeof(how), .role = role, .flags = flags,
		.ring = role == IPC_SENDER ? RING : 0,
	};
	struct ipc_endpoint *ep;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static int try_as(uint32_t flags)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER, .flags = flags };
	struct ipc_endpoint *ep;
	int ret = ipc_attach(ch, &how, &ep);

	if (!ret)
		ipc_detach(ep);
	return ret;
}

static void set_up(uint32_t delivery, uint32_t flags)
{
	struct ipc_options opt = { .size = sizeof(opt), .delivery = delivery, .flags = flags };

	ch = channel(NULL, &opt);
	tx = attach_as(IPC_SENDER, 0);
}

static void tear_down(void)
{
	ipc_detach(tx);
	ipc_close(ch);
}

/* A message whose bytes follow from its number. */
static int send_number(struct ipc_endpoint *ep, uint64_t number, uint32_t len, uint64_t deadline)
{
	static unsigned char data[2048];
	struct ipc_msg m = { .data = data, .len = len, .cookie = number };

	for (uint32_t i = 0; i < len; i++)
		data[i] = (unsigned char)(number * 13 + i);
	return ipc_send(ep, &m, deadline);
}

static bool is_whole(const struct ipc_msg *m)
{
	const unsigned char *data = m->data;

	for (uint32_t i = 0; i < m->len; i++)
		if (data[i] != (unsigned char)(m->cookie * 13 + i))
			return false;
	return true;
}

static int recv_number(struct ipc_endpoint *ep, uint64_t number, uint64_t deadline)
{
	struct ipc_msg m;
	int ret = ipc_recv(ep, &m, 1, deadline);

	if (ret != 1)
		return ret;
	CHECK_EQ(m.cookie, number);
	CHECK(is_whole(&m));
	CHECK_EQ(ipc_release(ep, &m, 1), 0);
	return 1;
}

/* A child that runs @fn with a pipe on which it says how far it is. */
struct child {
	pid_t pid;
	int said;
};

static int say_to;

static void say(uint32_t what)
{
	if (write(say_to, &what, sizeof(what)) != sizeof(what))
		_exit(2);
}

static uint32_t hear(const struct child *child)
{
	uint32_t what = 0;

	CHECK_EQ(read(child->said, &what, sizeof(what)), sizeof(what));
	return what;
}

static struct child start(void (*fn)(uint64_t), uint64_t arg)
{
	struct child child;
	int pipes[2];

	MUST(pipe(pipes));
	fflush(stdout);
	child.pid = fork();
	MUST(child.pid);
	if (!child.pid) {
		say_to = pipes[1];
		atomic_store(&tap_failed, 0);
		fn(arg);
		fflush(stdout);
		_exit(atomic_load(&tap_failed) ? 1 : 0);
	}
	close(pipes[1]);
	child.said = pipes[0];
	return child;
}

static void finish(struct child *child)
{
	int status = -1;

	waitpid(child->pid, &status, 0);
	CHECK_EQ(status, 0);
	close(child->said);
}

static void kill_hard(struct child *child)
{
	int status;

	kill(child->pid, SIGKILL);
	waitpid(child->pid, &status, 0);
	CHECK(WIFSIGNALED(status));
	close(child->said);
}

/* ---- broadcast, with kill -9 ---- */

#define PER_SENDER 2000u
#define STAMP 1000000u			/* number of a message: sender times this, and its own */

/* To the end of the stream: every message of each sender that lived, in order; @arg holds on. */
static void read_all(uint64_t hold_after)
{
	struct ipc_endpoint *rx = attach_as(IPC_RECEIVER, 0);
	uint64_t next[3] = { 0 }, got = 0;
	struct ipc_msg m;
	int ret;

	say(1);
	while ((ret = ipc_recv(rx, &m, 1, LONG)) == 1) {
		unsigned int from = (unsigned int)(m.cookie / STAMP) % 3;

		CHECK_EQ(m.cookie, from * STAMP + next[from]);
		CHECK_EQ(m.seq, ++next[from]);
		CHECK_EQ(m.missed, 0);
		CHECK(is_whole(&m));
		if (++got == hold_after) {
			say(2);
			pause();		/* holding it: who lags stops everybody */
		}
		CHECK_EQ(ipc_release(rx, &m, 1), 0);
	}
	CHECK_EQ(ret, -EPIPE);
	CHECK_EQ(next[0], PER_SENDER);
	CHECK_EQ(next[1], PER_SENDER);
	CHECK_EQ(next[2], 100);
}

static void send_all(uint64_t me)
{
	struct ipc_endpoint *ep = attach_as(IPC_SENDER, 0);

	say(1);
	for (unsigned int i = 0; i < PER_SENDER; i++) {
		CHECK_EQ(send_number(ep, me * STAMP + i, i * 7 % 900, LONG), 0);
		if (me == 2 && i == 99) {
			say(2);
			pause();
		}
	}
	ipc_detach(ep);
}

static void killed_members(void)
{
	struct child reader[3], lagging, sender[3];

	set_up(IPC_BROADCAST, 0);
	for (unsigned int i = 0; i < 3; i++)
		reader[i] = start(read_all, 0);
	lagging = start(read_all, 20);
	for (unsigned int i = 0; i < 3; i++)
		hear(&reader[i]);
	hear(&lagging);
	/* tx, which sends nothing, keeps the stream open until all three have joined. */
	for (unsigned int i = 0; i < 3; i++)
		sender[i] = start(send_all, i);
	for (unsigned int i = 0; i < 3; i++)
		hear(&sender[i]);
	hear(&lagging);
	kill_hard(&lagging);
	hear(&sender[2]);
	kill_hard(&sender[2]);
	tear_down();
	finish(&sender[0]);
	finish(&sender[1]);
	for (unsigned int i = 0; i < 3; i++)
		finish(&reader[i]);
}

/* ---- where they begin ---- */

static void begin_now_or_at_the_oldest(void)
{
	struct ipc_endpoint *now, *oldest, *younger;

	set_up(IPC_BROADCAST, 0);
	for (unsigned int i = 0; i < 5; i++)
		CHECK_EQ(send_number(tx, i, 100, IPC_NOW), 0);
	now = attach_as(IPC_RECEIVER, 0);
	oldest = attach_as(IPC_RECEIVER, IPC_OLDEST);
	CHECK_EQ(recv_number(now, 0, IPC_NOW), -EAGAIN);
	for (unsigned int i = 0; i < 5; i++)
		CHECK_EQ(recv_number(oldest, i, IPC_NOW), 1);
	CHECK_EQ(recv_number(oldest, 5, IPC_NOW), -EAGAIN);
	younger = attach_as(IPC_SENDER, 0);
	CHECK_EQ(send_number(younger, 7, 100, IPC_NOW), 0);
	CHECK_EQ(recv_number(now, 7, LONG), 1);
	CHECK_EQ(recv_number(oldest, 7, LONG), 1);
	ipc_detach(younger);
	ipc_detach(now);
	ipc_detach(oldest);
	tear_down();
}

static void what_attach_refuses(void)
{
	struct ipc_endpoint *rx;

	set_up(IPC_BROADCAST, 0);
	CHECK_EQ(try_as(IPC_STANDBY), -EINVAL);
	CHECK_EQ(try_as(IPC_UNTETHERED | IPC_OLDEST | IPC_STAY), 0);
	tear_down();
	set_up(0, IPC_UNTETHERED_ONLY);
	CHECK_EQ(try_as(0), -EINVAL);
	CHECK_EQ(try_as(IPC_UNTETHERED), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EOPNOTSUPP);
	tear_down();
	set_up(IPC_EXCLUSIVE, 0);
	CHECK_EQ(try_as(IPC_STANDBY | IPC_UNTETHERED), -EINVAL);
	rx = attach_as(IPC_RECEIVER, 0);
	CHECK_EQ(try_as(0), -EBUSY);
	CHECK_EQ(try_as(IPC_STANDBY), 0);
	CHECK_EQ(try_as(IPC_UNTETHERED), 0);
	ipc_detach(rx);
	tear_down();
}

/* ---- space ---- */

static void *drain_long(void *ret)
{
	*(int *)ret = ipc_drain(tx, LONG);
	return NULL;
}

static void drain_waits_for_all(void)
{
	struct ipc_endpoint *rx[3];
	int ret = 1;
	pthread_t t;

	set_up(IPC_BROADCAST, 0);
	for (unsigned int i = 0; i < 3; i++)
		rx[i] = attach_as(IPC_RECEIVER, 0);
	CHECK_EQ(send_number(tx, 1, 100, IPC_NOW), 0);
	CHECK_EQ(recv_number(rx[0], 1, IPC_NOW), 1);
	CHECK_EQ(recv_number(rx[1], 1, IPC_NOW), 1);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);
	t = thread(drain_long, &ret);
	nap(50);
	CHECK_EQ(ret, 1);
	CHECK_EQ(recv_number(rx[2], 1, IPC_NOW), 1);
	pthread_join(t, NULL);
	CHECK_EQ(ret, 0);
	/* The one that lags leaves. */
	CHECK_EQ(send_number(tx, 2, 100, IPC_NOW), 0);
	CHECK_EQ(recv_number(rx[0], 2, IPC_NOW), 1);
	CHECK_EQ(recv_number(rx[1], 2, IPC_NOW), 1);
	ret = 1;
	t = thread(drain_long, &ret);
	nap(50);
	CHECK_EQ(ret, 1);
	ipc_detach(rx[2]);
	pthread_join(t, NULL);
	CHECK_EQ(ret, 0);
	ipc_detach(rx[0]);
	ipc_detach(rx[1]);
	tear_down();
}

static void figures_of_peers(void)
{
	struct ipc_endpoint *rx;
	struct ipc_peer p;
	unsigned int n = 0;

	set_up(IPC_BROADCAST, 0);
	rx = attach_as(IPC_RECEIVER, 0);
	while (send_number(tx, n, 1000, IPC_NOW) == 0)
		n++;
	CHECK_EQ(send_number(tx, n, 1000, MS(20)), -ETIMEDOUT);
	CHECK_EQ(ipc_drop(tx, 3), 0);
	CHECK_EQ(ipc_drop(tx, 1), 0);
	CHECK_EQ(ipc_drop(rx, 1), -ENOTTY);
	CHECK(ipc_id(tx) && ipc_id(tx) != ipc_id(rx));
	CHECK_EQ(ipc_peer(rx, ipc_id(tx), &p), 0);
	CHECK_EQ(p.role, IPC_SENDER);
	CHECK_EQ(p.pid, getpid());
	CHECK_EQ(p.lost, 4);
	CHECK_EQ(p.waits, 1);
	CHECK(p.hiwat >= n * 1000u && p.hiwat <= RING);
	CHECK_EQ(ipc_peer(tx, ipc_id(rx), &p), 0);
	CHECK_EQ(p.lost, 0);
	ipc_detach(rx);
	tear_down();
}

/* ---- untethered ---- */

/* Says its id; reads on until number @last has come; says how many it missed. */
static void read_until(uint64_t last)
{
	struct ipc_endpoint *rx = attach_as(IPC_RECEIVER, IPC_UNTETHERED);
	uint64_t next = 0, missed = 0;
	struct ipc_msg m;

	say(ipc_id(rx));
	while (next <= last) {
		CHECK_EQ(ipc_recv(rx, &m, 1, LONG), 1);
		next += m.missed;
		missed += m.missed;
		CHECK_EQ(m.cookie, next);
		CHECK(is_whole(&m));
		CHECK_EQ(ipc_release(rx, &m, 1), 0);
		if (!next++)
			say(1);
		if (atomic_load(&tap_failed))
			_exit(1);
	}
	say((uint32_t)missed);
	pause();
}

static void a_stopped_reader_is_told(void)
{
	const unsigned int last = 3000;
	uint32_t id, missed;
	struct child reader;
	struct ipc_peer p;

	set_up(0, IPC_UNTETHERED_ONLY);
	reader = start(read_until, last);
	id = hear(&reader);
	CHECK_EQ(send_number(tx, 0, 10, IPC_NOW), 0);
	hear(&reader);
	kill(reader.pid, SIGSTOP);
	for (unsigned int i = 1; i < last; i++)
		CHECK_EQ(send_number(tx, i, i % 1500, IPC_NOW), 0);	/* never full */
	kill(reader.pid, SIGCONT);
	nap(50);
	CHECK_EQ(send_number(tx, last, 10, IPC_NOW), 0);
	missed = hear(&reader);
	CHECK(missed > last - RING / 500 && missed < last);
	CHECK_EQ(ipc_peer(tx, id, &p), 0);
	CHECK_EQ(p.lost, missed);
	kill_hard(&reader);
	tear_down();
}

/* Beside a receiver whose seat it does not take, and whose acknowledgment is enough. */
static void an_observer_holds_nobody_up(void)
{
	struct ipc_endpoint *rx, *tap;
	struct ipc_msg m[3];

	set_up(IPC_EXCLUSIVE, 0);
	tap = attach_as(IPC_RECEIVER, IPC_UNTETHERED);
	rx = attach_as(IPC_RECEIVER, 0);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(send_number(tx, i, 1000, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(tap, m, 3, LONG), 3);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(recv_number(rx, i, LONG), 1);
	CHECK_EQ(ipc_drain(tx, LONG), 0);
	for (unsigned int i = 3; i < 100; i++) {
		CHECK_EQ(send_number(tx, i, 1000, IPC_NOW), 0);
		CHECK_EQ(recv_number(rx, i, LONG), 1);
	}
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(m[i].cookie, i);
		CHECK(is_whole(&m[i]));			/* copies: the ring has gone round */
	}
	CHECK_EQ(ipc_release(tap, m, 3), 0);
	ipc_detach(rx);
	ipc_detach(tx);
	tx = NULL;
	while (ipc_recv(tap, m, 1, LONG) == 1)
		CHECK_EQ(ipc_release(tap, m, 1), 0);
	CHECK_EQ(ipc_recv(tap, m, 1, LONG), -EPIPE);
	ipc_detach(tap);
	tear_down();
}

/* ---- standby ---- */

static void take_five(uint64_t release)
{
	struct ipc_endpoint *rx = attach_as(IPC_RECEIVER, 0);
	struct ipc_msg m[5];
	unsigned int got = 0;

	say(1);
	while (got < 5) {
		int ret = ipc_recv(rx, m + got, 5 - got, LONG);

		if (ret < 0)
			_exit(3);
		got += (unsigned int)ret;
	}
	CHECK_EQ(ipc_release(rx, m, (unsigned int)release), 0);
	say(2);
	pause();
}

static void a_standby_is_promoted(void)
{
	struct ipc_endpoint *standby;
	struct child first;
	struct ipc_msg m;
	struct ipc_peer p;

	set_up(IPC_EXCLUSIVE, 0);
	first = start(take_five, 2);
	hear(&first);
	standby = attach_as(IPC_RECEIVER, IPC_STANDBY);
	CHECK_EQ(ipc_peer(tx, ipc_id(standby), &p), 0);
	CHECK_EQ(p.state, IPC_WAITING);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQ(send_number(tx, i, 100, IPC_NOW), 0);
	hear(&first);
	CHECK_EQ(ipc_recv(standby, &m, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_recv(standby, &m, 1, MS(30)), -ETIMEDOUT);
	kill_hard(&first);
	for (unsigned int i = 2; i < 8; i++) {
		CHECK_EQ(ipc_recv(standby, &m, 1, LONG), 1);
		CHECK_EQ(m.cookie, i);
		CHECK(is_whole(&m));
		CHECK_EQ(m.flags, i < 5 ? IPC_F_REDELIVERED : 0);
		CHECK_EQ(m.attempts, i < 5 ? 1 : 0);
		CHECK_EQ(ipc_release(standby, &m, 1), 0);
	}
	CHECK_EQ(ipc_peer(tx, ipc_id(standby), &p), 0);
	CHECK_EQ(p.state, IPC_LIVE);
	CHECK_EQ(ipc_drain(tx, LONG), 0);
	ipc_detach(standby);
	tear_down();
}

/* ---- readiness ---- */

static int polled(struct ipc_endpoint *ep, int ms)
{
	struct pollfd p = { .fd = ipc_fd(ep), .events = POLLIN };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static int selected(struct ipc_endpoint *ep)
{
	struct timeval none = { 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(ipc_fd(ep), &set);
	return select(ipc_fd(ep) + 1, &set, NULL, NULL, &none);
}

static void each_is_ready(void)
{
	struct ipc_endpoint *rx[2], *tap;

	set_up(IPC_BROADCAST, 0);
	rx[0] = attach_as(IPC_RECEIVER, 0);
	rx[1] = attach_as(IPC_RECEIVER, 0);
	tap = attach_as(IPC_RECEIVER, IPC_UNTETHERED);
	for (unsigned int i = 0; i < 20; i++) {
		CHECK_EQ(polled(rx[0], 0), 0);
		CHECK_EQ(selected(rx[1]), 0);
		CHECK_EQ(polled(tap, 0), 0);
		CHECK_EQ(send_number(tx, i, 100, IPC_NOW), 0);
		CHECK_EQ(polled(rx[0], 10000), POLLIN);
		CHECK_EQ(selected(rx[1]), 1);
		CHECK_EQ(polled(tap, 10000), POLLIN);
		CHECK_EQ(recv_number(rx[0], i, IPC_NOW), 1);
		CHECK_EQ(selected(rx[0]), 0);
		CHECK_EQ(selected(rx[1]), 1);
		CHECK_EQ(recv_number(rx[1], i, IPC_NOW), 1);
		CHECK_EQ(recv_number(tap, i, IPC_NOW), 1);
	}
	ipc_detach(rx[0]);
	ipc_detach(rx[1]);
	ipc_detach(tap);
	tear_down();
}

/* Edges on three at a time: each publish is one event on each; level: until it is taken. */
static void by_epoll(uint32_t mode)
{
	struct epoll_event ev[3];
	struct ipc_endpoint *rx[3];
	int ep = epoll_create1(0);

	set_up(IPC_BROADCAST, 0);
	for (unsigned int r = 0; r < 3; r++) {
		rx[r] = attach_as(IPC_RECEIVER, r == 2 ? IPC_UNTETHERED : 0);
		ev[0] = (struct epoll_event){ .events = EPOLLIN | mode, .data.u32 = r };
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, ipc_fd(rx[r]), &ev[0]));
	}
	CHECK_EQ(epoll_wait(ep, ev, 3, 0), 0);
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int seen = 0;

		CHECK_EQ(send_number(tx, i, 100, IPC_NOW), 0);
		while (seen != 7) {
			int n = epoll_wait(ep, ev, 3, 10000);

			CHECK(n > 0);
			if (n <= 0)
				return;
			for (int k = 0; k < n; k++)
				seen |= 1U << ev[k].data.u32;
		}
		CHECK_EQ(epoll_wait(ep, ev, 3, 0), mode ? 0 : 3);
		for (unsigned int r = 0; r < 3; r++) {
			CHECK_EQ(recv_number(rx[r], i, IPC_NOW), 1);
			CHECK_EQ(recv_number(rx[r], i, IPC_NOW), -EAGAIN);
		}
		CHECK_EQ(epoll_wait(ep, ev, 3, 0), 0);
	}
	for (unsigned int r = 0; r < 3; r++)
		ipc_detach(rx[r]);
	close(ep);
	tear_down();
}

static void level_triggered_epoll(void)
{
	by_epoll(0);
}

static void edge_triggered_epoll(void)
{
	by_epoll(EPOLLET);
}

int main(void)
{
	RUN(begin_now_or_at_the_oldest);
	RUN(what_attach_refuses);
	RUN(drain_waits_for_all);
	RUN(figures_of_peers);
	RUN(a_stopped_reader_is_told);
	RUN(an_observer_holds_nobody_up);
	RUN(a_standby_is_promoted);
	RUN(each_is_ready);
	RUN(level_triggered_epoll);
	RUN(edge_triggered_epoll);
	RUN(killed_members);
	return tap_done();
}
