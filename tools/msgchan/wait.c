// SPDX-License-Identifier: MIT
/*
 * Until a name exists, or its channel has a peer of a role.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan wait [OPTIONS] NAME\n\n"
	"Wait until a channel of that name exists, or, with --peer, until somebody is there.\n\n"
	"  -P, --peer ROLE     until it has a live sender, receiver, client or server\n"
	"  -t, --timeout TIME  for at most TIME (5, 250ms, 2m), then exit status 5; 0: only look\n"
	"  -h, --help          this text\n";

static const struct option options[] = {
	{ "peer", required_argument, NULL, 'P' },
	{ "timeout", required_argument, NULL, 't' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

struct waiting {
	const char *name;
	unsigned int role;		/* 0: the name alone */
	uint64_t deadline;
	int dev;
};

static unsigned int role_arg(const char *text)
{
	if (!strcmp(text, "sender") || !strcmp(text, "client"))
		return MSGC_SENDER;
	if (!strcmp(text, "receiver") || !strcmp(text, "server"))
		return MSGC_RECEIVER;
	exit(usage("--peer: '%s' is none of sender, receiver, client and server", text));
}

/* 1: somebody of that role is there; reading PEERS begins a new wait for changes. */
static int has_peer(int fd, unsigned int role)
{
	struct msgc_peer *peers;
	size_t n, i;
	int err = channel_peers(fd, &peers, &n);

	if (err)
		return err;
	for (i = 0; i < n && !(peers[i].role == role && peers[i].state == MSGC_LIVE); i++)
		;
	free(peers);
	return i < n;
}

/* Names came or went, or members of the channel @fd (-1: none), or the time is over. */
static int wait_for_change(const struct waiting *w, int fd)
{
	struct pollfd p[] = { { .fd = w->dev, .events = POLLPRI },
			      { .fd = fd, .events = POLLPRI } };
	struct timespec left;
	uint64_t now = now_ns();
	int n;

	if (w->deadline != IPC_FOREVER && now >= w->deadline)
		return -ETIMEDOUT;
	left = timespec_of(w->deadline - now);
	n = ppoll(p, 2, w->deadline == IPC_FOREVER ? NULL : &left, NULL);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* One look, and a wait if it is not so yet: 1, 0 look again, -errno. */
static int step(const struct waiting *w)
{
	int fd = device_look(w->dev, w->name), found;

	if (fd < 0 && fd != -ENOENT)
		return fd;
	found = fd < 0 ? 0 : w->role ? has_peer(fd, w->role) : 1;
	if (!found)
		found = wait_for_change(w, fd);
	if (fd >= 0)
		close(fd);
	return found;
}

static int explain(const struct waiting *w, int err, uint64_t timeout)
{
	char age[SHOWN];

	if (err == -ETIMEDOUT)
		return complain(ST_TIMEOUT, "%s: %s within %s", w->name,
				w->role ? "nobody of that role came" : "no such channel appeared",
				show_time(age, timeout));
	if (err == -EACCES && !w->role)
		return ST_OK;		/* it exists, and more was not asked */
	if (err == -EACCES)
		return complain(ST_PERMISSION, "%s: its mode does not let you see who is there",
				w->name);
	return fail(err, "%s", w->name);
}

static int run(int argc, char **argv)
{
	struct waiting w = { 0 };
	uint64_t timeout = TIME_FOREVER;
	int c, err;

	while ((c = getopt_long(argc, argv, "P:t:h", options, NULL)) != -1) {
		switch (c) {
		case 'P':
			w.role = role_arg(optarg);
			break;
		case 't':
			timeout = time_arg("--timeout", optarg);
			break;
		case 'h':
			return show_help(&verb_wait);
		default:
			return bad_option();
		}
	}
	w.name = name_arg(argc, argv, optind);
	w.deadline = timeout == TIME_FOREVER ? IPC_FOREVER : ipc_in(timeout);
	w.dev = device_open();
	if (w.dev < 0)
		return status_of(w.dev);
	while (!(err = step(&w)))
		;
	return err > 0 ? ST_OK : explain(&w, err, timeout);
}

const struct verb verb_wait = { "wait", NULL, "wait until a channel exists, or has a peer", help,
				run };
