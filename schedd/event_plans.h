/*
 * What events start: of each installed agent the triggers that runnerd told, replaced whole each
 * time. schedd only.
 */
#ifndef SCARAB_SCHEDD_EVENT_PLANS_H
#define SCARAB_SCHEDD_EVENT_PLANS_H

#include "event_match.h"

struct event_plans;

struct event_plans *event_plans_new(void); /* NULL without memory */
void event_plans_free(struct event_plans *plans);

/* rows: EVENT_TRIGGERs, each followed by its EVENT_FILTERs, or -1: none (borrowed). What was there
 * of the agent is gone in every case. 0, or -1 with error. */
int event_plans_set(struct event_plans *plans, const char *agent, int rows, struct error *error);
void event_plans_drop(struct event_plans *plans, const char *agent);

/* Calls fn for each trigger that the event matches; fn returns non-zero to end the walk early,
 * which is then returned. */
typedef int event_plans_fn(const char *agent, const struct event_trigger *trigger, void *arg);
int event_plans_match(struct event_plans *plans, const struct event *event, event_plans_fn *fn,
		      void *arg);
/* The same for each webhook trigger of this agent (empty: of all). */
int event_plans_webhooks(struct event_plans *plans, const char *agent, event_plans_fn *fn,
			 void *arg);
/* The same for each trigger of an agent, NULL: of all. */
int event_plans_each(const struct event_plans *plans, const char *agent, event_plans_fn *fn,
		     void *arg);

#endif
