/*
 * Who owns which range of 65536 ids: one agent for life, after a purge nobody. Kept in
 * STATE_DIR/ids, appended and synced before a range is used.
 */
#ifndef SCARAB_RUNNERD_IDS_H
#define SCARAB_RUNNERD_IDS_H

#include <stdint.h>

#include "common/error.h"

struct ids;

/* Reads the table beneath state_fd (borrowed for as long as ids lives) and makes it if there is
 * none. NULL with error: a table that cannot be read must stop every start of an agent. */
struct ids *ids_open(int state_fd, uint64_t first, uint64_t ranges, struct error *error);
void ids_close(struct ids *ids);
/* The range of the agent, assigned now when it has none. 0, or -1 with error when all are given
 * out. */
int ids_assign(struct ids *ids, const char *agent, uint32_t *base_uid, struct error *error);
/* The agent was purged: its range belongs to nobody from now on. 0 or -errno. */
int ids_quarantine(struct ids *ids, const char *agent);

#endif
