// SPDX-License-Identifier: MIT
/*
 * What all verbs that print a table have in common: their options, and printing it once or again
 * and again.
 */
#include <getopt.h>
#include <unistd.h>

#include "cli.h"

static const struct option options[] = { LOOK_OPTIONS, { 0 } };

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

/* LOOK_ON, or the exit status of a verb that has nothing more to do. @more: of long options. */
int look_more_options(struct look *l, int argc, char **argv, const struct option *all,
		      bool (*more)(void *arg, int c), void *arg)
{
	int c;

	while ((c = getopt_long(argc, argv, "hJno:bw:H", all, NULL)) != -1) {
		if (c == 'h')
			return show_help(l->verb);
		if (c == 'H') {
			columns_help(l->columns, l->n_columns);
			return ST_OK;
		}
		if (!option(l, c) && !(more && more(arg, c)))
			return bad_option();
	}
	return LOOK_ON;
}

int look_options(struct look *l, int argc, char **argv)
{
	return look_more_options(l, argc, argv, options, NULL, NULL);
}

static void pause_ns(uint64_t ns)
{
	struct timespec ts = timespec_of(ns);

	nanosleep(&ts, NULL);
}

/* Before a print, of several: on a terminal it takes the place of the one before. */
void look_begin(const struct look *l)
{
	if (l->every && isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);		/* home, clear below */
}

/* After it: an exit status if there is no sense in another. */
int look_end(const struct look *l)
{
	if (!isatty(STDOUT_FILENO) && !l->json)
		putchar('\n');
	fflush(stdout);
	return ferror(stdout) ? ST_FAILED : ST_OK;
}

int look(const struct look *l, int (*print)(const struct look *l, void *arg), void *arg)
{
	int status;

	for (;;) {
		look_begin(l);
		status = print(l, arg);
		if (status || !l->every)
			return status;
		status = look_end(l);
		if (status)
			return status;
		pause_ns(l->every);
	}
}
