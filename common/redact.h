/*
 * Takes secrets out of a stream of bytes without knowing them: every byte that belongs to an
 * occurrence of a fingerprint (redact_set.h) is hidden, and where occurrences overlap they are
 * hidden as one. In its place stands [redacted:NAME]. CR and LF are no part of an occurrence:
 * one that is broken by line ends is found, and they are hidden with it.
 *
 * Keepers and brokers; one filter for each stream. Memory is bounded by the longest fingerprint,
 * work by the bytes: where a stream begins like a secret at more places than can be followed, what
 * might be one is hidden without a look.
 */
#ifndef SCARAB_REDACT_H
#define SCARAB_REDACT_H

#include "redact_set.h"

struct redact;

/* What may be shown, in order. */
typedef void redact_fn(const uint8_t *bytes, size_t length, void *arg);

/* set is borrowed until the filter is freed or given another. NULL without memory. */
struct redact *redact_new(const struct redact_set *set, redact_fn *fn, void *arg);
void redact_free(struct redact *redact); /* NULL is allowed; what is held back is lost */

/* More of the stream. The last 8 bytes wait for what follows, and what begins like a secret waits
 * until it is known whether it is one. 0, or -ENOMEM: nothing more may be shown. */
int redact_feed(struct redact *redact, const uint8_t *bytes, size_t length);
/* Time has passed, or a line has ended: shows what waits, but not what begins like a secret, with
 * 8 bytes or more. A secret of which less than that was there is still found, from here on. */
int redact_flush(struct redact *redact);
/* Nothing follows. What begins like a secret and was cut is hidden; all waiting is shown. The
 * filter may be fed again, as from the start. */
int redact_end(struct redact *redact);
/* Does anything wait for redact_flush? */
bool redact_waits(const struct redact *redact);
/* From here on with another set. What waits is judged as at the end of a stream and shown; the
 * new set sees its last 7 bytes with what follows. 0 or -ENOMEM. */
int redact_change(struct redact *redact, const struct redact_set *set);

/* All at once: text becomes what may be shown of it, cut to size (with its NUL). -ENOMEM leaves
 * an empty text. */
int redact_text(const struct redact_set *set, char *text, size_t size);

#endif
