#include "frame.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

bool
pool_take(struct pool *pool, size_t bytes)
{
	if (bytes > pool->max - pool->used)
		return false;
	pool->used += bytes;
	return true;
}

void
pool_give(struct pool *pool, size_t bytes)
{
	pool->used -= bytes;
}

void
frame_init(struct frame *frame, struct pool *pool, size_t max)
{
	memset(frame, 0, sizeof(*frame));
	frame->pool = pool;
	frame->max = max;
}

void
frame_free(struct frame *frame)
{
	free(frame->bytes);
	pool_give(frame->pool, frame->size);
	frame->bytes = NULL;
	frame->length = frame->size = 0;
}

bool
frame_pending(const struct frame *frame)
{
	return frame->length > 0 || frame->dropped > 0;
}

static bool
grow(struct frame *frame, size_t need)
{
	size_t size = frame->size ? frame->size : FIRST_BYTES;
	char *bytes;

	if (need <= frame->size)
		return true;
	while (size < need)
		size *= 2;
	if (!pool_take(frame->pool, size - frame->size))
		return false;
	bytes = realloc(frame->bytes, size);
	if (!bytes) {
		pool_give(frame->pool, size - frame->size);
		return false;
	}
	frame->bytes = bytes;
	frame->size = size;
	return true;
}

/* The newest FRAME_KEEP bytes of a line that is dropped. */
static void
keep_tail(struct frame *frame, const char *bytes, size_t length)
{
	size_t stay;

	if (length >= FRAME_KEEP) {
		memcpy(frame->tail, bytes + length - FRAME_KEEP, FRAME_KEEP);
		frame->tail_length = FRAME_KEEP;
		return;
	}
	stay = FRAME_KEEP - length;
	if (stay > frame->tail_length)
		stay = frame->tail_length;
	memmove(frame->tail, frame->tail + frame->tail_length - stay, stay);
	memcpy(frame->tail + stay, bytes, length);
	frame->tail_length = stay + length;
}

/* The line has become too long, or there is no memory for it: only its ends are kept. */
static void
begin_drop(struct frame *frame, const char *bytes, size_t length)
{
	size_t head = frame->length < FRAME_KEEP ? frame->length : FRAME_KEEP;
	size_t more = FRAME_KEEP - head < length ? FRAME_KEEP - head : length;

	memset(frame->head, ' ', FRAME_KEEP);
	if (head > 0)
		memcpy(frame->head, frame->bytes, head);
	memcpy(frame->head + head, bytes, more);
	frame->tail_length = 0;
	if (frame->bytes)
		keep_tail(frame, frame->bytes, frame->length);
	keep_tail(frame, bytes, length);
	frame->dropped = frame->length + length + 1;
	frame_free(frame);
}

/* A part of a line without its LF. */
static void
add(struct frame *frame, const char *bytes, size_t length)
{
	if (frame->dropped) {
		keep_tail(frame, bytes, length);
		frame->dropped += length;
		return;
	}
	if (frame->length + length > frame->max || !grow(frame, frame->length + length)) {
		begin_drop(frame, bytes, length);
		return;
	}
	memcpy(frame->bytes + frame->length, bytes, length);
	frame->length += length;
}

static bool
tell_dropped(struct frame *frame, frame_fn *fn, void *arg)
{
	char ends[2 * FRAME_KEEP];

	memcpy(ends, frame->head, FRAME_KEEP);
	memcpy(ends + FRAME_KEEP, frame->tail, frame->tail_length);
	frame->dropped = 0;
	return fn(FRAME_TOO_LONG, (struct span){ends, FRAME_KEEP + frame->tail_length}, arg);
}

static bool
tell_line(const char *bytes, size_t length, frame_fn *fn, void *arg)
{
	size_t blank;

	if (length > 0 && bytes[length - 1] == '\r')
		length--;
	for (blank = 0; blank < length; blank++)
		if (bytes[blank] != ' ' && bytes[blank] != '\t')
			break;
	if (blank == length)
		return true;
	return fn(FRAME_LINE, (struct span){bytes, length}, arg);
}

/* The line that was collected is complete. Its memory is taken out of the frame for the call. */
static bool
tell_collected(struct frame *frame, frame_fn *fn, void *arg)
{
	struct pool *pool = frame->pool;
	char *bytes = frame->bytes;
	size_t length = frame->length, size = frame->size;
	bool more;

	frame->bytes = NULL;
	frame->length = frame->size = 0;
	more = tell_line(bytes, length, fn, arg);
	free(bytes);
	pool_give(pool, size);
	return more;
}

static bool
complete(struct frame *frame, const char *bytes, size_t length, frame_fn *fn, void *arg)
{
	if (!frame_pending(frame) && length <= frame->max)
		return tell_line(bytes, length, fn, arg);
	add(frame, bytes, length);
	return frame->dropped ? tell_dropped(frame, fn, arg) : tell_collected(frame, fn, arg);
}

bool
frame_feed(struct frame *frame, const char *bytes, size_t length, frame_fn *fn, void *arg)
{
	const char *end;

	while (length > 0) {
		end = memchr(bytes, '\n', length);
		if (!end) {
			add(frame, bytes, length);
			return true;
		}
		if (!complete(frame, bytes, (size_t)(end - bytes), fn, arg))
			return false;
		length -= (size_t)(end - bytes) + 1;
		bytes = end + 1;
	}
	return true;
}
