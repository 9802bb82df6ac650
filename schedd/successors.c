#include "successors.h"

#include <stdlib.h>
#include <string.h>

#include "ledger_sql.h"

enum successor_statement { SU_INSERT, SU_GET, SU_AFTER, SU_WAITING, SU_COUNT };

struct successors {
	struct ledger *ledger;
	sqlite3_stmt *statements[SU_COUNT];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS successor("
    " seq INTEGER PRIMARY KEY REFERENCES session(seq) ON DELETE CASCADE,"
    " former BLOB NOT NULL UNIQUE CHECK (length(former) = 16), kind INTEGER NOT NULL,"
    " not_before INTEGER NOT NULL, delay INTEGER NOT NULL) STRICT;";

#define SELECT_SUCCESSOR                                                                           \
	"SELECT successor.seq, session.id, former, kind, not_before, delay"                        \
	" FROM successor JOIN session ON session.seq = successor.seq"

static const char *const statement_sql[SU_COUNT] = {
    [SU_INSERT] = "INSERT INTO successor VALUES (?1, ?2, ?3, ?4, ?5)",
    [SU_GET] = SELECT_SUCCESSOR " WHERE successor.seq = ?1",
    [SU_AFTER] = SELECT_SUCCESSOR " WHERE former = ?1",
    [SU_WAITING] = SELECT_SUCCESSOR " WHERE session.state = 1",
};
_Static_assert(STATE_QUEUED == 1, "the statement names the number");

struct successors *
successors_open(struct ledger *ledger, struct error *error)
{
	struct successors *successors = calloc(1, sizeof(*successors));

	if (!successors) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	successors->ledger = ledger;
	if (ledger_prepare(ledger, schema, statement_sql, successors->statements, SU_COUNT,
			   error) == 0)
		return successors;
	successors_close(successors);
	return NULL;
}

void
successors_close(struct successors *successors)
{
	if (!successors)
		return;
	for (size_t i = 0; i < SU_COUNT; i++)
		sqlite3_finalize(successors->statements[i]);
	free(successors);
}

int
successors_insert(struct successors *successors, const struct successor *successor,
		  struct error *error)
{
	sqlite3_stmt *statement = successors->statements[SU_INSERT];

	sqlite3_bind_int64(statement, 1, successor->seq);
	sqlite3_bind_blob(statement, 2, successor->former.bytes, sizeof(successor->former.bytes),
			  SQLITE_STATIC);
	sqlite3_bind_int(statement, 3, (int)successor->kind);
	sqlite3_bind_int64(statement, 4, (int64_t)successor->not_before_ms);
	sqlite3_bind_int64(statement, 5, (int64_t)successor->delay_ms);
	return ledger_stepped(successors->ledger, statement, sqlite3_step(statement), error);
}

static void
read_id(sqlite3_stmt *statement, int place, struct uuid *id)
{
	const void *blob = sqlite3_column_blob(statement, place);

	if (blob && sqlite3_column_bytes(statement, place) == sizeof(id->bytes))
		memcpy(id->bytes, blob, sizeof(id->bytes));
}

static void
read_successor(sqlite3_stmt *statement, struct successor *successor)
{
	*successor = (struct successor){
	    .seq = sqlite3_column_int64(statement, 0),
	    .kind = sqlite3_column_int(statement, 3) == SUCCESSION_RESTART ? SUCCESSION_RESTART
									   : SUCCESSION_RETRY,
	    .not_before_ms = (uint64_t)sqlite3_column_int64(statement, 4),
	    .delay_ms = (uint64_t)sqlite3_column_int64(statement, 5),
	};
	read_id(statement, 1, &successor->session);
	read_id(statement, 2, &successor->former);
}

static int
first(struct successors *successors, enum successor_statement which, struct successor *successor,
      struct error *error)
{
	sqlite3_stmt *statement = successors->statements[which];
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		read_successor(statement, successor);
	if (ledger_stepped(successors->ledger, statement, rc, error) < 0)
		return -1;
	return rc == SQLITE_ROW;
}

int
successors_get(struct successors *successors, int64_t seq, struct successor *successor,
	       struct error *error)
{
	sqlite3_bind_int64(successors->statements[SU_GET], 1, seq);
	return first(successors, SU_GET, successor, error);
}

int
successors_after(struct successors *successors, const struct uuid *former,
		 struct successor *successor, struct error *error)
{
	sqlite3_bind_blob(successors->statements[SU_AFTER], 1, former->bytes, sizeof(former->bytes),
			  SQLITE_STATIC);
	return first(successors, SU_AFTER, successor, error);
}

int
successors_each_waiting(struct successors *successors, successor_fn *fn, void *arg,
			struct error *error)
{
	sqlite3_stmt *statement = successors->statements[SU_WAITING];
	int rc;

	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		struct successor successor;

		read_successor(statement, &successor);
		fn(&successor, arg);
	}
	return ledger_stepped(successors->ledger, statement, rc, error);
}
