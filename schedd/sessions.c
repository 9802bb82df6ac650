/* The state machine of a session; see sessions.h. */
#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aftermath.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "counters.h"
#include "deliver.h"
#include "events.h"
#include "gate.h"
#include "prune.h"
#include "schedule.h"
#include "successors.h"

/* --- what others hear ---------------------------------------------------------------------- */

static void
send_to_runnerd(struct schedd *schedd, struct msg *msg)
{
	if (schedd->runnerd)
		channel_send(schedd->runnerd, msg);
}

void
session_announce(struct schedd *schedd, const struct session *session)
{
	struct msg msg;

	if (!schedd->control)
		return;
	msg_init(&msg, MSG_SESSION_EVENT);
	msg.session_event.session = session->id;
	memcpy(msg.session_event.agent, session->agent->name, sizeof(session->agent->name));
	msg.session_event.state = (uint8_t)session->state;
	msg.session_event.step = (uint8_t)session->step;
	msg.session_event.exit_code = msg.session_event.signal = -1;
	msg.session_event.at_ms = realtime_ms();
	if (session->stop_reason)
		snprintf(msg.session_event.reason, sizeof(msg.session_event.reason), "%s",
			 session->stop_reason);
	channel_send(schedd->control, &msg);
}

static void
audit_end(struct schedd *schedd, const struct ledger_session *row)
{
	struct msg_audit line = {.session = row->row.session, .allowed = true};
	const char *outcome = session_outcome_name((enum session_outcome)row->row.outcome);

	if (!schedd->audit)
		return;
	snprintf(line.action, sizeof(line.action), "session.end");
	memcpy(line.agent, row->row.agent, sizeof(line.agent));
	line.uid = line.pid = line.login_uid = UINT32_MAX;
	snprintf(line.detail, sizeof(line.detail), "%s%s%.900s", outcome ? outcome : "none",
		 row->row.reason[0] ? ": " : "", row->row.reason);
	audit_send(schedd->audit, &line);
}

void
session_announce_end(struct schedd *schedd, const struct ledger_session *row)
{
	const char *outcome = session_outcome_name((enum session_outcome)row->row.outcome);
	struct msg msg;

	schedd->ended++;
	log_event(row->row.outcome == OUTCOME_SUCCESS ? LOG_EVENT_SESSION_ENDED
						      : LOG_EVENT_SESSION_FAILED,
		  LOG_LEVEL_INFO, row->row.agent, &row->row.session, "%s ended: %s%s%s",
		  row->row.agent, outcome ? outcome : "none", row->row.reason[0] ? ", " : "",
		  row->row.reason);
	audit_end(schedd, row);
	if (!schedd->control)
		return;
	msg_init(&msg, MSG_SESSION_EVENT);
	msg.session_event.session = row->row.session;
	memcpy(msg.session_event.agent, row->row.agent, sizeof(row->row.agent));
	msg.session_event.state = STATE_ENDED;
	msg.session_event.step = row->row.step;
	msg.session_event.outcome = row->row.outcome;
	msg.session_event.exit_code = row->row.exit_code;
	msg.session_event.signal = row->row.signal;
	msg.session_event.at_ms = row->row.ended_at_ms;
	msg.session_event.log_bytes = row->row.log_bytes;
	memcpy(msg.session_event.reason, row->row.reason, sizeof(row->row.reason));
	channel_send(schedd->control, &msg);
}

static void
note_last_run(struct agent *agent, const struct ledger_session *row)
{
	if (row->row.running_at_ms == 0 || row->seq <= agent->last_run.seq)
		return;
	agent->last_run.seq = row->seq;
	agent->last_run.session = row->row.session;
	agent->last_run.outcome = (enum session_outcome)row->row.outcome;
	agent->last_run.ended_at_ms = row->row.ended_at_ms;
}

/* Retention may have deleted the one that memory knows. */
static const struct last_run *
last_run(struct schedd *schedd, struct agent *agent)
{
	uint64_t age = schedd->config->retention.age_ms;
	struct ledger_session *row;

	if (agent->last_run.known && (!age || agent->last_run.ended_at_ms + age > realtime_ms()))
		return &agent->last_run;
	agent->last_run.seq = 0;
	row = malloc(sizeof(*row));
	if (row && ledger_previous(schedd->ledger, agent->name, INT64_MAX, row, NULL) > 0)
		note_last_run(agent, row);
	agent->last_run.known = row != NULL;
	free(row);
	return &agent->last_run;
}

/* Of a retry the attempt before, else the agent's last that ran. 1: found. */
static int
find_previous(struct schedd *schedd, const struct ledger_session *row,
	      struct ledger_session *previous)
{
	struct successor link;

	if (successors_get(schedd->successors, row->seq, &link, NULL) > 0 &&
	    ledger_get(schedd->ledger, &link.former, previous, NULL) > 0)
		return 1;
	return ledger_previous(schedd->ledger, row->row.agent, row->seq, previous, NULL);
}

static void
put_previous(struct msg_prepare *prepare, const struct uuid *session, enum session_outcome outcome,
	     uint64_t ended_at_ms)
{
	const char *name = session_outcome_name(outcome);

	prepare->previous = *session;
	prepare->previous_ended_at_ms = ended_at_ms;
	snprintf(prepare->previous_outcome, sizeof(prepare->previous_outcome), "%s",
		 name ? name : "");
}

static void
fill_previous(struct schedd *schedd, const struct ledger_session *row, struct msg_prepare *prepare)
{
	_cleanup_free_ struct ledger_session *previous = malloc(sizeof(*previous));

	if (previous && find_previous(schedd, row, previous) > 0)
		put_previous(prepare, &previous->row.session,
			     (enum session_outcome)previous->row.outcome,
			     previous->row.ended_at_ms);
}

/* The same of one that no row is there for yet: nobody of its agent is younger. */
static void
fill_last_run(struct schedd *schedd, struct agent *agent, struct msg_prepare *prepare)
{
	const struct last_run *last = last_run(schedd, agent);

	if (last->seq)
		put_previous(prepare, &last->session, last->outcome, last->ended_at_ms);
}

void
session_prepare(struct schedd *schedd, struct session *session, const struct ledger_session *row,
		bool fresh)
{
	struct msg msg;
	int64_t event;
	int event_fd;

	msg_init(&msg, MSG_PREPARE);
	msg.prepare.session = session->id;
	memcpy(msg.prepare.agent, row->row.agent, sizeof(row->row.agent));
	memcpy(msg.prepare.task, row->row.task, sizeof(row->row.task));
	snprintf(msg.prepare.model, sizeof(msg.prepare.model), "%s",
		 session->agent->model ? session->agent->model : "");
	msg.prepare.timeout_ms = row->row.timeout_ms;
	msg.prepare.has_input = row->has_input;
	msg.prepare.attempt = row->row.attempt;
	memcpy(msg.prepare.trigger_kind, row->row.trigger_kind, sizeof(row->row.trigger_kind));
	memcpy(msg.prepare.trigger_id, row->row.trigger_id, sizeof(row->row.trigger_id));
	event = trigger_id_cut(msg.prepare.trigger_id);
	event_fd = event ? deliver_event_memfd(schedd, event) : -1;
	if (event_fd >= 0)
		msg_add_fd(&msg, event_fd);
	msg.prepare.scheduled_at_ms = row->row.scheduled_at_ms;
	msg.prepare.fired_at_ms = row->row.fired_at_ms;
	memcpy(msg.prepare.operator, row->row.operator, sizeof(row->row.operator));
	if (fresh)
		fill_last_run(schedd, session->agent, &msg.prepare);
	else
		fill_previous(schedd, row, &msg.prepare);
	session->builds = row->builds;
	session->held = true;
	if (!schedd->runnerd)
		msg_close_fds(&msg);
	else if (fresh)
		channel_send_at_once(schedd->runnerd, &msg);
	else
		channel_send(schedd->runnerd, &msg);
}

void
session_forget(struct schedd *schedd, const struct uuid *id, bool keep_input)
{
	struct msg msg;

	msg_init(&msg, MSG_END_ACK);
	msg.end_ack.session = *id;
	msg.end_ack.keep_input = keep_input;
	send_to_runnerd(schedd, &msg);
}

void
session_bequeath(struct schedd *schedd, const struct uuid *id, const struct uuid *heir)
{
	struct msg msg;

	msg_init(&msg, MSG_END_ACK);
	msg.end_ack.session = *id;
	if (heir)
		msg.end_ack.heir = *heir;
	send_to_runnerd(schedd, &msg);
}

/* Of one that runs nothing else waits for the disk: it is stopped also while that fails. */
static void
send_cancel(struct schedd *schedd, const struct session *session)
{
	struct msg msg;

	msg_init(&msg, MSG_CANCEL);
	msg.cancel.session = session->id;
	msg.cancel.outcome = (uint8_t)session->stop_as;
	snprintf(msg.cancel.reason, sizeof(msg.cancel.reason), "%s",
		 session->stop_reason ? session->stop_reason : "");
	if (schedd->runnerd && session->running_at_ms)
		channel_send_at_once(schedd->runnerd, &msg);
	else
		send_to_runnerd(schedd, &msg);
}

/* --- rows ---------------------------------------------------------------------------------- */

static void
repeat_later(struct schedd *schedd, const struct session *session, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];

	log_session(LOG_LEVEL_ERROR, &session->id, "%s; trying again", error_text(error, text));
	loop_arm_in(schedd->again, LEDGER_AGAIN_MS);
}

/* The row of a session in memory, or NULL: the ledger is asked again later. */
static struct ledger_session *
load_row(struct schedd *schedd, struct session *session)
{
	_cleanup_free_ struct ledger_session *row = malloc(sizeof(*row));
	struct error error = ERROR_INIT;
	int found;

	if (!row)
		error_why(&error, ERR_FAILED, "out of memory");
	found = row ? ledger_get(schedd->ledger, &session->id, row, &error) : -1;
	if (found > 0)
		return steal_ptr(&row);
	if (found == 0)
		error_why(&error, ERR_FAILED, "the ledger has no row of the session");
	repeat_later(schedd, session, &error);
	return NULL;
}

/* What memory knows better, written so that it survives this process. A failure costs no more
 * than that: runnerd's inventory says it again. */
static void
write_state(struct schedd *schedd, const struct session *session, struct ledger_session *row)
{
	struct error error = ERROR_INIT;

	row->row.state = (uint8_t)session->state;
	row->row.step = (uint8_t)session->step;
	row->row.running_at_ms = session->running_at_ms;
	row->builds = session->builds;
	if (session->stop_reason)
		snprintf(row->row.reason, sizeof(row->row.reason), "%s", session->stop_reason);
	if (ledger_update(schedd->ledger, row, RELAXED, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
}

static void
save_state(struct schedd *schedd, struct session *session)
{
	const struct ledger_state state = {
	    .state = session->state,
	    .step = session->step,
	    .running_at_ms = session->running_at_ms,
	    .builds = session->builds,
	    .reason = session->stop_reason,
	};
	struct error error = ERROR_INIT;

	if (ledger_put_state(schedd->ledger, session->seq, &state, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
}

/* The end of a session that runnerd never had, or no longer has. */
static struct msg_ended
end_as(const struct session *session, enum session_outcome outcome, const char *reason)
{
	struct msg_ended end = {
	    .session = session->id,
	    .outcome = (uint8_t)outcome,
	    .step = (uint8_t)session->step,
	    .exit_code = -1,
	    .signal = -1,
	    .running_at_ms = session->running_at_ms,
	    .ended_at_ms = realtime_ms(),
	    .wall_ms = -1,
	    .cpu_ms = -1,
	    .peak_memory_bytes = -1,
	};

	memcpy(end.agent, session->agent->name, sizeof(end.agent));
	snprintf(end.reason, sizeof(end.reason), "%s", reason);
	return end;
}

static void
fill_end(struct ledger_session *row, const struct msg_ended *end)
{
	row->row.state = STATE_ENDED;
	row->row.outcome = end->outcome;
	row->row.step = end->step;
	row->row.exit_code = end->exit_code;
	row->row.signal = end->signal;
	if (end->running_at_ms)
		row->row.running_at_ms = end->running_at_ms;
	row->row.ended_at_ms = end->ended_at_ms;
	row->row.wall_ms = end->wall_ms;
	row->row.cpu_ms = end->cpu_ms;
	row->row.peak_memory_bytes = end->peak_memory_bytes;
	row->row.log_bytes = end->log_bytes;
	row->row.log_dropped_bytes = end->log_dropped_bytes;
	memcpy(row->row.reason, end->reason, sizeof(end->reason));
}

/* With all that follows from it. */
static int
write_end(struct schedd *schedd, const struct session *session, const struct ledger_session *row,
	  struct aftermath *aftermath, struct error *error)
{
	if (ledger_begin(schedd->ledger, error) < 0)
		return -1;
	if (ledger_put_steps(schedd->ledger, row->seq, session->steps, error) < 0 ||
	    ledger_update(schedd->ledger, row, DURABLE, error) < 0 ||
	    deliver_end(schedd, row, error) < 0 || aftermath_record(aftermath, error) < 0) {
		ledger_rollback(schedd->ledger);
		aftermath_withdraw(aftermath);
		return -1;
	}
	if (ledger_commit(schedd->ledger, error) == 0)
		return 0;
	aftermath_withdraw(aftermath);
	return -1;
}

/* Keeps the end until the ledger takes it; the slot stays taken so long. */
static void
keep_end(struct session *session, const struct msg_ended *end)
{
	if (session->unrecorded || !(session->unrecorded = malloc(sizeof(*end))))
		return;
	*session->unrecorded = *end;
}

static void
free_aftermath(struct aftermath **aftermath)
{
	aftermath_free(*aftermath);
}

/* Committed first, told when that is durable. False: not yet. The session is gone when true. */
static bool
record_end(struct schedd *schedd, struct session *session, const struct msg_ended *end)
{
	_cleanup_free_ struct ledger_session *row = load_row(schedd, session);
	_cleanup_(free_aftermath) struct aftermath *aftermath = NULL;
	struct error error = ERROR_INIT;

	if (!row) {
		keep_end(session, end);
		return false;
	}
	fill_end(row, end);
	aftermath = aftermath_new(schedd, session->agent, row);
	if (!aftermath)
		error_why(&error, ERR_FAILED, "out of memory");
	if (!aftermath || write_end(schedd, session, row, aftermath, &error) < 0) {
		keep_end(session, end);
		repeat_later(schedd, session, &error);
		return false;
	}
	session_bequeath(schedd, &session->id, aftermath_heir(aftermath));
	aftermath_begin(aftermath);
	note_last_run(session->agent, row);
	prune_note_end(schedd->prune, session->agent);
	queue_remove(schedd->queue, session);
	session_announce_end(schedd, row);
	events_deliver_soon(schedd->events);
	return true;
}

static void
end_session(struct schedd *schedd, struct session *session, const struct msg_ended *end)
{
	if (!record_end(schedd, session, end))
		return;
	sessions_pump(schedd);
	sessions_drained(schedd);
}

/* --- transitions ------------------------------------------------------------------------------ */

typedef void transition_fn(struct schedd *schedd, struct session *session, const struct msg *msg);

static void
note_step(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	enum session_step step = (enum session_step)msg->step.step;

	if (step == STEP_NONE || step >= STEP_COUNT)
		return;
	session->step = step;
	session->steps[step] = (struct step_time){
	    .started_at_ms = msg->step.started_at_ms,
	    .took_us = msg->step.took_us,
	};
	counters_step(schedd->counters, step, msg->step.took_us);
	/* Quick ones come together: whoever watches sees the next event. */
	if (session->state == STATE_SETUP && msg->step.took_us >= STEP_TOLD_US)
		session_announce(schedd, session);
}

/* Its row is committed: GO leaves when that is durable (flush.h). */
static void
open_gate(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	struct msg go;

	(void)msg;
	msg_init(&go, MSG_GO);
	go.go.session = session->id;
	send_to_runnerd(schedd, &go);
}

static void
note_running(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	session->running_at_ms = msg->running.running_at_ms;
	if (session->state == STATE_SETUP)
		session->state = STATE_RUNNING;
	save_state(schedd, session);
	session_announce(schedd, session);
}

static void
requeue(struct schedd *schedd, struct session *session)
{
	queue_requeue(schedd->queue, session);
	save_state(schedd, session);
	session_announce(schedd, session);
}

/* Nothing of it ran: it is built again, but not for ever. */
static void
build_again(struct schedd *schedd, struct session *session, const char *reason)
{
	struct msg_ended end;

	if (session->builds < BUILDS_MAX) {
		if (session->state != STATE_QUEUED)
			requeue(schedd, session);
		sessions_pump(schedd);
		return;
	}
	end = end_as(session, OUTCOME_LOST, "");
	snprintf(end.reason, sizeof(end.reason),
		 "the sandbox was built %u times and its gate never opened%s%.900s",
		 session->builds, reason[0] ? ": " : "", reason);
	end_session(schedd, session, &end);
}

/* The gate never opened: what was asked meanwhile decides. */
static void
note_unopened(struct schedd *schedd, struct session *session, const struct msg_ended *unopened)
{
	struct msg_ended end;

	if (session->state == STATE_STOPPING) {
		end = end_as(session, session->stop_as,
			     session->stop_reason ? session->stop_reason : "");
		end_session(schedd, session, &end);
		return;
	}
	session_forget(schedd, &session->id, true);
	build_again(schedd, session, unopened->reason);
}

static void
note_end(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	struct msg_ended end = msg->ended;

	if (end.outcome == OUTCOME_NONE && session->running_at_ms == 0) {
		note_unopened(schedd, session, &end);
		return;
	}
	if (end.outcome == OUTCOME_NONE || end.outcome >= OUTCOME_COUNT)
		end.outcome = OUTCOME_LOST;
	end_session(schedd, session, &end);
}

static void
end_waiting(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	struct msg_ended end =
	    end_as(session, session->stop_as, session->stop_reason ? session->stop_reason : "");

	(void)msg;
	end_session(schedd, session, &end);
}

static void
stop_live(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	(void)msg;
	session->state = STATE_STOPPING;
	send_cancel(schedd, session);
	save_state(schedd, session);
	session_announce(schedd, session);
}

/* runnerd holds it in set-up: asking again is answered by where it stands. */
static void
adopt_setup(struct schedd *schedd, struct session *session)
{
	_cleanup_free_ struct ledger_session *row = load_row(schedd, session);

	if (!row)
		return;
	row->builds = session->builds ? session->builds : 1;
	session_prepare(schedd, session, row, false);
	write_state(schedd, session, row);
}

static void
adopt(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	const struct msg_inventory *inventory = &msg->inventory;
	bool stopping = session->state == STATE_STOPPING;

	session->held = true;
	if (session->state == STATE_QUEUED)
		queue_start(schedd->queue, session);
	session->step =
	    inventory->step < STEP_COUNT ? (enum session_step)inventory->step : STEP_NONE;
	if (inventory->running_at_ms)
		session->running_at_ms = inventory->running_at_ms;
	if (stopping) {
		send_cancel(schedd, session);
		return;
	}
	/* One that runnerd tears down before its gate opened was not asked to stop: its end says
	 * whether it is built again. */
	if (inventory->state != STATE_RUNNING && session->running_at_ms == 0) {
		adopt_setup(schedd, session);
	} else {
		session->state =
		    inventory->state == STATE_STOPPING ? STATE_STOPPING : STATE_RUNNING;
		save_state(schedd, session);
	}
	session_announce(schedd, session);
}

/* PREPARE never reached runnerd's journal: nothing of it ever was. */
static void
note_missing(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	(void)msg;
	build_again(schedd, session, "");
}

static void
lose(struct schedd *schedd, struct session *session, const struct msg *msg)
{
	struct msg_ended end =
	    end_as(session, OUTCOME_LOST, "runnerd has no record of the session any more");

	(void)msg;
	if (session->state == STATE_STOPPING && session->running_at_ms == 0)
		end = end_as(session, session->stop_as,
			     session->stop_reason ? session->stop_reason : "");
	end_session(schedd, session, &end);
}

/* NULL: the event means nothing in that state. */
static transition_fn *const transitions[STATE_COUNT][EVENT_COUNT] = {
    [STATE_QUEUED] = {[EVENT_CANCEL] = end_waiting, [EVENT_ENDED] = note_end, [EVENT_HELD] = adopt},
    [STATE_SETUP] = {[EVENT_STEP] = note_step,
		     [EVENT_PREPARED] = open_gate,
		     [EVENT_RUNNING] = note_running,
		     [EVENT_ENDED] = note_end,
		     [EVENT_CANCEL] = stop_live,
		     [EVENT_HELD] = adopt,
		     [EVENT_MISSING] = note_missing},
    [STATE_RUNNING] = {[EVENT_ENDED] = note_end,
		       [EVENT_CANCEL] = stop_live,
		       [EVENT_HELD] = adopt,
		       [EVENT_MISSING] = lose},
    [STATE_STOPPING] = {[EVENT_STEP] = note_step,
			[EVENT_RUNNING] = note_running,
			[EVENT_ENDED] = note_end,
			[EVENT_HELD] = adopt,
			[EVENT_MISSING] = lose},
};

void
session_apply(struct schedd *schedd, struct session *session, enum session_event event,
	      const struct msg *msg)
{
	transition_fn *transition = transitions[session->state][event];

	/* Its end is known and only waits for the ledger. */
	if (session->unrecorded)
		return;
	if (transition)
		transition(schedd, session, msg);
	else
		log_session(LOG_LEVEL_DEBUG, &session->id, "event %d means nothing in state %s",
			    (int)event, session_state_name(session->state));
}

/* --- entries --------------------------------------------------------------------------------- */

void
session_cancel(struct schedd *schedd, struct session *session, const char *reason)
{
	if (session->stop_reason || session->unrecorded)
		return;
	session->stop_as = OUTCOME_CANCELLED;
	session->stop_reason = strdup(reason);
	session_apply(schedd, session, EVENT_CANCEL, NULL);
}

/* Who waits for the input of a session whose end was recorded before; NULL: nobody. */
static const struct uuid *
heir_of(struct schedd *schedd, const struct ledger_session *row, struct uuid *heir)
{
	const struct session *next;
	struct successor link;

	if (!row->has_input ||
	    successors_after(schedd->successors, &row->row.session, &link, NULL) <= 0)
		return NULL;
	next = queue_find(schedd->queue, &link.session);
	*heir = link.session;
	return next && next->state == STATE_QUEUED ? heir : NULL;
}

void
session_ended(struct schedd *schedd, const struct msg *msg)
{
	_cleanup_free_ struct ledger_session *row = NULL;
	struct uuid heir;
	struct session *session = queue_find(schedd->queue, &msg->ended.session);
	struct error error = ERROR_INIT;
	int found;

	/* Of a session in the queue only a stranger can end: it came back meanwhile. */
	if (schedd->strangers && session && session->state == STATE_QUEUED)
		schedd->strangers--;
	if (session) {
		session_apply(schedd, session, EVENT_ENDED, msg);
		return;
	}
	row = calloc(1, sizeof(*row));
	if (!row)
		return;
	found = ledger_get(schedd->ledger, &msg->ended.session, row, &error);
	if (found < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		return;
	}
	if (found == 0)
		log_session(LOG_LEVEL_WARNING, &msg->ended.session,
			    "ended at runnerd, but the ledger does not know it");
	/* control may be about to ask for it again. */
	if (found == 0 && msg->ended.outcome == OUTCOME_NONE)
		session_forget(schedd, &msg->ended.session, true);
	else
		session_bequeath(schedd, &msg->ended.session, heir_of(schedd, row, &heir));
	if (found > 0 || !schedd->strangers)
		return;
	schedd->strangers--;
	sessions_pump(schedd);
}

static bool
start(struct schedd *schedd, struct session *session)
{
	_cleanup_free_ struct ledger_session *row = load_row(schedd, session);

	if (!row)
		return false;
	queue_start(schedd->queue, session);
	row->builds = session->builds + 1;
	row->row.started_at_ms = realtime_ms();
	session_prepare(schedd, session, row, false);
	write_state(schedd, session, row);
	session_announce(schedd, session);
	return true;
}

bool
sessions_may_start(const struct schedd *schedd)
{
	return schedd->runnerd && schedd->synced && !schedd->draining && !schedd->strangers;
}

void
sessions_pump(struct schedd *schedd)
{
	struct session *next;

	if (!sessions_may_start(schedd))
		return;
	while ((next = queue_next(schedd->queue))) {
		if (gate_passes(schedd, next->agent) && !start(schedd, next))
			break;
	}
	schedule_follow(schedd->schedule);
}

static void
repeat_end(struct session *session, void *arg)
{
	if (session->unrecorded)
		end_session(arg, session, session->unrecorded);
}

void
sessions_repeat(struct schedd *schedd)
{
	queue_each(schedd->queue, repeat_end, schedd);
	sessions_pump(schedd);
}

void
sessions_drained(struct schedd *schedd)
{
	if (!schedd->drain_id || queue_live(schedd->queue) > 0)
		return;
	if (schedd->control)
		channel_reply_ok(schedd->control, schedd->drain_id, 0);
	schedd->drain_id = 0;
}
