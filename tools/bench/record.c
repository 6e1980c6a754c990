// SPDX-License-Identifier: MIT
/* What goes out: records as lines of JSON, words for people, reasons for failing. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload.h"

static void text(const char *key, const char *value)
{
	printf("\"%s\": \"%s\", ", key, value);	/* all ours, nothing to escape */
}

static void number(const char *key, uint64_t value)
{
	printf("\"%s\": %" PRIu64 ", ", key, value);
}

void write_record(const struct record *r)
{
	printf("{");
	text("case", r->name);
	text("transport", r->transport);
	number("size", r->size);
	number("peers", r->peers);
	number("batch", r->batch);
	text("placement", r->two_cpus ? "two-cpus" : "same-cpu");
	text("clock", settings.instructions ? "virtual" : "real");
	text("metric", r->metric);
	printf("\"value\": %.6g, ", r->value);
	number("samples", r->samples);
	printf("\"run\": %u}\n", r->run);
	fflush(stdout);
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

void die_errno(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, ": %s\n", strerror(abs(err)));
	va_end(args);
	exit(1);
}

void bad_message(const struct sink *to, const void *message)
{
	const uint64_t *word = message;
	uint64_t number = word[0] >> 48;

	die("message %" PRIu64 " is corrupt, lost or twice: number %" PRIu64 " of sender %" PRIu64,
	    to->count, word[0] << 16 >> 16, number);
}
