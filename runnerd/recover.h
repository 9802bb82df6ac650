/*
 * After a start: every session that an earlier runnerd left is found by its record, and taken up
 * (its keeper lives), ended (its keeper is dead) or undone (its gate never opened).
 */
#ifndef SCARAB_RUNNERD_RECOVER_H
#define SCARAB_RUNNERD_RECOVER_H

#include "runnerd.h"

/* Before the first channel is introduced. Teardowns may go on in the loop. 0, or -1 with error
 * when the records cannot be read at all. */
int recover_sessions(struct runnerd *r, struct error *error);
/* Tells a schedd just introduced of inputs that wait for long and have no session here. */
void inputs_announce(struct runnerd *r);

#endif
