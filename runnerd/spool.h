/*
 * `--input`: what an operator's pipe holds is copied to STATE_DIR/sessions/ID/input before the
 * session is accepted. Read as it comes, at most INPUT_BYTES_MAX, and given up when nothing comes
 * for a minute, so that a slow writer makes nobody else wait.
 */
#ifndef SCARAB_RUNNERD_SPOOL_H
#define SCARAB_RUNNERD_SPOOL_H

#include "runnerd.h"

struct spools;
struct spools *spools_new(struct runnerd *r); /* NULL when memory ran out */
void spools_free(struct spools *spools);
/* Takes the descriptor from msg; answers the request once all is durable, or with ERROR. */
void spool_start(struct spools *spools, struct channel *channel, struct msg *msg);
/* control went away: nobody waits for the answers any more. */
void spools_forget(struct spools *spools, const struct channel *channel);
/* Removes a spooled input that no session has taken up. */
int spool_drop(struct runnerd *r, const struct uuid *session);

#endif
