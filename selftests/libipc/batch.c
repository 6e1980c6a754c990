// SPDX-License-Identifier: MIT
/*
 * Batches of calls: each test by io_uring, where this kernel has it, and by ioctl and poll; and how
 * the one gives way to the other.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/msgchan.h>

#include "common.h"

#define SLOT 4096u
#define SLOTS 2
#define SERVICES 3

static struct ipc_channel *ch[SERVICES];
static struct ipc_endpoint *client[SERVICES], *server[SERVICES];
static struct ipc_batch *batch;
static uint32_t way;		/* that the tests run by */

static struct ipc_batch *open_batch(uint32_t capacity)
{
	struct ipc_batch_options opt = { .size = sizeof(opt), .capacity = capacity, .way = way };
	struct ipc_batch *b;

	MUST(ipc_batch_open(&opt, &b));
	return b;
}

static void set_up_with(uint32_t capacity)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .request = SLOT, .reply = SLOT,
		.slots = SLOTS,
	};

	for (int i = 0; i < SERVICES; i++) {
		ch[i] = channel(NULL, &opt);
		client[i] = attach(ch[i], IPC_SENDER);
		server[i] = attach(ch[i], IPC_RECEIVER);
	}
	batch = open_batch(capacity);
}

static void set_up(void)
{
	set_up_with(0);
}

static void tear_down(void)
{
	ipc_batch_close(batch);
	for (int i = 0; i < SERVICES; i++) {
		ipc_detach(client[i]);
		ipc_detach(server[i]);
		ipc_close(ch[i]);
	}
}

static int add(int service, uint64_t cookie, uint64_t deadline)
{
	struct ipc_msg m = { .cookie = cookie };

	return ipc_batch_call(batch, client[service], &m, deadline);
}

static struct ipc_msg take(int service)
{
	struct ipc_msg m = { 0 };

	CHECK_EQ(ipc_recv(server[service], &m, 1, LONG), 1);
	return m;
}

static void answer(int service, int32_t result)
{
	struct ipc_msg m = take(service);

	CHECK_EQ(ipc_reply(server[service], &m, 0, result), 0);
}

static struct ipc_done reap(void)
{
	struct ipc_done d = { 0 };

	CHECK_EQ(ipc_batch_reap(batch, &d, 1, LONG), 1);
	return d;
}

static int reap_now(void)
{
	struct ipc_done d;

	return ipc_batch_reap(batch, &d, 1, IPC_NOW);
}

static void give_back(struct ipc_done *d)
{
	CHECK_EQ(ipc_release(d->ep, &d->msg, 1), 0);
}

/* ---- calls and answers ---- */

static void echo(int service)
{
	struct ipc_msg m = take(service);

	CHECK_EQ(m.len, 5);
	CHECK(!memcmp(m.data, "hello", 5));
	CHECK_EQ(m.type, 7);
	CHECK_EQ(m.format, 9);
	CHECK_EQ(m.reply_cap, 100);
	memcpy(m.reply, "HELLO!", 6);
	m.type = 8;
	CHECK_EQ(ipc_reply(server[service], &m, 6, -(int32_t)m.cookie), 0);
}

static void check_echo(struct ipc_done *d)
{
	CHECK_EQ(d->error, 0);
	CHECK_EQ(d->msg.outcome, IPC_DONE);
	CHECK_EQ(d->msg.result, -(int32_t)d->msg.cookie);
	CHECK_EQ(d->msg.type, 8);
	CHECK_EQ(d->msg.len, 6);
	CHECK(d->msg.data && !memcmp(d->msg.data, "HELLO!", 6));
	CHECK(d->ep == client[d->msg.cookie / 10]);
	give_back(d);
}

/* Copied and reserved requests, to several servers, with one submission. */
static void round_trips(void)
{
	struct ipc_done d[2 * SERVICES];
	uint64_t seen = 0;

	set_up();
	for (int i = 0; i < SERVICES; i++) {
		struct ipc_msg copied = {
			.data = "hello", .len = 5, .type = 7, .format = 9, .reply_cap = 100,
			.cookie = 10 * (uint64_t)i,
		};
		struct ipc_msg placed = copied;

		CHECK_EQ(ipc_batch_call(batch, client[i], &copied, LONG), 0);
		CHECK(copied.data);
		placed.cookie++;
		MUST(ipc_reserve(client[i], &placed, 5, IPC_NOW));
		memcpy(placed.data, "hello", 5);
		CHECK_EQ(ipc_batch_call(batch, client[i], &placed, LONG), 0);
		CHECK(!placed.data);
		CHECK_EQ(ipc_recv(server[i], &copied, 1, IPC_NOW), -EAGAIN);	/* not begun */
	}
	CHECK_EQ(ipc_batch_submit(batch), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	for (int i = 0; i < 2 * SERVICES; i++)
		echo(i / 2);
	for (int got = 0; got < 2 * SERVICES;) {
		int ret = ipc_batch_reap(batch, d, 2 * SERVICES, LONG);

		CHECK(ret > 0);
		if (ret <= 0)
			break;
		for (int i = 0; i < ret; i++) {
			seen |= 1ULL << d[i].msg.cookie;
			check_echo(&d[i]);
		}
		got += ret;
	}
	CHECK_EQ(seen, 3 | 3 << 10 | 3 << 20);
	CHECK_EQ(ipc_batch_reap(batch, d, 1, LONG), -ENOENT);
	tear_down();
}

/* By io_uring files come with answers, as they do with those of ipc_call(). */
static void files(void)
{
	struct ipc_attach how = {
		.size = sizeof(how), .role = IPC_SENDER, .flags = IPC_TAKES_FILES,
	};
	struct ipc_msg m;
	struct ipc_done d;
	int fd[2], got = -1;

	set_up();
	ipc_detach(client[0]);
	MUST(ipc_attach(ch[0], &how, &client[0]));
	CHECK_EQ(pipe(fd), 0);
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	m = take(0);
	CHECK_EQ(ipc_set_fds(&m, &fd[1], 1), 0);
	CHECK_EQ(ipc_reply(server[0], &m, 0, 0), 0);
	d = reap();
	if (way == IPC_BATCH_URING) {
		CHECK_EQ(ipc_get_fds(client[0], &d.msg, &got, 1), 1);
		CHECK_EQ(write(got, "x", 1), 1);
		close(got);
	} else {
		CHECK_EQ(ipc_get_fds(client[0], &d.msg, &got, 1), -EMSGSIZE);
	}
	give_back(&d);
	close(fd[0]);
	close(fd[1]);
	tear_down();
}

/* Who is answered first is told first, by whatever channel; each is told once. */
static void any_order(void)
{
	struct ipc_done d;

	set_up();
	for (int i = 0; i < SERVICES; i++)
		CHECK_EQ(add(i, (uint64_t)i, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	for (int i = SERVICES - 1; i >= 0; i--) {
		CHECK_EQ(reap_now(), -EAGAIN);
		answer(i, 100 + i);
		d = reap();
		CHECK_EQ(d.msg.cookie, i);
		CHECK_EQ(d.msg.result, 100 + i);
		CHECK(d.ep == client[i]);
		give_back(&d);
	}
	CHECK_EQ(reap_now(), -ENOENT);
	tear_down();
}

static void *answer_soon(void *arg)
{
	int service = (int)(uintptr_t)arg;
	struct ipc_msg m = take(service);

	nap(100);
	CHECK_EQ(ipc_reply(server[service], &m, 0, 5), 0);
	return NULL;
}

/* Reaping begins what was added, and sleeps. */
static void waits(void)
{
	struct ipc_done d;
	pthread_t t;

	set_up();
	CHECK_EQ(reap_now(), -ENOENT);
	CHECK_EQ(ipc_batch_reap(batch, &d, 0, LONG), -EINVAL);
	t = thread(answer_soon, (void *)1);
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, MS(20)), -ETIMEDOUT);
	CHECK_EQ(add(1, 2, LONG), 0);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, IPC_FOREVER), 1);
	CHECK_EQ(d.msg.cookie, 2);
	give_back(&d);
	pthread_join(t, NULL);
	answer(0, 0);
	d = reap();
	CHECK_EQ(d.msg.cookie, 1);
	give_back(&d);
	tear_down();
}

/* A slot is used again and again; more calls than the batch, or any endpoint, can hold at once. */
static void again_and_again(void)
{
	struct ipc_done d;

	set_up_with(2);
	for (uint64_t n = 0; n < 50; n++) {
		int service = (int)(n % SERVICES);

		CHECK_EQ(add(service, n, LONG), 0);
		CHECK_EQ(ipc_batch_submit(batch), 0);
		answer(service, (int32_t)n);
		d = reap();
		CHECK_EQ(d.error, 0);
		CHECK_EQ(d.msg.cookie, n);
		CHECK_EQ(d.msg.result, n);
		give_back(&d);
	}
	tear_down();
}

/* ---- limits ---- */

static void capacity(void)
{
	struct ipc_msg placed = { 0 };
	struct ipc_done d;

	set_up_with(3);
	for (int i = 0; i < SERVICES; i++)
		CHECK_EQ(add(i, (uint64_t)i, LONG), 0);
	MUST(ipc_reserve(client[0], &placed, 4, IPC_NOW));
	CHECK_EQ(ipc_batch_call(batch, client[0], &placed, LONG), -EAGAIN);
	CHECK(placed.data);				/* still reserved */
	CHECK_EQ(ipc_batch_submit(batch), 0);
	CHECK_EQ(ipc_batch_call(batch, client[0], &placed, LONG), -EAGAIN);
	answer(1, 0);
	d = reap();
	CHECK_EQ(ipc_batch_call(batch, client[0], &placed, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	give_back(&d);
	tear_down();
}

static void slots(void)
{
	struct ipc_msg m;
	struct ipc_done d;

	set_up();
	for (uint64_t n = 0; n < SLOTS; n++)
		CHECK_EQ(add(0, n, n ? LONG : A_WHILE), 0);
	CHECK_EQ(add(0, 9, LONG), -EBUSY);
	CHECK_EQ(add(1, 9, LONG), 0);			/* another client has its own */
	CHECK_EQ(ipc_batch_submit(batch), 0);
	CHECK_EQ(add(0, 9, LONG), -EBUSY);
	m = take(0);
	d = reap();					/* overdue: its server has the slot */
	CHECK_EQ(d.msg.cookie, 0);
	CHECK_EQ(add(0, 9, LONG), -EAGAIN);
	CHECK_EQ(ipc_reply(server[0], &m, 0, 0), 0);
	CHECK_EQ(add(0, 9, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 0);
	d = reap();
	CHECK_EQ(add(0, 10, LONG), -EBUSY);		/* its answer is borrowed */
	give_back(&d);
	CHECK_EQ(add(0, 10, LONG), 0);
	tear_down();
}

/* Beside an outcome to be reaped no waiting helps against a slot that its server has. */
static void reap_first(void)
{
	struct ipc_msg late, placed = { 0 };
	struct ipc_done d;

	set_up();
	CHECK_EQ(add(0, 1, A_WHILE), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	late = take(0);
	d = reap();
	CHECK_EQ(d.msg.outcome, IPC_MAYBE);
	CHECK_EQ(add(0, 2, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 0);
	CHECK_EQ(ipc_reserve(client[0], &placed, 0, LONG), -EBUSY);
	CHECK_EQ(ipc_reply(server[0], &late, 0, 0), 0);
	d = reap();
	CHECK_EQ(d.msg.cookie, 2);
	tear_down();
}

static void refused(void)
{
	static char data[SLOT + 1];
	struct ipc_msg long_one = { .data = data, .len = sizeof(data) }, placed = { 0 };
	struct ipc_batch_options opt = { .size = sizeof(opt), .capacity = 16385 };
	struct ipc_batch *b;

	set_up();
	CHECK_EQ(ipc_batch_call(batch, client[0], &long_one, LONG), -EMSGSIZE);
	CHECK_EQ(ipc_batch_call(batch, server[0], &long_one, LONG), -ENOTTY);
	MUST(ipc_reserve(client[0], &placed, 1, IPC_NOW));
	CHECK_EQ(ipc_batch_call(batch, client[0], &placed, IPC_NOW), -EINVAL);
	for (uint64_t n = 0; n < SLOTS; n++)		/* and no slot was lost */
		CHECK_EQ(add(0, n, LONG), 0);
	CHECK_EQ(ipc_batch_open(&opt, &b), -EINVAL);
	opt = (struct ipc_batch_options){ .size = sizeof(opt), .way = 3 };
	CHECK_EQ(ipc_batch_open(&opt, &b), -EINVAL);
	opt = (struct ipc_batch_options){ .size = 4 };
	CHECK_EQ(ipc_batch_open(&opt, &b), -EINVAL);
	tear_down();
}

/* ---- how calls end ---- */

static void deadlines(void)
{
	struct ipc_done d;
	struct ipc_msg m;

	set_up();
	CHECK_EQ(add(0, 1, MS(30)), 0);
	d = reap();
	CHECK_EQ(d.error, -ETIMEDOUT);
	CHECK_EQ(d.msg.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(d.msg.result, -ETIMEDOUT);
	CHECK_EQ(d.msg.cookie, 1);
	CHECK(!d.msg.data);
	CHECK_EQ(add(0, 2, A_WHILE), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	m = take(0);
	d = reap();
	CHECK_EQ(d.error, -ETIMEDOUT);
	CHECK_EQ(d.msg.outcome, IPC_MAYBE);
	CHECK_EQ(ipc_reply(server[0], &m, 0, 0), 0);
	CHECK_EQ(reap_now(), -ENOENT);
	tear_down();
}

/* Each for itself: one cannot begin, one is answered, one's server dies. */
static void each_its_own(void)
{
	struct ipc_msg needs = { .cookie = 1, .flags = IPC_F_NEED_SERVER }, m;
	int32_t error[4] = { 1, 1, 1, 1 };
	uint32_t outcome[4] = { 0 };

	set_up();
	ipc_detach(server[0]);
	CHECK_EQ(ipc_batch_call(batch, client[0], &needs, LONG), 0);
	CHECK_EQ(add(1, 2, LONG), 0);
	CHECK_EQ(add(2, 3, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(1, 0);
	m = take(2);
	CHECK_EQ(m.cookie, 3);
	ipc_detach(server[2]);
	for (int i = 0; i < 3; i++) {
		struct ipc_done d = reap();

		error[d.msg.cookie & 3] = d.error;
		outcome[d.msg.cookie & 3] = d.msg.outcome;
	}
	CHECK_EQ(error[1], -EHOSTDOWN);
	CHECK_EQ(outcome[1], IPC_NOT_EXECUTED);
	CHECK_EQ(error[2], 0);
	CHECK_EQ(outcome[2], IPC_DONE);
	CHECK_EQ(error[3], -EOWNERDEAD);
	CHECK_EQ(outcome[3], IPC_MAYBE);
	server[0] = NULL;
	server[2] = NULL;
	tear_down();
}

static void cancelled(void)
{
	struct ipc_done d;
	struct ipc_msg m;

	set_up();
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 1), -ENOENT);
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_cancel(batch, client[1], 1), -ENOENT);	/* not its call */
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 1), 0);		/* not begun */
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 1), -ENOENT);
	d = reap();
	CHECK_EQ(d.error, -ECANCELED);
	CHECK_EQ(d.msg.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(d.msg.cookie, 1);

	CHECK_EQ(add(0, 2, LONG), 0);
	CHECK_EQ(add(0, 3, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	m = take(0);
	CHECK_EQ(m.cookie, 2);
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 3), 0);		/* waits */
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 3), -ENOENT);
	d = reap();
	CHECK_EQ(d.msg.cookie, 3);
	CHECK_EQ(d.error, -ECANCELED);
	CHECK_EQ(d.msg.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 2), 0);		/* is being served */
	d = reap();
	CHECK_EQ(d.msg.cookie, 2);
	CHECK_EQ(d.error, -ECANCELED);
	CHECK_EQ(d.msg.outcome, IPC_MAYBE);
	CHECK_EQ(ipc_gone(server[0], &m), 1);
	CHECK_EQ(ipc_reply(server[0], &m, 0, 0), 0);
	CHECK_EQ(reap_now(), -ENOENT);

	CHECK_EQ(add(0, 4, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	CHECK_EQ(ipc_cancel(client[0], 4), 0);				/* by itself */
	d = reap();
	CHECK_EQ(d.error, -ECANCELED);
	tear_down();
}

static void evict(int service)
{
	struct msgc_whom whom = { .size = sizeof(whom), .peer = ipc_id(client[service]) };

	MUST(ioctl(ipc_channel_fd(ch[service]), MSGC_EVICT, &whom));
}

/* An endpoint that dies takes its calls with it, and nobody else's. */
static void dead_endpoint(void)
{
	struct ipc_done d;

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(add(1, 2, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	evict(0);
	d = reap();
	CHECK_EQ(d.msg.cookie, 1);
	CHECK_EQ(d.error, -ESHUTDOWN);
	CHECK(d.msg.outcome != IPC_NONE && d.msg.outcome != IPC_DONE);
	CHECK_EQ(reap_now(), -EAGAIN);
	answer(1, 0);
	d = reap();
	CHECK_EQ(d.msg.cookie, 2);
	CHECK_EQ(d.error, 0);
	CHECK_EQ(add(0, 3, LONG), 0);
	d = reap();
	CHECK_EQ(d.error, -ESHUTDOWN);
	tear_down();
}

/* ---- beside other things ---- */

static void *interrupt_soon(void *arg)
{
	(void)arg;
	nap(50);
	CHECK_EQ(ipc_interrupt(client[0]), 0);
	nap(50);
	answer(0, 6);
	return NULL;
}

/* A signal ends the waiting, ipc_interrupt() does not; neither ends a call. */
static void interrupted(void)
{
	struct ipc_done d;
	pthread_t t;

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	alarms(30, 0);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, LONG), -EINTR);
	alarms(0, 0);
	t = thread(interrupt_soon, NULL);
	d = reap();
	CHECK_EQ(d.error, 0);
	CHECK_EQ(d.msg.result, 6);
	pthread_join(t, NULL);
	tear_down();
}

/* Several at once; also where some are there already, when a signal or the deadline comes. */
static void waited_for(void)
{
	set_up();
	CHECK_EQ(ipc_batch_wait(batch, 1, LONG), -ENOENT);
	for (int i = 0; i < SERVICES; i++)
		CHECK_EQ(add(i, i, LONG), 0);
	CHECK_EQ(ipc_batch_wait(batch, 1, ipc_in(10000000)), -ETIMEDOUT);
	answer(0, 5);
	CHECK_EQ(ipc_batch_wait(batch, 1, LONG), 0);
	CHECK_EQ(ipc_batch_wait(batch, 2, ipc_in(10000000)), -ETIMEDOUT);
	CHECK_EQ(add(0, 9, LONG), 0);
	CHECK_EQ(ipc_batch_wait(batch, 1, LONG), 0);
	answer(0, 6);					/* it has begun */
	alarms(30, 0);
	CHECK_EQ(ipc_batch_wait(batch, 4, LONG), -EINTR);
	alarms(0, 0);
	answer(1, 7);
	CHECK_EQ(ipc_batch_wait(batch, 4, ipc_in(10000000)), -ETIMEDOUT);
	answer(2, 8);
	CHECK_EQ(ipc_batch_wait(batch, 9, LONG), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(reap_now(), 1);
	CHECK_EQ(ipc_batch_wait(batch, 1, LONG), -ENOENT);
	tear_down();
}

/* ipc_call() goes beside it; ipc_collect() does not take what is not its own, nor spin. */
static void beside_other_calls(void)
{
	struct ipc_msg m = { .cookie = 9 }, rep;
	struct ipc_done d;
	pthread_t t;

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	m = take(0);
	t = thread(answer_soon, NULL);
	rep = (struct ipc_msg){ .cookie = 2 };
	CHECK_EQ(ipc_call(client[0], &rep, &rep, LONG), 0);
	pthread_join(t, NULL);
	CHECK_EQ(rep.cookie, 2);
	CHECK_EQ(ipc_release(client[0], &rep, 1), 0);
	CHECK_EQ(ipc_collect(client[0], &rep, 1, LONG), -ENOENT);
	rep = (struct ipc_msg){ .cookie = 3 };
	CHECK_EQ(ipc_start(client[0], &rep, LONG), 0);
	CHECK_EQ(ipc_reply(server[0], &m, 0, 7), 0);
	CHECK_EQ(ipc_collect(client[0], &rep, 1, LONG), -EBUSY);
	d = reap();
	CHECK_EQ(d.msg.cookie, 1);
	CHECK_EQ(d.msg.result, 7);
	answer(0, 8);
	CHECK_EQ(ipc_collect(client[0], &rep, 1, LONG), 1);
	CHECK_EQ(rep.cookie, 3);
	tear_down();
}

/* An endpoint may leave once all of its calls are reaped, though others' are in flight. */
static void leaving(void)
{
	struct ipc_done d;

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(add(1, 2, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 0);
	d = reap();
	give_back(&d);
	ipc_detach(client[0]);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, MS(20)), -ETIMEDOUT);
	client[0] = attach(ch[0], IPC_SENDER);
	CHECK_EQ(add(0, 3, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 0);
	d = reap();
	CHECK_EQ(d.msg.cookie, 3);
	tear_down();
}

static void *receive_nothing(void *unused)
{
	struct ipc_msg m;

	(void)unused;
	CHECK_EQ(ipc_recv(server[2], &m, 1, IPC_FOREVER), -EINTR);
	return NULL;
}

/* What was not begun never is. */
static void closing_unbegun(void)
{
	pthread_t t;

	set_up();
	t = thread(receive_nothing, NULL);
	nap(50);
	CHECK_EQ(add(2, 1, LONG), 0);
	ipc_batch_close(batch);
	batch = NULL;
	CHECK_EQ(ipc_interrupt(server[2]), 0);
	pthread_join(t, NULL);
	tear_down();
}

/* In each state; what is left is as if there had been no batch. */
static void closing(void)
{
	struct ipc_msg m, placed[SLOTS] = { 0 };

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(add(0, 2, LONG), 0);
	CHECK_EQ(add(1, 3, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 0);
	m = take(1);
	CHECK_EQ(add(1, 4, LONG), 0);			/* not begun */
	ipc_batch_close(batch);
	batch = open_batch(0);
	for (int i = 0; i < SLOTS; i++)
		CHECK_EQ(ipc_reserve(client[0], &placed[i], 1, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(server[0], &m, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_gone(server[1], &m), 1);
	CHECK_EQ(ipc_reserve(client[1], &placed[0], 1, IPC_NOW), 0);
	CHECK_EQ(ipc_reserve(client[1], &placed[1], 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_reply(server[1], &m, 0, 0), 0);
	CHECK_EQ(ipc_reserve(client[1], &placed[1], 1, IPC_NOW), 0);
	tear_down();
}

static void by_a_child(void *unused)
{
	struct ipc_done d;

	(void)unused;
	CHECK_EQ(add(0, 1, LONG), -EPERM);
	CHECK_EQ(ipc_batch_submit(batch), -EPERM);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, LONG), -EPERM);
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 1), -EPERM);
	CHECK_EQ(ipc_batch_way(batch, NULL), -EPERM);
	ipc_batch_close(batch);
}

static void *by_a_thread(void *unused)
{
	struct ipc_done d;

	(void)unused;
	CHECK_EQ(add(0, 1, LONG), -EPERM);
	CHECK_EQ(ipc_batch_submit(batch), -EPERM);
	CHECK_EQ(ipc_batch_reap(batch, &d, 1, LONG), -EPERM);
	CHECK_EQ(ipc_batch_cancel(batch, client[0], 1), -EPERM);
	CHECK_EQ(ipc_batch_way(batch, NULL), way);
	return NULL;
}

static void whose(void)
{
	struct ipc_done d;

	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	CHECK_EQ(in_child(by_a_child, NULL), 0);
	pthread_join(thread(by_a_thread, NULL), NULL);
	answer(0, 4);
	d = reap();
	CHECK_EQ(d.msg.result, 4);
	tear_down();
}

/* ---- the way ---- */

/* A call by io_uring and no other way: a security module may refuse what was opened. */
static int try_uring(void)
{
	struct ipc_batch_options opt = { .size = sizeof(opt), .way = IPC_BATCH_URING };
	struct ipc_msg m = { 0 };
	struct ipc_batch *b;
	int ret = ipc_batch_open(&opt, &b);

	if (ret)
		return ret;
	ret = ipc_batch_call(b, client[0], &m, LONG);
	ipc_batch_close(b);
	return ret;
}

static int why_not(void)
{
	int ret;

	way = IPC_BATCH_POLL;
	set_up();
	ret = try_uring();
	tear_down();
	return ret;
}

/* The kernel and the module are asked first, security modules last. */
static int why_not_if(int error)
{
	int offered = why_not();

	return offered && offered != -EACCES ? offered : error;
}

/* What becomes of a batch that may go any way, and whether it works. */
static int way_taken(int *why)
{
	struct ipc_done d;
	int ret;

	way = 0;
	set_up();
	CHECK_EQ(add(0, 1, LONG), 0);
	CHECK_EQ(ipc_batch_submit(batch), 0);
	answer(0, 3);
	d = reap();
	CHECK_EQ(d.error, 0);
	CHECK_EQ(d.msg.result, 3);
	give_back(&d);
	ret = ipc_batch_way(batch, why);
	tear_down();
	return ret;
}

/* From now on this process gets @error from a system call. */
static void forbid(unsigned int nr, unsigned int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void without(unsigned int nr, unsigned int error)
{
	int why = 0, expected = why_not_if(-(int)error);

	forbid(nr, error);
	CHECK_EQ(way_taken(&why), IPC_BATCH_POLL);
	CHECK_EQ(why, expected);
}

static void without_setup(void *unused)
{
	(void)unused;
	without(__NR_io_uring_setup, EPERM);
}

static void without_enter(void *unused)
{
	(void)unused;
	without(__NR_io_uring_enter, ENOSYS);
}

#define SYSCTL "/proc/sys/kernel/io_uring_disabled"

static void write_sysctl(const char *value)
{
	FILE *f = fopen(SYSCTL, "w");

	if (!f || fputs(value, f) < 0 || fclose(f))
		CHECK(!SYSCTL);
}

static void gives_way(void)
{
	int offered = why_not(), forbidden = why_not_if(-EPERM), why = 1;

	CHECK_EQ(way_taken(&why), offered ? IPC_BATCH_POLL : IPC_BATCH_URING);
	CHECK_EQ(why, offered);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) && errno == EFAULT) {
		CHECK_EQ(in_child(without_setup, NULL), 0);
		CHECK_EQ(in_child(without_enter, NULL), 0);
	} else {
		printf("# no seccomp filters in this kernel\n");
	}
	if (access(SYSCTL, W_OK))
		return;
	write_sysctl("2");
	CHECK_EQ(way_taken(&why), IPC_BATCH_POLL);
	CHECK_EQ(why, forbidden);
	write_sysctl("0");
	way = IPC_BATCH_POLL;
	set_up();
	CHECK_EQ(ipc_batch_way(batch, &why), IPC_BATCH_POLL);
	CHECK_EQ(why, -EAGAIN);
	tear_down();
}

static void by(uint32_t which)
{
	way = which;
	RUN(round_trips);
	RUN(files);
	RUN(any_order);
	RUN(waits);
	RUN(again_and_again);
	RUN(capacity);
	RUN(slots);
	RUN(reap_first);
	RUN(refused);
	RUN(deadlines);
	RUN(each_its_own);
	RUN(cancelled);
	RUN(dead_endpoint);
	RUN(interrupted);
	RUN(waited_for);
	RUN(beside_other_calls);
	RUN(leaving);
	RUN(closing);
	RUN(closing_unbegun);
	RUN(whose);
}

int main(void)
{
	int err = why_not();

	printf("# by ioctl and poll\n");
	by(IPC_BATCH_POLL);
	if (err) {
		printf("# not by io_uring: %s\n", ipc_strerror(err));
	} else {
		printf("# by io_uring\n");
		by(IPC_BATCH_URING);
	}
	RUN(gives_way);
	return tap_done();
}
