// SPDX-License-Identifier: MIT
/*
 * The channel that a verb works with, opened or created, and a place in it; or why not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char *rights_text(unsigned int rights, uint32_t mode)
{
	if (rights == IPC_READ)
		return mode == IPC_RENDEZVOUS ? "serve" : "receive";
	return mode == IPC_RENDEZVOUS ? "call" : "send";
}

/* What everybody may know of @name, from the list: false, and zeros, if it is not there. */
static bool find_listed(const char *name, struct msgc_info *info)
{
	struct msgc_info *rows;
	size_t n = 0, i;
	int dev = device_open();

	*info = (struct msgc_info){ 0 };
	if (dev < 0)
		return false;
	if (!device_list(dev, &rows, &n)) {
		for (i = 0; i < n && strcmp(rows[i].name, name); i++)
			;
		if (i < n)
			*info = rows[i];
		free(rows);
	}
	close(dev);
	return info->id;
}

static int explain_denied(const struct connect *c)
{
	struct msgc_info info;

	if (!find_listed(c->name, &info))
		return fail(-EACCES, "%s", c->name);
	return complain(ST_PERMISSION,
			"%s: no permission to %s: it belongs to uid %u, gid %u, its mode is %04o",
			c->name, rights_text(c->rights, info.mode), info.uid, info.gid,
			info.perm & 0777U);
}

static int explain_open(const struct connect *c, int err)
{
	char age[SHOWN];

	switch (-err) {
	case ENOENT:
		complain(ST_NOT_FOUND,
			 "there is no channel '%s': create it ('msgchan create'%s) or --wait for it",
			 c->name, c->may_create ? ", or -c" : "");
		break;
	case ETIMEDOUT:
		complain(ST_TIMEOUT, "no channel '%s' appeared within %s", c->name,
			 show_time(age, c->timeout));
		break;
	case EACCES:
		explain_denied(c);
		break;
	default:
		fail(err, "%s", c->name);
	}
	return err;
}

/* Both ends of a pipeline may say --create: whoever comes second opens what the first made. */
static int open_or_create(const struct connect *c, struct ipc_channel **ch)
{
	uint64_t deadline = c->wait ? until(c->timeout) : IPC_NOW;
	int err;

	do {
		err = ipc_open(c->name, c->rights, c->create ? IPC_NOW : deadline, ch);
		if (err != -ENOENT || !c->create)
			return err;
		err = ipc_create(c->name, &c->options, ch);
	} while (err == -EEXIST);
	return err;
}

static int check_mode(const struct connect *c, const struct msgc_info *info)
{
	if (!c->options.mode || c->options.mode == info->mode)
		return 0;
	if (info->mode == IPC_RING)
		complain(ST_USAGE, "%s is a ring channel: use 'msgchan send' and 'msgchan recv'",
			 c->name);
	else
		complain(ST_USAGE,
			 "%s is a rendezvous channel: use 'msgchan call' and 'msgchan serve'",
			 c->name);
	return -EINVAL;
}

/* Returns 0, or -errno after a message. */
int connect_channel(const struct connect *c, struct ipc_channel **ch, struct msgc_info *info)
{
	int dev = device_open(), err;

	if (dev < 0)
		return dev;
	close(dev);
	err = open_or_create(c, ch);
	if (err)
		return explain_open(c, err);
	err = channel_info(ipc_channel_fd(*ch), info);
	if (err)
		fail(err, "%s", c->name);
	else
		err = check_mode(c, info);
	if (err)
		ipc_close(*ch);
	return err;
}

/* Who is in the one place for a receiver. */
static void explain_busy(const char *name, struct ipc_channel *ch)
{
	struct msgc_peer *peers;
	char who[WHO_SHOWN] = "somebody";
	size_t n;

	if (!channel_peers(ipc_channel_fd(ch), &peers, &n)) {
		for (size_t i = 0; i < n; i++)
			if (peers[i].role == MSGC_RECEIVER && peers[i].state == MSGC_LIVE &&
			    !(peers[i].flags & MSGC_UNTETHERED))
				show_who(who, peers[i].comm, peers[i].pid);
		free(peers);
	}
	complain(ST_FAILED, "%s: %s receives already, and there is one place", name, who);
}

/* Why the kernel does not let it in so. */
static const char *misfit(const struct ipc_attach *how, struct ipc_channel *ch)
{
	struct msgc_info info;

	if (how->ring)
		return "the channel allows no such ring (see its RINGMAX, with 'msgchan info')";
	if (channel_info(ipc_channel_fd(ch), &info))
		return "it cannot be attached to so";
	if (info.flags & MSGC_UNTETHERED_ONLY && !(how->flags & IPC_UNTETHERED))
		return "the channel is for --untethered receivers only";
	if (how->flags & IPC_STANDBY && info.delivery != MSGC_EXCLUSIVE)
		return "--standby is for channels of exclusive delivery";
	return "it cannot be attached to so";
}

static const char *refused(const struct ipc_attach *how)
{
	if (how->flags & IPC_STANDBY)
		return "--standby";
	if (how->flags & IPC_UNTETHERED)
		return "receivers that hold nobody up (tap, hz, lat, recv --untethered)";
	return how->flags & IPC_OLDEST ? "--oldest" : "this";
}

/* Returns 0, or -errno after a message. */
int attach(const char *name, struct ipc_channel *ch, const struct ipc_attach *how,
	   struct ipc_endpoint **ep)
{
	int err = ipc_attach(ch, how, ep);

	if (err == -EBUSY)
		explain_busy(name, ch);
	else if (err == -EUSERS)
		complain(ST_FAILED, "%s: all places are taken; 'msgchan who %s' shows by whom",
			 name, name);
	else if (err == -EINVAL)
		complain(ST_USAGE, "%s: %s", name, misfit(how, ch));
	else if (err == -EOPNOTSUPP)
		complain(ST_FAILED, "%s: this kernel module does not offer %s", name, refused(how));
	else if (err)
		fail(err, "%s: no place in it", name);
	return err;
}

/*
 * Takes a place in @ch, works there until the work is done or a signal asks to stop, leaves, and
 * closes @ch. @ep: where the work finds its endpoint. Returns the exit status.
 */
int work_in(const char *name, struct ipc_channel *ch, const struct ipc_attach *how,
	    struct ipc_endpoint **ep, int (*work)(void *arg), void *arg)
{
	int err = attach(name, ch, how, ep), status = status_of(err);

	if (!err) {
		stop_on_signals(*ep);
		status = work(arg);
		stop_interrupting();
		ipc_detach(*ep);
	}
	ipc_close(ch);
	return status;
}
