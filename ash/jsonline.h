/*
 * One line that is a JSON object of strings, numbers, booleans and nulls: what keepers and secretd
 * write. A parser of its own: a string may hold \u0000, which cJSON loses.
 */
#ifndef ASH_JSONLINE_H
#define ASH_JSONLINE_H

#include <stdbool.h>
#include <stddef.h>

/* Decoded, in the line itself; no NUL at its end. */
struct json_text {
	char *from;
	size_t length;
};

/* One member, in order; string: false for numbers and words. False ends it. */
typedef bool jsonline_fn(const struct json_text *key, const struct json_text *value, bool string,
			 void *arg);

/* Decodes a line (without its newline) in place. False for what is not such an object. */
bool jsonline_parse(char *line, size_t length, jsonline_fn *fn, void *arg);
bool json_text_is(const struct json_text *text, const char *word);

#endif
