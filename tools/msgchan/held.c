// SPDX-License-Identifier: MIT
/*
 * What is taken and not given back: of rings, bytes; of calls, how many, and since when.
 */
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

enum {
	H_CHANNEL, H_HOLDER, H_SENDER, H_RECORDS, H_BYTES, H_OLDEST, H_ATTEMPTS, H_LAG, H_HOLDERID,
	H_SENDERID, N_COLUMNS
};

static const struct column columns[] = {
	[H_CHANNEL] = { "CHANNEL", COL_MORE, "name; shown where none is given" },
	[H_HOLDER] = { "HOLDER", 0, "receiver or server that has it: comm[pid]" },
	[H_SENDER] = { "SENDER", 0, "whose it is: comm[pid]" },
	[H_RECORDS] = { "RECORDS", COL_NUMBER, "calls, or messages of a balanced channel" },
	[H_BYTES] = { "BYTES", COL_NUMBER, "taken and not released; of calls: of the requests" },
	[H_OLDEST] = { "OLDEST", COL_NUMBER, "since the first of these was taken" },
	[H_ATTEMPTS] = { "ATTEMPTS", COL_NUMBER | COL_ALERT, "holders that died of it" },
	[H_LAG] = { "LAG", COL_NUMBER, "bytes published and not released by this holder" },
	[H_HOLDERID] = { "HOLDERID", COL_NUMBER | COL_MORE, "endpoint id, for evict" },
	[H_SENDERID] = { "SENDERID", COL_NUMBER | COL_MORE, "endpoint id" },
};

#define USUAL_OF_ALL "CHANNEL,HOLDER,SENDER,RECORDS,BYTES,OLDEST,ATTEMPTS,LAG"

static const char help[] =
	"Usage: msgchan held [OPTIONS] [NAME|#ID]\n\n"
	"List what receivers have taken and not released, and calls that servers have taken and not\n"
	"answered, of one channel or of all that you may look at. What processes of other users hold\n"
	"is for the channel's owner and root. 'msgchan evict' detaches a holder that hangs.\n\n"
	LOOK_HELP;

/* All that one holder has of one sender's. */
struct holding {
	struct msgc_wait_row first;
	uint64_t records, bytes, oldest;	/* oldest: 0, not known */
	uint32_t attempts;
};

static int by_pair(const void *a, const void *b)
{
	const struct msgc_wait_row *x = a, *y = b;

	if (x->endpoint != y->endpoint)
		return MSGC_INDEX(x->endpoint) < MSGC_INDEX(y->endpoint) ? -1 : 1;
	if (x->on != y->on)
		return MSGC_INDEX(x->on) < MSGC_INDEX(y->on) ? -1 : 1;
	return 0;
}

/* The rows from @row on that belong together: how many. */
static size_t sum_up(const struct msgc_wait_row *row, size_t n, struct holding *h)
{
	size_t i;

	*h = (struct holding){ .first = row[0], .oldest = row[0].since_ns };
	for (i = 0; i < n && !by_pair(&row[0], &row[i]); i++) {
		h->records++;
		h->bytes += row[i].bytes;
		h->oldest = row[i].since_ns < h->oldest ? row[i].since_ns : h->oldest;
		h->attempts = row[i].attempts > h->attempts ? row[i].attempts : h->attempts;
	}
	return i;
}

static void figures(struct table *t, const struct holding *h, const struct msgc_peer *sender)
{
	uint64_t now = now_ns();

	table_size(t, H_BYTES, h->bytes);
	table_count(t, H_ATTEMPTS, h->attempts);
	if (h->first.what == MSGC_HELD_RING) {
		if (sender && sender->tail >= h->first.position)
			table_size(t, H_LAG, sender->tail - h->first.position);
		return;
	}
	table_count(t, H_RECORDS, h->records);
	if (h->oldest)
		table_age(t, H_OLDEST, now > h->oldest ? now - h->oldest : 0);
}

static void row(struct table *t, const char *channel, const struct holding *h,
		const struct msgc_peer *sender)
{
	char who[WHO_SHOWN];

	table_row(t);
	table_text(t, H_CHANNEL, channel);
	table_text(t, H_HOLDER, show_who(who, h->first.comm, h->first.tid));
	if (sender)
		table_text(t, H_SENDER, show_who(who, sender->comm, sender->pid));
	table_count(t, H_HOLDERID, h->first.endpoint);
	table_count(t, H_SENDERID, h->first.on);
	figures(t, h, sender);
}

static int rows_of(void *to, int fd, const char *channel)
{
	struct msgc_wait_row *held;
	struct msgc_peer *peers;
	struct table *t = to;
	struct holding h;
	size_t n, n_peers;
	int err = channel_held(fd, &held, &n);

	if (err)
		return err;
	err = channel_peers(fd, &peers, &n_peers);
	if (!err) {
		qsort(held, n, sizeof(held[0]), by_pair);
		for (size_t i = 0; i < n;) {
			i += sum_up(&held[i], n - i, &h);
			row(t, channel, &h, find_peer(peers, n_peers, h.first.on));
		}
		free(peers);
	}
	free(held);
	return err;
}

struct place {
	int dev, fd;			/* of all channels, or of the named one */
	const char *name;
};

static int print(const struct look *l, void *arg)
{
	const struct place *p = arg;
	struct table *t = table_new("held", l);
	int err = p->name ? rows_of(t, p->fd, p->name) : each_channel(p->dev, rows_of, t);

	if (!err)
		table_print(t);
	table_free(t);
	return err ? fail(err, "no answer from the module") : ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = { .verb = &verb_held, .columns = columns, .n_columns = N_COLUMNS };
	int status = look_options(&l, argc, argv);
	struct place p = { 0 };
	struct msgc_info info;

	if (status != LOOK_ON)
		return status;
	if (optind < argc) {
		p.name = name_arg(argc, argv, optind);
		p.fd = look_up(p.name, &info);
	} else {
		l.shown = l.shown ? l.shown : USUAL_OF_ALL;
		p.dev = device_open();
	}
	if (p.fd < 0 || p.dev < 0)
		return status_of(p.fd < 0 ? p.fd : p.dev);
	return look(&l, print, &p);
}

const struct verb verb_held = { "held", NULL, "list what is taken and not given back", help, run };
