// SPDX-License-Identifier: MIT
/* Files with calls and replies through the library; what nobody takes is closed. */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <linux/msgchan.h>

#include "common.h"

static struct ipc_channel *ch;
static struct ipc_endpoint *client, *server;

/* The reading ends travel; the writing ones tell when nobody has those any more. */
static int r[8], w[8];

static struct ipc_endpoint *taking(uint32_t role)
{
	struct ipc_attach how = { .size = sizeof(how), .role = role, .flags = IPC_TAKES_FILES };
	struct ipc_endpoint *ep = NULL;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static void set_up(void)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .request = 4096, .reply = 4096,
		.slots = 2, .flags = IPC_MANY_SERVERS | IPC_REDELIVER,
	};

	ch = channel("/files", &opt);
	client = taking(IPC_SENDER);
	server = taking(IPC_RECEIVER);
	for (int i = 0; i < 8; i++) {
		int fds[2];

		MUST(pipe2(fds, O_CLOEXEC));
		r[i] = fds[0];
		w[i] = fds[1];
	}
}

static void tear_down(void)
{
	ipc_detach(client);
	ipc_detach(server);
	ipc_close(ch);
	for (int i = 0; i < 8; i++) {
		close(r[i]);
		close(w[i]);
	}
}

/* Within a second. */
static bool closed(int i)
{
	struct pollfd p = { .fd = w[i], .events = POLLOUT };

	for (int n = 0; n < 2000; n++) {
		poll(&p, 1, 0);
		if (p.revents & POLLERR)
			return true;
		nap(1);
	}
	return false;
}

static bool leads_to(int fd, int i)
{
	char byte = 0;

	return write(w[i], "x", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'x';
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 512; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static struct ipc_msg take(void)
{
	struct ipc_msg m = { 0 };

	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	return m;
}

/* With the first @n files; answered later. */
static int start(unsigned int n)
{
	struct ipc_msg m = { 0 };

	CHECK_EQ(ipc_set_fds(&m, r, n), 0);
	return ipc_start(client, &m, LONG);
}

/* ---- a server in a thread: takes @takes files, answers with the last @gives ---- */

struct plan {
	int takes, gives;
};

static void *serve_one(void *arg)
{
	const struct plan *plan = arg;
	struct ipc_msg m = take();
	int fds[8];

	if (plan->takes)
		CHECK_EQ(ipc_get_fds(server, &m, fds, 8), plan->takes);
	for (int i = 0; i < plan->takes; i++) {
		CHECK(leads_to(fds[i], i));
		close(fds[i]);
	}
	CHECK_EQ(ipc_set_fds(&m, r + 8 - plan->gives, (unsigned int)plan->gives), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	return NULL;
}

static void both_ways(void)
{
	static const struct plan plans[5] = { { 2, 1 }, { 8, 8 }, { 0, 0 }, { 1, 0 }, { 0, 3 } };
	int before, fds[8];

	set_up();
	before = open_files();
	for (int i = 0; i < 5; i++) {
		struct ipc_msg req = { 0 }, rep;
		pthread_t t = thread(serve_one, (void *)&plans[i]);
		int gives = plans[i].gives;

		CHECK_EQ(ipc_set_fds(&req, r, (unsigned int)plans[i].takes), 0);
		CHECK_EQ(ipc_call(client, &req, &rep, LONG), 0);
		pthread_join(t, NULL);
		CHECK_EQ(ipc_get_fds(client, &rep, fds, 8), gives);
		for (int k = 0; k < gives; k++) {
			CHECK(leads_to(fds[k], 8 - gives + k));
			CHECK(fcntl(fds[k], F_GETFD) & FD_CLOEXEC);
			close(fds[k]);
		}
		CHECK_EQ(ipc_get_fds(client, &rep, fds, 8), 0);	/* only once */
		CHECK_EQ(ipc_release(client, &rep, 1), 0);
		CHECK_EQ(ipc_get_fds(client, &rep, fds, 8), -ENOENT);
		CHECK_EQ(open_files(), before);
	}
	tear_down();
}

/* In place, in one turn: what was set for the request is not set for the next. */
static void *serve_in_turn(void *arg)
{
	struct ipc_msg m = take();
	int fd;

	(void)arg;
	CHECK_EQ(ipc_get_fds(server, &m, &fd, 1), 1);
	CHECK_EQ(ipc_set_fds(&m, &fd, 1), 0);
	CHECK_EQ(ipc_reply_recv(server, &m, 0, 0, &m, LONG), 1);
	close(fd);
	CHECK_EQ(ipc_get_fds(server, &m, &fd, 1), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	return NULL;
}

static void in_turn(void)
{
	struct ipc_msg m = { 0 };
	pthread_t t;
	int fd = -1;

	set_up();
	t = thread(serve_in_turn, NULL);
	MUST(ipc_reserve(client, &m, 5, LONG));
	CHECK_EQ(ipc_set_fds(&m, r, 1), 0);
	CHECK_EQ(ipc_call(client, &m, &m, LONG), 0);
	CHECK_EQ(ipc_get_fds(client, &m, &fd, 1), 1);
	CHECK(leads_to(fd, 0));
	close(fd);
	CHECK_EQ(ipc_release(client, &m, 1), 0);
	MUST(ipc_reserve(client, &m, 5, LONG));
	CHECK_EQ(ipc_call(client, &m, &m, LONG), 0);
	CHECK_EQ(ipc_get_fds(client, &m, &fd, 1), 0);
	CHECK_EQ(ipc_release(client, &m, 1), 0);
	pthread_join(t, NULL);
	tear_down();
}

/* ---- errors ---- */

static void refused(void)
{
	struct ipc_msg m = { 0 }, rep;
	int fds[9] = { r[0] };

	set_up();
	CHECK_EQ(ipc_set_fds(&m, fds, 9), -EINVAL);
	fds[0] = -1;
	CHECK_EQ(ipc_set_fds(&m, fds, 1), -EBADF);
	fds[0] = 500;
	CHECK_EQ(ipc_set_fds(&m, fds, 1), 0);
	CHECK_EQ(ipc_call(client, &m, &rep, LONG), -EBADF);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_start(client, &m, LONG), -EBADF);
	CHECK_EQ(ipc_send(client, &m, LONG), -EBADF);
	fds[0] = ipc_fd(server);
	CHECK_EQ(ipc_set_fds(&m, fds, 1), 0);
	CHECK_EQ(ipc_call(client, &m, &rep, LONG), -EINVAL);
	CHECK_EQ(ipc_set_fds(&m, NULL, 0), 0);
	CHECK_EQ(ipc_start(client, &m, LONG), 0);

	m = take();						/* and the reply */
	fds[0] = 500;
	CHECK_EQ(ipc_set_fds(&m, fds, 1), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), -EBADF);
	CHECK_EQ(ipc_reply_recv(server, &m, 0, 0, &rep, IPC_NOW), -EBADF);
	CHECK(m.data);
	CHECK_EQ(ipc_set_fds(&m, fds, 0), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_get_fds(server, &m, fds, 8), -ENOENT);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	tear_down();
}

/* What failed can be tried again as it is. */
static void stays_set(void)
{
	struct ipc_msg m = { 0 }, rep;
	int fds[8];

	set_up();
	CHECK_EQ(start(0), 0);
	CHECK_EQ(start(0), 0);
	CHECK_EQ(ipc_set_fds(&m, r, 3), 0);
	CHECK_EQ(ipc_start(client, &m, LONG), -EBUSY);
	for (int i = 0; i < 2; i++) {
		rep = take();
		CHECK_EQ(ipc_reply(server, &rep, 0, 0), 0);
		CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
		CHECK_EQ(ipc_release(client, &rep, 1), 0);
	}
	CHECK_EQ(ipc_start(client, &m, LONG), 0);
	rep = take();
	CHECK_EQ(ipc_get_fds(server, &rep, fds, 8), 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	tear_down();
}

static void rings(void)
{
	struct ipc_options opt = { .size = sizeof(opt) };
	struct ipc_channel *ring = channel("/ring", &opt);
	struct ipc_endpoint *tx = attach(ring, IPC_SENDER), *rx = attach(ring, IPC_RECEIVER);
	struct ipc_msg m = { 0 }, got;
	int fd = 0;

	MUST(ipc_reserve(tx, &m, 4, LONG));
	CHECK_EQ(ipc_set_fds(&m, &fd, 1), -EOPNOTSUPP);
	CHECK_EQ(ipc_commit(tx, &m), 0);			/* it is not lost */
	CHECK_EQ(ipc_publish(tx), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, LONG), 1);
	CHECK_EQ(ipc_get_fds(rx, &got, &fd, 1), -EOPNOTSUPP);
	CHECK_EQ(ipc_set_fds(&got, &fd, 1), -EOPNOTSUPP);
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	CHECK_EQ(ipc_set_fds(&m, &fd, 1), 0);
	CHECK_EQ(ipc_reserve(tx, &m, 4, LONG), -EOPNOTSUPP);
	CHECK_EQ(ipc_send(tx, &m, LONG), -EOPNOTSUPP);
	CHECK_EQ(ipc_set_fds(&m, NULL, 0), 0);
	m.data = &fd;
	CHECK_EQ(ipc_send(tx, &m, LONG), 0);
	ipc_detach(tx);
	ipc_detach(rx);
	ipc_close(ring);
}

static void child_gets(void *arg)
{
	int fd;

	CHECK_EQ(ipc_get_fds(server, arg, &fd, 1), -EPERM);
}

/* A place for one is too small; nothing is lost by that. And a child has no part in it. */
static void too_small(void)
{
	struct ipc_msg m;
	int fds[8];

	set_up();
	CHECK_EQ(start(2), 0);
	m = take();
	CHECK_EQ(ipc_get_fds(server, &m, fds, 1), -EMSGSIZE);
	CHECK_EQ(in_child(child_gets, &m), 0);
	CHECK_EQ(ipc_get_fds(server, &m, fds, 2), 2);
	CHECK(leads_to(fds[1], 1));
	close(fds[0]);
	close(fds[1]);
	tear_down();
}

/* Of those that came, too: all or none. */
static void truncated(void)
{
	struct rlimit was, now;
	struct ipc_msg m;
	int fds[8], before;

	set_up();
	CHECK_EQ(start(4), 0);
	before = open_files();
	getrlimit(RLIMIT_NOFILE, &was);
	now = was;
	now.rlim_cur = (rlim_t)dup(0) + 2;
	close((int)now.rlim_cur - 2);
	setrlimit(RLIMIT_NOFILE, &now);
	m = take();
	setrlimit(RLIMIT_NOFILE, &was);
	CHECK_EQ(open_files(), before + 2);
	CHECK_EQ(ipc_get_fds(server, &m, fds, 8), -EMSGSIZE);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(open_files(), before);
	tear_down();
}

/* ---- what nobody takes ---- */

static void closed_with_the_answer(void)
{
	struct ipc_msg m, rep;
	int before;

	set_up();
	before = open_files();
	CHECK_EQ(start(3), 0);
	m = take();
	CHECK_EQ(open_files(), before + 3);
	CHECK_EQ(ipc_reply(server, &m, 5000, 0), -EMSGSIZE);
	CHECK_EQ(open_files(), before + 3);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(open_files(), before);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	close(r[0]);
	CHECK(closed(0));
	tear_down();
}

static void *send_some(void *arg)
{
	struct ipc_msg m = { 0 };

	(void)arg;
	CHECK_EQ(ipc_set_fds(&m, r, 2), 0);
	CHECK_EQ(ipc_send(client, &m, LONG), 0);
	return NULL;
}

static void one_way(void)
{
	struct ipc_msg m;
	pthread_t t;
	int before, fds[8];

	set_up();
	before = open_files();
	for (int taken = 0; taken < 2; taken++) {
		t = thread(send_some, NULL);
		m = take();
		pthread_join(t, NULL);
		CHECK_EQ(open_files(), before + 2);
		if (taken) {
			CHECK_EQ(ipc_get_fds(server, &m, fds, 8), 2);
			CHECK(leads_to(fds[0], 0));
			close(fds[0]);
			close(fds[1]);
		}
		CHECK_EQ(ipc_release(server, &m, 1), 0);
		CHECK_EQ(open_files(), before);
	}
	tear_down();
}

static void closed_with_release(void)
{
	struct plan plan = { 0, 4 };
	struct ipc_msg req = { 0 }, rep;
	int before;
	pthread_t t;

	set_up();
	before = open_files();
	for (int i = 0; i < 3; i++) {				/* with the endpoint, the last */
		t = thread(serve_one, &plan);
		CHECK_EQ(ipc_call(client, &req, &rep, LONG), 0);
		pthread_join(t, NULL);
		CHECK_EQ(open_files(), before + 4);
		if (i == 2)
			break;
		CHECK_EQ(ipc_release(client, &rep, 1), 0);
		CHECK_EQ(open_files(), before);
	}
	ipc_detach(client);
	CHECK_EQ(open_files(), before - 1);
	client = taking(IPC_SENDER);
	tear_down();
}

/* An evicted server, and one that leaves, close what they have; the call goes on with its own. */
static void server_leaves(void)
{
	for (int evicted = 0; evicted < 2; evicted++) {
		struct ipc_msg m;
		int before, fds[8];

		set_up();
		before = open_files();
		CHECK_EQ(start(2), 0);
		m = take();
		if (evicted) {
			struct msgc_whom who = { .size = sizeof(who), .peer = ipc_id(server) };

			MUST(ioctl(ipc_channel_fd(ch), MSGC_EVICT, &who));
			CHECK_EQ(ipc_get_fds(server, &m, fds, 8), -ENOENT);
		}
		ipc_detach(server);
		CHECK_EQ(open_files(), before - 1);
		server = taking(IPC_RECEIVER);
		m = take();
		CHECK_EQ(m.flags, IPC_F_REDELIVERED);
		CHECK_EQ(ipc_get_fds(server, &m, fds, 8), 2);
		CHECK(leads_to(fds[0], 0));
		close(fds[0]);
		close(fds[1]);
		tear_down();
	}
}

/* ---- answers that are fetched later ---- */

static void asynchronous(void)
{
	struct ipc_msg m, rep;
	int fds[8];

	set_up();
	CHECK_EQ(start(1), 0);
	m = take();
	CHECK_EQ(ipc_get_fds(server, &m, fds, 8), 1);
	CHECK(leads_to(fds[0], 0));
	close(fds[0]);
	CHECK_EQ(ipc_set_fds(&m, r, 2), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 7), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.outcome, IPC_DONE);
	CHECK_EQ(rep.result, 7);
	CHECK_EQ(ipc_get_fds(client, &rep, fds, 8), -EMSGSIZE);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	tear_down();
}

static void interrupted(void)
{
	struct ipc_msg m, req = { 0 }, rep;
	int fds[8];

	set_up();
	alarms(30, 0);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -EINTR);
	alarms(0, 0);
	m = take();
	CHECK_EQ(ipc_set_fds(&m, r, 2), 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(ipc_get_fds(client, &rep, fds, 8), 2);
	CHECK(leads_to(fds[1], 1));
	close(fds[0]);
	close(fds[1]);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	tear_down();
}

int main(void)
{
	RUN(both_ways);
	RUN(in_turn);
	RUN(refused);
	RUN(stays_set);
	RUN(rings);
	RUN(too_small);
	RUN(truncated);
	RUN(closed_with_the_answer);
	RUN(one_way);
	RUN(closed_with_release);
	RUN(server_leaves);
	RUN(asynchronous);
	RUN(interrupted);
	return tap_done();
}
