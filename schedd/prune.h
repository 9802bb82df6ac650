/*
 * Retention, agentd.yaml(5): of each agent the newest sessions are kept, up to a number, an age and
 * the bytes of their logs. Only what has ended goes: runnerd is asked to delete a session's log and
 * records, and when it has said that they are gone the row is deleted, so that a death between the
 * two leaves nothing that no row names. schedd only.
 *
 * An agent is looked at when some more of its sessions have ended; all are, one in each round of
 * the loop, after each introduction of runnerd, a new configuration, and once an hour while
 * sessions end.
 */
#ifndef SCARAB_SCHEDD_PRUNE_H
#define SCARAB_SCHEDD_PRUNE_H

#include "schedd.h"

enum {
	PRUNE_EVERY = 32,   /* ended sessions of an agent between two looks */
	PRUNE_BATCH = 64,   /* asked of runnerd at a time */
	PRUNE_ALL_S = 3600, /* between two rounds over all agents */
};

struct prune;

struct prune *prune_new(struct schedd *schedd, struct error *error);
void prune_free(struct prune *prune);
/* runnerd is there and in step, or the configuration is new: looks at all agents. */
void prune_all(struct prune *prune);
/* One more session of the agent has ended. */
void prune_note_end(struct prune *prune, struct agent *agent);
/* SESSION_PRUNED: runnerd has nothing of it any more, or could not delete it. */
void prune_answered(struct prune *prune, const struct msg_session_pruned *answer);

#endif
