/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * command.h - a hot command, and the halves of one that may wait: shared by command.c, uring.c and
 * the files whose commands they are.
 *
 * By ioctl `run` does all of it. By io_uring the waiting goes between two halves: `begin` does what
 * comes before, and says what is waited for; then `look`, again and again, until either returns
 * something else than:
 *
 *	-EIOCBQUEUED	nothing yet: it is parked (msgc_park())
 *	-EAGAIN		nothing yet, and not parked: ask msgc_may_wait(), and look
 *
 * With a reason to end (`why`, an errno) it never returns these: it looks for the last time,
 * returns the reason if there is nothing, and undoes what begin left. Two reasons come before
 * whatever there is: -EINTR, which is told once, and -ECANCELED, where `current` may be any thread.
 */
#ifndef MSGC_COMMAND_H
#define MSGC_COMMAND_H

#include <linux/err.h>

#include "core.h"

/*
 * ---- uring.c: a command of io_uring waits from now on, in the section of channel->lock in which
 * nothing was found. -EIOCBQUEUED: it may be gone when this returns. -EAGAIN: it must not yet ----
 */
long msgc_park(struct msgc_endpoint *ep, struct msgc_awaited *want);

struct msgc_command {
	unsigned int cmd, who;
	long (*run)(struct msgc_endpoint *ep, union msgc_hot *arg);
	long (*begin)(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want);
	long (*look)(struct msgc_endpoint *ep, struct msgc_awaited *want, int why);
};

const struct msgc_command *msgc_command_of(unsigned int cmd);	/* of one that was found */
const struct msgc_command *msgc_command_find(const struct msgc_endpoint *ep, unsigned int cmd);
int msgc_command_check(const struct msgc_endpoint *ep, const struct msgc_command *c,
		       const union msgc_hot *arg);

#endif
