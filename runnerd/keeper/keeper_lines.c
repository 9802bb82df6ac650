#include "keeper_lines.h"

#include <string.h>

#include "common/json.h"

uint8_t *
lines_room(struct lines *lines)
{
	return lines->bytes + lines->length;
}

/* How much of a line that is too long goes first. */
static size_t
cut_at(const uint8_t *bytes)
{
	bool partial;
	size_t prefix = utf8_prefix(bytes, LOG_LINE_BYTES, &partial);

	return partial && prefix > 0 ? prefix : LOG_LINE_BYTES;
}

/* Emits pieces until what is left is short enough; returns its start. */
static const uint8_t *
cut_long(const uint8_t *from, const uint8_t *end, lines_fn *fn, void *arg)
{
	size_t piece;

	while (end - from > LOG_LINE_BYTES) {
		piece = cut_at(from);
		fn(from, piece, true, arg);
		from += piece;
	}
	return from;
}

static void
keep_rest(struct lines *lines, const uint8_t *from, const uint8_t *end)
{
	lines->length = (size_t)(end - from);
	memmove(lines->bytes, from, lines->length);
}

void
lines_added(struct lines *lines, size_t count, lines_fn *fn, void *arg)
{
	const uint8_t *from = lines->bytes, *look = lines->bytes + lines->length;
	const uint8_t *end = look + count, *newline;

	while ((newline = memchr(look, '\n', (size_t)(end - look)))) {
		from = cut_long(from, newline, fn, arg);
		fn(from, (size_t)(newline - from), false, arg);
		from = look = newline + 1;
	}
	keep_rest(lines, cut_long(from, end, fn, arg), end);
}

void
lines_flush(struct lines *lines, bool last, lines_fn *fn, void *arg)
{
	const uint8_t *end = lines->bytes + lines->length;
	size_t piece = lines->length, prefix;
	bool partial;

	if (piece == 0)
		return;
	prefix = utf8_prefix(lines->bytes, piece, &partial);
	if (partial && prefix > 0 && !last)
		piece = prefix;
	fn(lines->bytes, piece, true, arg);
	keep_rest(lines, lines->bytes + piece, end);
}
