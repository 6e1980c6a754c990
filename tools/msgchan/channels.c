// SPDX-License-Identifier: MIT
/*
 * A channel as a row of a table, for ls and info.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum {
	C_NAME, C_ID, C_MODE, C_DELIVERY, C_OWNER, C_UID, C_GID, C_PERM, C_FLAGS, C_SND, C_RCV,
	C_DEPTH, C_CAP, C_HIWAT, C_LOST, C_DROPPED, C_MISSED, C_REDELIV, C_SKIPPED, C_BLOCKED,
	C_KICKS, C_MAXSND, C_MAXRCV,
	C_RINGMAX, C_SLOTS, C_REQUEST, C_REPLY, C_ATTEMPTS, C_SPIN, C_AGE, N_COLUMNS
};

const struct column channel_columns[] = {
	[C_NAME] = { "NAME", 0, "name; #ID of an unnamed channel" },
	[C_ID] = { "ID", COL_NUMBER | COL_MORE, "number, never used again" },
	[C_MODE] = { "MODE", 0, "ring or rendezvous" },
	[C_DELIVERY] = { "DELIVERY", 0, "who gets a message of a ring" },
	[C_OWNER] = { "OWNER", 0, "the process that created it, as it was then" },
	[C_UID] = { "UID", COL_NUMBER | COL_MORE, "owning user" },
	[C_GID] = { "GID", COL_NUMBER | COL_MORE, "owning group" },
	[C_PERM] = { "PERM", COL_MORE, "mode bits: r receives or serves, w sends or calls" },
	[C_FLAGS] = { "FLAGS", COL_MORE, "persistent, many-servers, redeliver" },
	[C_SND] = { "SND", COL_NUMBER, "live senders or clients" },
	[C_RCV] = { "RCV", COL_NUMBER, "live receivers or servers" },
	[C_DEPTH] = { "DEPTH", COL_NUMBER, "bytes not released, or calls not taken by a server" },
	[C_CAP] = { "CAP", COL_NUMBER, "bytes of all rings, or slots of all clients" },
	[C_HIWAT] = { "HIWAT", COL_NUMBER | COL_CLAIMED, "the highest DEPTH so far" },
	[C_LOST] = { "LOST", COL_NUMBER | COL_CLAIMED | COL_ALERT,
		     "messages that senders dropped and receivers missed" },
	[C_DROPPED] = { "DROPPED", COL_NUMBER | COL_CLAIMED | COL_ALERT | COL_MORE,
			"by senders, as there was no room" },
	[C_MISSED] = { "MISSED", COL_NUMBER | COL_CLAIMED | COL_ALERT | COL_MORE,
		       "by untethered receivers, as they were overwritten" },
	[C_REDELIV] = { "REDELIV", COL_NUMBER | COL_ALERT, "given again after a receiver died" },
	[C_SKIPPED] = { "SKIPPED", COL_NUMBER | COL_ALERT | COL_MORE,
			"balanced: given up after ATTEMPTS" },
	[C_BLOCKED] = { "BLOCKED", COL_NUMBER | COL_ALERT, "threads that wait" },
	[C_KICKS] = { "KICKS", COL_NUMBER | COL_MORE, "wake-ups by system call" },
	[C_MAXSND] = { "MAXSND", COL_NUMBER | COL_MORE, "most senders or clients" },
	[C_MAXRCV] = { "MAXRCV", COL_NUMBER | COL_MORE, "most receivers or servers" },
	[C_RINGMAX] = { "RINGMAX", COL_NUMBER | COL_MORE, "largest ring of a sender" },
	[C_SLOTS] = { "SLOTS", COL_NUMBER | COL_MORE, "calls in flight per client" },
	[C_REQUEST] = { "REQUEST", COL_NUMBER | COL_MORE, "largest request" },
	[C_REPLY] = { "REPLY", COL_NUMBER | COL_MORE, "largest reply" },
	[C_SPIN] = { "SPIN", COL_NUMBER | COL_MORE, "how long a wait looks before it sleeps" },
	[C_ATTEMPTS] = { "ATTEMPTS", COL_NUMBER | COL_MORE,
			 "holders that may die of a call, or a balanced message" },
	[C_AGE] = { "AGE", COL_NUMBER, "since it was created" },
};

const unsigned int n_channel_columns = N_COLUMNS;

/* comm[pid] */
char *show_who(char *buf, const char *comm, int pid)
{
	size_t n = escape(buf, WHO_SHOWN - 16, comm, 16);

	snprintf(buf + n, WHO_SHOWN - n, "[%d]", pid);
	return buf;
}

/* @text is comm[pid] as above, a pid, or an endpoint id. */
bool names_endpoint(const char *text, uint32_t id, const char *comm, int pid)
{
	char who[WHO_SHOWN], *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (end != text && !*end)
		return n == id || (pid > 0 && n == (unsigned long long)pid);
	return !strcmp(text, show_who(who, comm, pid));
}

/* The kernel takes only printable names. */
const char *show_name(char *buf, const struct msgc_info *info)
{
	if (info->name[0])
		return info->name;
	snprintf(buf, SHOWN, "#%" PRIu64, (uint64_t)info->id);
	return buf;
}

static const char *mode_text(const struct msgc_info *info)
{
	static const char *const text[] = { "?", "ring", "rendezvous" };

	return text[info->mode < ARRAY_SIZE(text) ? info->mode : 0];
}

static const char *delivery_text(const struct msgc_info *info)
{
	static const char *const text[] = { "-", "exclusive", "broadcast", "balanced" };

	return info->delivery < ARRAY_SIZE(text) ? text[info->delivery] : "?";
}

static const char *flags_text(char *buf, size_t room, uint32_t flags)
{
	static const char *const text[] = {
		"persistent", "untethered-only", "many-servers", "redeliver", "inherit"
	};
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(text) && n < room; i++)
		if (flags & 1U << i)
			n += (size_t)snprintf(buf + n, room - n, "%s%s", n ? "," : "", text[i]);
	return n ? buf : "-";
}

static void permission_cells(struct table *t, const struct msgc_info *info)
{
	char buf[128];

	table_count(t, C_UID, info->uid);
	table_count(t, C_GID, info->gid);
	snprintf(buf, 8, "%04o", info->perm & 07777);
	table_text(t, C_PERM, buf);
	table_text(t, C_FLAGS, flags_text(buf, sizeof(buf), info->flags));
}

static void ring_cells(struct table *t, const struct msgc_info *info)
{
	table_size(t, C_DEPTH, info->depth);
	table_size(t, C_CAP, info->capacity);
	table_size(t, C_HIWAT, info->hiwat);
	table_size(t, C_RINGMAX, info->ring_max);
	if (info->delivery != MSGC_BALANCED)
		return;
	table_count(t, C_SKIPPED, info->skipped);
	table_count(t, C_ATTEMPTS, info->max_attempts);
}

static void call_cells(struct table *t, const struct msgc_info *info)
{
	table_calls(t, C_DEPTH, info->depth);
	table_count(t, C_CAP, info->capacity);
	table_count(t, C_SLOTS, info->slots);
	table_size(t, C_REQUEST, info->request);
	table_size(t, C_REPLY, info->reply);
	table_time(t, C_SPIN, info->spin_ns);
	table_count(t, C_ATTEMPTS, info->max_attempts);
}

static void figure_cells(struct table *t, const struct msgc_info *info)
{
	table_count(t, C_SND, info->senders);
	table_count(t, C_RCV, info->receivers);
	table_count(t, C_MAXSND, info->max_senders);
	table_count(t, C_MAXRCV, info->max_receivers);
	table_count(t, C_LOST, info->lost + info->missed);
	table_count(t, C_DROPPED, info->lost);
	table_count(t, C_MISSED, info->missed);
	table_count(t, C_REDELIV, info->redelivered);
	table_count(t, C_BLOCKED, info->waiting);
	table_count(t, C_KICKS, info->kicks);
	if (info->mode == MSGC_RING)
		ring_cells(t, info);
	else
		call_cells(t, info);
}

void channel_row(struct table *t, const struct msgc_info *info)
{
	char id[SHOWN], who[WHO_SHOWN];

	table_row(t);
	table_text(t, C_NAME, show_name(id, info));
	table_count(t, C_ID, info->id);
	table_text(t, C_MODE, mode_text(info));
	table_text(t, C_DELIVERY, delivery_text(info));
	table_text(t, C_OWNER, show_who(who, info->comm, info->creator));
	table_age(t, C_AGE, now_ns() - info->created_ns);
	permission_cells(t, info);
	if (info->max_senders)		/* else the kernel gave no figures: not to everybody */
		figure_cells(t, info);
}
