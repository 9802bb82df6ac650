/*
 * The fingerprints (common/redact_set.h) of the secrets that one session may see: each secret as
 * it is, as base64 in three alignments and two alphabets, as hexadecimal digits in two cases, as a
 * JSON string writes it where that differs, and, when it has several lines, each line of 16 bytes
 * or more by itself. secretd alone: here are values.
 */
#ifndef SCARAB_SECRETD_SPELLINGS_H
#define SCARAB_SECRETD_SPELLINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

enum {
	SPELLED_MAX = 65536,   /* bytes of a value; 128 KiB as hexadecimal digits */
	SPELLED_LINE_MIN = 16, /* a line by itself: shorter ones say too little to be hidden */
	SPELLED_LINES_MAX = 256,
};

struct spellings;

/* One for all sets that are made, one after the other: its locked memory takes longer to get than a
 * set takes to make. NULL without memory. */
struct spellings *spellings_new(void);
void spellings_free(struct spellings *spellings); /* NULL is allowed */
/* An empty set. Its keys are the session's own, always the same, so that what a session learns
 * later can be joined with what it has, and a value that comes twice says no more than once.
 * secret: 32 bytes that nobody else knows; NULL: random keys. */
void spellings_begin(struct spellings *spellings, const uint8_t *secret,
		     const struct uuid *session);
/* Was a value added under this name? */
bool spellings_have(const struct spellings *spellings, const char *name);
/* Adds a value (borrowed, copies are wiped) under the name that stands for it in logs: the same
 * name may come again, for an earlier version. A value with less than REDACT_WINDOW bytes besides
 * line ends adds nothing. 0, -E2BIG when value, names or set are too large, -ENOMEM. */
int spellings_add(struct spellings *spellings, const char *name, const uint8_t *value,
		  size_t length);
/* The sealed memfd; the caller owns it. -errno. */
int spellings_seal(struct spellings *spellings);

#endif
