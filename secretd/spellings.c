#include "spellings.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/redact_set.h"

enum {
	SHIFTS = 3,
	/* Six times its length for \u00xx; nothing else is longer. */
	SCRATCH_BYTES = 6 * SPELLED_MAX + SHIFTS + 1,
};

struct spellings {
	struct redact_keys keys;
	char (*names)[REDACT_NAME_MAX + 1];
	size_t name_count;
	struct redact_print *prints;
	size_t count, size;
	uint8_t *shifted, *scratch; /* sodium_malloc: values in plain */
};

struct spellings *
spellings_new(void)
{
	struct spellings *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->names = calloc(REDACT_NAMES_MAX, sizeof(*s->names));
	s->shifted = sodium_malloc(SPELLED_MAX + SHIFTS);
	s->scratch = sodium_malloc(SCRATCH_BYTES);
	if (!s->names || !s->shifted || !s->scratch) {
		spellings_free(s);
		return NULL;
	}
	spellings_begin(s, NULL, NULL);
	return s;
}

void
spellings_begin(struct spellings *s, const uint8_t *secret, const struct uuid *session)
{
	if (secret)
		crypto_generichash((uint8_t *)&s->keys, sizeof(s->keys), session->bytes,
				   sizeof(session->bytes), secret, crypto_generichash_KEYBYTES);
	else
		randombytes_buf(&s->keys, sizeof(s->keys));
	s->keys.multiplier |= 1;
	s->name_count = s->count = 0;
}

bool
spellings_have(const struct spellings *s, const char *name)
{
	for (size_t i = 0; i < s->name_count; i++)
		if (strcmp(s->names[i], name) == 0)
			return true;
	return false;
}

void
spellings_free(struct spellings *s)
{
	if (!s)
		return;
	sodium_free(s->shifted);
	sodium_free(s->scratch);
	sodium_memzero(&s->keys, sizeof(s->keys));
	free(s->names);
	free(s->prints);
	free(s);
}

/* --- one fingerprint ------------------------------------------------------------------------- */

static int
make_room(struct spellings *s)
{
	size_t size = s->size ? 2 * s->size : 64;
	void *prints;

	if (s->count < s->size)
		return 0;
	if (s->count == REDACT_PRINTS_MAX)
		return -E2BIG;
	prints = realloc(s->prints, size * sizeof(*s->prints));
	if (!prints)
		return -ENOMEM;
	s->prints = prints;
	s->size = size;
	return 0;
}

static bool
known(const struct spellings *s, const struct redact_print *print)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->prints[i].window == print->window && s->prints[i].length == print->length &&
		    memcmp(s->prints[i].tag, print->tag, sizeof(print->tag)) == 0)
			return true;
	return false;
}

/* before, after: of base64; see struct redact_print. */
static int
add(struct spellings *s, const uint8_t *bytes, size_t length, unsigned before, unsigned after)
{
	struct redact_print print;
	int rc;

	if (length < REDACT_WINDOW)
		return 0;
	if (length > REDACT_LENGTH_MAX)
		return -E2BIG;
	redact_print_of(&s->keys, bytes, length, &print);
	if (known(s, &print))
		return 0;
	rc = make_room(s);
	if (rc < 0)
		return rc;
	print.name = (uint16_t)(s->name_count - 1);
	print.before = (uint8_t)before;
	print.after = (uint8_t)after;
	s->prints[s->count++] = print;
	return 0;
}

/* --- spellings: a value has its last line ends taken off ----------------------------------------
 */

static size_t
without_line_ends(const uint8_t *from, size_t length, uint8_t *to)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		if (from[i] != '\n' && from[i] != '\r')
			to[count++] = from[i];
	return count;
}

static int
add_plain(struct spellings *s, const uint8_t *value, size_t length)
{
	return add(s, s->scratch, without_line_ends(value, length, s->scratch), 0, 0);
}

/* What of base64 does not depend on the bytes around: with shift bytes before it in a group of
 * three. Six bits a character. */
static int
add_base64(struct spellings *s, const uint8_t *value, size_t length, unsigned shift, int alphabet)
{
	size_t first = (8 * shift + 5) / 6, end = 8 * (shift + length) / 6;

	memset(s->shifted, 0, shift);
	memcpy(s->shifted + shift, value, length);
	sodium_bin2base64((char *)s->scratch, SCRATCH_BYTES, s->shifted, shift + length, alphabet);
	return add(s, s->scratch + first, end - first, shift > 0, 8 * (shift + length) % 6 > 0);
}

static int
add_all_base64(struct spellings *s, const uint8_t *value, size_t length)
{
	static const int alphabets[] = {sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
					sodium_base64_VARIANT_URLSAFE_NO_PADDING};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 2 * SHIFTS; i++)
		rc = add_base64(s, value, length, i / 2, alphabets[i % 2]);
	return rc;
}

static int
add_hex(struct spellings *s, const uint8_t *value, size_t length)
{
	int rc;

	sodium_bin2hex((char *)s->scratch, SCRATCH_BYTES, value, length);
	rc = add(s, s->scratch, 2 * length, 0, 0);
	for (size_t i = 0; i < 2 * length; i++)
		if (s->scratch[i] >= 'a')
			s->scratch[i] = (uint8_t)(s->scratch[i] - 'a' + 'A');
	return rc < 0 ? rc : add(s, s->scratch, 2 * length, 0, 0);
}

/* As JSON escapes it; the quotes are not part of it. */
static int
add_json(struct spellings *s, const uint8_t *value, size_t length)
{
	static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	static const char digits[] = "0123456789abcdef";
	size_t count = 0;

	for (size_t i = 0; i < length; i++) {
		const char *found = value[i] ? strchr(escaped, value[i]) : NULL;

		if (found) {
			s->scratch[count++] = '\\';
			s->scratch[count++] = (uint8_t)letters[found - escaped];
		} else if (value[i] < 0x20) {
			memcpy(s->scratch + count, "\\u00", 4);
			s->scratch[count + 4] = (uint8_t)digits[value[i] >> 4];
			s->scratch[count + 5] = (uint8_t)digits[value[i] & 15];
			count += 6;
		} else {
			s->scratch[count++] = value[i];
		}
	}
	return count > REDACT_LENGTH_MAX ? 0 : add(s, s->scratch, count, 0, 0);
}

/* What a value of several lines is made of; armour such as -----BEGIN … is nobody's secret. */
static int
add_lines(struct spellings *s, const uint8_t *value, size_t length)
{
	const uint8_t *end = value + length, *line = value, *newline;
	unsigned count = 0;
	int rc = 0;

	if (!memchr(value, '\n', length))
		return 0;
	for (; rc == 0 && line < end && count < SPELLED_LINES_MAX; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			newline = end;
		if (newline - line < SPELLED_LINE_MIN || memcmp(line, "-----", 5) == 0)
			continue;
		rc = add_plain(s, line, (size_t)(newline - line));
		count++;
	}
	return rc;
}

static int
name_index(struct spellings *s, const char *name)
{
	if (strlen(name) > REDACT_NAME_MAX || s->name_count == REDACT_NAMES_MAX)
		return -E2BIG;
	strcpy(s->names[s->name_count++], name);
	return 0;
}

int
spellings_add(struct spellings *s, const char *name, const uint8_t *value, size_t length)
{
	static int (*const ways[])(struct spellings * s, const uint8_t *value, size_t length) = {
	    add_plain, add_all_base64, add_hex, add_json, add_lines,
	};
	int rc;

	while (length > 0 && (value[length - 1] == '\n' || value[length - 1] == '\r'))
		length--;
	if (length < REDACT_WINDOW)
		return 0;
	if (length > SPELLED_MAX)
		return -E2BIG;
	rc = name_index(s, name);
	for (size_t i = 0; rc == 0 && i < sizeof(ways) / sizeof(ways[0]); i++)
		rc = ways[i](s, value, length);
	sodium_memzero(s->shifted, length + SHIFTS);
	sodium_memzero(s->scratch, 6 * length + SHIFTS + 1);
	return rc;
}

int
spellings_seal(struct spellings *s)
{
	return redact_set_seal(&s->keys, (const char(*)[REDACT_NAME_MAX + 1]) s->names,
			       s->name_count, s->prints, s->count);
}
