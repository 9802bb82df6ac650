/*
 * A JSON writer: the runtime's own output only, never a parser. Appends to one growing buffer;
 * an allocation failure sticks and json_take returns NULL.
 */
#ifndef SCARAB_JSON_H
#define SCARAB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *text;
	size_t length, size;
	bool comma, failed;
};

#define JSON_INIT                                                                                  \
	{                                                                                          \
		.text = NULL                                                                       \
	}

void json_object(struct json *json);
void json_object_end(struct json *json);
void json_array(struct json *json);
void json_array_end(struct json *json);
void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *text); /* NULL: null */
/* Bytes that are valid UTF-8 (see utf8_valid); NUL and control characters are escaped. */
void json_string_n(struct json *json, const char *text, size_t length);
void json_base64(struct json *json, const uint8_t *bytes, size_t length);
void json_int(struct json *json, int64_t number);
void json_uint(struct json *json, uint64_t number);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_time(struct json *json, uint64_t epoch_ms);              /* 0: null */
void json_raw(struct json *json, const char *text, size_t length); /* a value already encoded */
/* The text, NUL-terminated, owned by the caller; NULL when memory ran out. Resets json. */
char *json_take(struct json *json, size_t *length);
void json_free(struct json *json);

/* Length of the longest valid UTF-8 prefix; *partial is set when the rest could be the start of
 * one more character. */
size_t utf8_prefix(const uint8_t *bytes, size_t length, bool *partial);
bool utf8_valid(const uint8_t *bytes, size_t length);

#endif
