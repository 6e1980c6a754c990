// SPDX-License-Identifier: MIT
/* Rendezvous mode through the library: calls, their outcomes, each error of the header. */
#include <semaphore.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/msgchan.h>

#include "common.h"

#define SLOT 4096u
#define SLOTS 2

static struct ipc_channel *ch;
static struct ipc_endpoint *client, *server;

static void set_up_with(struct ipc_options opt)
{
	opt.size = sizeof(opt);
	opt.mode = IPC_RENDEZVOUS;
	opt.request = SLOT;
	opt.reply = SLOT;
	opt.slots = SLOTS;
	ch = channel("/calls", &opt);
	client = attach(ch, IPC_SENDER);
	server = attach(ch, IPC_RECEIVER);
}

static void set_up(void)
{
	set_up_with((struct ipc_options){ 0 });
}

static void tear_down(void)
{
	ipc_detach(client);
	ipc_detach(server);
	ipc_close(ch);
}

static int start(uint64_t cookie, uint64_t deadline)
{
	struct ipc_msg m = { .cookie = cookie };

	return ipc_start(client, &m, deadline);
}

static struct ipc_msg take(void)
{
	struct ipc_msg m = { 0 };

	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	return m;
}

/* Answer one call after a while, from another thread. */
static void *answer_soon(void *arg)
{
	struct ipc_msg m = take();

	nap(arg ? (unsigned int)(uintptr_t)arg : 50);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	return NULL;
}

static sem_t may_answer;

static void *answer_when_told(void *arg)
{
	struct ipc_msg m = take();

	(void)arg;
	sem_wait(&may_answer);
	nap(50);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	return NULL;
}

static void *echo(void *arg)
{
	struct ipc_msg m = take();

	(void)arg;
	CHECK_EQ(m.len, 5);
	CHECK(!memcmp(m.data, "hello", 5));
	CHECK_EQ(m.type, 7);
	CHECK_EQ(m.format, 9);
	CHECK_EQ(m.cookie, 11);
	CHECK_EQ(m.flags, 0);
	CHECK_EQ(m.attempts, 0);
	CHECK_EQ(m.reply_cap, 100);
	CHECK(m.deadline > ipc_in(0) && m.deadline != IPC_FOREVER);
	memcpy(m.reply, "HELLO!", 6);
	m.type = 8;
	m.format = 10;
	CHECK_EQ(ipc_reply(server, &m, 101, -5), -EMSGSIZE);
	CHECK_EQ(ipc_reply(server, &m, 6, -5), 0);
	CHECK(!m.data && !m.reply);
	CHECK_EQ(ipc_reply(server, &m, 6, -5), -ENOENT);
	return NULL;
}

static void check_echo(struct ipc_msg *req)
{
	struct ipc_peer who;
	struct ipc_msg rep;
	pthread_t t = thread(echo, NULL);

	CHECK_EQ(ipc_call(client, req, &rep, LONG), 0);
	pthread_join(t, NULL);
	CHECK_EQ(rep.outcome, IPC_DONE);
	CHECK_EQ(rep.result, -5);
	CHECK_EQ(rep.len, 6);
	CHECK(rep.data && !memcmp(rep.data, "HELLO!", 6));
	CHECK_EQ(rep.type, 8);
	CHECK_EQ(rep.format, 10);
	CHECK_EQ(rep.cookie, 11);
	CHECK_EQ(ipc_peer(client, rep.peer, &who), 0);
	CHECK_EQ(who.pid, getpid());
	CHECK_EQ(who.role, IPC_RECEIVER);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	CHECK(!rep.data);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);	/* nothing borrowed: skipped */
}

static void round_trip(void)
{
	struct ipc_msg copied = { .data = "hello", .len = 5, .type = 7, .format = 9, .cookie = 11,
				  .reply_cap = 100 };
	struct ipc_msg placed = copied;

	set_up();
	check_echo(&copied);
	CHECK(copied.data);				/* still the caller's */
	CHECK_EQ(ipc_wait(client, IPC_IN, IPC_NOW), -EAGAIN);	/* taken notice of */
	MUST(ipc_reserve(client, &placed, 5, IPC_NOW));
	CHECK_EQ(placed.cap, SLOT);
	memcpy(placed.data, "hello", 5);
	check_echo(&placed);
	CHECK(!placed.data);				/* used up */
	tear_down();
}

/* Answers are borrowed until released, and the slots with them. */
static void borrowed_answers(void)
{
	struct ipc_msg m, rep[3], req = { 0 };

	set_up();
	for (int i = 0; i < SLOTS; i++) {
		CHECK_EQ(start((uint64_t)i, LONG), 0);
		m = take();
		CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	}
	CHECK_EQ(ipc_reserve(client, &req, 1, LONG), -EBUSY);	/* uncollected */
	CHECK_EQ(ipc_collect(client, rep, 3, IPC_NOW), SLOTS);
	CHECK_EQ(ipc_reserve(client, &req, 1, LONG), -EBUSY);	/* borrowed */
	CHECK_EQ(start(5, LONG), -EBUSY);
	CHECK_EQ(ipc_call(client, &req, &m, LONG), -EBUSY);
	CHECK_EQ(m.outcome, IPC_NOT_EXECUTED);
	m = rep[1];
	m.data = (char *)m.data + 1;
	rep[2] = m;
	CHECK_EQ(ipc_release(client, &rep[1], 2), -EINVAL);	/* nothing is given back, */
	CHECK(rep[1].data);
	CHECK_EQ(ipc_reserve(client, &req, 1, IPC_NOW), -EBUSY);
	CHECK_EQ(ipc_release(client, rep, SLOTS), 0);
	CHECK_EQ(ipc_reserve(client, &req, 1, IPC_NOW), 0);
	CHECK_EQ(ipc_abandon(client, &req), 0);
	tear_down();
}

static void sizes(void)
{
	static char data[SLOT + 1];
	struct ipc_msg m, rep, req = { .data = data, .len = SLOT };

	set_up();
	memset(data, 'd', sizeof(data));
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	m = take();
	CHECK_EQ(m.len, SLOT);
	CHECK(!memcmp(m.data, data, SLOT));
	CHECK_EQ(m.reply_cap, SLOT);
	memset(m.reply, 'r', SLOT);
	CHECK_EQ(ipc_reply(server, &m, SLOT + 1, 0), -EMSGSIZE);
	CHECK_EQ(ipc_reply(server, &m, SLOT, 0), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.len, SLOT);
	memset(data, 'r', SLOT);
	CHECK(!memcmp(rep.data, data, SLOT));
	CHECK_EQ(ipc_release(client, &rep, 1), 0);

	req.len = SLOT + 1;
	CHECK_EQ(ipc_start(client, &req, LONG), -EMSGSIZE);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -EMSGSIZE);
	CHECK_EQ(ipc_send(client, &req, LONG), -EMSGSIZE);
	CHECK_EQ(ipc_reserve(client, &m, SLOT + 1, IPC_NOW), -EMSGSIZE);
	req = (struct ipc_msg){ .reply_cap = SLOT + 1 };
	CHECK_EQ(ipc_start(client, &req, LONG), -EMSGSIZE);
	CHECK_EQ(ipc_reserve(client, &m, 0, IPC_NOW), 0);	/* no slot was lost by all that */
	CHECK_EQ(ipc_reserve(client, &req, 0, IPC_NOW), 0);
	CHECK_EQ(ipc_reserve(client, &rep, 0, IPC_NOW), -EBUSY);
	tear_down();
}

static void reservations(void)
{
	struct ipc_msg a = { 0 }, b = { 0 }, c;

	set_up();
	MUST(ipc_reserve(client, &a, 1, IPC_NOW));
	c = a;
	CHECK_EQ(ipc_abandon(client, &a), 0);
	CHECK_EQ(ipc_abandon(client, &a), -EINVAL);
	CHECK_EQ(ipc_call(client, &c, &b, LONG), -EINVAL);	/* no longer reserved */
	MUST(ipc_reserve(client, &a, 1, IPC_NOW));
	MUST(ipc_reserve(client, &b, 1, IPC_NOW));
	CHECK_EQ(ipc_call(client, &a, &c, IPC_NOW), -EINVAL);	/* used up nevertheless */
	CHECK_EQ(c.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_start(client, &b, IPC_NOW), -EINVAL);
	MUST(ipc_reserve(client, &a, 1, IPC_NOW));
	MUST(ipc_reserve(client, &b, 1, IPC_NOW));
	CHECK_EQ(ipc_send(client, &a, IPC_NOW), -EINVAL);
	MUST(ipc_reserve(client, &a, 1, IPC_NOW));
	tear_down();
}

static void timeouts(void)
{
	struct ipc_msg m, req = { 0 }, rep;
	char text[100];
	pthread_t t;

	set_up();
	CHECK_EQ(ipc_call(client, &req, &rep, MS(30)), -ETIMEDOUT);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(rep.result, -ETIMEDOUT);
	CHECK(!rep.data);
	CHECK(ipc_why(client, -ETIMEDOUT, text, sizeof(text)) > 0);
	CHECK(strstr(text, "no answer: server calls["));

	MUST(sem_init(&may_answer, 0, 0));
	t = thread(answer_when_told, NULL);
	CHECK_EQ(ipc_call(client, &req, &rep, A_WHILE), -ETIMEDOUT);
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	/* One slot is the server's still: with the other reserved there is none. */
	MUST(ipc_reserve(client, &m, 1, IPC_NOW));
	CHECK_EQ(ipc_reserve(client, &rep, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_reserve(client, &rep, 1, MS(10)), -ETIMEDOUT);
	CHECK_EQ(ipc_wait(client, IPC_IN, IPC_NOW), -EAGAIN);
	sem_post(&may_answer);
	CHECK_EQ(ipc_reserve(client, &rep, 1, LONG), 0);
	pthread_join(t, NULL);
	CHECK_EQ(ipc_wait(client, IPC_IN | IPC_OUT, IPC_NOW), -EAGAIN);
	tear_down();
}

/* An outcome to collect and a slot that its server has: nobody but the caller can help. */
static void uncollected_first(void)
{
	struct ipc_msg late, m, req = { 0 }, rep;

	set_up();
	CHECK_EQ(start(1, A_WHILE), 0);
	late = take();
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	CHECK_EQ(start(2, LONG), 0);
	m = take();
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_reserve(client, &req, 0, LONG), -EBUSY);
	CHECK_EQ(ipc_collect(client, &rep, 1, IPC_NOW), 1);
	CHECK_EQ(ipc_reserve(client, &req, 0, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	CHECK_EQ(ipc_reserve(client, &req, 0, IPC_NOW), 0);
	CHECK_EQ(ipc_reply(server, &late, 0, 0), 0);
	tear_down();
}

static void collecting(void)
{
	struct ipc_msg m[3], rep[3];

	set_up();
	CHECK_EQ(ipc_collect(client, rep, 1, LONG), -ENOENT);
	CHECK_EQ(ipc_collect(client, rep, 0, LONG), -EINVAL);
	CHECK_EQ(start(1, LONG), 0);
	CHECK_EQ(start(2, A_WHILE), 0);
	CHECK_EQ(ipc_collect(client, rep, 3, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_collect(client, rep, 3, MS(10)), -ETIMEDOUT);
	CHECK_EQ(ipc_wait(client, IPC_IN, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_recv(server, m, 3, LONG), 2);
	CHECK_EQ(m[0].cookie, 1);
	CHECK_EQ(m[1].cookie, 2);
	CHECK_EQ(ipc_collect(client, rep, 3, LONG), 1);	/* the second one is overdue */
	CHECK_EQ(rep[0].cookie, 2);
	CHECK_EQ(rep[0].outcome, IPC_MAYBE);
	CHECK_EQ(rep[0].result, -ETIMEDOUT);
	CHECK(!rep[0].data);
	CHECK_EQ(ipc_reply(server, &m[0], 0, 42), 0);
	CHECK(ipc_wait(client, IPC_IN, LONG) & IPC_IN);
	CHECK_EQ(ipc_collect(client, &rep[1], 2, LONG), 1);
	CHECK_EQ(rep[1].cookie, 1);
	CHECK_EQ(rep[1].result, 42);
	CHECK_EQ(ipc_collect(client, rep, 1, IPC_NOW), -ENOENT);
	CHECK_EQ(ipc_release(client, rep, 2), 0);	/* with the one that has no answer */
	CHECK_EQ(ipc_reply(server, &m[1], 0, 0), 0);
	tear_down();
}

static void cancels(void)
{
	struct ipc_msg m, rep;

	set_up();
	CHECK_EQ(ipc_cancel(client, 1), -ENOENT);
	CHECK_EQ(start(1, LONG), 0);
	CHECK_EQ(ipc_cancel(client, 2), -ENOENT);
	CHECK_EQ(ipc_cancel(client, 1), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, IPC_NOW), 1);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(rep.result, -ECANCELED);
	CHECK_EQ(start(3, LONG), 0);
	m = take();
	CHECK_EQ(ipc_gone(server, &m), 0);
	CHECK_EQ(ipc_cancel(client, 3), 0);
	CHECK_EQ(ipc_cancel(client, 3), -ENOENT);
	CHECK_EQ(ipc_gone(server, &m), 1);
	CHECK_EQ(ipc_collect(client, &rep, 1, IPC_NOW), 1);
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	CHECK_EQ(rep.result, -ECANCELED);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);	/* is no error */
	CHECK_EQ(ipc_gone(server, &m), -ENOENT);
	tear_down();
}

static void *cancel_soon(void *arg)
{
	(void)arg;
	nap(100);
	CHECK_EQ(ipc_cancel(client, 6), 0);
	return NULL;
}

static void cancel_from_handler(int sig)
{
	(void)sig;
	ipc_cancel(client, 6);
}

static void cancels_while_waiting(void)
{
	struct ipc_msg req = { .cookie = 6 }, rep;
	struct sigaction sa = { .sa_handler = cancel_from_handler, .sa_flags = SA_RESTART };
	pthread_t t;

	set_up();
	t = thread(cancel_soon, NULL);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -ECANCELED);
	pthread_join(t, NULL);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	sigaction(SIGALRM, &sa, NULL);
	ualarm(50000, 20000);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -ECANCELED);
	ualarm(0, 0);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	tear_down();
}

static void *interrupt_soon(void *ep)
{
	nap(100);
	CHECK_EQ(ipc_interrupt(ep), 0);
	return NULL;
}

/* A signal ends the wait, not the call. */
static void interrupted(void)
{
	struct ipc_msg m, req = { .cookie = 4 }, rep;
	pthread_t t;

	set_up();
	alarms(30, 0);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -EINTR);
	alarms(0, 0);
	CHECK_EQ(rep.outcome, IPC_NONE);
	CHECK_EQ(rep.cookie, 4);
	m = take();
	alarms(30, 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), -EINTR);
	alarms(0, 0);
	CHECK_EQ(ipc_reply(server, &m, 0, 3), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.cookie, 4);
	CHECK_EQ(rep.result, 3);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);

	t = thread(interrupt_soon, client);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -EINTR);
	pthread_join(t, NULL);
	CHECK_EQ(ipc_cancel(client, 4), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);

	t = thread(interrupt_soon, server);
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_FOREVER), -EINTR);
	pthread_join(t, NULL);

	alarms(10, SA_RESTART);				/* these are not noticed */
	t = thread(answer_soon, (void *)(uintptr_t)200);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), 0);
	alarms(0, 0);
	pthread_join(t, NULL);
	tear_down();
}

static void no_server(void)
{
	struct ipc_msg req = { .flags = IPC_F_NEED_SERVER }, rep, placed = { 0 };
	char text[100];

	set_up();
	ipc_detach(server);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -EHOSTDOWN);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_start(client, &req, LONG), -EHOSTDOWN);
	for (int i = 0; i < SLOTS + 1; i++) {			/* and no slot is lost */
		MUST(ipc_reserve(client, &placed, 0, IPC_NOW));
		placed.flags = IPC_F_NEED_SERVER;
		CHECK_EQ(ipc_send(client, &placed, LONG), -EHOSTDOWN);
		CHECK_EQ(placed.outcome, IPC_NOT_EXECUTED);
	}
	CHECK(ipc_why(client, -EHOSTDOWN, text, sizeof(text)) > 0);
	CHECK(!strcmp(text, "no answer: no server is attached"));
	req.flags = 0;
	CHECK_EQ(ipc_call(client, &req, &rep, MS(30)), -ETIMEDOUT);	/* waits for one */
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	server = attach(ch, IPC_RECEIVER);
	tear_down();
}

static void serve_and_die(void *arg)
{
	(void)arg;
	MUST(ipc_open("/calls", IPC_READ, LONG, &ch));
	server = attach(ch, IPC_RECEIVER);
	take();
	if (!atomic_load(&tap_failed))
		raise(SIGKILL);
}

static void *call_dying(void *arg)
{
	struct ipc_msg req = { 0 }, *rep = arg;

	return (void *)(intptr_t)ipc_call(client, &req, rep, LONG);
}

static void server_dies(void)
{
	struct ipc_msg rep;
	pthread_t t;
	void *ret;

	set_up();
	ipc_detach(server);
	t = thread(call_dying, &rep);
	CHECK(WIFSIGNALED(in_child(serve_and_die, NULL)));
	pthread_join(t, &ret);
	CHECK_EQ((intptr_t)ret, -EOWNERDEAD);
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	server = attach(ch, IPC_RECEIVER);
	tear_down();
}

/* A server leaves with a call in its hands: another one gets it. */
static void redelivered(void)
{
	struct ipc_options opt = { .max_attempts = 1 };
	struct ipc_endpoint *other;
	struct ipc_msg m, rep;

	opt.flags = IPC_MANY_SERVERS | IPC_REDELIVER;
	set_up_with(opt);
	other = attach(ch, IPC_RECEIVER);
	CHECK_EQ(start(9, LONG), 0);
	m = take();
	CHECK_EQ(m.attempts, 0);
	ipc_detach(server);
	server = other;
	m = take();
	CHECK_EQ(m.cookie, 9);
	CHECK_EQ(m.attempts, 1);
	CHECK_EQ(m.flags, IPC_F_REDELIVERED);
	ipc_detach(server);				/* once too often */
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.result, -EOWNERDEAD);
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	server = attach(ch, IPC_RECEIVER);
	tear_down();
}

static void *release_soon(void *arg)
{
	struct ipc_msg m = take();

	(void)arg;
	CHECK_EQ(m.flags, IPC_F_ONEWAY);
	CHECK_EQ(m.reply_cap, 0);
	CHECK(!memcmp(m.data, "news", 4));
	nap(100);
	CHECK_EQ(ipc_release(server, &m, 1), 0);
	CHECK(!m.data);
	return NULL;
}

static void one_way(void)
{
	struct ipc_msg m = { .data = "news", .len = 4, .cookie = 1 }, rep;
	struct ipc_msg a = { 0 }, b = { 0 };
	pthread_t t;

	set_up();
	CHECK_EQ(ipc_send(client, &m, MS(30)), -ETIMEDOUT);
	CHECK_EQ(m.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(m.result, -ETIMEDOUT);
	t = thread(release_soon, NULL);
	CHECK_EQ(ipc_send(client, &m, LONG), 0);
	CHECK_EQ(m.outcome, IPC_DONE);			/* taken; not let go of yet */
	CHECK(m.data);
	MUST(ipc_reserve(client, &a, 0, IPC_NOW));
	CHECK_EQ(ipc_reserve(client, &b, 0, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_reserve(client, &b, 0, LONG), 0);
	pthread_join(t, NULL);
	CHECK_EQ(ipc_abandon(client, &a), 0);

	alarms(30, 0);
	CHECK_EQ(ipc_send(client, &m, LONG), -EINTR);
	alarms(0, 0);
	CHECK_EQ(m.outcome, IPC_NONE);
	m = take();
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.outcome, IPC_DONE);
	CHECK_EQ(rep.flags, IPC_F_ONEWAY);
	CHECK(!rep.data);
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	CHECK_EQ(ipc_reply(server, &m, 1, 0), -EMSGSIZE);	/* there is no room */
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	tear_down();
}

static void serving(void)
{
	struct ipc_attach two = { .size = sizeof(two), .role = IPC_RECEIVER, .held = 2 };
	struct ipc_msg m[3], copy, rep[2];

	set_up();
	ipc_detach(server);
	MUST(ipc_attach(ch, &two, &server));
	CHECK_EQ(ipc_recv(server, m, 0, IPC_NOW), -EINVAL);
	CHECK_EQ(ipc_recv(server, m, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_recv(server, m, 1, MS(30)), -ETIMEDOUT);
	CHECK_EQ(start(1, LONG), 0);
	CHECK_EQ(start(2, LONG), 0);
	CHECK_EQ(ipc_wait(server, IPC_IN, IPC_NOW), IPC_IN);
	CHECK_EQ(ipc_recv(server, m, 3, LONG), 2);
	CHECK_EQ(ipc_recv(server, &m[2], 1, LONG), -EBUSY);
	CHECK_EQ(ipc_release(server, m, 1), -EINVAL);		/* it wants a reply */
	copy = m[0];
	CHECK_EQ(ipc_reply_recv(server, &m[0], 0, 1, &m[2], IPC_NOW), -EAGAIN);
	CHECK(!m[0].data);					/* the reply went out */
	CHECK_EQ(ipc_reply_recv(server, &copy, 0, 1, &m[2], LONG), -ENOENT);
	CHECK_EQ(ipc_reply_recv(server, &m[1], SLOT + 1, 1, &m[2], LONG), -EMSGSIZE);
	CHECK(m[1].data);
	CHECK_EQ(ipc_collect(client, rep, 2, LONG), 1);
	CHECK_EQ(rep[0].cookie, 1);
	CHECK_EQ(ipc_release(client, rep, 1), 0);
	CHECK_EQ(start(3, LONG), 0);
	CHECK_EQ(ipc_reply_recv(server, &m[1], 0, 2, &m[1], LONG), 1);
	CHECK_EQ(m[1].cookie, 3);
	CHECK_EQ(ipc_interrupt(server), 0);
	CHECK_EQ(ipc_reply_recv(server, &m[1], 0, 3, &m[1], LONG), -EINTR);
	CHECK(!m[1].data);
	CHECK_EQ(ipc_collect(client, rep, 2, LONG), 2);
	CHECK_EQ(rep[0].result + rep[1].result, 5);
	tear_down();
}

static void client_leaves(void)
{
	struct ipc_msg m;

	set_up();
	CHECK_EQ(start(1, LONG), 0);
	CHECK_EQ(start(2, LONG), 0);
	m = take();
	ipc_detach(client);
	CHECK_EQ(ipc_gone(server, &m), 1);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_NOW), -EAGAIN);	/* the other one went with it */
	client = attach(ch, IPC_SENDER);
	tear_down();
}

/* Answers everything until a one-way message comes, some of it too late. */
static void *serve_slowly(void *arg)
{
	struct ipc_msg m = take();

	(void)arg;
	for (unsigned int i = 0; !(m.flags & IPC_F_ONEWAY); i++) {
		if (i % 3 == 0)
			usleep(300);
		*(uint64_t *)m.reply = m.cookie;
		CHECK_EQ(ipc_reply_recv(server, &m, 8, 0, &m, IPC_FOREVER), 1);
	}
	CHECK_EQ(ipc_release(server, &m, 1), 0);
	return NULL;
}

/* Deadlines near the answers: none is taken for another, and in the end no slot is lost. */
static void *call_hastily(void *arg)
{
	struct ipc_endpoint *ep = attach(ch, IPC_SENDER);
	struct ipc_msg m[SLOTS] = { { 0 } };
	int *count = arg;

	for (uint64_t i = 1; i <= 500; i++) {
		struct ipc_msg req = { .cookie = i }, rep;
		int ret = ipc_call(ep, &req, &rep, ipc_in(100000 + i % 7 * 100000));

		CHECK_EQ(rep.cookie, i);
		count[!ret]++;
		if (ret) {
			CHECK_EQ(ret, -ETIMEDOUT);
			CHECK(rep.outcome == IPC_MAYBE || rep.outcome == IPC_NOT_EXECUTED);
			continue;
		}
		CHECK_EQ(*(uint64_t *)rep.data, i);
		CHECK_EQ(ipc_release(ep, &rep, 1), 0);
	}
	for (int i = 0; i < SLOTS; i++)
		CHECK_EQ(ipc_reserve(ep, &m[i], 0, LONG), 0);
	CHECK_EQ(ipc_wait(ep, IPC_IN, IPC_NOW), -EAGAIN);
	ipc_detach(ep);
	return NULL;
}

static void near_deadlines(void)
{
	int count[2][2] = { { 0 } };
	struct ipc_msg last = { 0 };
	pthread_t s, c[2];

	set_up();
	s = thread(serve_slowly, NULL);
	for (int i = 0; i < 2; i++)
		c[i] = thread(call_hastily, count[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(c[i], NULL);
	CHECK_EQ(ipc_send(client, &last, LONG), 0);
	pthread_join(s, NULL);
	printf("# %d answered, %d late\n", count[0][1] + count[1][1], count[0][0] + count[1][0]);
	tear_down();
}

static void wrong_verbs(void)
{
	struct ipc_msg m = { 0 };

	set_up();
	CHECK_EQ(ipc_commit(client, &m), -ENOTTY);
	CHECK_EQ(ipc_publish(client), -ENOTTY);
	CHECK_EQ(ipc_drain(client, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_recv(client, &m, 1, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_reply(client, &m, 0, 0), -ENOTTY);
	CHECK_EQ(ipc_gone(client, &m), -ENOTTY);
	CHECK_EQ(ipc_call(server, &m, &m, LONG), -ENOTTY);
	CHECK_EQ(ipc_send(server, &m, LONG), -ENOTTY);
	CHECK_EQ(ipc_reserve(server, &m, 0, LONG), -ENOTTY);
	CHECK_EQ(ipc_cancel(server, 0), -ENOTTY);
	tear_down();
}

/* A server for this thread alone, which does not call itself. */
static void *not_for_others(void *arg)
{
	struct ipc_msg m = { 0 };

	(void)arg;
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_NOW), -EPERM);
	return NULL;
}

static void bound(void)
{
	struct ipc_attach how = {
		.size = sizeof(how), .role = IPC_RECEIVER, .flags = IPC_BOUND
	};
	struct ipc_msg m = { 0 }, rep;

	set_up();
	ipc_detach(server);
	MUST(ipc_attach(ch, &how, &server));
	for (int n = 0; n <= SLOTS; n++) {	/* each time the slot is free again */
		CHECK_EQ(ipc_call(client, &m, &rep, LONG), -EDEADLK);
		CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
		CHECK_EQ(rep.result, -EDEADLK);
		CHECK_EQ(ipc_send(client, &m, LONG), -EDEADLK);
		CHECK_EQ(m.outcome, IPC_NOT_EXECUTED);
	}
	CHECK_EQ(start(1, LONG), 0);
	pthread_join(thread(not_for_others, NULL), NULL);
	m = take();
	CHECK_EQ(m.cookie, 1);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.outcome, IPC_DONE);
	tear_down();
}

static void evicted(void)
{
	struct msgc_whom whom = { .size = sizeof(whom) };
	struct ipc_msg m, rep, req = { 0 };

	set_up();
	CHECK_EQ(start(1, LONG), 0);
	m = take();
	whom.peer = m.peer;
	CHECK_EQ(ioctl(ipc_channel_fd(ch), MSGC_EVICT, &whom), 0);
	CHECK_EQ(ipc_gone(server, &m), 1);
	CHECK_EQ(ipc_call(client, &req, &rep, LONG), -ESHUTDOWN);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_start(client, &req, LONG), -ESHUTDOWN);
	CHECK_EQ(ipc_cancel(client, 1), -ESHUTDOWN);
	CHECK_EQ(ipc_wait(client, IPC_IN, IPC_FOREVER), -ESHUTDOWN);
	tear_down();
}

int main(void)
{
	RUN(round_trip);
	RUN(borrowed_answers);
	RUN(sizes);
	RUN(reservations);
	RUN(timeouts);
	RUN(uncollected_first);
	RUN(collecting);
	RUN(cancels);
	RUN(cancels_while_waiting);
	RUN(interrupted);
	RUN(no_server);
	RUN(server_dies);
	RUN(redelivered);
	RUN(one_way);
	RUN(serving);
	RUN(client_leaves);
	RUN(near_deadlines);
	RUN(wrong_verbs);
	RUN(bound);
	RUN(evicted);
	return tap_done();
}
