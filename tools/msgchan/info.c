// SPDX-License-Identifier: MIT
/*
 * One channel in full.
 */
#include <getopt.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan info [OPTIONS] NAME|#ID\n\n"
	"Print everything that is known of one channel.\n\n"
	LOOK_HELP;

/* Those that ls leaves out as well. */
static const char *all_columns(void)
{
	static char all[512];
	size_t n = 0;

	for (unsigned int i = 0; i < n_channel_columns; i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? "," : "",
				      channel_columns[i].name);
	return all;
}

static int print(const struct look *l, void *fd)
{
	struct msgc_info info;
	struct table *t;
	int err = channel_info(*(int *)fd, &info);

	if (err)
		return fail(err, "no answer from the module");
	t = table_new("channels", l);
	channel_row(t, &info);
	table_print_upright(t);
	table_free(t);
	return ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = {
		.verb = &verb_info, .columns = channel_columns, .n_columns = n_channel_columns
	};
	int status = look_options(&l, argc, argv), fd;
	struct msgc_info info;

	if (status != LOOK_ON)
		return status;
	if (!l.shown)
		l.shown = all_columns();
	fd = look_up(name_arg(argc, argv, optind), &info);
	return fd < 0 ? status_of(fd) : look(&l, print, &fd);
}

const struct verb verb_info = { "info", NULL, "tell everything of one channel", help, run };
