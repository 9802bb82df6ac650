#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "timefmt.h"

static bool
reserve(struct json *json, size_t more)
{
	if (json->failed)
		return false;
	if (json->size - json->length > more)
		return true;
	size_t size = json->size ? json->size : 256;
	while (size - json->length <= more) {
		if (__builtin_mul_overflow(size, 2, &size)) {
			json->failed = true;
			return false;
		}
	}
	char *grown = realloc(json->text, size);
	if (!grown) {
		json->failed = true;
		return false;
	}
	json->text = grown;
	json->size = size;
	return true;
}

static void
add(struct json *json, const char *text, size_t length)
{
	if (!reserve(json, length))
		return;
	memcpy(json->text + json->length, text, length);
	json->length += length;
}

static void
add_text(struct json *json, const char *text)
{
	add(json, text, strlen(text));
}

/* Before each value and key: the comma that the one before it left owing. */
static void
begin(struct json *json)
{
	if (json->comma)
		add(json, ",", 1);
	json->comma = false;
}

static void
scalar(struct json *json, const char *text)
{
	begin(json);
	add_text(json, text);
	json->comma = true;
}

static void
open_with(struct json *json, const char *bracket)
{
	begin(json);
	add_text(json, bracket);
}

static void
close_with(struct json *json, const char *bracket)
{
	add_text(json, bracket);
	json->comma = true;
}

void
json_object(struct json *json)
{
	open_with(json, "{");
}

void
json_object_end(struct json *json)
{
	close_with(json, "}");
}

void
json_array(struct json *json)
{
	open_with(json, "[");
}

void
json_array_end(struct json *json)
{
	close_with(json, "]");
}

/* --- strings -------------------------------------------------------------------------------- */

/* Bytes of the character at the head, 0 when it is none; *partial when it may become one. */
static size_t
utf8_character(const uint8_t *at, size_t left, bool *partial)
{
	size_t width = at[0] < 0x80                    ? 1
		       : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
		       : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
		       : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
						       : 0;
	/* The second byte excludes overlong forms, surrogates and what lies over U+10FFFF. */
	uint8_t low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;

	*partial = false;
	for (size_t i = 1; i < width; i++) {
		if (i == left) {
			*partial = true;
			return 0;
		}
		if (at[i] < low || at[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return width;
}

size_t
utf8_prefix(const uint8_t *bytes, size_t length, bool *partial)
{
	size_t at = 0;

	*partial = false;
	while (at < length) {
		size_t width = utf8_character(bytes + at, length - at, partial);
		if (width == 0)
			break;
		at += width;
	}
	return at;
}

bool
utf8_valid(const uint8_t *bytes, size_t length)
{
	bool partial;

	return utf8_prefix(bytes, length, &partial) == length;
}

static void
add_escape(struct json *json, uint8_t c)
{
	static const char shorts[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
					 ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
	char text[8];

	if (shorts[c])
		snprintf(text, sizeof(text), "\\%c", shorts[c]);
	else
		snprintf(text, sizeof(text), "\\u%04x", c);
	add_text(json, text);
}

static bool
needs_escape(uint8_t c)
{
	return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

/* A byte that begins no character becomes U+FFFD: what is printed is always valid JSON. */
static void
add_characters(struct json *json, const char *text, size_t length)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t at = 0, plain = 0;
	bool partial;

	while (at < length) {
		size_t width = utf8_character(bytes + at, length - at, &partial);
		if (width > 1 || (width == 1 && !needs_escape(bytes[at]))) {
			at += width;
			continue;
		}
		add(json, text + plain, at - plain);
		if (width == 0)
			add_text(json, "\xef\xbf\xbd");
		else
			add_escape(json, bytes[at]);
		plain = ++at;
	}
	add(json, text + plain, at - plain);
}

static void
add_string(struct json *json, const char *text, size_t length)
{
	begin(json);
	add(json, "\"", 1);
	add_characters(json, text, length);
	add(json, "\"", 1);
	json->comma = true;
}

void
json_key(struct json *json, const char *key)
{
	add_string(json, key, strlen(key));
	add(json, ":", 1);
	json->comma = false;
}

void
json_string(struct json *json, const char *text)
{
	if (text)
		add_string(json, text, strlen(text));
	else
		json_null(json);
}

void
json_string_n(struct json *json, const char *text, size_t length)
{
	add_string(json, text, length);
}

void
json_base64(struct json *json, const uint8_t *bytes, size_t length)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	begin(json);
	add(json, "\"", 1);
	for (size_t at = 0; at < length; at += 3) {
		size_t left = length - at;
		uint32_t three = (uint32_t)bytes[at] << 16;
		if (left > 1)
			three |= (uint32_t)bytes[at + 1] << 8;
		if (left > 2)
			three |= bytes[at + 2];
		char four[4] = {digits[three >> 18], digits[three >> 12 & 63],
				left > 1 ? digits[three >> 6 & 63] : '=',
				left > 2 ? digits[three & 63] : '='};
		add(json, four, sizeof(four));
	}
	add(json, "\"", 1);
	json->comma = true;
}

/* --- other values ----------------------------------------------------------------------------- */

void
json_int(struct json *json, int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, number);
	scalar(json, text);
}

void
json_uint(struct json *json, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	scalar(json, text);
}

void
json_bool(struct json *json, bool value)
{
	scalar(json, value ? "true" : "false");
}

void
json_null(struct json *json)
{
	scalar(json, "null");
}

void
json_time(struct json *json, uint64_t epoch_ms)
{
	char text[RFC3339_LEN + 1];

	json_string(json, epoch_ms ? rfc3339_format(epoch_ms, text) : NULL);
}

void
json_raw(struct json *json, const char *text, size_t length)
{
	begin(json);
	add(json, text, length);
	json->comma = true;
}

char *
json_take(struct json *json, size_t *length)
{
	/* reserve() leaves room for the NUL. */
	if (reserve(json, 0))
		json->text[json->length] = '\0';
	char *text = json->failed ? NULL : steal_ptr(&json->text);
	if (length)
		*length = text ? json->length : 0;
	json_free(json);
	return text;
}

void
json_free(struct json *json)
{
	free(json->text);
	*json = (struct json)JSON_INIT;
}
