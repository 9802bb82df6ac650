#include "standing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "ledger_sql.h"

#define DAY_MS INT64_C(86400000)

enum standing_statement { SD_GET, SD_PUT, SD_DROP, SD_AGENTS, SD_COUNT };

struct standings {
	struct ledger *ledger;
	sqlite3_stmt *statements[SD_COUNT];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS standing("
    " agent TEXT PRIMARY KEY, paused_at INTEGER NOT NULL, paused_by TEXT NOT NULL,"
    " pause_reason TEXT NOT NULL, failures INTEGER NOT NULL, restarts INTEGER NOT NULL,"
    " run_day INTEGER NOT NULL, runs INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

static const char *const statement_sql[SD_COUNT] = {
    [SD_GET] = "SELECT paused_at, paused_by, pause_reason, failures, restarts, run_day, runs"
	       " FROM standing WHERE agent = ?1",
    [SD_PUT] = "INSERT OR REPLACE INTO standing VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SD_DROP] = "DELETE FROM standing WHERE agent = ?1",
    [SD_AGENTS] = "SELECT agent FROM standing",
};

/* --- the day's runs ----------------------------------------------------------------------------
 */

static int64_t
day_of(int64_t now_ms)
{
	return now_ms / DAY_MS - (now_ms % DAY_MS < 0);
}

void
standing_count_run(struct standing *standing, int64_t now_ms)
{
	standing->runs = standing_runs(standing, now_ms) + 1;
	standing->run_day = day_of(now_ms);
}

uint64_t
standing_runs(const struct standing *standing, int64_t now_ms)
{
	return standing->run_day == day_of(now_ms) ? standing->runs : 0;
}

/* --- the table ---------------------------------------------------------------------------------
 */

struct standings *
standings_open(struct ledger *ledger, struct error *error)
{
	struct standings *standings = calloc(1, sizeof(*standings));

	if (!standings) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	standings->ledger = ledger;
	if (ledger_prepare(ledger, schema, statement_sql, standings->statements, SD_COUNT, error) ==
	    0)
		return standings;
	standings_close(standings);
	return NULL;
}

void
standings_close(struct standings *standings)
{
	if (!standings)
		return;
	for (size_t i = 0; i < SD_COUNT; i++)
		sqlite3_finalize(standings->statements[i]);
	free(standings);
}

int
standings_get(struct standings *standings, const char *agent, struct standing *standing,
	      struct error *error)
{
	sqlite3_stmt *statement = standings->statements[SD_GET];
	int rc;

	memset(standing, 0, sizeof(*standing));
	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		standing->paused_at_ms = (uint64_t)sqlite3_column_int64(statement, 0);
		ledger_read_text(statement, 1, standing->paused_by, sizeof(standing->paused_by));
		ledger_read_text(statement, 2, standing->pause_reason,
				 sizeof(standing->pause_reason));
		standing->failures = (uint64_t)sqlite3_column_int64(statement, 3);
		standing->restarts = (uint64_t)sqlite3_column_int64(statement, 4);
		standing->run_day = sqlite3_column_int64(statement, 5);
		standing->runs = (uint64_t)sqlite3_column_int64(statement, 6);
	}
	return ledger_stepped(standings->ledger, statement, rc, error);
}

int
standings_put(struct standings *standings, const char *agent, const struct standing *standing,
	      struct error *error)
{
	sqlite3_stmt *statement = standings->statements[SD_PUT];

	if (ledger_durability(standings->ledger, DURABLE, error) < 0)
		return -1;
	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (int64_t)standing->paused_at_ms);
	sqlite3_bind_text(statement, 3, standing->paused_by, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 4, standing->pause_reason, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, (int64_t)standing->failures);
	sqlite3_bind_int64(statement, 6, (int64_t)standing->restarts);
	sqlite3_bind_int64(statement, 7, standing->run_day);
	sqlite3_bind_int64(statement, 8, (int64_t)standing->runs);
	return ledger_stepped(standings->ledger, statement, sqlite3_step(statement), error);
}

int
standings_drop(struct standings *standings, const char *agent, struct error *error)
{
	sqlite3_stmt *statement = standings->statements[SD_DROP];

	if (ledger_durability(standings->ledger, DURABLE, error) < 0)
		return -1;
	sqlite3_bind_text(statement, 1, agent, -1, SQLITE_STATIC);
	return ledger_stepped(standings->ledger, statement, sqlite3_step(statement), error);
}

/* The first that is not kept into name: 1, 0 for none. */
static int
find_unkept(struct standings *standings, standing_keep_fn *keep, void *arg,
	    char name[AGENT_NAME_MAX + 1], struct error *error)
{
	sqlite3_stmt *statement = standings->statements[SD_AGENTS];
	bool found = false;
	int rc;

	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		ledger_read_text(statement, 0, name, AGENT_NAME_MAX + 1);
		found = !keep(name, arg);
		if (found)
			break;
	}
	if (ledger_stepped(standings->ledger, statement, rc, error) < 0)
		return -1;
	return found;
}

int
standings_sweep(struct standings *standings, standing_keep_fn *keep, void *arg, struct error *error)
{
	char name[AGENT_NAME_MAX + 1];
	int found;

	while ((found = find_unkept(standings, keep, arg, name, error)) == 1)
		if (standings_drop(standings, name, error) < 0)
			return -1;
	return found;
}
