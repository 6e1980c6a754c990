// SPDX-License-Identifier: MIT
/* circles - who waits for whom in a circle, as 'msgchan blocked' finds it: small graphs against a
 * closure that is slow and obvious, and large ones that must not take long, nor deep.
 */
#include <string.h>

#include "../../tools/msgchan/circles.c"
#include "tap.h"

#define PROCESSES	8
#define EDGES		14
#define LARGE		300000

static unsigned int next_random(void)
{
	static unsigned long long state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(state >> 33);
}

/* Which process reaches which; number 0 is nobody's. */
static void close_over(bool reaches[][PROCESSES + 1], const struct wait_edge *edge, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (edge[i].from && edge[i].on)
			reaches[edge[i].from][edge[i].on] = true;
	for (int via = 1; via <= PROCESSES; via++)
		for (int a = 1; a <= PROCESSES; a++)
			for (int b = 1; b <= PROCESSES; b++)
				reaches[a][b] |= reaches[a][via] && reaches[via][b];
}

static void compare(void)
{
	bool reaches[PROCESSES + 1][PROCESSES + 1] = { 0 };
	struct wait_edge edge[EDGES];
	size_t n = next_random() % (EDGES + 1), highest = 0;

	for (size_t i = 0; i < n; i++)
		edge[i] = (struct wait_edge){
			.from = (int)(next_random() % (PROCESSES + 1)),
			.on = (int)(next_random() % (PROCESSES + 1)),
		};
	close_over(reaches, edge, n);
	find_circles(edge, n);
	for (size_t i = 0; i < n; i++) {
		bool in_one = reaches[edge[i].on][edge[i].from];

		CHECK_EQ(edge[i].circle != 0, edge[i].from && edge[i].on && in_one);
		CHECK(edge[i].circle <= highest + 1);		/* numbered as they come */
		highest = edge[i].circle > highest ? edge[i].circle : highest;
		for (size_t k = 0; k < i; k++)
			if (edge[i].circle && edge[k].circle)
				CHECK_EQ(edge[i].circle == edge[k].circle,
					 edge[i].from == edge[k].from ||
					 (reaches[edge[i].from][edge[k].from] &&
					  reaches[edge[k].from][edge[i].from]));
	}
}

static void small_graphs(void)
{
	for (int i = 0; i < 5000; i++)
		compare();
}

static void large_ones(void)
{
	struct wait_edge *edge = calloc(LARGE, sizeof(*edge));

	/* a chain: deep, and no circle; with its ends joined: one */
	for (int i = 0; i < LARGE; i++)
		edge[i] = (struct wait_edge){ .from = i + 1, .on = i + 2 };
	find_circles(edge, LARGE);
	for (int i = 0; i < LARGE; i++)
		CHECK_EQ(edge[i].circle, 0);
	edge[LARGE - 1].on = 1;
	find_circles(edge, LARGE);
	for (int i = 0; i < LARGE; i++)
		CHECK_EQ(edge[i].circle, 1);
	/* very many threads of two processes */
	for (int i = 0; i < LARGE; i++)
		edge[i] = (struct wait_edge){ .from = 1 + i % 2, .on = 2 - i % 2 };
	find_circles(edge, LARGE);
	CHECK_EQ(edge[LARGE - 1].circle, 1);
	free(edge);
}

int main(void)
{
	RUN(small_graphs);
	RUN(large_ones);
	return tap_done();
}
