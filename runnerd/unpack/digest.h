/*
 * SHA-256 of what passes, by libcrypto, which uses the processor's instructions for it.
 */
#ifndef SCARAB_UNPACK_DIGEST_H
#define SCARAB_UNPACK_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum { HEX_LEN = 2 * DIGEST_BYTES };

struct digest; /* one under way */

/* Once, before the process is confined: libcrypto reads its settings then. 0 or -1. */
int digest_prepare(void);
struct digest *digest_new(void); /* NULL without memory */
void digest_add(struct digest *digest, const void *bytes, size_t length);
void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES]);
void digest_free(struct digest *digest); /* NULL is allowed */
void digest_of(const void *bytes, size_t length, uint8_t out[DIGEST_BYTES]);

void digest_hex(const uint8_t digest[DIGEST_BYTES], char hex[HEX_LEN + 1]);
/* 64 small hexadecimal digits and nothing else. */
bool digest_parse(const char *hex, uint8_t digest[DIGEST_BYTES]);
/* The same behind "sha256:". */
bool digest_parse_named(const char *text, uint8_t digest[DIGEST_BYTES]);

#endif
