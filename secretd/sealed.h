/*
 * One sealed value as a file: XChaCha20-Poly1305 with the whole header as associated data.
 * secretd(8) documents the layout. Only secretd.
 */
#ifndef SCARAB_SECRETD_SEALED_H
#define SCARAB_SECRETD_SEALED_H

#include "keys.h"

enum {
	SEALED_HEAD_BYTES = 128, /* nonce included */
	SEALED_FILE_MAX = SEALED_HEAD_BYTES + SECRET_BYTES_MAX + SECRET_TAG_BYTES,
};

struct sealed {
	char name[SECRET_NAME_MAX + 1];
	uint64_t version, created_at_ms, updated_at_ms;
	uint32_t size;
};

/* Writes file (SEALED_FILE_MAX bytes) and returns its length; its last SECRET_TAG_BYTES are the
 * tag that the catalog keeps. */
size_t sealed_write(const struct sealed *sealed, const uint8_t *value, const uint8_t key[KEY_BYTES],
		    uint8_t *file);
/* Fills sealed and value (SECRET_BYTES_MAX bytes of locked memory). 0, or -EBADMSG when a single
 * bit is not as it was written; value holds nothing then. */
int sealed_read(const uint8_t *file, size_t length, const uint8_t key[KEY_BYTES],
		struct sealed *sealed, uint8_t *value);

#endif
