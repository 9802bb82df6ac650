/*
 * Metrics: one table of families (metrics.c), numbers that daemons count, and their text. Daemons
 * answer METRICS_QUERY with METRIC records; control joins them, and the text is made by who prints
 * it, ash or control. A counter that is no longer than its process' memory begins anew with the
 * process, as Prometheus allows; ash-metrics(1) says which.
 */
#ifndef SCARAB_METRICS_H
#define SCARAB_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "proto.h"

enum metric {
	METRIC_BUILD,
	METRIC_START_TIME,
	METRIC_SESSIONS,
	METRIC_LIVE,
	METRIC_QUEUED,
	METRIC_STEPS,
	METRIC_FIRES,
	METRIC_LATENESS,
	METRIC_MISSED,
	METRIC_EVENTS,
	METRIC_EVENTS_REPEATED,
	METRIC_WEBHOOKS,
	METRIC_WEBHOOKS_REFUSED,
	METRIC_TOOL_CALLS,
	METRIC_TOOL_ERRORS,
	METRIC_TOOL_TIME,
	METRIC_APPROVALS,
	METRIC_RECEIVED,
	METRIC_SENT,
	METRIC_DENIALS,
	METRIC_SECRETS,
	METRIC_DAEMON_UP,
	METRIC_DAEMON_RESTARTS,
	METRIC_DAEMON_MEMORY,
	METRIC_LEDGER_BYTES,
	METRIC_AUDIT_ENTRIES,
	METRIC_COUNT,
};

enum {
	METRIC_BUCKETS = 19,      /* bounds of every histogram, metrics.c has them */
	METRIC_SUM = 254,         /* in METRIC.bucket: the sum, in microseconds */
	METRIC_PLAIN = 255,       /* no histogram */
	METRIC_AGENTS_MAX = 256,  /* whose sessions are counted by name; all others are "other" */
	METRICS_ROWS_MAX = 16384, /* 256 agents with 12 outcomes, and what else there is */
};

/* Counted in one daemon; zeroed memory is an empty one. */
struct histogram {
	uint64_t counts[METRIC_BUCKETS + 1]; /* the last: above every bound */
	uint64_t sum_us;
};

void histogram_note(struct histogram *histogram, uint64_t us);

/* Append to what a daemon answers. label and second: values of the family's labels, "" where it has
 * fewer. 0 or -errno. */
int metric_add(struct rows *rows, enum metric metric, const char *label, const char *second,
	       uint64_t value);
int metric_add_histogram(struct rows *rows, enum metric metric, const char *label,
			 const struct histogram *histogram);

enum metrics_format {
	METRICS_PROMETHEUS, /* text format 0.0.4, which ends with the comment # EOF */
	METRICS_OPENMETRICS /* OpenMetrics 1.0: a counter's family has no _total */
};

/* What METRIC records in a sealed memfd (borrowed) come to: heap, NUL behind it. Records that are
 * no metric, or of a family that this build does not know, are left out. NULL with error. */
char *metrics_text(int fd, enum metrics_format format, size_t *length, struct error *error);

#endif
