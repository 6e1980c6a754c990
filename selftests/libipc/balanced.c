// SPDX-License-Identifier: MIT
/*
 * Balanced channels through the library: who gets what, what the dead leave to others, what a batch
 * costs, and what becomes of a sender that writes nonsense.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/msgchan.h>

#include "common.h"

static struct ipc_channel *ch;
static struct ipc_endpoint *tx, *rx;
static atomic_int ioctls;

/* The library's own go through here. */
int ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	ioctls++;
	return (int)syscall(SYS_ioctl, fd, cmd, arg);
}

static struct ipc_endpoint *sender(uint64_t ring)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER, .ring = ring };
	struct ipc_endpoint *ep;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static struct ipc_endpoint *worker(uint32_t held)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER, .held = held };
	struct ipc_endpoint *ep;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static void set_up(uint32_t max_attempts)
{
	struct ipc_options opt = { .size = sizeof(opt), .delivery = IPC_BALANCED,
				   .max_attempts = max_attempts };

	ch = channel(NULL, &opt);
	tx = sender(65536);
	rx = worker(0);
}

static void tear_down(void)
{
	ipc_detach(tx);
	ipc_detach(rx);
	ipc_close(ch);
}

static int send_number(struct ipc_endpoint *ep, uint32_t n, uint64_t deadline)
{
	struct ipc_msg m = { .data = &n, .len = sizeof(n), .type = n };

	return ipc_send(ep, &m, deadline);
}

static struct msgc_info figures(void)
{
	struct msgc_info info = { .size = sizeof(info) };

	MUST(ioctl(ipc_channel_fd(ch), MSGC_INFO, &info));
	return info;
}

/* ---- one at a time ---- */

static void test_batches(void)
{
	struct ipc_msg a[8] = { 0 }, b[8] = { 0 };
	struct ipc_endpoint *other = worker(0);

	CHECK_EQ(ipc_recv(rx, a, 8, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_recv(rx, a, 0, IPC_NOW), -EINVAL);
	for (uint32_t i = 0; i < 10; i++)
		CHECK_EQ(send_number(tx, i, IPC_NOW), 0);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_NOW), IPC_IN);
	CHECK_EQ(ipc_recv(rx, a, 4, IPC_NOW), 4);
	CHECK_EQ(ipc_recv(other, b, 8, IPC_NOW), 6);
	for (uint32_t i = 0; i < 4; i++) {
		CHECK_EQ(a[i].type, i);
		CHECK_EQ(*(uint32_t *)a[i].data, i);
		CHECK_EQ(a[i].seq, i + 1);
		CHECK_EQ(a[i].flags, 0);
		CHECK_EQ(a[i].missed, 0);
	}
	CHECK_EQ(b[0].type, 4);
	CHECK_EQ(b[5].type, 9);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_release(other, a, 1), -EINVAL);
	CHECK_EQ(ipc_release(other, b, 6), 0);
	CHECK(!b[0].data);
	CHECK_EQ(ipc_release(other, b, 1), -EINVAL);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);
	a[3] = a[0];
	CHECK_EQ(ipc_release(rx, a, 4), -EINVAL);
	CHECK_EQ(ipc_release(rx, a, 3), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), -EAGAIN);
	ipc_detach(rx);
	CHECK_EQ(ipc_recv(other, b, 8, IPC_NOW), 1);
	CHECK_EQ(b[0].type, 3);
	CHECK_EQ(b[0].flags, IPC_F_REDELIVERED);
	CHECK_EQ(b[0].attempts, 1);
	CHECK_EQ(ipc_release(other, b, 1), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
	rx = other;
}

static void test_held(void)
{
	struct ipc_endpoint *one = worker(1);
	struct ipc_msg m[64] = { 0 }, n = { 0 };
	struct ipc_endpoint *ep;
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER, .held = 65 };

	CHECK_EQ(ipc_attach(ch, &how, &ep), -EINVAL);
	for (uint32_t i = 0; i < 100; i++)
		CHECK_EQ(send_number(tx, i, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, m, 64, IPC_NOW), 64);
	CHECK_EQ(ipc_recv(rx, &n, 1, IPC_FOREVER), -EBUSY);
	CHECK_EQ(m[63].type, 63);
	/* With one entry each release is told at once, as the kernel could take it for the last. */
	for (uint32_t i = 64; i < 100; i++) {
		CHECK_EQ(ipc_recv(one, &n, 1, IPC_NOW), 1);
		CHECK_EQ(n.type, i);
		CHECK_EQ(ipc_recv(one, m, 1, IPC_NOW), -EBUSY);
		CHECK_EQ(ipc_release(one, &n, 1), 0);
		CHECK_EQ(figures().depth, 100 * 64);
	}
	CHECK_EQ(ipc_release(rx, m, 64), 0);
	CHECK_EQ(figures().depth, 0);
	CHECK_EQ(ipc_recv(one, &n, 1, IPC_NOW), -EAGAIN);
	ipc_detach(one);
}

static void test_given_back(void)
{
	struct ipc_msg m[3] = { 0 };

	for (uint32_t i = 0; i < 3; i++)
		CHECK_EQ(send_number(tx, i, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, m, 2, IPC_NOW), 2);
	CHECK_EQ(ipc_return(tx, m), -ENOTTY);
	CHECK_EQ(ipc_return(rx, &m[1]), 0);
	CHECK(!m[1].data);
	CHECK_EQ(ipc_return(rx, &m[1]), -EINVAL);
	CHECK_EQ(ipc_release(rx, &m[1], 1), -EINVAL);
	CHECK_EQ(ipc_recv(rx, &m[1], 2, IPC_NOW), 2);
	CHECK_EQ(m[1].type, 1);
	CHECK_EQ(m[1].attempts, 1);
	CHECK_EQ(m[1].flags, IPC_F_REDELIVERED);
	CHECK_EQ(m[2].type, 2);
	CHECK_EQ(m[2].attempts, 0);
	CHECK_EQ(ipc_release(rx, m, 3), 0);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
}

static void test_end(void)
{
	struct ipc_msg m[2] = { 0 };

	CHECK_EQ(send_number(tx, 1, IPC_NOW), 0);
	CHECK_EQ(send_number(tx, 2, IPC_NOW), 0);
	ipc_detach(tx);
	tx = NULL;
	CHECK_EQ(ipc_recv(rx, m, 1, IPC_NOW), 1);
	CHECK_EQ(ipc_recv(rx, &m[1], 1, IPC_FOREVER), 1);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_NOW), IPC_HUP);
	CHECK_EQ(ipc_recv(rx, &m[1], 1, IPC_FOREVER), -EPIPE);
	CHECK_EQ(*(uint32_t *)m[0].data, 1);
}

/* ---- what it costs, and that nobody waits for a release ---- */

static void test_system_calls(void)
{
	struct ipc_msg m[32] = { 0 };
	int got = 0, before, batches = 0;

	for (uint32_t i = 0; i < 960; i++)
		CHECK_EQ(send_number(tx, i, IPC_NOW), 0);
	before = ioctls;
	while (got < 960) {
		int n = ipc_recv(rx, m, 32, IPC_NOW);

		CHECK_EQ(n, 32);
		CHECK_EQ(m[0].type, got);
		CHECK_EQ(ipc_release(rx, m, 32), 0);
		got += n;
		batches++;
	}
	CHECK_EQ(ioctls - before, batches);
	CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
}

static void *drain_thread(void *arg)
{
	return (void *)(intptr_t)ipc_drain(arg, LONG);
}

/* Released before the sender sleeps: the receiver need not come back for it to be seen. */
static void test_released_before(void)
{
	struct ipc_msg m = { 0 };
	int before;

	CHECK_EQ(send_number(tx, 1, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &m, 1, IPC_NOW), 1);
	before = ioctls;
	CHECK_EQ(ipc_release(rx, &m, 1), 0);
	CHECK_EQ(ioctls, before);
	CHECK_EQ(ipc_drain(tx, LONG), 0);
}

/* Released while it sleeps: it is woken. */
static void test_released_after(void)
{
	struct ipc_msg m[2] = { 0 };
	pthread_t t;
	void *ret;

	CHECK_EQ(send_number(tx, 1, IPC_NOW), 0);
	CHECK_EQ(send_number(tx, 2, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, m, 2, IPC_NOW), 2);
	t = thread(drain_thread, tx);
	nap(100);
	CHECK_EQ(ipc_release(rx, &m[1], 1), 0);
	CHECK_EQ(ipc_release(rx, &m[0], 1), 0);
	pthread_join(t, &ret);
	CHECK_EQ((intptr_t)ret, 0);
}

static void *recv_thread(void *arg)
{
	struct ipc_msg m = { 0 };

	return (void *)(intptr_t)ipc_recv(arg, &m, 1, LONG);
}

static void test_sleeping(void)
{
	struct ipc_endpoint *other = worker(0);
	pthread_t t[2];
	void *ret;

	t[0] = thread(recv_thread, rx);
	t[1] = thread(recv_thread, other);
	nap(100);
	CHECK_EQ(send_number(tx, 1, IPC_NOW), 0);
	CHECK_EQ(send_number(tx, 2, IPC_NOW), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &ret);
		CHECK_EQ((intptr_t)ret, 1);
	}
	CHECK_EQ(ipc_recv(rx, &(struct ipc_msg){ 0 }, 1, MS(10)), -ETIMEDOUT);
	ipc_detach(other);
}

/* ---- senders that write nonsense ---- */

static struct msgc_record *send_bad(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { 0 };
	struct msgc_record *record;

	MUST(send_number(ep, 7, IPC_NOW));
	MUST(ipc_reserve(ep, &m, 8, IPC_NOW));
	record = (struct msgc_record *)m.data - 1;
	MUST(ipc_commit(ep, &m));
	MUST(ipc_publish(ep));
	return record;
}

/* The kernel sees a bad span, the library what the kernel does not look at. */
static void test_nonsense(void)
{
	for (int kernel = 0; kernel < 2; kernel++) {
		struct ipc_endpoint *bad = sender(4096), *other = worker(0);
		struct ipc_msg m[4] = { 0 };
		struct ipc_peer who;
		uint32_t id;

		if (kernel)
			send_bad(bad)->span_flags = 0;
		else
			send_bad(bad)->check ^= 1;
		CHECK_EQ(send_number(tx, 1, IPC_NOW), 0);
		CHECK_EQ(ipc_recv(rx, m, 4, IPC_NOW), 2);
		id = m[0].type == 7 ? m[0].peer : m[1].peer;
		CHECK_EQ(ipc_recv(rx, &m[2], 2, IPC_FOREVER), -EPROTO);
		CHECK_EQ(m[2].peer, id);
		CHECK_EQ(ipc_peer(rx, id, &who), 0);
		CHECK(who.refused > 0);
		CHECK_EQ(ipc_recv(rx, &m[2], 2, IPC_NOW), -EAGAIN);
		CHECK_EQ(ipc_release(rx, m, 2), 0);
		/* What was good is not blocked; who was not there blames only that one. */
		CHECK_EQ(ipc_drain(tx, IPC_NOW), 0);
		CHECK_EQ(ipc_recv(other, m, 4, IPC_NOW), kernel ? -EPROTO : -EAGAIN);
		ipc_detach(other);
		ipc_detach(bad);
		CHECK_EQ(ipc_recv(rx, m, 4, IPC_NOW), -EAGAIN);
	}
}

/* ---- kill -9 ---- */

enum { N = 6000, WORKERS = 4 };

static struct shared {
	_Atomic unsigned char done[N];
	atomic_int twice, unflagged, wrong;
} *shared;

static void work(uint32_t seed)
{
	struct ipc_endpoint *ep = worker(0);
	struct ipc_msg m[8] = { 0 };
	uint32_t last = 0;

	for (;;) {
		int n = ipc_recv(ep, m, 1 + rand_r(&seed) % 8, IPC_FOREVER);

		if (n == -EPIPE)
			_exit(0);
		if (n < 0)
			_exit(1);
		for (int i = 0; i < n; i++) {
			uint32_t k = *(uint32_t *)m[i].data;
			bool again = m[i].flags & IPC_F_REDELIVERED;

			if (k != m[i].type || again != !!m[i].attempts)
				shared->wrong++;
			if (!again && k < last)
				shared->wrong++;
			if (!again)
				last = k;
			if (shared->done[k]++) {
				shared->twice++;
				if (!again)
					shared->unflagged++;
			}
		}
		if (rand_r(&seed) % 8 == 0)
			nap(1);
		while (n) {		/* in any order */
			int i = rand_r(&seed) % n;

			if (ipc_release(ep, &m[i], 1))
				_exit(2);
			m[i] = m[--n];
		}
	}
}

static pid_t start_worker(uint32_t seed)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		work(seed);
	return pid;
}

static void test_kills(void)
{
	pid_t pid[WORKERS];
	int status, kills = 0;
	uint32_t lost = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ipc_detach(rx);
	rx = NULL;
	for (uint32_t i = 0; i < WORKERS; i++)
		pid[i] = start_worker(i);
	for (uint32_t i = 0; i < N; i++) {
		int k = i / 50 % WORKERS;

		CHECK_EQ(send_number(tx, i, LONG), 0);
		if (i % 50 == 49) {
			kill(pid[k], SIGKILL);
			waitpid(pid[k], &status, 0);
			CHECK(WIFSIGNALED(status));
			pid[k] = start_worker(i);
			kills++;
		}
	}
	CHECK_EQ(ipc_drain(tx, LONG), 0);
	CHECK_EQ(figures().depth, 0);
	CHECK_EQ(figures().skipped, 0);
	/* One that attaches to an empty channel waits for a sender. */
	for (int i = 0; i < 2000 && figures().receivers < WORKERS; i++)
		nap(10);
	ipc_detach(tx);
	tx = NULL;
	for (int i = 0; i < WORKERS; i++) {
		waitpid(pid[i], &status, 0);
		CHECK_EQ(status, 0);
	}
	for (uint32_t i = 0; i < N; i++)
		lost += !shared->done[i];
	printf("# %d messages, %d kills, %d done twice\n", N, kills, shared->twice);
	CHECK_EQ(lost, 0);
	CHECK_EQ(shared->unflagged, 0);
	CHECK_EQ(shared->wrong, 0);
	munmap(shared, sizeof(*shared));
}

/* A message that kills whoever takes it is given up; the others are not. */
static void poisoned(void *arg)
{
	struct ipc_endpoint *ep = worker(0);
	struct ipc_msg m = { 0 };

	(void)arg;
	while (ipc_recv(ep, &m, 1, IPC_FOREVER) == 1) {
		if (m.type == 3)
			raise(SIGKILL);
		CHECK_EQ(ipc_release(ep, &m, 1), 0);
	}
}

static void test_poison(void)
{
	int deaths = 0;

	ipc_detach(rx);
	rx = NULL;
	for (uint32_t i = 0; i < 10; i++)
		CHECK_EQ(send_number(tx, i, IPC_NOW), 0);
	ipc_detach(tx);
	tx = NULL;
	while (WIFSIGNALED(in_child(poisoned, NULL)) && deaths < 10)
		deaths++;
	CHECK_EQ(deaths, 3);
	CHECK_EQ(figures().skipped, 1);
	CHECK_EQ(figures().depth, 0);
}

/* Each on a channel of its own. */
static void on_channel(void (*test)(void), uint32_t max_attempts)
{
	set_up(max_attempts);
	test();
	tear_down();
}

#define ON_CHANNEL(test, max_attempts)						\
	static void test(void)							\
	{									\
		on_channel(test_##test, max_attempts);				\
	}

ON_CHANNEL(batches, 0)
ON_CHANNEL(held, 0)
ON_CHANNEL(given_back, 0)
ON_CHANNEL(end, 0)
ON_CHANNEL(system_calls, 0)
ON_CHANNEL(released_before, 0)
ON_CHANNEL(released_after, 0)
ON_CHANNEL(sleeping, 0)
ON_CHANNEL(nonsense, 0)
ON_CHANNEL(kills, 0)
ON_CHANNEL(poison, 2)

int main(void)
{
	RUN(batches);
	RUN(held);
	RUN(given_back);
	RUN(end);
	RUN(system_calls);
	RUN(released_before);
	RUN(released_after);
	RUN(sleeping);
	RUN(nonsense);
	RUN(kills);
	RUN(poison);
	return tap_done();
}
