#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "manifest.h"
#include "plain.h"

enum { PATH_TEXT = 256, COMPLAINT_TEXT = 1024 };

struct list_header
list_load(const void *object, size_t offset)
{
	struct list_header list;

	memcpy(&list, member(object, offset), sizeof(list));
	return list;
}

void
list_store(void *object, size_t offset, struct list_header list)
{
	memcpy(member(object, offset), &list, sizeof(list));
}

/* --- places and complaints -------------------------------------------------------------------- */

struct place
place_below(const struct place *parent, const char *key, size_t index, const struct yaml_node *node)
{
	return (struct place){.parent = parent, .key = key, .index = index, .node = node};
}

static const struct place *
root_of(const struct place *place)
{
	while (place->parent)
		place = place->parent;
	return place;
}

struct error *
place_error(const struct place *place)
{
	return root_of(place)->error;
}

const char *
place_file(const struct place *place)
{
	return root_of(place)->file;
}

void
place_path(const struct place *place, char *text, size_t size)
{
	size_t used;

	text[0] = '\0';
	if (!place->parent)
		return;
	place_path(place->parent, text, size);
	used = strlen(text);
	if (place->key)
		snprintf(text + used, size - used, "%s%.100s", used ? "." : "", place->key);
	else
		snprintf(text + used, size - used, "[%zu]", place->index);
}

static const struct yaml_node *
node_near(const struct place *place)
{
	while (place && !place->node)
		place = place->parent;
	return place ? place->node : NULL;
}

static int
complain_with(const struct place *place, const struct yaml_node *node, const char *path,
	      const char *fmt, va_list args)
{
	const struct place *root = root_of(place);
	char text[COMPLAINT_TEXT], at[PATH_TEXT + COMPLAINT_TEXT];

	vsnprintf(text, sizeof(text), fmt, args);
	snprintf(at, sizeof(at), "%s%s%s", path, *path ? ": " : "", text);
	plain_text(at);
	if (!node)
		return error_why(root->error, ERR_INVALID, "%.*s: %s", YAML_FILE_SHOWN, root->file,
				 at);
	return error_why(root->error, ERR_INVALID, "%.*s:%u:%u: %s", YAML_FILE_SHOWN, root->file,
			 node->line, node->column, at);
}

int
complain(const struct place *place, const char *fmt, ...)
{
	char path[PATH_TEXT] = "";
	va_list args;

	place_path(place, path, sizeof(path));
	va_start(args, fmt);
	complain_with(place, node_near(place), path, fmt, args);
	va_end(args);
	return -1;
}

int
complain_at(const struct place *place, const char *below, const char *fmt, ...)
{
	char path[PATH_TEXT] = "";
	size_t used;
	va_list args;

	place_path(place, path, sizeof(path));
	used = strlen(path);
	snprintf(path + used, sizeof(path) - used, "%s%s", used && *below != '[' ? "." : "", below);
	va_start(args, fmt);
	complain_with(place, yaml_find(node_near(place), place->node ? below : ""), path, fmt,
		      args);
	va_end(args);
	return -1;
}

/* --- life of an object ------------------------------------------------------------------------ */

void
record_init(const struct record *record, void *object)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (field_is_number(field->type))
			*(uint64_t *)member(object, field->offset) = field->fallback;
		else if (field->type == FIELD_BOOL)
			*(bool *)member(object, field->offset) = field->fallback != 0;
		else if (field->type == FIELD_ENUM)
			*(unsigned *)member(object, field->offset) = (unsigned)field->fallback;
		else if (field->type == FIELD_GROUP)
			record_init(field->record, member(object, field->offset));
	}
}

static void
clear_text(const struct field *field, void *slot)
{
	(void)field;
	free(*(char **)slot);
	*(char **)slot = NULL;
}

static void
clear_texts(const struct field *field, void *slot)
{
	struct strings *texts = slot;

	(void)field;
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	*texts = (struct strings){0};
}

static void
clear_pairs(const struct field *field, void *slot)
{
	struct pairs *pairs = slot;

	(void)field;
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].key);
		free(pairs->items[i].value);
	}
	free(pairs->items);
	*pairs = (struct pairs){0};
}

static void
clear_group(const struct field *field, void *slot)
{
	record_clear(field->record, slot);
}

static void
clear_list(const struct field *field, void *slot)
{
	struct list_header list = list_load(slot, 0);

	for (size_t i = 0; i < list.count; i++)
		record_clear(field->record, list.items + i * field->record->size);
	free(list.items);
	list_store(slot, 0, (struct list_header){0});
}

void
record_clear(const struct record *record, void *object)
{
	static void (*const clear[FIELD_TYPES])(const struct field *, void *) = {
	    [FIELD_TEXT] = clear_text,   [FIELD_TEXTS] = clear_texts, [FIELD_PAIRS] = clear_pairs,
	    [FIELD_GROUP] = clear_group, [FIELD_LIST] = clear_list,
	};

	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (clear[field->type])
			clear[field->type](field, member(object, field->offset));
	}
}

/* --- looking things up ------------------------------------------------------------------------ */

static bool
group_absent(const struct field *field, const void *object)
{
	const void *group = member(object, field->offset);

	for (size_t i = 0; i < field->record->count; i++)
		if (!field_absent(&field->record->fields[i], group))
			return false;
	return true;
}

bool
field_absent(const struct field *field, const void *object)
{
	const void *slot = member(object, field->offset);

	if (field->present)
		return !*(const bool *)member(object, *field->present);
	if (field_is_number(field->type))
		return *(const uint64_t *)slot == field->fallback;
	switch (field->type) {
	case FIELD_TEXT:
		return !*(char *const *)slot;
	case FIELD_TEXTS:
	case FIELD_PAIRS:
	case FIELD_LIST:
		return list_load(slot, 0).count == 0;
	case FIELD_ENUM:
		return *(const unsigned *)slot == (unsigned)field->fallback;
	case FIELD_BOOL:
		return *(const bool *)slot == (field->fallback != 0);
	case FIELD_GROUP:
		return group_absent(field, object);
	default:
		return true;
	}
}

static const struct field *
field_named(const struct record *record, const char *key, size_t length)
{
	for (size_t i = 0; i < record->count; i++)
		if (strncmp(record->fields[i].key, key, length) == 0 &&
		    record->fields[i].key[length] == '\0')
			return &record->fields[i];
	return NULL;
}

const struct field *
record_find(const struct record *record, const char *path, const void **object)
{
	for (;;) {
		size_t length = strcspn(path, ".");
		const struct field *field = field_named(record, path, length);

		if (!field || path[length] == '\0')
			return field;
		if (field->type != FIELD_GROUP)
			return NULL;
		*object = member(*object, field->offset);
		record = field->record;
		path += length + 1;
	}
}

const char *
choice_name(const struct choice *choices, unsigned value)
{
	for (; choices->name; choices++)
		if (choices->value == value)
			return choices->name;
	return NULL;
}

unsigned
choice_value(const struct choice *choices, const char *name)
{
	for (; choices->name; choices++)
		if (strcmp(choices->name, name) == 0)
			return choices->value;
	return 0;
}
