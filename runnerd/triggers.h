/* The triggers of a plan as schedd and operators are told of them. runnerd only. */
#ifndef SCARAB_RUNNERD_TRIGGERS_H
#define SCARAB_RUNNERD_TRIGGERS_H

#include "runnerd.h"
#include "store.h"

/* How many of them time fires: AGENT_DEF announces so many. */
uint32_t triggers_by_time(const struct manifest *plan);
/* What follows AGENT_DEF. schedd must be there. */
void triggers_announce(struct runnerd *r, const struct agent *agent);
/* A line for each, "cron 0 9 * * mon-fri Europe/Berlin", as far as they fit. */
void triggers_text(const struct manifest *plan, char *text, size_t size);

#endif
