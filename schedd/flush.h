/*
 * Brings what the ledger committed to the disk beside the loop, and holds back what may not be
 * heard before: answers, gates that open, acknowledged ends. The kernel syncs the log's file (an
 * AIO request, whose end an eventfd tells), the loop goes on, and all that was committed meanwhile
 * is one sync more.
 *
 * A sync that fails puts the ledger in doubt: nothing is written and nothing of what waits is said
 * until all of it has been brought into the ledger's file, which is tried every second. schedd
 * only.
 */
#ifndef SCARAB_SCHEDD_FLUSH_H
#define SCARAB_SCHEDD_FLUSH_H

#include "schedd.h"

enum {
	/* Pages in the log, 4 KiB each, at which it is brought into the file: while nothing is due
	 * soon, and in any case. The loop waits for that. */
	FLUSH_LOG_PAGES = 1000,
	FLUSH_LOG_PAGES_MAX = 8000,
	FLUSH_QUIET_MS = 50,
	FLUSH_AGAIN_MS = 1000,
};

struct flush;

/* What an earlier process left in the log is made durable first. NULL with error. */
struct flush *flush_new(struct schedd *schedd, struct error *error);
/* All that is held is said, when the disk still takes it: waits for that. */
void flush_settle(struct flush *flush);
void flush_free(struct flush *flush);

/* For a channel whose every message may tell of what was committed: none leaves before that is
 * durable. Of answers those that come while the ledger is in doubt leave. */
void flush_hold(struct flush *flush, struct channel *channel);
void flush_hold_answers(struct flush *flush, struct channel *channel);

/* Syncs in the loop, whose next round says that it is done: for tests whose kernel is their own. */
void flush_in_loop(struct flush *flush);

#endif
