/*
 * Appends lines to audit.log in batches: what one round of the loop brought is written and made
 * durable together. While the disk refuses, lines wait in a bounded buffer and the writer asks
 * for back-pressure. Only secretd.
 */
#ifndef SCARAB_WRITER_H
#define SCARAB_WRITER_H

#include "chain.h"
#include "common/loop.h"

struct writer;

enum { WRITER_PENDING_MAX = 1 << 20 /* bytes that wait for the disk */ };

/* Called when lines should (true) or may no longer (false) be held back. */
typedef void writer_full_fn(bool full, void *arg);

/* fd: audit.log, taken over, also on failure. Goes on with the chain that it holds. NULL with
 * error. */
struct writer *writer_new(struct loop *loop, int fd, writer_full_fn *full, void *arg,
			  struct error *error);
void writer_free(struct writer *writer);
void writer_add(struct writer *writer, enum role role, const struct msg_audit *entry);
/* True while lines wait for the disk. */
bool writer_pending(const struct writer *writer);
const struct chain *writer_chain(const struct writer *writer);

#endif
