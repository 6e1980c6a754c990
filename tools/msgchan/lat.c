// SPDX-License-Identifier: MIT
/*
 * How old messages are when they are seen.
 */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "cli.h"

enum {
	L_MESSAGES, L_MIN, L_P50, L_P90, L_P99, L_P999, L_MAX, L_UNTIMED, L_MISSED, N_COLUMNS
};

static const struct column columns[] = {
	[L_MESSAGES] = { "MESSAGES", COL_NUMBER, "measured: those with a timestamp" },
	[L_MIN] = { "MIN", COL_NUMBER, "shortest time from commit to here" },
	[L_P50] = { "P50", COL_NUMBER, "half of the messages took no longer" },
	[L_P90] = { "P90", COL_NUMBER, "90 of 100" },
	[L_P99] = { "P99", COL_NUMBER, "99 of 100" },
	[L_P999] = { "P99.9", COL_NUMBER, "999 of 1000" },
	[L_MAX] = { "MAX", COL_NUMBER, "the longest" },
	[L_UNTIMED] = { "UNTIMED", COL_NUMBER, "without a timestamp, or with one in the future" },
	[L_MISSED] = { "MISSED", COL_NUMBER | COL_ALERT, "overwritten before they were seen" },
};

static const char help[] =
	"Usage: msgchan lat [OPTIONS] NAME\n\n"
	"Measure how long messages of a ring channel take from their commit to this observer, and\n"
	"print that at the end, or every --watch TIME. Senders have to put timestamps on messages\n"
	"(IPC_TIMED of libipc, 'send --timestamp'). Nothing is consumed and nobody is held up. It\n"
	"looks without a pause, which keeps a CPU busy; with --interval times may be that much\n"
	"longer. They are exact to 2 %.\n\n"
	"      --sender WHO     only of one sender: COMM[PID] as 'who' prints it, a PID, or an id\n"
	"      --count N        end after N messages\n"
	"      --duration TIME  end after TIME (5, 250ms, 2m)\n"
	"      --interval TIME  look every TIME; default: all the time\n"
	"      --wait           wait for the channel to be created\n\n"
	LOOK_HELP;

static const struct option options[] = { LOOK_OPTIONS, OBSERVE_OPTIONS, { 0 } };

/* Powers of two, each in SUB parts; below SUB exact. */
#define SUB_BITS	6
#define SUB		(1U << SUB_BITS)
#define BUCKETS		((64 - SUB_BITS + 1) * SUB)

struct histogram {
	uint64_t n, min, max, untimed, missed;
	uint64_t bucket[BUCKETS];
};

struct measuring {
	struct observing o;		/* first */
	struct look look;
	struct histogram h;
	uint64_t printed;		/* when */
	uint64_t prints, timed, untimed;	/* in all of them */
};

static unsigned int bucket_of(uint64_t v)
{
	unsigned int shift;

	if (v < SUB)
		return (unsigned int)v;
	shift = 63U - SUB_BITS - (unsigned int)__builtin_clzll(v);
	return (shift + 1) * SUB + (unsigned int)(v >> shift) - SUB;
}

/* The greatest value of a bucket. */
static uint64_t edge_of(unsigned int i)
{
	unsigned int shift;

	if (i < SUB)
		return i;
	shift = i / SUB - 1;
	return ((SUB + i % SUB + 1ULL) << shift) - 1;
}

/* The age that @part of 1000 messages do not exceed. */
static uint64_t quantile(const struct histogram *h, unsigned int part)
{
	uint64_t rank = h->n - h->n / 1000 * (1000 - part) - h->n % 1000 * (1000 - part) / 1000;
	uint64_t seen = 0, edge;
	unsigned int i;

	for (i = 0; i < BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			break;
	}
	edge = edge_of(i);
	return edge < h->max ? edge : h->max;
}

static void message(struct observing *o, const struct ipc_msg *m)
{
	struct histogram *h = &((struct measuring *)o)->h;
	uint64_t age = o->now - m->time;

	h->missed += m->missed;
	if (!m->time || m->time > o->now) {
		h->untimed++;
		return;
	}
	h->min = h->n && h->min < age ? h->min : age;
	h->max = h->max > age ? h->max : age;
	h->n++;
	h->bucket[bucket_of(age)]++;
}

static void row(struct table *t, const struct histogram *h)
{
	table_row(t);
	table_count(t, L_MESSAGES, h->n);
	table_count(t, L_UNTIMED, h->untimed);
	table_count(t, L_MISSED, h->missed);
	if (!h->n)
		return;
	table_time(t, L_MIN, h->min);
	table_time(t, L_P50, quantile(h, 500));
	table_time(t, L_P90, quantile(h, 900));
	table_time(t, L_P99, quantile(h, 990));
	table_time(t, L_P999, quantile(h, 999));
	table_time(t, L_MAX, h->max);
}

static void print(struct measuring *m)
{
	struct table *t = table_new("latencies", &m->look);

	look_begin(&m->look);
	row(t, &m->h);
	table_print(t);
	table_free(t);
	m->prints++;
	m->timed += m->h.n;
	m->untimed += m->h.untimed;
}

static int looked(struct observing *o)
{
	struct measuring *m = (struct measuring *)o;

	if (!m->printed)
		m->printed = o->now;
	if (!m->look.every || o->now - m->printed < m->look.every)
		return ST_OK;
	print(m);
	memset(&m->h, 0, sizeof(m->h));
	m->printed = o->now;
	return look_end(&m->look);
}

/* What has not been printed yet, and what was not measured. */
static int conclude(struct measuring *m, int status)
{
	const char *name = m->o.connect.name;
	const struct histogram *h = &m->h;

	if (!m->o.ep)
		return status;		/* it never began */
	if (h->n || h->untimed || !m->prints)
		print(m);
	fflush(stdout);
	if (m->timed && m->untimed)
		notice("%s: %" PRIu64 " of %" PRIu64 " messages carried no timestamp: not measured",
		       name, m->untimed, m->timed + m->untimed);
	if (m->timed || status)
		return status;
	if (!m->untimed)
		return complain(ST_FAILED, "%s: no message was seen", name);
	return complain(ST_FAILED,
			"%s: none of %" PRIu64 " messages has a timestamp: see 'send --timestamp'",
			name, m->untimed);
}

static bool option(void *arg, int c)
{
	return observe_option(&((struct measuring *)arg)->o, c, optarg);
}

static int run(int argc, char **argv)
{
	static struct measuring m = {
		.o = {
			.message = message, .looked = looked, .how.flags = IPC_STAY,
			.duration = TIME_FOREVER, .left = UINT64_MAX,
		},
		.look = { .verb = &verb_lat, .columns = columns, .n_columns = N_COLUMNS },
	};
	int status = look_more_options(&m.look, argc, argv, options, option, &m);

	if (status != LOOK_ON)
		return status;
	status = conclude(&m, observe(&m.o, name_arg(argc, argv, optind)));
	return stopped() ? die_by(stopped()) : status;
}

const struct verb verb_lat = { "lat", NULL, "measure how old messages are when seen", help, run };
