/* What control asks about tools: answers from live sessions, else from what was kept of them. */
#ifndef SCARAB_RUNNERD_TOOLS_REQUESTS_H
#define SCARAB_RUNNERD_TOOLS_REQUESTS_H

#include "runnerd.h"

void tools_query(struct runnerd *r, struct channel *channel, struct msg *msg);
void tools_pin(struct runnerd *r, struct channel *channel, struct msg *msg);
void session_tools_query(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
