// SPDX-License-Identifier: MIT
/*
 * One line on the terminal that says how far a long transfer is.
 */
#include <inttypes.h>
#include <unistd.h>

#include "cli.h"

#define FIRST_NS	2000000000ULL	/* a transfer is long from here on */
#define AGAIN_NS	250000000ULL

/* Not where the payload itself goes to the terminal. */
void progress_begin(struct progress *p, bool payload_to_stdout)
{
	bool mixed = payload_to_stdout && isatty(STDOUT_FILENO);

	*p = (struct progress){ .enabled = isatty(STDERR_FILENO) && !mixed, .start = now_ns() };
}

static void show(const struct progress *p, uint64_t now)
{
	char bytes[SHOWN], rate[SHOWN], age[SHOWN];
	double seconds = (double)(now - p->start) / 1e9;

	fprintf(stderr, "\r%s: %s in %" PRIu64 " messages, %s, %s/s\033[K", verb_name,
		show_size(bytes, p->bytes), p->messages, show_age(age, now - p->start),
		show_size(rate, (uint64_t)((double)p->bytes / seconds)));
}

void progress_add(struct progress *p, uint64_t messages, uint64_t bytes)
{
	uint64_t now;

	p->messages += messages;
	p->bytes += bytes;
	if (!p->enabled)
		return;
	now = now_ns();
	if (now - p->start < FIRST_NS || now - p->shown < AGAIN_NS)
		return;
	p->shown = now;
	show(p, now);
}

void progress_end(struct progress *p)
{
	if (!p->shown)
		return;
	show(p, now_ns());
	fputc('\n', stderr);
}
