// SPDX-License-Identifier: MIT
/*
 * The table of verbs.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct verb *const verbs[] = {
	&verb_ls, &verb_info, &verb_who, &verb_held, &verb_blocked, &verb_create, &verb_rm,
	&verb_wait, &verb_evict, &verb_send, &verb_recv, &verb_call, &verb_serve, &verb_tap,
	&verb_hz, &verb_lat, &verb_doctor,
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = verbs[i];

		if (!strcmp(name, v->name) || (v->alias && !strcmp(name, v->alias)))
			return v;
	}
	return NULL;
}

static void list_verbs(FILE *out)
{
	fputs("Usage: msgchan VERB [OPTIONS] [NAME] ...\n\n"
	      "Message channels between processes: look at them, and use them from a shell.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\n'msgchan VERB --help' tells more of a verb, msgchan(1) of everything.\n"
	      "Exit status: 0 ok, 1 not found, 2 usage, 3 permission, 4 module missing, 5 timeout,\n"
	      "6 peer died or outcome \"maybe\", 7 messages lost, 8 anything else.\n",
	      out);
}

static int help(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		list_verbs(stdout);
		return ST_OK;
	}
	v = find_verb(argv[1]);
	if (!v)
		return usage("there is no verb '%s'", argv[1]);
	return show_help(v);
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
	static char title[32];

	verb_name = v->name;
	snprintf(title, sizeof(title), "msgchan %s", v->name);
	argv[0] = title;		/* for the messages of getopt */
	return v->run(argc, argv);
}

/* What stdio could not write must not end as a success. */
static int flush_output(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return status ? status : complain(ST_FAILED, "cannot write to standard output");
	return status;
}

static int run(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		list_verbs(stderr);
		return ST_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("msgchan " VERSION);
		return ST_OK;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(argc - 1, argv + 1);
	v = find_verb(argv[1]);
	if (!v)
		return usage("there is no verb '%s'", argv[1]);
	return run_verb(v, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	return flush_output(run(argc, argv));
}
