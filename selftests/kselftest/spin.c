// SPDX-License-Identifier: MIT
/*
 * Looking before sleeping: done while the other thread runs on another CPU, and only then. How
 * often somebody has looked stands in the fdinfo of his endpoint.
 */
#include <semaphore.h>
#include <sys/resource.h>

#include "call.h"

#define CALLS	20000
#define WAITS	5

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static long looks_of(const struct ep *e)
{
	char path[64], line[128];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", e->fd);
	f = fopen(path, "re");
	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "looks: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

/* ---- a server that answers, burns its CPU, or sleeps outside of the module ---- */

enum { ANSWER, BURN, SLEEP, END };

struct pair {
	int chan;
	struct ep c, s;
	pthread_t server, hog;
	pid_t tid;
	int cpu, what;			/* what: any thread's to write */
	sem_t wake;
	bool hogs, hogged;
};

FIXTURE(spin) {
	struct pair p;
};

/* What it does with the call that it holds. */
static void dawdle(struct pair *p)
{
	for (;;) {
		switch (READ_ONCE(p->what)) {
		case BURN:
			break;
		case SLEEP:
			sem_wait(&p->wake);
			break;
		default:
			return;
		}
	}
}

static void *serve(void *of)
{
	struct pair *p = of;
	struct msgc_reply arg = { 0 };

	stay_on(p->cpu);
	WRITE_ONCE(p->tid, gettid());
	while (READ_ONCE(p->what) != END) {
		long e;

		ep_own(&p->s)->deadline = in_ms(100);
		e = cmd(p->s.fd, MSGC_REPLY_RECV, &arg);
		arg.call = 0;
		if (e < 0)
			continue;
		dawdle(p);
		arg.call = held(&p->s, e)->call;
	}
	if (arg.call)
		cmd(p->s.fd, MSGC_REPLY, &arg);
	return NULL;
}

static void *burn(void *of)
{
	struct pair *p = of;

	stay_on(0);
	WRITE_ONCE(p->hogged, true);
	while (READ_ONCE(p->hogs))
		;
	return NULL;
}

FIXTURE_SETUP(spin)
{
	struct pair *p = &self->p;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	p->chan = create_private(CREATE_CALL(.spin_ns = MSGC_SPIN_NS));
	ASSERT_GE(p->chan, 0);
	ASSERT_EQ(0, ep_sender(&p->c, p->chan));
	ASSERT_EQ(0, ep_receiver(&p->s, p->chan));
	sem_init(&p->wake, 0, 0);
	stay_on(0);
}

static void start_server(struct pair *p, int cpu)
{
	p->cpu = cpu;
	pthread_create(&p->server, NULL, serve, p);
	call(&p->c, 0, 0, in_ms(20000));	/* both know each other from now on */
}

static void tell_server(struct pair *p, int what)
{
	WRITE_ONCE(p->what, what);
	sem_post(&p->wake);
}

FIXTURE_TEARDOWN(spin)
{
	struct pair *p = &self->p;

	WRITE_ONCE(p->hogs, false);
	if (p->hog)
		pthread_join(p->hog, NULL);
	tell_server(p, END);
	if (p->server)
		pthread_join(p->server, NULL);
	ep_close(&p->c);
	ep_close(&p->s);
	close(p->chan);
}

/* A call that the server has taken and keeps, doing so. */
static bool kept(struct pair *p, int what)
{
	tell_server(p, what);
	return !start(&p->c, 0, MSGC_FOREVER) && until(line(&p->c, 0)->state == TAKEN);
}

/* Waits a few times for nothing, and says how often it looked meanwhile. */
static long looks_while_waiting(struct pair *p)
{
	long before = looks_of(&p->c);

	for (int n = 0; n < WAITS; n++)
		if (resume(&p->c, 0, in_ms(20)) != -ETIMEDOUT)
			return -1;
	return looks_of(&p->c) - before;
}

TEST_F(spin, while_the_server_works_on_another_cpu)
{
	struct pair *p = &self->p;
	long n = 0;

	start_server(p, 1);
	ASSERT_TRUE(kept(p, BURN));
	for (int tries = 0; !n && tries < 100; tries++)
		n = looks_while_waiting(p);
	EXPECT_GT(n, 0);
	tell_server(p, ANSWER);
	EXPECT_EQ(0, resume(&p->c, 0, in_ms(20000)));
	EXPECT_EQ(SAYS(IDLE, DONE, 0), says(&p->c, 0));
}

TEST_F(spin, not_while_it_sleeps)
{
	struct pair *p = &self->p;

	start_server(p, 1);
	ASSERT_TRUE(kept(p, SLEEP));
	ASSERT_TRUE(asleep(getpid(), p->tid));
	EXPECT_EQ(0, looks_while_waiting(p));
	tell_server(p, ANSWER);
	EXPECT_EQ(0, resume(&p->c, 0, in_ms(20000)));
}

TEST_F(spin, not_while_others_want_this_cpu)
{
	struct pair *p = &self->p;

	start_server(p, 1);
	ASSERT_TRUE(kept(p, BURN));
	p->hogs = true;
	ASSERT_EQ(0, pthread_create(&p->hog, NULL, burn, p));
	ASSERT_TRUE(until(READ_ONCE(p->hogged)));
	EXPECT_EQ(0, looks_while_waiting(p));
	tell_server(p, ANSWER);
	EXPECT_EQ(0, resume(&p->c, 0, in_ms(20000)));
}

TEST_F(spin, not_on_one_cpu)
{
	struct pair *p = &self->p;
	long of_server, of_client;

	start_server(p, 0);
	of_client = looks_of(&p->c);
	of_server = looks_of(&p->s);
	for (int n = 0; n < 100; n++)
		ASSERT_EQ(0, call(&p->c, 0, 0, in_ms(20000)));
	EXPECT_EQ(of_client, looks_of(&p->c));
	EXPECT_EQ(of_server, looks_of(&p->s));
}

static long switches(void)
{
	struct rusage use;

	getrusage(RUSAGE_THREAD, &use);
	return use.ru_nvcsw;
}

/* Three calls, one after the other, for which this thread never slept. */
TEST_F(spin, calls_without_a_sleep)
{
	struct pair *p = &self->p;
	int n, in_a_row = 0;

	start_server(p, 1);
	for (n = 0; n < CALLS && in_a_row < 3; n++) {
		long before = switches();

		ASSERT_EQ(0, call(&p->c, 0, 0, in_ms(20000)));
		in_a_row = switches() == before ? in_a_row + 1 : 0;
	}
	EXPECT_LT(n, CALLS);
	EXPECT_GT(looks_of(&p->s), 0);
}

TEST_HARNESS_MAIN
