/*
 * Records described once, by a table of fields. The YAML reader, the binary encoder and decoder,
 * the JSON printer, free and the checks all walk the same table, so that what a manifest or
 * agentd.yaml may say is stated in one place (manifest_schema.c, config_schema.c).
 *
 * Wire layout of a record, little-endian: for each field that is not absent, in ascending order of
 * tags, u16 tag, u32 length, payload. Text is its bytes; numbers are u64; bools and enums u8; a
 * list is u32 length and bytes for each entry (pairs: key, then value); a group is a record.
 * Tags are stable for ever: stored plans outlive the binary that wrote them.
 */
#ifndef SCARAB_RECORD_H
#define SCARAB_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "json.h"
#include "yaml_tree.h"

#define ABSENT UINT64_MAX

enum field_type {
	FIELD_CONSTANT, /* must be written exactly so; stored nowhere */
	FIELD_TEXT,     /* char *, NULL: absent */
	FIELD_TEXTS,    /* struct strings */
	FIELD_PAIRS,    /* struct pairs */
	FIELD_ENUM,     /* unsigned, fallback (0): absent */
	FIELD_BOOL,     /* bool */
	FIELD_NUMBER,   /* uint64_t from here to FIELD_TIME, ABSENT: absent */
	FIELD_SIZE,     /* bytes; Ki, Mi, Gi */
	FIELD_DURATION, /* milliseconds; one number and a unit */
	FIELD_SECONDS,  /* milliseconds; a plain number of seconds */
	FIELD_MILLI,    /* thousandths; a decimal number */
	FIELD_TIME,     /* milliseconds since the epoch; RFC 3339 */
	FIELD_SIGNED,   /* int64_t, fallback when not written */
	FIELD_GROUP,    /* a record within this one, at offset */
	FIELD_LIST,     /* struct { item *items; size_t count; } of records */
	FIELD_TYPES,
};

enum { REASON_SIZE = 256 };
/* Whether a text may stand there; if not, why says what is wrong ("must …"). */
typedef bool value_check(const char *text, char why[REASON_SIZE]);

struct choice {
	const char *name;
	unsigned value; /* the first name of a value is the one that is printed */
};

struct field {
	const char *key;
	enum field_type type;
	uint16_t tag;
	bool required;
	bool hidden; /* on the wire only: no key says it */
	size_t offset;
	const size_t *present;        /* offset of a bool: "this key was written" */
	int64_t min;                  /* numbers */
	uint64_t max;                 /* numbers: value; text: bytes; lists: entries */
	size_t entry_max;             /* FIELD_TEXTS, FIELD_PAIRS: bytes of an entry or value */
	uint64_t fallback;            /* numbers, bools, enums: when not written */
	const char *text;             /* FIELD_CONSTANT: the constant; FIELD_TEXT: the default */
	value_check *check;           /* text, or each entry, or each pair's value */
	value_check *check_key;       /* each pair's key */
	const struct choice *choices; /* FIELD_ENUM, ends with a NULL name */
	const struct record *record;  /* FIELD_GROUP, FIELD_LIST */
};

struct place;

struct record {
	const struct field *fields;
	size_t count, size;
	/* What one key demands of another; fills what follows from the others. 0, or -1 after
	 * complain_at(). */
	int (*finish)(void *object, const struct place *place);
};

/* Where in a text (or plan) something is, for messages; lives on the stack of who walks. */
struct place {
	const struct place *parent;
	const char *key; /* NULL: an entry of a list, or the root */
	size_t index;
	const struct yaml_node *node; /* NULL: not written, or a decoded record */
	const struct record *record;  /* set by the reader, for its hints */
	const char *file;             /* root only: "FILE", or "plan" */
	struct error *error;          /* root only */
};

struct place place_below(const struct place *parent, const char *key, size_t index,
			 const struct yaml_node *node);
/* "FILE:LINE:COLUMN: PATH: text" with ERR_INVALID; "FILE: PATH: text" without a tree. -1. */
int complain(const struct place *place, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same about a path below place, "spec.home.mode" or "[3].target". */
int complain_at(const struct place *place, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct error *place_error(const struct place *place);
const char *place_file(const struct place *place);
void place_path(const struct place *place, char *text, size_t size);

/* Every field absent or at its fallback; texts NULL. */
void record_init(const struct record *record, void *object);
void record_clear(const struct record *record, void *object);
/* Every bound, form and demand; the reader and the decoder both end with it. 0 or -1. */
int record_check(const struct record *record, void *object, const struct place *place);
/* Fills an initialised object from a mapping, texts with their defaults; checks nothing yet but
 * keys and types. 0 or -1. */
int record_read(const struct record *record, void *object, const struct place *place);
/* What record_encode writes and nothing else: the decoded record encodes to the same bytes. */
int record_encode(const struct record *record, const void *object, uint32_t magic, size_t max,
		  uint8_t **bytes, size_t *length);
/* Fills an initialised object; checks form only. 0 or -1 with the error of place. */
int record_decode(const struct record *record, void *object, uint32_t magic, const uint8_t *bytes,
		  size_t length, const struct place *place);
void record_json(const struct record *record, const void *object, struct json *json);
/* The value of one field of object. */
void record_json_value(const struct field *field, const void *object, struct json *json);

/* The field at a dotted path below record, object moved to what holds it; NULL: no such. */
const struct field *record_find(const struct record *record, const char *path, const void **object);
/* Nothing was written there, or what asks for nothing: absent, an empty list. */
bool field_absent(const struct field *field, const void *object);
const char *choice_name(const struct choice *choices, unsigned value); /* NULL: none */
unsigned choice_value(const struct choice *choices, const char *name); /* 0: none */

/* The candidate that a person most likely meant, NULL when none is near. */
const char *nearest(const char *word, const char *const *candidates, size_t count);

/* Access to members by offset. */
struct list_header {
	char *items;
	size_t count;
};
struct list_header list_load(const void *object, size_t offset);
void list_store(void *object, size_t offset, struct list_header list);
static inline void *
member(const void *object, size_t offset)
{
	return (char *)(uintptr_t)object + offset;
}
static inline bool
field_is_number(enum field_type type)
{
	return type >= FIELD_NUMBER && type <= FIELD_SIGNED;
}

#endif
