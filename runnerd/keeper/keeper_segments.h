/*
 * The files a session's log is written to. runnerd opens them and always gives the next one
 * ahead; where none is there, whole lines are dropped and counted.
 */
#ifndef SCARAB_KEEPER_SEGMENTS_H
#define SCARAB_KEEPER_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segments {
	int fd, next;     /* next: -1 until runnerd sends one */
	uint32_t number;  /* of fd, from 0 */
	uint64_t limit;   /* bytes of one segment */
	uint64_t used;    /* bytes in fd, those that wait included */
	uint64_t total;   /* bytes in all segments */
	uint64_t dropped; /* bytes of output that no line tells of */
	uint64_t untold;  /* of these, since a line last said so */
	bool full;        /* no room until the next segment comes */
	size_t waiting;   /* bytes in batch */
	uint64_t outputs; /* bytes of output that they hold */
	uint8_t batch[65536];
};

/* Takes both descriptors over. */
void segments_init(struct segments *segments, int fd, int next, uint64_t limit);
/* True when a line of that much output finds no room anyhow; it is counted as dropped. */
bool segments_refuse(struct segments *segments, uint64_t output);
/* That much output is shown in no line. */
void segments_drop(struct segments *segments, uint64_t output);
/* One whole line; output: the bytes of output that it holds. */
void segments_add(struct segments *segments, const char *line, size_t length, uint64_t output);
/* Writes what waits. */
void segments_flush(struct segments *segments);
/* Takes fd over; an earlier next one that was not used yet is closed. True when lines were
 * dropped before and the log should now say so. */
bool segments_next(struct segments *segments, int fd);

#endif
