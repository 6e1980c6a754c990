// SPDX-License-Identifier: MIT
/*
 * Circles among those who wait for each other: the strongly connected components of a graph, found
 * as Tarjan described it ("Depth-first search and linear graph algorithms", 1972), without
 * recursion: what is looked at was made by others.
 */
#include <stdlib.h>

#include "cli.h"

#define NOBODY SIZE_MAX

struct node {
	int pid;
	size_t edge, end;		/* its edges that are still to be followed */
	size_t number, lowest;		/* order of discovery from 1; smallest reached */
	size_t parent, below;		/* in the search; on the stack of open nodes */
	size_t circle;			/* 0: still open */
};

struct graph {
	struct wait_edge *edge;		/* by `from` */
	size_t n_edges;
	struct node *node;		/* by pid */
	size_t n_nodes, numbers, circles, top;
};

static int by_from(const void *a, const void *b)
{
	const struct wait_edge *x = a, *y = b;

	return x->from == y->from ? (x->on > y->on) - (x->on < y->on) :
		(x->from > y->from) - (x->from < y->from);
}

static int by_pid(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct node *node_of(const struct graph *g, int pid)
{
	const struct node key = { .pid = pid };

	return bsearch(&key, g->node, g->n_nodes, sizeof(key), by_pid);
}

/* Many threads of one process wait for another: one edge will do. */
static void sort_edges(struct graph *g)
{
	size_t kept = 0;

	qsort(g->edge, g->n_edges, sizeof(g->edge[0]), by_from);
	for (size_t i = 0; i < g->n_edges; i++)
		if (!i || by_from(&g->edge[i], &g->edge[i - 1]))
			g->edge[kept++] = g->edge[i];
	g->n_edges = kept;
}

static void make_nodes(struct graph *g)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < g->n_edges; i++) {
		g->node[n++] = (struct node){ .pid = g->edge[i].from };
		g->node[n++] = (struct node){ .pid = g->edge[i].on };
	}
	qsort(g->node, n, sizeof(g->node[0]), by_pid);
	for (size_t i = 0; i < n; i++)
		if (!i || g->node[i].pid != g->node[i - 1].pid)
			g->node[kept++] = g->node[i];
	g->n_nodes = kept;
	for (size_t i = g->n_edges; i-- > 0;)
		node_of(g, g->edge[i].from)->edge = i;
	for (size_t i = 0; i < g->n_edges; i++)
		node_of(g, g->edge[i].from)->end = i + 1;
}

static void open_node(struct graph *g, size_t i, size_t parent)
{
	struct node *node = &g->node[i];

	node->number = ++g->numbers;
	node->lowest = node->number;
	node->parent = parent;
	node->below = g->top;
	g->top = i;
}

/* Everything above it on the stack, and itself, reach each other. */
static void close_circle(struct graph *g, size_t i)
{
	size_t closed;

	g->circles++;
	do {
		closed = g->top;
		g->node[closed].circle = g->circles;
		g->top = g->node[closed].below;
	} while (closed != i);
}

static void lower(struct node *node, size_t number)
{
	if (number < node->lowest)
		node->lowest = number;
}

static void search(struct graph *g, size_t root)
{
	size_t at = root;

	open_node(g, root, NOBODY);
	while (at != NOBODY) {
		struct node *node = &g->node[at], *next;

		if (node->edge < node->end) {
			next = node_of(g, g->edge[node->edge++].on);
			if (!next->number) {
				open_node(g, (size_t)(next - g->node), at);
				at = (size_t)(next - g->node);
			} else if (!next->circle) {
				lower(node, next->number);
			}
			continue;
		}
		if (node->lowest == node->number)
			close_circle(g, at);
		at = node->parent;
		if (at != NOBODY)
			lower(&g->node[at], node->lowest);
	}
}

/*
 * Gives each edge the number of the circle that it is in, from 1 in the order of the edges, 0 for
 * none. An edge with a pid that is 0 is in none.
 */
void find_circles(struct wait_edge *edges, size_t n)
{
	struct graph g = { .top = NOBODY };
	size_t *number;
	size_t circles = 0;

	g.edge = calloc(n + 1, sizeof(g.edge[0]));
	g.node = calloc(2 * n + 1, sizeof(g.node[0]));
	number = calloc(2 * n + 1, sizeof(number[0]));
	if (!g.edge || !g.node || !number)
		abort();
	for (size_t i = 0; i < n; i++)
		if (edges[i].from && edges[i].on)
			g.edge[g.n_edges++] = edges[i];
	sort_edges(&g);
	make_nodes(&g);
	for (size_t i = 0; i < g.n_nodes; i++)
		if (!g.node[i].number)
			search(&g, i);
	for (size_t i = 0; i < n; i++) {
		const struct node *from = node_of(&g, edges[i].from);
		const struct node *on = node_of(&g, edges[i].on);

		edges[i].circle = 0;
		if (!from || !on || from->circle != on->circle)
			continue;
		if (!number[from->circle])
			number[from->circle] = ++circles;
		edges[i].circle = number[from->circle];
	}
	free(number);
	free(g.node);
	free(g.edge);
}
