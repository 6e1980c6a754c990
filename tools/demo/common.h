/* SPDX-License-Identifier: MIT */
/*
 * What the demo's programs share: joining a channel, how long to wait, ending with a reason.
 */
#ifndef DEMO_COMMON_H
#define DEMO_COMMON_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <libipc.h>

#define __printf(fmt, args) __attribute__((__format__(__printf__, fmt, args)))
#define SECONDS(n) ((n) * UINT64_C(1000000000))

/* When to give up a wait: something is wrong if nothing has happened until then. */
static inline uint64_t limit(void)
{
	return ipc_in(SECONDS(60));
}

/* The reason goes to stderr with the name of the program; err, an errno of either sign, or 0. */
_Noreturn __printf(2, 3)
static inline void die(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "%s%s\n", err ? ": " : "", err ? ipc_strerror(err) : "");
	exit(1);
}

/* What a call on an endpoint failed of, with the peer to blame if there is one. */
_Noreturn
static inline void die_of(struct ipc_endpoint *ep, int err, const char *what)
{
	char why[256];

	ipc_why(ep, err, why, sizeof(why));
	die(0, "%s: %s", what, why);
}

/* An endpoint outlives the channel that it was attached through. */
static inline struct ipc_endpoint *join(const char *name, unsigned int role)
{
	unsigned int right = role == IPC_SENDER ? IPC_WRITE : IPC_READ;
	struct ipc_attach how = { .size = sizeof(how), .role = role };
	struct ipc_channel *ch;
	struct ipc_endpoint *ep;
	int err = ipc_open(name, right, limit(), &ch);

	if (err)
		die(err, "cannot open channel %s", name);
	err = ipc_attach(ch, &how, &ep);
	if (err)
		die(err, "cannot attach to %s", name);
	ipc_close(ch);
	return ep;
}

#endif
