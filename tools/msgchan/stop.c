// SPDX-License-Identifier: MIT
/*
 * SIGINT, SIGTERM and SIGHUP end a verb in good order: its wait returns -EINTR, it leaves.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "cli.h"

static _Atomic int stop_signal;
static struct ipc_endpoint *waiting;

/* A second signal, for a wait elsewhere, has its usual effect. */
static void on_signal(int sig)
{
	stop_signal = sig;
	ipc_interrupt(waiting);
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

/* The signal that asked to stop, or 0. */
int stopped(void)
{
	return stop_signal;
}

/* Die as the shell expects of who was told to stop. */
int die_by(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
	return 128 + sig;
}
