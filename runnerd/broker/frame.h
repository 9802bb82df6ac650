/*
 * Lines out of a stream, each bounded, and the session's bound on everything that is buffered.
 *
 * A line ends at LF; a CR before it is no part of it; empty lines are none. What does not fit is
 * dropped up to its LF and told once, with the head and the tail of it kept, so that its receiver
 * can still tell what it answered. A frame holds memory only while a line is incomplete.
 */
#ifndef SCARAB_BROKER_FRAME_H
#define SCARAB_BROKER_FRAME_H

#include "common/scan.h"

enum {
	FRAME_READ_BYTES = 64 << 10, /* taken from a peer at once: then others have their turn */
	FRAME_KEEP = 128,            /* of a dropped line's head and tail, each */
	POOL_BYTES = 192 << 20,      /* of all buffers of one broker together */
};

/* What all frames and queues of a broker hold. */
struct pool {
	size_t used, max;
};
/* False when it would be too much; nothing is taken then. */
bool pool_take(struct pool *pool, size_t bytes);
void pool_give(struct pool *pool, size_t bytes);

struct frame {
	struct pool *pool;
	size_t max; /* bytes of one line */
	char *bytes;
	size_t length, size;
	size_t dropped; /* of a line that is too long: its bytes so far; 0: none is */
	char head[FRAME_KEEP], tail[FRAME_KEEP];
	size_t tail_length;
};

enum frame_event {
	FRAME_LINE,
	FRAME_TOO_LONG, /* line is head and tail of it, joined */
};
/* False: the stream is of no interest any more (and may be freed already). */
typedef bool frame_fn(enum frame_event event, struct span line, void *arg);

void frame_init(struct frame *frame, struct pool *pool, size_t max);
/* Calls fn for every line that these bytes complete. False when fn said so; the frame is not
 * touched then. A line's bytes are valid during the call only. */
bool frame_feed(struct frame *frame, const char *bytes, size_t length, frame_fn *fn, void *arg);
/* Is a line incomplete? */
bool frame_pending(const struct frame *frame);
void frame_free(struct frame *frame);

#endif
