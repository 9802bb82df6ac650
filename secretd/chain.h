/*
 * Writing the hash chain of audit.log, secretd(8); what a reader needs of it is in
 * common/audit_chain.h. Only secretd; no state but what the caller passes.
 */
#ifndef SCARAB_CHAIN_H
#define SCARAB_CHAIN_H

#include "common/audit_chain.h"
#include "common/proto.h"

enum {
	CHAIN_TAIL_MAX = 4 * 16384, /* how much of the log's end is read at start */
	CHAIN_NOTE_MAX = 255,
	CHAIN_KEY_BYTES = 32,
	CHAIN_MAC_BYTES = 32,
};
#define CHAIN_MAC_KEY ",\"mac\":"

enum chain_found {
	CHAIN_EMPTY,
	CHAIN_WHOLE,
	CHAIN_TORN,   /* the last write was cut: bytes without a newline follow a good line */
	CHAIN_BROKEN, /* the last line is not one of ours: a new chain begins */
};

/* Looks at the end of the log (borrowed, readable) and sets the chain to go on from there. note,
 * CHAIN_NOTE_MAX + 1 bytes: what was found, for the entry that says so; empty when all is well.
 * 0 or -errno. */
int chain_resume(struct chain *chain, int fd, enum chain_found *found, char *note);

/* The next line with its newline, owned by the caller; moves the chain. key: CHAIN_KEY_BYTES for
 * its MAC, or NULL while the store is locked. NULL when memory ran out. */
char *chain_line(struct chain *chain, enum role role, uint64_t time_ms,
		 const struct msg_audit *entry, const uint8_t *key, size_t *length);

/* Keyed BLAKE2b over the previous hash and the line before its member "mac". */
void chain_mac(const uint8_t key[CHAIN_KEY_BYTES], const uint8_t prev[CHAIN_HASH_BYTES],
	       const char *text, size_t length, uint8_t mac[CHAIN_MAC_BYTES]);

enum chain_mac_found { CHAIN_MAC_NONE, CHAIN_MAC_RIGHT, CHAIN_MAC_WRONG };
/* Of a line that chain_check finds right. */
enum chain_mac_found chain_mac_check(const uint8_t key[CHAIN_KEY_BYTES], const char *line,
				     size_t length);

#endif
