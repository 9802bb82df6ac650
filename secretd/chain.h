/*
 * The hash chain of audit.log, secretd(8): every line holds the hash of the line before it and
 * its own. Only secretd; no state but what the caller passes.
 */
#ifndef SCARAB_CHAIN_H
#define SCARAB_CHAIN_H

#include "common/proto.h"

enum {
	CHAIN_HASH_BYTES = 32,      /* SHA-256 */
	CHAIN_LINE_MAX = 16384,     /* bytes of one line; what a record can come to at most */
	CHAIN_TAIL_MAX = 4 * 16384, /* how much of the log's end is read at start */
	CHAIN_NOTE_MAX = 255,
};

struct chain {
	uint64_t seq; /* of the last line; 0: none yet */
	uint8_t head[CHAIN_HASH_BYTES];
};

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

/* The next line with its newline, owned by the caller; moves the chain. NULL when memory ran
 * out. */
char *chain_line(struct chain *chain, enum role role, uint64_t time_ms,
		 const struct msg_audit *entry, size_t *length);

/* Is it a line (without newline) whose hash is right? Then *link is the chain's state after it,
 * and prev what it names as the hash before it. */
bool chain_check(const char *line, size_t length, struct chain *link,
		 uint8_t prev[CHAIN_HASH_BYTES]);

#endif
