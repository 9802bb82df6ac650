/* Records as JSON: the keys of the YAML; durations get the suffix _ms, absent is null. */
#include <stdio.h>
#include <string.h>

#include "manifest.h"
#include "record.h"

static void
print_key(const struct field *field, struct json *json)
{
	bool duration = field->type == FIELD_DURATION || field->type == FIELD_SECONDS;
	size_t length = strlen(field->key);
	char key[64];

	if (!duration) {
		json_key(json, field->key);
		return;
	}
	if (field->type == FIELD_SECONDS && length > 5)
		length -= 5; /* _secs */
	snprintf(key, sizeof(key), "%.*s_ms", (int)length, field->key);
	json_key(json, key);
}

static void
print_texts(const struct strings *texts, struct json *json)
{
	json_array(json);
	for (size_t i = 0; i < texts->count; i++)
		json_string(json, texts->items[i]);
	json_array_end(json);
}

static void
print_pairs(const struct pairs *pairs, struct json *json)
{
	json_object(json);
	for (size_t i = 0; i < pairs->count; i++) {
		json_key(json, pairs->items[i].key);
		json_string(json, pairs->items[i].value);
	}
	json_object_end(json);
}

static void
print_milli(uint64_t milli, struct json *json)
{
	char text[48];
	int length;

	length = snprintf(text, sizeof(text), "%llu.%03llu", (unsigned long long)milli / 1000,
			  (unsigned long long)milli % 1000);
	while (text[length - 1] == '0')
		length--;
	if (text[length - 1] == '.')
		length--;
	json_raw(json, text, (size_t)length);
}

static void
print_list(const struct field *field, const void *slot, struct json *json)
{
	struct list_header list = list_load(slot, 0);

	json_array(json);
	for (size_t i = 0; i < list.count; i++)
		record_json(field->record, list.items + i * field->record->size, json);
	json_array_end(json);
}

static void
print_value(const struct field *field, const void *slot, struct json *json)
{
	switch (field->type) {
	case FIELD_CONSTANT:
		json_string(json, field->text);
		break;
	case FIELD_TEXT:
		json_string(json, *(char *const *)slot);
		break;
	case FIELD_TEXTS:
		print_texts(slot, json);
		break;
	case FIELD_PAIRS:
		print_pairs(slot, json);
		break;
	case FIELD_ENUM:
		json_string(json, choice_name(field->choices, *(const unsigned *)slot));
		break;
	case FIELD_BOOL:
		json_bool(json, *(const bool *)slot);
		break;
	case FIELD_MILLI:
		print_milli(*(const uint64_t *)slot, json);
		break;
	case FIELD_TIME:
		json_time(json, *(const uint64_t *)slot);
		break;
	case FIELD_SIGNED:
		json_int(json, *(const int64_t *)slot);
		break;
	case FIELD_GROUP:
		record_json(field->record, slot, json);
		break;
	case FIELD_LIST:
		print_list(field, slot, json);
		break;
	default:
		json_uint(json, *(const uint64_t *)slot);
	}
}

static bool
prints_null(const struct field *field, const void *object)
{
	if (field->present)
		return field_absent(field, object);
	if (field_is_number(field->type) && field->type != FIELD_SIGNED)
		return *(const uint64_t *)member(object, field->offset) == ABSENT;
	return false;
}

void
record_json(const struct record *record, const void *object, struct json *json)
{
	json_object(json);
	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		if (field->hidden)
			continue;
		print_key(field, json);
		record_json_value(field, object, json);
	}
	json_object_end(json);
}

void
record_json_value(const struct field *field, const void *object, struct json *json)
{
	if (prints_null(field, object))
		json_null(json);
	else
		print_value(field, member(object, field->offset), json);
}
