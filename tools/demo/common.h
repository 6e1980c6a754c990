/* SPDX-License-Identifier: MIT */
/*
 * What the demo's programs share: ending with a reason, and joining a channel in one role.
 */
#ifndef DEMO_COMMON_H
#define DEMO_COMMON_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <libipc.h>

#define SECONDS(n) ((n) * UINT64_C(1000000000))

/* The reason goes to stderr with the name of the program; err, an errno of either sign, or 0. */
__attribute__((noreturn, format(printf, 2, 3)))
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

/* An endpoint outlives the channel that it was attached through. */
static inline struct ipc_endpoint *join(const char *name, unsigned int role)
{
	unsigned int right = role == IPC_SENDER ? IPC_WRITE : IPC_READ;
	struct ipc_attach how = { .size = sizeof(how), .role = role };
	struct ipc_channel *ch;
	struct ipc_endpoint *ep;
	int err = ipc_open(name, right, ipc_in(SECONDS(5)), &ch);

	if (err)
		die(err, "cannot open channel %s", name);
	err = ipc_attach(ch, &how, &ep);
	if (err)
		die(err, "cannot attach to %s", name);
	ipc_close(ch);
	return ep;
}

#endif
