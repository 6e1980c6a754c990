// SPDX-License-Identifier: MIT
/*
 * Sizes and ages as people like to read them.
 */
#include <inttypes.h>

#include "cli.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000ULL),
		.tv_nsec = (long)(ns % 1000000000ULL),
	};
}

/* At most four characters for what fits into 999T: 0, 512, 1.5K, 48K, 1M */
char *show_size(char *buf, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned int unit = 0;
	uint64_t whole = bytes, tenths = 0;

	while (whole >= 1000 && unit < sizeof(units) - 2) {
		tenths = (whole % 1024) * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	if (!unit)
		snprintf(buf, SHOWN, "%" PRIu64, whole);
	else if (whole < 10 && tenths)
		snprintf(buf, SHOWN, "%" PRIu64 ".%" PRIu64 "%c", whole, tenths, units[unit]);
	else
		snprintf(buf, SHOWN, "%" PRIu64 "%c", whole, units[unit]);
	return buf;
}

/* The two largest units: 12s, 3m05s, 2h13m, 3d04h */
char *show_age(char *buf, uint64_t ns)
{
	uint64_t s = ns / 1000000000ULL;

	if (s < 60)
		snprintf(buf, SHOWN, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buf, SHOWN, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, SHOWN, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, SHOWN, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
	return buf;
}

/* Three digits: 850ns, 12.3us, 4.56ms, 1.20s */
char *show_short(char *buf, uint64_t ns)
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };
	double v = (double)ns;
	unsigned int u = 0;

	for (; v >= 999.5 && u < ARRAY_SIZE(unit) - 1; u++)
		v /= 1000;
	snprintf(buf, SHOWN, "%.*f%s", !u || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, unit[u]);
	return buf;
}

/* As time_arg() reads it: 250ms, 1.5s */
char *show_time(char *buf, uint64_t ns)
{
	if (ns < 1000000000ULL)
		snprintf(buf, SHOWN, "%gms", (double)ns / 1e6);
	else
		snprintf(buf, SHOWN, "%gs", (double)ns / 1e9);
	return buf;
}
