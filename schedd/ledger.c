/* The ledger's file, transactions and rows; see ledger.h. Its log is ledger_log.c's, questions
 * are ledger_query.c's. */
#include "ledger_sql.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"

enum { SCHEMA_VERSION = 1, APPLICATION_ID = 0x53435242 /* "SCRB" */ };

static const char schema[] =
    "CREATE TABLE session("
    " seq INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),"
    " agent TEXT NOT NULL, trigger_kind TEXT NOT NULL, trigger_id TEXT NOT NULL,"
    " scheduled_at INTEGER NOT NULL, fired_at INTEGER NOT NULL, queued_at INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, operator TEXT NOT NULL, task TEXT NOT NULL,"
    " timeout INTEGER NOT NULL, has_input INTEGER NOT NULL, uid INTEGER NOT NULL,"
    " pid INTEGER NOT NULL, login_uid INTEGER NOT NULL,"
    " state INTEGER NOT NULL, step INTEGER NOT NULL, outcome INTEGER NOT NULL,"
    " reason TEXT NOT NULL, exit_code INTEGER NOT NULL, signal INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL, running_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,"
    " wall_ms INTEGER NOT NULL, cpu_ms INTEGER NOT NULL, peak_memory INTEGER NOT NULL,"
    " log_bytes INTEGER NOT NULL, log_dropped INTEGER NOT NULL, builds INTEGER NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX session_fire ON session(agent, trigger_id, scheduled_at)"
    " WHERE trigger_kind <> 'manual';"
    "CREATE INDEX session_agent ON session(agent, seq);"
    "CREATE INDEX session_open ON session(seq) WHERE state <> 5;"
    "CREATE TABLE step("
    " seq INTEGER NOT NULL REFERENCES session(seq) ON DELETE CASCADE,"
    " step INTEGER NOT NULL, started_at INTEGER NOT NULL, took_us INTEGER NOT NULL,"
    " PRIMARY KEY (seq, step)) STRICT, WITHOUT ROWID;";
_Static_assert(STATE_ENDED == 5, "the schema names the number");

static const char *const statement_sql[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_STATE] = "UPDATE session SET state = ?2, step = ?3, running_at = ?4, builds = ?5,"
		 " reason = coalesce(?6, reason) WHERE seq = ?1",
    [ST_PUT_STEP] = "INSERT OR REPLACE INTO step(seq, step, started_at, took_us)"
		    " VALUES (?1, ?2, ?3, ?4)",
    [ST_GET_STEPS] = "SELECT step, started_at, took_us FROM step WHERE seq = ?1",
    [ST_GET] = SELECT_SESSION " WHERE id = ?1",
    [ST_LATEST] = SELECT_SESSION " WHERE agent = ?1 ORDER BY seq DESC LIMIT 1",
    [ST_PREVIOUS] = SELECT_SESSION " WHERE agent = ?1 AND seq < ?2 AND state = 5"
				   " AND running_at > 0 ORDER BY seq DESC LIMIT 1",
    [ST_RANGE] = SELECT_SESSION " WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT 1000",
    [ST_OPEN] = SELECT_SESSION " WHERE state <> 5 ORDER BY seq",
    [ST_LIST] = SELECT_SESSION " WHERE (?1 = '' OR agent = ?1) AND (?2 = 0 OR state = ?2)"
			       " AND queued_at >= ?3 ORDER BY seq DESC LIMIT ?4",
    /* From name to name in the index: it costs by agents, not by rows. */
    [ST_LAST] = SELECT_SESSION
    " WHERE seq IN (WITH RECURSIVE known(name) AS (SELECT min(agent) FROM session UNION ALL"
    " SELECT (SELECT min(agent) FROM session WHERE agent > name) FROM known"
    " WHERE name IS NOT NULL)"
    " SELECT (SELECT max(seq) FROM session WHERE agent = name) FROM known) ORDER BY agent",
    /* ID/EVENT, and ~SEQ behind it where one followed; '0' comes after '/'. */
    [ST_LAST_FIRE] =
	"SELECT fired_at FROM session WHERE seq = (SELECT seq FROM session WHERE agent = ?1"
	" AND trigger_kind <> 'manual' AND trigger_id > ?2 || '/' AND trigger_id < ?2 || '0'"
	" ORDER BY scheduled_at DESC, seq LIMIT 1)",
    [ST_FIRED] = "SELECT 1 FROM session WHERE agent = ?1 AND trigger_id = ?2 AND scheduled_at = ?3"
		 " AND trigger_kind <> 'manual'",
    [ST_COUNT_ENDED] = "SELECT (SELECT count(*) FROM session)"
		       " - (SELECT count(*) FROM session WHERE state <> 5)",
    [ST_SURPLUS] =
	"SELECT id FROM (SELECT seq, id, ended_at,"
	" row_number() OVER newest AS place, sum(log_bytes) OVER newest AS bytes"
	" FROM session WHERE agent = ?1 AND state = 5 WINDOW newest AS (ORDER BY seq DESC))"
	" WHERE place > ?2 OR (place > 1 AND bytes > ?3) OR ended_at < ?4"
	" ORDER BY seq LIMIT ?5",
    [ST_NEXT_AGENT] = "SELECT agent FROM session WHERE agent > ?1 ORDER BY agent LIMIT 1",
    [ST_DELETE] = "DELETE FROM session WHERE id = ?1 AND state = 5",
};

/* --- columns: one row each, for insert, update and reading ---------------------------------- */

enum column_type {
	COLUMN_ID,
	COLUMN_TEXT,
	COLUMN_U8,
	COLUMN_U32,
	COLUMN_I32,
	COLUMN_64,
	COLUMN_BOOL
};

struct column {
	const char *name;
	enum column_type type;
	bool changes; /* over a session's life */
	size_t offset, size;
};

#define COLUMN(column_name, column_type, field, column_changes)                                    \
	{                                                                                          \
		.name = column_name, .type = column_type, .changes = column_changes,               \
		.offset = offsetof(struct ledger_session, field),                                  \
		.size = sizeof(((struct ledger_session *)0)->field)                                \
	}

/* In the order of SELECT_SESSION, which has seq before them. */
static const struct column columns[] = {
    COLUMN("id", COLUMN_ID, row.session, false),
    COLUMN("agent", COLUMN_TEXT, row.agent, false),
    COLUMN("trigger_kind", COLUMN_TEXT, row.trigger_kind, false),
    COLUMN("trigger_id", COLUMN_TEXT, row.trigger_id, false),
    COLUMN("scheduled_at", COLUMN_64, row.scheduled_at_ms, false),
    COLUMN("fired_at", COLUMN_64, row.fired_at_ms, false),
    COLUMN("queued_at", COLUMN_64, row.queued_at_ms, false),
    COLUMN("attempt", COLUMN_U32, row.attempt, false),
    COLUMN("operator", COLUMN_TEXT, row.operator, false),
    COLUMN("task", COLUMN_TEXT, row.task, false),
    COLUMN("timeout", COLUMN_64, row.timeout_ms, false),
    COLUMN("has_input", COLUMN_BOOL, has_input, false),
    COLUMN("uid", COLUMN_U32, uid, false),
    COLUMN("pid", COLUMN_U32, pid, false),
    COLUMN("login_uid", COLUMN_U32, login_uid, false),
    COLUMN("state", COLUMN_U8, row.state, true),
    COLUMN("step", COLUMN_U8, row.step, true),
    COLUMN("outcome", COLUMN_U8, row.outcome, true),
    COLUMN("reason", COLUMN_TEXT, row.reason, true),
    COLUMN("exit_code", COLUMN_I32, row.exit_code, true),
    COLUMN("signal", COLUMN_I32, row.signal, true),
    COLUMN("started_at", COLUMN_64, row.started_at_ms, true),
    COLUMN("running_at", COLUMN_64, row.running_at_ms, true),
    COLUMN("ended_at", COLUMN_64, row.ended_at_ms, true),
    COLUMN("wall_ms", COLUMN_64, row.wall_ms, true),
    COLUMN("cpu_ms", COLUMN_64, row.cpu_ms, true),
    COLUMN("peak_memory", COLUMN_64, row.peak_memory_bytes, true),
    COLUMN("log_bytes", COLUMN_64, row.log_bytes, true),
    COLUMN("log_dropped", COLUMN_64, row.log_dropped_bytes, true),
    COLUMN("builds", COLUMN_U32, builds, true),
};

static void
bind_column(sqlite3_stmt *statement, int place, const struct column *column, const void *value)
{
	switch (column->type) {
	case COLUMN_ID:
		sqlite3_bind_blob(statement, place, value, sizeof(struct uuid), SQLITE_STATIC);
		break;
	case COLUMN_TEXT:
		sqlite3_bind_text(statement, place, value, -1, SQLITE_STATIC);
		break;
	case COLUMN_U8:
		sqlite3_bind_int(statement, place, *(const uint8_t *)value);
		break;
	case COLUMN_U32:
		sqlite3_bind_int64(statement, place, *(const uint32_t *)value);
		break;
	case COLUMN_I32:
		sqlite3_bind_int(statement, place, *(const int32_t *)value);
		break;
	case COLUMN_64:
		sqlite3_bind_int64(statement, place, *(const int64_t *)value);
		break;
	case COLUMN_BOOL:
		sqlite3_bind_int(statement, place, *(const bool *)value);
		break;
	}
}

void
ledger_read_text(sqlite3_stmt *statement, int place, char *text, size_t size)
{
	const unsigned char *found = sqlite3_column_text(statement, place);
	size_t length = found ? strnlen((const char *)found, size - 1) : 0;

	if (length)
		memcpy(text, found, length);
	text[length] = '\0';
}

static void
read_column(sqlite3_stmt *statement, int place, const struct column *column, void *value)
{
	const void *blob;

	switch (column->type) {
	case COLUMN_ID:
		blob = sqlite3_column_blob(statement, place);
		if (blob && sqlite3_column_bytes(statement, place) == sizeof(struct uuid))
			memcpy(value, blob, sizeof(struct uuid));
		break;
	case COLUMN_TEXT:
		ledger_read_text(statement, place, value, column->size);
		break;
	case COLUMN_U8:
		*(uint8_t *)value = (uint8_t)sqlite3_column_int(statement, place);
		break;
	case COLUMN_U32:
		*(uint32_t *)value = (uint32_t)sqlite3_column_int64(statement, place);
		break;
	case COLUMN_I32:
		*(int32_t *)value = sqlite3_column_int(statement, place);
		break;
	case COLUMN_64:
		*(int64_t *)value = sqlite3_column_int64(statement, place);
		break;
	case COLUMN_BOOL:
		*(bool *)value = sqlite3_column_int(statement, place) != 0;
		break;
	}
}

void
ledger_read_row(sqlite3_stmt *statement, struct ledger_session *session)
{
	memset(session, 0, sizeof(*session));
	session->seq = sqlite3_column_int64(statement, 0);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		read_column(statement, (int)i + 1, &columns[i],
			    (char *)session + columns[i].offset);
	if (session->row.state == STATE_NONE || session->row.state >= STATE_COUNT)
		session->row.state = STATE_ENDED;
}

/* --- errors and statements ------------------------------------------------------------------- */

int
ledger_error(struct ledger *ledger, struct error *error)
{
	int code = sqlite3_extended_errcode(ledger->db);

	error_why(error, ERR_FAILED, "%s", sqlite3_errmsg(ledger->db));
	switch (code & 0xff) {
	case SQLITE_FULL:
		error_hint(error, "make room on the file system of state_dir");
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		error_hint(error,
			   "move %s and its -wal file away, or restore them from a backup; "
			   "without it the history of sessions starts anew",
			   ledger->name);
		break;
	case SQLITE_BUSY:
		error_hint(error, "another process holds it: is a second agentd running on this "
				  "state_dir?");
		break;
	case SQLITE_IOERR:
	case SQLITE_READONLY:
		error_hint(error, "is the file system of state_dir full, read-only or failing? The "
				  "kernel's log may say more");
		break;
	default:
		break;
	}
	return error_what(error, "ledger %s", ledger->name);
}

int
ledger_prepare(struct ledger *ledger, const char *schema_sql, const char *const *sql,
	       sqlite3_stmt **statements, size_t count, struct error *error)
{
	if (sqlite3_exec(ledger->db, schema_sql, NULL, NULL, NULL) != SQLITE_OK)
		return ledger_error(ledger, error);
	for (size_t i = 0; i < count; i++)
		if (sqlite3_prepare_v3(ledger->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &statements[i], NULL) != SQLITE_OK)
			return ledger_error(ledger, error);
	return 0;
}

int
ledger_stepped(struct ledger *ledger, sqlite3_stmt *statement, int rc, struct error *error)
{
	bool done = rc == SQLITE_DONE || rc == SQLITE_ROW;

	if (!done)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return done ? 0 : -1;
}

int
ledger_run(struct ledger *ledger, enum statement which, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[which];

	return ledger_stepped(ledger, statement, sqlite3_step(statement), error);
}

static int
execute(struct ledger *ledger, const char *sql, struct error *error)
{
	if (sqlite3_exec(ledger->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return ledger_error(ledger, error);
}

int
ledger_durability(struct ledger *ledger, enum durability durability, struct error *error)
{
	if (!sqlite3_get_autocommit(ledger->db))
		return 0;
	if (ledger_trusted(ledger, error) < 0)
		return -1;
	if (ledger->committed) {
		ledger->asked = durability == DURABLE;
		return 0;
	}
	if (ledger->durability == durability)
		return 0;
	if (execute(ledger,
		    durability == DURABLE ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
		    error) < 0)
		return -1;
	ledger->durability = durability;
	return 0;
}

/* --- opening ------------------------------------------------------------------------------- */

static int
query_number(struct ledger *ledger, const char *sql, int64_t *number, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(ledger->db, sql, -1, &statement, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	if (rc != SQLITE_ROW)
		ledger_error(ledger, error);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? 0 : -1;
}

static int
check_pages(struct ledger *ledger, struct error *error)
{
	sqlite3_stmt *statement = NULL;
	char found[256] = "";
	const char *line;
	int rc = sqlite3_prepare_v2(ledger->db, "PRAGMA quick_check(1)", -1, &statement, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
		ledger_read_text(statement, 0, found, sizeof(found));
	if (rc != SQLITE_ROW)
		ledger_error(ledger, error);
	sqlite3_finalize(statement);
	if (rc != SQLITE_ROW)
		return -1;
	if (strcmp(found, "ok") == 0)
		return 0;
	/* The first line only names the database. */
	line = strchr(found, '\n');
	error_why(error, ERR_FAILED, "the file is damaged: %s", line ? line + 1 : found);
	error_hint(error, "move it and its -wal file away, or restore them from a backup");
	return error_what(error, "ledger %s", ledger->name);
}

static int
create_schema(struct ledger *ledger, struct error *error)
{
	char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d;"
				    " PRAGMA user_version=%d; COMMIT;",
				    schema, APPLICATION_ID, SCHEMA_VERSION);
	int rc = sql ? execute(ledger, sql, error) : error_why(error, ERR_FAILED, "out of memory");

	sqlite3_free(sql);
	return rc;
}

static int
check_version(struct ledger *ledger, struct error *error)
{
	int64_t version = 0, application = 0;

	if (query_number(ledger, "PRAGMA user_version", &version, error) < 0 ||
	    query_number(ledger, "PRAGMA application_id", &application, error) < 0)
		return -1;
	if (application != APPLICATION_ID) {
		error_why(error, ERR_FAILED, "the file belongs to another program");
		return error_what(error, "ledger %s", ledger->name);
	}
	if (version == SCHEMA_VERSION)
		return 0;
	error_why(error, ERR_FAILED, "its format is version %lld, this build reads version %d",
		  (long long)version, SCHEMA_VERSION);
	error_hint(error, "run the newer scarab-runtime that wrote it");
	return error_what(error, "ledger %s", ledger->name);
}

/* "INSERT INTO session(a, b) VALUES (?, ?)" and "UPDATE session SET c = ?, … WHERE seq = ?1". */
static int
prepare_writes(struct ledger *ledger, struct error *error)
{
	char names[1024] = "", places[256] = "", changes[1024] = "", sql[2048];
	size_t n = 0, p = 0, c = 0;
	int place = 2;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
				      columns[i].name);
		p += (size_t)snprintf(places + p, sizeof(places) - p, "%s?", i ? ", " : "");
		if (columns[i].changes)
			c += (size_t)snprintf(changes + c, sizeof(changes) - c, "%s%s = ?%d",
					      c ? ", " : "", columns[i].name, place++);
	}
	snprintf(sql, sizeof(sql), "INSERT INTO session(%s) VALUES (%s)", names, places);
	if (sqlite3_prepare_v3(ledger->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
			       &ledger->statements[ST_INSERT], NULL) != SQLITE_OK)
		return ledger_error(ledger, error);
	snprintf(sql, sizeof(sql), "UPDATE session SET %s WHERE seq = ?1", changes);
	if (sqlite3_prepare_v3(ledger->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
			       &ledger->statements[ST_UPDATE], NULL) != SQLITE_OK)
		return ledger_error(ledger, error);
	return 0;
}

static int
prepare_all(struct ledger *ledger, struct error *error)
{
	for (size_t i = 0; i < ST_COUNT; i++) {
		if (!statement_sql[i])
			continue;
		if (sqlite3_prepare_v3(ledger->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &ledger->statements[i], NULL) != SQLITE_OK)
			return ledger_error(ledger, error);
	}
	return prepare_writes(ledger, error);
}

/* create: 0 or SQLITE_OPEN_CREATE. */
static int
open_database(struct ledger *ledger, const char *path, int create, struct error *error)
{
	int rc = sqlite3_open_v2(
	    path, &ledger->db,
	    SQLITE_OPEN_READWRITE | create | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK) {
		error_why(error, ERR_FAILED, "%s",
			  ledger->db ? sqlite3_errmsg(ledger->db) : sqlite3_errstr(rc));
		return error_what(error, "opening the ledger %s", ledger->name);
	}
	sqlite3_db_config(ledger->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(ledger->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	/* Exclusive before WAL: the index of the log stays in memory, no -shm file is made. */
	return execute(ledger,
		       "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;"
		       "PRAGMA cell_size_check=ON; PRAGMA journal_mode=WAL;"
		       "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-256",
		       error);
}

/* Under another name until it is whole: a ledger that is found empty was one once. */
static int
create_file(struct ledger *ledger, const char *path, struct error *error)
{
	char fresh[PATH_LEN_MAX + 8], wal[PATH_LEN_MAX + 16];
	_cleanup_close_ int directory = -1;

	snprintf(fresh, sizeof(fresh), "%.*s.new", PATH_LEN_MAX, path);
	snprintf(wal, sizeof(wal), "%s-wal", fresh);
	unlink(fresh);
	unlink(wal);
	if (open_database(ledger, fresh, SQLITE_OPEN_CREATE, error) < 0 ||
	    create_schema(ledger, error) < 0)
		return -1;
	if (sqlite3_close(ledger->db) != SQLITE_OK)
		return ledger_error(ledger, error);
	ledger->db = NULL;
	if (rename(fresh, path) < 0)
		return error_errno(error, errno, "making the ledger %s", ledger->name);
	*(strrchr(fresh, '/') + 1) = '\0';
	directory = open(fresh, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || sync_dir(directory) < 0)
		return error_errno(error, errno, "syncing the directory of %s", ledger->name);
	log_info("there was no ledger: %s begins, without any session", ledger->name);
	return 0;
}

/* Nothing is begun anew where something of a ledger is left. */
static int
find_file(struct ledger *ledger, const char *path, struct error *error)
{
	char wal[PATH_LEN_MAX + 8];
	const char *left = NULL;
	struct stat st;

	snprintf(wal, sizeof(wal), "%.*s-wal", PATH_LEN_MAX, path);
	if (stat(path, &st) == 0)
		left = st.st_size == 0 ? "the file is empty" : NULL;
	else if (errno != ENOENT)
		return error_errno(error, errno, "looking for the ledger %s", ledger->name);
	else if (stat(wal, &st) < 0)
		return create_file(ledger, path, error);
	else
		left = "the file is missing, its -wal file is there";
	if (!left)
		return 0;
	error_why(error, ERR_FAILED, "%s", left);
	error_hint(error, "restore it and its -wal file from a backup, or move away what is left "
			  "of them: the history of sessions then starts anew");
	return error_what(error, "ledger %s", ledger->name);
}

struct ledger *
ledger_open(const char *path, const char *name, struct error *error)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	ledger->durability = DURABLE;
	snprintf(ledger->name, sizeof(ledger->name), "%s", name);
	if (find_file(ledger, path, error) < 0 || open_database(ledger, path, 0, error) < 0 ||
	    check_pages(ledger, error) < 0 || check_version(ledger, error) < 0 ||
	    prepare_all(ledger, error) < 0) {
		ledger_close(ledger);
		return NULL;
	}
	return ledger;
}

void
ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	for (size_t i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(ledger->statements[i]);
	sqlite3_close(ledger->db);
	free(ledger);
}

const char *
ledger_name(const struct ledger *ledger)
{
	return ledger->name;
}

/* --- writing --------------------------------------------------------------------------------- */

int
ledger_begin(struct ledger *ledger, struct error *error)
{
	if (ledger_durability(ledger, DURABLE, error) < 0)
		return -1;
	return ledger_run(ledger, ST_BEGIN, error);
}

int
ledger_commit(struct ledger *ledger, struct error *error)
{
	if (ledger_run(ledger, ST_COMMIT, error) == 0)
		return 0;
	ledger_rollback(ledger);
	return -1;
}

void
ledger_rollback(struct ledger *ledger)
{
	/* Some failures have rolled back already. */
	if (!sqlite3_get_autocommit(ledger->db))
		ledger_run(ledger, ST_ROLLBACK, NULL);
}

int
ledger_insert(struct ledger *ledger, struct ledger_session *session, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_INSERT];
	int rc;

	if (ledger_durability(ledger, DURABLE, error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		bind_column(statement, (int)i + 1, &columns[i],
			    (const char *)session + columns[i].offset);
	rc = sqlite3_step(statement);
	if (rc != SQLITE_DONE && rc != SQLITE_CONSTRAINT_UNIQUE)
		ledger_error(ledger, error);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return 0;
	if (rc != SQLITE_DONE)
		return -1;
	session->seq = sqlite3_last_insert_rowid(ledger->db);
	return 1;
}

int
ledger_update(struct ledger *ledger, const struct ledger_session *session,
	      enum durability durability, struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_UPDATE];
	int place = 1;

	if (ledger_durability(ledger, durability, error) < 0)
		return -1;
	sqlite3_bind_int64(statement, place++, session->seq);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		if (columns[i].changes)
			bind_column(statement, place++, &columns[i],
				    (const char *)session + columns[i].offset);
	}
	return ledger_run(ledger, ST_UPDATE, error);
}

int
ledger_put_state(struct ledger *ledger, int64_t seq, const struct ledger_state *state,
		 struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_STATE];

	if (ledger_durability(ledger, RELAXED, error) < 0)
		return -1;
	sqlite3_bind_int64(statement, 1, seq);
	sqlite3_bind_int(statement, 2, (int)state->state);
	sqlite3_bind_int(statement, 3, (int)state->step);
	sqlite3_bind_int64(statement, 4, (int64_t)state->running_at_ms);
	sqlite3_bind_int64(statement, 5, state->builds);
	sqlite3_bind_text(statement, 6, state->reason, -1, SQLITE_STATIC);
	return ledger_run(ledger, ST_STATE, error);
}

int
ledger_put_steps(struct ledger *ledger, int64_t seq, const struct step_time *times,
		 struct error *error)
{
	sqlite3_stmt *statement = ledger->statements[ST_PUT_STEP];

	for (int step = 1; step < STEP_COUNT; step++) {
		if (times[step].took_us == UINT64_MAX)
			continue;
		sqlite3_bind_int64(statement, 1, seq);
		sqlite3_bind_int(statement, 2, step);
		sqlite3_bind_int64(statement, 3, (int64_t)times[step].started_at_ms);
		sqlite3_bind_int64(statement, 4, (int64_t)times[step].took_us);
		if (ledger_run(ledger, ST_PUT_STEP, error) < 0)
			return -1;
	}
	return 0;
}

int
ledger_delete(struct ledger *ledger, const struct uuid *session, struct error *error)
{
	if (ledger_durability(ledger, RELAXED, error) < 0)
		return -1;
	sqlite3_bind_blob(ledger->statements[ST_DELETE], 1, session->bytes, sizeof(session->bytes),
			  SQLITE_STATIC);
	if (ledger_run(ledger, ST_DELETE, error) < 0)
		return -1;
	return sqlite3_changes(ledger->db) > 0;
}
