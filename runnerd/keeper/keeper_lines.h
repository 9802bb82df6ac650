/*
 * Output cut into lines: at newline, at LOG_LINE_BYTES, and, when the keeper's timer says so,
 * where the output stands. A character of UTF-8 is never cut in two. Pure; one per stream.
 */
#ifndef SCARAB_KEEPER_LINES_H
#define SCARAB_KEEPER_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum { LINES_READ_BYTES = 65536 /* taken from a pipe at once */ };

struct lines {
	size_t length; /* bytes that wait for their line's end */
	uint8_t bytes[LOG_LINE_BYTES + LINES_READ_BYTES];
};

/* One line without its newline; partial: no newline ended it. */
typedef void lines_fn(const uint8_t *bytes, size_t length, bool partial, void *arg);

/* Where the next LINES_READ_BYTES may be read to. */
uint8_t *lines_room(struct lines *lines);
/* That many were; calls fn for every line that is complete. */
void lines_added(struct lines *lines, size_t count, lines_fn *fn, void *arg);
/* What waits becomes a partial line; up to three bytes that may begin a character are kept once,
 * unless nothing more can come. */
void lines_flush(struct lines *lines, bool last, lines_fn *fn, void *arg);

#endif
