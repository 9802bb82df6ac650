/*
 * Tables for people that fit the terminal. What has to give way gives way in this order: paths
 * and other columns that may be cut shrink to a comfortable width; cells that have a short form
 * use it; the gap between columns narrows; the cuts go down to the column's title. What is never
 * cut (names, ids) may make a line longer than the terminal.
 */
#ifndef ASH_TABLE_H
#define ASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum color { COLOR_NONE, COLOR_GOOD, COLOR_BAD, COLOR_WARN, COLOR_DIM, COLOR_BOLD, COLOR_COUNT };

enum cut { CUT_NEVER, CUT_LEFT, CUT_RIGHT };

struct column {
	const char *title;
	enum cut cut;
	size_t comfortable; /* where cutting stops at first; 0: the title's width */
	bool right;         /* flush right */
};

struct table_style {
	size_t width;
	bool color, utf8;
};

struct table;

/* columns is borrowed. NULL without memory. */
struct table *table_new(const struct column *columns, size_t count);
/* The next cell, row by row. text NULL or empty: "-". brief: the short form, or NULL. */
void table_cell(struct table *table, const char *text, const char *brief, enum color color);
/* -ENOMEM when a cell could not be kept, else 0. */
int table_print(const struct table *table, FILE *stream, const struct table_style *style);
void table_free(struct table *table);

/* The escape sequence of a colour; "" when color is off. */
const char *color_on(enum color color, bool enabled);
const char *color_off(bool enabled);

#endif
