#include "text.h"

#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"

enum { WORD_MAX_LEN = 63 /* longer words get no suggestion */ };

static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static bool
is_control(const char *at)
{
	unsigned char c = (unsigned char)at[0];

	/* C1 controls are U+0080 to U+009f: c2 80 to c2 9f. */
	return c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)at[1] < 0xa0);
}

/* Characters that show nothing or turn what follows around (CVE-2021-42574): a definition or a
 * call's arguments would say other things to a model than to who decides about them. */
static const struct {
	uint32_t first, last;
} unseen[] = {
    {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},   {0x115f, 0x1160}, {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

/* How many bytes of valid UTF-8 are one such character; 0: it is none. */
static size_t
unseen_length(const char *at)
{
	const uint8_t *bytes = (const uint8_t *)at;
	size_t length = bytes[0] < 0xc0 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
	uint32_t point = bytes[0] & (0xffU >> (length + 1));

	if (length == 1)
		return 0;
	for (size_t i = 1; i < length; i++)
		point = point << 6 | (bytes[i] & 0x3f);
	for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
		if (point >= unseen[i].first && point <= unseen[i].last)
			return length;
	return 0;
}

void
text_clean_here(char *text)
{
	size_t length = strlen(text), at = 0;
	bool partial;

	while (at < length) {
		size_t good = at + utf8_prefix((uint8_t *)text + at, length - at, &partial);

		for (size_t hidden; at < good; at++) {
			hidden = unseen_length(text + at);
			if (hidden) {
				memset(text + at, '?', hidden);
				at += hidden - 1;
				continue;
			}
			if (!is_control(text + at))
				continue;
			if (text[at] == (char)0xc2)
				text[at + 1] = '?';
			text[at] = '?';
		}
		if (at < length)
			text[at++] = '?';
	}
}

char *
text_clean(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		text_clean_here(copy);
	return copy;
}

size_t
text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += !is_continuation(*text);
	return width;
}

static const char *
skip_characters(const char *text, size_t count)
{
	for (; count > 0 && *text; count--)
		for (text++; is_continuation(*text); text++)
			;
	return text;
}

char *
text_cut(const char *text, size_t width, bool from_left, const char *mark)
{
	size_t have = text_width(text);
	const char *from = text, *to = text + strlen(text);
	char *cut;

	if (have <= width || width == 0)
		return strdup(have <= width ? text : "");
	if (from_left)
		from = skip_characters(text, have - (width - 1));
	else
		to = skip_characters(text, width - 1);
	cut = malloc(strlen(mark) + (size_t)(to - from) + 1);
	if (!cut)
		return NULL;
	cut[0] = '\0';
	if (from_left)
		strcpy(cut, mark);
	strncat(cut, from, (size_t)(to - from));
	if (!from_left)
		strcat(cut, mark);
	return cut;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, a row at a time. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[WORD_MAX_LEN + 1], length = strlen(b);

	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t above = row[j];
			size_t change = corner + (a[i - 1] != b[j - 1]);

			row[j] = least(change, least(above, row[j - 1]) + 1);
			corner = above;
		}
	}
	return row[length];
}

const char *
text_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *nearest = NULL;
	size_t length = strlen(word), best = SIZE_MAX;

	if (length > WORD_MAX_LEN)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t far;

		if (strlen(candidates[i]) > WORD_MAX_LEN)
			continue;
		far = length >= 3 && strncmp(word, candidates[i], length) == 0
			  ? 1
			  : distance(word, candidates[i]);
		if (far < best) {
			best = far;
			nearest = candidates[i];
		}
	}
	return best <= least(2, length / 3 + 1) ? nearest : NULL;
}
