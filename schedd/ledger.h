/*
 * The ledger: every session that was ever asked for, durable in SQLite. schedd only; the one place
 * that knows SQL. One process owns the file (exclusive lock), one thread uses it.
 *
 * A row is unique by session id, and by (agent, trigger_id, scheduled_at) where a trigger other
 * than an operator fired it: that is what makes firing exactly-once across crashes.
 */
#ifndef SCARAB_SCHEDD_LEDGER_H
#define SCARAB_SCHEDD_LEDGER_H

#include "common/proto.h"

struct ledger;

/* A row. `row` is what operators see; step, queue_position and state of a live session are
 * newer in memory than here. */
struct ledger_session {
	int64_t seq; /* order of arrival, set by ledger_insert; 0 before */
	struct msg_session_row row;
	bool has_input;
	uint32_t builds; /* how often PREPARE was sent for it */
	uint32_t uid, pid, login_uid;
};

enum durability {
	RELAXED, /* survives the death of this process */
	DURABLE, /* survives the loss of power */
};

struct ledger_filter {
	const char *agent;        /* empty: any */
	enum session_state state; /* STATE_NONE: any */
	uint64_t since_ms;        /* queued at or after */
	uint32_t limit;           /* 0: all */
};

/* Creates the file where there is none. A corrupt or empty file, one of another program or of a
 * newer version is refused, and left as it is. name: the path as people know it, from outside the
 * private root. NULL with error. */
struct ledger *ledger_open(const char *path, const char *name, struct error *error);
void ledger_close(struct ledger *ledger);
/* As people know its path. */
const char *ledger_name(const struct ledger *ledger);

/* From now on no commit waits for the disk: after each one that is to be DURABLE fn is called, and
 * nothing may depend on it before the log's file is synced, or ledger_checkpoint has succeeded.
 * Without this call each such commit waits. 0, or -1 with error. */
typedef void ledger_committed_fn(void *arg);
int ledger_commit_beside(struct ledger *ledger, ledger_committed_fn *fn, void *arg,
			 struct error *error);
/* The log's file, to be synced and read: the caller's. -1 with error. */
int ledger_log_open(const struct ledger *ledger, struct error *error);
/* How many pages are in the log that were not brought into the ledger's file. */
unsigned ledger_log_pages(const struct ledger *ledger);
/* Brings them there; waits for the disk, then all that was committed is durable. whole: the log is
 * empty afterwards. */
int ledger_checkpoint(struct ledger *ledger, bool whole, struct error *error);
/* Nothing is written, for this reason (borrowed), until it is taken back with NULL. */
void ledger_doubt(struct ledger *ledger, const struct error *why);
/* 0, or -1 with that reason: what is read may not be on the disk, and nothing written now tells. */
int ledger_trusted(const struct ledger *ledger, struct error *error);
/* A sync that failed may have dropped what it should have written, and the next one succeeds all
 * the same: does the log still read as it was committed? */
bool ledger_log_holds(const struct ledger *ledger, int fd);
/* It does not: what reads wrong must not be brought into the file when the ledger is closed. Who
 * opens it next finds all that holds. */
void ledger_abandon(struct ledger *ledger);

/* One transaction, durable once ledger_commit returned 0 (but see ledger_commit_beside). A failed
 * commit is rolled back. */
int ledger_begin(struct ledger *ledger, struct error *error);
int ledger_commit(struct ledger *ledger, struct error *error);
void ledger_rollback(struct ledger *ledger);

/* 1: inserted, seq is set; 0: the id, or that fire of that trigger, is recorded already. */
int ledger_insert(struct ledger *ledger, struct ledger_session *session, struct error *error);
/* Writes what changes in a session's life; task, trigger and operator stay as inserted. Inside
 * a transaction durability is the transaction's. */
int ledger_update(struct ledger *ledger, const struct ledger_session *session,
		  enum durability durability, struct error *error);
/* Of a live one what changes while it lives, survives this process. reason NULL: as it is. */
struct ledger_state {
	enum session_state state;
	enum session_step step;
	uint64_t running_at_ms;
	uint32_t builds;
	const char *reason;
};
int ledger_put_state(struct ledger *ledger, int64_t seq, const struct ledger_state *state,
		     struct error *error);
/* How long each step of set-up took: times is indexed by step, took_us UINT64_MAX: not run. */
struct step_time {
	uint64_t started_at_ms, took_us;
};
int ledger_put_steps(struct ledger *ledger, int64_t seq, const struct step_time *times,
		     struct error *error);
int ledger_get_steps(struct ledger *ledger, int64_t seq, struct step_time *times,
		     struct error *error);

/* 1: found, 0: no such session, -1: error. */
int ledger_get(struct ledger *ledger, const struct uuid *id, struct ledger_session *session,
	       struct error *error);
/* The newest of the agent; with before_seq other than 0 the newest that ended and came before. */
int ledger_latest(struct ledger *ledger, const char *agent, struct ledger_session *session,
		  struct error *error);
int ledger_previous(struct ledger *ledger, const char *agent, int64_t before_seq,
		    struct ledger_session *session, struct error *error);
/* Ids from low to high, both included: how many there are; session is the first. */
int ledger_range(struct ledger *ledger, const struct uuid *low, const struct uuid *high,
		 struct ledger_session *session, uint32_t *count, struct error *error);

/* Returns non-zero to end the walk early (not an error). The row is the walk's. */
typedef int ledger_fn(const struct ledger_session *session, void *arg);
/* What has not ended, oldest first. */
int ledger_each_open(struct ledger *ledger, ledger_fn *fn, void *arg, struct error *error);
/* Newest first. */
int ledger_each(struct ledger *ledger, const struct ledger_filter *filter, ledger_fn *fn, void *arg,
		struct error *error);
/* The newest session of each agent. */
int ledger_each_last(struct ledger *ledger, ledger_fn *fn, void *arg, struct error *error);

/* When a trigger that no time fires was fired last, of what is kept; 0: never. 0, or -1 with error.
 */
int ledger_last_fire(struct ledger *ledger, const char *agent, const char *trigger_id,
		     uint64_t *at_ms, struct error *error);

/* Is this fire of a trigger recorded, whatever its session's id? 1, 0, or -1 with error. */
int ledger_fired(struct ledger *ledger, const struct msg_session_row *row, struct error *error);

int ledger_count_ended(struct ledger *ledger, uint64_t *count, struct error *error);
/* What of an agent's ended sessions is kept: the newest, and the very newest whatever its log
 * takes. */
struct ledger_bounds {
	uint64_t sessions, log_bytes;
	uint64_t before_ms; /* what ended before goes */
};
/* Of the others, oldest first, max at most. fn must not change the ledger. */
typedef void ledger_surplus_fn(const struct uuid *session, const char *agent, void *arg);
int ledger_each_surplus(struct ledger *ledger, const char *agent,
			const struct ledger_bounds *bounds, uint32_t max, ledger_surplus_fn *fn,
			void *arg, struct error *error);
/* The next agent by name that has rows, in the place of this one. 1: there is one; 0; -1: error. */
int ledger_next_agent(struct ledger *ledger, char agent[AGENT_NAME_MAX + 1], struct error *error);
/* Deletes a row that has ended. 1: it was there; 0; -1: error. */
int ledger_delete(struct ledger *ledger, const struct uuid *session, struct error *error);

#endif
