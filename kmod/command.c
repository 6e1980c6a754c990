// SPDX-License-Identifier: GPL-2.0-only
/*
 * command.c - the hot commands of an endpoint fd: one table for ioctl and io_uring.
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "command.h"

static long detach(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	msgc_endpoint_die(ep, MSGC_LEFT);
	return 0;
}

static long interrupt(struct msgc_endpoint *ep, union msgc_hot *arg)
{
	atomic_set(&ep->interrupted, 1);
	msgc_wake_all(ep);
	return 0;
}

enum { RING_SENDER = 1, RING_RECEIVER = 2, CLIENT = 4, SERVER = 8, RING = 3, ALL = 15 };

/* By io_uring, where it may wait, in halves: command.h. */
#define HALVES(f)	.begin = f##_begin, .look = f##_look

static const struct msgc_command commands[] = {
	[_IOC_NR(MSGC_WAIT)]	= { MSGC_WAIT,		ALL,	msgc_wait, HALVES(msgc_wait) },
	[_IOC_NR(MSGC_KICK)]	= { MSGC_KICK,		RING,	msgc_kick },
	[_IOC_NR(MSGC_REFUSE)]	= { MSGC_REFUSE,	RING,	msgc_refuse },
	[_IOC_NR(MSGC_CLAIM)]	= { MSGC_CLAIM,		RING_RECEIVER,
				    msgc_claim, HALVES(msgc_claim) },
	[_IOC_NR(MSGC_RETURN)]	= { MSGC_RETURN,	RING_RECEIVER, msgc_return },
	[_IOC_NR(MSGC_CALL)]	= { MSGC_CALL,		CLIENT,	msgc_call, HALVES(msgc_call) },
	[_IOC_NR(MSGC_CANCEL)]	= { MSGC_CANCEL,	CLIENT,	msgc_cancel },
	[_IOC_NR(MSGC_RECV)]	= { MSGC_RECV,		SERVER,	msgc_recv, HALVES(msgc_recv) },
	[_IOC_NR(MSGC_REPLY)]	= { MSGC_REPLY,		SERVER,	msgc_reply },
	[_IOC_NR(MSGC_REPLY_RECV)] = { MSGC_REPLY_RECV,	SERVER,
				       msgc_reply_recv, HALVES(msgc_reply_recv) },
	[_IOC_NR(MSGC_INTERRUPT)] = { MSGC_INTERRUPT,	ALL,	interrupt },
	[_IOC_NR(MSGC_DETACH)]	= { MSGC_DETACH,	ALL,	detach },
};

static unsigned int who_is(const struct msgc_endpoint *ep)
{
	if (msgc_is_ring(ep->ch))
		return msgc_is_sender(ep) ? RING_SENDER : RING_RECEIVER;
	return msgc_is_sender(ep) ? CLIENT : SERVER;
}

static const struct msgc_command *find_command(const struct msgc_endpoint *ep, unsigned int cmd)
{
	const struct msgc_command *c;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(commands))
		return NULL;
	c = &commands[array_index_nospec(_IOC_NR(cmd), ARRAY_SIZE(commands))];
	return c->cmd == cmd && c->who & who_is(ep) ? c : NULL;
}

const struct msgc_command *msgc_command_of(unsigned int cmd)
{
	return &commands[_IOC_NR(cmd)];
}

static bool takes_nothing(unsigned int cmd)
{
	return cmd == MSGC_KICK || cmd == MSGC_INTERRUPT || cmd == MSGC_DETACH;
}

/* Whether the calling thread may give this endpoint this command at all. */
const struct msgc_command *msgc_command_find(const struct msgc_endpoint *ep, unsigned int cmd)
{
	const struct msgc_command *c;

	if (task_tgid(current) != ep->pid)
		return ERR_PTR(-EPERM);
	c = find_command(ep, cmd);
	if (!c)
		return ERR_PTR(-ENOTTY);
	if (c->who == SERVER && msgc_bound_elsewhere(ep))
		return ERR_PTR(-EPERM);
	return c;
}

int msgc_command_check(const struct msgc_endpoint *ep, const struct msgc_command *c,
		       const union msgc_hot *arg)
{
	if (takes_nothing(c->cmd) && (arg->none.zero[0] || arg->none.zero[1]))
		return -EINVAL;
	return READ_ONCE(ep->dead) ? -ESHUTDOWN : 0;
}

/*
 * An _IOWR command says in its own 16 bytes how it must be begun again (CALL: RESUME,
 * REPLY_RECV: no reply), before a signal restarts it, and how far it came when it failed. If
 * that cannot be written, it is not restarted.
 */
static long write_back(const struct msgc_command *c, const union msgc_hot *arg, void __user *uarg,
		       long ret)
{
	if (ret >= 0 || !(_IOC_DIR(c->cmd) & _IOC_READ) || !copy_to_user(uarg, arg, sizeof(*arg)))
		return ret;
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

/* By ioctl. */
long msgc_command(struct msgc_endpoint *ep, unsigned int cmd, void __user *uarg)
{
	const struct msgc_command *c = msgc_command_find(ep, cmd);
	union msgc_hot arg;
	long ret;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = msgc_command_check(ep, c, &arg);
	if (ret)
		return ret;
	ret = c->run(ep, &arg);
	msgc_inherit_settle(ep->ch);
	return write_back(c, &arg, uarg, ret);
}
