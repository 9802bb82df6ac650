#include "events_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "ledger_sql.h"

enum { PRUNE_CHUNK = 256 /* rows that one statement takes away */ };

enum event_statement {
	EV_INSERT,
	EV_FIND,
	EV_REPEATED,
	EV_NEXT_REPLAY,
	EV_DELIVERED,
	EV_UNDELIVERED,
	EV_LIST,
	EV_GET,
	EV_TOTAL,
	EV_PRUNE_AGE,
	EV_PRUNE_OLDEST,
	EV_SIGNED,
	EV_WITHDRAW,
	EV_PRUNE_SIGNED,
	EV_COUNT,
};

struct events_table {
	struct ledger *ledger;
	sqlite3_stmt *statements[EV_COUNT];
	uint64_t count, bytes;
};

/* The data is last: a list reads none of its pages. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS event("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " type TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL,"
    " replay INTEGER NOT NULL, at INTEGER NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL,"
    " login_uid INTEGER NOT NULL, operator TEXT NOT NULL, delivered INTEGER NOT NULL,"
    " repeats INTEGER NOT NULL, bytes INTEGER NOT NULL, depth INTEGER NOT NULL DEFAULT 0,"
    " data BLOB) STRICT;"
    "CREATE UNIQUE INDEX IF NOT EXISTS event_name ON event(source, id, replay);"
    "CREATE INDEX IF NOT EXISTS event_id ON event(id);"
    "CREATE INDEX IF NOT EXISTS event_undelivered ON event(seq) WHERE delivered = 0;"
    "CREATE TABLE IF NOT EXISTS event_signature("
    " seq INTEGER PRIMARY KEY, source TEXT NOT NULL, signature BLOB NOT NULL,"
    " UNIQUE (source, signature)) STRICT;";

#define SELECT_EVENT                                                                               \
	"SELECT seq, type, source, id, subject, replay, at, uid, pid, login_uid, operator,"        \
	" delivered, repeats, bytes, data IS NOT NULL, depth"
#define OLDEST "SELECT seq FROM event WHERE delivered = 1"

static const char *const statement_sql[EV_COUNT] = {
    [EV_INSERT] = "INSERT INTO event(type, source, id, subject, replay, at, uid, pid, login_uid,"
		  " operator, delivered, repeats, bytes, data, depth)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, ?13, ?14)"
		  " ON CONFLICT DO NOTHING",
    [EV_FIND] = SELECT_EVENT ", data FROM event WHERE source = ?1 AND id = ?2 AND replay = ?3",
    [EV_REPEATED] = "UPDATE event SET repeats = min(repeats + 1, 4294967295) WHERE seq = ?1",
    [EV_NEXT_REPLAY] = "SELECT max(replay) + 1 FROM event WHERE source = ?1 AND id = ?2",
    [EV_DELIVERED] = "UPDATE event SET delivered = 1 WHERE seq = ?1",
    [EV_UNDELIVERED] = "SELECT min(seq) FROM event WHERE delivered = 0 AND seq > ?1",
    [EV_LIST] = SELECT_EVENT " FROM event WHERE (?1 = '' OR source = ?1) AND (?2 = '' OR id = ?2)"
			     " AND at >= ?3 ORDER BY seq DESC",
    [EV_GET] = SELECT_EVENT ", data FROM event WHERE seq = ?1",
    [EV_TOTAL] = "SELECT count(*), coalesce(sum(bytes), 0) FROM event",
    [EV_PRUNE_AGE] = "DELETE FROM event WHERE at < ?1 AND seq IN (" OLDEST " ORDER BY seq LIMIT ?2)"
		     " RETURNING bytes",
    [EV_PRUNE_OLDEST] = "DELETE FROM event WHERE seq IN (" OLDEST " ORDER BY seq LIMIT ?2)"
			" RETURNING bytes",
    [EV_SIGNED] = "INSERT INTO event_signature(seq, source, signature) VALUES (?1, ?2, ?3)"
		  " ON CONFLICT (source, signature) DO NOTHING",
    [EV_WITHDRAW] = "DELETE FROM event WHERE seq = ?1",
    /* The newest outlive their events: whoever may tell unsigned ones, and so has old events
     * pruned, makes none of them forgotten. */
    [EV_PRUNE_SIGNED] = "DELETE FROM event_signature"
			" WHERE seq < "
			"(SELECT coalesce(min(seq), 9223372036854775807) FROM event)"
			" AND seq <= (SELECT seq FROM event_signature ORDER BY seq DESC"
			" LIMIT 1 OFFSET ?1)",
};

/* --- opening ------------------------------------------------------------------------------- */

static void
reset(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

static int
count_all(struct events_table *table, struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_TOTAL];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW) {
		table->count = (uint64_t)sqlite3_column_int64(statement, 0);
		table->bytes = (uint64_t)sqlite3_column_int64(statement, 1);
	} else {
		ledger_error(table->ledger, error);
	}
	reset(statement);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* A table that an earlier build made has no depth yet. */
static int
make_table(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_exec(db, schema, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_prepare_v2(db, "SELECT depth FROM event", -1, &statement, NULL);
	sqlite3_finalize(statement);
	if (rc == SQLITE_OK)
		return rc;
	return sqlite3_exec(db, "ALTER TABLE event ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
			    NULL, NULL, NULL);
}

static int
prepare_all(struct events_table *table, struct error *error)
{
	if (make_table(table->ledger->db) != SQLITE_OK)
		return ledger_error(table->ledger, error);
	for (size_t i = 0; i < EV_COUNT; i++) {
		if (sqlite3_prepare_v3(table->ledger->db, statement_sql[i], -1,
				       SQLITE_PREPARE_PERSISTENT, &table->statements[i],
				       NULL) != SQLITE_OK)
			return ledger_error(table->ledger, error);
	}
	return count_all(table, error);
}

void
events_table_recount(struct events_table *table)
{
	count_all(table, NULL);
}

struct events_table *
events_table_open(struct ledger *ledger, struct error *error)
{
	struct events_table *table = calloc(1, sizeof(*table));

	if (!table) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	table->ledger = ledger;
	if (prepare_all(table, error) < 0) {
		events_table_close(table);
		return NULL;
	}
	return table;
}

void
events_table_close(struct events_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < EV_COUNT; i++)
		sqlite3_finalize(table->statements[i]);
	free(table);
}

/* --- rows ---------------------------------------------------------------------------------- */

static const char *
column_text(sqlite3_stmt *statement, int place)
{
	const unsigned char *text = sqlite3_column_text(statement, place);

	return text ? (const char *)text : "";
}

static uint32_t
column_u32(sqlite3_stmt *statement, int place)
{
	return (uint32_t)sqlite3_column_int64(statement, place);
}

/* In the order of SELECT_EVENT; the data where the statement has it. */
static void
read_event(sqlite3_stmt *statement, struct event *event)
{
	*event = (struct event){
	    .seq = sqlite3_column_int64(statement, 0),
	    .type = column_text(statement, 1),
	    .source = column_text(statement, 2),
	    .id = column_text(statement, 3),
	    .subject = column_text(statement, 4),
	    .replay = column_u32(statement, 5),
	    .at_ms = (uint64_t)sqlite3_column_int64(statement, 6),
	    .uid = column_u32(statement, 7),
	    .pid = column_u32(statement, 8),
	    .login_uid = column_u32(statement, 9),
	    .operator= column_text(statement, 10),
	    .delivered = sqlite3_column_int(statement, 11) != 0,
	    .repeats = column_u32(statement, 12),
	    .data_length = (size_t)sqlite3_column_int64(statement, 13),
	    .has_data = sqlite3_column_int(statement, 14) != 0,
	    .depth = column_u32(statement, 15),
	};
	if (sqlite3_column_count(statement) <= 16)
		return;
	event->data = sqlite3_column_blob(statement, 16);
	event->data_length = (size_t)sqlite3_column_bytes(statement, 16);
}

static void
bind_event(sqlite3_stmt *statement, const struct event *event)
{
	const char *texts[] = {event->type, event->source, event->id, event->subject};

	for (int i = 0; i < (int)ARRAY_LEN(texts); i++)
		sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, event->replay);
	sqlite3_bind_int64(statement, 6, (int64_t)event->at_ms);
	sqlite3_bind_int64(statement, 7, event->uid);
	sqlite3_bind_int64(statement, 8, event->pid);
	sqlite3_bind_int64(statement, 9, event->login_uid);
	sqlite3_bind_text(statement, 10, event->operator, - 1, SQLITE_STATIC);
	sqlite3_bind_int(statement, 11, event->delivered);
	sqlite3_bind_int64(statement, 12, (int64_t)event->data_length);
	if (event->data)
		sqlite3_bind_blob(statement, 13, event->data, (int)event->data_length,
				  SQLITE_STATIC);
	sqlite3_bind_int64(statement, 14, event->depth);
}

/* Steps a bound statement once and resets it. */
static int
run(struct events_table *table, enum event_statement which, struct error *error)
{
	sqlite3_stmt *statement = table->statements[which];
	int rc = sqlite3_step(statement);

	if (rc != SQLITE_DONE)
		ledger_error(table->ledger, error);
	reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

static char *
copy_text(char **at, const char *text)
{
	char *copy = *at;

	*at = stpcpy(copy, text) + 1;
	return copy;
}

struct event *
event_copy(const struct event *event)
{
	size_t texts = strlen(event->type) + strlen(event->source) + strlen(event->id) +
		       strlen(event->subject) + strlen(event->operator) + 5;
	struct event *copy = malloc(sizeof(*copy) + texts + event->data_length);
	char *at;

	if (!copy)
		return NULL;
	at = (char *)(copy + 1);
	*copy = *event;
	copy->type = copy_text(&at, event->type);
	copy->source = copy_text(&at, event->source);
	copy->id = copy_text(&at, event->id);
	copy->subject = copy_text(&at, event->subject);
	copy->operator= copy_text(&at, event->operator);
	if (event->data)
		copy->data = memcpy(at, event->data, event->data_length);
	return copy;
}

/* --- writing ------------------------------------------------------------------------------- */

static bool
same_content(const struct event *a, const struct event *b)
{
	return strcmp(a->type, b->type) == 0 && strcmp(a->subject, b->subject) == 0 &&
	       a->data_length == b->data_length && !a->data == !b->data &&
	       (!a->data || memcmp(a->data, b->data, a->data_length) == 0);
}

/* Which event has the name already? */
static int
find_repeated(struct events_table *table, struct event *event, enum event_fate *fate,
	      struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_FIND];
	struct event found;
	int rc;

	sqlite3_bind_text(statement, 1, event->source, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, event->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, event->replay);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		read_event(statement, &found);
		*fate = same_content(event, &found) ? EVENT_REPEATED : EVENT_DIFFERS;
		event->seq = found.seq;
		event->at_ms = found.at_ms;
	} else {
		ledger_error(table->ledger, error);
	}
	reset(statement);
	if (rc != SQLITE_ROW)
		return -1;
	sqlite3_bind_int64(table->statements[EV_REPEATED], 1, event->seq);
	return run(table, EV_REPEATED, error);
}

/* 1: no event has this signature; 0: one has it, and this one is taken back. */
static int
insert_signature(struct events_table *table, const struct event *event, struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_SIGNED];

	sqlite3_bind_int64(statement, 1, event->seq);
	sqlite3_bind_text(statement, 2, event->source, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 3, event->signature, SIGNATURE_BYTES, SQLITE_STATIC);
	if (run(table, EV_SIGNED, error) < 0)
		return -1;
	if (sqlite3_changes(table->ledger->db) != 0)
		return 1;
	sqlite3_bind_int64(table->statements[EV_WITHDRAW], 1, event->seq);
	return run(table, EV_WITHDRAW, error);
}

int
events_table_insert(struct events_table *table, struct event *event, enum event_fate *fate,
		    struct error *error)
{
	int fresh;

	bind_event(table->statements[EV_INSERT], event);
	if (run(table, EV_INSERT, error) < 0)
		return -1;
	if (sqlite3_changes(table->ledger->db) == 0)
		return find_repeated(table, event, fate, error);
	event->seq = sqlite3_last_insert_rowid(table->ledger->db);
	fresh = event->signed_once ? insert_signature(table, event, error) : 1;
	*fate = EVENT_REPLAYED;
	if (fresh <= 0)
		return fresh;
	table->count++;
	table->bytes += event->data_length;
	*fate = EVENT_NEW;
	return 0;
}

int
events_table_next_replay(struct events_table *table, const char *source, const char *id,
			 uint32_t *replay, struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_NEXT_REPLAY];
	int rc;

	sqlite3_bind_text(statement, 1, source, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, id, -1, SQLITE_STATIC);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*replay = column_u32(statement, 0);
	else
		ledger_error(table->ledger, error);
	reset(statement);
	return rc == SQLITE_ROW ? 0 : -1;
}

int
events_table_delivered(struct events_table *table, int64_t seq, struct error *error)
{
	if (ledger_durability(table->ledger, RELAXED, error) < 0)
		return -1;
	sqlite3_bind_int64(table->statements[EV_DELIVERED], 1, seq);
	return run(table, EV_DELIVERED, error);
}

int64_t
events_table_undelivered(struct events_table *table, int64_t after, struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_UNDELIVERED];
	int64_t seq = -1;

	sqlite3_bind_int64(statement, 1, after);
	if (sqlite3_step(statement) == SQLITE_ROW)
		seq = sqlite3_column_int64(statement, 0);
	else
		ledger_error(table->ledger, error);
	reset(statement);
	return seq;
}

/* --- reading ------------------------------------------------------------------------------- */

static int
walk(struct events_table *table, enum event_statement which, event_fn *fn, void *arg,
     struct error *error)
{
	sqlite3_stmt *statement = table->statements[which];
	struct event event;
	int rc, found = 0, ended = 0;

	while (!ended && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		read_event(statement, &event);
		found = 1;
		ended = fn(&event, arg);
	}
	if (!ended && rc != SQLITE_DONE) {
		ledger_error(table->ledger, error);
		found = -1;
	}
	reset(statement);
	return found;
}

int
events_table_each(struct events_table *table, const struct event_filter *filter, event_fn *fn,
		  void *arg, struct error *error)
{
	sqlite3_stmt *statement = table->statements[EV_LIST];

	sqlite3_bind_text(statement, 1, filter->source, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, filter->id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3,
			   filter->since_ms > INT64_MAX ? INT64_MAX : (int64_t)filter->since_ms);
	return walk(table, EV_LIST, fn, arg, error) < 0 ? -1 : 0;
}

int
events_table_get(struct events_table *table, int64_t seq, event_fn *fn, void *arg,
		 struct error *error)
{
	sqlite3_bind_int64(table->statements[EV_GET], 1, seq);
	return walk(table, EV_GET, fn, arg, error);
}

/* --- retention ------------------------------------------------------------------------------- */

/* Takes at most PRUNE_CHUNK away. How many, or -1 with error. */
static int
prune_some(struct events_table *table, enum event_statement which, uint64_t before_ms, int limit,
	   struct error *error)
{
	sqlite3_stmt *statement = table->statements[which];
	int rc, gone = 0;

	if (which == EV_PRUNE_AGE)
		sqlite3_bind_int64(statement, 1, (int64_t)before_ms);
	sqlite3_bind_int(statement, 2, limit);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		table->bytes -= (uint64_t)sqlite3_column_int64(statement, 0);
		table->count--;
		gone++;
	}
	if (rc != SQLITE_DONE)
		ledger_error(table->ledger, error);
	reset(statement);
	return rc == SQLITE_DONE ? gone : -1;
}

/* How many of the oldest are too many; of bytes it is known only one by one. */
static int
surplus(const struct events_table *table)
{
	uint64_t over = table->count > EVENTS_KEPT_MAX ? table->count - EVENTS_KEPT_MAX : 0;

	if (over == 0 && table->bytes > EVENTS_KEPT_BYTES)
		over = 1;
	return (int)(over < PRUNE_CHUNK ? over : PRUNE_CHUNK);
}

int
events_table_prune(struct events_table *table, uint64_t before_ms, struct error *error)
{
	int gone, limit;

	do {
		gone = prune_some(table, EV_PRUNE_AGE, before_ms, PRUNE_CHUNK, error);
	} while (gone == PRUNE_CHUNK);
	while (gone >= 0 && (limit = surplus(table)) > 0) {
		gone = prune_some(table, EV_PRUNE_OLDEST, 0, limit, error);
		if (gone == 0)
			break; /* what is left waits to be delivered */
	}
	if (gone < 0)
		return -1;
	if (!before_ms)
		return 0;
	sqlite3_bind_int(table->statements[EV_PRUNE_SIGNED], 1, SIGNATURES_KEPT_MAX);
	return run(table, EV_PRUNE_SIGNED, error);
}
