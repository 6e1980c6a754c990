// SPDX-License-Identifier: MIT
/*
 * Take names of channels away.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan rm [OPTIONS] NAME...\n\n"
	"Take the name of a channel away. Who has the channel open keeps it, without a name;\n"
	"with its last user it goes.\n\n"
	"  -f, --force   a name that does not exist is no error\n"
	"  -h, --help    this text\n";

static const struct option options[] = {
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static int remove_name(const char *name, bool force)
{
	int err = ipc_unlink(name);

	if (!err || (force && err == -ENOENT))
		return ST_OK;
	if (err == -ENOENT)
		return complain(ST_NOT_FOUND, "there is no channel '%s'", name);
	if (err == -EPERM || err == -EACCES)
		return complain(ST_PERMISSION, "%s: only its owner and root may remove it", name);
	return fail(err, "%s", name);
}

static int run(int argc, char **argv)
{
	bool force = false;
	int c, dev, worst = ST_OK;

	while ((c = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			force = true;
			break;
		case 'h':
			return show_help(&verb_rm);
		default:
			return bad_option();
		}
	}
	for (c = optind; c < argc || c == optind; c++)
		name_arg(argc, argv, c);	/* all are checked before the first is removed */
	dev = device_open();
	if (dev < 0)
		return status_of(dev);
	close(dev);
	for (c = optind; c < argc; c++) {
		int status = remove_name(argv[c], force);

		worst = status ? status : worst;
	}
	return worst;
}

const struct verb verb_rm = { "rm", NULL, "take the name of a channel away", help, run };
