/* What operators ask of homes, by way of control: their history, what a session changed, and to
 * undo it. */
#ifndef SCARAB_RUNNERD_HOME_REQUESTS_H
#define SCARAB_RUNNERD_HOME_REQUESTS_H

#include "runnerd.h"

void home_query(struct runnerd *r, struct channel *channel, struct msg *msg);
void home_diff_query(struct runnerd *r, struct channel *channel, struct msg *msg);
/* Answered when it is done. */
void home_rollback_request(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
