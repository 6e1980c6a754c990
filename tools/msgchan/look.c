// SPDX-License-Identifier: MIT
/*
 * What all verbs that print a table have in common: their options, and printing it once or again
 * and again.
 */
#include <getopt.h>
#include <unistd.h>

#include "cli.h"

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

static bool option(struct look *l, int c)
{
	switch (c) {
	case 'J':
		l->json = true;
		return true;
	case 'n':
		l->no_headings = true;
		return true;
	case 'o':
		l->shown = optarg;
		return true;
	case 'b':
		l->bytes = true;
		return true;
	case 'w':
		l->every = time_arg("--watch", optarg);
		return true;
	default:
		return false;
	}
}

/* LOOK_ON, or the exit status of a verb that has nothing more to do. */
int look_options(struct look *l, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "hJno:bw:H", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(l->verb);
		if (c == 'H') {
			columns_help(l->columns, l->n_columns);
			return ST_OK;
		}
		if (!option(l, c))
			return bad_option();
	}
	return LOOK_ON;
}

static void pause_ns(uint64_t ns)
{
	struct timespec ts = timespec_of(ns);

	fflush(stdout);
	nanosleep(&ts, NULL);
}

int look(const struct look *l, int (*print)(const struct look *l, void *arg), void *arg)
{
	bool terminal = isatty(STDOUT_FILENO);
	int status;

	for (;;) {
		if (l->every && terminal)
			fputs("\033[H\033[J", stdout);		/* home, clear below */
		status = print(l, arg);
		if (status || !l->every || ferror(stdout))
			return status;
		pause_ns(l->every);
		if (!terminal && !l->json)
			putchar('\n');
	}
}
