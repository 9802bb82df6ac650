#include "sealed.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

enum {
	FORMAT = 1,
	NONCE_AT = SEALED_HEAD_BYTES - crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	NAME_AT = NONCE_AT - SECRET_NAME_MAX,
};

static const uint8_t magic[8] = {'S', 'R', 'S', 'E', 'C', 'R', 'E', 'T'};

size_t
sealed_write(const struct sealed *sealed, const uint8_t *value, const uint8_t key[KEY_BYTES],
	     uint8_t *file)
{
	uint8_t *at = file + sizeof(magic);
	size_t name = strlen(sealed->name);
	unsigned long long length;

	memset(file, 0, SEALED_HEAD_BYTES);
	memcpy(file, magic, sizeof(magic));
	bytes_put(&at, FORMAT, 2);
	bytes_put(&at, name, 2);
	bytes_put(&at, sealed->size, 4);
	bytes_put(&at, sealed->version, 8);
	bytes_put(&at, sealed->created_at_ms, 8);
	bytes_put(&at, sealed->updated_at_ms, 8);
	memcpy(file + NAME_AT, sealed->name, name);
	randombytes_buf(file + NONCE_AT, SEALED_HEAD_BYTES - NONCE_AT);
	crypto_aead_xchacha20poly1305_ietf_encrypt(file + SEALED_HEAD_BYTES, &length, value,
						   sealed->size, file, SEALED_HEAD_BYTES, NULL,
						   file + NONCE_AT, key);
	return SEALED_HEAD_BYTES + (size_t)length;
}

int
sealed_read(const uint8_t *file, size_t length, const uint8_t key[KEY_BYTES], struct sealed *sealed,
	    uint8_t *value)
{
	const uint8_t *at = file + sizeof(magic);
	uint64_t format, name;

	if (length < SEALED_HEAD_BYTES + SECRET_TAG_BYTES || length > SEALED_FILE_MAX ||
	    memcmp(file, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	format = bytes_get(&at, 2);
	name = bytes_get(&at, 2);
	sealed->size = (uint32_t)bytes_get(&at, 4);
	sealed->version = bytes_get(&at, 8);
	sealed->created_at_ms = bytes_get(&at, 8);
	sealed->updated_at_ms = bytes_get(&at, 8);
	if (format != FORMAT || name > SECRET_NAME_MAX ||
	    sealed->size != length - SEALED_HEAD_BYTES - SECRET_TAG_BYTES)
		return -EBADMSG;
	memcpy(sealed->name, file + NAME_AT, name);
	sealed->name[name] = '\0';
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		value, NULL, NULL, file + SEALED_HEAD_BYTES, length - SEALED_HEAD_BYTES, file,
		SEALED_HEAD_BYTES, file + NONCE_AT, key) != 0)
		return -EBADMSG;
	return 0;
}
