// SPDX-License-Identifier: MIT
/*
 * Looking at the messages of a ring channel without taking part: an untethered receiver that looks
 * from time to time, and never waits in the kernel. It consumes nothing and holds up nobody; what
 * is overwritten before it looks, it misses.
 */
#include <errno.h>

#include "cli.h"

#define BATCH	64
#define LOOK	64		/* batches, at most, before others have their turn */

static bool wanted(const struct observing *o, const struct ipc_msg *m)
{
	const struct ipc_peer *peer;

	if (!o->sender)
		return true;
	peer = sender_of(o->ep, m->peer);
	return names_endpoint(o->sender, m->peer, peer->comm, peer->pid);
}

static void show(struct observing *o, const struct ipc_msg *m, unsigned int n)
{
	for (unsigned int i = 0; i < n && o->left; i++) {
		if (!wanted(o, &m[i]))
			continue;
		o->missed += m[i].missed;
		o->left--;
		o->message(o, &m[i]);
	}
}

/* What there is: 0 if it went out of that, -errno. */
static int look_once(struct observing *o)
{
	struct ipc_msg m[BATCH] = { 0 };

	for (int i = 0; i < LOOK && o->left && !stopped(); i++) {
		int n = ipc_recv(o->ep, m, BATCH, IPC_NOW);

		if (n == -EPROTO) {
			tell_refused(o->connect.name, o->ep, m[0].peer);
			continue;
		}
		if (n < 0)
			return n == -EAGAIN || n == -EINTR ? 0 : n;
		o->now = now_ns();
		show(o, m, (unsigned int)n);
		n = ipc_release(o->ep, m, (unsigned int)n);
		if (n < 0)
			return n;
	}
	return 0;
}

/* Until the next look. */
static void rest(const struct observing *o)
{
	uint64_t pause = o->every;
	struct timespec ts;

	if (o->end != TIME_FOREVER && o->end - o->now < pause)
		pause = o->end - o->now;
	ts = timespec_of(pause);
	if (pause)
		wait_ready(-1, 0, &ts);
}

static int observe_all(void *arg)
{
	struct observing *o = arg;
	char why[256];
	int err = 0;

	o->now = now_ns();
	o->end = o->duration == TIME_FOREVER ? TIME_FOREVER : o->now + o->duration;
	while (!err && o->left && !stopped() && o->now < o->end) {
		err = look_once(o);
		o->now = now_ns();
		o->status = o->looked(o);
		if (o->status)
			return o->status;
		if (!err && o->left && o->now < o->end)
			rest(o);
	}
	if (!err || err == -EPIPE)
		return ST_OK;
	ipc_why(o->ep, err, why, sizeof(why));
	return complain(status_of(err), "%s: %s", o->connect.name, why);
}

bool observe_option(struct observing *o, int c, const char *arg)
{
	switch (c) {
	case OBSERVE_SENDER:
		o->sender = arg;
		return true;
	case OBSERVE_COUNT:
		o->left = number_arg("--count", arg, UINT64_MAX);
		return true;
	case OBSERVE_DURATION:
		o->duration = time_arg("--duration", arg);
		return true;
	case OBSERVE_INTERVAL:
		o->every = time_arg("--interval", arg);
		return true;
	case OBSERVE_WAIT:
		o->connect.wait = true;
		return true;
	default:
		return false;
	}
}

/* Calls o->message for each message, o->looked after each look, until there is an end. */
int observe(struct observing *o, const char *name)
{
	struct ipc_channel *ch;
	struct msgc_info info;
	int err;

	o->connect.name = name;
	o->connect.rights = IPC_READ;
	o->connect.timeout = TIME_FOREVER;
	o->connect.options.mode = IPC_RING;
	o->how.size = sizeof(o->how);
	o->how.role = IPC_RECEIVER;
	o->how.flags |= IPC_UNTETHERED;
	err = connect_channel(&o->connect, &ch, &info);
	return err ? status_of(err) : work_in(name, ch, &o->how, &o->ep, observe_all, o);
}
