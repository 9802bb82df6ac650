/*
 * The keys of the store of secrets, and the file `key` that holds the data key wrapped under one
 * key-encryption key, or under two while that is being changed. Only secretd. Keys lie in locked
 * memory (sodium_malloc) and nowhere else.
 */
#ifndef SCARAB_SECRETD_KEYS_H
#define SCARAB_SECRETD_KEYS_H

#include "common/proto.h"

enum {
	KEY_BYTES = 32,
	MAC_BYTES = 32,
	STORE_ID_BYTES = 16,
	WRAPS_MAX = 2,
	WRAP_ID_BYTES = 16,
	WRAP_SEALED_BYTES = 24 + KEY_BYTES + 16, /* nonce, data key, tag */
	KEK_FILE_MIN = 32,
	KEK_FILE_MAX = 4096,
	KEY_FILE_MAX = 512,
};

/* One random data key and what is derived from it (crypto_kdf, context "scarabst"). */
struct keys {
	uint8_t data[KEY_BYTES];
	uint8_t values[KEY_BYTES];  /* 1: seals values */
	uint8_t catalog[KEY_BYTES]; /* 2: chain of the catalog */
	uint8_t head[KEY_BYTES];    /* 3: slots of the head */
	uint8_t file[KEY_BYTES];    /* 4: the key file as a whole */
	uint8_t audit[KEY_BYTES];   /* 5: MACs of the audit log */
	uint8_t prints[KEY_BYTES];  /* 6: keys of each session's fingerprints */
};

/* Locked memory; NULL with errno (EPERM: no memory may be locked). */
struct keys *keys_new(void);
void keys_free(struct keys *keys); /* wiped; NULL is allowed */
/* A new data key and its derivatives. */
void keys_generate(struct keys *keys);

/* What a file or a credential holds (KEK_FILE_MIN to KEK_FILE_MAX bytes, every one counts) as a
 * key: BLAKE2b-256. fd is borrowed. 0, -ERANGE for its length, -errno. */
int kek_from_file(int fd, uint8_t kek[KEY_BYTES]);

/* Under what the data key is wrapped. */
struct wrap {
	bool passphrase;
	uint64_t made_at_ms;
	uint8_t salt[SECRET_SALT_BYTES]; /* of Argon2id, with a passphrase */
	uint64_t operations, memory_bytes;
	uint8_t id[WRAP_ID_BYTES]; /* tells a wrong key from a changed file */
	uint8_t sealed[WRAP_SEALED_BYTES];
};

struct wrapped {
	uint8_t store[STORE_ID_BYTES];
	unsigned count;
	struct wrap wraps[WRAPS_MAX]; /* the newest last */
};

/* The data key under one more key; of the terms passphrase, salt, operations and memory are the
 * caller's. There must be room. */
void wrapped_add(struct wrapped *wrapped, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
		 const struct keys *keys);
/* Keeps this wrap alone. */
void wrapped_keep(struct wrapped *wrapped, unsigned which);
/* Which wrap this key opens, the newest first: its index, with keys filled; -ENOKEY when it is no
 * wrap's key, -EBADMSG when the file was changed. */
int wrapped_open(const struct wrapped *wrapped, const uint8_t kek[KEY_BYTES], struct keys *keys);

/* The file: at most KEY_FILE_MAX bytes; its last 32 are a MAC over the others. */
size_t wrapped_encode(const struct wrapped *wrapped, const struct keys *keys, uint8_t *bytes);
/* 0 or -EBADMSG. The MAC is wrapped_check's: it needs the data key. */
int wrapped_decode(struct wrapped *wrapped, const uint8_t *bytes, size_t length);
bool wrapped_check(const uint8_t *bytes, size_t length, const struct keys *keys);

/* Little-endian numbers of the files of the store. */
void bytes_put(uint8_t **at, uint64_t number, size_t width);
uint64_t bytes_get(const uint8_t **at, size_t width);

#endif
