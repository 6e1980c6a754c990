// SPDX-License-Identifier: MIT
/*
 * Messages of a channel to standard output, straight out of the ring.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define BATCH	256		/* messages borrowed at a time */
#define CHUNK	131072		/* bytes after which written ones are given back */

static const char help[] =
	"Usage: msgchan recv [OPTIONS] NAME | CONSUMER\n\n"
	"Write the payloads of all messages to standard output, until all senders have left. A\n"
	"message counts as received once it has been written: if this command is killed, the next\n"
	"receiver gets what was not. On a rendezvous channel it is a server that never ends, and\n"
	"answers each call with an empty reply.\n\n"
	"  -n, --count N        end after N messages\n"
	"  -f, --follow         do not end with the senders: wait for others\n"
	"      --oldest         broadcast, or untethered: begin with the oldest message that is\n"
	"                       still there, instead of the next one\n"
	"      --untethered     hold nobody up: consume nothing, and miss what is overwritten\n"
	"      --standby        where somebody receives already: wait to succeed him\n"
	"  -t, --timeout TIME   end with status 5 when no message comes for TIME (5, 250ms, 2m)\n"
	"  -c, --create         create a ring channel if there is none; it goes with its last user\n"
	"      --wait           wait for the channel to be created\n"
	"  -J, --json           an object per message and line: tags, sender, and payload as text,\n"
	"                       or as base64 where it is not UTF-8\n"
	"  -h, --help           this text\n\n"
	"Exit status 7: messages were lost before they were received; it says how many.\n";

enum { O_OLDEST = 256, O_UNTETHERED, O_STANDBY };

static const struct option options[] = {
	{ "count", required_argument, NULL, 'n' },
	{ "follow", no_argument, NULL, 'f' },
	{ "oldest", no_argument, NULL, O_OLDEST },
	{ "untethered", no_argument, NULL, O_UNTETHERED },
	{ "standby", no_argument, NULL, O_STANDBY },
	{ "timeout", required_argument, NULL, 't' },
	{ "create", no_argument, NULL, 'c' },
	{ "wait", no_argument, NULL, 'W' },
	{ "json", no_argument, NULL, 'J' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct receiving {
	struct connect connect;
	struct ipc_attach how;
	struct ipc_endpoint *ep;
	struct progress progress;
	uint64_t timeout, left;		/* left: messages still wanted */
	uint64_t missed, redelivered, bad_senders;
	int write_error, die_by;	/* die_by: signal, once the channel has been left */
	bool json, calls;		/* calls: on a rendezvous channel */
};

/* ---- writing ---- */

static int write_json(struct receiving *r, const struct ipc_msg *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		print_message_json(r->ep, &m[i]);
	errno = 0;
	return fflush(stdout) || ferror(stdout) ? (errno ? -errno : -EIO) : 0;
}

static int write_raw(const struct ipc_msg *m, unsigned int n)
{
	struct iovec iov[BATCH];

	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){ .iov_base = m[i].data, .iov_len = m[i].len };
	return write_all(STDOUT_FILENO, iov, n);
}

/* ---- a batch ---- */

/* Written: from here on no successor needs them. */
static int give_back(struct receiving *r, struct ipc_msg *m, unsigned int n)
{
	int err = 0;

	if (!r->calls)
		return ipc_release(r->ep, m, n);
	for (unsigned int i = 0; i < n && !err; i++)
		err = ipc_reply(r->ep, &m[i], 0, 0);
	return err;
}

static void count(struct receiving *r, const struct ipc_msg *m, unsigned int n)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		bytes += m[i].len;
		r->missed += m[i].missed;
		r->redelivered += !!(m[i].flags & IPC_F_REDELIVERED);
	}
	r->left -= n;
	progress_add(&r->progress, n, bytes);
}

static int deliver(struct receiving *r, struct ipc_msg *m, unsigned int n)
{
	r->write_error = r->json ? write_json(r, m, n) : write_raw(m, n);
	if (r->write_error)
		return r->write_error;
	count(r, m, n);
	return give_back(r, m, n);
}

/* How many of @n messages make up the next chunk. */
static unsigned int chunk(const struct ipc_msg *m, unsigned int n)
{
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < n && bytes < CHUNK; i++)
		bytes += m[i].len;
	return i;
}

static int deliver_all(struct receiving *r, struct ipc_msg *m, unsigned int n)
{
	int err = 0;

	for (unsigned int k; n && !err; m += k, n -= k) {
		k = chunk(m, n);
		err = deliver(r, m, k);
	}
	return err;
}

/* ---- the stream ---- */

/* Messages up to the end of what was asked for: 0, or why it ended before. */
static int receive(struct receiving *r)
{
	static struct ipc_msg m[BATCH];
	int err = 0;

	while (r->left && !err && !stopped()) {
		unsigned int want = r->left < BATCH ? (unsigned int)r->left : BATCH;
		int n = ipc_recv(r->ep, m, want, until(r->timeout));

		if (n == -EPROTO) {
			r->bad_senders++;
			tell_refused(r->connect.name, r->ep, m[0].peer);
		} else if (n != -EINTR) {
			err = n < 0 ? n : deliver_all(r, m, (unsigned int)n);
		}
	}
	return err;
}

static void tell_redelivered(const struct receiving *r)
{
	if (r->redelivered)
		notice("%s: %" PRIu64 " redelivered, as a receiver died: they may be there twice",
		       r->connect.name, r->redelivered);
}

/* A consumer that has had enough, as head(1), is no error: end as any writer to a closed pipe. */
static int explain_write(struct receiving *r, int err)
{
	if (err == -EPIPE) {
		r->die_by = SIGPIPE;
		return ST_OK;
	}
	return complain(ST_FAILED, "%s: standard output: %s; what was not written is not released",
			r->connect.name, strerror(-err));
}

static int explain(struct receiving *r, int err)
{
	char time[SHOWN], why[256];

	r->die_by = stopped();
	if (r->die_by)
		return ST_OK;
	if (r->write_error)
		return explain_write(r, r->write_error);
	if (err == -ETIMEDOUT || err == -EAGAIN)
		return complain(ST_TIMEOUT, "%s: no message within %s", r->connect.name,
				show_time(time, r->timeout));
	ipc_why(r->ep, err, why, sizeof(why));
	return complain(status_of(err), "%s: %s", r->connect.name, why);
}

static int lost(const struct receiving *r)
{
	if (r->missed)
		return complain(ST_LOST, "%s: %" PRIu64 " messages were lost", r->connect.name,
				r->missed);
	return r->bad_senders ? ST_LOST : ST_OK;
}

static int receive_all(void *arg)
{
	struct receiving *r = arg;
	int err, status;

	progress_begin(&r->progress, true);
	err = receive(r);
	progress_end(&r->progress);
	tell_redelivered(r);
	status = lost(r);
	if ((err && err != -EPIPE) || r->write_error || stopped())
		return explain(r, err);
	return status;
}

static int receive_channel(struct receiving *r)
{
	struct ipc_channel *ch;
	struct msgc_info info;
	int status, err = connect_channel(&r->connect, &ch, &info);

	if (err)
		return status_of(err);
	r->calls = info.mode == MSGC_RENDEZVOUS;
	if (r->calls)
		r->how.flags = 0;	/* servers always stay */
	status = work_in(r->connect.name, ch, &r->how, &r->ep, receive_all, r);
	return r->die_by ? die_by(r->die_by) : status;
}

static bool option(struct receiving *r, int c)
{
	switch (c) {
	case 'n':
		r->left = number_arg("--count", optarg, UINT64_MAX);
		return true;
	case 'f':
		r->how.flags |= IPC_STAY;
		return true;
	case O_OLDEST:
		r->how.flags |= IPC_OLDEST;
		return true;
	case O_UNTETHERED:
		r->how.flags |= IPC_UNTETHERED;
		return true;
	case O_STANDBY:
		r->how.flags |= IPC_STANDBY;
		return true;
	case 't':
		r->timeout = time_arg("--timeout", optarg);
		return true;
	case 'c':
		r->connect.create = true;
		return true;
	case 'W':
		r->connect.wait = true;
		return true;
	case 'J':
		r->json = true;
		return true;
	default:
		return false;
	}
}

static int run(int argc, char **argv)
{
	struct receiving r = {
		.connect = {
			.rights = IPC_READ,
			.may_create = true,
			.options = { .size = sizeof(struct ipc_options), .ring_max = RING_MAX },
		},
		.how = { .size = sizeof(struct ipc_attach), .role = IPC_RECEIVER },
		.timeout = TIME_FOREVER,
		.left = UINT64_MAX,
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:ft:cJh", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_recv);
		if (!option(&r, c))
			return bad_option();
	}
	if (r.how.flags & IPC_STANDBY && r.how.flags & IPC_UNTETHERED)
		return usage("--standby or --untethered, not both");
	r.connect.name = name_arg(argc, argv, optind);
	r.connect.timeout = r.timeout;
	return receive_channel(&r);
}

const struct verb verb_recv = { "recv", "cat", "write messages to standard output", help, run };
