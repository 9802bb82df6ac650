#include "jsonline.h"

#include <stdint.h>
#include <string.h>

/* What is left to read. */
struct scanner {
	char *at, *end;
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
take_string(struct scanner *scanner, struct json_text *span)
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

/* true, false, null or a number: everything up to the next comma or brace. */
static struct json_text
take_bare(struct scanner *scanner)
{
	struct json_text span = {.from = scanner->at};

	while (scanner->at < scanner->end && *scanner->at != ',' && *scanner->at != '}')
		scanner->at++;
	span.length = (size_t)(scanner->at - span.from);
	while (span.length > 0 && span.from[span.length - 1] == ' ')
		span.length--;
	return span;
}

static bool
take_member(struct scanner *scanner, jsonline_fn *fn, void *arg)
{
	struct json_text key, value;
	bool string;

	if (!take_string(scanner, &key) || !skip_character(scanner, ':'))
		return false;
	skip_space(scanner);
	string = scanner->at < scanner->end && *scanner->at == '"';
	if (string ? !take_string(scanner, &value)
		   : (value = take_bare(scanner), value.length == 0))
		return false;
	return fn(&key, &value, string, arg);
}

bool
jsonline_parse(char *line, size_t length, jsonline_fn *fn, void *arg)
{
	struct scanner scanner = {.at = line, .end = line + length};

	if (!skip_character(&scanner, '{'))
		return false;
	do {
		if (!take_member(&scanner, fn, arg))
			return false;
	} while (skip_character(&scanner, ','));
	if (!skip_character(&scanner, '}'))
		return false;
	skip_space(&scanner);
	return scanner.at == scanner.end;
}

bool
json_text_is(const struct json_text *text, const char *word)
{
	return text->length == strlen(word) && memcmp(text->from, word, text->length) == 0;
}
