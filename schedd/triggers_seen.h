/*
 * Up to when each path trigger has seen its path's changes: what came later came while nobody
 * watched. A table of the ledger's file. schedd only.
 */
#ifndef SCARAB_SCHEDD_TRIGGERS_SEEN_H
#define SCARAB_SCHEDD_TRIGGERS_SEEN_H

#include "ledger.h"

struct triggers_seen;

struct triggers_seen *triggers_seen_open(struct ledger *ledger, struct error *error);
void triggers_seen_close(struct triggers_seen *seen);

/* 0: never, or it cannot be read. Survives the death of this process. */
uint64_t triggers_seen_get(struct triggers_seen *seen, const char *agent, const char *path);
/* A failure is logged, and costs a fire too much. */
void triggers_seen_put(struct triggers_seen *seen, const char *agent, const char *path,
		       uint64_t at_ms);
/* Of an agent that watches this path no more. */
void triggers_seen_drop(struct triggers_seen *seen, const char *agent, const char *path);

#endif
