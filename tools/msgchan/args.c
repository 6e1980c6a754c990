// SPDX-License-Identifier: MIT
/*
 * Sizes, times, numbers and names as people write them on a command line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

/* The power of two that a unit as K, KB or KiB stands for, 0 for none, -1 for no such unit. */
static int size_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *letter = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;

	if (!*unit)
		return 0;
	if (!letter || (unit[1] && strcasecmp(unit + 1, "iB") && strcasecmp(unit + 1, "B")))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

/* 4096, 64K, 1.5M, 1GiB */
uint64_t size_arg(const char *option, const char *text)
{
	char *end;
	double v = strtod(text, &end);
	int shift = size_shift(end);

	if (end != text && shift >= 0)
		v *= (double)(UINT64_C(1) << shift);
	if (end == text || shift < 0 || !(v >= 0 && v < 0x1p63))
		exit(usage("%s: '%s' is no size (write 4096, 64K, 1.5M or 1G)", option, text));
	return (uint64_t)v;
}

static double time_unit(const char *unit)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {
		{ "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 },
		{ "m", 60e9 }, { "h", 3600e9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(unit, units[i].name))
			return units[i].ns;
	return 0;
}

/* Nanoseconds of: 5 (seconds), 250ms, 1.5s, 2m, 1h */
uint64_t time_arg(const char *option, const char *text)
{
	char *end;
	double v = strtod(text, &end), ns = time_unit(end);

	if (end == text || ns == 0 || !(v >= 0 && v * ns < 0x1p62))
		exit(usage("%s: '%s' is no time (write 5, 250ms, 1.5s, 2m or 1h)", option, text));
	return (uint64_t)(v * ns);
}

uint64_t number_arg(const char *option, const char *text, uint64_t max)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || !isdigit((unsigned char)text[0]) || *end || v > max)
		exit(usage("%s: '%s' is no number from 0 to %llu", option, text,
			   (unsigned long long)max));
	return v;
}

unsigned int perm_arg(const char *option, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)text[0]) || *end || v > 0777)
		exit(usage("%s: '%s' is no mode (write it in octal, as 0660)", option, text));
	return (unsigned int)v;
}

static const char *const formats[] = {
	[IPC_BINARY] = "binary", [IPC_TEXT] = "text", [IPC_JSON] = "json", [IPC_XML] = "xml",
	[IPC_CBOR] = "cbor",
};

/* A tag by its name or number. */
uint8_t format_arg(const char *text)
{
	for (uint8_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcasecmp(text, formats[i]))
			return i;
	if (isalpha((unsigned char)text[0]))
		exit(usage("--format: '%s' is none of binary, text, json, xml, cbor, or a number",
			   text));
	return (uint8_t)number_arg("--format", text, UINT8_MAX);
}

/* The reverse: a string where it has a name, else the number. */
void json_format(FILE *out, uint8_t format)
{
	if (format < ARRAY_SIZE(formats))
		fprintf(out, "\"%s\"", formats[format]);
	else
		fprintf(out, "%u", format);
}

/* The one name that a verb wants, the argument at @at. */
const char *name_arg(int argc, char **argv, int at)
{
	const char *name = argv[at];

	if (at >= argc)
		exit(usage("which channel? Give its name"));
	if (!*name || strlen(name) >= MSGC_NAME)
		exit(usage("a name has 1 to %d characters", MSGC_NAME - 1));
	for (const char *p = name; *p; p++)
		if (*p < 0x21 || *p > 0x7e)
			exit(usage("a name has no blanks and only printable ASCII characters"));
	return name;
}

/* The deadline that is @timeout from now, as libipc wants it. */
uint64_t until(uint64_t timeout)
{
	if (timeout == TIME_FOREVER)
		return IPC_FOREVER;
	return timeout ? ipc_in(timeout) : IPC_NOW;
}
