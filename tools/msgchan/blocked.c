// SPDX-License-Identifier: MIT
/*
 * Who waits for whom: threads that sleep in commands of the module, and circles among their
 * processes. All channels are looked at, also where one is named: a circle goes through several.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum {
	B_TID, B_COMM, B_STATE, B_CHANNEL, B_ON, B_SINCE, B_DEADLINE, B_PRIO, B_BOOST, B_CYCLE,
	B_PID, B_ID, B_ONID, N_COLUMNS
};

static const struct column columns[] = {
	[B_TID] = { "TID", COL_NUMBER, "thread; 0: not in this pid namespace" },
	[B_COMM] = { "COMM", 0, "name of the thread" },
	[B_STATE] = { "STATE", 0, "CALL/queue, CALL/taken, RECV, CLAIM, WAIT/ and the events" },
	[B_CHANNEL] = { "CHANNEL", 0, "where" },
	[B_ON] = { "ON", 0, "the server, or the receiver that holds the space; -: anybody" },
	[B_SINCE] = { "SINCE", COL_NUMBER, "for how long, to some milliseconds" },
	[B_DEADLINE] = { "DEADLINE", COL_NUMBER, "what is left of its time; -: it has none" },
	[B_PRIO] = { "PRIO", COL_NUMBER, "its own real-time priority; 100: a deadline thread" },
	[B_BOOST] = { "BOOST", COL_NUMBER, "greater one that those who wait for it lend it" },
	[B_CYCLE] = { "CYCLE", COL_NUMBER | COL_ALERT,
		      "same number: processes that wait for each other in a circle" },
	[B_PID] = { "PID", COL_NUMBER | COL_MORE, "its process" },
	[B_ID] = { "ID", COL_NUMBER | COL_MORE, "endpoint id of who waits" },
	[B_ONID] = { "ONID", COL_NUMBER | COL_MORE, "endpoint id of ON, for evict" },
};

static const char help[] =
	"Usage: msgchan blocked [OPTIONS] [NAME|#ID]\n\n"
	"List the threads that sleep in a channel, what for, and whom each waits for. CYCLE marks\n"
	"processes that wait for each other in a circle: none of them goes on, unless by another of\n"
	"its threads. Who sleeps in poll(2), epoll or io_uring is not seen. Threads of other users\n"
	"are for the channel's owner and root.\n\n"
	LOOK_HELP;

/* A thread that waits; an edge from its process to another, where it is known for whom. */
struct wait {
	struct msgc_wait_row row;
	char channel[MSGC_NAME];
	char on[WHO_SHOWN];		/* empty: anybody */
	int pid, on_pid;		/* 0: not known */
	size_t circle;			/* 0: in none */
};

struct waits {
	struct wait *wait;
	size_t n;
};

/* ---- collecting ---- */

static bool has_server(const struct msgc_peer *peers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (peers[i].role == MSGC_RECEIVER && peers[i].state == MSGC_LIVE)
			return true;
	return false;
}

static void add(struct waits *all, const struct msgc_wait_row *row, const char *channel,
		const struct msgc_peer *peers, size_t n)
{
	const struct msgc_peer *own = find_peer(peers, n, row->endpoint);
	const struct msgc_peer *on = row->on ? find_peer(peers, n, row->on) : NULL;
	struct wait *w = &all->wait[all->n++];

	*w = (struct wait){ .row = *row, .pid = own ? own->pid : 0 };
	snprintf(w->channel, sizeof(w->channel), "%s", channel);
	if (on) {
		show_who(w->on, on->comm, on->pid);
		w->on_pid = on->pid;
	} else if (row->call_state == MSGC_QUEUED && !has_server(peers, n)) {
		snprintf(w->on, sizeof(w->on), "(no server)");
	}
}

static int collect(void *arg, int fd, const char *channel)
{
	struct msgc_wait_row *rows;
	struct msgc_peer *peers;
	struct waits *all = arg;
	size_t n, n_peers;
	int err = channel_waits(fd, &rows, &n);

	if (err)
		return err;
	err = channel_peers(fd, &peers, &n_peers);
	if (!err) {
		all->wait = realloc(all->wait, (all->n + n + 1) * sizeof(all->wait[0]));
		if (!all->wait)
			abort();
		for (size_t i = 0; i < n; i++)
			add(all, &rows[i], channel, peers, n_peers);
		free(peers);
	}
	free(rows);
	return err;
}

static void mark_circles(struct waits *all)
{
	struct wait_edge *edge = calloc(all->n + 1, sizeof(edge[0]));

	if (!edge)
		abort();
	for (size_t i = 0; i < all->n; i++)
		edge[i] = (struct wait_edge){ all->wait[i].pid, all->wait[i].on_pid, 0 };
	find_circles(edge, all->n);
	for (size_t i = 0; i < all->n; i++)
		all->wait[i].circle = edge[i].circle;
	free(edge);
}

/* ---- printing ---- */

static const char *state_text(const struct msgc_wait_row *row, char *buf)
{
	static const struct { uint32_t bit; const char *text; } events[] = {
		{ MSGC_IN, "in" }, { MSGC_OUT, "out" }, { MSGC_PRI, "pri" },
	};

	switch (row->what) {
	case MSGC_WAITS_OUTCOME:
		return row->call_state == MSGC_QUEUED ? "CALL/queue" :
			row->call_state == MSGC_TAKEN ? "CALL/taken" : "CALL";
	case MSGC_WAITS_CALL:
		return "RECV";
	case MSGC_WAITS_CLAIM:
		return "CLAIM";
	}
	strcpy(buf, "WAIT/");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (!(row->slot & events[i].bit))
			continue;
		if (buf[5])
			strcat(buf, ",");
		strcat(buf, events[i].text);
	}
	return buf;
}

static void row_of(struct table *t, const struct wait *w)
{
	char buf[WHO_SHOWN];
	uint64_t now = now_ns();

	table_row(t);
	table_count(t, B_TID, (uint32_t)w->row.tid);
	escape(buf, sizeof(buf), w->row.comm, strnlen(w->row.comm, sizeof(w->row.comm)));
	table_text(t, B_COMM, buf);
	table_text(t, B_STATE, state_text(&w->row, buf));
	table_text(t, B_CHANNEL, w->channel);
	if (w->on[0])
		table_text(t, B_ON, w->on);
	table_time(t, B_SINCE, now > w->row.since_ns ? now - w->row.since_ns : 0);
	if (w->row.deadline != MSGC_FOREVER)
		table_time(t, B_DEADLINE, w->row.deadline > now ? w->row.deadline - now : 0);
	if (w->row.prio)
		table_count(t, B_PRIO, (uint32_t)w->row.prio);
	if (w->row.boost)
		table_count(t, B_BOOST, (uint32_t)w->row.boost);
	if (w->circle)
		table_count(t, B_CYCLE, w->circle);
	table_count(t, B_PID, (uint32_t)w->pid);
	table_count(t, B_ID, w->row.endpoint);
	if (w->row.on)
		table_count(t, B_ONID, w->row.on);
}

struct place {
	int dev;
	char only[MSGC_NAME];		/* channel as it is shown; empty: all */
};

static int print(const struct look *l, void *arg)
{
	const struct place *p = arg;
	struct waits all = { 0 };
	struct table *t = table_new("blocked", l);
	int err = each_channel(p->dev, collect, &all);

	if (!err) {
		mark_circles(&all);
		for (size_t i = 0; i < all.n; i++)
			if (!p->only[0] || !strcmp(p->only, all.wait[i].channel))
				row_of(t, &all.wait[i]);
		table_print(t);
	}
	free(all.wait);
	table_free(t);
	return err ? fail(err, "no answer from the module") : ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = { .verb = &verb_blocked, .columns = columns, .n_columns = N_COLUMNS };
	int fd, status = look_options(&l, argc, argv);
	struct place p = { 0 };
	struct msgc_info info;
	char name[SHOWN];

	if (status != LOOK_ON)
		return status;
	if (optind < argc) {
		fd = look_up(name_arg(argc, argv, optind), &info);
		if (fd < 0)
			return status_of(fd);
		close(fd);
		snprintf(p.only, sizeof(p.only), "%s", show_name(name, &info));
	}
	p.dev = device_open();
	if (p.dev < 0)
		return status_of(p.dev);
	return look(&l, print, &p);
}

const struct verb verb_blocked = { "blocked", NULL, "list who waits for whom", help, run };
