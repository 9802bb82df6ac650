/*
 * Installing and removing agents, and what control asks about them. Every request is judged again
 * here: control is a peer like any other.
 */
#ifndef SCARAB_RUNNERD_INSTALL_H
#define SCARAB_RUNNERD_INSTALL_H

#include "runnerd.h"

/* Each answers the request on the channel. */
void agent_install(struct runnerd *r, struct channel *channel, struct msg *msg);
void agent_remove(struct runnerd *r, struct channel *channel, struct msg *msg);
void agent_query(struct runnerd *r, struct channel *channel, struct msg *msg);

/* Is one of this agent not answered yet? */
bool installs_under_way(const struct runnerd *r, const char *agent);

/* The agent of one whose image is this one ("sha256:HEX"); NULL: there is none. Borrowed. */
const char *installs_use_image(const struct runnerd *r, const char *digest);

/* Tells schedd of every installed agent; returns how many. */
uint32_t agents_announce(struct runnerd *r);

#endif
