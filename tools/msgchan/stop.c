// SPDX-License-Identifier: MIT
/*
 * SIGINT, SIGTERM and SIGHUP end a verb in good order: its wait returns -EINTR, it leaves.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "cli.h"

static _Atomic int stop_signal;
static struct ipc_endpoint *_Atomic waiting;	/* NULL: it has been left, or is about to be */

/* A second signal, for a wait elsewhere, has its usual effect. */
static void on_signal(int sig)
{
	struct ipc_endpoint *ep = waiting;
	int before = errno;

	stop_signal = sig;
	if (ep)
		ipc_interrupt(ep);
	errno = before;
}

void stop_on_signals(struct ipc_endpoint *ep)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	waiting = ep;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	act.sa_handler = SIG_IGN;		/* a write to a pipe that nobody reads says EPIPE */
	act.sa_flags = 0;
	sigaction(SIGPIPE, &act, NULL);
}

/* Before ipc_detach(): from here on a signal is only noted. */
void stop_interrupting(void)
{
	waiting = NULL;
}

/* The signal that asked to stop, or 0. */
int stopped(void)
{
	return stop_signal;
}

/*
 * Waits until @fd is ready: 1, 0 after @timeout (NULL: none), -errno; -EINTR only if a signal asked
 * to stop. Such a signal is delivered inside of the wait or seen before it, never missed between.
 */
int wait_ready(int fd, short events, const struct timespec *timeout)
{
	struct pollfd p = { .fd = fd, .events = events };
	sigset_t stops, before;
	int n = -1, err = EINTR;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_BLOCK, &stops, &before);
	while (n < 0 && err == EINTR && !stopped()) {
		n = ppoll(&p, 1, timeout, &before);
		err = errno;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n < 0 ? -err : n;
}

/* Die as the shell expects of who was told to stop. */
int die_by(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
	return 128 + sig;
}
