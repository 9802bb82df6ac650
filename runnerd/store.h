/*
 * What is installed: STATE_DIR/store/NAME.plan, root's alone. One file holds a STORE_HEAD record
 * behind its length, the binary plan and the manifest's text; its checksum covers all three.
 * Everything is in memory from the start on: a session never waits for this disk.
 */
#ifndef SCARAB_RUNNERD_STORE_H
#define SCARAB_RUNNERD_STORE_H

#include "common/manifest.h"
#include "common/proto.h"

/* One installed agent. Sessions hold a reference, so that a replaced one stays theirs. */
struct agent {
	unsigned references;
	struct msg_store_head head;
	struct manifest *plan;
	uint8_t *plan_bytes; /* head.plan_bytes of them */
	uint8_t *manifest;   /* head.manifest_bytes of them */
};

struct agent *agent_ref(struct agent *agent);
void agent_unref(struct agent *agent); /* NULL is allowed */

struct store;

/* Loads every plan beneath store_fd (borrowed for as long as the store lives). A file that is
 * damaged is logged and its agent refused; the others work. NULL with error. */
struct store *store_open(int store_fd, struct error *error);
void store_close(struct store *store);

/* Borrowed, or NULL. damaged (may be NULL) is set when a file is there that cannot be used. */
struct agent *store_find(const struct store *store, const char *name, bool *damaged);
size_t store_count(const struct store *store);
/* In the order of names. */
struct agent *store_at(const struct store *store, size_t index);

/* The agents whose files cannot be used; NULL behind the last. */
const char *store_damaged_at(const struct store *store, size_t index);

/* Decodes the plan (bytes are copied) into a new agent that is not stored yet. head's lengths and
 * checksum are filled in. NULL with error. */
struct agent *agent_new(const struct msg_store_head *head, const uint8_t *plan, size_t plan_length,
			const uint8_t *manifest, size_t manifest_length, struct error *error);
/* Durable when it returns 0; takes a reference, drops the one it replaces. -1 with error. */
int store_put(struct store *store, struct agent *agent, struct error *error);
/* 0 or -errno; durable. */
int store_remove(struct store *store, const char *name);

#endif
