/* SPDX-License-Identifier: MIT */
/* tap.h - tests that print TAP: a point per test function, each failed check with its line. */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <stdatomic.h>
#include <stdio.h>

static atomic_uint tap_failed;	/* checks of the test that runs; threads count too */
static unsigned int tap_points, tap_bad;

#define CHECK(cond)								\
	do {									\
		if (!(cond)) {							\
			atomic_fetch_add(&tap_failed, 1);			\
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #cond);	\
		}								\
	} while (0)

/* Both are shown when they differ. */
#define CHECK_EQ(a, b)								\
	do {									\
		long long tap_a = (long long)(a), tap_b = (long long)(b);	\
		if (tap_a != tap_b) {						\
			atomic_fetch_add(&tap_failed, 1);			\
			printf("# %s:%d: %s is %lld, not %s = %lld\n",		\
			       __FILE__, __LINE__, #a, tap_a, #b, tap_b);	\
		}								\
	} while (0)

#define RUN(test)								\
	do {									\
		atomic_store(&tap_failed, 0);					\
		test();								\
		tap_points++;							\
		if (atomic_load(&tap_failed))					\
			tap_bad++;						\
		printf("%s %u - %s\n", atomic_load(&tap_failed) ? "not ok" : "ok",	\
		       tap_points, #test);						\
		fflush(stdout);							\
	} while (0)

static inline int tap_done(void)
{
	printf("1..%u\n", tap_points);
	return tap_bad ? 1 : 0;
}

#endif
