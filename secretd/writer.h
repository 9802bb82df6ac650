/*
 * Appends lines to audit.log in batches: what one round of the loop brought is written and made
 * durable together. While the disk refuses, lines wait in a bounded buffer and the writer asks
 * for back-pressure. Only secretd.
 */
#ifndef SCARAB_WRITER_H
#define SCARAB_WRITER_H

#include "chain.h"
#include "common/loop.h"
#include "sources.h"

struct writer;

enum {
	/* Bytes that wait for the disk. From half a MiB on peers are held back; what they may send
	 * until they are is 32 messages each, of CHAIN_LINE_MAX as lines. */
	WRITER_FULL = 1 << 19,
	WRITER_PENDING_MAX = 4 << 20,
};

struct writer_ops {
	/* Lines should (true) or may no longer (false) be held back. */
	void (*full)(bool full, void *arg);
	/* All that was added is durable. */
	void (*durable)(void *arg);
	/* The file is large and ends with this entry: writer_next may be called when another is
	 * there. May be NULL. */
	void (*large)(uint64_t seq, void *arg);
};

/* fd: audit.log, taken over, also on failure. Goes on with the chain that it holds. NULL with
 * error. */
struct writer *writer_new(struct loop *loop, int fd, const struct writer_ops *ops, void *arg,
			  struct error *error);
void writer_free(struct writer *writer);
/* CHAIN_KEY_BYTES (borrowed) for the MACs of entries from here on, which is itself an entry; NULL:
 * none. */
void writer_key(struct writer *writer, const uint8_t *key);
/* An entry that this role sent again is not written again. */
void writer_add(struct writer *writer, enum role role, const struct msg_audit *entry);
/* Goes on in this empty file, taken over; the first entry says where the chain comes from. */
void writer_next(struct writer *writer, int fd);
/* How far the log holds what this role said; durable once the ops say so. */
struct source writer_source(const struct writer *writer, enum role role);
/* True while lines wait for the disk. */
bool writer_pending(const struct writer *writer);
const struct chain *writer_chain(const struct writer *writer);
/* The log, for reading (borrowed). */
int writer_fd(const struct writer *writer);

#endif
