/* What is asked of the ledger; see ledger.h. */
#include "ledger_sql.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* The first row of a bound statement; as ledger_get. */
static int
first_row(struct ledger *ledger, enum statement which, struct ledger_session *session,
	  struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[which];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		ledger_read_row(statement, session);
	else if (rc != SQLITE_DONE)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

/* Every row of a bound statement. */
static int
walk(struct ledger *ledger, enum statement which, ledger_fn *fn, void *arg, struct error *error)
{
	_cleanup_free_ struct ledger_session *session = malloc(sizeof(*session));
	sqlite3_stmt *statement = ledger->statements[which];
	int rc = SQLITE_NOMEM;

	if (!session)
		return error_why(error, ERR_FAILED, "out of memory");
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		ledger_read_row(statement, session);
		if (fn(session, arg) != 0)
			break;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

int
ledger_get(struct ledger *ledger, const struct uuid *id, struct ledger_session *session,
	   struct error *error)
{
	sqlite3_bind_blob(ledger->statements[ST_GET], 1, id->bytes, sizeof(id->bytes),
			  SQLITE_STATIC);
	return first_row(ledger, ST_GET, session, error);
}

int
ledger_latest(struct ledger *ledger, const char *agent, struct ledger_session *session,
	      struct error *error)
{
	sqlite3_bind_text(ledger->statements[ST_LATEST], 1, agent, -1, SQLITE_STATIC);
	return first_row(ledger, ST_LATEST, session, error);
}

int
ledger_previous(struct ledger *ledger, const char *agent, int64_t before_seq,
		struct ledger_session *session, struct error *error)
{
	sqlite3_bind_text(ledger->statements[ST_PREVIOUS], 1, agent, -1, SQLITE_STATIC);
	sqlite3_bind_int64(ledger->statements[ST_PREVIOUS], 2, before_seq);
	return first_row(ledger, ST_PREVIOUS, session, error);
}

int
ledger_fired(struct ledger *ledger, const struct msg_session_row *row, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_FIRED];
	int rc;

	sqlite3_bind_text(statement, 1, row->agent, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, row->trigger_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, (int64_t)row->scheduled_at_ms);
	rc = sqlite3_step(statement);
	if (ledger_stepped(ledger, statement, rc, error) < 0)
		return -1;
	return rc == SQLITE_ROW;
}

struct range {
	struct ledger_session *first;
	uint32_t count;
};

static int
count_in_range(const struct ledger_session *session, void *arg)
{
	struct range *range = arg;

	if (range->count++ == 0)
		*range->first = *session;
	return 0;
}

int
ledger_range(struct ledger *ledger, const struct uuid *low, const struct uuid *high,
	     struct ledger_session *session, uint32_t *count, struct error *error)
{
	struct range range = {.first = session};
	sqlite3_stmt *statement = ledger->statements[ST_RANGE];

	sqlite3_bind_blob(statement, 1, low->bytes, sizeof(low->bytes), SQLITE_STATIC);
	sqlite3_bind_blob(statement, 2, high->bytes, sizeof(high->bytes), SQLITE_STATIC);
	if (walk(ledger, ST_RANGE, count_in_range, &range, error) < 0)
		return -1;
	*count = range.count;
	return range.count > 0;
}

int
ledger_get_steps(struct ledger *ledger, int64_t seq, struct step_time *times, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_GET_STEPS];
	int rc;

	for (int step = 0; step < STEP_COUNT; step++)
		times[step] = (struct step_time){.took_us = UINT64_MAX};
	sqlite3_bind_int64(statement, 1, seq);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		int step = sqlite3_column_int(statement, 0);

		if (step > STEP_NONE && step < STEP_COUNT)
			times[step] = (struct step_time){
			    .started_at_ms = (uint64_t)sqlite3_column_int64(statement, 1),
			    .took_us = (uint64_t)sqlite3_column_int64(statement, 2),
			};
	}
	if (rc != SQLITE_DONE)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

int
ledger_each_open(struct ledger *ledger, ledger_fn *fn, void *arg, struct error *error)
{
	return walk(ledger, ST_OPEN, fn, arg, error);
}

int
ledger_each(struct ledger *ledger, const struct ledger_filter *filter, ledger_fn *fn, void *arg,
	    struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_LIST];
	uint64_t since = filter->since_ms > INT64_MAX ? INT64_MAX : filter->since_ms;

	sqlite3_bind_text(statement, 1, filter->agent, -1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 2, (int)filter->state);
	sqlite3_bind_int64(statement, 3, (int64_t)since);
	sqlite3_bind_int64(statement, 4, filter->limit ? (int64_t)filter->limit : -1);
	return walk(ledger, ST_LIST, fn, arg, error);
}

int
ledger_each_last(struct ledger *ledger, ledger_fn *fn, void *arg, struct error *error)
{
	return walk(ledger, ST_LAST, fn, arg, error);
}

int
ledger_last_fire(struct ledger *ledger, const char *agent, const char *trigger_id, uint64_t *at_ms,
		 struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_LAST_FIRE];
	int rc;

	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, trigger_id, -1, SQLITE_STATIC);
	rc = sqlite3_step(statement);
	*at_ms = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

int
ledger_count_ended(struct ledger *ledger, uint64_t *count, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_COUNT_ENDED];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		*count = (uint64_t)sqlite3_column_int64(statement, 0);
	else
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int64_t
bounded(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

int
ledger_each_surplus(struct ledger *ledger, const char *agent, const struct ledger_bounds *bounds,
		    uint32_t max, ledger_surplus_fn *fn, void *arg, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_SURPLUS];
	int rc;

	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, bounded(bounds->sessions));
	sqlite3_bind_int64(statement, 3, bounded(bounds->log_bytes));
	sqlite3_bind_int64(statement, 4, bounded(bounds->before_ms));
	sqlite3_bind_int64(statement, 5, max);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		struct uuid id = {{0}};
		const void *blob = sqlite3_column_blob(statement, 0);

		if (blob && sqlite3_column_bytes(statement, 0) == sizeof(id.bytes))
			memcpy(id.bytes, blob, sizeof(id.bytes));
		fn(&id, agent, arg);
	}
	return ledger_stepped(ledger, statement, rc, error);
}

int
ledger_next_agent(struct ledger *ledger, char agent[AGENT_NAME_MAX + 1], struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_NEXT_AGENT];
	int rc;

	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_TRANSIENT);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		ledger_read_text(statement, 0, agent, AGENT_NAME_MAX + 1);
	if (ledger_stepped(ledger, statement, rc, error) < 0)
		return -1;
	return rc == SQLITE_ROW;
}
