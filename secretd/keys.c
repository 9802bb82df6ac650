#include "keys.h"

#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/loop.h"

_Static_assert(KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "the cipher's key");
_Static_assert(KEY_BYTES == crypto_kdf_KEYBYTES, "the key that others are derived from");
_Static_assert(SECRET_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "the tag");
_Static_assert(SECRET_SALT_BYTES == crypto_pwhash_SALTBYTES, "Argon2id's salt");

enum {
	NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	HEAD_BYTES = 8 + 2 + 2 + 4 + STORE_ID_BYTES,
	TERMS_BYTES = 8 + 8 + SECRET_SALT_BYTES + 8 + 8 + WRAP_ID_BYTES,
	WRAP_BYTES = TERMS_BYTES + WRAP_SEALED_BYTES,
	FORMAT = 1,
};

static const uint8_t magic[8] = "SRKEYS\0";
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = "scarabst";

/* --- numbers ---------------------------------------------------------------------------------- */

void
bytes_put(uint8_t **at, uint64_t number, size_t width)
{
	for (size_t i = 0; i < width; i++)
		*(*at)++ = (uint8_t)(number >> (8 * i));
}

uint64_t
bytes_get(const uint8_t **at, size_t width)
{
	uint64_t number = 0;

	for (size_t i = 0; i < width; i++)
		number |= (uint64_t) * (*at)++ << (8 * i);
	return number;
}

static void
put_raw(uint8_t **at, const void *bytes, size_t length)
{
	memcpy(*at, bytes, length);
	*at += length;
}

static void
get_raw(const uint8_t **at, void *bytes, size_t length)
{
	memcpy(bytes, *at, length);
	*at += length;
}

/* --- the data key ----------------------------------------------------------------------------- */

/* sodium_malloc() is content with memory that it could not lock. */
struct keys *
keys_new(void)
{
	struct keys *keys = sodium_malloc(sizeof(*keys));

	if (!keys)
		return NULL;
	if (sodium_mlock(keys, sizeof(*keys)) < 0) {
		sodium_free(keys);
		errno = EPERM;
		return NULL;
	}
	return keys;
}

void
keys_free(struct keys *keys)
{
	if (keys)
		sodium_free(keys);
}

static void
derive(struct keys *keys)
{
	uint8_t *const derived[] = {keys->values, keys->catalog, keys->head,
				    keys->file,   keys->audit,   keys->prints};

	for (unsigned i = 0; i < ARRAY_LEN(derived); i++)
		crypto_kdf_derive_from_key(derived[i], KEY_BYTES, i + 1, kdf_context, keys->data);
}

void
keys_generate(struct keys *keys)
{
	randombytes_buf(keys->data, sizeof(keys->data));
	derive(keys);
}

int
kek_from_file(int fd, uint8_t kek[KEY_BYTES])
{
	static const uint8_t salt[crypto_generichash_blake2b_SALTBYTES] = {0};
	static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES] = "scarab kek file";
	uint8_t bytes[KEK_FILE_MAX + 1];
	ssize_t length = pread(fd, bytes, sizeof(bytes), 0);
	int rc = 0;

	if (length < 0)
		return -errno;
	if (length < KEK_FILE_MIN || length > KEK_FILE_MAX)
		rc = -ERANGE;
	else
		crypto_generichash_blake2b_salt_personal(kek, KEY_BYTES, bytes, (size_t)length,
							 NULL, 0, salt, personal);
	sodium_memzero(bytes, sizeof(bytes));
	return rc;
}

/* --- wraps ------------------------------------------------------------------------------------ */

static void
wrap_id(const uint8_t kek[KEY_BYTES], const uint8_t *store, uint8_t id[WRAP_ID_BYTES])
{
	static const char label[] = "scarab kek id";
	crypto_generichash_state state;

	crypto_generichash_init(&state, kek, KEY_BYTES, WRAP_ID_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)label, sizeof(label));
	crypto_generichash_update(&state, store, STORE_ID_BYTES);
	crypto_generichash_final(&state, id, WRAP_ID_BYTES);
}

static void
put_terms(uint8_t **at, const struct wrap *wrap)
{
	bytes_put(at, wrap->passphrase, 8);
	bytes_put(at, wrap->made_at_ms, 8);
	put_raw(at, wrap->salt, sizeof(wrap->salt));
	bytes_put(at, wrap->operations, 8);
	bytes_put(at, wrap->memory_bytes, 8);
	put_raw(at, wrap->id, sizeof(wrap->id));
}

/* Everything that stands before a sealed key is its associated data. */
static size_t
associated(const struct wrapped *wrapped, const struct wrap *wrap, uint8_t *bytes)
{
	uint8_t *at = bytes;

	put_raw(&at, magic, sizeof(magic));
	bytes_put(&at, FORMAT, 2);
	put_raw(&at, wrapped->store, sizeof(wrapped->store));
	put_terms(&at, wrap);
	return (size_t)(at - bytes);
}

void
wrapped_add(struct wrapped *wrapped, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
	    const struct keys *keys)
{
	struct wrap *wrap = &wrapped->wraps[wrapped->count++];
	uint8_t ad[HEAD_BYTES + TERMS_BYTES];
	size_t length;

	*wrap = *terms;
	wrap->made_at_ms = realtime_ms();
	wrap_id(kek, wrapped->store, wrap->id);
	length = associated(wrapped, wrap, ad);
	randombytes_buf(wrap->sealed, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(wrap->sealed + NONCE_BYTES, NULL, keys->data,
						   KEY_BYTES, ad, length, NULL, wrap->sealed, kek);
}

void
wrapped_keep(struct wrapped *wrapped, unsigned which)
{
	wrapped->wraps[0] = wrapped->wraps[which];
	wrapped->count = 1;
}

int
wrapped_open(const struct wrapped *wrapped, const uint8_t kek[KEY_BYTES], struct keys *keys)
{
	uint8_t ad[HEAD_BYTES + TERMS_BYTES], id[WRAP_ID_BYTES];

	wrap_id(kek, wrapped->store, id);
	for (unsigned i = wrapped->count; i-- > 0;) {
		const struct wrap *wrap = &wrapped->wraps[i];

		if (sodium_memcmp(id, wrap->id, sizeof(id)) != 0)
			continue;
		if (crypto_aead_xchacha20poly1305_ietf_decrypt(
			keys->data, NULL, NULL, wrap->sealed + NONCE_BYTES,
			WRAP_SEALED_BYTES - NONCE_BYTES, ad, associated(wrapped, wrap, ad),
			wrap->sealed, kek) != 0)
			return -EBADMSG;
		derive(keys);
		return (int)i;
	}
	return -ENOKEY;
}

/* --- the file --------------------------------------------------------------------------------- */

size_t
wrapped_encode(const struct wrapped *wrapped, const struct keys *keys, uint8_t *bytes)
{
	uint8_t *at = bytes;

	put_raw(&at, magic, sizeof(magic));
	bytes_put(&at, FORMAT, 2);
	bytes_put(&at, wrapped->count, 2);
	bytes_put(&at, 0, 4);
	put_raw(&at, wrapped->store, sizeof(wrapped->store));
	for (unsigned i = 0; i < wrapped->count; i++) {
		put_terms(&at, &wrapped->wraps[i]);
		put_raw(&at, wrapped->wraps[i].sealed, WRAP_SEALED_BYTES);
	}
	crypto_generichash(at, MAC_BYTES, bytes, (size_t)(at - bytes), keys->file, KEY_BYTES);
	return (size_t)(at - bytes) + MAC_BYTES;
}

bool
wrapped_check(const uint8_t *bytes, size_t length, const struct keys *keys)
{
	uint8_t mac[MAC_BYTES];

	crypto_generichash(mac, MAC_BYTES, bytes, length - MAC_BYTES, keys->file, KEY_BYTES);
	return sodium_memcmp(mac, bytes + length - MAC_BYTES, MAC_BYTES) == 0;
}

static void
get_wrap(const uint8_t **at, struct wrap *wrap)
{
	wrap->passphrase = bytes_get(at, 8) == 1;
	wrap->made_at_ms = bytes_get(at, 8);
	get_raw(at, wrap->salt, sizeof(wrap->salt));
	wrap->operations = bytes_get(at, 8);
	wrap->memory_bytes = bytes_get(at, 8);
	get_raw(at, wrap->id, sizeof(wrap->id));
	get_raw(at, wrap->sealed, sizeof(wrap->sealed));
}

int
wrapped_decode(struct wrapped *wrapped, const uint8_t *bytes, size_t length)
{
	const uint8_t *at = bytes + sizeof(magic);
	uint64_t format;

	if (length < HEAD_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	format = bytes_get(&at, 2);
	wrapped->count = (unsigned)bytes_get(&at, 2);
	if (format != FORMAT || bytes_get(&at, 4) != 0 || wrapped->count < 1 ||
	    wrapped->count > WRAPS_MAX ||
	    length != HEAD_BYTES + wrapped->count * WRAP_BYTES + MAC_BYTES)
		return -EBADMSG;
	get_raw(&at, wrapped->store, sizeof(wrapped->store));
	for (unsigned i = 0; i < wrapped->count; i++)
		get_wrap(&at, &wrapped->wraps[i]);
	return 0;
}
