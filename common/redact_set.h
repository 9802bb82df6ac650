/*
 * What a redaction filter knows of secrets: fingerprints, never values. secretd makes a set for
 * each session (secretd/spellings.h) and seals it into a memfd; keepers and brokers open it and
 * filter with it (redact.h). Each session has keys of its own, so that the sets of two have nothing
 * in common, and what it learns later is joined with what it has.
 *
 * A fingerprint is of one spelling of a secret (as it is, base64, hex …), with CR and LF taken
 * out, so that base64 wrapped at 76 columns or a key with other line ends is found too. Of each
 * it holds the length, 32 bits of a hash of the first 8 bytes, 16 bits of a keyed BLAKE2b of the
 * first 16, 32, 64 … bytes, and 128 bits of one of all. A holder can test a guess at a whole
 * secret; what it learns of a part are these few bits.
 */
#ifndef SCARAB_REDACT_SET_H
#define SCARAB_REDACT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REDACT_WINDOW = 8, /* bytes hashed at every place; shorter secrets are refused */
	REDACT_TAG_BYTES = 16,
	REDACT_KEY_BYTES = 32,
	REDACT_FIRST_CHECK = 16, /* then doubling */
	REDACT_CHECKS = 14,
	REDACT_LENGTH_MAX = REDACT_FIRST_CHECK << REDACT_CHECKS, /* 256 KiB: of one spelling */
	REDACT_NAME_MAX = 127,
	REDACT_NAMES_MAX = 1024,
	REDACT_PRINTS_MAX = 16384, /* 1 MiB of fingerprints for one session */
	REDACT_SET_BYTES_MAX = 2 << 20,
	REDACT_BITMAP_BITS = 1 << 16, /* 8 KiB: stays in a core's first cache */
};

struct redact_print {
	uint32_t length, window;
	uint16_t name;         /* index */
	uint8_t before, after; /* base64: a character on that side is partly the secret's */
	uint16_t checks[REDACT_CHECKS];
	uint8_t tag[REDACT_TAG_BYTES];
};

struct redact_keys {
	uint64_t multiplier; /* odd */
	uint8_t key[REDACT_KEY_BYTES];
};

/* The set's memfd: this, names of REDACT_NAME_MAX + 1 bytes each, the fingerprints by window. A
 * keeper outlives the build it came from: another layout gets another version. */
struct redact_head {
	uint32_t magic, version, names, prints;
	struct redact_keys keys;
};
enum { REDACT_MAGIC = 0x46525253, REDACT_VERSION = 1 };

struct redact_set {
	struct redact_keys keys;
	size_t count;
	const struct redact_print *prints; /* by window */
	const char (*names)[REDACT_NAME_MAX + 1];
	size_t name_count;
	uint32_t longest; /* of the prints */
	void *memory;
	uint64_t bitmap[REDACT_BITMAP_BITS / 64]; /* of the windows' upper 16 bits */
};

/* All of both, which must be under the same keys (-EXDEV); they are left as they are. -E2BIG: more
 * than REDACT_NAMES_MAX names or REDACT_PRINTS_MAX fingerprints. */
int redact_set_join(const struct redact_set *a, const struct redact_set *b,
		    struct redact_set **joined);
/* Checks type, seals and content of the memfd (borrowed). 0, -EBADMSG for anything but a set,
 * -EPROTONOSUPPORT for one of another version, -errno. */
int redact_set_open(int fd, struct redact_set **set);
void redact_set_free(struct redact_set *set); /* NULL is allowed */

/* The hash of the 8 bytes there: all of it for the filter, upper 32 bits in a fingerprint. */
static inline uint64_t
redact_window(const struct redact_keys *keys, const uint8_t *bytes)
{
	uint64_t word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	return word * keys->multiplier;
}

/* Keyed BLAKE2b of these bytes. */
void redact_tag(const struct redact_keys *keys, const uint8_t *bytes, size_t length,
		uint8_t tag[REDACT_TAG_BYTES]);
/* How many leading bytes the check with this index covers. */
static inline size_t
redact_check_length(unsigned index)
{
	return (size_t)REDACT_FIRST_CHECK << index;
}
static inline uint16_t
redact_check_of(const uint8_t tag[REDACT_TAG_BYTES])
{
	return (uint16_t)(tag[0] | tag[1] << 8);
}

/* For the maker: all of a print but name, before and after. length from REDACT_WINDOW on, at most
 * REDACT_LENGTH_MAX. */
void redact_print_of(const struct redact_keys *keys, const uint8_t *bytes, size_t length,
		     struct redact_print *print);
/* A sealed memfd with the set; sorts the prints. The caller owns it. -errno. */
int redact_set_seal(const struct redact_keys *keys, const char (*names)[REDACT_NAME_MAX + 1],
		    size_t name_count, struct redact_print *prints, size_t count);

#endif
