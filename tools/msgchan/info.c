// SPDX-License-Identifier: MIT
/*
 * One channel in full.
 */
#include <getopt.h>
#include <unistd.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan info [OPTIONS] NAME|#ID\n\n"
	"Print everything that is known of one channel.\n\n"
	TABLE_HELP;

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'J' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "bytes", no_argument, NULL, 'b' },
	{ 0 }
};

/* Those that ls leaves out as well. */
static void print(const struct msgc_info *info, struct table_options *opt)
{
	static char all[512];
	size_t n = 0;
	struct table *t;

	for (unsigned int i = 0; i < n_channel_columns; i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? "," : "",
				      channel_columns[i].name);
	if (!opt->columns)
		opt->columns = all;
	t = table_new("channels", channel_columns, n_channel_columns, opt);
	channel_row(t, info);
	table_print_upright(t);
	table_free(t);
}

static int run(int argc, char **argv)
{
	struct table_options opt = { 0 };
	struct msgc_info info;
	int c, fd;

	while ((c = getopt_long(argc, argv, TABLE_SHORT, options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_info);
		if (!table_option(&opt, c))
			return bad_option();
	}
	fd = look_up(name_arg(argc, argv, optind), &info);
	if (fd < 0)
		return status_of(fd);
	close(fd);
	print(&info, &opt);
	return ST_OK;
}

const struct verb verb_info = { "info", NULL, "tell everything of one channel", help, run };
