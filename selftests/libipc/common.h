/* SPDX-License-Identifier: MIT */
/* common.h - what the tests of the library share: names, channels, endpoints, children, threads. */
#ifndef LIBIPC_TEST_COMMON_H
#define LIBIPC_TEST_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libipc.h>

#include "tap.h"

#define MS(n) ipc_in((n) * UINT64_C(1000000))
#define LONG MS(20000)			/* for what must happen: a slow machine is no failure */
#define A_WHILE MS(500)			/* will pass, but not before what the test does first */

/* A setup step: without it the rest of the program means nothing. */
#define MUST(what)								\
	do {									\
		int must_ret = (what);						\
										\
		if (must_ret < 0) {						\
			printf("Bail out! %s:%d: %s: %s\n", __FILE__, __LINE__,	\
			       #what, ipc_strerror(must_ret));			\
			exit(1);						\
		}								\
	} while (0)

static inline struct ipc_channel *channel(const char *name, const struct ipc_options *opt)
{
	struct ipc_channel *ch;

	MUST(ipc_create(name, opt, &ch));
	return ch;
}

static inline int try_attach(struct ipc_channel *ch, uint32_t role, struct ipc_endpoint **out)
{
	struct ipc_attach how = { .size = sizeof(how), .role = role };

	return ipc_attach(ch, &how, out);
}

static inline struct ipc_endpoint *attach(struct ipc_channel *ch, uint32_t role)
{
	struct ipc_endpoint *ep;

	MUST(try_attach(ch, role, &ep));
	return ep;
}

/* Run a function in a child; its failed checks are counted here. */
static inline int in_child(void (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		atomic_store(&tap_failed, 0);
		fn(arg);
		fflush(stdout);
		_exit(atomic_load(&tap_failed) ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static inline pthread_t thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	MUST(-pthread_create(&t, NULL, fn, arg));
	return t;
}

static inline void nap(unsigned int ms)
{
	usleep(ms * 1000);
}

static inline void on_alarm(int sig)
{
	(void)sig;
}

/* SIGALRM in so many ms, again and again: the first may come before the wait has begun. */
static inline void alarms(unsigned int ms, int flags)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };

	sigaction(SIGALRM, &sa, NULL);
	ualarm(ms * 1000, ms ? 20000 : 0);
}

#endif
