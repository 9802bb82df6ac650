/* Knuth, Morris and Pratt for each spelling side by side: there are few, and most bytes begin none.
 */
#include "scrub.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum { BASE64_SHIFTS = 3 };

struct spelling {
	size_t length;
	uint8_t *text;
	uint16_t *fall; /* [i]: how much of it ends what its first i + 1 bytes end with */
};

struct scrubs {
	struct spelling *items;
	size_t count;
	bool begins[256];
};

struct scrubs *
scrubs_new(void)
{
	return calloc(1, sizeof(struct scrubs));
}

void
scrubs_free(struct scrubs *scrubs)
{
	if (!scrubs)
		return;
	for (size_t i = 0; i < scrubs->count; i++) {
		explicit_bzero(scrubs->items[i].text, scrubs->items[i].length);
		free(scrubs->items[i].text);
		free(scrubs->items[i].fall);
	}
	free(scrubs->items);
	free(scrubs);
}

/* --- spellings -------------------------------------------------------------------------------- */

static bool
is_known(const struct scrubs *scrubs, const uint8_t *text, size_t length)
{
	for (size_t i = 0; i < scrubs->count; i++)
		if (scrubs->items[i].length == length &&
		    memcmp(scrubs->items[i].text, text, length) == 0)
			return true;
	return false;
}

static void
find_falls(struct spelling *spelling)
{
	uint16_t matched = 0;

	spelling->fall[0] = 0;
	for (size_t i = 1; i < spelling->length; i++) {
		while (matched && spelling->text[i] != spelling->text[matched])
			matched = spelling->fall[matched - 1];
		if (spelling->text[i] == spelling->text[matched])
			matched++;
		spelling->fall[i] = matched;
	}
}

static int
add(struct scrubs *scrubs, const uint8_t *text, size_t length)
{
	struct spelling *items, *new;

	if (length < SCRUB_VALUE_MIN || is_known(scrubs, text, length))
		return 0;
	items = reallocarray(scrubs->items, scrubs->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	scrubs->items = items;
	new = &items[scrubs->count];
	*new = (struct spelling){length, malloc(length), calloc(length, sizeof(*new->fall))};
	if (!new->text || !new->fall) {
		free(new->text);
		free(new->fall);
		return -ENOMEM;
	}
	memcpy(new->text, text, length);
	find_falls(new);
	scrubs->begins[*text] = true;
	scrubs->count++;
	return 0;
}

typedef size_t spell_fn(const uint8_t *value, size_t length, uint8_t *out);

static size_t
hex(const uint8_t *value, size_t length, const char *digits, uint8_t *out)
{
	for (size_t i = 0; i < length; i++) {
		out[2 * i] = (uint8_t)digits[value[i] >> 4];
		out[2 * i + 1] = (uint8_t)digits[value[i] & 15];
	}
	return 2 * length;
}

static size_t
spell_plain(const uint8_t *value, size_t length, uint8_t *out)
{
	memcpy(out, value, length);
	return length;
}

static size_t
spell_hex(const uint8_t *value, size_t length, uint8_t *out)
{
	return hex(value, length, "0123456789abcdef", out);
}

static size_t
spell_upper_hex(const uint8_t *value, size_t length, uint8_t *out)
{
	return hex(value, length, "0123456789ABCDEF", out);
}

static bool
is_alphanumeric(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* kept: which bytes besides letters and digits stay as they are. */
static size_t
percent(const uint8_t *value, size_t length, const char *digits, const char *kept, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		if (is_alphanumeric(value[i]) || (value[i] && strchr(kept, value[i]))) {
			out[n++] = value[i];
			continue;
		}
		out[n++] = '%';
		out[n++] = (uint8_t)digits[value[i] >> 4];
		out[n++] = (uint8_t)digits[value[i] & 15];
	}
	return n;
}

static spell_fn *const spell[] = {spell_plain, spell_hex, spell_upper_hex};

/* RFC 3986's unreserved ones, then as paths are encoded, JavaScript's and forms. */
static const char *const kept_by[] = {"-._~", "-._~/", "-._~!'()*", "-._*"};
static const char *const percent_digits[] = {"0123456789ABCDEF", "0123456789abcdef"};

enum { ESCAPES_MAX = 8 };

/* A byte and what stands for it. JSON as most write it, PHP, Go and .NET; HTML as Python, PHP and
 * Go write it. */
static const char *const escapes[][ESCAPES_MAX] = {
    {"\"\\\"", "\\\\\\"},
    {"\"\\\"", "\\\\\\", "/\\/"},
    {"\"\\\"", "\\\\\\", "&\\u0026", "<\\u003c", ">\\u003e"},
    {"\"\\u0022", "\\\\\\", "&\\u0026", "<\\u003C", ">\\u003E", "'\\u0027", "+\\u002B", "`\\u0060"},
    {"&&amp;", "<&lt;", ">&gt;", "\"&quot;", "'&#x27;"},
    {"&&amp;", "<&lt;", ">&gt;", "\"&quot;", "'&#039;"},
    {"&&amp;", "<&lt;", ">&gt;", "\"&#34;", "'&#39;", "+&#43;"},
};

static size_t
escape(const uint8_t *value, size_t length, const char *const *table, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		size_t j = 0, bytes;

		while (j < ESCAPES_MAX && table[j] && (uint8_t)*table[j] != value[i])
			j++;
		if (j == ESCAPES_MAX || !table[j]) {
			out[n++] = value[i];
			continue;
		}
		bytes = strlen(table[j] + 1);
		memcpy(out + n, table[j] + 1, bytes);
		n += bytes;
	}
	return n;
}

/* What base64 makes of the value behind so many other bytes, without the letters that speak of
 * those or of what follows. */
static size_t
spell_base64(const uint8_t *value, size_t length, unsigned before, const char last[2], uint8_t *out)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t bits = 8 * (before + length), n = 0;

	/* A letter counts when all of its six bits are the value's. */
	for (size_t bit = 0; bit + 6 <= bits; bit += 6) {
		unsigned index = 0;

		if (bit < (size_t)8 * before)
			continue;
		for (size_t i = bit; i < bit + 6; i++)
			index = index << 1 | ((unsigned)value[i / 8 - before] >> (7 - i % 8) & 1);
		out[n++] = (uint8_t)(index < 62 ? letters[index] : last[index - 62]);
	}
	return n;
}

static int
add_escaped(struct scrubs *scrubs, const uint8_t *value, size_t length, uint8_t *text)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(escapes); i++)
		rc = add(scrubs, text, escape(value, length, escapes[i], text));
	for (size_t i = 0; i < ARRAY_LEN(kept_by); i++)
		for (size_t j = 0; rc == 0 && j < ARRAY_LEN(percent_digits); j++)
			rc = add(scrubs, text,
				 percent(value, length, percent_digits[j], kept_by[i], text));
	return rc;
}

int
scrubs_add(struct scrubs *scrubs, const uint8_t *value, size_t length)
{
	static const char alphabets[][2] = {{'+', '/'}, {'-', '_'}};
	_cleanup_free_ uint8_t *text = NULL;
	int rc = 0;

	if (length < SCRUB_VALUE_MIN || length > SCRUB_VALUE_MAX)
		return -EINVAL;
	text = malloc(SCRUB_HELD_MAX);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(spell); i++)
		rc = add(scrubs, text, spell[i](value, length, text));
	if (rc == 0)
		rc = add_escaped(scrubs, value, length, text);
	for (unsigned before = 0; rc == 0 && before < BASE64_SHIFTS; before++)
		for (size_t i = 0; rc == 0 && i < ARRAY_LEN(alphabets); i++)
			rc = add(scrubs, text,
				 spell_base64(value, length, before, alphabets[i], text));
	explicit_bzero(text, SCRUB_HELD_MAX);
	return rc;
}

/* --- streams ---------------------------------------------------------------------------------- */

int
scrub_begin(struct scrub *scrub, const struct scrubs *scrubs)
{
	*scrub = (struct scrub){.scrubs = scrubs};
	scrub->matched = calloc(scrubs->count + 1, sizeof(*scrub->matched));
	return scrub->matched ? 0 : -ENOMEM;
}

void
scrub_end(struct scrub *scrub)
{
	free(steal_ptr(&scrub->matched));
}

/* Where every spelling stands after one byte more. The longest that is whole, or 0. */
static size_t
step(struct scrub *scrub, uint8_t c, size_t *held, size_t *longest)
{
	const struct scrubs *scrubs = scrub->scrubs;
	size_t whole = 0;

	*held = 0;
	for (size_t i = 0; i < scrubs->count; i++) {
		const struct spelling *one = &scrubs->items[i];
		uint16_t matched = scrub->matched[i];

		while (matched && one->text[matched] != c)
			matched = one->fall[matched - 1];
		if (one->text[matched] == c)
			matched++;
		if (matched == one->length) {
			whole = matched > whole ? matched : whole;
			matched = one->fall[matched - 1];
		}
		scrub->matched[i] = matched;
		if (matched > *held) {
			*held = matched;
			*longest = i;
		}
	}
	return whole;
}

/* The first bytes of what waited and of this one. */
static size_t
release(const struct scrub *scrub, uint8_t c, size_t count, uint8_t *out)
{
	size_t waited = count <= scrub->held ? count : scrub->held;

	if (waited)
		memcpy(out, scrub->scrubs->items[scrub->longest].text, waited);
	if (count > waited)
		out[waited] = c;
	return count;
}

static void
forget(struct scrub *scrub)
{
	memset(scrub->matched, 0, scrub->scrubs->count * sizeof(*scrub->matched));
	scrub->held = 0;
}

/* A spelling is whole: nothing waits any more, and its bytes are not shown. */
static size_t
overwrite(struct scrub *scrub, uint8_t c, size_t whole, uint8_t *out)
{
	size_t shown = release(scrub, c, scrub->held + 1, out);

	memset(out + shown - whole, '*', whole);
	forget(scrub);
	return shown;
}

size_t
scrub_feed(struct scrub *scrub, const uint8_t *bytes, size_t length, uint8_t *out)
{
	size_t n = 0, held, longest = 0, whole;

	for (size_t i = 0; i < length; i++) {
		if (scrub->held == 0 && !scrub->scrubs->begins[bytes[i]]) {
			out[n++] = bytes[i];
			continue;
		}
		whole = step(scrub, bytes[i], &held, &longest);
		if (whole) {
			n += overwrite(scrub, bytes[i], whole, out + n);
			continue;
		}
		n += release(scrub, bytes[i], scrub->held + 1 - held, out + n);
		scrub->held = held;
		scrub->longest = longest;
	}
	return n;
}

size_t
scrub_flush(struct scrub *scrub, uint8_t *out)
{
	size_t n = scrub->held;

	if (n)
		memcpy(out, scrub->scrubs->items[scrub->longest].text, n);
	forget(scrub);
	return n;
}
