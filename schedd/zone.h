/*
 * A time zone as spans of one offset each, read from the system's tzdata (TZif, RFC 9636). schedd
 * only: it is confined and unprivileged, and sees the files read-only. A file is bounded, and one
 * that breaks the format, counts leap seconds, or changes its offset faster than local time can
 * follow is refused.
 *
 * Instants are seconds since 1970 UTC; local times are what a clock shows, as seconds since
 * 1970-01-01 00:00 on that clock. Both run through the years 1 to 9999.
 */
#ifndef SCARAB_SCHEDD_ZONE_H
#define SCARAB_SCHEDD_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define INSTANT_MIN INT64_C(-62135596800) /* 0001-01-01 00:00:00 */
#define INSTANT_MAX INT64_C(253402300799) /* 9999-12-31 23:59:59 */

enum {
	ZONE_FILE_MAX = 65536,   /* the largest of tzdata 2025 has 4 KiB */
	ZONE_CHANGES_MAX = 2000, /* the most of tzdata 2025: 310 */
	OFFSET_MIN = -89999,
	OFFSET_MAX = 93599, /* RFC 9636: more than -25 h, less than 26 h */
};

struct zone;

/* From start until before end clocks show the instant + offset. Before start it was + before, from
 * end on it is + after; where there is no change the three are equal, and start or end lies out of
 * reach. */
struct zone_span {
	int64_t start, end;
	int32_t offset, before, after;
};

/* NULL with error. */
struct zone *zone_parse(const void *bytes, size_t size, struct error *error);
/* The file name beneath directory, through links that stay beneath it. */
struct zone *zone_load(int directory, const char *name, struct error *error);
struct zone *zone_utc(void);
void zone_free(struct zone *zone);

/* The span that holds an instant. A zone remembers the last one: instants that lie close cost no
 * search. */
struct zone_span zone_at(struct zone *zone, int64_t instant);
/* The span that clocks were in, or jumped out of, when they first showed local, or passed over it:
 * local lies in start + max(before, offset) … end + max(offset, after), the end excluded. near is
 * an instant close to it. */
struct zone_span zone_showing(struct zone *zone, int64_t local, int64_t near);

#endif
