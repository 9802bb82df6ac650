/* The channels with control and schedd: one table of messages each. */
#ifndef SCARAB_RUNNERD_PEERS_H
#define SCARAB_RUNNERD_PEERS_H

#include "runnerd.h"

/* A channel that agentd introduced; fd is taken over. Replaces an earlier one of its kind. */
void peer_introduced(struct runnerd *r, enum channel_kind kind, int fd);
void peers_free(struct runnerd *r);

#endif
