/* The messages of control and runnerd, one row each; see peers.h. */
#include "peers.h"

#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "counters.h"
#include "event_plans.h"
#include "events.h"
#include "flush.h"
#include "gate.h"
#include "pause.h"
#include "prune.h"
#include "schedule.h"
#include "sessions.h"
#include "triggers_watch.h"
#include "webhooks.h"

typedef void peer_fn(struct schedd *schedd, const struct msg *msg);

struct peer_rule {
	enum msg_type type;
	peer_fn *fn;
};

static void
dispatch(struct schedd *schedd, const struct peer_rule *rules, size_t count, const struct msg *msg)
{
	for (size_t i = 0; i < count; i++) {
		if (rules[i].type == msg->type) {
			rules[i].fn(schedd, msg);
			return;
		}
	}
}

/* --- control: ENQUEUE --------------------------------------------------------------------------
 */

struct parked {
	TAILQ_ENTRY(parked) entry;
	uint64_t deadline_ns;
	struct msg msg;
};

static void
fire_manual(struct schedd *schedd, const struct msg *msg)
{
	const struct msg_enqueue *enqueue = &msg->enqueue;
	struct error error = ERROR_INIT;
	struct fire fire = {.id = enqueue->session,
			    .agent = enqueue->agent,
			    .trigger_kind = TRIGGER_MANUAL,
			    .trigger_id = TRIGGER_MANUAL,
			    .scheduled_at_ms = realtime_ms(),
			    .has_task = enqueue->has_task,
			    .task = enqueue->task,
			    .timeout_ms = enqueue->timeout_ms,
			    .has_input = enqueue->has_input,
			    .uid = enqueue->uid,
			    .pid = enqueue->pid,
			    .login_uid = enqueue->login_uid,
			    .operator= enqueue->operator, };

	if (session_fire(schedd, &fire, &error) < 0)
		channel_reply_error(schedd->control, msg->id, &error);
	else
		channel_reply_ok(schedd->control, msg->id, 0);
}

static void
unpark(struct schedd *schedd, struct parked *parked)
{
	TAILQ_REMOVE(&schedd->parked, parked, entry);
	schedd->parked_count--;
	free(parked);
}

static void
refuse_unknown(struct schedd *schedd, const struct msg *msg)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_UNREACHABLE,
		  "runnerd is away and has not told yet which agents are "
		  "installed");
	error_hint(&error, "try again in a moment; ash status shows the daemons");
	channel_reply_error(schedd->control, msg->id, &error);
}

static void
parked_expired(struct loop_source *timer, void *arg)
{
	struct schedd *schedd = arg;
	struct parked *parked;
	uint64_t now = boottime_ns();

	while ((parked = TAILQ_FIRST(&schedd->parked)) && parked->deadline_ns <= now) {
		refuse_unknown(schedd, &parked->msg);
		unpark(schedd, parked);
	}
	if (parked)
		loop_arm(timer, parked->deadline_ns);
}

static void
park(struct schedd *schedd, const struct msg *msg)
{
	struct parked *parked = NULL;

	if (schedd->parked_count < PARKED_MAX)
		parked = malloc(sizeof(*parked));
	if (!parked) {
		refuse_unknown(schedd, msg);
		return;
	}
	parked->msg = *msg;
	parked->deadline_ns = boottime_ns() + PARKED_WAIT_MS * UINT64_C(1000000);
	if (schedd->parked_count++ == 0)
		loop_arm(schedd->parked_timer, parked->deadline_ns);
	TAILQ_INSERT_TAIL(&schedd->parked, parked, entry);
}

static void
fire_parked(struct schedd *schedd)
{
	struct parked *parked;

	while ((parked = TAILQ_FIRST(&schedd->parked))) {
		if (schedd->control)
			fire_manual(schedd, &parked->msg);
		unpark(schedd, parked);
	}
	loop_arm(schedd->parked_timer, 0);
}

static void
enqueue(struct schedd *schedd, const struct msg *msg)
{
	if (schedd->known)
		fire_manual(schedd, msg);
	else
		park(schedd, msg);
}

/* --- control: everything else ---------------------------------------------------------------- */

static void
reply(struct schedd *schedd, const struct msg *query, int rc, struct msg *answer,
      const struct error *error)
{
	if (rc < 0) {
		channel_reply_error(schedd->control, query->id, error);
		return;
	}
	answer->id = query->id;
	channel_send(schedd->control, answer);
}

/* The end of one that waited is recorded, or it would start after all. The answer follows it, and
 * waits for the disk as it does. */
static void
answer_cancel(struct schedd *schedd, const struct msg *msg, const struct uuid *id, bool over)
{
	const struct session *session = queue_find(schedd->queue, id);
	struct error error = ERROR_INIT;

	if (!session || !session->unrecorded || session->state != STATE_QUEUED) {
		channel_reply_ok(schedd->control, msg->id, over);
		return;
	}
	error_why(&error, ERR_FAILED, "the ledger could not record it; that is tried again");
	error_hint(&error, "is the file system of state_dir full, read-only or failing? agentd's "
			   "log says more");
	error_what(&error, "cancelling session %s", msg->session_cancel.ref);
	channel_reply_error(schedd->control, msg->id, &error);
}

static void
cancel(struct schedd *schedd, const struct msg *msg)
{
	_cleanup_free_ struct ledger_session *row = malloc(sizeof(*row));
	struct error error = ERROR_INIT;
	struct session *session;

	if (!row || answer_resolve(schedd, msg->session_cancel.ref, row, &error) < 0) {
		if (!row)
			error_why(&error, ERR_FAILED, "out of memory");
		channel_reply_error(schedd->control, msg->id, &error);
		return;
	}
	session = queue_find(schedd->queue, &row->row.session);
	if (session)
		session_cancel(schedd, session, msg->session_cancel.reason);
	answer_cancel(schedd, msg, &row->row.session, !session);
}

static void
session_query(struct schedd *schedd, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	reply(schedd, msg, answer_sessions(schedd, msg, &answer, &error), &answer, &error);
}

static void
agents_last_query(struct schedd *schedd, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	reply(schedd, msg, answer_agents_last(schedd, &answer, &error), &answer, &error);
}

static void
ledger_query(struct schedd *schedd, const struct msg *msg)
{
	struct msg answer;

	answer_ledger(schedd, &answer);
	reply(schedd, msg, 0, &answer, NULL);
}

static void
cancel_live(struct session *session, void *arg)
{
	if (session->state != STATE_QUEUED)
		session_cancel(arg, session, "agentd is shutting down");
}

static void
schedule_query(struct schedd *schedd, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	reply(schedd, msg, schedule_answer(schedd->schedule, &msg->schedule_query, &answer, &error),
	      &answer, &error);
}

static void
metrics_query(struct schedd *schedd, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	reply(schedd, msg, answer_metrics(schedd, &answer, &error), &answer, &error);
}

static void
drain(struct schedd *schedd, const struct msg *msg)
{
	if (schedd->drain_id)
		channel_reply_ok(schedd->control, schedd->drain_id, queue_live(schedd->queue));
	schedd->drain_id = msg->id;
	schedd->draining = true;
	log_info("draining: %u sessions are live, nothing more starts", queue_live(schedd->queue));
	queue_each(schedd->queue, cancel_live, schedd);
	sessions_drained(schedd);
}

static const struct peer_rule control_rules[] = {
    {MSG_ENQUEUE, enqueue},
    {MSG_SESSION_CANCEL, cancel},
    {MSG_SESSION_QUERY, session_query},
    {MSG_AGENTS_LAST_QUERY, agents_last_query},
    {MSG_LEDGER_QUERY, ledger_query},
    {MSG_SCHEDULE_QUERY, schedule_query},
    {MSG_METRICS_QUERY, metrics_query},
    {MSG_DRAIN, drain},
    {MSG_AGENT_PAUSE, pause_request},
    {MSG_EVENT_EMIT, events_emit},
    {MSG_EVENT_QUERY, events_query},
    {MSG_EVENT_REPLAY, events_replay},
};

static void
control_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	dispatch(arg, control_rules, ARRAY_LEN(control_rules), msg);
}

/* --- runnerd -----------------------------------------------------------------------------------
 */

/* An agent whose standing cannot be read may be paused: it starts nothing, and the log says so. */
static void
learn_standing(struct schedd *schedd, struct agent *agent)
{
	struct error error = ERROR_INIT;

	if (agent->standing_known)
		return;
	agent->standing_known =
	    standings_get(schedd->standings, agent->name, &agent->standing, &error) == 0;
	if (agent->standing_known)
		return;
	log_problem(LOG_LEVEL_ERROR, &error);
	agent->standing.paused_at_ms = realtime_ms();
	snprintf(agent->standing.pause_reason, sizeof(agent->standing.pause_reason),
		 "the ledger could not say whether it is");
}

static void
agent_def(struct schedd *schedd, const struct msg *msg)
{
	struct agent *agent = queue_define(schedd->queue, &msg->agent_def);

	if (!agent) {
		log_error("agent %s: out of memory", msg->agent_def.agent);
	} else {
		learn_standing(schedd, agent);
		sessions_pump(schedd);
	}
	schedule_define(schedd->schedule, msg->agent_def.agent, msg->agent_def.triggers);
}

static void
trigger_def(struct schedd *schedd, const struct msg *msg)
{
	schedule_add(schedd->schedule, &msg->trigger_def);
}

static void
cancel_orphan(struct session *session, void *arg)
{
	struct schedd *schedd = arg;

	if (session->state == STATE_QUEUED && !session->agent->installed)
		session_cancel(schedd, session,
			       session->agent->damaged ? "the agent's plan in the store is damaged"
						       : "the agent was removed");
}

/* Triggers that cannot be read start nothing, blackouts that cannot let nothing start, and the log
 * says so. What waits may start only now that they are known. */
static void
agent_events(struct schedd *schedd, const struct msg *msg)
{
	const char *agent = msg->agent_events.agent;
	struct agent *known = queue_agent(schedd->queue, agent);
	int rows = msg->nfds ? msg->fds[0] : -1;
	struct error error = ERROR_INIT;

	if (event_plans_set(schedd->event_plans, agent, rows, &error) < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	watches_follow(schedd->watches, agent);
	schedule_darken(schedd->schedule, agent, rows);
	if (known)
		gate_changed(schedd, known);
	webhooks_changed(schedd->webhooks);
}

static void
watch(struct schedd *schedd, const struct msg *msg)
{
	watches_opened(schedd->watches, (struct msg *)msg);
}

static void
agent_damaged(struct schedd *schedd, const struct msg *msg)
{
	if (!queue_damage(schedd->queue, msg->agent_damaged.agent))
		log_error("agent %s: out of memory", msg->agent_damaged.agent);
}

/* One that is installed again begins anew. */
static void
forget_standing(struct schedd *schedd, struct agent *agent)
{
	struct error error = ERROR_INIT;

	memset(&agent->standing, 0, sizeof(agent->standing));
	agent->standing_known = true;
	if (standings_drop(schedd->standings, agent->name, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
}

static bool
is_installed(const char *name, void *arg)
{
	struct schedd *schedd = arg;
	const struct agent *agent = queue_agent(schedd->queue, name);

	return agent && (agent->installed || agent->damaged);
}

static void
agent_gone(struct schedd *schedd, const struct msg *msg)
{
	struct agent *agent = queue_agent(schedd->queue, msg->agent_gone.agent);

	if (!agent)
		return;
	schedule_remove(schedd->schedule, agent->name);
	agent->installed = agent->confirmed = agent->damaged = false;
	forget_standing(schedd, agent);
	event_plans_drop(schedd->event_plans, agent->name);
	webhooks_changed(schedd->webhooks);
	watches_follow(schedd->watches, agent->name);
	queue_each(schedd->queue, cancel_orphan, schedd);
}

/* An event of one session that the ledger may or may not have as live. */
static void
apply(struct schedd *schedd, const struct uuid *id, enum session_event event, const struct msg *msg)
{
	struct session *session = queue_find(schedd->queue, id);

	if (session)
		session_apply(schedd, session, event, msg);
}

static void
step(struct schedd *schedd, const struct msg *msg)
{
	apply(schedd, &msg->step.session, EVENT_STEP, msg);
}

static void
prepared(struct schedd *schedd, const struct msg *msg)
{
	apply(schedd, &msg->prepared.session, EVENT_PREPARED, msg);
}

static void
running(struct schedd *schedd, const struct msg *msg)
{
	apply(schedd, &msg->running.session, EVENT_RUNNING, msg);
}

static void
ended(struct schedd *schedd, const struct msg *msg)
{
	session_ended(schedd, msg);
}

static void
inventory(struct schedd *schedd, const struct msg *msg)
{
	struct session *session = queue_find(schedd->queue, &msg->inventory.session);
	struct msg stop;

	if (msg->inventory.state == STATE_QUEUED) {
		if (!session)
			session_forget(schedd, &msg->inventory.session, false);
		return;
	}
	if (session) {
		session_apply(schedd, session, EVENT_HELD, msg);
		return;
	}
	log_session(LOG_LEVEL_WARNING, &msg->inventory.session,
		    "runnerd holds it, but no row of the ledger is open for it: cancelling");
	msg_init(&stop, MSG_CANCEL);
	stop.cancel.session = msg->inventory.session;
	/* PREPARE leaves before the commit: control asks again for what it heard nothing of. */
	stop.cancel.outcome = msg->inventory.state == STATE_SETUP ? OUTCOME_NONE : OUTCOME_LOST;
	schedd->strangers++;
	strcpy(stop.cancel.reason, "the ledger does not know the session");
	channel_send(schedd->runnerd, &stop);
}

static void
note_not_held(struct session *session, void *arg)
{
	if (session->state != STATE_QUEUED && !session->held)
		session_apply(arg, session, EVENT_MISSING, NULL);
}

static void
inventory_end(struct schedd *schedd, const struct msg *msg)
{
	uint32_t gone = queue_sweep(schedd->queue);
	struct error error = ERROR_INIT;

	if (standings_sweep(schedd->standings, is_installed, schedd, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
	queue_each(schedd->queue, note_not_held, schedd);
	schedd->known = schedd->synced = true;
	log_info("runnerd holds %u sessions, %u agents are installed%s",
		 msg->inventory_end.sessions, msg->inventory_end.agents,
		 gone ? ", some are gone" : "");
	queue_each(schedd->queue, cancel_orphan, schedd);
	fire_parked(schedd);
	webhooks_changed(schedd->webhooks);
	events_deliver(schedd->events);
	schedule_known(schedd->schedule);
	sessions_pump(schedd);
	sessions_drained(schedd);
	prune_all(schedd->prune);
}

static void
session_pruned(struct schedd *schedd, const struct msg *msg)
{
	prune_answered(schedd->prune, &msg->session_pruned);
}

static const struct peer_rule runnerd_rules[] = {
    {MSG_AGENT_DAMAGED, agent_damaged},
    {MSG_AGENT_DEF, agent_def},
    {MSG_AGENT_EVENTS, agent_events},
    {MSG_AGENT_EVENT, events_from_agent},
    {MSG_TRIGGER_DEF, trigger_def},
    {MSG_WATCH, watch},
    {MSG_AGENT_GONE, agent_gone},
    {MSG_INVENTORY, inventory},
    {MSG_INVENTORY_END, inventory_end},
    {MSG_STEP, step},
    {MSG_PREPARED, prepared},
    {MSG_RUNNING, running},
    {MSG_ENDED, ended},
    {MSG_SESSION_PRUNED, session_pruned},
};

static void
runnerd_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	dispatch(arg, runnerd_rules, ARRAY_LEN(runnerd_rules), msg);
}

/* --- coming and going ---------------------------------------------------------------------------
 */

static void
drop_parked(struct schedd *schedd)
{
	struct parked *parked;

	while ((parked = TAILQ_FIRST(&schedd->parked)))
		unpark(schedd, parked);
	loop_arm(schedd->parked_timer, 0);
}

/* control asks again for what is idempotent once it is back. */
static void
forget_control(struct schedd *schedd)
{
	schedd->control = NULL;
	schedd->drain_id = 0;
	if (schedd->events)
		events_forget_control(schedd->events);
	drop_parked(schedd);
}

static void
control_closed(struct channel *channel, const struct error *error, void *arg)
{
	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	forget_control(arg);
}

static void
runnerd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct schedd *schedd = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	schedd->runnerd = NULL;
	schedd->synced = false;
}

static const struct channel_ops control_ops = {
    .message = control_message,
    .closed = control_closed,
};

static const struct channel_ops runnerd_ops = {
    .message = runnerd_message,
    .closed = runnerd_closed,
};

void
peers_introduce_control(struct schedd *schedd, int fd)
{
	channel_free(schedd->control);
	forget_control(schedd);
	schedd->control = channel_new(schedd->loop, fd, CH_CONTROL_SCHEDD, SIDE_B, ROLE_SCHEDD,
				      ROLE_CONTROL, &control_ops, schedd);
	if (schedd->control)
		flush_hold_answers(schedd->flush, schedd->control);
	else
		log_error("channel with control: %s", strerror(errno));
}

static void
mark_not_held(struct session *session, void *arg)
{
	(void)arg;
	session->held = false;
}

void
peers_introduce_runnerd(struct schedd *schedd, int fd)
{
	channel_free(schedd->runnerd);
	schedd->synced = false;
	schedd->strangers = 0;
	queue_unconfirm(schedd->queue);
	queue_each(schedd->queue, mark_not_held, NULL);
	schedd->runnerd = channel_new(schedd->loop, fd, CH_SCHEDD_RUNNERD, SIDE_A, ROLE_SCHEDD,
				      ROLE_RUNNERD, &runnerd_ops, schedd);
	if (schedd->runnerd)
		flush_hold(schedd->flush, schedd->runnerd);
	else
		log_error("channel with runnerd: %s", strerror(errno));
}

void
peers_init(struct schedd *schedd)
{
	TAILQ_INIT(&schedd->parked);
	schedd->parked_timer = loop_add_timer(schedd->loop, parked_expired, schedd);
}

void
peers_release(struct schedd *schedd)
{
	drop_parked(schedd);
	channel_free(schedd->control);
	channel_free(schedd->runnerd);
	loop_remove(schedd->parked_timer);
}
