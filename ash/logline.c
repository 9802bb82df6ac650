#include "logline.h"

#include <stdint.h>
#include <string.h>

/* What is left to read. */
struct scanner {
	char *at, *end;
};

struct span {
	char *from;
	size_t length;
};

static void
skip_space(struct scanner *scanner)
{
	while (scanner->at < scanner->end && strchr(" \t\r\n", *scanner->at) && *scanner->at)
		scanner->at++;
}

static bool
skip_character(struct scanner *scanner, char c)
{
	skip_space(scanner);
	if (scanner->at >= scanner->end || *scanner->at != c)
		return false;
	scanner->at++;
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits; -1 when they are not. */
static int32_t
hex_unit(struct scanner *scanner)
{
	int32_t unit = 0;

	if (scanner->end - scanner->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(*scanner->at++);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* What follows \u: a character, of two surrogates where needed; -1 for half of one. */
static int32_t
unicode_escape(struct scanner *scanner)
{
	int32_t high = hex_unit(scanner), low;

	if (high < 0 || (high & 0xfc00) == 0xdc00)
		return -1;
	if ((high & 0xfc00) != 0xd800)
		return high;
	if (scanner->end - scanner->at < 2 || scanner->at[0] != '\\' || scanner->at[1] != 'u')
		return -1;
	scanner->at += 2;
	low = hex_unit(scanner);
	if (low < 0 || (low & 0xfc00) != 0xdc00)
		return -1;
	return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

static char *
put_utf8(char *out, int32_t character)
{
	uint32_t c = (uint32_t)character;

	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* One escape after its backslash; the new end of what is decoded, NULL when it is none. */
static char *
take_escape(struct scanner *scanner, char *out)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int32_t character;

	if (scanner->at >= scanner->end)
		return NULL;
	if (*scanner->at == 'u') {
		scanner->at++;
		character = unicode_escape(scanner);
		return character < 0 ? NULL : put_utf8(out, character);
	}
	letter = *scanner->at ? strchr(letters, *scanner->at) : NULL;
	if (!letter)
		return NULL;
	scanner->at++;
	*out++ = meant[letter - letters];
	return out;
}

/* A string, decoded in place: no escape is shorter than what it stands for. */
static bool
take_string(struct scanner *scanner, struct span *span)
{
	char *out;

	if (!skip_character(scanner, '"'))
		return false;
	span->from = out = scanner->at;
	while (scanner->at < scanner->end && *scanner->at != '"') {
		if (*scanner->at != '\\') {
			*out++ = *scanner->at++;
			continue;
		}
		scanner->at++;
		out = take_escape(scanner, out);
		if (!out)
			return false;
	}
	if (scanner->at >= scanner->end)
		return false;
	scanner->at++;
	span->length = (size_t)(out - span->from);
	return true;
}

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
decode_base64(struct span *span)
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

/* true, false, null or a number: everything up to the next comma or brace. */
static struct span
take_bare(struct scanner *scanner)
{
	struct span span = {.from = scanner->at};

	while (scanner->at < scanner->end && *scanner->at != ',' && *scanner->at != '}')
		scanner->at++;
	span.length = (size_t)(scanner->at - span.from);
	while (span.length > 0 && span.from[span.length - 1] == ' ')
		span.length--;
	return span;
}

static bool
is(const struct span *span, const char *word)
{
	return span->length == strlen(word) && memcmp(span->from, word, span->length) == 0;
}

static bool
take_stream(struct logline *parsed, const struct span *value)
{
	if (value->length > LOGLINE_STREAM_MAX)
		return false;
	memcpy(parsed->stream, value->from, value->length);
	parsed->stream[value->length] = '\0';
	return true;
}

static bool
take_member(struct scanner *scanner, struct logline *parsed)
{
	struct span key, value;

	if (!take_string(scanner, &key) || !skip_character(scanner, ':'))
		return false;
	skip_space(scanner);
	if (scanner->at >= scanner->end || *scanner->at != '"') {
		value = take_bare(scanner);
		if (is(&key, "partial"))
			parsed->partial = is(&value, "true");
		return value.length > 0;
	}
	if (!take_string(scanner, &value))
		return false;
	if (is(&key, "stream"))
		return take_stream(parsed, &value);
	if (is(&key, "bytes") && !decode_base64(&value))
		return false;
	if (is(&key, "text") || is(&key, "bytes")) {
		parsed->content = value.from;
		parsed->length = value.length;
	}
	return true;
}

bool
logline_parse(char *line, size_t length, struct logline *parsed)
{
	struct scanner scanner = {.at = line, .end = line + length};

	*parsed = (struct logline){.content = NULL};
	if (!skip_character(&scanner, '{'))
		return false;
	do {
		if (!take_member(&scanner, parsed))
			return false;
	} while (skip_character(&scanner, ','));
	if (!skip_character(&scanner, '}'))
		return false;
	skip_space(&scanner);
	return scanner.at == scanner.end && parsed->content && *parsed->stream;
}
