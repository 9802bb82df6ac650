#include "triggers_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "ledger_sql.h"

enum trigger_statement {
	TR_INSERT,
	TR_CURSOR,
	TR_DELETE,
	TR_GET,
	TR_ADVANCE,
	TR_AGENTS,
	TR_ALL,
	TR_COUNT,
};

struct triggers_table {
	struct ledger *ledger;
	sqlite3_stmt *statements[TR_COUNT];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS timed_trigger("
    " agent TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, kind INTEGER NOT NULL,"
    " cron TEXT NOT NULL, timezone TEXT NOT NULL, every INTEGER NOT NULL, at INTEGER NOT NULL,"
    " missed INTEGER NOT NULL, missed_within INTEGER NOT NULL, jitter INTEGER NOT NULL,"
    " has_task INTEGER NOT NULL, task TEXT NOT NULL, cursor INTEGER NOT NULL,"
    " fired INTEGER NOT NULL, PRIMARY KEY (agent, place)) STRICT, WITHOUT ROWID;";

/* As read_row has them. */
#define SELECT_ROW                                                                                 \
	"SELECT place, id, kind, cron, timezone, every, at, missed, missed_within, jitter,"        \
	" has_task, task, cursor, fired FROM timed_trigger WHERE agent = ?1"

static const char *const statement_sql[TR_COUNT] = {
    [TR_INSERT] = "INSERT INTO timed_trigger VALUES"
		  " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    [TR_CURSOR] = "SELECT cursor, fired FROM timed_trigger WHERE agent = ?1 AND id = ?2",
    [TR_DELETE] = "DELETE FROM timed_trigger WHERE agent = ?1",
    [TR_GET] = SELECT_ROW " AND place = ?2",
    [TR_ADVANCE] = "UPDATE timed_trigger SET cursor = ?3, fired = max(fired, ?4)"
		   " WHERE agent = ?1 AND place = ?2",
    [TR_AGENTS] = "SELECT DISTINCT agent FROM timed_trigger",
    [TR_ALL] = SELECT_ROW " ORDER BY place",
};

/* --- opening ------------------------------------------------------------------------------- */

static int
prepare_all(struct triggers_table *table, struct error *error)
{
	sqlite3 *db = table->ledger->db;

	if (sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return ledger_error(table->ledger, error);
	for (size_t i = 0; i < TR_COUNT; i++)
		if (sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &table->statements[i], NULL) != SQLITE_OK)
			return ledger_error(table->ledger, error);
	return 0;
}

struct triggers_table *
triggers_table_open(struct ledger *ledger, struct error *error)
{
	struct triggers_table *table = calloc(1, sizeof(*table));

	if (!table) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	table->ledger = ledger;
	if (prepare_all(table, error) == 0)
		return table;
	triggers_table_close(table);
	return NULL;
}

void
triggers_table_close(struct triggers_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < TR_COUNT; i++)
		sqlite3_finalize(table->statements[i]);
	free(table);
}

/* Steps once and resets: SQLITE_ROW or SQLITE_DONE where nothing failed. read sees the row. */
static int
run(struct triggers_table *table, enum trigger_statement which,
    void (*read)(sqlite3_stmt *statement, struct trigger_row *row), struct trigger_row *row,
    struct error *error)
{
	sqlite3_stmt *statement = table->statements[which];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW && read)
		read(statement, row);
	else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		ledger_error(table->ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static void
bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
}

/* --- reading ------------------------------------------------------------------------------- */

static void
read_text(sqlite3_stmt *statement, int place, char *text, size_t size)
{
	const unsigned char *found = sqlite3_column_text(statement, place);

	snprintf(text, size, "%s", found ? (const char *)found : "");
}

static void
read_cursor(sqlite3_stmt *statement, struct trigger_row *row)
{
	row->cursor_ms = sqlite3_column_int64(statement, 0);
	row->fired_ms = sqlite3_column_int64(statement, 1);
}

static void
read_row(sqlite3_stmt *statement, struct trigger_row *row)
{
	row->place = (uint8_t)sqlite3_column_int(statement, 0);
	read_text(statement, 1, row->id, sizeof(row->id));
	row->kind = (enum trigger_kind)sqlite3_column_int(statement, 2);
	read_text(statement, 3, row->cron, sizeof(row->cron));
	read_text(statement, 4, row->timezone, sizeof(row->timezone));
	row->every_ms = (uint64_t)sqlite3_column_int64(statement, 5);
	row->at_ms = (uint64_t)sqlite3_column_int64(statement, 6);
	row->missed = (enum missed)sqlite3_column_int(statement, 7);
	row->missed_within_ms = (uint64_t)sqlite3_column_int64(statement, 8);
	row->jitter_ms = (uint64_t)sqlite3_column_int64(statement, 9);
	row->has_task = sqlite3_column_int(statement, 10) != 0;
	read_text(statement, 11, row->task, sizeof(row->task));
	row->cursor_ms = sqlite3_column_int64(statement, 12);
	row->fired_ms = sqlite3_column_int64(statement, 13);
}

int
triggers_table_get(struct triggers_table *table, const char *agent, unsigned place,
		   struct trigger_row *row, struct error *error)
{
	sqlite3_stmt *statement = table->statements[TR_GET];

	memset(row, 0, sizeof(*row));
	snprintf(row->agent, sizeof(row->agent), "%s", agent);
	bind_text(statement, 1, agent);
	sqlite3_bind_int64(statement, 2, place);
	return run(table, TR_GET, read_row, row, error);
}

/* --- writing ------------------------------------------------------------------------------- */

static int
keep_cursor(struct triggers_table *table, struct trigger_row *row, struct error *error)
{
	sqlite3_stmt *statement = table->statements[TR_CURSOR];

	bind_text(statement, 1, row->agent);
	bind_text(statement, 2, row->id);
	return run(table, TR_CURSOR, read_cursor, row, error);
}

static int
insert(struct triggers_table *table, const struct trigger_row *row, struct error *error)
{
	sqlite3_stmt *statement = table->statements[TR_INSERT];

	bind_text(statement, 1, row->agent);
	sqlite3_bind_int(statement, 2, row->place);
	bind_text(statement, 3, row->id);
	sqlite3_bind_int(statement, 4, (int)row->kind);
	bind_text(statement, 5, row->cron);
	bind_text(statement, 6, row->timezone);
	sqlite3_bind_int64(statement, 7, (int64_t)row->every_ms);
	sqlite3_bind_int64(statement, 8, (int64_t)row->at_ms);
	sqlite3_bind_int(statement, 9, (int)row->missed);
	sqlite3_bind_int64(statement, 10, (int64_t)row->missed_within_ms);
	sqlite3_bind_int64(statement, 11, (int64_t)row->jitter_ms);
	sqlite3_bind_int(statement, 12, row->has_task);
	bind_text(statement, 13, row->task);
	sqlite3_bind_int64(statement, 14, row->cursor_ms);
	sqlite3_bind_int64(statement, 15, row->fired_ms);
	return run(table, TR_INSERT, NULL, NULL, error);
}

static int
delete_all(struct triggers_table *table, const char *agent, struct error *error)
{
	bind_text(table->statements[TR_DELETE], 1, agent);
	return run(table, TR_DELETE, NULL, NULL, error);
}

static int
put_all(struct triggers_table *table, const char *agent, struct trigger_row *rows, size_t count,
	struct error *error)
{
	for (size_t i = 0; i < count; i++)
		if (keep_cursor(table, &rows[i], error) < 0)
			return -1;
	if (delete_all(table, agent, error) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (insert(table, &rows[i], error) < 0)
			return -1;
	return 0;
}

static bool
same_trigger(const struct trigger_row *a, const struct trigger_row *b)
{
	return a->place == b->place && a->kind == b->kind && strcmp(a->id, b->id) == 0 &&
	       strcmp(a->cron, b->cron) == 0 && strcmp(a->timezone, b->timezone) == 0 &&
	       a->every_ms == b->every_ms && a->at_ms == b->at_ms && a->missed == b->missed &&
	       a->missed_within_ms == b->missed_within_ms && a->jitter_ms == b->jitter_ms &&
	       a->has_task == b->has_task && strcmp(a->task, b->task) == 0;
}

/* The table has these and no others: each start tells them all again, in the manifest's order. The
 * cursors of those that are the same are read. */
static bool
same_as_before(struct triggers_table *table, const char *agent, struct trigger_row *rows,
	       size_t count)
{
	sqlite3_stmt *statement = table->statements[TR_ALL];
	struct trigger_row found;
	size_t same = 0;
	int rc;

	bind_text(statement, 1, agent);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW && same < count) {
		read_row(statement, &found);
		if (!same_trigger(&rows[same], &found))
			break;
		rows[same].cursor_ms = found.cursor_ms;
		rows[same].fired_ms = found.fired_ms;
		same++;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return rc == SQLITE_DONE && same == count;
}

int
triggers_table_put(struct triggers_table *table, const char *agent, struct trigger_row *rows,
		   size_t count, struct error *error)
{
	if (same_as_before(table, agent, rows, count))
		return 0;
	if (ledger_begin(table->ledger, error) < 0)
		return -1;
	if (put_all(table, agent, rows, count, error) < 0) {
		ledger_rollback(table->ledger);
		return -1;
	}
	return ledger_commit(table->ledger, error);
}

int
triggers_table_advance(struct triggers_table *table, const char *agent, unsigned place,
		       int64_t cursor_ms, int64_t fired_ms, struct error *error)
{
	sqlite3_stmt *statement = table->statements[TR_ADVANCE];

	if (ledger_durability(table->ledger, RELAXED, error) < 0)
		return -1;
	bind_text(statement, 1, agent);
	sqlite3_bind_int64(statement, 2, place);
	sqlite3_bind_int64(statement, 3, cursor_ms);
	sqlite3_bind_int64(statement, 4, fired_ms);
	return run(table, TR_ADVANCE, NULL, NULL, error);
}

/* The first agent that is not kept into name; it must not be deleted while the walk stands. */
static int
find_unkept(struct triggers_table *table, trigger_keep_fn *fn, void *arg,
	    char name[AGENT_NAME_MAX + 1], struct error *error)
{
	sqlite3_stmt *statement = table->statements[TR_AGENTS];
	bool found = false;
	int rc;

	while (!found && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		read_text(statement, 0, name, AGENT_NAME_MAX + 1);
		found = !fn(name, arg);
	}
	if (!found && rc != SQLITE_DONE)
		ledger_error(table->ledger, error);
	sqlite3_reset(statement);
	return found ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int
triggers_table_sweep(struct triggers_table *table, trigger_keep_fn *fn, void *arg,
		     struct error *error)
{
	char name[AGENT_NAME_MAX + 1];
	int found;

	while ((found = find_unkept(table, fn, arg, name, error)) == 1)
		if (delete_all(table, name, error) < 0)
			return -1;
	return found;
}
