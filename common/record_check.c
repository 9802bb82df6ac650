/* The pass over a filled record that the YAML reader and the decoder share. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "manifest.h"
#include "record.h"
#include "timefmt.h"

typedef int check_fn(const struct field *field, void *slot, const struct place *place);

static const struct yaml_node *
below(const struct place *place, const char *key)
{
	return yaml_get(place->node, key, strlen(key));
}

static int
check_bytes(const char *text, size_t max, value_check *check, const struct place *place)
{
	size_t length = strlen(text);
	char why[REASON_SIZE];

	if (length > max)
		return complain(place, "is %zu bytes long, at most %zu are allowed", length, max);
	if (!utf8_valid((const uint8_t *)text, length))
		return complain(place, "is not valid UTF-8");
	if (check && !check(text, why))
		return complain(place, "%s", why);
	return 0;
}

static int
check_text(const struct field *field, void *slot, const struct place *place)
{
	return check_bytes(*(char **)slot, field->max, field->check, place);
}

static int
check_count(const struct field *field, size_t count, const struct place *place)
{
	if (count > field->max)
		return complain(place, "has %zu entries, at most %" PRIu64 " are allowed", count,
				field->max);
	return 0;
}

static const struct yaml_node *
first_of(const struct place *place)
{
	return place->node ? place->node->first : NULL;
}

static int
check_texts(const struct field *field, void *slot, const struct place *place)
{
	const struct strings *texts = slot;
	const struct yaml_node *node = first_of(place);

	if (check_count(field, texts->count, place) < 0)
		return -1;
	for (size_t i = 0; i < texts->count; i++) {
		struct place entry = place_below(place, NULL, i, node);

		if (check_bytes(texts->items[i], field->entry_max, field->check, &entry) < 0)
			return -1;
		node = node ? node->next : NULL;
	}
	return 0;
}

enum { PAIR_KEY_MAX = 255 };

static int
check_pair(const struct field *field, const struct pair *pair, const struct place *place)
{
	struct place key = *place;
	struct yaml_node at = {0};

	if (place->node) {
		at.line = place->node->key_line;
		at.column = place->node->key_column;
		key.node = &at;
	}
	if (check_bytes(pair->key, PAIR_KEY_MAX, field->check_key, &key) < 0)
		return -1;
	return check_bytes(pair->value, field->entry_max, field->check, place);
}

static bool
key_before(const struct pairs *pairs, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(pairs->items[i].key, pairs->items[index].key) == 0)
			return true;
	return false;
}

static int
check_pairs(const struct field *field, void *slot, const struct place *place)
{
	const struct pairs *pairs = slot;

	if (check_count(field, pairs->count, place) < 0)
		return -1;
	for (size_t i = 0; i < pairs->count; i++) {
		const struct pair *pair = &pairs->items[i];
		struct place entry = place_below(place, pair->key, 0, below(place, pair->key));

		if (key_before(pairs, i))
			return complain(&entry, "is there twice");
		if (check_pair(field, pair, &entry) < 0)
			return -1;
	}
	return 0;
}

static int
check_enum(const struct field *field, void *slot, const struct place *place)
{
	if (choice_name(field->choices, *(unsigned *)slot))
		return 0;
	return complain(place, "has no value of the list");
}

/* A bound as a person would write the value. */
static void
bound_text(const struct field *field, uint64_t value, char text[64])
{
	static const struct {
		uint64_t unit;
		const char *name;
	} durations[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}},
	  sizes[] = {{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}, {1, ""}};
	size_t i = 0;

	switch (field->type) {
	case FIELD_SIZE:
		while (i < 3 && (value == 0 || value % sizes[i].unit))
			i++;
		snprintf(text, 64, "%" PRIu64 "%s", value / sizes[i].unit, sizes[i].name);
		break;
	case FIELD_DURATION:
		while (i < 4 && (value == 0 || value % durations[i].unit))
			i++;
		snprintf(text, 64, "%" PRIu64 "%s", value / durations[i].unit, durations[i].name);
		break;
	case FIELD_SECONDS:
		snprintf(text, 64, "%" PRIu64, value / 1000);
		break;
	case FIELD_MILLI:
		snprintf(text, 64, "%g", (double)value / 1000);
		break;
	case FIELD_TIME:
		rfc3339_format(value, text);
		break;
	default:
		snprintf(text, 64, "%" PRIu64, value);
	}
}

static int
check_number(const struct field *field, void *slot, const struct place *place)
{
	uint64_t value = *(uint64_t *)slot;
	char low[64], high[64];

	if (value >= (uint64_t)field->min && value <= field->max)
		return 0;
	bound_text(field, (uint64_t)field->min, low);
	bound_text(field, field->max, high);
	return complain(place, "must be from %s to %s", low, high);
}

static int
check_signed(const struct field *field, void *slot, const struct place *place)
{
	int64_t value = *(int64_t *)slot;

	if (value >= field->min && value <= (int64_t)field->max)
		return 0;
	return complain(place, "must be from %" PRId64 " to %" PRIu64, field->min, field->max);
}

static int
check_group(const struct field *field, void *slot, const struct place *place)
{
	return record_check(field->record, slot, place);
}

static int
check_list(const struct field *field, void *slot, const struct place *place)
{
	struct list_header list = list_load(slot, 0);
	const struct yaml_node *node = first_of(place);

	if (check_count(field, list.count, place) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++) {
		struct place entry = place_below(place, NULL, i, node);

		if (record_check(field->record, list.items + i * field->record->size, &entry) < 0)
			return -1;
		node = node ? node->next : NULL;
	}
	return 0;
}

static check_fn *const checks[FIELD_TYPES] = {
    [FIELD_TEXT] = check_text,       [FIELD_TEXTS] = check_texts,    [FIELD_PAIRS] = check_pairs,
    [FIELD_ENUM] = check_enum,       [FIELD_NUMBER] = check_number,  [FIELD_SIZE] = check_number,
    [FIELD_DURATION] = check_number, [FIELD_SECONDS] = check_number, [FIELD_MILLI] = check_number,
    [FIELD_TIME] = check_number,     [FIELD_SIGNED] = check_signed,  [FIELD_GROUP] = check_group,
    [FIELD_LIST] = check_list,
};

static bool
number_absent(const struct field *field, const void *slot)
{
	return field_is_number(field->type) && field->fallback == ABSENT &&
	       *(const uint64_t *)slot == ABSENT;
}

static bool
nothing_to_check(const struct field *field, const void *object)
{
	if (field->type == FIELD_GROUP)
		return field->present && field_absent(field, object);
	if (field_is_number(field->type))
		return number_absent(field, member(object, field->offset));
	return field_absent(field, object) && field->fallback == 0;
}

static int
check_field(const struct field *field, void *object, const struct place *parent)
{
	struct place place = place_below(parent, field->key, 0, below(parent, field->key));

	if (!checks[field->type])
		return 0;
	if (nothing_to_check(field, object))
		return field->required ? complain(&place, "is required") : 0;
	return checks[field->type](field, member(object, field->offset), &place);
}

int
record_check(const struct record *record, void *object, const struct place *place)
{
	for (size_t i = 0; i < record->count; i++)
		if (check_field(&record->fields[i], object, place) < 0)
			return -1;
	return record->finish ? record->finish(object, place) : 0;
}
