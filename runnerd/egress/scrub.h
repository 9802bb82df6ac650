/*
 * What a server answers, without the values that were put into the requests: each of their usual
 * spellings (as it is, in hexadecimal, base64, percent-encoding, escaped for JSON and HTML) is
 * overwritten with asterisks, also when it comes in pieces. Lengths do not change, so that what
 * frames a body stays true. What could be the beginning of a spelling waits for what follows;
 * nothing else does. Egress only.
 */
#ifndef SCARAB_EGRESS_SCRUB_H
#define SCARAB_EGRESS_SCRUB_H

#include <stddef.h>
#include <stdint.h>

enum {
	SCRUB_VALUE_MIN = 8,
	SCRUB_VALUE_MAX = 4096,
	SCRUB_HELD_MAX = 6 * SCRUB_VALUE_MAX, /* the longest spelling: \\u00XX */
};

struct scrubs;

/* The spellings of all values of a session. NULL without memory. */
struct scrubs *scrubs_new(void);
/* 0, -EINVAL for a length that is out of bounds, -ENOMEM. */
int scrubs_add(struct scrubs *scrubs, const uint8_t *value, size_t length);
void scrubs_free(struct scrubs *scrubs); /* overwrites them; NULL is allowed */

/* One stream of bytes. */
struct scrub {
	const struct scrubs *scrubs;
	uint16_t *matched; /* of each spelling */
	size_t held;       /* bytes that wait */
	size_t longest;    /* the spelling whose beginning they are */
};

int scrub_begin(struct scrub *scrub, const struct scrubs *scrubs); /* 0 or -ENOMEM */
void scrub_end(struct scrub *scrub);
/* What may be shown after these bytes: how many, at most held + length, which out has room for and
 * which lie elsewhere. */
size_t scrub_feed(struct scrub *scrub, const uint8_t *bytes, size_t length, uint8_t *out);
/* The stream is at its end: what waited. */
size_t scrub_flush(struct scrub *scrub, uint8_t *out);

#endif
