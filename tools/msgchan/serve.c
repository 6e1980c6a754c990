// SPDX-License-Identifier: MIT
/*
 * A service: each request is answered by a command, by a fixed text, or by itself.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan serve [OPTIONS] NAME -- COMMAND [ARG...]\n"
	"       msgchan serve [OPTIONS] NAME --reply TEXT\n"
	"       msgchan serve [OPTIONS] NAME --echo\n\n"
	"Answer the calls to a rendezvous channel, one after the other, until SIGINT or SIGTERM.\n"
	"COMMAND is run for each: the request is its standard input, its standard output the reply,\n"
	"its exit status the result. In its environment: MSGCHAN_PID and MSGCHAN_UID (who calls),\n"
	"MSGCHAN_TYPE, MSGCHAN_ATTEMPTS (servers that died of this request). What it prints for a\n"
	"one-way message, which has no reply, goes to the standard output of serve.\n\n"
	"  -c, --create         create the channel if there is none; it goes with its last user\n"
	"      --wait           wait for the channel to be created\n"
	"      --request-size SIZE  with --create: largest request; default 64K\n"
	"      --reply-size SIZE    with --create: largest reply; default 64K\n"
	"  -r, --reply TEXT     answer with TEXT\n"
	"  -e, --echo           answer with the request\n"
	"  -n, --count N        end after N requests\n"
	"  -t, --timeout TIME   end a command that takes longer (5, 250ms, 2m)\n"
	"  -h, --help           this text\n\n"
	"Results other than the command's own: 124 it took too long, 125 its output does not fit a\n"
	"reply (the reply is empty then), 126 it cannot be run, 127 there is no such command,\n"
	"128 + N it died of signal N.\n";

enum { O_WAIT = 256, O_REQUEST, O_REPLY_SIZE };

static const struct option options[] = {
	{ "create", no_argument, NULL, 'c' },
	{ "wait", no_argument, NULL, O_WAIT },
	{ "request-size", required_argument, NULL, O_REQUEST },
	{ "reply-size", required_argument, NULL, O_REPLY_SIZE },
	{ "reply", required_argument, NULL, 'r' },
	{ "echo", no_argument, NULL, 'e' },
	{ "count", required_argument, NULL, 'n' },
	{ "timeout", required_argument, NULL, 't' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct serving {
	struct connect connect;
	struct ipc_endpoint *ep;
	const char *text;		/* --reply */
	char **command;
	bool echo;
	uint64_t timeout, left;		/* left: requests still wanted */
};

/* The reply at @req->reply: its length, and the result. */
static int copy(const struct ipc_msg *req, const void *data, size_t n, uint32_t *len)
{
	*len = 0;
	if (n > req->reply_cap)
		return RESULT_TOO_LONG;
	memcpy(req->reply, data, n);
	*len = (uint32_t)n;
	return 0;
}

static void set_number(const char *name, int64_t value)
{
	char buf[SHOWN];

	snprintf(buf, sizeof(buf), "%" PRId64, value);
	setenv(name, buf, 1);
}

static void tell_command(const struct serving *s, const struct ipc_msg *req)
{
	struct ipc_peer peer;

	if (ipc_peer(s->ep, req->peer, &peer))
		peer = (struct ipc_peer){ .uid = UINT32_MAX };
	set_number("MSGCHAN_TYPE", req->type);
	set_number("MSGCHAN_ATTEMPTS", req->attempts);
	set_number("MSGCHAN_PID", peer.pid);
	set_number("MSGCHAN_UID", peer.uid);
}

static int work(const struct serving *s, const struct ipc_msg *req, uint32_t *len)
{
	if (s->text)
		return copy(req, s->text, strlen(s->text), len);
	if (s->echo)
		return copy(req, req->data, req->len, len);
	tell_command(s, req);
	return command_run(s->command, req, s->timeout, len);
}

/* One request and its reply; an error of the command is an answer, not an error here. */
static int serve_one(struct serving *s)
{
	struct ipc_msg req = { 0 };
	uint32_t len;
	int result, err, n = ipc_recv(s->ep, &req, 1, IPC_FOREVER);

	if (n == -EINTR)
		return 0;
	if (n < 0)
		return n;
	if (req.flags & IPC_F_ONEWAY)
		req.reply_cap = 0;
	result = work(s, &req, &len);
	s->left--;
	err = ipc_reply(s->ep, &req, len, result);
	return err == -ENOENT ? 0 : err;	/* taken away: evicted, as the next wait says */
}

static int serve_all(void *arg)
{
	struct serving *s = arg;
	char why[256];
	int err = 0;

	while (s->left && !err && !stopped())
		err = serve_one(s);
	if (!err)
		return ST_OK;
	ipc_why(s->ep, err, why, sizeof(why));
	return complain(status_of(err), "%s: %s", s->connect.name, why);
}

/* It holds one call at a time: others wait in the channel, where any server may take them. */
static int serve_channel(struct serving *s)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER, .held = 1 };
	struct ipc_channel *ch;
	struct msgc_info info;
	int err = connect_channel(&s->connect, &ch, &info);

	if (err)
		return status_of(err);
	return work_in(s->connect.name, ch, &how, &s->ep, serve_all, s);
}

static bool option(struct serving *s, int c)
{
	switch (c) {
	case 'c':
		s->connect.create = true;
		return true;
	case O_WAIT:
		s->connect.wait = true;
		return true;
	case O_REQUEST:
		s->connect.options.request = size_arg("--request-size", optarg);
		return true;
	case O_REPLY_SIZE:
		s->connect.options.reply = size_arg("--reply-size", optarg);
		return true;
	case 'r':
		s->text = optarg;
		return true;
	case 'e':
		s->echo = true;
		return true;
	case 'n':
		s->left = number_arg("--count", optarg, UINT64_MAX);
		return true;
	case 't':
		s->timeout = time_arg("--timeout", optarg);
		return true;
	default:
		return false;
	}
}

static int run(int argc, char **argv)
{
	struct serving s = {
		.connect = {
			.rights = IPC_READ,
			.timeout = TIME_FOREVER,
			.may_create = true,
			.options = { .size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS },
		},
		.timeout = TIME_FOREVER,
		.left = UINT64_MAX,
	};
	int c;

	while ((c = getopt_long(argc, argv, "cr:en:t:h", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_serve);
		if (!option(&s, c))
			return bad_option();
	}
	s.connect.name = name_arg(argc, argv, optind);
	if (optind + 1 < argc)
		s.command = argv + optind + 1;
	if (!!s.text + s.echo + !!s.command != 1)
		return usage("how to answer? One of: -- COMMAND, --reply TEXT, --echo");
	signal(SIGCHLD, SIG_DFL);	/* inherited as ignored, no command would have a status */
	return serve_channel(&s);
}

const struct verb verb_serve = { "serve", NULL, "answer calls by a command or a text", help, run };
