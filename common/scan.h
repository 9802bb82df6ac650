/*
 * Strict JSON without a tree: one pass decides whether a text is one value and nothing else; from
 * then on values are spans of the bytes that came, so that what is passed on is passed on as it
 * was: 9007199254740993 and "a\u0000b" survive because nothing is ever printed again.
 *
 * Refused beside bad syntax: invalid UTF-8, control characters in strings, nesting over SCAN_DEPTH,
 * anything after the value. Pure; no allocation; time linear in the bytes.
 */
#ifndef SCARAB_SCAN_H
#define SCARAB_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SCAN_DEPTH = 64 /* MCP.md 2 */ };

/* Borrowed bytes; at NULL: there is none. */
struct span {
	const char *at;
	size_t length;
};

#define SPAN(text) ((struct span){(text), sizeof(text) - 1})
#define NO_SPAN ((struct span){NULL, 0})

enum value_kind {
	VALUE_NONE,
	VALUE_OBJECT,
	VALUE_ARRAY,
	VALUE_STRING,
	VALUE_NUMBER,
	VALUE_BOOL,
	VALUE_NULL,
	VALUE_KINDS,
};

/* Is the text exactly one JSON value? value: it without the space around it. NULL, or why not;
 * value is then empty, at the place where that was seen. */
const char *scan(struct span text, struct span *value);

enum value_kind value_kind(struct span value);
const char *value_kind_name(enum value_kind kind);

/* The members of an object or the items of an array that scan() accepted. */
struct cursor {
	const char *at, *end;
	bool object;
};
/* False when the value is of another kind. */
bool cursor_open(struct cursor *cursor, struct span value, enum value_kind kind);
/* key with its quotes; NO_SPAN in an array. False at the end. */
bool cursor_next(struct cursor *cursor, struct span *key, struct span *value);

/* The members named so, NO_SPAN where there is none. A name that occurs twice, also when it is
 * written with escapes or in another case, is refused: the two ends would not read the same. -1. */
int members(struct span object, const char *const *names, size_t count, struct span *values);
/* One of them; NO_SPAN when absent, doubled, or no object. */
struct span member(struct span object, const char *name);

/* The text of a string into size bytes, NUL-terminated; its length, or -1 when it is no string,
 * does not fit, holds a NUL or half a surrogate pair. */
ssize_t string_text(struct span string, char *text, size_t size);
/* Do both strings mean the same characters? */
bool string_equal(struct span string, const char *text);
/* The number, when it is an integer from 0 to 2^53. */
bool number_uint(struct span number, uint64_t *value);
bool span_equal(struct span a, struct span b);

#endif
