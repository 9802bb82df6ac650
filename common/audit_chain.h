/*
 * audit.log as its readers see it: entries in a chain, secretd(8), each with the hash of the one
 * before it and its own. secretd writes it (secretd/chain.h) and ash verifies it; no state but
 * what the caller passes.
 */
#ifndef SCARAB_AUDIT_CHAIN_H
#define SCARAB_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CHAIN_HASH_BYTES = 32,  /* SHA-256 */
	CHAIN_LINE_MAX = 16384, /* bytes of one line; what a record can come to at most */
	CHAIN_PROBLEM_MAX = 255,
};

struct chain {
	uint64_t seq; /* of the last line; 0: none yet */
	uint8_t head[CHAIN_HASH_BYTES];
};

/* hash = SHA-256(previous hash as 32 bytes, the line without its member "hash"): body is the line
 * up to ,"hash": without its closing brace. */
void chain_hash(const uint8_t prev[CHAIN_HASH_BYTES], const char *body, size_t length,
		uint8_t hash[CHAIN_HASH_BYTES]);

/* Is it a line (without newline) whose hash is right? Then *link is the chain's state after it,
 * and prev what it names as the hash before it. */
bool chain_check(const char *line, size_t length, struct chain *link,
		 uint8_t prev[CHAIN_HASH_BYTES]);

/* Where the members begin that every line ends with, prev and hash: for chain_check's lines. */
size_t chain_body(size_t length);

/* --- the whole log --------------------------------------------------------------------------- */

/* An entry in its place. */
typedef void chain_entry_fn(const char *line, size_t length, const struct chain *link, void *arg);

struct chain_walk {
	chain_entry_fn *fn; /* may be NULL */
	void *arg;
	bool from_middle; /* older files are not among those that are read */
	bool seeks;       /* is there an entry with the hash sought? */
	uint8_t sought[CHAIN_HASH_BYTES];

	struct chain at;
	uint64_t entries, found; /* found: number of the entry sought, 0: none */
	uint64_t lines;          /* of the file at hand */
	unsigned torn;           /* writes that were cut by a crash, as the log itself says */
	uint64_t problem_line;   /* 0: none; the first one */
	unsigned problem_file;   /* the how many-th file it is in, from 0 */
	char problem[CHAIN_PROBLEM_MAX + 1];
	bool cut; /* the last file ends within a line */

	unsigned files;
	uint64_t strange; /* a line that is no entry and not explained yet */
	/* The file at hand. */
	int64_t offset;
	size_t held;
	char *text; /* owned while a file is read */
};

/* Reads a file (borrowed) of the log from its beginning to its end; older files first. What is
 * wrong is in the walk. 0 or -errno. */
int chain_walk_file(struct chain_walk *walk, int fd);
/* The same in steps of about this many bytes: 1 while there is more, 0 at the file's end. */
int chain_walk_some(struct chain_walk *walk, int fd, size_t bytes);
/* Of a walk that is given up in a file. */
void chain_walk_free(struct chain_walk *walk);

#endif
