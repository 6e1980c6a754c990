// SPDX-License-Identifier: MIT
/*
 * Every channel of this network namespace, one a line.
 */
#include <getopt.h>
#include <stdlib.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan ls [OPTIONS]\n\n"
	"List the channels of this network namespace. What may not be opened is listed\n"
	"without figures. An unnamed channel is called #ID, here and by other verbs.\n\n"
	LOOK_HELP;

static int print(const struct look *l, void *dev)
{
	struct msgc_info *rows;
	struct table *t;
	size_t n;
	int err = device_list(*(int *)dev, &rows, &n);

	if (err)
		return fail(err, "no answer from the module");
	t = table_new("channels", l);
	for (size_t i = 0; i < n; i++)
		channel_row(t, &rows[i]);
	table_print(t);
	table_free(t);
	free(rows);
	return ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = {
		.verb = &verb_ls, .columns = channel_columns, .n_columns = n_channel_columns
	};
	int status = look_options(&l, argc, argv), dev;

	if (status != LOOK_ON)
		return status;
	if (optind < argc)
		return usage("takes no name; 'msgchan info %s' tells of one", argv[optind]);
	dev = device_open();
	return dev < 0 ? status_of(dev) : look(&l, print, &dev);
}

const struct verb verb_ls = { "ls", NULL, "list all channels", help, run };
