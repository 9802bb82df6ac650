/* What the files share that know SQL: ledger.c, ledger_log.c, ledger_query.c, events_table.c,
 * triggers_table.c, standing.c, successors.c. Nobody else. */
#ifndef SCARAB_SCHEDD_LEDGER_SQL_H
#define SCARAB_SCHEDD_LEDGER_SQL_H

#include <sqlite3.h>

#include "ledger.h"

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_INSERT,
	ST_UPDATE,
	ST_STATE,
	ST_PUT_STEP,
	ST_GET_STEPS,
	ST_GET,
	ST_LATEST,
	ST_PREVIOUS,
	ST_RANGE,
	ST_OPEN,
	ST_LIST,
	ST_LAST,
	ST_LAST_FIRE,
	ST_FIRED,
	ST_COUNT_ENDED,
	ST_SURPLUS,
	ST_NEXT_AGENT,
	ST_DELETE,
	ST_COUNT,
};

#define SELECT_SESSION                                                                             \
	"SELECT seq, id, agent, trigger_kind, trigger_id, scheduled_at, fired_at, queued_at,"      \
	" attempt, operator, task, timeout, has_input, uid, pid, login_uid, state, step, outcome," \
	" reason, exit_code, signal, started_at, running_at, ended_at, wall_ms, cpu_ms,"           \
	" peak_memory, log_bytes, log_dropped, builds FROM session"

struct ledger {
	sqlite3 *db;
	sqlite3_stmt *statements[ST_COUNT];
	enum durability durability;
	ledger_committed_fn *committed; /* NULL: a commit waits for the disk itself */
	void *committed_arg;
	bool asked; /* the next commit is to be durable */
	unsigned log_pages;
	const struct error *doubted; /* borrowed, or NULL */
	char name[PATH_LEN_MAX + 1]; /* for messages */
};

void ledger_read_row(sqlite3_stmt *statement, struct ledger_session *session);
/* Fills error from the connection's last failure; -1. */
int ledger_error(struct ledger *ledger, struct error *error);
/* Of the next transaction, or statement outside of one. */
int ledger_durability(struct ledger *ledger, enum durability durability, struct error *error);
/* Makes a table that may be missing and the statements on it. 0, or -1 with error. */
int ledger_prepare(struct ledger *ledger, const char *schema, const char *const *sql,
		   sqlite3_stmt **statements, size_t count, struct error *error);
/* After the last step of a statement that ended with rc: resets it. 0, or -1 with error. */
int ledger_stepped(struct ledger *ledger, sqlite3_stmt *statement, int rc, struct error *error);
void ledger_read_text(sqlite3_stmt *statement, int place, char *text, size_t size);
/* Steps a bound statement once and resets it. */
int ledger_run(struct ledger *ledger, enum statement which, struct error *error);

#endif
