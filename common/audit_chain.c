#include "audit_chain.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

_Static_assert(CHAIN_HASH_BYTES == crypto_hash_sha256_BYTES, "the chain is SHA-256");

enum { HEX_LEN = 2 * CHAIN_HASH_BYTES, READ_BYTES = 65536 };

/* A line ends in  ,"prev":"HEX","hash":"HEX"}  and so has its links at fixed places. */
#define PREV_KEY ",\"prev\":\""
#define HASH_KEY "\",\"hash\":\""
#define LINE_END "\"}"
enum {
	PREV_KEY_LEN = sizeof(PREV_KEY) - 1,
	HASH_KEY_LEN = sizeof(HASH_KEY) - 1,
	LINE_END_LEN = sizeof(LINE_END) - 1,
	LINKS_LEN = PREV_KEY_LEN + HEX_LEN + HASH_KEY_LEN + HEX_LEN + LINE_END_LEN,
	CANONICAL_CUT = HASH_KEY_LEN - 1 + HEX_LEN + LINE_END_LEN, /* from ,"hash": to the end */
};

void
chain_hash(const uint8_t prev[CHAIN_HASH_BYTES], const char *body, size_t length,
	   uint8_t hash[CHAIN_HASH_BYTES])
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, prev, CHAIN_HASH_BYTES);
	crypto_hash_sha256_update(&state, (const uint8_t *)body, length);
	crypto_hash_sha256_update(&state, (const uint8_t *)"}", 1);
	crypto_hash_sha256_final(&state, hash);
}

/* As it is written and no other way: a digit in capitals is a changed byte. */
static bool
from_hex(const char *text, uint8_t *hash)
{
	size_t length = 0;

	for (size_t i = 0; i < HEX_LEN; i++)
		if (text[i] >= 'A' && text[i] <= 'F')
			return false;
	return sodium_hex2bin(hash, CHAIN_HASH_BYTES, text, HEX_LEN, NULL, &length, NULL) == 0 &&
	       length == CHAIN_HASH_BYTES;
}

static bool
read_seq(const char *line, size_t length, uint64_t *seq)
{
	static const char start[] = "{\"seq\":";
	size_t at = sizeof(start) - 1;

	*seq = 0;
	if (strncmp(line, start, at) != 0)
		return false;
	for (; at < length && line[at] >= '0' && line[at] <= '9'; at++)
		if (__builtin_mul_overflow(*seq, 10U, seq) ||
		    __builtin_add_overflow(*seq, (unsigned)(line[at] - '0'), seq))
			return false;
	return at < length && line[at] == ',' && *seq > 0;
}

size_t
chain_body(size_t length)
{
	return length - LINKS_LEN;
}

bool
chain_check(const char *line, size_t length, struct chain *link, uint8_t prev[CHAIN_HASH_BYTES])
{
	const char *links, *hash_key;
	uint8_t hash[CHAIN_HASH_BYTES];

	if (length <= LINKS_LEN || length > CHAIN_LINE_MAX || !read_seq(line, length, &link->seq))
		return false;
	links = line + length - LINKS_LEN;
	hash_key = links + PREV_KEY_LEN + HEX_LEN;
	if (memcmp(links, PREV_KEY, PREV_KEY_LEN) != 0 ||
	    memcmp(hash_key, HASH_KEY, HASH_KEY_LEN) != 0 ||
	    memcmp(line + length - LINE_END_LEN, LINE_END, LINE_END_LEN) != 0)
		return false;
	if (!from_hex(links + PREV_KEY_LEN, prev) || !from_hex(hash_key + HASH_KEY_LEN, link->head))
		return false;
	chain_hash(prev, line, length - CANONICAL_CUT, hash);
	return sodium_memcmp(hash, link->head, sizeof(hash)) == 0;
}

/* --- the whole log --------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 4)))
problem(struct chain_walk *walk, uint64_t line, const char *fmt, ...)
{
	va_list args;

	if (walk->problem_line)
		return;
	walk->problem_line = line;
	walk->problem_file = walk->files;
	va_start(args, fmt);
	vsnprintf(walk->problem, sizeof(walk->problem), fmt, args);
	va_end(args);
}

static void
strange_line(struct chain_walk *walk)
{
	if (walk->strange)
		problem(walk, walk->strange, "it is no entry, or was changed");
	walk->strange = walk->lines;
}

/* secretd tells of a write that a crash cut in the entry that follows it. */
static bool
tells_of_torn(const char *line, size_t length)
{
	static const char said[] = ",\"role\":\"secretd\",\"action\":\"audit.torn\",";

	return memmem(line, length, said, sizeof(said) - 1) != NULL;
}

static void
explain_strange(struct chain_walk *walk, const char *line, size_t length, bool follows)
{
	if (!walk->strange)
		return;
	if (follows && tells_of_torn(line, length))
		walk->torn++;
	else
		problem(walk, walk->strange, "it is no entry, or was changed");
	walk->strange = 0;
}

/* How a line can stand where another was expected. */
static void
tell_break(struct chain_walk *walk, const struct chain *link, const uint8_t *prev)
{
	unsigned long long seq = link->seq, last = walk->at.seq;

	if (seq == 1 && last > 0 && sodium_is_zero(prev, CHAIN_HASH_BYTES))
		problem(walk, walk->lines,
			"a new chain begins: the end of the log was damaged after entry %llu",
			last);
	else if (seq > last + 1)
		problem(walk, walk->lines, "it is entry %llu; entries %llu to %llu are missing",
			seq, last + 1, seq - 1);
	else if (seq <= last)
		problem(walk, walk->lines, "it is entry %llu after entry %llu", seq, last);
	else
		problem(walk, walk->lines, "entry %llu does not follow the entry before it", seq);
}

static void
walk_line(struct chain_walk *walk, const char *line, size_t length)
{
	uint8_t prev[CHAIN_HASH_BYTES];
	struct chain link;
	bool follows;

	walk->lines++;
	if (!chain_check(line, length, &link, prev)) {
		strange_line(walk);
		return;
	}
	if (walk->from_middle && !walk->entries) {
		walk->at.seq = link.seq - 1;
		memcpy(walk->at.head, prev, sizeof(prev));
	}
	follows = link.seq == walk->at.seq + 1 && memcmp(prev, walk->at.head, sizeof(prev)) == 0;
	explain_strange(walk, line, length, follows);
	if (!follows)
		tell_break(walk, &link, prev);
	walk->at = link;
	walk->entries++;
	if (walk->seeks && memcmp(walk->sought, link.head, sizeof(link.head)) == 0)
		walk->found = link.seq;
	if (walk->fn)
		walk->fn(line, length, &link, walk->arg);
}

/* Whole lines of what was read; returns how much of it they are. */
static size_t
walk_lines(struct chain_walk *walk, const char *text, size_t length)
{
	const char *from = text, *end = text + length, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
		walk_line(walk, from, (size_t)(newline - from));
		from = newline + 1;
	}
	return (size_t)(from - text);
}

void
chain_walk_free(struct chain_walk *walk)
{
	free(walk->text);
	walk->text = NULL;
	walk->held = 0;
	walk->offset = 0;
}

/* What was read, to its last whole line. */
static void
walk_text(struct chain_walk *walk)
{
	size_t taken = walk_lines(walk, walk->text, walk->held);

	if (walk->held - taken > CHAIN_LINE_MAX) {
		problem(walk, walk->lines + 1, "it is longer than any entry");
		taken = walk->held;
	}
	walk->held -= taken;
	memmove(walk->text, walk->text + taken, walk->held);
}

static void
end_file(struct chain_walk *walk)
{
	walk->cut = walk->held > 0;
	if (walk->cut)
		problem(walk, walk->lines + 1, "it is cut: its end is missing");
	explain_strange(walk, "", 0, false);
	chain_walk_free(walk);
	walk->files++;
	walk->lines = 0;
}

int
chain_walk_some(struct chain_walk *walk, int fd, size_t bytes)
{
	int64_t until = walk->offset + (int64_t)bytes;
	ssize_t n = 1;

	if (!walk->text)
		walk->text = malloc(READ_BYTES);
	if (!walk->text)
		return -ENOMEM;
	while (walk->offset < until && n > 0) {
		n = pread(fd, walk->text + walk->held, READ_BYTES - walk->held, walk->offset);
		if (n <= 0)
			break;
		walk->offset += n;
		walk->held += (size_t)n;
		walk_text(walk);
	}
	if (n > 0)
		return 1;
	end_file(walk);
	return n < 0 ? -EIO : 0;
}

int
chain_walk_file(struct chain_walk *walk, int fd)
{
	int rc;

	do
		rc = chain_walk_some(walk, fd, SIZE_MAX / 4);
	while (rc > 0);
	return rc;
}
