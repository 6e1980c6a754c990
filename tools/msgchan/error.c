// SPDX-License-Identifier: MIT
/*
 * What went wrong, on standard error, and the exit status that says it to a script.
 */
#include <errno.h>
#include <stdarg.h>

#include "cli.h"

const char *verb_name = "";

int status_of(int err)
{
	switch (-err) {
	case 0:
		return ST_OK;
	case ENOENT:
		return ST_NOT_FOUND;
	case EINVAL:
	case EMSGSIZE:
		return ST_USAGE;
	case EACCES:
	case EPERM:
		return ST_PERMISSION;
	case ENODEV:
	case ENXIO:
		return ST_NO_MODULE;
	case ETIMEDOUT:
	case EAGAIN:
		return ST_TIMEOUT;
	case EOWNERDEAD:
	case EHOSTDOWN:
	case ESHUTDOWN:
	case EPIPE:
		return ST_PEER;
	default:
		return ST_FAILED;
	}
}

/* One write per message: those of the two ends of a pipeline often meet on one terminal. */
static void say(const char *fmt, va_list args, const char *tail)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "msgchan%s%s: %s%s\n", *verb_name ? " " : "", verb_name, text, tail);
}

/* @err, a negative errno, explains the message. */
int fail(int err, const char *fmt, ...)
{
	char tail[160];
	va_list args;

	snprintf(tail, sizeof(tail), ": %s", ipc_strerror(err));
	va_start(args, fmt);
	say(fmt, args, tail);
	va_end(args);
	return status_of(err);
}

int complain(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args, "");
	va_end(args);
	return status;
}

void notice(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args, "");
	va_end(args);
}

static void point_to_help(void)
{
	fprintf(stderr, "Try 'msgchan %s%s--help'.\n", verb_name, *verb_name ? " " : "");
}

int usage(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args, "");
	va_end(args);
	point_to_help();
	return ST_USAGE;
}

/* getopt has said which. */
int bad_option(void)
{
	point_to_help();
	return ST_USAGE;
}

int show_help(const struct verb *verb)
{
	fputs(verb->help, stdout);
	return ST_OK;
}
