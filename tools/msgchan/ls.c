// SPDX-License-Identifier: MIT
/*
 * Every channel of this network namespace, one a line.
 */
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan ls [OPTIONS]\n\n"
	"List the channels of this network namespace. What may not be opened is listed\n"
	"without figures. An unnamed channel is called #ID, here and by other verbs.\n\n"
	"  -w, --watch SEC    again every SEC seconds\n"
	TABLE_HELP
	"  -H, --columns      what the columns are\n";

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'J' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "bytes", no_argument, NULL, 'b' },
	{ "watch", required_argument, NULL, 'w' },
	{ "columns", no_argument, NULL, 'H' },
	{ 0 }
};

static int list(int dev, const struct table_options *opt)
{
	struct msgc_info *rows;
	struct table *t;
	size_t n;
	int err = device_list(dev, &rows, &n);

	if (err)
		return fail(err, "no answer from the module");
	t = table_new("channels", channel_columns, n_channel_columns, opt);
	for (size_t i = 0; i < n; i++)
		channel_row(t, &rows[i]);
	table_print(t);
	table_free(t);
	free(rows);
	return ST_OK;
}

static void pause_ns(uint64_t ns)
{
	struct timespec ts = timespec_of(ns);

	fflush(stdout);
	nanosleep(&ts, NULL);
}

static int watch(int dev, const struct table_options *opt, uint64_t every)
{
	for (;;) {
		int status;

		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);		/* home, clear below */
		status = list(dev, opt);
		if (status || ferror(stdout))
			return status;
		if (!every)
			return ST_OK;
		pause_ns(every);
		if (!isatty(STDOUT_FILENO) && !opt->json)
			putchar('\n');
	}
}

static int run(int argc, char **argv)
{
	struct table_options opt = { 0 };
	uint64_t every = 0;
	int c, dev;

	while ((c = getopt_long(argc, argv, TABLE_SHORT "w:H", options, NULL)) != -1) {
		if (table_option(&opt, c))
			continue;
		switch (c) {
		case 'w':
			every = time_arg("--watch", optarg);
			break;
		case 'h':
			return show_help(&verb_ls);
		case 'H':
			columns_help(channel_columns, n_channel_columns);
			return ST_OK;
		default:
			return bad_option();
		}
	}
	if (optind < argc)
		return usage("takes no name; 'msgchan info %s' tells of one", argv[optind]);
	dev = device_open();
	return dev < 0 ? status_of(dev) : every ? watch(dev, &opt, every) : list(dev, &opt);
}

const struct verb verb_ls = { "ls", NULL, "list all channels", help, run };
