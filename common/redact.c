#include "redact.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE_BYTES = 16384,   /* looked at together */
	OUT_BYTES = 16384,     /* told together */
	CANDIDATES_MAX = 64,   /* followed beyond what is there */
	LINE_ENDS_MAX = 65536, /* that wait */
	TAG_COST = 128,        /* of a tag, besides its bytes: one block of BLAKE2b */
	CREDIT_PER_BYTE = 256, /* of hashing, for each byte of the stream */
	CREDIT_MAX = 8 << 20,
};

/* Offsets count from the first byte in memory, CR and LF not counted. */
struct line_end {
	uint32_t at; /* stands before this byte */
	uint8_t byte;
};

struct candidate {
	size_t start, need; /* need: bytes until something more can be said */
	const struct redact_print *print;
};

/* To be hidden. The name is that of the occurrence that begins first, the longest of these. */
struct span {
	size_t start, end; /* end may lie beyond what is there */
	size_t name_start, name_length;
	uint16_t name;
	bool told;
};

struct redact {
	const struct redact_set *set;
	redact_fn *fn;
	void *arg;
	size_t capacity, length, scanned, shown;
	uint8_t *bytes;
	struct line_end *line_ends;
	size_t line_ends_first, line_ends_count, line_ends_size;
	struct candidate candidates[CANDIDATES_MAX];
	size_t candidate_count;
	struct span *spans; /* in order, apart from one another */
	size_t span_count, span_size;
	int64_t credit;
	bool failed;
	size_t out_length;
	uint8_t out[OUT_BYTES];
};

/* --- telling ---------------------------------------------------------------------------------- */

static void
tell_out(struct redact *r)
{
	if (r->out_length)
		r->fn(r->out, r->out_length, r->arg);
	r->out_length = 0;
}

static void
put(struct redact *r, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	while (length > 0) {
		size_t part = OUT_BYTES - r->out_length;

		if (part > length)
			part = length;
		memcpy(r->out + r->out_length, from, part);
		r->out_length += part;
		from += part;
		length -= part;
		if (r->out_length == OUT_BYTES)
			tell_out(r);
	}
}

/* The line ends up to the byte there, before it. */
static void
put_line_ends(struct redact *r, size_t at)
{
	while (r->line_ends_first < r->line_ends_count && r->line_ends[r->line_ends_first].at <= at)
		put(r, &r->line_ends[r->line_ends_first++].byte, 1);
}

static void
skip_line_ends(struct redact *r, size_t before)
{
	while (r->line_ends_first < r->line_ends_count &&
	       r->line_ends[r->line_ends_first].at < before)
		r->line_ends_first++;
}

static void
show_plain(struct redact *r, size_t to)
{
	while (r->shown < to) {
		size_t next = to;

		put_line_ends(r, r->shown);
		if (r->line_ends_first < r->line_ends_count &&
		    r->line_ends[r->line_ends_first].at < to)
			next = r->line_ends[r->line_ends_first].at;
		put(r, r->bytes + r->shown, next - r->shown);
		r->shown = next;
	}
}

static void
show_marker(struct redact *r, const struct span *span)
{
	char text[REDACT_NAME_MAX + 16];
	int length = snprintf(text, sizeof(text), "[redacted:%s]", r->set->names[span->name]);

	put_line_ends(r, r->shown);
	put(r, text, (size_t)length);
}

static void
show_hidden(struct redact *r, size_t to)
{
	struct span *span = &r->spans[0];
	size_t end = span->end < to ? span->end : to;

	if (!span->told)
		show_marker(r, span);
	span->told = true;
	skip_line_ends(r, end);
	r->shown = end;
	if (span->end > to)
		return;
	memmove(r->spans, r->spans + 1, --r->span_count * sizeof(*r->spans));
}

static void
show(struct redact *r, size_t to)
{
	while (r->shown < to) {
		size_t hidden = r->span_count ? r->spans[0].start : to;

		if (hidden <= r->shown)
			show_hidden(r, to);
		else
			show_plain(r, hidden < to ? hidden : to);
	}
}

/* --- hiding ----------------------------------------------------------------------------------- */

static bool
names_before(const struct span *a, const struct span *b)
{
	if (a->name_start != b->name_start)
		return a->name_start < b->name_start;
	if (a->name_length != b->name_length)
		return a->name_length > b->name_length;
	return a->name < b->name;
}

static void
absorb(struct span *into, const struct span *other)
{
	if (names_before(other, into)) {
		into->name_start = other->name_start;
		into->name_length = other->name_length;
		into->name = other->name;
	}
	if (other->start < into->start)
		into->start = other->start;
	if (other->end > into->end)
		into->end = other->end;
	into->told |= other->told;
}

static bool
spans_room(struct redact *r)
{
	size_t size = r->span_size ? 2 * r->span_size : 64;
	struct span *spans;

	if (r->span_count < r->span_size)
		return true;
	spans = realloc(r->spans, size * sizeof(*spans));
	if (!spans)
		return false;
	r->spans = spans;
	r->span_size = size;
	return true;
}

static void
hide(struct redact *r, struct span new)
{
	size_t first = r->span_count, last;

	if (new.start < r->shown)
		new.start = r->shown;
	if (new.end <= new.start)
		return;
	if (!spans_room(r)) {
		r->failed = true;
		return;
	}
	while (first > 0 && r->spans[first - 1].end > new.start)
		first--;
	for (last = first; last < r->span_count && r->spans[last].start < new.end; last++)
		absorb(&new, &r->spans[last]);
	memmove(r->spans + first + 1, r->spans + last, (r->span_count - last) * sizeof(*r->spans));
	r->spans[first] = new;
	r->span_count += first + 1 - last;
}

static bool
is_base64(uint8_t byte)
{
	return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte >= '0' && byte <= '9') || byte == '+' || byte == '/' || byte == '-' ||
	       byte == '_';
}

/* length: of what is hidden; the characters beside it are those of base64 that hold a few bits. */
static void
hide_print(struct redact *r, const struct redact_print *print, size_t start, size_t length)
{
	struct span span = {.start = start,
			    .end = start + length,
			    .name_start = start,
			    .name_length = length,
			    .name = print->name};

	if (print->before && start > 0 && is_base64(r->bytes[start - 1]))
		span.start--;
	if (print->after && span.end < r->length && is_base64(r->bytes[span.end]))
		span.end++;
	hide(r, span);
}

/* --- judging ---------------------------------------------------------------------------------- */

enum verdict { NO, YES, WAIT, MAYBE /* too much work to tell */ };

static enum verdict
compare(struct redact *r, size_t start, size_t length, const uint8_t *want, size_t want_bytes)
{
	uint8_t tag[REDACT_TAG_BYTES];

	if (r->credit < 0)
		return MAYBE;
	r->credit -= (int64_t)length + TAG_COST;
	redact_tag(&r->set->keys, r->bytes + start, length, tag);
	return memcmp(tag, want, want_bytes) == 0 ? YES : NO;
}

/* Looks at no more than is new since candidate->need. */
static enum verdict
judge(struct redact *r, struct candidate *c)
{
	const struct redact_print *print = c->print;
	size_t there = r->length - c->start, at;
	enum verdict verdict;
	uint8_t check[2];

	for (unsigned i = 0; i < REDACT_CHECKS; i++) {
		at = redact_check_length(i);
		if (at >= print->length)
			break;
		if (at < c->need)
			continue;
		if (at > there) {
			c->need = at;
			return WAIT;
		}
		check[0] = (uint8_t)print->checks[i];
		check[1] = (uint8_t)(print->checks[i] >> 8);
		verdict = compare(r, c->start, at, check, sizeof(check));
		if (verdict != YES)
			return verdict;
	}
	at = print->length;
	if (c->need <= at && there >= at) {
		verdict = compare(r, c->start, at, print->tag, sizeof(print->tag));
		if (verdict != YES)
			return verdict;
		c->need = at + 1; /* the tag fits; the byte after it may be wanted */
	} else if (there < at) {
		c->need = at;
	}
	return there >= at + print->after ? YES : WAIT;
}

/* A print's first bytes are at start. */
static void
consider(struct redact *r, size_t start, const struct redact_print *print)
{
	struct candidate c = {.start = start, .need = REDACT_WINDOW, .print = print};
	enum verdict verdict = judge(r, &c);

	if (verdict == WAIT && r->candidate_count < CANDIDATES_MAX)
		r->candidates[r->candidate_count++] = c;
	else if (verdict != NO)
		hide_print(r, print, start, print->length);
}

static void
window_found(struct redact *r, size_t start, uint32_t window)
{
	const struct redact_set *set = r->set;
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (set->prints[middle].window < window)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < set->count && set->prints[low].window == window; low++)
		consider(r, start, &set->prints[low]);
}

static void
scan(struct redact *r)
{
	const struct redact_keys *keys = &r->set->keys;
	const uint64_t *bitmap = r->set->bitmap;
	size_t at = r->scanned;

	for (; at + REDACT_WINDOW <= r->length; at++) {
		uint64_t hash = redact_window(keys, r->bytes + at);

		if (bitmap[hash >> 54] >> (hash >> 48 & 63) & 1)
			window_found(r, at, (uint32_t)(hash >> 32));
	}
	r->scanned = at;
}

/* What came since may decide. */
static void
judge_candidates(struct redact *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->candidate_count; i++) {
		struct candidate *c = &r->candidates[i];
		enum verdict verdict = r->length - c->start < c->need ? WAIT : judge(r, c);

		if (verdict == WAIT)
			r->candidates[kept++] = *c;
		else if (verdict != NO)
			hide_print(r, c->print, c->start, c->print->length);
	}
	r->candidate_count = kept;
}

/* No byte follows, or not soon: whole ones are hidden without the character after them, and, when
 * cut is set, those that were cut too. */
static void
settle_candidates(struct redact *r, bool cut)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->candidate_count; i++) {
		struct candidate *c = &r->candidates[i];
		size_t there = r->length - c->start, length = c->print->length;

		if (c->need > length || cut)
			hide_print(r, c->print, c->start, there < length ? there : length);
		else
			r->candidates[kept++] = *c;
	}
	r->candidate_count = kept;
}

/* How far nothing can be hidden any more that is not known yet: before it lies one character of
 * base64 at most. */
static size_t
known_to(const struct redact *r, size_t end)
{
	for (size_t i = 0; i < r->candidate_count; i++)
		if (r->candidates[i].start < end)
			end = r->candidates[i].start;
	return end > 0 ? end - 1 : 0;
}

/* --- the stream ------------------------------------------------------------------------------- */

/* Moves what is still of use to the front. */
static void
make_room(struct redact *r)
{
	size_t drop = r->shown < r->scanned ? r->shown : r->scanned;
	size_t left = r->line_ends_count - r->line_ends_first;

	drop = drop > 0 ? drop - 1 : 0; /* the character before */
	for (size_t i = 0; i < r->candidate_count; i++)
		if (r->candidates[i].start < drop)
			drop = r->candidates[i].start;
	r->length -= drop;
	r->scanned -= drop;
	r->shown -= drop;
	if (drop > 0 && r->bytes)
		memmove(r->bytes, r->bytes + drop, r->length);
	if (left > 0)
		memmove(r->line_ends, r->line_ends + r->line_ends_first,
			left * sizeof(*r->line_ends));
	r->line_ends_first = 0;
	r->line_ends_count = left;
	for (size_t i = 0; i < left; i++)
		r->line_ends[i].at -= (uint32_t)drop;
	for (size_t i = 0; i < r->candidate_count; i++)
		r->candidates[i].start -= drop;
	for (size_t i = 0; i < r->span_count; i++) {
		struct span *span = &r->spans[i];

		span->start = span->start > drop ? span->start - drop : 0;
		span->name_start = span->name_start > drop ? span->name_start - drop : 0;
		span->end -= drop;
	}
}

static bool
line_ends_room(struct redact *r)
{
	size_t size = r->line_ends_size ? 2 * r->line_ends_size : 512;
	struct line_end *line_ends;

	if (r->line_ends_count < r->line_ends_size)
		return true;
	if (size > LINE_ENDS_MAX)
		return false;
	line_ends = realloc(r->line_ends, size * sizeof(*line_ends));
	if (!line_ends)
		return false;
	r->line_ends = line_ends;
	r->line_ends_size = size;
	return true;
}

/* Shows what waits, all of it. */
static void
show_all(struct redact *r)
{
	show(r, r->length);
	if (!r->span_count)
		put_line_ends(r, r->length);
}

/* So many line ends wait that what they interrupt is given up: hidden when it may be a secret. */
static void
give_up_waiting(struct redact *r)
{
	judge_candidates(r);
	scan(r);
	settle_candidates(r, true);
	show_all(r);
	make_room(r);
}

static void
keep_line_end(struct redact *r, uint8_t byte)
{
	if (!line_ends_room(r))
		give_up_waiting(r);
	if (!line_ends_room(r)) {
		r->failed = true;
		return;
	}
	r->line_ends[r->line_ends_count++] =
	    (struct line_end){.at = (uint32_t)r->length, .byte = byte};
}

static void
keep_text(struct redact *r, const uint8_t *bytes, size_t length)
{
	memcpy(r->bytes + r->length, bytes, length);
	r->length += length;
}

/* Text goes to bytes, line ends beside it. */
static void
take_line(struct redact *r, const uint8_t *from, const uint8_t *end)
{
	const uint8_t *cr;

	while ((cr = memchr(from, '\r', (size_t)(end - from)))) {
		keep_text(r, from, (size_t)(cr - from));
		keep_line_end(r, '\r');
		from = cr + 1;
	}
	keep_text(r, from, (size_t)(end - from));
}

static void
take(struct redact *r, const uint8_t *from, size_t length)
{
	const uint8_t *end = from + length, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
		take_line(r, from, newline);
		keep_line_end(r, '\n');
		from = newline + 1;
	}
	take_line(r, from, end);
	r->credit += (int64_t)length * CREDIT_PER_BYTE;
	if (r->credit > CREDIT_MAX)
		r->credit = CREDIT_MAX;
}

static int
told(struct redact *r)
{
	if (r->failed)
		return -ENOMEM;
	tell_out(r);
	return 0;
}

int
redact_feed(struct redact *r, const uint8_t *bytes, size_t length)
{
	while (length > 0 && !r->failed) {
		size_t piece = length < PIECE_BYTES ? length : PIECE_BYTES;

		if (r->length + piece > r->capacity)
			make_room(r);
		take(r, bytes, piece);
		judge_candidates(r);
		scan(r);
		show(r, known_to(r, r->scanned));
		bytes += piece;
		length -= piece;
	}
	return told(r);
}

int
redact_flush(struct redact *r)
{
	size_t to;

	settle_candidates(r, false);
	to = known_to(r, r->length + 1);
	if (to == r->length)
		show_all(r);
	else
		show(r, to);
	return told(r);
}

int
redact_end(struct redact *r)
{
	int rc;

	settle_candidates(r, true);
	show_all(r);
	rc = told(r);
	r->length = r->scanned = r->shown = 0;
	r->line_ends_first = r->line_ends_count = r->span_count = 0;
	return rc;
}

bool
redact_waits(const struct redact *r)
{
	size_t to = known_to(r, r->length + 1);

	for (size_t i = 0; i < r->candidate_count; i++)
		if (r->candidates[i].need > r->candidates[i].print->length)
			return true;
	return r->shown < to || (to == r->length && r->line_ends_first < r->line_ends_count);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Twice the longest and more: moved to the front so seldom that it costs nothing. */
static int
fit(struct redact *r, const struct redact_set *set)
{
	size_t capacity = 2 * ((size_t)set->longest + PIECE_BYTES);
	uint8_t *bytes;

	r->set = set;
	if (!r->bytes || capacity > r->capacity) {
		bytes = realloc(r->bytes, capacity);
		if (!bytes)
			return -ENOMEM;
		r->bytes = bytes;
		r->capacity = capacity;
	}
	return 0;
}

/* The last bytes stay to be seen with what follows. */
int
redact_change(struct redact *r, const struct redact_set *set)
{
	settle_candidates(r, true);
	show_all(r);
	make_room(r);
	r->span_count = 0;
	if (fit(r, set) < 0)
		r->failed = true;
	return told(r);
}

struct redact *
redact_new(const struct redact_set *set, redact_fn *fn, void *arg)
{
	struct redact *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->fn = fn;
	r->arg = arg;
	r->credit = CREDIT_MAX;
	if (fit(r, set) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

void
redact_free(struct redact *r)
{
	if (!r)
		return;
	free(r->bytes);
	free(r->line_ends);
	free(r->spans);
	free(r);
}

struct text {
	char *bytes;
	size_t length, size;
};

static void
add_text(const uint8_t *bytes, size_t length, void *arg)
{
	struct text *text = arg;
	size_t room = text->size - 1 - text->length;

	if (length > room)
		length = room;
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

int
redact_text(const struct redact_set *set, char *text, size_t size)
{
	struct text out = {.bytes = calloc(1, size), .size = size};
	struct redact *r = out.bytes ? redact_new(set, add_text, &out) : NULL;
	int rc = -ENOMEM;

	if (r && redact_feed(r, (const uint8_t *)text, strlen(text)) == 0)
		rc = redact_end(r);
	*text = '\0';
	if (rc == 0)
		memcpy(text, out.bytes, size);
	redact_free(r);
	free(out.bytes);
	return rc;
}
