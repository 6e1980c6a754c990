// SPDX-License-Identifier: MIT
/*
 * How many messages pass by, and how regularly.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli.h"

#define EVERY	1000000ULL	/* between looks: the grain of gaps without timestamps */
#define PRINT	1000000000ULL

enum {
	Z_SENDER, Z_MESSAGES, Z_RATE, Z_MIN, Z_MAX, Z_STDDEV, Z_BYTES, Z_MISSED, Z_TIMED, N_COLUMNS
};

static const struct column columns[] = {
	[Z_SENDER] = { "SENDER", 0, "comm[pid]; all: of the channel" },
	[Z_MESSAGES] = { "MESSAGES", COL_NUMBER, "seen since the last print" },
	[Z_RATE] = { "RATE", COL_NUMBER, "messages a second" },
	[Z_MIN] = { "MIN", COL_NUMBER, "shortest time between two messages" },
	[Z_MAX] = { "MAX", COL_NUMBER, "longest time between two messages" },
	[Z_STDDEV] = { "STDDEV", COL_NUMBER, "standard deviation of these times" },
	[Z_BYTES] = { "BYTES/S", COL_NUMBER, "payload a second" },
	[Z_MISSED] = { "MISSED", COL_NUMBER | COL_ALERT, "overwritten before they were seen" },
	[Z_TIMED] = { "TIMED", COL_NUMBER | COL_MORE, "messages that carry a timestamp" },
};

static const char help[] =
	"Usage: msgchan hz [OPTIONS] NAME\n\n"
	"Print how many messages pass through a ring channel, and how regularly, every second until\n"
	"a signal. Nothing is consumed and nobody is held up. Times are between timestamps where\n"
	"messages carry them ('send --timestamp'), else between the looks that saw the messages.\n\n"
	"      --each           a line per sender\n"
	"      --sender WHO     only of one sender: COMM[PID] as 'who' prints it, a PID, or an id\n"
	"      --count N        end after N messages\n"
	"      --duration TIME  end after TIME (5, 250ms, 2m)\n"
	"      --interval TIME  look every TIME; default 1ms\n"
	"      --wait           wait for the channel to be created\n\n"
	LOOK_HELP;

enum { O_EACH = 256 };

static const struct option options[] = {
	LOOK_OPTIONS,
	OBSERVE_OPTIONS,
	{ "each", no_argument, NULL, O_EACH },
	{ 0 }
};

/* Of one sender, or of all. */
struct figures {
	uint32_t id;
	uint64_t messages, bytes, missed, timed;	/* since the last print */
	uint64_t last;				/* time of the last message; 0: none yet */
	uint64_t gaps, min, max;
	double mean, squares;			/* of the gaps; sum of squared differences */
};

struct counting {
	struct observing o;		/* first */
	struct look look;
	struct figures all, of[MSGC_INDEX(~0U) + 1];
	uint64_t printed;		/* when */
	uint64_t idle_since;
	bool each;
};

/* Welford's: no sum that grows without bound. */
static void add_gap(struct figures *f, uint64_t gap)
{
	double diff = (double)gap - f->mean;

	f->min = f->gaps && f->min < gap ? f->min : gap;
	f->max = f->max > gap ? f->max : gap;
	f->gaps++;
	f->mean += diff / (double)f->gaps;
	f->squares += diff * ((double)gap - f->mean);
}

/* Timestamps are the senders' claims: one that lies ahead counts as none. */
static void add(struct figures *f, const struct ipc_msg *m, uint64_t now)
{
	bool timed = m->time && m->time <= now;
	uint64_t time = timed ? m->time : now;

	if (f->last)
		add_gap(f, time > f->last ? time - f->last : 0);
	f->last = time;
	f->messages++;
	f->bytes += m->len;
	f->missed += m->missed;
	f->timed += timed;
}

static void message(struct observing *o, const struct ipc_msg *m)
{
	struct counting *c = (struct counting *)o;
	struct figures *f = &c->of[MSGC_INDEX(m->peer)];

	if (f->id != m->peer)
		*f = (struct figures){ .id = m->peer };
	add(&c->all, m, o->now);
	add(f, m, o->now);
}

static void begin_again(struct figures *f)
{
	*f = (struct figures){ .id = f->id, .last = f->last };
}

/* Newton's method: not worth a library. */
static double root(double v)
{
	double r = v > 1 ? v : 1;

	for (int i = 0; i < 64; i++)
		r = (r + v / r) / 2;
	return r;
}

static void row(struct table *t, const char *who, const struct figures *f, uint64_t elapsed)
{
	double seconds = (double)elapsed / 1e9;

	table_row(t);
	table_text(t, Z_SENDER, who);
	table_count(t, Z_MESSAGES, f->messages);
	table_real(t, Z_RATE, (double)f->messages / seconds);
	table_size(t, Z_BYTES, (uint64_t)((double)f->bytes / seconds));
	table_count(t, Z_MISSED, f->missed);
	table_count(t, Z_TIMED, f->timed);
	if (!f->gaps)
		return;
	table_time(t, Z_MIN, f->min);
	table_time(t, Z_MAX, f->max);
	table_time(t, Z_STDDEV, (uint64_t)root(f->squares / (double)f->gaps));
}

static void print(struct counting *c, uint64_t elapsed)
{
	struct table *t = table_new("rates", &c->look);
	char who[WHO_SHOWN];

	for (size_t i = 0; c->each && i < ARRAY_SIZE(c->of); i++) {
		const struct ipc_peer *peer;

		if (!c->of[i].messages)
			continue;
		peer = sender_of(c->o.ep, c->of[i].id);
		row(t, show_who(who, peer->comm, peer->pid), &c->of[i], elapsed);
		begin_again(&c->of[i]);
	}
	if (!c->each)
		row(t, "all", &c->all, elapsed);
	table_print(t);
	table_free(t);
}

static void tell_idle(struct counting *c)
{
	char age[SHOWN];

	printf("no new messages for %s\n", show_age(age, c->o.now - c->idle_since));
}

static int looked(struct observing *o)
{
	struct counting *c = (struct counting *)o;
	bool last = !o->left || o->now >= o->end;

	if (!c->printed) {
		c->printed = o->now;
		c->idle_since = o->now;
	}
	if (o->now - c->printed < c->look.every && !last)
		return ST_OK;
	look_begin(&c->look);
	if (c->all.messages)
		c->idle_since = o->now;
	if (c->all.messages || c->look.json)
		print(c, o->now > c->printed ? o->now - c->printed : 1);
	else
		tell_idle(c);
	begin_again(&c->all);
	c->printed = o->now;
	return last ? ST_OK : look_end(&c->look);
}

static bool option(void *arg, int c)
{
	struct counting *count = arg;

	if (c != O_EACH)
		return observe_option(&count->o, c, optarg);
	count->each = true;
	return true;
}

static int run(int argc, char **argv)
{
	static struct counting c = {
		.o = {
			.message = message, .looked = looked, .every = EVERY,
			.how.flags = IPC_STAY, .duration = TIME_FOREVER, .left = UINT64_MAX,
		},
		.look = {
			.verb = &verb_hz, .columns = columns, .n_columns = N_COLUMNS,
			.every = PRINT,
		},
	};
	int status = look_more_options(&c.look, argc, argv, options, option, &c);

	if (status != LOOK_ON)
		return status;
	status = observe(&c.o, name_arg(argc, argv, optind));
	return stopped() ? die_by(stopped()) : status;
}

const struct verb verb_hz = { "hz", NULL, "count messages that pass by", help, run };
