/*
 * What schedd counts for metrics (common/metrics.h). How sessions ended is counted by the ledger
 * itself, in the transaction that records the end, so that neither a restart nor the deletion of
 * old rows makes the number smaller; all else begins anew with the process.
 */
#ifndef SCARAB_SCHEDD_COUNTERS_H
#define SCARAB_SCHEDD_COUNTERS_H

#include "common/metrics.h"
#include "schedd.h"

enum { MISSED_COUNTED_MAX = 1000 /* of one gap: a long absence shall not cost what it brings */ };

/* Why a webhook was not stored. */
enum refusal {
	REFUSED_UNAUTHORIZED, /* signature, token or time */
	REFUSED_FORBIDDEN,    /* its secret is not granted to the agent */
	REFUSED_MALFORMED,
	REFUSED_TOO_LARGE,
	REFUSED_NOT_FOUND,
	REFUSED_CONFLICT, /* the same id with another body */
	REFUSED_UNAVAILABLE,
	REFUSED_COUNT,
};

struct counters;

/* The ledger is borrowed. NULL with error. */
struct counters *counters_open(struct ledger *ledger, struct error *error);
void counters_close(struct counters *counters);

/* Of triggers that time fires; late_us: since it was due, of one that was not made up for. */
void counters_fired(struct counters *counters, enum trigger_kind kind);
void counters_late(struct counters *counters, uint64_t late_us);
void counters_missed(struct counters *counters, uint64_t times);
void counters_step(struct counters *counters, enum session_step step, uint64_t took_us);
void counters_event(struct counters *counters, bool repeated);
void counters_webhook(struct counters *counters, bool stored, enum refusal refusal);

/* Answers METRICS_QUERY: ROWS of METRIC, or -1 with error. */
int answer_metrics(struct schedd *schedd, struct msg *answer, struct error *error);

#endif
