#include "keeper_segments.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

void
segments_init(struct segments *segments, int fd, int next, uint64_t limit)
{
	segments->fd = fd;
	segments->next = next;
	segments->limit = limit;
}

void
segments_drop(struct segments *segments, uint64_t output)
{
	segments->dropped += output;
	segments->untold += output;
}

/* What could not be written whole (no space) is written over by what comes next. */
static void
write_out(struct segments *segments, const void *bytes, size_t length, uint64_t output)
{
	uint64_t at = segments->used - length;

	if (pwrite_all(segments->fd, bytes, length, (off_t)at) == 0) {
		segments->total += length;
		return;
	}
	segments->used = at;
	segments_drop(segments, output);
}

void
segments_flush(struct segments *segments)
{
	size_t length = segments->waiting;

	if (length == 0)
		return;
	segments->waiting = 0;
	write_out(segments, segments->batch, length, segments->outputs);
	segments->outputs = 0;
}

static void
advance(struct segments *segments)
{
	segments_flush(segments);
	close(segments->fd);
	segments->fd = segments->next;
	segments->next = -1;
	segments->number++;
	segments->used = 0;
	segments->full = false;
}

/* A line longer than a whole segment still gets one for itself. */
static bool
make_room(struct segments *segments, size_t length)
{
	if (segments->full)
		return false;
	if (segments->used == 0 || segments->used + length <= segments->limit)
		return true;
	if (segments->next < 0) {
		segments->full = true;
		return false;
	}
	advance(segments);
	return true;
}

bool
segments_refuse(struct segments *segments, uint64_t output)
{
	if (segments->full)
		segments_drop(segments, output);
	return segments->full;
}

void
segments_add(struct segments *segments, const char *line, size_t length, uint64_t output)
{
	if (!make_room(segments, length)) {
		segments_drop(segments, output);
		return;
	}
	if (segments->waiting + length > sizeof(segments->batch))
		segments_flush(segments);
	segments->used += length;
	if (length > sizeof(segments->batch)) {
		write_out(segments, line, length, output);
		return;
	}
	memcpy(segments->batch + segments->waiting, line, length);
	segments->waiting += length;
	segments->outputs += output;
}

bool
segments_next(struct segments *segments, int fd)
{
	if (segments->next >= 0)
		close(segments->next);
	segments->next = fd;
	if (segments->full)
		advance(segments);
	return segments->untold > 0 && !segments->full;
}
