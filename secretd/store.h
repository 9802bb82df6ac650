/*
 * The store of secrets at rest, STATE_DIR/secrets: opened with a key, read, changed. Every change
 * is whole and durable when its function returns 0, and has not happened otherwise. Only secretd;
 * nothing here talks to anybody.
 */
#ifndef SCARAB_SECRETD_STORE_H
#define SCARAB_SECRETD_STORE_H

#include "index.h"
#include "keys.h"

enum store_state {
	STORE_EMPTY,  /* there is no file: the first key makes it */
	STORE_LOCKED, /* no key has opened it yet */
	STORE_OPEN,
	STORE_DAMAGED, /* its files do not fit together: nothing is read or written */
};

struct store;

/* dir is borrowed (AT_FDCWD: secretd's root). Locks all the memory that values and keys will need.
 * NULL with error. */
struct store *store_new(int dir, struct error *error);
void store_free(struct store *store); /* NULL is allowed */

enum store_state store_state(const struct store *store);
/* The error that anybody gets who asks a store that is not open. -1. */
int store_closed(const struct store *store, struct error *error);
/* Of the wrap that is newest; NULL while there is no file. */
const struct wrap *store_wrap(const struct store *store);
unsigned store_wraps(const struct store *store);

/* Makes an empty store under this key, or opens the one there is. note, STORE_NOTE_MAX + 1 bytes:
 * what was repaired. -1 with error: ERR_PERMISSION when it is another key. */
enum { STORE_NOTE_MAX = 511 };
int store_make(struct store *store, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
	       struct error *error);
int store_unlock(struct store *store, const uint8_t kek[KEY_BYTES], char *note,
		 struct error *error);

/* Another key-encryption key: first the data key is wrapped under both, then, once the new one was
 * read back from where it is kept and opened the store, under that alone. */
int store_wrap_add(struct store *store, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
		   struct error *error);
int store_wrap_settle(struct store *store, const uint8_t kek[KEY_BYTES], struct error *error);

/* KEY_BYTES for the MACs of the audit log, as long as the store lives; NULL unless it is open. */
const uint8_t *store_audit_key(const struct store *store);

/* KEY_BYTES for the keys of sessions' fingerprints, as long as the store lives; of an open store.
 */
const uint8_t *store_prints_key(const struct store *store);

/* The rest needs an open store. */
const struct index *store_index(const struct store *store);
uint64_t store_counter(const struct store *store);

/* Where the caller puts a value of at most SECRET_BYTES_MAX bytes, and finds the one that was
 * read: locked memory, wiped by store_forget(). */
uint8_t *store_value(struct store *store);
void store_forget(struct store *store);

int store_set(struct store *store, const char *name, size_t size, uint64_t *version,
	      struct error *error);
/* -1 with error, which names the file when it was changed. */
int store_read(struct store *store, const char *name, size_t *size, struct error *error);
/* The version before the present one. -1 with error when there is none. */
int store_read_previous(struct store *store, const char *name, size_t *size, struct error *error);
int store_remove(struct store *store, const char *name, struct error *error);
/* The secret must be there. An earlier grant to the same holder is replaced. */
int store_grant(struct store *store, const char *name, const struct grant *grant,
		struct error *error);
/* How many; agent NULL: all of the secret, for_server NULL: of the agent and its servers. -1 with
 * error. */
int store_revoke(struct store *store, const char *name, const char *agent, const char *for_server,
		 struct error *error);
/* Every grant of this agent. */
int store_revoke_agent(struct store *store, const char *agent, struct error *error);
/* Counts one use, durably. */
int store_use(struct store *store, const struct secret *secret, const struct grant *grant,
	      struct error *error);

#endif
