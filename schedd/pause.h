/*
 * `ash agent pause` and `resume`: durable before the answer, for one agent or for all that are
 * installed. What a pause means is a row of gate.c. schedd only.
 */
#ifndef SCARAB_SCHEDD_PAUSE_H
#define SCARAB_SCHEDD_PAUSE_H

#include "schedd.h"

/* AGENT_PAUSE, from control. */
void pause_request(struct schedd *schedd, const struct msg *msg);

/* Who watches is told how the agent stands now. */
void pause_notice(struct schedd *schedd, const struct agent *agent);

#endif
