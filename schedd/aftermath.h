/*
 * What follows from the end of a session: a retry of a failed one, a restart by restart_policy, a
 * failure that counts, and after too many of them the agent's pause. All of it is written in the
 * transaction that records the end, so that it happens once. The rules are agent-manifest(5)'s.
 * schedd only.
 */
#ifndef SCARAB_SCHEDD_AFTERMATH_H
#define SCARAB_SCHEDD_AFTERMATH_H

#include "sessions.h"

enum {
	HEALTHY_MS = 60000, /* one that ran so long begins anew with its restarts */
	JITTER_SHARE = 10,  /* a delay is shortened by up to a tenth */
};

struct aftermath;

/* Of a session that is about to be recorded as ended. The agent must stay. NULL: out of memory. */
struct aftermath *aftermath_new(struct schedd *schedd, struct agent *agent,
				const struct ledger_session *ended);
/* Inside the transaction. 0, or -1 with error: it is to be rolled back and withdrawn. */
int aftermath_record(struct aftermath *aftermath, struct error *error);
/* After the rollback. */
void aftermath_withdraw(struct aftermath *aftermath);
/* After the commit: memory follows, and it is said. */
void aftermath_begin(struct aftermath *aftermath);
void aftermath_free(struct aftermath *aftermath);
/* The session that takes over the input, NULL: none. */
const struct uuid *aftermath_heir(const struct aftermath *aftermath);

/* An outcome that is tried again and counts as a failure. */
bool outcome_failed(enum session_outcome outcome);
/* The delay before the count-th retry or restart, 1 the first: shorter by a share of id's own. */
uint64_t backoff_ms(const struct agent *agent, uint64_t count, const struct uuid *id);

#endif
