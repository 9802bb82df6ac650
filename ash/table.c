#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "text.h"

enum { COLUMNS_MAX = 16 };

struct cell {
	char *text, *brief;
	enum color color;
};

struct table {
	const struct column *columns;
	size_t count;
	struct cell *cells;
	size_t used, size;
	bool failed;
};

struct layout {
	size_t widths[COLUMNS_MAX];
	size_t gap;
	bool brief;
};

/* How far a table goes to fit: each row gives up something more. */
static const struct effort {
	bool brief, tight;
	size_t gap;
} efforts[] = {
    {.gap = 2},
    {.gap = 2, .brief = true},
    {.gap = 1, .brief = true},
    {.gap = 1, .brief = true, .tight = true},
};

static const char *const escapes[COLOR_COUNT] = {
    [COLOR_NONE] = "",         [COLOR_GOOD] = "\033[32m", [COLOR_BAD] = "\033[31m",
    [COLOR_WARN] = "\033[33m", [COLOR_DIM] = "\033[2m",   [COLOR_BOLD] = "\033[1m",
};

const char *
color_on(enum color color, bool enabled)
{
	return enabled ? escapes[color] : "";
}

const char *
color_off(bool enabled)
{
	return enabled ? "\033[0m" : "";
}

struct table *
table_new(const struct column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table || count > COLUMNS_MAX) {
		free(table);
		return NULL;
	}
	table->columns = columns;
	table->count = count;
	return table;
}

static bool
grow(struct table *table)
{
	size_t size = table->size ? table->size * 2 : 64;
	struct cell *cells = reallocarray(table->cells, size, sizeof(*cells));

	if (!cells)
		return false;
	table->cells = cells;
	table->size = size;
	return true;
}

void
table_cell(struct table *table, const char *text, const char *brief, enum color color)
{
	struct cell cell = {.color = color};

	if (table->used == table->size && !grow(table)) {
		table->failed = true;
		return;
	}
	cell.text = text_clean(text && *text ? text : "-");
	cell.brief = brief ? text_clean(brief) : NULL;
	if (!cell.text || (brief && !cell.brief))
		table->failed = true;
	table->cells[table->used++] = cell;
}

static const char *
shown(const struct cell *cell, bool brief)
{
	return brief && cell->brief ? cell->brief : cell->text;
}

static size_t
most(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t
narrowest(const struct column *column, bool tight)
{
	return tight ? strlen(column->title) : most(column->comfortable, strlen(column->title));
}

static size_t
total_width(const struct table *table, const struct layout *layout)
{
	size_t total = layout->gap * (table->count - 1);

	for (size_t i = 0; i < table->count; i++)
		total += layout->widths[i];
	return total;
}

/* Takes the excess from the widest column that may be cut; true when everything fits. */
static bool
cut_columns(const struct table *table, struct layout *layout, size_t width, bool tight)
{
	for (;;) {
		size_t widest = table->count;

		if (total_width(table, layout) <= width)
			return true;
		for (size_t i = 0; i < table->count; i++) {
			const struct column *column = &table->columns[i];

			if (column->cut == CUT_NEVER ||
			    layout->widths[i] <= narrowest(column, tight))
				continue;
			if (widest == table->count || layout->widths[i] > layout->widths[widest])
				widest = i;
		}
		if (widest == table->count)
			return false;
		layout->widths[widest]--;
	}
}

static void
natural_widths(const struct table *table, struct layout *layout)
{
	for (size_t i = 0; i < table->count; i++)
		layout->widths[i] = strlen(table->columns[i].title);
	for (size_t i = 0; i < table->used; i++) {
		size_t *width = &layout->widths[i % table->count];

		*width = most(*width, text_width(shown(&table->cells[i], layout->brief)));
	}
}

static struct layout
lay_out(const struct table *table, size_t width)
{
	struct layout layout;

	for (size_t i = 0; i < ARRAY_LEN(efforts); i++) {
		layout = (struct layout){.gap = efforts[i].gap, .brief = efforts[i].brief};
		natural_widths(table, &layout);
		if (cut_columns(table, &layout, width, efforts[i].tight))
			break;
	}
	return layout;
}

static void
pad(FILE *stream, size_t count)
{
	for (; count > 0; count--)
		fputc(' ', stream);
}

static void
print_cell(const struct table *table, const struct layout *layout, size_t column, const char *text,
	   enum color color, const struct table_style *style, FILE *stream)
{
	const struct column *shape = &table->columns[column];
	size_t width = layout->widths[column], spare;
	_cleanup_free_ char *cut =
	    text_cut(text, width, shape->cut == CUT_LEFT, style->utf8 ? "…" : "~");
	bool last = column + 1 == table->count, painted = style->color && color != COLOR_NONE;

	if (!cut)
		return;
	spare = width - text_width(cut);
	if (shape->right)
		pad(stream, spare);
	fprintf(stream, "%s%s%s", color_on(color, painted), cut, color_off(painted));
	if (!shape->right && !last)
		pad(stream, spare);
	if (last)
		fputc('\n', stream);
	else
		pad(stream, layout->gap);
}

int
table_print(const struct table *table, FILE *stream, const struct table_style *style)
{
	struct layout layout;

	if (table->failed)
		return -ENOMEM;
	layout = lay_out(table, style->width);
	for (size_t i = 0; i < table->count; i++)
		print_cell(table, &layout, i, table->columns[i].title, COLOR_BOLD, style, stream);
	for (size_t i = 0; i < table->used; i++)
		print_cell(table, &layout, i % table->count, shown(&table->cells[i], layout.brief),
			   table->cells[i].color, style, stream);
	return 0;
}

void
table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->used; i++) {
		free(table->cells[i].text);
		free(table->cells[i].brief);
	}
	free(table->cells);
	free(table);
}
