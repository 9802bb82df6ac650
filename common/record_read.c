/* A record from a YAML mapping: known keys, types, hints. Links no libyaml; walks a tree. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "manifest.h"
#include "record.h"
#include "timefmt.h"

/* place stands at the value's node. */
typedef int read_fn(const struct field *field, void *slot, const struct place *place);

static int
no_memory(const struct place *place)
{
	return error_why(place_error(place), ERR_FAILED, "out of memory");
}

static const char *
kind_name(const struct yaml_node *node)
{
	static const char *const names[] = {
	    [NODE_SCALAR] = "a single value", [NODE_LIST] = "a list", [NODE_MAP] = "a mapping"};

	return yaml_is_null(node) ? "nothing" : names[node->kind];
}

static int
expect(const struct place *place, enum node_kind kind, const char *wanted)
{
	if (place->node->kind == kind && !yaml_is_null(place->node))
		return 0;
	return complain(place, "must be %s, not %s", wanted, kind_name(place->node));
}

/* --- hints ------------------------------------------------------------------------------------ */

enum { WORD_MAX = 40 };

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t lower = a < b ? a : b;

	return lower < c ? lower : c;
}

/* Levenshtein's distance; longer words are far from everything. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t above = row[j];

			row[j] =
			    least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}

const char *
nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t best = strlen(word) / 3 + 2; /* one typing error in three letters, at least one */
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t far = distance(word, candidates[i]);

		if (far < best) {
			best = far;
			found = candidates[i];
		}
	}
	return found;
}

enum { CANDIDATES_MAX = 64 };

static const char *
nearest_key(const struct record *record, const char *word)
{
	const char *keys[CANDIDATES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < record->count && count < CANDIDATES_MAX; i++)
		if (!record->fields[i].hidden)
			keys[count++] = record->fields[i].key;
	return nearest(word, keys, count);
}

static const struct field *
known_field(const struct record *record, const char *key)
{
	for (size_t i = 0; i < record->count; i++)
		if (!record->fields[i].hidden && strcmp(record->fields[i].key, key) == 0)
			return &record->fields[i];
	return NULL;
}

/* The path of the record, anywhere below, that knows the key. */
static bool
home_of_key(const struct record *record, const char *key, char *path, size_t size)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		size_t used = strlen(path);

		if (!field->record)
			continue;
		snprintf(path + used, size - used, "%s%s%s", used ? "." : "", field->key,
			 field->type == FIELD_LIST ? "[]" : "");
		if (known_field(field->record, key) || home_of_key(field->record, key, path, size))
			return true;
		path[used] = '\0';
	}
	return false;
}

static const struct record *
root_record(const struct place *place, const struct record *record)
{
	for (; place->parent; place = place->parent)
		if (place->parent->record)
			record = place->parent->record;
	return record;
}

static int
unknown_key(const struct record *record, const struct place *place, const struct yaml_node *entry)
{
	struct yaml_node at = {.line = entry->key_line, .column = entry->key_column};
	struct place here = place_below(NULL, NULL, 0, &at);
	const char *near = nearest_key(record, entry->key);
	char path[256], home[256] = "";
	struct error *error = place_error(place);

	place_path(place, path, sizeof(path));
	here.file = place_file(place);
	here.error = error;
	complain(&here, "unknown key \"%.100s\" %s%s", entry->key,
		 *path ? "in " : "at the top level", path);
	if (near)
		error_hint(error, "did you mean \"%s\"?", near);
	else if (home_of_key(root_record(place, record), entry->key, home, sizeof(home)))
		error_hint(error, "\"%s\" is a key of %s", entry->key, home);
	return -1;
}

/* --- single values ---------------------------------------------------------------------------- */

static int
read_constant(const struct field *field, void *slot, const struct place *place)
{
	(void)slot;
	if (expect(place, NODE_SCALAR, "text") < 0)
		return -1;
	if (strcmp(place->node->text, field->text) != 0)
		return complain(place, "must be %s, not \"%.100s\"", field->text,
				place->node->text);
	return 0;
}

static int
copy_text(const struct place *place, char **slot)
{
	if (expect(place, NODE_SCALAR, "text") < 0)
		return -1;
	*slot = strdup(place->node->text);
	return *slot ? 0 : no_memory(place);
}

static int
read_text(const struct field *field, void *slot, const struct place *place)
{
	(void)field;
	return copy_text(place, slot);
}

static void
list_choices(const struct choice *choices, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; choices[i].name && used < size; i++) {
		const char *comma = i == 0 ? "" : choices[i + 1].name ? ", " : " or ";

		used += (size_t)snprintf(text + used, size - used, "%s%s", comma, choices[i].name);
	}
}

static int
read_enum(const struct field *field, void *slot, const struct place *place)
{
	const char *names[CANDIDATES_MAX], *near;
	char known[256];
	unsigned value;
	size_t count = 0;

	if (expect(place, NODE_SCALAR, "a word") < 0)
		return -1;
	value = choice_value(field->choices, place->node->text);
	if (value) {
		*(unsigned *)slot = value;
		return 0;
	}
	list_choices(field->choices, known, sizeof(known));
	complain(place, "must be %s, not \"%.100s\"", known, place->node->text);
	while (count < CANDIDATES_MAX && field->choices[count].name) {
		names[count] = field->choices[count].name;
		count++;
	}
	near = nearest(place->node->text, names, count);
	return near ? error_hint(place_error(place), "did you mean \"%s\"?", near) : -1;
}

static int
read_bool(const struct field *field, void *slot, const struct place *place)
{
	static const char *const yes[] = {"yes", "Yes", "on", "On", "True", "TRUE", "y"};
	static const char *const no[] = {"no", "No", "off", "Off", "False", "FALSE", "n"};
	const char *text, *meant = NULL;

	(void)field;
	if (expect(place, NODE_SCALAR, "true or false") < 0)
		return -1;
	text = place->node->text;
	if (place->node->plain && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
		*(bool *)slot = text[0] == 't';
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		meant = strcmp(text, yes[i]) == 0  ? "true"
			: strcmp(text, no[i]) == 0 ? "false"
						   : meant;
	complain(place, "must be true or false, not %s", place->node->plain ? text : "text");
	return meant ? error_hint(place_error(place), "write %s", meant) : -1;
}

/* Plain decimal digits: no sign, no leading zero (octal to some readers), no overflow. */
static bool
parse_digits(const char *text, uint64_t *value)
{
	uint64_t number = 0;

	if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9' || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*value = number;
	return number != ABSENT;
}

static int
expect_number(const struct place *place, const char *wanted)
{
	if (expect(place, NODE_SCALAR, wanted) < 0)
		return -1;
	if (!place->node->plain)
		return complain(place, "must be %s without quotes", wanted);
	return 0;
}

static int
read_number(const struct field *field, void *slot, const struct place *place)
{
	(void)field;
	if (expect_number(place, "a whole number") < 0)
		return -1;
	if (!parse_digits(place->node->text, slot))
		return complain(place, "must be a whole number, not \"%.100s\"", place->node->text);
	return 0;
}

static int
read_signed(const struct field *field, void *slot, const struct place *place)
{
	const char *text = place->node->kind == NODE_SCALAR ? place->node->text : "";
	uint64_t magnitude;

	(void)field;
	if (expect_number(place, "a whole number") < 0)
		return -1;
	if (!parse_digits(text + (*text == '-'), &magnitude) || magnitude > INT64_MAX)
		return complain(place, "must be a whole number, not \"%.100s\"", text);
	*(int64_t *)slot = *text == '-' ? -(int64_t)magnitude : (int64_t)magnitude;
	return 0;
}

static int
read_size(const struct field *field, void *slot, const struct place *place)
{
	(void)field;
	if (expect(place, NODE_SCALAR, "a size such as 512Mi") < 0)
		return -1;
	if (size_parse(place->node->text, slot) && *(uint64_t *)slot != ABSENT)
		return 0;
	complain(place, "\"%.100s\" is not a size", place->node->text);
	return error_hint(place_error(place),
			  "write bytes as a plain number, or a number and Ki, Mi or Gi: 512Mi");
}

static int
read_duration(const struct field *field, void *slot, const struct place *place)
{
	uint64_t bare;

	(void)field;
	if (expect(place, NODE_SCALAR, "a duration such as 30s") < 0)
		return -1;
	if (parse_digits(place->node->text, &bare)) {
		complain(place, "a duration needs a unit");
		return error_hint(place_error(place), "write %" PRIu64 "s for seconds", bare);
	}
	if (duration_parse(place->node->text, slot) && *(uint64_t *)slot != ABSENT)
		return 0;
	complain(place, "\"%.100s\" is not a duration", place->node->text);
	return error_hint(place_error(place), "write one number and ms, s, m, h or d: 90s");
}

static int
read_seconds(const struct field *field, void *slot, const struct place *place)
{
	uint64_t seconds;

	(void)field;
	if (expect_number(place, "a number of seconds") < 0)
		return -1;
	if (!parse_digits(place->node->text, &seconds) || seconds > UINT64_MAX / 2000) {
		complain(place, "must be a whole number of seconds, not \"%.100s\"",
			 place->node->text);
		return error_hint(place_error(place), "keys that end in _secs take no unit");
	}
	*(uint64_t *)slot = seconds * 1000;
	return 0;
}

/* "1", "1.5", "0.125": at most three digits after the point. */
static bool
parse_milli(const char *text, uint64_t *milli)
{
	char whole[20] = "";
	size_t length = strcspn(text, ".");
	uint64_t fraction = 0, unit = 100;

	if (length >= 16)
		return false;
	memcpy(whole, text, length);
	if (!parse_digits(whole, milli))
		return false;
	*milli *= 1000;
	if (text[length] == '\0')
		return true;
	for (text += length + 1; *text; text++, unit /= 10) {
		if (*text < '0' || *text > '9' || unit == 0)
			return false;
		fraction += (uint64_t)(*text - '0') * unit;
	}
	*milli += fraction;
	return unit != 100;
}

static int
read_milli(const struct field *field, void *slot, const struct place *place)
{
	(void)field;
	if (expect_number(place, "a number") < 0)
		return -1;
	if (!parse_milli(place->node->text, slot))
		return complain(
		    place, "must be a decimal number with at most three decimals, not \"%.100s\"",
		    place->node->text);
	return 0;
}

static int
read_time(const struct field *field, void *slot, const struct place *place)
{
	(void)field;
	if (expect(place, NODE_SCALAR, "a time such as 2027-01-01T00:00:00Z") < 0)
		return -1;
	if (rfc3339_parse(place->node->text, slot) && *(uint64_t *)slot != ABSENT)
		return 0;
	complain(place, "\"%.100s\" is not a time", place->node->text);
	return error_hint(place_error(place), "write RFC 3339: 2027-01-01T00:00:00Z");
}

/* --- collections ------------------------------------------------------------------------------ */

static int
read_texts(const struct field *field, void *slot, const struct place *place)
{
	struct strings *texts = slot;

	(void)field;
	if (expect(place, NODE_LIST, "a list") < 0)
		return -1;
	texts->items = calloc(place->node->count + 1, sizeof(*texts->items));
	if (!texts->items)
		return no_memory(place);
	for (const struct yaml_node *node = place->node->first; node; node = node->next) {
		struct place entry = place_below(place, NULL, texts->count, node);

		if (copy_text(&entry, &texts->items[texts->count]) < 0)
			return -1;
		texts->count++;
	}
	return 0;
}

static int
read_pairs(const struct field *field, void *slot, const struct place *place)
{
	struct pairs *pairs = slot;

	(void)field;
	if (expect(place, NODE_MAP, "a mapping") < 0)
		return -1;
	pairs->items = calloc(place->node->count + 1, sizeof(*pairs->items));
	if (!pairs->items)
		return no_memory(place);
	for (const struct yaml_node *node = place->node->first; node; node = node->next) {
		struct place entry = place_below(place, node->key, 0, node);
		struct pair *pair = &pairs->items[pairs->count++];

		if (yaml_is_null(node)) {
			complain(&entry, "has no value");
			return error_hint(place_error(place), "write \"\" for empty text");
		}
		if (copy_text(&entry, &pair->value) < 0)
			return -1;
		pair->key = strdup(node->key);
		if (!pair->key)
			return no_memory(place);
	}
	return 0;
}

static int
read_group(const struct field *field, void *slot, const struct place *place)
{
	return record_read(field->record, slot, place);
}

static int
read_list(const struct field *field, void *slot, const struct place *place)
{
	size_t size = field->record->size;
	struct list_header list = {0};

	if (expect(place, NODE_LIST, "a list") < 0)
		return -1;
	list.items = calloc(place->node->count + 1, size);
	if (!list.items)
		return no_memory(place);
	for (const struct yaml_node *node = place->node->first; node; node = node->next) {
		struct place entry = place_below(place, NULL, list.count, node);
		void *item = list.items + list.count++ * size;

		list_store(slot, 0, list);
		record_init(field->record, item);
		if (record_read(field->record, item, &entry) < 0)
			return -1;
	}
	list_store(slot, 0, list);
	return 0;
}

static read_fn *const readers[FIELD_TYPES] = {
    [FIELD_CONSTANT] = read_constant, [FIELD_TEXT] = read_text,   [FIELD_TEXTS] = read_texts,
    [FIELD_PAIRS] = read_pairs,       [FIELD_ENUM] = read_enum,   [FIELD_BOOL] = read_bool,
    [FIELD_NUMBER] = read_number,     [FIELD_SIZE] = read_size,   [FIELD_DURATION] = read_duration,
    [FIELD_SECONDS] = read_seconds,   [FIELD_MILLI] = read_milli, [FIELD_TIME] = read_time,
    [FIELD_SIGNED] = read_signed,     [FIELD_GROUP] = read_group, [FIELD_LIST] = read_list,
};

static int
read_default(const struct field *field, void *object, const struct place *place)
{
	if (field->type == FIELD_CONSTANT && field->required)
		return complain_at(place, field->key, "is required, with the value %s",
				   field->text);
	if (field->type != FIELD_TEXT || !field->text)
		return 0;
	*(char **)member(object, field->offset) = strdup(field->text);
	return *(char **)member(object, field->offset) ? 0 : no_memory(place);
}

static int
read_field(const struct field *field, void *object, const struct place *parent)
{
	const struct yaml_node *node = yaml_get(parent->node, field->key, strlen(field->key));
	struct place place = place_below(parent, field->key, 0, node);

	if (field->hidden)
		return 0;
	if (!node || yaml_is_null(node)) {
		if (field->type == FIELD_GROUP && !field->present) {
			static const struct yaml_node nothing = {.kind = NODE_MAP};

			place.node = &nothing;
			return read_group(field, member(object, field->offset), &place);
		}
		return read_default(field, object, parent);
	}
	if (field->present)
		*(bool *)member(object, *field->present) = true;
	return readers[field->type](field, member(object, field->offset), &place);
}

int
record_read(const struct record *record, void *object, const struct place *place)
{
	struct place here = *place;

	here.record = record;
	if (place->node->kind != NODE_MAP)
		return expect(place, NODE_MAP, "a mapping");
	for (const struct yaml_node *node = place->node->first; node; node = node->next)
		if (!known_field(record, node->key))
			return unknown_key(record, &here, node);
	for (size_t i = 0; i < record->count; i++)
		if (read_field(&record->fields[i], object, &here) < 0)
			return -1;
	return 0;
}
