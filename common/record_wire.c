/* Records as bytes; the layout is in record.h. Links no libyaml. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "manifest.h"
#include "record.h"

enum { WIRE_VERSION = 1, WIRE_HEADER = 8 /* u32 magic, u16 version, u16 zero */ };

/* --- encoding --------------------------------------------------------------------------------- */

struct writer {
	uint8_t *bytes;
	size_t length, size;
	bool failed;
};

static void
write_bytes(struct writer *writer, const void *bytes, size_t length)
{
	if (writer->failed)
		return;
	if (length > writer->size - writer->length) {
		size_t size = (writer->length + length) * 2 + 256;
		uint8_t *grown = realloc(writer->bytes, size);

		if (!grown) {
			writer->failed = true;
			return;
		}
		writer->bytes = grown;
		writer->size = size;
	}
	if (length)
		memcpy(writer->bytes + writer->length, bytes, length);
	writer->length += length;
}

static void
write_u8(struct writer *writer, uint8_t value)
{
	write_bytes(writer, &value, sizeof(value));
}

static void
write_u16(struct writer *writer, uint16_t value)
{
	value = htole16(value);
	write_bytes(writer, &value, sizeof(value));
}

static void
write_u32(struct writer *writer, uint32_t value)
{
	value = htole32(value);
	write_bytes(writer, &value, sizeof(value));
}

static void
write_u64(struct writer *writer, uint64_t value)
{
	value = htole64(value);
	write_bytes(writer, &value, sizeof(value));
}

/* Leaves room for a length; length_end fills it in. */
static size_t
length_begin(struct writer *writer)
{
	write_u32(writer, 0);
	return writer->length;
}

static void
length_end(struct writer *writer, size_t begin)
{
	uint32_t length = htole32((uint32_t)(writer->length - begin));

	if (!writer->failed)
		memcpy(writer->bytes + begin - sizeof(length), &length, sizeof(length));
}

static void
write_text(struct writer *writer, const char *text)
{
	size_t length = strlen(text);

	write_u32(writer, (uint32_t)length);
	write_bytes(writer, text, length);
}

static void write_record(struct writer *writer, const struct record *record, const void *object);

static void
write_list(struct writer *writer, const struct record *record, struct list_header list)
{
	for (size_t i = 0; i < list.count; i++) {
		size_t begin = length_begin(writer);

		write_record(writer, record, list.items + i * record->size);
		length_end(writer, begin);
	}
}

static void
write_texts(struct writer *writer, const struct strings *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		write_text(writer, texts->items[i]);
}

static void
write_pairs(struct writer *writer, const struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		write_text(writer, pairs->items[i].key);
		write_text(writer, pairs->items[i].value);
	}
}

static void
write_value(struct writer *writer, const struct field *field, const void *slot)
{
	switch (field->type) {
	case FIELD_TEXT:
		write_bytes(writer, *(char *const *)slot, strlen(*(char *const *)slot));
		break;
	case FIELD_TEXTS:
		write_texts(writer, slot);
		break;
	case FIELD_PAIRS:
		write_pairs(writer, slot);
		break;
	case FIELD_ENUM:
		write_u8(writer, (uint8_t) * (const unsigned *)slot);
		break;
	case FIELD_BOOL:
		write_u8(writer, *(const bool *)slot);
		break;
	case FIELD_GROUP:
		write_record(writer, field->record, slot);
		break;
	case FIELD_LIST:
		write_list(writer, field->record, list_load(slot, 0));
		break;
	default:
		write_u64(writer, *(const uint64_t *)slot);
	}
}

static void
write_record(struct writer *writer, const struct record *record, const void *object)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		size_t begin;

		if (field_absent(field, object))
			continue;
		write_u16(writer, field->tag);
		begin = length_begin(writer);
		write_value(writer, field, member(object, field->offset));
		length_end(writer, begin);
	}
}

int
record_encode(const struct record *record, const void *object, uint32_t magic, size_t max,
	      uint8_t **bytes, size_t *length)
{
	struct writer writer = {0};

	write_u32(&writer, magic);
	write_u16(&writer, WIRE_VERSION);
	write_u16(&writer, 0);
	write_record(&writer, record, object);
	if (writer.failed || writer.length > max) {
		free(writer.bytes);
		return writer.failed ? -ENOMEM : -EFBIG;
	}
	*bytes = writer.bytes;
	*length = writer.length;
	return 0;
}

/* --- decoding --------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *at;
	size_t left;
	bool failed; /* sticky */
};

static const uint8_t *
take(struct reader *reader, size_t length)
{
	const uint8_t *at = reader->at;

	if (reader->failed || length > reader->left) {
		reader->failed = true;
		return NULL;
	}
	reader->at += length;
	reader->left -= length;
	return at;
}

static uint64_t
take_number(struct reader *reader, size_t bytes)
{
	uint64_t value = 0;
	const uint8_t *at = take(reader, bytes);

	if (at)
		memcpy(&value, at, bytes);
	return le64toh(value);
}

static struct reader
take_part(struct reader *reader)
{
	size_t length = (size_t)take_number(reader, sizeof(uint32_t));
	const uint8_t *at = take(reader, length);

	return (struct reader){.at = at, .left = at ? length : 0, .failed = !at};
}

/* All that is left, as text without NUL. */
static char *
take_text(struct reader *reader)
{
	size_t length = reader->left;
	const uint8_t *at = take(reader, length);
	char *text;

	if (!at || memchr(at, 0, length))
		return NULL;
	text = malloc(length + 1);
	if (!text)
		return NULL;
	memcpy(text, at, length);
	text[length] = '\0';
	return text;
}

static bool
take_part_text(struct reader *reader, char **text)
{
	struct reader part = take_part(reader);

	*text = part.failed ? NULL : take_text(&part);
	return *text != NULL;
}

/* How many length-prefixed entries follow, without trusting anything but the bytes' number. */
static bool
count_parts(struct reader reader, size_t *count)
{
	*count = 0;
	while (reader.left) {
		take_part(&reader);
		if (reader.failed)
			return false;
		(*count)++;
	}
	return true;
}

typedef bool decode_fn(struct reader *reader, const struct field *field, void *slot);

static bool
decode_text(struct reader *reader, const struct field *field, void *slot)
{
	(void)field;
	*(char **)slot = take_text(reader);
	return *(char **)slot != NULL;
}

static bool
decode_texts(struct reader *reader, const struct field *field, void *slot)
{
	struct strings *texts = slot;
	size_t count;

	if (!count_parts(*reader, &count) || count > field->max)
		return false;
	texts->items = calloc(count + 1, sizeof(*texts->items));
	if (!texts->items)
		return false;
	while (texts->count < count) {
		if (!take_part_text(reader, &texts->items[texts->count]))
			return false;
		texts->count++;
	}
	return true;
}

static bool
decode_pairs(struct reader *reader, const struct field *field, void *slot)
{
	struct pairs *pairs = slot;
	size_t count;

	if (!count_parts(*reader, &count) || count % 2 || count / 2 > field->max)
		return false;
	pairs->items = calloc(count / 2 + 1, sizeof(*pairs->items));
	if (!pairs->items)
		return false;
	while (pairs->count < count / 2) {
		struct pair *pair = &pairs->items[pairs->count++];

		if (!take_part_text(reader, &pair->key) || !take_part_text(reader, &pair->value))
			return false;
	}
	return true;
}

static bool
decode_enum(struct reader *reader, const struct field *field, void *slot)
{
	unsigned value = (unsigned)take_number(reader, 1);

	*(unsigned *)slot = value;
	return choice_name(field->choices, value) != NULL;
}

static bool
decode_bool(struct reader *reader, const struct field *field, void *slot)
{
	uint64_t value = take_number(reader, 1);

	(void)field;
	*(bool *)slot = value == 1;
	return value <= 1;
}

static bool
decode_number(struct reader *reader, const struct field *field, void *slot)
{
	(void)field;
	*(uint64_t *)slot = take_number(reader, sizeof(uint64_t));
	return true;
}

static bool decode_record(struct reader *reader, const struct record *record, void *object);

static bool
decode_group(struct reader *reader, const struct field *field, void *slot)
{
	return decode_record(reader, field->record, slot);
}

static bool
decode_list(struct reader *reader, const struct field *field, void *slot)
{
	struct list_header list = {0};
	size_t count;

	if (!count_parts(*reader, &count) || count > field->max)
		return false;
	list.items = calloc(count + 1, field->record->size);
	if (!list.items)
		return false;
	list.count = count;
	for (size_t i = 0; i < count; i++)
		record_init(field->record, list.items + i * field->record->size);
	list_store(slot, 0, list);
	for (size_t i = 0; i < count; i++) {
		struct reader part = take_part(reader);

		if (!decode_record(&part, field->record, list.items + i * field->record->size))
			return false;
	}
	return true;
}

static decode_fn *const decoders[FIELD_TYPES] = {
    [FIELD_TEXT] = decode_text,      [FIELD_TEXTS] = decode_texts,
    [FIELD_PAIRS] = decode_pairs,    [FIELD_ENUM] = decode_enum,
    [FIELD_BOOL] = decode_bool,      [FIELD_NUMBER] = decode_number,
    [FIELD_SIZE] = decode_number,    [FIELD_DURATION] = decode_number,
    [FIELD_SECONDS] = decode_number, [FIELD_MILLI] = decode_number,
    [FIELD_TIME] = decode_number,    [FIELD_SIGNED] = decode_number,
    [FIELD_GROUP] = decode_group,    [FIELD_LIST] = decode_list,
};

static const struct field *
field_tagged(const struct record *record, uint64_t tag)
{
	for (size_t i = 0; i < record->count; i++)
		if (record->fields[i].tag == tag && decoders[record->fields[i].type])
			return &record->fields[i];
	return NULL;
}

/* One field; what the encoder would have left out is refused, so that bytes have one form. */
static bool
decode_field(struct reader *reader, const struct field *field, void *object)
{
	struct reader part = take_part(reader);

	if (part.failed)
		return false;
	if (field->present)
		*(bool *)member(object, *field->present) = true;
	if (!decoders[field->type](&part, field, member(object, field->offset)))
		return false;
	return !part.failed && part.left == 0 && !field_absent(field, object);
}

static bool
decode_record(struct reader *reader, const struct record *record, void *object)
{
	uint64_t last = 0;

	if (reader->failed)
		return false;
	while (reader->left) {
		uint64_t tag = take_number(reader, sizeof(uint16_t));
		const struct field *field = field_tagged(record, tag);

		if (!field || tag <= last || !decode_field(reader, field, object))
			return false;
		last = tag;
	}
	return true;
}

int
record_decode(const struct record *record, void *object, uint32_t magic, const uint8_t *bytes,
	      size_t length, const struct place *place)
{
	struct reader reader = {.at = bytes, .left = length};

	if (take_number(&reader, 4) != magic || take_number(&reader, 2) != WIRE_VERSION ||
	    take_number(&reader, 2) != 0 || reader.failed)
		return complain(place, "is of another kind or version");
	if (!decode_record(&reader, record, object))
		return complain(place, "is damaged");
	return 0;
}
