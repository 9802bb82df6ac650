#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

enum { LABELS = 2, MICRO = 1000000 };

static const struct family {
	const char *name; /* of a counter without _total */
	const char *type, *unit, *help;
	const char *labels[LABELS];
} families[METRIC_COUNT] = {
    [METRIC_BUILD] =
	{"scarab_build_info", "gauge", "", "Always 1; what runs.", {"version", "build"}},
    [METRIC_START_TIME] = {"scarab_start_time_seconds",
			   "gauge",
			   "seconds",
			   "When agentd started, since 1970.",
			   {NULL}},
    [METRIC_SESSIONS] = {"scarab_sessions",
			 "counter",
			 "",
			 "Sessions that have ended, by agent and outcome.",
			 {"agent", "outcome"}},
    [METRIC_LIVE] = {"scarab_live_sessions",
		     "gauge",
		     "",
		     "Sessions that have started and not ended.",
		     {"state"}},
    [METRIC_QUEUED] = {"scarab_queue_length", "gauge", "", "Sessions that wait.", {NULL}},
    [METRIC_STEPS] = {"scarab_setup_step_duration_seconds",
		      "histogram",
		      "seconds",
		      "How long the steps of set-ups took.",
		      {"step"}},
    [METRIC_FIRES] =
	{"scarab_fires", "counter", "", "What triggers that time fires have started.", {"kind"}},
    [METRIC_LATENESS] = {"scarab_fire_lateness_seconds",
			 "histogram",
			 "seconds",
			 "From when a trigger was due until its session was recorded.",
			 {NULL}},
    [METRIC_MISSED] = {"scarab_missed_fires",
		       "counter",
		       "",
		       "Scheduled times that passed without a start, at most 1000 of a gap.",
		       {NULL}},
    [METRIC_EVENTS] = {"scarab_events_accepted", "counter", "", "Events that were stored.", {NULL}},
    [METRIC_EVENTS_REPEATED] =
	{"scarab_events_deduplicated", "counter", "", "Events that were there already.", {NULL}},
    [METRIC_WEBHOOKS] =
	{"scarab_webhooks_accepted", "counter", "", "Webhooks that are stored events.", {NULL}},
    [METRIC_WEBHOOKS_REFUSED] =
	{"scarab_webhooks_refused", "counter", "", "Webhooks that were not stored.", {"reason"}},
    [METRIC_TOOL_CALLS] =
	{"scarab_tool_calls", "counter", "", "Calls of tools that have ended.", {NULL}},
    [METRIC_TOOL_ERRORS] = {"scarab_tool_errors",
			    "counter",
			    "",
			    "Those of them that did not succeed, by how they ended.",
			    {"outcome"}},
    [METRIC_TOOL_TIME] = {"scarab_tool_call_duration_seconds",
			  "histogram",
			  "seconds",
			  "How long calls of tools took.",
			  {NULL}},
    [METRIC_APPROVALS] = {"scarab_approvals_pending",
			  "gauge",
			  "",
			  "Calls of tools that wait for an operator.",
			  {NULL}},
    [METRIC_RECEIVED] = {"scarab_network_received_bytes",
			 "counter",
			 "bytes",
			 "What sessions received through their networks.",
			 {NULL}},
    [METRIC_SENT] = {"scarab_network_sent_bytes",
		     "counter",
		     "bytes",
		     "What sessions sent through their networks.",
		     {NULL}},
    [METRIC_DENIALS] = {"scarab_network_denials",
			"counter",
			"",
			"Connections and names that sessions were denied.",
			{NULL}},
    [METRIC_SECRETS] =
	{"scarab_secrets_handed", "counter", "", "Secrets that were handed to sessions.", {NULL}},
    [METRIC_DAEMON_UP] =
	{"scarab_daemon_up", "gauge", "", "1 while the daemon is ready.", {"daemon"}},
    [METRIC_DAEMON_RESTARTS] = {"scarab_daemon_restarts",
				"counter",
				"",
				"How often agentd started the daemon again.",
				{"daemon"}},
    [METRIC_DAEMON_MEMORY] = {"scarab_daemon_resident_memory_bytes",
			      "gauge",
			      "bytes",
			      "Memory of the daemon, as the kernel counts it.",
			      {"daemon"}},
    [METRIC_LEDGER_BYTES] =
	{"scarab_ledger_size_bytes", "gauge", "bytes", "The scheduler's ledger.", {NULL}},
    [METRIC_AUDIT_ENTRIES] = {"scarab_audit_entries",
			      "counter",
			      "",
			      "Entries of the audit log, since it was begun.",
			      {NULL}},
};

/* Upper bounds in microseconds: from what a step takes at the least to how long a tool may take. */
static const struct bound {
	uint64_t us;
	const char *text;
} bounds[METRIC_BUCKETS] = {
    {100, "0.0001"},    {250, "0.00025"},   {500, "0.0005"},      {1000, "0.001"},
    {2500, "0.0025"},   {5000, "0.005"},    {10000, "0.01"},      {25000, "0.025"},
    {50000, "0.05"},    {100000, "0.1"},    {250000, "0.25"},     {500000, "0.5"},
    {1000000, "1.0"},   {2500000, "2.5"},   {5000000, "5.0"},     {10000000, "10.0"},
    {30000000, "30.0"}, {60000000, "60.0"}, {300000000, "300.0"},
};

/* --- counting --------------------------------------------------------------------------------- */

void
histogram_note(struct histogram *histogram, uint64_t us)
{
	size_t bucket = 0;

	while (bucket < METRIC_BUCKETS && us > bounds[bucket].us)
		bucket++;
	histogram->counts[bucket]++;
	histogram->sum_us += us;
}

static int
add(struct rows *rows, enum metric metric, uint8_t bucket, const char *label, const char *second,
    uint64_t value)
{
	struct msg row;

	msg_init(&row, MSG_METRIC);
	row.metric.metric = (uint8_t)metric;
	row.metric.bucket = bucket;
	snprintf(row.metric.label, sizeof(row.metric.label), "%s", label);
	snprintf(row.metric.second, sizeof(row.metric.second), "%s", second);
	row.metric.value = value;
	return rows_add(rows, &row);
}

int
metric_add(struct rows *rows, enum metric metric, const char *label, const char *second,
	   uint64_t value)
{
	return add(rows, metric, METRIC_PLAIN, label, second, value);
}

int
metric_add_histogram(struct rows *rows, enum metric metric, const char *label,
		     const struct histogram *histogram)
{
	int rc = 0;

	for (uint8_t i = 0; rc == 0 && i <= METRIC_BUCKETS; i++)
		rc = add(rows, metric, i, label, "", histogram->counts[i]);
	return rc == 0 ? add(rows, metric, METRIC_SUM, label, "", histogram->sum_us) : rc;
}

/* --- text ------------------------------------------------------------------------------------- */

struct text {
	FILE *out;
	enum metrics_format format;
	const struct msg_metric *rows;
	size_t count;
};

static bool
is_type(const struct family *family, const char *type)
{
	return strcmp(family->type, type) == 0;
}

/* What stands behind the name of a counter's samples, and in the one format of its family's. */
static const char *
total(const struct text *text, const struct family *family, bool sample)
{
	bool bare = !sample && text->format == METRICS_OPENMETRICS;

	return is_type(family, "counter") && !bare ? "_total" : "";
}

static void
put_head(const struct text *text, const struct family *family)
{
	const char *suffix = total(text, family, false);

	fprintf(text->out, "# HELP %s%s %s\n", family->name, suffix, family->help);
	fprintf(text->out, "# TYPE %s%s %s\n", family->name, suffix, family->type);
	/* In the older format a comment like any other. */
	if (*family->unit)
		fprintf(text->out, "# UNIT %s%s %s\n", family->name, suffix, family->unit);
}

/* Labels come from names that were checked; what else it may be is escaped all the same. */
static void
put_label(const struct text *text, const char *name, const char *value, const char *before)
{
	fprintf(text->out, "%s%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", text->out);
		else if (*value == '"' || *value == '\\')
			fprintf(text->out, "\\%c", *value);
		else
			fputc(*value, text->out);
	}
	fputc('"', text->out);
}

static void
put_labels(const struct text *text, const struct family *family, const struct msg_metric *row,
	   const char *le)
{
	const char *before = "{";

	for (size_t i = 0; i < LABELS && family->labels[i]; i++) {
		put_label(text, family->labels[i], i ? row->second : row->label, before);
		before = ",";
	}
	if (le) {
		put_label(text, "le", le, before);
		before = ",";
	}
	if (*before == ',')
		fputc('}', text->out);
}

static void
put_bucket(const struct text *text, const struct family *family, const struct msg_metric *row,
	   const char *le, uint64_t value)
{
	fprintf(text->out, "%s_bucket", family->name);
	put_labels(text, family, row, le);
	fprintf(text->out, " %" PRIu64 "\n", value);
}

/* The rows of one histogram follow each other: as many as there are buckets, then the sum. */
static void
put_histogram(const struct text *text, const struct family *family, const struct msg_metric *rows)
{
	const struct msg_metric *sum = &rows[METRIC_BUCKETS + 1];
	uint64_t count = 0;

	for (size_t i = 0; i < METRIC_BUCKETS; i++) {
		count += rows[i].value;
		put_bucket(text, family, rows, bounds[i].text, count);
	}
	count += rows[METRIC_BUCKETS].value;
	put_bucket(text, family, rows, "+Inf", count);
	fprintf(text->out, "%s_sum", family->name);
	put_labels(text, family, rows, NULL);
	fprintf(text->out, " %" PRIu64 ".%06" PRIu64 "\n", sum->value / MICRO, sum->value % MICRO);
	fprintf(text->out, "%s_count", family->name);
	put_labels(text, family, rows, NULL);
	fprintf(text->out, " %" PRIu64 "\n", count);
}

static bool
is_whole_histogram(const struct msg_metric *rows, size_t left)
{
	if (left < METRIC_BUCKETS + 2 || rows[METRIC_BUCKETS + 1].bucket != METRIC_SUM)
		return false;
	for (size_t i = 0; i <= METRIC_BUCKETS; i++)
		if (rows[i].bucket != i || rows[i].metric != rows[0].metric ||
		    strcmp(rows[i].label, rows[0].label) != 0)
			return false;
	return true;
}

static void
put_family(const struct text *text, enum metric metric)
{
	const struct family *family = &families[metric];
	bool headed = false;

	for (size_t i = 0; i < text->count; i++) {
		const struct msg_metric *row = &text->rows[i];
		bool histogram = is_type(family, "histogram") && row->bucket == 0 &&
				 is_whole_histogram(row, text->count - i);

		if (row->metric != metric ||
		    (!histogram && (is_type(family, "histogram") || row->bucket != METRIC_PLAIN)))
			continue;
		if (!headed)
			put_head(text, family);
		headed = true;
		if (histogram) {
			put_histogram(text, family, row);
			continue;
		}
		fprintf(text->out, "%s%s", family->name, total(text, family, true));
		put_labels(text, family, row, NULL);
		fprintf(text->out, " %" PRIu64 "\n", row->value);
	}
}

static struct msg_metric *
read_rows(int fd, size_t *count, struct error *error)
{
	_cleanup_free_ struct msg_metric *found = calloc(METRICS_ROWS_MAX, sizeof(*found));
	struct rows_reader *reader = rows_open(fd);
	struct msg row;
	int rc = reader ? 1 : -errno;

	*count = 0;
	while (found && rc > 0 && *count < METRICS_ROWS_MAX && (rc = rows_next(reader, &row)) > 0)
		if (row.type == MSG_METRIC && row.metric.metric < METRIC_COUNT)
			found[(*count)++] = row.metric;
	rows_close(reader);
	if (rc < 0 || !found) {
		error_errno(error, found ? -rc : ENOMEM, "reading metrics");
		return NULL;
	}
	return steal_ptr(&found);
}

char *
metrics_text(int fd, enum metrics_format format, size_t *length, struct error *error)
{
	struct text text = {.format = format};
	_cleanup_free_ struct msg_metric *rows = read_rows(fd, &text.count, error);
	_cleanup_free_ char *bytes = NULL;
	int rc;

	if (!rows)
		return NULL;
	text.rows = rows;
	text.out = open_memstream(&bytes, length);
	if (!text.out) {
		error_errno(error, errno, "writing metrics");
		return NULL;
	}
	for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
		put_family(&text, metric);
	fputs("# EOF\n", text.out);
	rc = ferror(text.out);
	if (fclose(text.out) != 0 || rc) {
		error_errno(error, ENOMEM, "writing metrics");
		return NULL;
	}
	return steal_ptr(&bytes);
}
