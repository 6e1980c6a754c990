// SPDX-License-Identifier: MIT
/*
 * Messages of a channel, shown as they pass by.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "cli.h"

#define SHOW	256		/* bytes of a payload that a line has */
#define EVERY	10000000ULL

static const char help[] =
	"Usage: msgchan tap [OPTIONS] NAME\n\n"
	"Show the messages of a ring channel from now on, until all senders have left. Nothing is\n"
	"consumed and nobody is held up; what is overwritten before this command looks is missed,\n"
	"and it says so. (Not so of a sender that comes and goes between two looks.) A line is:\n"
	"sender, number of the message, length, and the payload, with what is not printable as\n"
	"\\xNN, and cut.\n\n"
	"  -n, --count N        end after N messages\n"
	"  -f, --follow         do not end with the senders: wait for others\n"
	"      --oldest         begin with the oldest message that is still there\n"
	"  -s, --sender WHO     only of one sender: COMM[PID] as 'who' prints it, a PID, or an id\n"
	"  -d, --duration TIME  end after TIME (5, 250ms, 2m)\n"
	"  -i, --interval TIME  look every TIME; default 10ms\n"
	"      --wait           wait for the channel to be created\n"
	"  -J, --json           an object per message and line, as of recv\n"
	"  -r, --raw            the payloads alone, as they are\n"
	"  -h, --help           this text\n\n"
	"Exit status 7: messages were missed.\n";

enum { O_OLDEST = 256 };

static const struct option options[] = {
	{ "follow", no_argument, NULL, 'f' },
	{ "oldest", no_argument, NULL, O_OLDEST },
	{ "json", no_argument, NULL, 'J' },
	{ "raw", no_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	OBSERVE_OPTIONS,
	{ 0 }
};

struct tapping {
	struct observing o;		/* first */
	bool json, raw;
	int die_by;
};

static void print_line(struct ipc_endpoint *ep, const struct ipc_msg *m)
{
	const struct ipc_peer *peer = sender_of(ep, m->peer);
	char who[WHO_SHOWN], text[4 * SHOW + 1];
	uint32_t len = m->len < SHOW ? m->len : SHOW;

	show_who(who, peer->comm, peer->pid);
	if (m->missed)
		printf("%-16s   %" PRIu64 " missed\n", who, m->missed);
	escape_bytes(text, sizeof(text), m->data, len);
	printf("%-16s %8" PRIu64 " %8" PRIu32 "  %s%s\n", who, m->seq, m->len, text,
	       len < m->len ? "..." : "");
}

static void message(struct observing *o, const struct ipc_msg *m)
{
	const struct tapping *t = (struct tapping *)o;

	if (t->json)
		print_message_json(o->ep, m);
	else if (t->raw)
		fwrite(m->data, 1, m->len, stdout);
	else
		print_line(o->ep, m);
}

/* What was seen is shown before the next look. */
static int looked(struct observing *o)
{
	struct tapping *t = (struct tapping *)o;

	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return ST_OK;
	if (errno == EPIPE) {
		t->die_by = SIGPIPE;
		return ST_FAILED;
	}
	return complain(ST_FAILED, "standard output: %s", strerror(errno ? errno : EIO));
}

static bool option(struct tapping *t, int c)
{
	switch (c) {
	case 'f':
		t->o.how.flags |= IPC_STAY;
		return true;
	case O_OLDEST:
		t->o.how.flags |= IPC_OLDEST;
		return true;
	case 'J':
		t->json = true;
		return true;
	case 'r':
		t->raw = true;
		return true;
	case 'n':
		return observe_option(&t->o, OBSERVE_COUNT, optarg);
	case 's':
		return observe_option(&t->o, OBSERVE_SENDER, optarg);
	case 'd':
		return observe_option(&t->o, OBSERVE_DURATION, optarg);
	case 'i':
		return observe_option(&t->o, OBSERVE_INTERVAL, optarg);
	default:
		return observe_option(&t->o, c, optarg);
	}
}

static int run(int argc, char **argv)
{
	struct tapping t = {
		.o = {
			.message = message, .looked = looked, .every = EVERY,
			.duration = TIME_FOREVER, .left = UINT64_MAX,
		},
	};
	int c, status;

	while ((c = getopt_long(argc, argv, "n:fs:d:i:Jrh", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_tap);
		if (!option(&t, c))
			return bad_option();
	}
	if (t.json && t.raw)
		return usage("--json or --raw, not both");
	status = observe(&t.o, name_arg(argc, argv, optind));
	if (t.die_by || stopped())
		return die_by(t.die_by ? t.die_by : stopped());
	if (!status && t.o.missed)
		return complain(ST_LOST, "%s: %" PRIu64 " messages were missed", t.o.connect.name,
				t.o.missed);
	return status;
}

const struct verb verb_tap = { "tap", NULL, "show messages that pass by", help, run };
