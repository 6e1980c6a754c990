/* SPDX-License-Identifier: MIT */
/* Threads of this and that scheduling policy. */
#ifndef MSGC_TEST_URGENCY_H
#define MSGC_TEST_URGENCY_H

#include <sched.h>

#include "call.h"

/* What sched_setattr(2) takes; not every C library declares it. */
struct urgency {
	__u32 size, policy;
	__u64 flags;
	__s32 nice;
	__u32 prio;
	__u64 runtime, deadline, period;
};

#define AS(...)		((struct urgency){ .size = sizeof(struct urgency), __VA_ARGS__ })
#define OTHER(n)	AS(.policy = SCHED_OTHER, .nice = (n))
#define FIFO(p)		AS(.policy = SCHED_FIFO, .prio = (p))
#define RR(p)		AS(.policy = SCHED_RR, .prio = (p))

static inline bool be(struct urgency u)
{
	return !syscall(SYS_sched_setattr, 0, &u, 0);
}

/* Starts a call as somebody so urgent. */
static inline long start_as(const struct ep *c, int slot, struct urgency u)
{
	long ret = be(u) ? start(c, slot, MSGC_FOREVER) : -EPERM;

	be(OTHER(0));
	return ret;
}

/* Of a thread, without what its turns last; 0: the caller. */
static inline struct urgency urgency_of(pid_t tid)
{
	struct urgency u = AS(.policy = ~0U);

	syscall(SYS_sched_getattr, tid, &u, sizeof(u), 0);
	return AS(.policy = u.policy, .flags = u.flags & 1, .nice = u.policy < 4 && u.policy != 1 &&
		  u.policy != 2 ? u.nice : 0, .prio = u.prio);
}

static inline bool is(pid_t tid, struct urgency u)
{
	struct urgency now = urgency_of(tid);

	return !memcmp(&now, &u, sizeof(u));
}

#endif
