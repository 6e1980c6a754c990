// SPDX-License-Identifier: MIT
/*
 * The endpoints of a channel, with the identity that the kernel saw when they attached.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli.h"

enum {
	W_WHO, W_ROLE, W_STATE, W_PID, W_UID, W_GID, W_COMM, W_ID, W_RING, W_LAG, W_HIWAT, W_HELD,
	W_LOST, W_REFUSED, W_KICKS, W_NEEDLESS, W_WAITS, W_TAIL, W_HEAD, W_AGE, N_COLUMNS
};

static const struct column columns[] = {
	[W_WHO] = { "WHO", 0, "comm[pid] of the process that attached" },
	[W_ROLE] = { "ROLE", 0, "sender, receiver, untethered observer, client or server" },
	[W_STATE] = { "STATE", 0, "live, standby, left, died or revoked" },
	[W_PID] = { "PID", COL_NUMBER | COL_MORE, "0: not in this pid namespace" },
	[W_UID] = { "UID", COL_NUMBER, "effective user when it attached" },
	[W_GID] = { "GID", COL_NUMBER | COL_MORE, "effective group when it attached" },
	[W_COMM] = { "COMM", COL_MORE, "name of the process" },
	[W_ID] = { "ID", COL_NUMBER | COL_MORE, "endpoint id, 'peer' of its messages" },
	[W_RING] = { "RING", COL_NUMBER, "bytes of a sender's ring" },
	[W_LAG] = { "LAG", COL_NUMBER, "bytes published and not released" },
	[W_HIWAT] = { "HIWAT", COL_NUMBER | COL_CLAIMED | COL_MORE, "the highest LAG so far" },
	[W_HELD] = { "HELD", COL_NUMBER, "bytes that a receiver has borrowed, calls being served" },
	[W_LOST] = { "LOST", COL_NUMBER | COL_CLAIMED | COL_ALERT,
		     "messages that a sender dropped, a receiver missed" },
	[W_REFUSED] = { "REFUSED", COL_NUMBER | COL_ALERT, "peers lost by a broken protocol" },
	[W_KICKS] = { "KICKS", COL_NUMBER, "wake-ups that it gave" },
	[W_NEEDLESS] = { "NEEDLESS", COL_NUMBER | COL_MORE, "of these, with nobody asleep" },
	[W_WAITS] = { "WAITS", COL_NUMBER | COL_CLAIMED, "times that it waited for space" },
	[W_TAIL] = { "TAIL", COL_NUMBER | COL_MORE, "position up to which it published" },
	[W_HEAD] = { "HEAD", COL_NUMBER | COL_MORE, "position up to which all was released" },
	[W_AGE] = { "AGE", COL_NUMBER, "since it attached" },
};

static const char help[] =
	"Usage: msgchan who [OPTIONS] NAME|#ID\n\n"
	"List the endpoints of a channel: who they are, what they hold.\n\n"
	LOOK_HELP;

static const char *role_text(const struct msgc_peer *p, uint32_t mode)
{
	if (p->role == MSGC_SENDER)
		return mode == MSGC_RING ? "sender" : "client";
	if (p->flags & MSGC_UNTETHERED)
		return "observer";
	return mode == MSGC_RING ? "receiver" : "server";
}

static const char *state_text(uint32_t state)
{
	static const char *const text[] = { "free", "live", "standby", "left", "died", "revoked" };

	return state < ARRAY_SIZE(text) ? text[state] : "?";
}

static void identity(struct table *t, const struct msgc_peer *p, uint32_t mode)
{
	char who[WHO_SHOWN];

	table_text(t, W_WHO, show_who(who, p->comm, p->pid));
	table_text(t, W_ROLE, role_text(p, mode));
	table_text(t, W_STATE, state_text(p->state));
	table_count(t, W_PID, (uint32_t)p->pid);
	table_count(t, W_UID, p->uid);
	table_count(t, W_GID, p->gid);
	escape(who, sizeof(who), p->comm, sizeof(p->comm));
	table_text(t, W_COMM, who);
	table_count(t, W_ID, p->id);
	table_age(t, W_AGE, now_ns() - p->since_ns);
}

static void ring_figures(struct table *t, const struct msgc_peer *p)
{
	table_count(t, W_LOST, p->lost);
	if (p->role != MSGC_SENDER) {
		table_size(t, W_HELD, p->held_bytes);
		return;
	}
	table_size(t, W_RING, p->ring);
	table_size(t, W_LAG, p->tail - p->head);
	table_size(t, W_HIWAT, p->hiwat);
	table_count(t, W_WAITS, p->waits);
	table_count(t, W_TAIL, p->tail);
	table_count(t, W_HEAD, p->head);
}

static void row(struct table *t, const struct msgc_peer *p, uint32_t mode)
{
	table_row(t);
	identity(t, p, mode);
	if (mode == MSGC_RING)
		ring_figures(t, p);
	else
		table_count(t, W_HELD, p->held);
	table_count(t, W_REFUSED, p->refused);
	table_count(t, W_KICKS, p->kicks);
	table_count(t, W_NEEDLESS, p->needless);
}

struct place {
	int fd;
	const char *name;
	uint32_t mode;
};

static int print(const struct look *l, void *arg)
{
	const struct place *p = arg;
	struct msgc_peer *peers;
	struct table *t;
	size_t n;
	int err = channel_peers(p->fd, &peers, &n);

	if (err)
		return fail(err, "%s", p->name);
	t = table_new("endpoints", l);
	for (size_t i = 0; i < n; i++)
		row(t, &peers[i], p->mode);
	table_print(t);
	table_free(t);
	free(peers);
	return ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = { .verb = &verb_who, .columns = columns, .n_columns = N_COLUMNS };
	int status = look_options(&l, argc, argv);
	struct place p;
	struct msgc_info info;

	if (status != LOOK_ON)
		return status;
	p.name = name_arg(argc, argv, optind);
	p.fd = look_up(p.name, &info);
	if (p.fd < 0)
		return status_of(p.fd);
	p.mode = info.mode;
	return look(&l, print, &p);
}

const struct verb verb_who = { "who", NULL, "list the endpoints of a channel", help, run };
