/* SPDX-License-Identifier: MIT */
/* stress.h - processes that send and receive, watched by their parent. */
#ifndef STRESS_H
#define STRESS_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "pattern.h"

#define MS(n)		ipc_in((n) * UINT64_C(1000000))
#define HANG_S		60U		/* without any progress: a hang */
#define LONGEST_S	3600U		/* that a part may take */
#define CHILDREN	64U

/* What processes tell each other and their parent; a page of this test, not of the channel. */
struct shared {
	uint64_t deadline;		/* of every wait; clocks are slow in guests */
	atomic_bool failed, stop;
	char why[512];			/* of the first to fail */
	atomic_ulong progress;		/* changes while anybody gets on */
	atomic_ulong woke_receivers;	/* KICKs that found a sleeper, as the kernel counts them */
	atomic_ulong woke_senders;
	atomic_ulong switches;		/* times that endpoints slept, but for pauses */
	atomic_ulong attached;		/* endpoints that are there */
	atomic_ulong received, missed, redelivered, returned;
};

extern struct shared *shared;

/* Fails the test, with the first reason; ends this process if it is a child. */
#define FAIL(...)	fail(__LINE__, __VA_ARGS__)
__attribute__((format(printf, 2, 3))) void fail(int line, const char *format, ...);
#define EXPECT(cond)	do { if (!(cond)) FAIL("not so: %s", #cond); } while (0)

void *shared_memory(size_t size);
uint64_t number_from(const char *variable, uint64_t otherwise);	/* of the environment */
uint32_t random_below(uint64_t *state, uint32_t n);

/* ---- children ---- */

struct child {
	pid_t pid;			/* 0: none */
	int status;			/* once it has ended */
};

void spawn(struct child *child, void (*fn)(unsigned int), unsigned int arg);
/* Gathers who has ended, without waiting; returns how many live. */
unsigned int reap(struct child *children, unsigned int n);
/* Wait until all have ended; false: one failed, or nobody got on (after saying who is where). */
bool watch(struct child *children, unsigned int n, const struct ipc_channel *ch);
void end_children(struct child *children, unsigned int n);
bool is_hung(const struct ipc_channel *ch);	/* to be asked often */

/* ---- endpoints ---- */

struct ipc_endpoint *attach(struct ipc_channel *ch, uint32_t role, uint32_t flags, uint64_t ring);
void detach(struct ipc_endpoint *ep, uint32_t role);	/* and add up its figures */
void pause_us(unsigned int us);

#endif
