#include "scan.h"

#include <string.h>
#include <strings.h>

#include "cleanup.h"

enum { KEY_MAX = 128 /* longer keys are none that anybody asks for */ };

/* --- the strict pass ------------------------------------------------------------------------- */

struct scanner {
	const char *at, *end;
	const char *fault;
	uint64_t objects; /* bit n: the container at depth n is an object */
	unsigned depth;
};

static bool
wrong(struct scanner *s, const char *fault)
{
	if (!s->fault)
		s->fault = fault;
	return false;
}

static void
skip_space(struct scanner *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
		s->at++;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes that need no look: ASCII, no quote, no backslash, no control character. */
static bool
eight_plain(const char *at)
{
	uint64_t word, quote, slash, low;

	memcpy(&word, at, sizeof(word));
	quote = word ^ EACH_BYTE('"');
	slash = word ^ EACH_BYTE('\\');
	low = word - EACH_BYTE(0x20);
	quote = (quote - EACH_BYTE(1)) & ~quote;
	slash = (slash - EACH_BYTE(1)) & ~slash;
	return ((word | quote | slash | (low & ~word)) & EACH_BYTE(0x80)) == 0;
}

static bool
continues(const char *at, const char *end, size_t count)
{
	if ((size_t)(end - at) <= count)
		return false;
	for (size_t i = 1; i <= count; i++)
		if (((unsigned char)at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. The length, 0 when invalid.
 */
static size_t
utf8_length(const char *at, const char *end)
{
	unsigned char first = (unsigned char)at[0];
	unsigned char second = end - at > 1 ? (unsigned char)at[1] : 0;

	if (first >= 0xc2 && first <= 0xdf)
		return continues(at, end, 1) ? 2 : 0;
	if ((first & 0xf0) == 0xe0) {
		if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f))
			return 0;
		return continues(at, end, 2) ? 3 : 0;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
			return 0;
		return continues(at, end, 3) ? 4 : 0;
	}
	return 0;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
scan_escape(struct scanner *s)
{
	if (s->end - s->at < 2 || s->at[1] == '\0' || !strchr("\"\\/bfnrtu", s->at[1]))
		return wrong(s, "an escape that JSON does not have");
	if (s->at[1] != 'u') {
		s->at += 2;
		return true;
	}
	if (s->end - s->at < 6)
		return wrong(s, "an escape is cut off");
	for (int i = 2; i < 6; i++)
		if (!is_hex(s->at[i]))
			return wrong(s, "an escape that JSON does not have");
	s->at += 6;
	return true;
}

/* One character, or eight, of a string; the closing quote is left. */
static bool
scan_character(struct scanner *s)
{
	unsigned char c = (unsigned char)*s->at;
	size_t length = 1;

	if (s->end - s->at >= 8 && eight_plain(s->at)) {
		s->at += 8;
		return true;
	}
	if (c == '\\')
		return scan_escape(s);
	if (c < 0x20)
		return wrong(s, "a control character in a string");
	if (c >= 0x80)
		length = utf8_length(s->at, s->end);
	if (length == 0)
		return wrong(s, "bytes that are no UTF-8");
	s->at += length;
	return true;
}

static bool
scan_string(struct scanner *s)
{
	if (s->at >= s->end || *s->at != '"')
		return wrong(s, "a string is missing");
	s->at++;
	while (s->at < s->end && *s->at != '"')
		if (!scan_character(s))
			return false;
	if (s->at >= s->end)
		return wrong(s, "a string is cut off");
	s->at++;
	return true;
}

static bool
scan_digits(struct scanner *s)
{
	const char *first = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > first || wrong(s, "a number without digits");
}

static bool
next_is(const struct scanner *s, const char *any)
{
	return s->at < s->end && *s->at && strchr(any, *s->at);
}

static bool
scan_number(struct scanner *s)
{
	if (next_is(s, "-"))
		s->at++;
	if (next_is(s, "0"))
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (next_is(s, ".")) {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (next_is(s, "eE")) {
		s->at++;
		if (next_is(s, "+-"))
			s->at++;
		return scan_digits(s);
	}
	return true;
}

static bool
scan_word(struct scanner *s, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
		return wrong(s, "a word that JSON does not have");
	s->at += length;
	return true;
}

static bool
in_object(const struct scanner *s)
{
	return (s->objects >> (s->depth - 1) & 1) != 0;
}

/* "key": before a member's value. */
static bool
scan_key(struct scanner *s)
{
	skip_space(s);
	if (!scan_string(s))
		return false;
	skip_space(s);
	if (!next_is(s, ":"))
		return wrong(s, "a colon is missing");
	s->at++;
	return true;
}

/* Opens a container; true in *empty when it is closed at once. */
static bool
scan_open(struct scanner *s, bool object, bool *empty)
{
	if (s->depth == SCAN_DEPTH)
		return wrong(s, "nested too deep");
	s->depth++;
	s->objects &= ~(UINT64_C(1) << (s->depth - 1));
	s->objects |= (uint64_t)object << (s->depth - 1);
	s->at++;
	skip_space(s);
	*empty = next_is(s, object ? "}" : "]");
	if (*empty) {
		s->at++;
		s->depth--;
		return true;
	}
	return object ? scan_key(s) : true;
}

/* The beginning of a value; *done when it is also its end. */
static bool
scan_value(struct scanner *s, bool *done)
{
	*done = true;
	skip_space(s);
	if (s->at >= s->end)
		return wrong(s, "it ends where a value is missing");
	switch (*s->at) {
	case '{':
	case '[':
		return scan_open(s, *s->at == '{', done);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

/* After a value inside containers: closes those that end here, up to the next value's place. */
static bool
scan_after(struct scanner *s)
{
	while (s->depth > 0) {
		skip_space(s);
		if (next_is(s, ",")) {
			s->at++;
			return in_object(s) ? scan_key(s) : true;
		}
		if (!next_is(s, in_object(s) ? "}" : "]"))
			return wrong(s, "a comma or a closing bracket is missing");
		s->at++;
		s->depth--;
	}
	return true;
}

/* One value and nothing else; at its end, or at the fault, when it returns. */
static bool
scan_text(struct scanner *s, struct span *value)
{
	bool done;

	skip_space(s);
	value->at = s->at;
	do {
		if (!scan_value(s, &done) || (done && !scan_after(s)))
			return false;
	} while (s->depth > 0);
	value->length = (size_t)(s->at - value->at);
	skip_space(s);
	return s->at == s->end || wrong(s, "something follows the value");
}

const char *
scan(struct span text, struct span *value)
{
	struct scanner s = {.at = text.at, .end = text.at + text.length};

	if (!scan_text(&s, value))
		*value = (struct span){s.at, 0};
	return s.fault;
}

/* --- spans of what was accepted -------------------------------------------------------------- */

enum value_kind
value_kind(struct span value)
{
	if (!value.at || value.length == 0)
		return VALUE_NONE;
	switch (*value.at) {
	case '{':
		return VALUE_OBJECT;
	case '[':
		return VALUE_ARRAY;
	case '"':
		return VALUE_STRING;
	case 't':
	case 'f':
		return VALUE_BOOL;
	case 'n':
		return VALUE_NULL;
	default:
		return VALUE_NUMBER;
	}
}

const char *
value_kind_name(enum value_kind kind)
{
	static const char *const names[VALUE_KINDS] = {
	    [VALUE_NONE] = "none",     [VALUE_OBJECT] = "object", [VALUE_ARRAY] = "array",
	    [VALUE_STRING] = "string", [VALUE_NUMBER] = "number", [VALUE_BOOL] = "boolean",
	    [VALUE_NULL] = "null",
	};

	return kind < VALUE_KINDS ? names[kind] : "none";
}

static const char *
past_space(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')
		at++;
	return at;
}

/* end: of the container it is in. A quote behind an odd number of backslashes does not close. */
static const char *
past_string(const char *at, const char *end)
{
	const char *quote = at, *before;

	do {
		quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
		for (before = quote; before[-1] == '\\'; before--)
			;
	} while ((quote - before) % 2 != 0);
	return quote + 1;
}

static const char *
past_container(const char *at, const char *end)
{
	unsigned depth = 0;

	do {
		switch (*at) {
		case '"':
			at = past_string(at, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		default:
			break;
		}
		at++;
	} while (depth > 0);
	return at;
}

static const char *
past_value(const char *at, const char *end)
{
	if (*at == '"')
		return past_string(at, end);
	if (*at == '{' || *at == '[')
		return past_container(at, end);
	while (at < end && !strchr(",]} \t\r\n", *at))
		at++;
	return at;
}

bool
cursor_open(struct cursor *cursor, struct span value, enum value_kind kind)
{
	if (value_kind(value) != kind || (kind != VALUE_OBJECT && kind != VALUE_ARRAY))
		return false;
	cursor->object = kind == VALUE_OBJECT;
	cursor->end = value.at + value.length - 1; /* the closing bracket */
	cursor->at = past_space(value.at + 1);
	return true;
}

bool
cursor_next(struct cursor *cursor, struct span *key, struct span *value)
{
	const char *at = cursor->at;

	if (at >= cursor->end)
		return false;
	*key = NO_SPAN;
	if (cursor->object) {
		key->at = at;
		at = past_string(at, cursor->end);
		key->length = (size_t)(at - key->at);
		at = past_space(past_space(at) + 1);
	}
	value->at = at;
	at = past_value(at, cursor->end);
	value->length = (size_t)(at - value->at);
	at = past_space(at);
	cursor->at = at < cursor->end && *at == ',' ? past_space(at + 1) : at;
	return true;
}

/* --- strings --------------------------------------------------------------------------------- */

static unsigned
hex4(const char *at)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		char c = at[i];
		unsigned digit = c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20U) - 'a' + 10;
		value = value << 4 | digit;
	}
	return value;
}

static size_t
put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The character of an escape at *at, which moves behind it; 0 for none that a text can hold. */
static unsigned
unescape(const char **at, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	unsigned high, low;

	if ((*at)[1] != 'u') {
		const char *found = strchr(from, (*at)[1]);
		*at += 2;
		return (unsigned char)to[found - from];
	}
	high = hex4(*at + 2);
	*at += 6;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return 0;
	low = hex4(*at + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*at += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

ssize_t
string_text(struct span string, char *text, size_t size)
{
	const char *at, *end;
	size_t length = 0, count;
	char character[4];
	unsigned c;

	if (value_kind(string) != VALUE_STRING)
		return -1;
	at = string.at + 1;
	end = string.at + string.length - 1;
	while (at < end) {
		if (*at != '\\') {
			character[0] = *at++;
			count = 1;
		} else {
			c = unescape(&at, end);
			if (c == 0)
				return -1;
			count = put_utf8(character, c);
		}
		if (length + count >= size)
			return -1;
		memcpy(text + length, character, count);
		length += count;
	}
	text[length] = '\0';
	return (ssize_t)length;
}

/* The text of a key, or NULL when it is none that anybody asks for. */
static const char *
key_text(struct span key, char text[KEY_MAX])
{
	return string_text(key, text, KEY_MAX) < 0 ? NULL : text;
}

bool
string_equal(struct span string, const char *text)
{
	size_t length = strlen(text);
	char own[KEY_MAX];

	if (value_kind(string) != VALUE_STRING)
		return false;
	if (string.length == length + 2 && memcmp(string.at + 1, text, length) == 0 &&
	    !memchr(text, '\\', length))
		return true;
	if (!memchr(string.at, '\\', string.length))
		return false;
	return key_text(string, own) && strcmp(own, text) == 0;
}

int
members(struct span object, const char *const *names, size_t count, struct span *values)
{
	struct cursor cursor;
	struct span key, value;
	char own[KEY_MAX];

	for (size_t i = 0; i < count; i++)
		values[i] = NO_SPAN;
	if (!cursor_open(&cursor, object, VALUE_OBJECT))
		return 0;
	/* Whatever differs in case only is seen here, so that it counts as a second one. */
	bool loose[16] = {false};
	while (cursor_next(&cursor, &key, &value)) {
		if (!key_text(key, own))
			continue;
		for (size_t i = 0; i < count && i < ARRAY_LEN(loose); i++) {
			if (strcasecmp(own, names[i]) != 0)
				continue;
			if (loose[i])
				return -1;
			loose[i] = true;
			if (strcmp(own, names[i]) == 0)
				values[i] = value;
		}
	}
	return 0;
}

struct span
member(struct span object, const char *name)
{
	struct span value;

	return members(object, &name, 1, &value) < 0 ? NO_SPAN : value;
}

bool
number_uint(struct span number, uint64_t *value)
{
	uint64_t sum = 0;

	if (value_kind(number) != VALUE_NUMBER || number.length > 16)
		return false;
	for (size_t i = 0; i < number.length; i++) {
		if (number.at[i] < '0' || number.at[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t)(number.at[i] - '0');
	}
	*value = sum;
	return sum <= UINT64_C(1) << 53;
}

bool
span_equal(struct span a, struct span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}
