/* JSON text is read where it lies: each value is a part of the text, found by walking over what
 * stands before it. agent_json() has walked over all of it once, so that the others may rely on it.
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct cursor {
	const char *at, *end;
};

static void
skip_blanks(struct cursor *c)
{
	while (c->at < c->end &&
	       (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

static bool
take(struct cursor *c, char expected)
{
	if (c->at == c->end || *c->at != expected)
		return false;
	c->at++;
	return true;
}

/* --- strings -----------------------------------------------------------------------------------
 */

/* The length of the character that begins here, 0 when it is no UTF-8 (RFC 3629). */
static size_t
utf8_length(const unsigned char *s, size_t left)
{
	/* The ranges that the second byte of a first byte may be in. */
	static const struct {
		unsigned char first, last, low, high, length;
	} rows[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t i, n;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (s[0] < rows[i].first || s[0] > rows[i].last)
			continue;
		if (left < rows[i].length || s[1] < rows[i].low || s[1] > rows[i].high)
			return 0;
		for (n = 2; n < rows[i].length; n++)
			if ((s[n] & 0xc0) != 0x80)
				return 0;
		return rows[i].length;
	}
	return 0;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four digits; -1 when they are not. */
static int
hex_four(const char *s, const char *end)
{
	int i, value = 0;

	if (end - s < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		int digit = hex_digit(s[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static bool
skip_escape(struct cursor *c)
{
	if (c->at == c->end)
		return false;
	if (*c->at == 'u') {
		if (hex_four(c->at + 1, c->end) < 0)
			return false;
		c->at += 5;
		return true;
	}
	return *c->at && strchr("\"\\/bfnrt", *c->at++);
}

static bool
skip_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (c->at < c->end) {
		unsigned char byte = (unsigned char)*c->at;
		size_t length = 1;

		if (byte < 0x20)
			return false;
		if (byte >= 0x80)
			length =
			    utf8_length((const unsigned char *)c->at, (size_t)(c->end - c->at));
		if (!length)
			return false;
		c->at += length;
		if (byte == '"')
			return true;
		if (byte == '\\' && !skip_escape(c))
			return false;
	}
	return false;
}

static void
add_character(struct buffer *to, uint32_t point)
{
	unsigned char s[4];
	size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4, i;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (i = length; i-- > 1; point >>= 6)
		s[i] = (unsigned char)(0x80 | (point & 0x3f));
	s[0] = (unsigned char)(lead[length] | point);
	buffer_add(to, (const char *)s, length);
}

static bool
is_high(int unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool
is_low(int unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

/* What follows \u; returns how many bytes that was. */
static size_t
add_unit(struct buffer *to, const char *at, const char *end)
{
	int unit = hex_four(at, end), next = -1;

	if (is_high(unit) && end - at >= 6 && at[4] == '\\' && at[5] == 'u')
		next = hex_four(at + 6, end);
	if (is_low(next)) {
		add_character(to, 0x10000u + (((uint32_t)unit - 0xd800u) << 10) +
				      ((uint32_t)next - 0xdc00u));
		return 10;
	}
	add_character(to, is_high(unit) || is_low(unit) ? 0xfffd : (uint32_t)unit);
	return 4;
}

static size_t
add_unescaped(struct buffer *to, const char *at, const char *end)
{
	static const char plain[] = {
	    ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
	char c = *at;

	if (c == 'u')
		return 1 + add_unit(to, at + 1, end);
	if ((size_t)c < sizeof(plain) && plain[(size_t)c])
		c = plain[(size_t)c];
	buffer_add(to, &c, 1);
	return 1;
}

/* --- values ------------------------------------------------------------------------------------
 */

static bool
skip_digits(struct cursor *c)
{
	const char *from = c->at;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at > from;
}

static bool
skip_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !skip_digits(c))
		return false;
	if (take(c, '.') && !skip_digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		return skip_digits(c);
	}
	return true;
}

static bool
skip_word(struct cursor *c, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
		return false;
	c->at += length;
	return true;
}

static bool skip_value(struct cursor *c, int depth);

static bool
skip_member(struct cursor *c, int depth)
{
	skip_blanks(c);
	if (!skip_string(c))
		return false;
	skip_blanks(c);
	return take(c, ':') && skip_value(c, depth);
}

/* An array or an object: the brackets, and what stands between them. */
static bool
skip_items(struct cursor *c, char close, int depth)
{
	c->at++;
	if (depth > AGENT_DEPTH_MAX)
		return false;
	skip_blanks(c);
	if (take(c, close))
		return true;
	do {
		if (close == '}' ? !skip_member(c, depth) : !skip_value(c, depth))
			return false;
		skip_blanks(c);
	} while (take(c, ','));
	return take(c, close);
}

static bool
skip_value(struct cursor *c, int depth)
{
	skip_blanks(c);
	if (c->at == c->end)
		return false;
	switch (*c->at) {
	case '{':
		return skip_items(c, '}', depth + 1);
	case '[':
		return skip_items(c, ']', depth + 1);
	case '"':
		return skip_string(c);
	case 't':
		return skip_word(c, "true");
	case 'f':
		return skip_word(c, "false");
	case 'n':
		return skip_word(c, "null");
	default:
		return skip_number(c);
	}
}

/* The value that stands here; the cursor is behind it. */
static struct agent_json
next_value(struct cursor *c)
{
	struct agent_json value = {.text = NULL};

	skip_blanks(c);
	value.text = c->at;
	if (!skip_value(c, 0))
		return (struct agent_json){.text = NULL};
	value.length = (size_t)(c->at - value.text);
	return value;
}

/* --- what callers ask ----------------------------------------------------------------------------
 */

struct agent_json
agent_json(const char *text, size_t length)
{
	struct cursor c = {.at = text, .end = text + length};
	struct agent_json value = next_value(&c);

	skip_blanks(&c);
	return c.at == c.end ? value : (struct agent_json){.text = NULL};
}

enum agent_json_type
agent_json_type(struct agent_json json)
{
	switch (json.length ? json.text[0] : '\0') {
	case '\0':
		return AGENT_JSON_NONE;
	case '{':
		return AGENT_JSON_OBJECT;
	case '[':
		return AGENT_JSON_ARRAY;
	case '"':
		return AGENT_JSON_STRING;
	case 't':
	case 'f':
		return AGENT_JSON_BOOL;
	case 'n':
		return AGENT_JSON_NULL;
	default:
		return AGENT_JSON_NUMBER;
	}
}

/* Inside of an object or array, after its bracket. */
static struct cursor
inside(struct agent_json json)
{
	return (struct cursor){.at = json.text + 1, .end = json.text + json.length};
}

static bool
is_named(struct agent_json key, const char *name)
{
	size_t length = strlen(name);
	char *decoded;
	bool same;

	if (!memchr(key.text, '\\', key.length))
		return key.length == length + 2 && !memcmp(key.text + 1, name, length);
	decoded = agent_json_string(key, &length);
	same = decoded && length == strlen(name) && !memcmp(decoded, name, length);
	free(decoded);
	return same;
}

struct agent_json
agent_json_get(struct agent_json json, const char *name)
{
	struct agent_json found = {.text = NULL}, key, value;
	struct cursor c;

	if (agent_json_type(json) != AGENT_JSON_OBJECT)
		return found;
	c = inside(json);
	skip_blanks(&c);
	while (c.at < c.end && *c.at != '}') {
		key = next_value(&c);
		skip_blanks(&c);
		take(&c, ':');
		value = next_value(&c);
		if (!key.text || !value.text)
			break;
		if (is_named(key, name))
			found = value;
		skip_blanks(&c);
		take(&c, ',');
		skip_blanks(&c);
	}
	return found;
}

struct agent_json
agent_json_next(struct agent_json json, struct agent_json element)
{
	struct cursor c;

	if (agent_json_type(json) != AGENT_JSON_ARRAY)
		return (struct agent_json){.text = NULL};
	c = inside(json);
	if (element.text)
		c.at = element.text + element.length;
	skip_blanks(&c);
	take(&c, ',');
	skip_blanks(&c);
	if (c.at == c.end || *c.at == ']')
		return (struct agent_json){.text = NULL};
	return next_value(&c);
}

struct agent_json
agent_json_at(struct agent_json json, size_t index)
{
	struct agent_json element = agent_json_next(json, (struct agent_json){.text = NULL});

	while (element.text && index-- > 0)
		element = agent_json_next(json, element);
	return element;
}

char *
agent_json_string(struct agent_json json, size_t *length)
{
	struct buffer to = {.bytes = NULL};
	const char *at, *end, *next;
	size_t ignored;

	if (agent_json_type(json) != AGENT_JSON_STRING)
		return NULL;
	at = json.text + 1;
	end = json.text + json.length - 1;
	while (at < end) {
		next = memchr(at, '\\', (size_t)(end - at));
		if (!next) {
			buffer_add(&to, at, (size_t)(end - at));
			break;
		}
		buffer_add(&to, at, (size_t)(next - at));
		at = next + 1 + add_unescaped(&to, next + 1, end);
	}
	return buffer_take(&to, length ? length : &ignored);
}

/* More than this no program writes that means a number. */
enum { NUMBER_MAX = 1024 };

/* What strtod() and strtoll() read must end. */
static bool
number_text(struct agent_json json, char *text, size_t size)
{
	if (agent_json_type(json) != AGENT_JSON_NUMBER || json.length >= size)
		return false;
	memcpy(text, json.text, json.length);
	text[json.length] = '\0';
	return true;
}

bool
agent_json_number(struct agent_json json, double *number)
{
	char text[NUMBER_MAX];
	locale_t plain;

	/* JSON has a point in every locale. */
	if (!number_text(json, text, sizeof(text)) ||
	    !(plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0)))
		return false;
	*number = strtod_l(text, NULL, plain);
	freelocale(plain);
	return true;
}

bool
agent_json_integer(struct agent_json json, int64_t *number)
{
	char text[NUMBER_MAX], *end;

	if (!number_text(json, text, sizeof(text)))
		return false;
	errno = 0;
	*number = strtoll(text, &end, 10);
	return !*end && !errno;
}

bool
agent_json_true(struct agent_json json)
{
	return json.length == strlen("true") && json.text[0] == 't';
}

bool
agent_is_utf8(const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + length;
	size_t step;

	while (at < end) {
		step = *at < 0x80 ? 1 : utf8_length(at, (size_t)(end - at));
		if (!step)
			return false;
		at += step;
	}
	return true;
}

char *
agent_json_quote(const char *text, size_t length)
{
	struct buffer quoted = {.bytes = NULL};

	if (!agent_is_utf8(text, length))
		return NULL;
	buffer_quoted(&quoted, text, length);
	return buffer_take(&quoted, &length);
}
