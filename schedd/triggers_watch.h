/*
 * Path triggers: of each a watch that runnerd opened and that is read here. What changes together
 * fires once: when nothing has changed for a while, or after a longer one. Then it is an event,
 * which goes the way of every event. schedd only.
 *
 * A directory that is taken away or replaced is awaited at its path, and fires when it is there
 * again. So does one in which names have come or gone, and a file that has changed, while schedd
 * was away.
 */
#ifndef SCARAB_SCHEDD_TRIGGERS_WATCH_H
#define SCARAB_SCHEDD_TRIGGERS_WATCH_H

#include "event_plans.h"
#include "schedd.h"

enum {
	WATCH_SETTLE_MS = 500,    /* without a change, then it fires */
	WATCH_PATIENCE_MS = 5000, /* since the first change */
	WATCH_CHANGES_MAX = 100,  /* that an event names */
	WATCH_AGAIN_MS = 1000,    /* after an event that could not be stored */
};

struct watches;

/* NULL with error. */
struct watches *watches_new(struct schedd *schedd, struct error *error);
void watches_free(struct watches *watches);
/* The agent's triggers are told, or it is gone: those that say the same are watched on, the others
 * are asked of runnerd. */
void watches_follow(struct watches *watches, const char *agent);
/* WATCH: runnerd's answer. */
void watches_opened(struct watches *watches, struct msg *msg);

#endif
