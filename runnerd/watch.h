/*
 * Paths that triggers watch: schedd names an agent and a trigger, runnerd looks at its plan, at
 * root's ceilings as they are now, opens the path without links and hands out an inotify
 * descriptor. What comes out of it schedd reads. runnerd only.
 */
#ifndef SCARAB_RUNNERD_WATCH_H
#define SCARAB_RUNNERD_WATCH_H

#include "runnerd.h"

/* The words of a path trigger's `on`, a bit for each; all when it has none. */
uint8_t watch_words(const struct strings *on);
/* The answer to WATCH_OPEN; its descriptor is the answer's. */
void watch_open(struct runnerd *r, const struct msg_watch_open *asked, struct msg *answer);

#endif
