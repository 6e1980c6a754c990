// SPDX-License-Identifier: MIT
/*
 * Whether somebody looks who likes colours.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

bool use_colour(FILE *f)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (no_color && *no_color)
		return false;
	return isatty(fileno(f)) && term && strcmp(term, "dumb");
}
