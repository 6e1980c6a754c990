// SPDX-License-Identifier: MIT
/*
 * Tables by libsmartcols: the columns that were asked for, as text or JSON.
 */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

struct table {
	struct libscols_table *tb;
	struct libscols_line *line;		/* the row that is being filled */
	struct libscols_column **shown;		/* by number of column; NULL: not asked for */
	const struct column *columns;
	unsigned int n;
	bool json, bytes, colour;
};

static void out_of_memory(void)
{
	exit(complain(ST_FAILED, "out of memory"));
}

static int find_column(const struct table *t, const char *name, size_t len)
{
	if (len && name[len - 1] == '*')
		len--;
	for (unsigned int i = 0; i < t->n; i++)
		if (strlen(t->columns[i].name) == len &&
		    !strncasecmp(name, t->columns[i].name, len))
			return (int)i;
	return -1;
}

static const char *heading(const struct table *t, unsigned int i, char name[SHOWN])
{
	const struct column *c = &t->columns[i];

	snprintf(name, SHOWN, "%s%s", c->name,
		 !t->json && (c->flags & COL_CLAIMED) ? "*" : "");
	return name;
}

static void show_column(struct table *t, unsigned int i)
{
	const struct column *c = &t->columns[i];
	bool number = c->flags & COL_NUMBER;
	struct libscols_column *cl;
	char name[SHOWN];

	if (t->shown[i])
		return;
	cl = scols_table_new_column(t->tb, heading(t, i, name), 0, number ? SCOLS_FL_RIGHT : 0);
	if (!cl)
		out_of_memory();
	scols_column_set_json_type(cl, number ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING);
	t->shown[i] = cl;
}

static void show_usual(struct table *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		if (!(t->columns[i].flags & COL_MORE))
			show_column(t, i);
}

static void show_listed(struct table *t, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		int i = find_column(t, list, len);

		if (i < 0)
			exit(usage("there is no column '%.*s'", (int)len, list));
		show_column(t, (unsigned int)i);
		list += len + (list[len] == ',');
	}
}

struct table *table_new(const char *name, const struct look *l)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		out_of_memory();
	t->shown = calloc(l->n_columns, sizeof(*t->shown));
	t->tb = scols_new_table();
	if (!t->shown || !t->tb)
		out_of_memory();
	t->columns = l->columns;
	t->n = l->n_columns;
	t->json = l->json;
	t->bytes = l->bytes || l->json;
	t->colour = !l->json && use_colour(stdout);
	scols_table_set_name(t->tb, name);
	scols_table_enable_json(t->tb, l->json);
	scols_table_enable_noheadings(t->tb, l->no_headings);
	scols_table_enable_colors(t->tb, t->colour);
	scols_table_enable_noencoding(t->tb, 1);
	if (!l->shown || l->shown[0] == '+')
		show_usual(t);
	if (l->shown)
		show_listed(t, l->shown + (l->shown[0] == '+'));
	return t;
}

void table_free(struct table *t)
{
	scols_unref_table(t->tb);
	free(t->shown);
	free(t);
}

static void set_cell(struct table *t, unsigned int column, const char *text)
{
	if (t->shown[column] && scols_line_set_column_data(t->line, t->shown[column], text))
		out_of_memory();
}

/* A new row; what it is not given is "-", in JSON null. */
void table_row(struct table *t)
{
	t->line = scols_table_new_line(t->tb, NULL);
	if (!t->line)
		out_of_memory();
	for (unsigned int i = 0; i < t->n && !t->json; i++)
		set_cell(t, i, "-");
}

/* @text is printable ASCII: what others wrote has been through escape(). */
void table_text(struct table *t, unsigned int column, const char *text)
{
	set_cell(t, column, text);
}

static void alert(struct table *t, unsigned int column)
{
	if (t->colour && t->shown[column] && (t->columns[column].flags & COL_ALERT))
		scols_cell_set_color(scols_line_get_column_cell(t->line, t->shown[column]),
				     "brown");
}

void table_count(struct table *t, unsigned int column, uint64_t n)
{
	char buf[SHOWN];

	snprintf(buf, sizeof(buf), "%" PRIu64, n);
	set_cell(t, column, buf);
	if (n)
		alert(t, column);
}

/* Where a column of bytes holds a number of calls, text says so. */
void table_calls(struct table *t, unsigned int column, uint64_t n)
{
	char buf[SHOWN + 8];

	snprintf(buf, sizeof(buf), "%" PRIu64 "%s", n, t->bytes ? "" : n == 1 ? " call" : " calls");
	set_cell(t, column, buf);
}

static void set_shown(struct table *t, unsigned int column, uint64_t n,
		      char *(*show)(char *buf, uint64_t n))
{
	char buf[SHOWN];

	if (t->bytes)
		table_count(t, column, n);
	else
		set_cell(t, column, show(buf, n));
}

void table_size(struct table *t, unsigned int column, uint64_t bytes)
{
	set_shown(t, column, bytes, show_size);
}

void table_age(struct table *t, unsigned int column, uint64_t ns)
{
	set_shown(t, column, ns, show_age);
}

/* A span of time that may be very short. */
void table_time(struct table *t, unsigned int column, uint64_t ns)
{
	set_shown(t, column, ns, show_short);
}

void table_real(struct table *t, unsigned int column, double v)
{
	char buf[SHOWN];

	snprintf(buf, sizeof(buf), "%.*f", v < 100 ? 2 : v < 1000 ? 1 : 0, v);
	set_cell(t, column, buf);
}

void table_print(struct table *t)
{
	scols_print_table(t->tb);
}

/* A line per column, for one thing in full. */
void table_print_upright(struct table *t)
{
	char name[SHOWN];

	if (t->json) {
		scols_print_table(t->tb);
		return;
	}
	for (unsigned int i = 0; i < t->n; i++)
		if (t->shown[i])
			printf("%-10s %s\n", heading(t, i, name),
			       scols_line_get_column_data(t->line, t->shown[i]));
}

void columns_help(const struct column *columns, unsigned int n)
{
	puts("\nColumns (* as claimed by the processes themselves; + only when asked for):");
	for (unsigned int i = 0; i < n; i++)
		printf("  %-10s%s%s %s\n", columns[i].name,
		       columns[i].flags & COL_CLAIMED ? "*" : " ",
		       columns[i].flags & COL_MORE ? "+" : " ", columns[i].help);
}
