// SPDX-License-Identifier: MIT
/*
 * Put an endpoint out of a channel: one that hangs with what others wait for, or what a departed
 * sender left.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan evict [OPTIONS] NAME|#ID ENDPOINT\n\n"
	"Detach an endpoint from a channel, although its process goes on: what it holds goes to the\n"
	"next receiver or server, or back to its callers; its process finds itself detached. Of a\n"
	"sender that has left, give up what nobody has received. For the channel's owner; what a\n"
	"departed sender left also for the user who pays for it.\n\n"
	"ENDPOINT is COMM[PID] as 'who' and 'held' print it, a PID, or an id ('who -o +ID').\n\n"
	"  -a, --all    all endpoints that ENDPOINT fits, where a process has several\n"
	"  -h, --help   this text\n";

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

/* Those that fit, to the front. */
static size_t select_rows(struct msgc_peer *rows, size_t n, const char *endpoint)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (names_endpoint(endpoint, rows[i].id, rows[i].comm, rows[i].pid))
			rows[found++] = rows[i];
	return found;
}

static int several(const char *name, const struct msgc_peer *rows, size_t n, const char *endpoint)
{
	char ids[256];
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(ids); i++)
		len += (size_t)snprintf(ids + len, sizeof(ids) - len, "%s%" PRIu32, i ? ", " : "",
					rows[i].id);
	return usage("%s: %s fits %zu endpoints: give one of their ids (%s), or --all", name,
		     endpoint, n, ids);
}

static int evict(int fd, const char *name, const struct msgc_info *info, const struct msgc_peer *p)
{
	struct msgc_whom whom = { .size = sizeof(whom), .peer = p->id };
	char who[WHO_SHOWN];
	int err = ioctl(fd, MSGC_EVICT, &whom) < 0 ? -errno : 0;

	show_who(who, p->comm, p->pid);
	if (err == -EPERM)
		return complain(ST_PERMISSION,
				"%s: only its owner (uid %" PRIu32 ") and root may evict %s", name,
				info->uid, who);
	if (err == -ENOENT)
		return complain(ST_NOT_FOUND, "%s: %s has gone meanwhile", name, who);
	return err ? fail(err, "%s: %s", name, who) : ST_OK;
}

static int evict_fitting(const char *name, const char *endpoint, bool all)
{
	struct msgc_info info;
	struct msgc_peer *rows;
	int fd = look_up(name, &info), err, worst = ST_OK;
	size_t n;

	if (fd < 0)
		return status_of(fd);
	err = channel_peers(fd, &rows, &n);
	if (err)
		return fail(err, "%s", name);
	n = select_rows(rows, n, endpoint);
	if (!n)
		worst = complain(ST_NOT_FOUND,
				 "%s: no endpoint '%s'; 'msgchan who %s' shows those that there are",
				 name, endpoint, name);
	else if (n > 1 && !all)
		worst = several(name, rows, n, endpoint);
	for (size_t i = 0; i < n && (n == 1 || all); i++) {
		int status = evict(fd, name, &info, &rows[i]);

		worst = status ? status : worst;
	}
	free(rows);
	return worst;
}

static int run(int argc, char **argv)
{
	const char *name;
	bool all = false;
	int c;

	while ((c = getopt_long(argc, argv, "ah", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			all = true;
			break;
		case 'h':
			return show_help(&verb_evict);
		default:
			return bad_option();
		}
	}
	name = name_arg(argc, argv, optind);
	if (optind + 2 != argc)
		return usage("which endpoint? Give one that 'msgchan who %s' prints", name);
	return evict_fitting(name, argv[optind + 1], all);
}

const struct verb verb_evict = { "evict", NULL, "put an endpoint out of a channel", help, run };
