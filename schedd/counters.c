#include "counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "ledger_sql.h"
#include "queue.h"

enum counter_statement { CN_TOTALS, CN_BYTES, CN_COUNT };

#define KIND_COUNT (TRIGGER_AT + 1) /* those that time fires come first */

struct counters {
	struct ledger *ledger;
	sqlite3_stmt *statements[CN_COUNT];
	uint64_t fires[KIND_COUNT], missed;
	uint64_t events, events_repeated;
	uint64_t webhooks, refused[REFUSED_COUNT];
	struct histogram lateness, steps[STEP_COUNT];
};

/* An agent that came when METRIC_AGENTS_MAX were counted already is other, and so is one of that
 * name. */
#define COUNTED_AS                                                                                 \
	"CASE WHEN NEW.agent <> 'other' AND (EXISTS (SELECT 1 FROM session_total"                  \
	" WHERE agent = NEW.agent)"                                                                \
	" OR (SELECT count(DISTINCT agent) FROM session_total WHERE agent <> '') < 256)"           \
	" THEN NEW.agent ELSE '' END"
#define COUNT_END                                                                                  \
	" BEGIN INSERT OR IGNORE INTO session_total VALUES (" COUNTED_AS ", NEW.outcome, 0);"      \
	" UPDATE session_total SET ended = ended + 1"                                              \
	" WHERE agent = " COUNTED_AS " AND outcome = NEW.outcome; END;"
_Static_assert(METRIC_AGENTS_MAX == 256, "the statement names the number");

/* A ledger from before the table was there begins with what it still holds. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS session_total("
    " agent TEXT NOT NULL, outcome INTEGER NOT NULL, ended INTEGER NOT NULL,"
    " PRIMARY KEY (agent, outcome)) STRICT, WITHOUT ROWID;"
    "INSERT INTO session_total SELECT CASE WHEN agent IN (SELECT agent FROM session"
    " WHERE agent <> 'other' GROUP BY agent ORDER BY min(seq) LIMIT 256) THEN agent ELSE '' END"
    " AS name, outcome, count(*) FROM session WHERE state = 5"
    " AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'session_end_update')"
    " GROUP BY name, outcome;"
    "CREATE TRIGGER IF NOT EXISTS session_end_insert AFTER INSERT ON session"
    " WHEN NEW.state = 5" COUNT_END
    "CREATE TRIGGER IF NOT EXISTS session_end_update AFTER UPDATE OF state ON session"
    " WHEN NEW.state = 5 AND OLD.state <> 5" COUNT_END;
_Static_assert(STATE_ENDED == 5, "the statements name the number");

static const char *const statement_sql[CN_COUNT] = {
    [CN_TOTALS] = "SELECT agent, outcome, ended FROM session_total",
    [CN_BYTES] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
};

struct counters *
counters_open(struct ledger *ledger, struct error *error)
{
	struct counters *counters = calloc(1, sizeof(*counters));

	if (!counters) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	counters->ledger = ledger;
	if (ledger_prepare(ledger, "BEGIN", NULL, NULL, 0, error) == 0 &&
	    ledger_prepare(ledger, schema, statement_sql, counters->statements, CN_COUNT, error) ==
		0 &&
	    ledger_prepare(ledger, "COMMIT", NULL, NULL, 0, error) == 0)
		return counters;
	ledger_rollback(ledger);
	counters_close(counters);
	return NULL;
}

void
counters_close(struct counters *counters)
{
	if (!counters)
		return;
	for (size_t i = 0; i < CN_COUNT; i++)
		sqlite3_finalize(counters->statements[i]);
	free(counters);
}

/* --- what happens ------------------------------------------------------------------------------
 */

void
counters_fired(struct counters *counters, enum trigger_kind kind)
{
	if (kind <= TRIGGER_AT)
		counters->fires[kind]++;
}

void
counters_late(struct counters *counters, uint64_t late_us)
{
	histogram_note(&counters->lateness, late_us);
}

void
counters_missed(struct counters *counters, uint64_t times)
{
	counters->missed += times;
}

void
counters_step(struct counters *counters, enum session_step step, uint64_t took_us)
{
	if (step < STEP_COUNT)
		histogram_note(&counters->steps[step], took_us);
}

void
counters_event(struct counters *counters, bool repeated)
{
	if (repeated)
		counters->events_repeated++;
	else
		counters->events++;
}

void
counters_webhook(struct counters *counters, bool stored, enum refusal refusal)
{
	if (stored)
		counters->webhooks++;
	else if (refusal < REFUSED_COUNT)
		counters->refused[refusal]++;
}

/* --- what is told ------------------------------------------------------------------------------
 */

static int
add_totals(struct counters *counters, struct rows *rows, struct error *error)
{
	sqlite3_stmt *statement = counters->statements[CN_TOTALS];
	char agent[AGENT_NAME_MAX + 1];
	int rc, failed = 0;

	while ((rc = sqlite3_step(statement)) == SQLITE_ROW && failed == 0) {
		const char *outcome =
		    session_outcome_name((enum session_outcome)sqlite3_column_int(statement, 1));

		ledger_read_text(statement, 0, agent, sizeof(agent));
		if (outcome)
			failed = metric_add(rows, METRIC_SESSIONS, *agent ? agent : "other",
					    outcome, (uint64_t)sqlite3_column_int64(statement, 2));
	}
	if (ledger_stepped(counters->ledger, statement, rc, error) < 0)
		return -1;
	return failed < 0 ? error_errno(error, -failed, "collecting metrics") : 0;
}

static int
add_ledger(struct counters *counters, struct rows *rows, struct error *error)
{
	sqlite3_stmt *statement = counters->statements[CN_BYTES];
	int rc = sqlite3_step(statement);
	uint64_t bytes = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;

	if (ledger_stepped(counters->ledger, statement, rc, error) < 0)
		return -1;
	rc = metric_add(rows, METRIC_LEDGER_BYTES, "", "", bytes);
	return rc < 0 ? error_errno(error, -rc, "collecting metrics") : 0;
}

static void
count_state(struct session *session, void *arg)
{
	uint64_t *states = arg;

	if (session->state < STATE_COUNT)
		states[session->state]++;
}

static int
add_live(struct queue *queue, struct rows *rows)
{
	static const enum session_state live[] = {STATE_SETUP, STATE_RUNNING, STATE_STOPPING};
	uint64_t states[STATE_COUNT] = {0};
	int rc;

	queue_each(queue, count_state, states);
	rc = metric_add(rows, METRIC_QUEUED, "", "", states[STATE_QUEUED]);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(live); i++)
		rc =
		    metric_add(rows, METRIC_LIVE, session_state_name(live[i]), "", states[live[i]]);
	return rc;
}

static int
add_triggers(const struct counters *counters, struct rows *rows)
{
	int rc = metric_add(rows, METRIC_MISSED, "", "", counters->missed);

	for (enum trigger_kind kind = TRIGGER_CRON; rc == 0 && kind <= TRIGGER_AT; kind++)
		rc = metric_add(rows, METRIC_FIRES, trigger_kind_name(kind), "",
				counters->fires[kind]);
	if (rc == 0)
		rc = metric_add_histogram(rows, METRIC_LATENESS, "", &counters->lateness);
	for (int step = STEP_NONE + 1; rc == 0 && step < STEP_COUNT; step++)
		rc = metric_add_histogram(rows, METRIC_STEPS,
					  session_step_name((enum session_step)step),
					  &counters->steps[step]);
	return rc;
}

static int
add_events(const struct counters *counters, struct rows *rows)
{
	static const char *const reasons[REFUSED_COUNT] = {
	    [REFUSED_UNAUTHORIZED] = "unauthorized", [REFUSED_FORBIDDEN] = "forbidden",
	    [REFUSED_MALFORMED] = "malformed",       [REFUSED_TOO_LARGE] = "too-large",
	    [REFUSED_NOT_FOUND] = "not-found",       [REFUSED_CONFLICT] = "conflict",
	    [REFUSED_UNAVAILABLE] = "unavailable",
	};
	int rc = metric_add(rows, METRIC_EVENTS, "", "", counters->events);

	if (rc == 0)
		rc = metric_add(rows, METRIC_EVENTS_REPEATED, "", "", counters->events_repeated);
	if (rc == 0)
		rc = metric_add(rows, METRIC_WEBHOOKS, "", "", counters->webhooks);
	for (size_t i = 0; rc == 0 && i < REFUSED_COUNT; i++)
		rc =
		    metric_add(rows, METRIC_WEBHOOKS_REFUSED, reasons[i], "", counters->refused[i]);
	return rc;
}

int
answer_metrics(struct schedd *schedd, struct msg *answer, struct error *error)
{
	struct counters *counters = schedd->counters;
	struct rows *rows = rows_new("metrics");
	int rc;

	if (!rows)
		return error_errno(error, errno, "making a memfd for metrics");
	rc = add_live(schedd->queue, rows);
	if (rc == 0)
		rc = add_triggers(counters, rows);
	if (rc == 0)
		rc = add_events(counters, rows);
	if (rc < 0)
		error_errno(error, -rc, "collecting metrics");
	else if (add_totals(counters, rows, error) < 0 || add_ledger(counters, rows, error) < 0)
		rc = -1;
	if (rc < 0) {
		rows_free(rows);
		return -1;
	}
	msg_init(answer, MSG_ROWS);
	answer->rows.count = rows_count(rows);
	rc = rows_seal(rows);
	if (rc < 0)
		return error_errno(error, -rc, "sealing metrics");
	msg_add_fd(answer, rc);
	return 0;
}
