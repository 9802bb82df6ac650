/*
 * The one way a session comes to be: an operator's run and every trigger fire through here.
 * PREPARE leaves before the commit, so that the sandbox is built while the row becomes durable;
 * GO and the answer to who asked are held until it is (flush.h).
 */
#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/notice.h"
#include "deliver.h"
#include "events.h"
#include "gate.h"
#include "prune.h"
#include "schedule.h"

static bool
is_manual(const struct fire *fire)
{
	return strcmp(fire->trigger_kind, TRIGGER_MANUAL) == 0;
}

static void
notice_fired(struct schedd *schedd, const struct fire *fire)
{
	struct msg msg;

	notice_init(&msg, NOTICE_TRIGGER_FIRED);
	msg.notice.session = fire->id;
	snprintf(msg.notice.agent, sizeof(msg.notice.agent), "%s", fire->agent);
	snprintf(msg.notice.name, sizeof(msg.notice.name), "%s", fire->trigger_kind);
	snprintf(msg.notice.id, sizeof(msg.notice.id), "%s", fire->trigger_id);
	notice_send(schedd->control, &schedd->missed, &msg);
}

/* 1: this id is recorded for this agent; 0: it is new; -1 with error, also while nobody knows
 * whether its row reached the disk. */
static int
find_repeated(struct schedd *schedd, const struct fire *fire, struct ledger_session *row,
	      struct error *error)
{
	char id[UUID_TEXT_LEN + 1];
	int found = ledger_get(schedd->ledger, &fire->id, row, error);

	if (found <= 0)
		return found;
	if (strcmp(row->row.agent, fire->agent) == 0)
		return ledger_trusted(schedd->ledger, error) < 0 ? -1 : 1;
	return error_why(error, ERR_CONFLICT, "session %s exists already, of agent %s",
			 uuid_format(&fire->id, id), row->row.agent);
}

static int
check_agent(struct schedd *schedd, const char *name, struct agent **agent, struct error *error)
{
	*agent = queue_agent(schedd->queue, name);
	if (*agent && (*agent)->installed)
		return 0;
	if (*agent && (*agent)->damaged) {
		error_why(error, ERR_FAILED, "the plan of %s in the store is damaged", name);
		return error_hint(error, "install it again: ash agent install --replace MANIFEST");
	}
	error_why(error, ERR_NOT_FOUND, "no agent named %s is installed", name);
	return error_hint(error, "ash agent list shows what is installed");
}

/* What an operator is told at once and a trigger's row records. */
static int
check_admission(struct schedd *schedd, const struct agent *agent, enum admission admission,
		struct error *error)
{
	switch (admission) {
	case ADMIT_FULL:
		error_why(error, ERR_CONFLICT,
			  "%u sessions of %s wait already, its concurrency.queue_limit is %u",
			  agent->waiting_count, agent->name, agent->queue_limit);
		return error_hint(error, "wait until one has started, or cancel some");
	case ADMIT_OVERFLOW:
		error_why(error, ERR_CONFLICT, "%u sessions wait already, limits.queue is %llu",
			  queue_waiting(schedd->queue),
			  (unsigned long long)schedd->config->limits.queue);
		return error_hint(error, "wait until some have started, or raise limits.queue in "
					 "agentd.yaml");
	default:
		return 0;
	}
}

/* An operator is there to be told; what triggers fire waits. */
static int
refuse_dark(const struct agent *agent, int64_t until, struct error *error)
{
	char text[BLACKOUT_TEXT_MAX];

	error_why(error, ERR_CONFLICT, "%s is in a %s", agent->name, blackout_text(until, text));
	return error_hint(error, "run it after that; spec.blackout of its manifest says when "
				 "nothing starts");
}

static void
fill_row(struct ledger_session *row, const struct fire *fire, const struct agent *agent,
	 uint64_t now)
{
	memset(row, 0, sizeof(*row));
	row->row.session = fire->id;
	row->row.state = STATE_QUEUED;
	row->row.exit_code = row->row.signal = -1;
	row->row.wall_ms = row->row.cpu_ms = row->row.peak_memory_bytes = -1;
	row->row.attempt = 1;
	row->row.scheduled_at_ms = fire->scheduled_at_ms;
	row->row.fired_at_ms = row->row.queued_at_ms = now;
	row->row.timeout_ms = fire->timeout_ms ? fire->timeout_ms : agent->timeout_ms;
	snprintf(row->row.agent, sizeof(row->row.agent), "%s", agent->name);
	snprintf(row->row.trigger_kind, sizeof(row->row.trigger_kind), "%s", fire->trigger_kind);
	snprintf(row->row.trigger_id, sizeof(row->row.trigger_id), "%s", fire->trigger_id);
	snprintf(row->row.operator, sizeof(row->row.operator), "%s", fire->operator);
	snprintf(row->row.task, sizeof(row->row.task), "%s",
		 fire->has_task ? fire->task : agent->task);
	row->has_input = fire->has_input;
	row->uid = fire->uid;
	row->pid = fire->pid;
	row->login_uid = fire->login_uid;
}

/* It never starts: its row says why. */
static int
record_unstarted(struct schedd *schedd, struct agent *agent, struct ledger_session *row,
		 enum session_outcome outcome, const char *reason, struct error *error)
{
	int inserted;

	row->row.state = STATE_ENDED;
	row->row.outcome = (uint8_t)outcome;
	row->row.ended_at_ms = row->row.queued_at_ms;
	snprintf(row->row.reason, sizeof(row->row.reason), "%s", reason);
	if (ledger_begin(schedd->ledger, error) < 0)
		return -1;
	inserted = ledger_insert(schedd->ledger, row, error);
	if (inserted <= 0 || deliver_end(schedd, row, error) < 0) {
		ledger_rollback(schedd->ledger);
		return inserted > 0 ? -1 : inserted;
	}
	if (ledger_commit(schedd->ledger, error) < 0)
		return -1;
	events_deliver_soon(schedd->events);
	session_forget(schedd, &row->row.session, false);
	session_announce_end(schedd, row);
	prune_note_end(schedd->prune, agent);
	return 0;
}

/* The row did not become durable: nothing may be left of it, here or at runnerd. */
static void
withdraw(struct schedd *schedd, struct session *session)
{
	struct msg msg;

	if (session->state == STATE_SETUP && schedd->runnerd) {
		msg_init(&msg, MSG_CANCEL);
		msg.cancel.session = session->id;
		msg.cancel.outcome = OUTCOME_CANCELLED;
		snprintf(msg.cancel.reason, sizeof(msg.cancel.reason),
			 "the ledger could not record the session");
		channel_send(schedd->runnerd, &msg);
	}
	queue_remove(schedd->queue, session);
}

/* What a trigger fired is recorded once, and PREPARE leaves before the row is. */
static int
check_fresh(struct schedd *schedd, const struct ledger_session *row, struct error *error)
{
	int fired = 0;

	if (strcmp(row->row.trigger_kind, TRIGGER_MANUAL) != 0)
		fired = ledger_fired(schedd->ledger, &row->row, error);
	return fired < 0 ? -1 : !fired;
}

/* Inside the transaction. 1: recorded; 0: that fire is recorded already. */
static int
write_rows(struct schedd *schedd, const struct fire *fire, struct ledger_session *row,
	   const struct standing *standing, struct error *error)
{
	int inserted = ledger_insert(schedd->ledger, row, error);

	if (inserted <= 0)
		return inserted;
	if (standings_put(schedd->standings, row->row.agent, standing, error) < 0 ||
	    (fire->along && fire->along(fire->arg, error) < 0))
		return -1;
	return 1;
}

/* In memory, and, when it may start, on its way at runnerd. NULL with error. */
static struct session *
begin(struct schedd *schedd, struct ledger_session *row, bool start, struct error *error)
{
	struct session *session;

	if (start) {
		row->row.state = STATE_SETUP;
		row->row.started_at_ms = row->row.queued_at_ms;
		row->builds = 1;
	}
	/* The youngest of all, until its row says how old it is. */
	session =
	    queue_add(schedd->queue, &row->row.session, INT64_MAX, row->row.agent, row->row.state);
	if (!session)
		error_why(error, ERR_FAILED, "out of memory");
	else if (start)
		session_prepare(schedd, session, row, true);
	return session;
}

/* In memory, at runnerd and in the ledger. 1: recorded; 0: that fire is recorded already. */
static int
record(struct schedd *schedd, const struct fire *fire, struct agent *agent,
       struct ledger_session *row, bool start, struct session **recorded, struct error *error)
{
	struct standing standing = agent->standing;
	struct session *session;
	int fresh;

	standing_count_run(&standing, schedule_now(schedd->schedule));
	standing.restarts = 0;
	if (ledger_begin(schedd->ledger, error) < 0)
		return -1;
	fresh = check_fresh(schedd, row, error);
	if (fresh <= 0) {
		ledger_rollback(schedd->ledger);
		return fresh;
	}
	session = begin(schedd, row, start, error);
	fresh = session ? write_rows(schedd, fire, row, &standing, error) : -1;
	if (fresh <= 0)
		ledger_rollback(schedd->ledger);
	else if (ledger_commit(schedd->ledger, error) < 0)
		fresh = -1;
	if (fresh <= 0) {
		if (session)
			withdraw(schedd, session);
		return fresh;
	}
	session->seq = row->seq;
	agent->standing = standing;
	*recorded = session;
	return 1;
}

struct replaced_by {
	struct schedd *schedd;
	const struct session *session;
};

static void
cancel_replaced(struct session *session, void *arg)
{
	const struct replaced_by *by = arg;
	char reason[64 + UUID_TEXT_LEN], id[UUID_TEXT_LEN + 1];

	snprintf(reason, sizeof(reason), "replaced by session %s",
		 uuid_format(&by->session->id, id));
	session_cancel(by->schedd, session, reason);
}

static int
admit(struct schedd *schedd, const struct fire *fire, struct agent *agent,
      struct ledger_session *row, struct error *error)
{
	const struct gate_question question = {
	    .schedd = schedd,
	    .agent = agent,
	    .now_ms = schedule_now(schedd->schedule),
	    .arrives = true,
	};
	struct error refusal = ERROR_INIT;
	struct session *session = NULL;
	struct gate_verdict gate;
	enum admission admission;
	int64_t dark;
	int recorded;

	gate_check(&question, &gate);
	admission =
	    queue_admit(schedd->queue, agent, gate.word == GATE_OPEN && sessions_may_start(schedd));

	fill_row(row, fire, agent, (uint64_t)question.now_ms);
	if (fire->refused)
		return record_unstarted(schedd, agent, row, OUTCOME_REFUSED, fire->refused, error);
	if (gate.word == GATE_SKIP)
		return record_unstarted(schedd, agent, row, OUTCOME_SKIPPED, gate.reason, error);
	if (admission == ADMIT_SKIP)
		return record_unstarted(
		    schedd, agent, row, OUTCOME_SKIPPED,
		    "a session of this agent is there, concurrency.policy is skip", error);
	dark = is_manual(fire) ? schedule_dark_until(schedd->schedule, agent->name) : 0;
	if (dark)
		return refuse_dark(agent, dark, error);
	if (check_admission(schedd, agent, admission, &refusal) < 0) {
		if (!is_manual(fire))
			return record_unstarted(schedd, agent, row, OUTCOME_SKIPPED, refusal.why,
						error);
		*error = refusal;
		return -1;
	}
	recorded = record(schedd, fire, agent, row, admission == ADMIT_START, &session, error);
	if (recorded <= 0)
		return recorded;
	if (!is_manual(fire))
		notice_fired(schedd, fire);
	session_announce(schedd, session);
	if (admission == ADMIT_REPLACE) {
		struct replaced_by by = {.schedd = schedd, .session = session};

		queue_replaced(schedd->queue, agent, session, cancel_replaced, &by);
	}
	if (gate.word == GATE_WAIT)
		sessions_pump(schedd);
	return 0;
}

int
session_fire(struct schedd *schedd, const struct fire *fire, struct error *error)
{
	_cleanup_free_ struct ledger_session *row = malloc(sizeof(*row));
	struct agent *agent;
	int repeated;

	if (!row)
		return error_why(error, ERR_FAILED, "out of memory");
	/* A trigger's id is new each time; its row is unique by what fired it. */
	repeated = is_manual(fire) ? find_repeated(schedd, fire, row, error) : 0;
	if (repeated != 0)
		return repeated < 0 ? -1 : 0;
	if (check_agent(schedd, fire->agent, &agent, error) < 0)
		return -1;
	if (schedd->draining) {
		error_why(error, ERR_CONFLICT, "agentd is draining and starts nothing more");
		return error_hint(error, "start agentd again, then run the agent");
	}
	return admit(schedd, fire, agent, row, error);
}
