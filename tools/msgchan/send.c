// SPDX-License-Identifier: MIT
/*
 * Standard input into a channel: by block, by line, or whole.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define BLOCK	65536U
#define RING	(1U << 20)	/* libipc's default */
#define RING_MIN	4096U		/* what the kernel rounds up to */

static const char help[] =
	"Usage: PRODUCER | msgchan send [OPTIONS] NAME\n\n"
	"Send standard input: what there is, up to a block, becomes a message at once. 'msgchan\n"
	"recv' writes the same bytes again. At the end of the input it waits until all has been\n"
	"received. On a rendezvous channel each message waits until a server has taken it.\n\n"
	"  -l, --lines          a message per line, with its newline\n"
	"  -w, --whole          the whole input as one message\n"
	"  -B, --block SIZE     largest message otherwise; default 64K\n"
	"  -c, --create         create a ring channel if there is none; it goes with its last user\n"
	"      --wait           wait for the channel to be created\n"
	"  -r, --ring SIZE      size of the ring; default 1M, or what --whole takes\n"
	"  -t, --timeout TIME   end with status 5 when a wait takes longer (5, 250ms, 2m)\n"
	"      --drop           where there is no room, drop the message instead of waiting; others\n"
	"                       see it counted, and the exit status is 7\n"
	"      --no-drain       leave at the end of the input: what nobody has received then\n"
	"                       stays only as long as the channel does\n"
	"      --timestamp      put the time on each message, for 'msgchan lat' and others\n"
	"      --type N         tags of the messages, which mean what you want them to\n"
	"      --format NAME    binary, text, json, xml, cbor, or a number (yours: 128 to 255)\n"
	"      --cookie N\n"
	"  -h, --help           this text\n";

enum { O_WAIT = 256, O_NO_DRAIN, O_DROP, O_TIMESTAMP, O_TYPE, O_FORMAT, O_COOKIE };

static const struct option options[] = {
	{ "lines", no_argument, NULL, 'l' },
	{ "whole", no_argument, NULL, 'w' },
	{ "block", required_argument, NULL, 'B' },
	{ "create", no_argument, NULL, 'c' },
	{ "wait", no_argument, NULL, O_WAIT },
	{ "ring", required_argument, NULL, 'r' },
	{ "timeout", required_argument, NULL, 't' },
	{ "no-drain", no_argument, NULL, O_NO_DRAIN },
	{ "drop", no_argument, NULL, O_DROP },
	{ "timestamp", no_argument, NULL, O_TIMESTAMP },
	{ "type", required_argument, NULL, O_TYPE },
	{ "format", required_argument, NULL, O_FORMAT },
	{ "cookie", required_argument, NULL, O_COOKIE },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct sending {
	struct connect connect;
	struct ipc_attach how;
	struct ipc_channel *ch;
	struct ipc_endpoint *ep;
	struct progress progress;
	uint64_t timeout, cookie;
	uint32_t block, type;
	uint8_t format;
	bool lines, whole, no_drain;
	bool drop;			/* what there is no room for */
	uint64_t dropped;
	bool calls;			/* on a rendezvous channel */
	char *input;			/* --whole */
	size_t input_len;
	int input_error;
};

/* One read, or, where a message has to be @whole, as many as it takes: bytes, 0 at the end. */
static ssize_t read_input(struct sending *s, char *to, size_t room, bool whole)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read_some(STDIN_FILENO, to + len, room - len);
		len += n > 0 ? (size_t)n : 0;
	} while (whole && n > 0 && len < room);
	if (n < 0 && n != -EINTR)
		s->input_error = (int)n;
	return n < 0 ? n : (ssize_t)len;
}

/* ---- one message ---- */

static int reserve(struct sending *s, struct ipc_msg *m, size_t len)
{
	int err;

	if (len > UINT32_MAX)
		return -EMSGSIZE;
	do
		err = ipc_reserve(s->ep, m, (uint32_t)len, s->drop ? IPC_NOW : until(s->timeout));
	while (err == -EINTR && !stopped());
	return err;
}

/* The receiver sees it with the next publish; a server has taken it when this returns. */
static int commit(struct sending *s, struct ipc_msg *m, size_t len)
{
	int err;

	m->len = (uint32_t)len;
	m->type = s->type;
	m->format = s->format;
	m->cookie = s->cookie;
	if (s->calls)
		err = ipc_send(s->ep, m, s->timeout ? until(s->timeout) : ipc_in(1));
	else
		err = ipc_commit(s->ep, m);
	if (!err)
		progress_add(&s->progress, 1, len);
	return err;
}

static int publish(struct sending *s)
{
	int err = s->calls ? 0 : ipc_publish(s->ep);

	return err < 0 ? err : 0;
}

static int put(struct sending *s, const char *data, size_t len)
{
	struct ipc_msg m = { 0 };
	int err = reserve(s, &m, len);

	if (err == -EAGAIN && s->drop) {
		s->dropped++;
		return ipc_drop(s->ep, 1);
	}
	if (err)
		return err;
	if (len)
		memcpy(m.data, data, len);
	return commit(s, &m, len);
}

/* ---- by block ---- */

/* How much can be read without waiting, 0 where that is not known. */
static size_t pending(void)
{
	struct stat st;
	off_t at;
	int n;

	if (!fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode)) {
		at = lseek(STDIN_FILENO, 0, SEEK_CUR);
		return at >= 0 && at < st.st_size ? (size_t)(st.st_size - at) : 0;
	}
	return !ioctl(STDIN_FILENO, FIONREAD, &n) && n > 0 ? (size_t)n : 0;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Straight from the file into the ring. Returns bytes, 0 at the end. */
static ssize_t read_in_place(struct sending *s, size_t want)
{
	struct ipc_msg m = { 0 };
	ssize_t n;
	int err = reserve(s, &m, want);

	if (err)
		return err;
	n = read_input(s, m.data, want, s->whole);
	if (n <= 0) {
		ipc_abandon(s->ep, &m);
		return n;
	}
	err = commit(s, &m, (size_t)n);
	return err ? err : n;
}

/*
 * How much there is nobody can say: to reserve a block for a few bytes would waste the ring. Or it
 * has to be read also where there is no room for it.
 */
static ssize_t read_and_copy(struct sending *s)
{
	static char buf[BLOCK];
	ssize_t n = read_input(s, buf, least(s->block, sizeof(buf)), false);
	int err = n > 0 ? put(s, buf, (size_t)n) : 0;

	return err ? err : n;
}

static int send_blocks(struct sending *s)
{
	ssize_t n;

	do {
		size_t ready;

		n = wait_ready(STDIN_FILENO, POLLIN, NULL);
		if (n < 0)
			return (int)n;
		ready = pending();
		if (ready && !s->drop)
			n = read_in_place(s, least(ready, s->block));
		else
			n = read_and_copy(s);
		if (n > 0) {
			int err = publish(s);

			n = err ? err : n;
		}
	} while (n > 0);
	return (int)n;
}

/* ---- by line ---- */

struct lines {
	char *buf;
	size_t room, len;		/* bytes read and not sent yet */
};

static int make_room(struct lines *l)
{
	char *more;

	if (l->len < l->room)
		return 0;
	more = realloc(l->buf, l->room = l->room ? 2 * l->room : BLOCK);
	if (!more)
		return -ENOMEM;
	l->buf = more;
	return 0;
}

/* All lines that are complete; the rest moves to the front. */
static int put_lines(struct sending *s, struct lines *l)
{
	char *at = l->buf, *end = l->buf + l->len, *nl;
	int err = 0;

	while (!err && (nl = memchr(at, '\n', (size_t)(end - at)))) {
		err = put(s, at, (size_t)(nl + 1 - at));
		at = nl + 1;
	}
	l->len = (size_t)(end - at);
	memmove(l->buf, at, l->len);
	return err ? err : publish(s);
}

/* What a read gave is published before the next one: no line waits for a slow producer. */
static int send_lines(struct sending *s)
{
	struct lines l = { 0 };
	ssize_t n;
	int err;

	do {
		err = make_room(&l);
		n = err ? err : read_input(s, l.buf + l.len, l.room - l.len, false);
		if (n > 0) {
			l.len += (size_t)n;
			err = put_lines(s, &l);
		}
	} while (n > 0 && !err);
	if (!err && !n && l.len)
		err = put(s, l.buf, l.len);	/* a last line without a newline */
	free(l.buf);
	return err ? err : n < 0 ? (int)n : publish(s);
}

/* ---- whole ---- */

static int send_whole(struct sending *s)
{
	size_t ready = pending();
	ssize_t n;
	int err;

	if (!s->input && ready) {
		n = read_in_place(s, ready);
		err = n < 0 ? (int)n : 0;
	} else {
		err = put(s, s->input, s->input_len);
	}
	return err ? err : publish(s);
}

/* The size decides about the ring. A file is read later, into it; anything else now. */
static int prepare_whole(struct sending *s)
{
	size_t len = pending();
	struct stat st;
	int err = 0;

	if (fstat(STDIN_FILENO, &st) || !S_ISREG(st.st_mode) || !len) {
		err = read_whole(STDIN_FILENO, &s->input, &s->input_len);
		len = s->input_len;
	}
	if (!err && !s->how.ring && len >= RING / 2)
		s->how.ring = len + 4096;	/* and its header; rounded up to a power of two */
	return err;
}

/* ---- the verb ---- */

static int too_long(const struct sending *s)
{
	if (s->calls)
		return complain(ST_USAGE,
				"%s: longer than the channel's requests may be ('msgchan info %s')",
				s->connect.name, s->connect.name);
	return complain(ST_USAGE,
			"%s: a message does not fit the ring: try --ring ('msgchan info %s': RINGMAX)",
			s->connect.name, s->connect.name);
}

static int explain(struct sending *s, int err)
{
	char why[256];

	if (s->input_error) {
		fail(s->input_error, "standard input");
		return ST_FAILED;
	}
	if (err == -EMSGSIZE)
		return too_long(s);
	if (err == -EAGAIN)
		err = -ETIMEDOUT;
	ipc_why(s->ep, err, why, sizeof(why));
	return complain(status_of(err), "%s: %s", s->connect.name, why);
}

static void tell_left_behind(struct sending *s)
{
	struct msgc_info info;
	char size[SHOWN];

	if (!channel_info(ipc_channel_fd(s->ch), &info) && info.mode == MSGC_RING && info.depth)
		notice("%s: stopped; %s of the channel have not been received", s->connect.name,
		       show_size(size, info.depth));
}

static int drain(struct sending *s)
{
	int err;

	if (s->calls || s->no_drain)
		return 0;
	do
		err = ipc_drain(s->ep, until(s->timeout));
	while (err == -EINTR && !stopped());
	return err;
}

static int transfer(void *arg)
{
	struct sending *s = arg;
	int err;

	progress_begin(&s->progress, false);
	err = s->whole ? send_whole(s) : s->lines ? send_lines(s) : send_blocks(s);
	if (!err)
		err = drain(s);
	progress_end(&s->progress);
	if (err && stopped())
		tell_left_behind(s);
	else if (err)
		return explain(s, err);
	if (s->dropped)
		return complain(ST_LOST, "%s: %" PRIu64 " messages were dropped: there was no room",
				s->connect.name, s->dropped);
	return ST_OK;
}

/*
 * A block has to fit a request, or a quarter of a ring: then both sides have work. A client has no
 * ring, and pays for its slots whatever they cost.
 */
static void fit(struct sending *s, const struct msgc_info *info)
{
	uint64_t ring = s->how.ring ? s->how.ring : RING;

	s->calls = info->mode == MSGC_RENDEZVOUS;
	/* nobody acknowledges there */
	s->no_drain |= !!(info->flags & MSGC_UNTETHERED_ONLY);
	if (s->calls)
		s->how.ring = UINT64_MAX;
	ring = least(ring < RING_MIN ? RING_MIN : ring, info->ring_max);
	s->block = (uint32_t)least(s->block, s->calls ? info->request : ring / 4);
	if (!s->block)
		s->block = 1;		/* to read 0 bytes would look like the end of the input */
}

static int send_input(struct sending *s)
{
	struct msgc_info info;
	int err = s->whole ? prepare_whole(s) : 0, status;

	if (err) {
		fail(err, "standard input");
		return ST_FAILED;
	}
	if (s->connect.options.ring_max < s->how.ring)
		s->connect.options.ring_max = s->how.ring;
	err = connect_channel(&s->connect, &s->ch, &info);
	if (err)
		return status_of(err);
	fit(s, &info);
	if (s->calls && (s->drop || s->how.flags & IPC_TIMED)) {
		ipc_close(s->ch);
		return usage("--%s is for ring channels", s->drop ? "drop" : "timestamp");
	}
	status = work_in(s->connect.name, s->ch, &s->how, &s->ep, transfer, s);
	return stopped() ? die_by(stopped()) : status;
}

static void tag_option(struct sending *s, int c)
{
	if (c == O_TYPE)
		s->type = (uint32_t)number_arg("--type", optarg, UINT32_MAX);
	else if (c == O_FORMAT)
		s->format = format_arg(optarg);
	else
		s->cookie = number_arg("--cookie", optarg, UINT64_MAX);
}

static bool option(struct sending *s, int c)
{
	switch (c) {
	case 'l':
		s->lines = true;
		return true;
	case 'w':
		s->whole = true;
		return true;
	case 'B':
		s->block = (uint32_t)least(size_arg("--block", optarg), 1U << 30);
		return true;
	case 'c':
		s->connect.create = true;
		return true;
	case O_WAIT:
		s->connect.wait = true;
		return true;
	case 'r':
		s->how.ring = size_arg("--ring", optarg);
		return true;
	case 't':
		s->timeout = time_arg("--timeout", optarg);
		return true;
	case O_NO_DRAIN:
		s->no_drain = true;
		return true;
	case O_DROP:
		s->drop = true;
		return true;
	case O_TIMESTAMP:
		s->how.flags |= IPC_TIMED;
		return true;
	case O_TYPE:
	case O_FORMAT:
	case O_COOKIE:
		tag_option(s, c);
		return true;
	default:
		return false;
	}
}

static int run(int argc, char **argv)
{
	struct sending s = {
		.connect = {
			.rights = IPC_WRITE,
			.may_create = true,
			.options = { .size = sizeof(struct ipc_options), .ring_max = RING_MAX },
		},
		.how = { .size = sizeof(struct ipc_attach), .role = IPC_SENDER },
		.timeout = TIME_FOREVER,
		.block = BLOCK,
	};
	int c, status;

	while ((c = getopt_long(argc, argv, "lwB:cr:t:h", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_send);
		if (!option(&s, c))
			return bad_option();
	}
	if (s.lines && s.whole)
		return usage("--lines or --whole, not both");
	if (!s.block)
		return usage("--block: at least 1");
	s.connect.name = name_arg(argc, argv, optind);
	s.connect.timeout = s.timeout;
	status = send_input(&s);
	free(s.input);
	return status;
}

const struct verb verb_send = { "send", NULL, "send standard input", help, run };
