/*
 * A session's life in schedd: fired into the ledger, queued, prepared by runnerd while its row
 * becomes durable, let through the gate, ended. sessions.c holds the state machine, fire.c the
 * entry that an operator's run uses today and every other trigger will.
 */
#ifndef SCARAB_SCHEDD_SESSIONS_H
#define SCARAB_SCHEDD_SESSIONS_H

#include "schedd.h"

enum {
	BUILDS_MAX = 3,       /* how often a sandbox whose gate never opened is prepared again */
	STEP_TOLD_US = 10000, /* a step of set-up that took so long is told at once */
	LEDGER_AGAIN_MS = 1000,
};

#define TRIGGER_MANUAL "manual" /* kind and id of an operator's run */

enum session_event {
	EVENT_STEP,     /* STEP */
	EVENT_PREPARED, /* PREPARED */
	EVENT_RUNNING,  /* RUNNING */
	EVENT_ENDED,    /* ENDED */
	EVENT_CANCEL,   /* an operator, a drain, a replacement: stop_as and stop_reason are set */
	EVENT_HELD,     /* INVENTORY: runnerd holds it */
	EVENT_MISSING,  /* INVENTORY_END: runnerd does not */
	EVENT_COUNT
};

/* Why a session is to exist. Strings are borrowed. */
struct fire {
	struct uuid id;
	const char *agent;
	const char *trigger_kind, *trigger_id;
	uint64_t scheduled_at_ms; /* the fire's identity; for an operator's run the time of it */
	bool has_task;
	const char *task;
	uint64_t timeout_ms; /* 0: the agent's */
	bool has_input;
	uint32_t uid, pid, login_uid;
	const char *operator; /* empty: none */
	const char *refused;  /* why it cannot run, which its row records; NULL: it can */
	/* What is recorded with it, in one transaction with the row of a session that is to run:
	 * 0, or -1 with error. NULL: nothing. */
	int (*along)(void *arg, struct error *error);
	void *arg;
};

/* Records the fire and starts it when it may. 0: the session is durable (or was already, or a
 * trigger's is recorded as skipped). -1 with error: nothing of it is left. */
int session_fire(struct schedd *schedd, const struct fire *fire, struct error *error);

/* Walks the state machine. msg: the message that brought the event, NULL for none. */
void session_apply(struct schedd *schedd, struct session *session, enum session_event event,
		   const struct msg *msg);
/* Cancels whatever state it is in. reason is copied. */
void session_cancel(struct schedd *schedd, struct session *session, const char *reason);
/* ENDED of a session that is not in memory, or is: the ledger's word decides. */
void session_ended(struct schedd *schedd, const struct msg *msg);
/* Nothing stands in the way of every start. */
bool sessions_may_start(const struct schedd *schedd);
/* Starts what may start. */
void sessions_pump(struct schedd *schedd);
/* Records the ends that the ledger could not take before, and starts what may. */
void sessions_repeat(struct schedd *schedd);
/* Answers a pending DRAIN when nothing is live. */
void sessions_drained(struct schedd *schedd);

/* PREPARE for a row that may still be uncommitted. fresh: runnerd was told nothing of this session
 * before, so that PREPARE waits for nothing that is held. */
void session_prepare(struct schedd *schedd, struct session *session,
		     const struct ledger_session *row, bool fresh);
/* For fire.c: its row has ended and is durable. Tells who follows and the audit. */
void session_announce_end(struct schedd *schedd, const struct ledger_session *row);
/* runnerd keeps nothing of it, or its input only, for it will be prepared again. */
void session_forget(struct schedd *schedd, const struct uuid *id, bool keep_input);
/* The same, and its input becomes heir's; NULL: nobody's. */
void session_bequeath(struct schedd *schedd, const struct uuid *id, const struct uuid *heir);
/* SESSION_EVENT of one in memory. */
void session_announce(struct schedd *schedd, const struct session *session);

#endif
