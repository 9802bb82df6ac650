/* What runnerd counts for metrics (common/metrics.h), since it started. */
#ifndef SCARAB_RUNNERD_USAGE_H
#define SCARAB_RUNNERD_USAGE_H

#include "broker/broker.h"
#include "common/metrics.h"

struct usage {
	uint64_t calls[CALL_OUTCOMES];
	struct histogram call_time;
	uint64_t received_bytes, sent_bytes, denials; /* of sessions' networks */
	uint64_t secrets;                             /* handed to sessions */
};

struct channel;
struct runnerd;

/* As people and the audit log read it; NULL: no such outcome. */
const char *call_outcome_name(uint8_t outcome);
void usage_call(struct usage *usage, uint8_t outcome, uint64_t took_us);
/* Answers METRICS_QUERY. */
void metrics_query(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
