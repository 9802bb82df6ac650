#include "logline.h"

#include <stdint.h>
#include <string.h>

#include "jsonline.h"

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool
decode_base64(struct json_text *span)
{
	uint32_t bits = 0;
	unsigned held = 0;
	char *out = span->from;
	size_t i = 0;

	for (; i < span->length && span->from[i] != '='; i++) {
		int digit = base64_digit(span->from[i]);

		if (digit < 0)
			return false;
		bits = (bits << 6 | (uint32_t)digit) & 0xffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			*out++ = (char)(bits >> held & 0xff);
		}
	}
	if (span->length - i > 2 || span->length % 4 != 0)
		return false;
	span->length = (size_t)(out - span->from);
	return true;
}

static bool
take_stream(struct logline *parsed, const struct json_text *value)
{
	if (value->length > LOGLINE_STREAM_MAX)
		return false;
	memcpy(parsed->stream, value->from, value->length);
	parsed->stream[value->length] = '\0';
	return true;
}

static bool
take_member(const struct json_text *key, const struct json_text *found, bool string, void *arg)
{
	struct logline *parsed = arg;
	struct json_text value = *found;

	if (!string) {
		if (json_text_is(key, "partial"))
			parsed->partial = json_text_is(&value, "true");
		return true;
	}
	if (json_text_is(key, "stream"))
		return take_stream(parsed, &value);
	if (json_text_is(key, "bytes") && !decode_base64(&value))
		return false;
	if (json_text_is(key, "text") || json_text_is(key, "bytes")) {
		parsed->content = value.from;
		parsed->length = value.length;
	}
	return true;
}

bool
logline_parse(char *line, size_t length, struct logline *parsed)
{
	*parsed = (struct logline){.content = NULL};
	return jsonline_parse(line, length, take_member, parsed) && parsed->content &&
	       *parsed->stream;
}
