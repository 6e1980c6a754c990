// SPDX-License-Identifier: MIT
/*
 * bench [-i | -s] [-q] [-r RUNS] [-m MS] [CASE...]
 *
 * Measures inter-process communication in this machine: records as lines of JSON on stdout, what
 * it does on stderr. Fails if a transport loses, duplicates or corrupts a message; no speed is a
 * failure.
 *
 *	-i	count instructions: in a machine whose clock counts them, 2 ns each
 *	-s	count system calls, and measure no times: counting costs time
 *	-q	quick: as little as possible, to test this program
 *	-r	how many times to measure each, 5
 *	-m	milliseconds for one of them, about, 50
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

struct settings settings = { .runs = 5, .run_ms = 50 };

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "rtt", case_rtt },
	{ "stream", case_stream },
	{ "handover", case_handover },
	{ "fanin", case_fanin },
	{ "balanced", case_balanced },
	{ "calls", case_calls },
	{ "batch", case_batch },
	{ "fanout", case_fanout },
	{ "memory", case_memory },
};

size_t ring_bytes(const struct shape *shape)
{
	size_t bytes = 1 << 20;

	if (shape->ring)
		return shape->ring;
	while (bytes < 64 * (shape->size + 64) && bytes < 32 << 20)
		bytes *= 2;
	return bytes;
}

static void run_case(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		if (!name || !strcmp(name, cases[i].name)) {
			say("%s", cases[i].name);
			cases[i].run();
			if (name)
				return;
		}
	if (name)
		die("no case '%s'", name);
}

/*
 * A thousand endpoints in a process; and what the last run paid for may be given back while the
 * next one is attaching.
 */
static void raise_limits(void)
{
	struct rlimit limit = { 8192, 8192 };
	FILE *quota = fopen("/sys/module/msgchan/parameters/max_bytes_per_user", "we");

	if (!quota || fprintf(quota, "%u", 1U << 30) < 0 || fclose(quota))
		die_errno(errno, "cannot raise the limit of bytes");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die_errno(errno, "cannot raise the limit of open files");
}

static unsigned int number(const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (*end || !n || n > 100000)
		die("%s: must be from 1 to 100000", arg);
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "isqr:m:")) != -1) {
		switch (opt) {
		case 'i':
			settings.instructions = true;
			break;
		case 's':
			settings.count_syscalls = true;
			break;
		case 'q':
			settings.smoke = true;
			settings.runs = 1;
			break;
		case 'r':
			settings.runs = number(optarg);
			break;
		case 'm':
			settings.run_ms = number(optarg);
			break;
		default:
			say("usage: bench [-i | -s] [-q] [-r RUNS] [-m MS] [CASE...]");
			return 2;
		}
	}
	if (settings.count_syscalls)
		prepare_counting();
	raise_limits();
	if (optind == argc)
		run_case(NULL);
	for (int i = optind; i < argc; i++)
		run_case(argv[i]);
	report_noise();
	return 0;
}
