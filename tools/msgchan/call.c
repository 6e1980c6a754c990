// SPDX-License-Identifier: MIT
/*
 * Requests to a service, and its replies on standard output.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan call [OPTIONS] NAME [--] [WORD...]\n\n"
	"Call the service at NAME with the words, or with standard input where there are none, and\n"
	"print the reply.\n\n"
	"  -l, --lines          a call per line of standard input, several at a time; the replies\n"
	"                       are printed in order, each with a newline\n"
	"  -t, --timeout TIME   end a call that takes longer (5, 250ms, 2m)\n"
	"      --wait           wait for the channel to be created\n"
	"  -e, --need-server    fail at once where there is no server, instead of waiting for one\n"
	"      --type N         tags of the request\n"
	"      --format NAME    binary, text, json, xml, cbor, or a number (yours: 128 to 255)\n"
	"      --cookie N       not with --lines\n"
	"  -J, --json           an object per reply: result, tags, and payload as text, or as\n"
	"                       base64 where it is not UTF-8\n"
	"  -h, --help           this text\n\n"
	"Exit status 5: timed out, and surely not executed; 6: the server died, or the call may have\n"
	"been executed; 8: the service answered with another status than 0.\n";

enum { O_TYPE = 256, O_FORMAT, O_COOKIE };

static const struct option options[] = {
	{ "lines", no_argument, NULL, 'l' },
	{ "timeout", required_argument, NULL, 't' },
	{ "wait", no_argument, NULL, 'W' },
	{ "need-server", no_argument, NULL, 'e' },
	{ "type", required_argument, NULL, O_TYPE },
	{ "format", required_argument, NULL, O_FORMAT },
	{ "cookie", required_argument, NULL, O_COOKIE },
	{ "json", no_argument, NULL, 'J' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct calling {
	struct connect connect;
	struct ipc_endpoint *ep;
	uint64_t timeout, cookie;
	uint32_t type;
	uint8_t format, flags;
	bool lines, json;
	uint32_t slots;
	/* --lines */
	struct ipc_msg *done;		/* outcomes that wait for their turn, by line % slots */
	uint64_t started, printed;	/* lines whose call has begun, whose outcome is told */
	int status;			/* of the first call that failed */
};

static uint64_t call_deadline(const struct calling *c)
{
	/* IPC_NOW is no deadline for a call. */
	return c->timeout ? until(c->timeout) : ipc_in(1);
}

static void fill(const struct calling *c, struct ipc_msg *m, void *data, size_t len)
{
	*m = (struct ipc_msg){
		.data = data,
		.len = (uint32_t)len,
		.type = c->type,
		.format = c->format,
		.flags = c->flags,
		.cookie = c->cookie,
	};
}

/* ---- outcomes ---- */

static void print_json(const struct ipc_msg *m)
{
	printf("{\"result\":%" PRId32 ",\"type\":%" PRIu32 ",\"format\":", m->result, m->type);
	json_format(stdout, m->format);
	printf(",\"cookie\":%" PRIu64 ",\"len\":%" PRIu32 ",", m->cookie, m->len);
	json_payload(stdout, m->data, m->len);
	puts("}");
}

/* A newline where there is none: for the next line of --lines, or for the shell's prompt. */
static void print_reply(const struct calling *c, const struct ipc_msg *m)
{
	bool ended = m->len && ((const char *)m->data)[m->len - 1] == '\n';

	if (c->json) {
		print_json(m);
		return;
	}
	fwrite(m->data, 1, m->len, stdout);
	if (!ended && (c->lines || isatty(STDOUT_FILENO)))
		putchar('\n');
}

static int explain(const struct calling *c, const struct ipc_msg *m, int err, const char *which)
{
	bool maybe = m->outcome == IPC_MAYBE;
	char why[256];

	if (err == -EMSGSIZE)
		return complain(ST_USAGE,
				"%s%s: longer than the channel's requests may be ('msgchan info %s')",
				c->connect.name, which, c->connect.name);
	ipc_why(c->ep, err, why, sizeof(why));
	complain(0, "%s%s: %s; %s", c->connect.name, which, why,
		 maybe ? "it may have been executed" : "it was not executed");
	return maybe ? ST_PEER : status_of(err);
}

/* @err: what ipc_call() returned for @m, or what its result says. */
static int outcome(struct calling *c, struct ipc_msg *m, int err, const char *which)
{
	int status = ST_OK;

	if (err)
		return explain(c, m, err, which);
	print_reply(c, m);
	if (m->result)
		status = complain(ST_FAILED, "%s%s: the service answered with status %d",
				  c->connect.name, which, m->result);
	ipc_release(c->ep, m, 1);
	return status;
}

/* ---- one call ---- */

static int call_once(struct calling *c, char *data, size_t len)
{
	struct ipc_msg req, rep = { 0 };
	int err;

	fill(c, &req, data, len);
	err = len > UINT32_MAX ? -EMSGSIZE : ipc_call(c->ep, &req, &rep, call_deadline(c));
	return outcome(c, &rep, err, "");
}

/* ---- a call per line ---- */

/* The next outcomes, told as far as they are in order. */
static int collect(struct calling *c, uint64_t deadline)
{
	struct ipc_msg m = { 0 };
	char which[48];
	int n = ipc_collect(c->ep, &m, 1, deadline);

	if (n < 0)
		return n == -EINTR ? 0 : n;
	c->done[m.cookie % c->slots] = m;
	for (struct ipc_msg *d; c->printed < c->started; c->printed++) {
		d = &c->done[c->printed % c->slots];
		if (!d->outcome)
			break;
		snprintf(which, sizeof(which), ": line %" PRIu64, c->printed + 1);
		n = outcome(c, d, d->outcome == IPC_DONE ? 0 : d->result, which);
		c->status = c->status ? c->status : n;
		d->outcome = IPC_NONE;
	}
	return 0;
}

/* A slot is free once the outcome of the line before it in there has been told. */
static int start(struct calling *c, char *data, size_t len)
{
	struct ipc_msg m;
	int err = 0;

	while (!err && c->started - c->printed == c->slots)
		err = collect(c, IPC_FOREVER);
	if (err || c->status)
		return err;
	c->cookie = c->started;
	fill(c, &m, data, len);
	err = ipc_start(c->ep, &m, call_deadline(c));
	if (!err)
		c->started++;
	return err;
}

static int collect_ready(struct calling *c)
{
	int err = 0;

	while (!err && c->printed < c->started)
		err = collect(c, IPC_NOW);
	return err == -EAGAIN ? 0 : err;
}

/*
 * Until there is input, or nothing in flight: who writes the lines may want its answers first.
 * Lines that stdin has read already are not seen here, they come once nothing is in flight.
 */
static int await_input(struct calling *c)
{
	struct pollfd p[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = ipc_fd(c->ep), .events = POLLIN },
	};
	int err = 0;

	while (!err && !poll(p, 1, 0)) {
		fflush(stdout);
		if (c->printed == c->started)
			break;
		if (poll(p, 2, -1) > 0 && p[1].revents)
			err = collect_ready(c);
	}
	return err;
}

/* The next line, without its newline: 1, 0 at the end or after a failure, -errno. */
static int next_line(struct calling *c, char **line, size_t *room, size_t *len)
{
	int err = await_input(c);
	ssize_t n;

	if (err || c->status)
		return err;
	errno = 0;
	n = getline(line, room, stdin);
	if (n < 0 && (ferror(stdin) || !feof(stdin))) {
		fail(errno ? -errno : -EIO, "standard input");
		c->status = ST_FAILED;
	}
	if (n < 0)
		return 0;
	*len = (size_t)(n && (*line)[n - 1] == '\n' ? n - 1 : n);
	return 1;
}

/* The first failure ends the input; what is in flight then is still told. */
static int call_lines(struct calling *c)
{
	char *line = NULL;
	size_t room = 0, len = 0;
	int err = 0, n = 1;

	while (!err && !c->status && n > 0) {
		n = next_line(c, &line, &room, &len);
		err = n > 0 ? start(c, line, len) : n;
	}
	free(line);
	for (n = 0; !n && c->printed < c->started; )
		n = collect(c, IPC_FOREVER);
	err = err ? err : n;
	if (err) {
		struct ipc_msg m = {
			.outcome = c->printed < c->started ? IPC_MAYBE : IPC_NOT_EXECUTED,
		};

		return explain(c, &m, err, "");
	}
	return c->status;
}

/* ---- the verb ---- */

/* What is to be sent, in memory that the caller frees. */
static int request(int argc, char **argv, char **data, size_t *len)
{
	FILE *f;

	if (!argc)
		return read_whole(STDIN_FILENO, data, len);
	f = open_memstream(data, len);
	if (!f)
		return -errno;
	for (int i = 0; i < argc; i++)
		fprintf(f, "%s%s", i ? " " : "", argv[i]);
	return fclose(f) ? -ENOMEM : 0;
}

static int call_all(struct calling *c, int argc, char **argv)
{
	char *data = NULL;
	size_t len;
	int status;

	if (c->lines) {
		c->done = calloc(c->slots, sizeof(*c->done));
		status = c->done ? call_lines(c) : fail(-ENOMEM, "%s", c->connect.name);
		free(c->done);
		return status;
	}
	status = request(argc, argv, &data, &len);
	status = status ? fail(status, "standard input") : call_once(c, data, len);
	free(data);
	return status;
}

static int call_channel(struct calling *c, int argc, char **argv)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER, .ring = UINT64_MAX };
	struct ipc_channel *ch;
	struct msgc_info info;
	int status, err = connect_channel(&c->connect, &ch, &info);

	if (err)
		return status_of(err);
	c->slots = info.slots;
	err = attach(c->connect.name, ch, &how, &c->ep);
	status = err ? status_of(err) : call_all(c, argc, argv);
	if (!err)
		ipc_detach(c->ep);
	ipc_close(ch);
	return status;
}

static bool option(struct calling *c, int o)
{
	switch (o) {
	case 'l':
		c->lines = true;
		return true;
	case 't':
		c->timeout = time_arg("--timeout", optarg);
		return true;
	case 'W':
		c->connect.wait = true;
		return true;
	case 'e':
		c->flags = IPC_F_NEED_SERVER;
		return true;
	case O_TYPE:
		c->type = (uint32_t)number_arg("--type", optarg, UINT32_MAX);
		return true;
	case O_FORMAT:
		c->format = format_arg(optarg);
		return true;
	case O_COOKIE:
		c->cookie = number_arg("--cookie", optarg, UINT64_MAX);
		return true;
	case 'J':
		c->json = true;
		return true;
	default:
		return false;
	}
}

static int run(int argc, char **argv)
{
	struct calling c = {
		.connect = {
			.rights = IPC_WRITE,
			.options = { .size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS },
		},
		.timeout = TIME_FOREVER,
	};
	int o;

	while ((o = getopt_long(argc, argv, "lt:eJh", options, NULL)) != -1) {
		if (o == 'h')
			return show_help(&verb_call);
		if (!option(&c, o))
			return bad_option();
	}
	c.connect.name = name_arg(argc, argv, optind);
	c.connect.timeout = c.timeout;
	if (c.lines && (optind + 1 < argc || c.cookie))
		return usage("--lines takes its requests from standard input, and no --cookie");
	return call_channel(&c, argc - optind - 1, argv + optind + 1);
}

const struct verb verb_call = { "call", NULL, "call a service, print its reply", help, run };
