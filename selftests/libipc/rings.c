// SPDX-License-Identifier: MIT
/* Ring mode through the library: what each function does, and each error that the header names. */
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/msgchan.h>

#include "common.h"

#define RING 4096u

/* A channel of its own for each test, a sender with a small ring, and a receiver. */
static struct ipc_channel *ch;
static struct ipc_endpoint *tx, *rx;

static struct ipc_endpoint *sender(void)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER, .ring = RING };
	struct ipc_endpoint *ep;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static void set_up(void)
{
	ch = channel("/rings", NULL);
	tx = sender();
	rx = attach(ch, IPC_RECEIVER);
}

static void tear_down(void)
{
	ipc_detach(tx);
	ipc_detach(rx);
	ipc_close(ch);
}

/* Fill the ring with messages of 96 bytes, 128 with their headers; returns how many. */
static int fill_ring(void)
{
	char data[96] = { 0 };
	struct ipc_msg m = { .data = data, .len = sizeof(data) };
	int n = 0, ret;

	while (!(ret = ipc_send(tx, &m, IPC_NOW)))
		n++;
	CHECK_EQ(ret, -EAGAIN);
	return n;
}

static int empty_ring(void)
{
	struct ipc_msg m;
	int n = 0;

	while (ipc_recv(rx, &m, 1, IPC_NOW) == 1) {
		CHECK_EQ(ipc_release(rx, &m, 1), 0);
		n++;
	}
	return n;
}

static void fields(void)
{
	struct ipc_msg m = { .data = "hello", .len = 5, .type = 77, .format = 3, .cookie = 99 };
	struct ipc_msg got[2];

	set_up();
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	m.type = 78;
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	memset(got, 0x55, sizeof(got));
	CHECK_EQ(ipc_recv(rx, got, 2, IPC_NOW), 2);
	CHECK_EQ(got[0].len, 5);
	CHECK(!memcmp(got[0].data, "hello", 5));
	CHECK_EQ(got[0].type, 77);
	CHECK_EQ(got[1].type, 78);
	CHECK_EQ(got[0].format, 3);
	CHECK_EQ(got[0].cookie, 99);
	CHECK_EQ(got[0].flags, 0);
	CHECK_EQ(got[0].attempts, 0);
	CHECK_EQ(got[0].missed, 0);
	CHECK_EQ(got[0].time, 0);
	CHECK_EQ(got[0].seq, 1);
	CHECK_EQ(got[1].seq, 2);
	CHECK_EQ(got[0].peer, got[1].peer);
	CHECK_EQ(ipc_release(rx, got, 2), 0);
	CHECK(!got[0].data && !got[1].data);
	tear_down();
}

static void sizes(void)
{
	static char most[RING - 32];
	struct ipc_msg m = { 0 }, got;

	set_up();
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	CHECK_EQ(got.len, 0);
	CHECK(got.data);
	CHECK_EQ(ipc_release(rx, &got, 1), 0);

	memset(most, 'm', sizeof(most));
	m = (struct ipc_msg){ .data = most, .len = sizeof(most) };
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	CHECK_EQ(got.len, sizeof(most));
	CHECK(!memcmp(got.data, most, sizeof(most)));
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	m.len++;
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), -EMSGSIZE);
	CHECK_EQ(ipc_reserve(tx, &m, sizeof(most) + 1, IPC_NOW), -EMSGSIZE);
	tear_down();
}

static void reservations(void)
{
	struct ipc_msg a = { 0 }, b = { 0 }, c = { 0 }, got;

	set_up();
	MUST(ipc_reserve(tx, &a, 8, IPC_NOW));
	MUST(ipc_reserve(tx, &b, 8, IPC_NOW));
	MUST(ipc_reserve(tx, &c, 8, IPC_NOW));
	CHECK_EQ(a.len, 8);
	CHECK(a.cap >= 8);
	b.type = 2;
	c.type = 3;
	c.len = 4;
	CHECK_EQ(ipc_commit(tx, &c), 0);
	CHECK_EQ(ipc_commit(tx, &b), 0);
	CHECK_EQ(ipc_publish(tx), 2);			/* a holds them back */
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EBUSY);
	a.len = a.cap + 1;
	CHECK_EQ(ipc_commit(tx, &a), -EMSGSIZE);
	CHECK_EQ(ipc_abandon(tx, &a), 0);
	CHECK_EQ(ipc_abandon(tx, &a), -EINVAL);
	CHECK_EQ(ipc_commit(tx, &b), -EINVAL);
	CHECK_EQ(ipc_publish(tx), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	CHECK_EQ(got.type, 2);				/* in the order of reservation */
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	CHECK_EQ(got.type, 3);
	CHECK_EQ(got.len, 4);
	CHECK_EQ(got.missed, 0);			/* nobody misses an abandoned one */
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	tear_down();
}

static void too_many_reserved(void)
{
	struct ipc_msg first = { 0 }, m = { 0 };
	int n = 1;

	set_up();
	MUST(ipc_reserve(tx, &first, 0, IPC_NOW));
	while (!ipc_reserve(tx, &m, 0, IPC_NOW)) {
		CHECK_EQ(ipc_commit(tx, &m), 0);
		n++;
	}
	CHECK_EQ(n, 64);
	CHECK_EQ(ipc_reserve(tx, &m, 0, LONG), -ENOBUFS);
	CHECK_EQ(ipc_commit(tx, &first), 0);
	CHECK_EQ(ipc_reserve(tx, &m, 0, IPC_NOW), 0);
	tear_down();
}

static void no_space(void)
{
	struct ipc_msg m = { 0 }, open = { 0 };
	char text[120];
	size_t whole;
	int n;

	set_up();
	n = fill_ring();
	CHECK_EQ(n, RING / 128);
	CHECK_EQ(ipc_reserve(tx, &m, 96, MS(30)), -ETIMEDOUT);
	CHECK_EQ(ipc_wait(tx, IPC_OUT, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_wait(tx, IPC_OUT, MS(30)), -ETIMEDOUT);
	CHECK_EQ(ipc_interrupt(tx), 0);
	CHECK_EQ(ipc_reserve(tx, &m, 96, LONG), -EINTR);
	CHECK(ipc_why(tx, -EAGAIN, text, sizeof(text)) < (int)sizeof(text));
	CHECK(strstr(text, "channel full: receiver rings["));
	CHECK(strstr(text, " holds 4096 B"));
	whole = strlen(text);
	CHECK_EQ(ipc_why(tx, -EAGAIN, text, 4), whole);
	CHECK(!strcmp(text, "cha"));
	CHECK_EQ(empty_ring(), n);
	CHECK_EQ(ipc_wait(tx, IPC_OUT, LONG), IPC_OUT);

	MUST(ipc_reserve(tx, &open, 96, IPC_NOW));	/* our own reservation is in the way */
	CHECK_EQ(ipc_reserve(tx, &m, RING - 32, LONG), -EBUSY);
	CHECK_EQ(ipc_abandon(tx, &open), 0);
	CHECK_EQ(ipc_reserve(tx, &m, RING - 32, IPC_NOW), 0);
	tear_down();
}

static void *take_all_soon(void *arg)
{
	(void)arg;
	nap(100);
	return (void *)(intptr_t)empty_ring();
}

/* A sender sleeps for space, and the release wakes it. */
static void space_comes(void)
{
	struct ipc_msg m = { 0 };
	pthread_t t;
	void *n;

	set_up();
	fill_ring();
	t = thread(take_all_soon, NULL);
	CHECK_EQ(ipc_reserve(tx, &m, 96, LONG), 0);
	pthread_join(t, &n);
	CHECK_EQ((intptr_t)n, RING / 128);
	CHECK_EQ(ipc_abandon(tx, &m), 0);
	fill_ring();
	t = thread(take_all_soon, NULL);
	CHECK_EQ(ipc_drain(tx, LONG), 0);
	pthread_join(t, &n);
	CHECK_EQ((intptr_t)n, RING / 128);
	tear_down();
}

static void draining(void)
{
	struct ipc_msg m = { 0 }, got;

	set_up();
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);		/* nothing to wait for */
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_drain(tx, MS(30)), -ETIMEDOUT);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);	/* taken is not released */
	CHECK_EQ(ipc_interrupt(tx), 0);
	CHECK_EQ(ipc_drain(tx, LONG), -EINTR);
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
	tear_down();
}

static void recv_errors(void)
{
	struct ipc_msg m = { 0 }, got;
	char text[80];

	set_up();
	CHECK_EQ(ipc_recv(rx, &got, 0, IPC_NOW), -EINVAL);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_recv(rx, &got, 1, MS(30)), -ETIMEDOUT);
	CHECK(ipc_why(rx, -ETIMEDOUT, text, sizeof(text)) > 0);
	CHECK(!strcmp(text, "no message from 1 attached sender"));
	alarms(30, 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, LONG), -EINTR);
	alarms(30, SA_RESTART);
	CHECK_EQ(ipc_recv(rx, &got, 1, MS(200)), -ETIMEDOUT);
	alarms(0, 0);
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	m = got;
	CHECK_EQ(ipc_release(rx, &got, 1), 0);
	CHECK_EQ(ipc_release(rx, &m, 1), -EINVAL);
	tear_down();
}

/* Released in any order; the oldest one counts. */
static void release_order(void)
{
	struct ipc_msg m = { 0 }, got[3];

	set_up();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, got, 3, IPC_NOW), 3);
	CHECK_EQ(ipc_release(rx, &got[2], 1), 0);
	CHECK_EQ(ipc_release(rx, &got[1], 1), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_release(rx, &got[0], 1), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
	tear_down();
}

static void too_many_held(void)
{
	static struct ipc_msg got[1025];
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	struct ipc_msg m = { 0 };

	ch = channel(NULL, NULL);
	MUST(ipc_attach(ch, &how, &tx));
	rx = attach(ch, IPC_RECEIVER);
	for (int i = 0; i < 1025; i++)
		CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, got, 1025, IPC_NOW), 1024);
	CHECK_EQ(ipc_recv(rx, &got[1024], 1, IPC_NOW), -ENOBUFS);
	CHECK_EQ(ipc_release(rx, got, 1024), 0);
	CHECK_EQ(ipc_recv(rx, &got[1024], 1, IPC_NOW), 1);
	tear_down();
}

static void end_of_stream(void)
{
	struct ipc_attach stay = { .size = sizeof(stay), .role = IPC_RECEIVER, .flags = IPC_STAY };
	struct pollfd p;
	struct ipc_msg m = { 0 }, got;

	set_up();
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	MUST(ipc_reserve(tx, &m, 4, IPC_NOW));
	MUST(ipc_commit(tx, &m));		/* published by leaving */
	ipc_detach(tx);
	p = (struct pollfd){ .fd = ipc_fd(rx), .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_EQ(empty_ring(), 2);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_FOREVER), -EPIPE);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_FOREVER), IPC_HUP);
	tx = sender();				/* a new sender ends the end */
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), -EAGAIN);
	tear_down();

	ch = channel(NULL, NULL);
	MUST(ipc_attach(ch, &stay, &rx));
	tx = sender();
	ipc_detach(tx);
	CHECK_EQ(ipc_recv(rx, &got, 1, MS(30)), -ETIMEDOUT);
	tx = sender();
	tear_down();
}

static void *send_soon(void *arg)
{
	struct ipc_msg m = { 0 };

	(void)arg;
	nap(100);
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	return NULL;
}

/* Asleep, and while it still looks. */
static void recv_is_woken(void)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER };
	struct ipc_msg got;
	pthread_t t;

	set_up();
	for (int i = 0; i < 2; i++) {
		ipc_detach(rx);
		how.spin_ns = i ? 1000000000 : 0;
		MUST(ipc_attach(ch, &how, &rx));
		t = thread(send_soon, NULL);
		CHECK_EQ(ipc_recv(rx, &got, 1, LONG), 1);
		pthread_join(t, NULL);
		CHECK_EQ(ipc_release(rx, &got, 1), 0);
	}
	tear_down();
}

/* What a receiver had borrowed and not released goes to the next one. */
static void redelivered(void)
{
	struct ipc_msg m = { 0 }, got[4];

	set_up();
	for (int i = 0; i < 4; i++) {
		m.cookie = (uint64_t)i;
		CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	}
	CHECK_EQ(ipc_recv(rx, got, 3, IPC_NOW), 3);
	CHECK_EQ(ipc_release(rx, &got[0], 1), 0);
	ipc_detach(rx);
	rx = attach(ch, IPC_RECEIVER);
	CHECK_EQ(ipc_recv(rx, got, 4, IPC_NOW), 3);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(got[i].cookie, i + 1);
		CHECK_EQ(got[i].flags, i < 2 ? IPC_F_REDELIVERED : 0);
		CHECK_EQ(got[i].attempts, i < 2 ? 1 : 0);
		CHECK_EQ(got[i].missed, 0);
	}
	CHECK_EQ(ipc_release(rx, got, 3), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
	tear_down();
}

static void take_and_die(void *arg)
{
	struct ipc_msg got;

	(void)arg;
	MUST(ipc_open("/rings", IPC_READ, LONG, &ch));
	rx = attach(ch, IPC_RECEIVER);
	CHECK_EQ(ipc_recv(rx, &got, 1, LONG), 1);
	if (atomic_load(&tap_failed))
		return;
	raise(SIGKILL);
}

static void redelivered_after_kill(void)
{
	struct ipc_msg m = { .cookie = 5 }, got;
	int status;

	set_up();
	ipc_detach(rx);
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	status = in_child(take_and_die, NULL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	rx = attach(ch, IPC_RECEIVER);
	CHECK_EQ(ipc_recv(rx, &got, 1, LONG), 1);
	CHECK_EQ(got.cookie, 5);
	CHECK_EQ(got.flags, IPC_F_REDELIVERED);
	CHECK_EQ(got.attempts, 1);
	tear_down();
}

/* A sender that spoils what it has published ends its traffic with this receiver, no more. */
static void nonsense(void)
{
	struct ipc_msg m = { 0 }, got;
	struct ipc_endpoint *good, *bad;
	int ret, told = 0, delivered = 0;
	struct ipc_peer p;
	uint32_t *header;

	set_up();
	bad = tx;
	good = sender();
	MUST(ipc_reserve(bad, &m, 8, IPC_NOW));
	header = (uint32_t *)((char *)m.data - 32);
	CHECK_EQ(ipc_commit(bad, &m), 0);
	CHECK_EQ(ipc_publish(bad), 0);
	header[1] ^= 1;
	m = (struct ipc_msg){ .cookie = 8 };
	CHECK_EQ(ipc_send(good, &m, IPC_NOW), 0);
	/* Whose turn it is, is not promised. */
	while ((ret = ipc_recv(rx, &got, 1, IPC_NOW)) != -EAGAIN) {
		if (ret == 1) {
			CHECK_EQ(got.cookie, 8);
			delivered++;
			continue;
		}
		CHECK_EQ(ret, -EPROTO);
		CHECK_EQ(ipc_peer(rx, got.peer, &p), 0);
		CHECK_EQ(p.refused, 1);
		told++;
	}
	CHECK_EQ(told, 1);
	CHECK_EQ(delivered, 1);
	CHECK_EQ(ipc_drain(bad, LONG), -EPROTO);
	ipc_detach(good);
	tear_down();
}

static void wrong_verbs(void)
{
	struct ipc_msg m = { 0 };

	set_up();
	CHECK_EQ(ipc_recv(tx, &m, 1, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_release(tx, &m, 1), -ENOTTY);
	CHECK_EQ(ipc_send(rx, &m, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_reserve(rx, &m, 1, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_commit(rx, &m), -ENOTTY);
	CHECK_EQ(ipc_abandon(rx, &m), -ENOTTY);
	CHECK_EQ(ipc_publish(rx), -ENOTTY);
	CHECK_EQ(ipc_drain(rx, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_call(tx, &m, &m, LONG), -ENOTTY);
	CHECK_EQ(ipc_start(tx, &m, LONG), -ENOTTY);
	CHECK_EQ(ipc_collect(tx, &m, 1, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_cancel(tx, 1), -ENOTTY);
	CHECK_EQ(ipc_reply(rx, &m, 0, 0), -ENOTTY);
	CHECK_EQ(ipc_reply_recv(rx, &m, 0, 0, &m, IPC_NOW), -ENOTTY);
	CHECK_EQ(ipc_gone(rx, &m), -ENOTTY);
	tear_down();
}

static void evict(uint32_t peer)
{
	struct msgc_whom whom = { .size = sizeof(whom), .peer = peer };

	CHECK_EQ(ioctl(ipc_channel_fd(ch), MSGC_EVICT, &whom), 0);
}

/* Evicted by the channel's owner: every function says so. */
static void evicted(void)
{
	struct ipc_msg m = { 0 }, got;
	uint32_t receiver = 0;
	struct ipc_peer p;

	set_up();
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &got, 1, IPC_NOW), 1);
	for (uint32_t gen = 1; !receiver && gen < 100; gen++)	/* index 0, some generation */
		if (!ipc_peer(tx, gen << 12, &p))
			receiver = gen << 12;
	evict(receiver);
	CHECK_EQ(ipc_recv(rx, &m, 1, IPC_FOREVER), -ESHUTDOWN);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_FOREVER), -ESHUTDOWN);
	evict(got.peer);
	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), -ESHUTDOWN);
	CHECK_EQ(ipc_publish(tx), -ESHUTDOWN);
	CHECK_EQ(ipc_drain(tx, IPC_FOREVER), -ESHUTDOWN);
	tear_down();
}

int main(void)
{
	RUN(fields);
	RUN(sizes);
	RUN(reservations);
	RUN(too_many_reserved);
	RUN(no_space);
	RUN(space_comes);
	RUN(draining);
	RUN(recv_errors);
	RUN(release_order);
	RUN(too_many_held);
	RUN(end_of_stream);
	RUN(recv_is_woken);
	RUN(redelivered);
	RUN(redelivered_after_kill);
	RUN(nonsense);
	RUN(wrong_verbs);
	RUN(evicted);
	return tap_done();
}
