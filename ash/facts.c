#include "facts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"

enum { COLUMNS_MAX = 12, VALUE_MAX = 64 };

/* --- reading
 * -------------------------------------------------------------------------------------- */

static int
keep(const struct msg *record, void *arg, struct error *error)
{
	struct facts *facts = arg;
	struct fact *fact;

	if (facts->count == facts->size) {
		size_t size = facts->size ? facts->size * 2 : 256;
		void *items = reallocarray(facts->items, size, sizeof(*facts->items));

		if (!items)
			return out_of_memory(error);
		facts->items = items;
		facts->size = size;
	}
	fact = &facts->items[facts->count++];
	*fact = (struct fact){
	    .kind = record->fact.kind < FACT_COUNT ? record->fact.kind : FACT_NONE,
	    .section = strdup(record->fact.section),
	    .key = strdup(record->fact.key),
	    .text = strdup(record->fact.text),
	    .entry = record->fact.entry,
	    .number = record->fact.number,
	};
	return fact->section && fact->key && fact->text ? 0 : out_of_memory(error);
}

int
facts_read(int fd, struct facts *facts, struct error *error)
{
	return rows_each(fd, MSG_FACT, keep, facts, error);
}

void
facts_free(struct facts *facts)
{
	for (size_t i = 0; i < facts->count; i++) {
		free(facts->items[i].section);
		free(facts->items[i].key);
		free(facts->items[i].text);
	}
	free(facts->items);
	*facts = (struct facts){0};
}

static bool
same_section(const struct fact *a, const struct fact *b)
{
	return strcmp(a->section, b->section) == 0;
}

/* Both are items of one list. */
static bool
same_list(const struct fact *a, const struct fact *b)
{
	return a->kind == FACT_ITEM && b->kind == FACT_ITEM && same_section(a, b) &&
	       a->entry == b->entry && strcmp(a->key, b->key) == 0;
}

/* --- JSON
 * ------------------------------------------------------------------------------------------ */

static void
value_json(const struct fact *fact, struct json *json)
{
	switch (fact->kind) {
	case FACT_TEXT:
	case FACT_ITEM:
		json_string(json, fact->text);
		break;
	case FACT_NUMBER:
	case FACT_BYTES:
		json_uint(json, fact->number);
		break;
	case FACT_BOOL:
		json_bool(json, fact->number != 0);
		break;
	case FACT_EMPTY:
		json_array(json);
		json_array_end(json);
		break;
	default:
		json_null(json);
	}
}

/* Members of one object: those from at on that share section and entry. Where the next one is. */
static size_t
members_json(const struct facts *facts, size_t at, struct json *json)
{
	const struct fact *first = &facts->items[at];

	while (at < facts->count && same_section(&facts->items[at], first) &&
	       facts->items[at].entry == first->entry) {
		const struct fact *fact = &facts->items[at++];

		json_key(json, fact->key);
		if (fact->kind != FACT_ITEM) {
			value_json(fact, json);
			continue;
		}
		json_array(json);
		json_string(json, fact->text);
		for (; at < facts->count && same_list(&facts->items[at], fact); at++)
			json_string(json, facts->items[at].text);
		json_array_end(json);
	}
	return at;
}

static size_t
section_json(const struct facts *facts, size_t at, struct json *json)
{
	const struct fact *first = &facts->items[at];

	json_key(json, first->section);
	if (first->entry == 0 && *first->key == '\0') {
		value_json(first, json);
		return at + 1;
	}
	if (first->entry)
		json_array(json);
	while (at < facts->count && same_section(&facts->items[at], first)) {
		json_object(json);
		at = members_json(facts, at, json);
		json_object_end(json);
	}
	if (first->entry)
		json_array_end(json);
	return at;
}

void
facts_json(const struct facts *facts, struct json *json)
{
	size_t at = 0;

	json_object(json);
	while (at < facts->count)
		at = *facts->items[at].section ? section_json(facts, at, json)
					       : members_json(facts, at, json);
	json_object_end(json);
}

/* --- for people
 * -------------------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* "stop_grace_ms" as "Stop grace": the value says its unit. */
static void
title_of(const char *key, char title[VALUE_MAX])
{
	static const char *const units[] = {"_ms", "_bytes", "_milli"};

	snprintf(title, VALUE_MAX, "%s", key);
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (ends_with(title, units[i]))
			title[strlen(title) - strlen(units[i])] = '\0';
	for (char *c = title; *c; c++)
		if (*c == '_')
			*c = ' ';
	title[0] = (char)toupper((unsigned char)title[0]);
}

/* name: what says the unit of a number. */
static void
value_text(const struct fact *fact, const char *name, char text[VALUE_MAX])
{
	static const char *const words[FACT_COUNT] = {[FACT_NONE] = "-", [FACT_EMPTY] = "none"};

	if (fact->kind == FACT_BYTES)
		size_format(fact->number, text);
	else if (fact->kind == FACT_NUMBER && ends_with(name, "_ms"))
		duration_format(fact->number, text);
	else if (fact->kind == FACT_NUMBER && ends_with(name, "_milli"))
		snprintf(text, VALUE_MAX, "%g", (double)fact->number / 1000);
	else if (fact->kind == FACT_NUMBER)
		snprintf(text, VALUE_MAX, "%llu", (unsigned long long)fact->number);
	else if (fact->kind == FACT_BOOL)
		strcpy(text, fact->number ? "yes" : "no");
	else
		strcpy(text, words[fact->kind] ? words[fact->kind] : "");
}

/* The value of the fact at index, a list's items all of them. Heap; *next is where it ends. */
static char *
text_of(const struct facts *facts, size_t at, const char *name, size_t *next)
{
	const struct fact *fact = &facts->items[at];
	char short_text[VALUE_MAX], *text = NULL;
	size_t length;
	FILE *stream;

	*next = at + 1;
	if (fact->kind != FACT_TEXT && fact->kind != FACT_ITEM) {
		value_text(fact, name, short_text);
		return strdup(short_text);
	}
	stream = open_memstream(&text, &length);
	if (!stream)
		return NULL;
	fputs(fact->text, stream);
	for (; *next < facts->count && same_list(&facts->items[*next], fact); ++*next)
		fprintf(stream, ", %s", facts->items[*next].text);
	fclose(stream);
	return text;
}

static bool
is_told(const char *const *told, const char *key)
{
	while (told && *told && strcmp(*told, key) != 0)
		told++;
	return told && *told;
}

/* Lines for the members of an object, but for those that are told already. */
static size_t
members_text(const struct ash *ash, const struct facts *facts, size_t at, const char *const *told)
{
	const struct fact *first = &facts->items[at];

	while (at < facts->count && same_section(&facts->items[at], first)) {
		const char *key = facts->items[at].key;
		bool shown = facts->items[at].kind != FACT_NONE && !is_told(told, key);
		bool wrong = strcmp(key, "refused") == 0 || strcmp(key, "mounts_incomplete") == 0;
		char title[VALUE_MAX];
		_cleanup_free_ char *text = text_of(facts, at, key, &at);

		title_of(key, title);
		if (shown && text)
			output_line(ash, title, *first->section || !wrong ? COLOR_NONE : COLOR_BAD,
				    "%s", text);
	}
	return at;
}

/* What gives way on a narrow terminal; names and flags do not. */
static enum cut
cut_of(const char *key)
{
	if (strcmp(key, "description") == 0)
		return CUT_RIGHT;
	return strcmp(key, "source") == 0 ? CUT_LEFT : CUT_NEVER;
}

/* The columns of a list: the keys of its first entry. */
static size_t
columns_of(const struct facts *facts, size_t at, struct column *columns,
	   char titles[COLUMNS_MAX][VALUE_MAX])
{
	const struct fact *first = &facts->items[at], *before = NULL;
	size_t count = 0;

	for (; at < facts->count && same_section(&facts->items[at], first) &&
	       facts->items[at].entry == first->entry && count < COLUMNS_MAX;
	     before = &facts->items[at++]) {
		const struct fact *fact = &facts->items[at];

		if (before && same_list(fact, before))
			continue;
		title_of(fact->key, titles[count]);
		for (char *c = titles[count]; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		columns[count] =
		    (struct column){.title = titles[count],
				    .cut = cut_of(fact->key),
				    .comfortable = 16,
				    .right = fact->kind == FACT_NUMBER || fact->kind == FACT_BYTES};
		count++;
	}
	return count;
}

static size_t
entry_text(const struct facts *facts, size_t at, size_t columns, struct table *table)
{
	const struct fact *first = &facts->items[at];
	size_t cells = 0;

	while (at < facts->count && same_section(&facts->items[at], first) &&
	       facts->items[at].entry == first->entry) {
		const char *key = facts->items[at].key;
		/* A value is that of what the entry is called. */
		const char *name = strcmp(key, "value") == 0 ? first->text : key;
		_cleanup_free_ char *text = text_of(facts, at, name, &at);

		if (cells++ < columns)
			table_cell(table, text, NULL, COLOR_NONE);
	}
	for (; cells < columns; cells++)
		table_cell(table, NULL, NULL, COLOR_NONE);
	return at;
}

static int
list_text(const struct ash *ash, const struct facts *facts, size_t *at, struct error *error)
{
	const struct fact *first = &facts->items[*at];
	char titles[COLUMNS_MAX][VALUE_MAX];
	struct column columns[COLUMNS_MAX];
	size_t count = columns_of(facts, *at, columns, titles);
	struct table *table = table_new(columns, count);

	if (!table)
		return out_of_memory(error);
	while (*at < facts->count && same_section(&facts->items[*at], first))
		*at = entry_text(facts, *at, count, table);
	return output_table(ash, table, error);
}

static int
section_text(const struct ash *ash, const struct facts *facts, size_t *at, struct error *error)
{
	const struct fact *first = &facts->items[*at];
	char title[VALUE_MAX];

	title_of(first->section, title);
	if (first->kind == FACT_EMPTY && *first->key == '\0') {
		++*at;
		output_line(ash, title, COLOR_NONE, "none");
		return 0;
	}
	printf("\n%s%s%s\n", color_on(COLOR_BOLD, ash->style.color), title,
	       color_off(ash->style.color));
	if (first->entry)
		return list_text(ash, facts, at, error);
	*at = members_text(ash, facts, *at, NULL);
	return 0;
}

const char *
facts_find(const struct facts *facts, const char *key)
{
	for (size_t i = 0; i < facts->count; i++)
		if (facts->items[i].kind == FACT_TEXT && !*facts->items[i].section &&
		    strcmp(facts->items[i].key, key) == 0)
			return facts->items[i].text;
	return NULL;
}

uint64_t
facts_find_number(const struct facts *facts, const char *key)
{
	for (size_t i = 0; i < facts->count; i++)
		if (facts->items[i].kind == FACT_NUMBER && !*facts->items[i].section &&
		    strcmp(facts->items[i].key, key) == 0)
			return facts->items[i].number;
	return 0;
}

void
facts_text_whole(const struct ash *ash, const struct facts *facts, const char *const *told)
{
	size_t at = 0;

	while (at < facts->count)
		at = *facts->items[at].section ? at + 1 : members_text(ash, facts, at, told);
}

int
facts_text(const struct ash *ash, const struct facts *facts, struct error *error)
{
	size_t at = 0;

	facts_text_whole(ash, facts, NULL);
	while (at < facts->count) {
		if (!*facts->items[at].section)
			at++;
		else if (section_text(ash, facts, &at, error) < 0)
			return -1;
	}
	return 0;
}
