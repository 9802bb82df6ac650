#include "triggers_seen.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "ledger_sql.h"

enum seen_statement { SEEN_GET, SEEN_PUT, SEEN_DROP, SEEN_COUNT };

struct triggers_seen {
	struct ledger *ledger;
	sqlite3_stmt *statements[SEEN_COUNT];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS watched_path(agent TEXT NOT NULL, path TEXT NOT NULL,"
    " seen INTEGER NOT NULL, PRIMARY KEY (agent, path)) STRICT, WITHOUT ROWID;";

static const char *const statement_sql[SEEN_COUNT] = {
    [SEEN_GET] = "SELECT seen FROM watched_path WHERE agent = ?1 AND path = ?2",
    [SEEN_PUT] = "INSERT INTO watched_path VALUES (?1, ?2, ?3)"
		 " ON CONFLICT DO UPDATE SET seen = ?3",
    [SEEN_DROP] = "DELETE FROM watched_path WHERE agent = ?1 AND path = ?2",
};

struct triggers_seen *
triggers_seen_open(struct ledger *ledger, struct error *error)
{
	struct triggers_seen *seen = calloc(1, sizeof(*seen));
	int rc = SQLITE_NOMEM;

	if (seen) {
		seen->ledger = ledger;
		rc = sqlite3_exec(ledger->db, schema, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < SEEN_COUNT && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(ledger->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&seen->statements[i], NULL);
	if (rc == SQLITE_OK)
		return seen;
	if (seen)
		ledger_error(ledger, error);
	else
		error_why(error, ERR_FAILED, "out of memory");
	triggers_seen_close(seen);
	return NULL;
}

void
triggers_seen_close(struct triggers_seen *seen)
{
	if (!seen)
		return;
	for (size_t i = 0; i < SEEN_COUNT; i++)
		sqlite3_finalize(seen->statements[i]);
	free(seen);
}

/* Steps once and resets; what it says goes to value. */
static void
run(struct triggers_seen *seen, enum seen_statement which, const char *agent, const char *path,
    uint64_t *value)
{
	sqlite3_stmt *statement = seen->statements[which];
	struct error error = ERROR_INIT;
	int rc;

	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, path, -1, SQLITE_STATIC);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && value)
		*value = (uint64_t)sqlite3_column_int64(statement, 0);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		ledger_error(seen->ledger, &error);
		log_problem(LOG_LEVEL_WARNING, &error);
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

uint64_t
triggers_seen_get(struct triggers_seen *seen, const char *agent, const char *path)
{
	uint64_t at_ms = 0;

	run(seen, SEEN_GET, agent, path, &at_ms);
	return at_ms;
}

void
triggers_seen_put(struct triggers_seen *seen, const char *agent, const char *path, uint64_t at_ms)
{
	if (ledger_durability(seen->ledger, RELAXED, NULL) < 0)
		return;
	sqlite3_bind_int64(seen->statements[SEEN_PUT], 3, (int64_t)at_ms);
	run(seen, SEEN_PUT, agent, path, NULL);
}

void
triggers_seen_drop(struct triggers_seen *seen, const char *agent, const char *path)
{
	if (ledger_durability(seen->ledger, RELAXED, NULL) < 0)
		return;
	run(seen, SEEN_DROP, agent, path, NULL);
}
