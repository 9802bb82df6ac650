/* Each request of an operator in a few lines, and the table of them all. */
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "requests.h"

/* --- answers that pass through ------------------------------------------------------------------
 */

void
request_forward(struct request *request, struct msg *answer)
{
	struct msg copy = *answer;

	answer->nfds = 0;
	request_reply(request, &copy);
}

static void
forward_ok(struct request *request, struct msg *answer)
{
	request_reply_ok(request, answer->ok.value);
}

void
request_ask(struct request *request, enum upstream upstream, struct msg *msg,
	    enum msg_type expected, answer_fn *then)
{
	struct call call = {
	    .upstream = upstream,
	    .flags = CALL_REPEATED,
	    .expected = expected,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = then,
	};

	request_call(request, &call, msg);
}

void
request_ask_session(struct request *request, const char *ref, answer_fn *then)
{
	struct msg msg;

	msg_init(&msg, MSG_SESSION_QUERY);
	snprintf(msg.session_query.ref, sizeof(msg.session_query.ref), "%s", ref);
	request_ask(request, UP_SCHEDD, &msg, MSG_ROWS, then);
}

void
request_fail_rows(struct request *request, const char *daemon)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_FAILED, "%s gave rows that do not fit", daemon);
	request_fail(request, &error);
}

bool
request_note_session(struct request *request, struct msg *rows)
{
	struct rows_reader *reader = rows_open(rows->fds[0]);
	struct msg record;
	bool found = reader && rows_next(reader, &record) == 1 && record.type == MSG_SESSION_ROW;

	if (found) {
		request->session = record.session_row.session;
		memcpy(request->agent, record.session_row.agent, sizeof(request->agent));
	}
	rows_close(reader);
	return found;
}

/* --- ping and status ------------------------------------------------------------------------- */

static void
ping(struct request *request)
{
	struct msg answer;

	msg_init(&answer, MSG_OP_PONG);
	snprintf(answer.op_pong.version, sizeof(answer.op_pong.version), "%s", scarab_version);
	snprintf(answer.op_pong.build, sizeof(answer.op_pong.build), "%s", scarab_build_id);
	answer.op_pong.pid = (uint32_t)getppid();
	request_reply(request, &answer);
}

static void
fill_status(const struct request *request, struct msg_status_row *row)
{
	const struct config *config = request->control->config;

	snprintf(row->version, sizeof(row->version), "%s", scarab_version);
	snprintf(row->build, sizeof(row->build), "%s", scarab_build_id);
	snprintf(row->run_dir, sizeof(row->run_dir), "%s", config->run_dir);
	snprintf(row->state_dir, sizeof(row->state_dir), "%s", config->state_dir);
	snprintf(row->log_dir, sizeof(row->log_dir), "%s", config->log_dir);
	row->agents = request->rows_count;
	row->agents_known = request->agents_known;
	row->ledger_known = request->ledger_known;
	row->queued = request->ledger.queued;
	row->live = request->ledger.live;
	row->ended = request->ledger.ended;
	row->sessions_limit = request->ledger.sessions_limit;
	row->draining = request->ledger.draining;
	row->started_at_ms = request->control->started_at_ms;
}

static int
add_more(const struct request *request, struct rows *rows)
{
	const struct control *control = request->control;
	const struct client *client;
	struct msg more;

	msg_init(&more, MSG_STATUS_MORE);
	more.status_more.audit_waiting = (uint32_t)audit_waiting(control->audit);
	more.status_more.audit_connected = audit_connected(control->audit);
	TAILQ_FOREACH(client, &control->clients, entry)
	{
		more.status_more.watchers += client->watches;
	}
	return rows_add(rows, &more);
}

/* The status row, with agentd's start where its rows tell it, then agentd's rows as they are. */
static int
add_status(const struct request *request, struct rows *rows, struct rows_reader *daemons)
{
	struct msg status, row;
	int rc;

	msg_init(&status, MSG_STATUS_ROW);
	fill_status(request, &status.status_row);
	rc = rows_next(daemons, &row);
	if (rc == 1 && row.type == MSG_DAEMON_ROW && row.daemon_row.role == ROLE_AGENTD)
		status.status_row.started_at_ms = row.daemon_row.started_at_ms;
	if (rows_add(rows, &status) < 0 || add_more(request, rows) < 0)
		return -1;
	for (; rc == 1; rc = rows_next(daemons, &row)) {
		if (row.type != MSG_DAEMON_ROW || rows_add(rows, &row) < 0)
			return -1;
	}
	return rc;
}

static void
status_composed(struct request *request, struct msg *agents)
{
	struct rows_reader *daemons = rows_open(request->rows_fd);
	struct rows *rows = rows_new("status");
	struct msg answer;
	int fd = -1;

	request->agents_known = agents != NULL;
	request->rows_count = agents ? agents->rows.count : 0;
	msg_init(&answer, MSG_ROWS);
	if (daemons && rows && add_status(request, rows, daemons) == 0) {
		answer.rows.count = rows_count(rows);
		fd = rows_seal(rows);
	} else {
		rows_free(rows);
	}
	rows_close(daemons);
	if (fd < 0) {
		request_fail_rows(request, "agentd");
		return;
	}
	msg_add_fd(&answer, fd);
	request_reply(request, &answer);
}

/* Who asks how things stand wants to know it also while a daemon is away. */
static void
ask_if_there(struct request *request, enum upstream upstream, struct msg *msg,
	     enum msg_type expected, answer_fn *then)
{
	struct call call = {
	    .upstream = upstream,
	    .flags = CALL_REPEATED,
	    .expected = expected,
	    .wait_ms = STATUS_WAIT_MS,
	    .then = then,
	    .optional = true,
	};

	request_call(request, &call, msg);
}

static void
status_ledger(struct request *request, struct msg *answer)
{
	struct msg msg;

	request->ledger_known = answer != NULL;
	if (answer)
		request->ledger = answer->ledger;
	msg_init(&msg, MSG_AGENT_QUERY);
	ask_if_there(request, UP_RUNNERD, &msg, MSG_ROWS, status_composed);
}

static void
status_daemons(struct request *request, struct msg *answer)
{
	struct msg msg;

	request->rows_fd = msg_take_fd(answer, 0);
	msg_init(&msg, MSG_LEDGER_QUERY);
	ask_if_there(request, UP_SCHEDD, &msg, MSG_LEDGER, status_ledger);
}

static void
status(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_DAEMONS_QUERY);
	request_ask(request, UP_AGENTD, &msg, MSG_ROWS, status_daemons);
}

static void
doctor(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_DOCTOR_QUERY);
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, request_forward);
}

/* --- agents ---------------------------------------------------------------------------------- */

static void
agents_with_last(struct request *request, struct msg *last)
{
	struct msg answer;

	msg_init(&answer, MSG_ROWS);
	answer.rows.count = request->rows_count;
	msg_add_fd(&answer, steal_fd(&request->rows_fd));
	msg_add_fd(&answer, msg_take_fd(last, 0));
	request_reply(request, &answer);
}

static void
agents_found(struct request *request, struct msg *answer)
{
	struct msg msg;

	if (request->msg.op_agents.agent[0]) {
		request_forward(request, answer);
		return;
	}
	request->rows_fd = msg_take_fd(answer, 0);
	request->rows_count = answer->rows.count;
	msg_init(&msg, MSG_AGENTS_LAST_QUERY);
	request_ask(request, UP_SCHEDD, &msg, MSG_ROWS, agents_with_last);
}

static void
agents(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_QUERY);
	memcpy(msg.agent_query.agent, request->msg.op_agents.agent, sizeof(msg.agent_query.agent));
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, agents_found);
}

static void
schedule(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_SCHEDULE_QUERY);
	memcpy(msg.schedule_query.agent, request->msg.op_schedule.agent,
	       sizeof(msg.schedule_query.agent));
	msg.schedule_query.count = request->msg.op_schedule.count;
	msg.schedule_query.from_ms = request->msg.op_schedule.from_ms;
	request_ask(request, UP_SCHEDD, &msg, MSG_ROWS, request_forward);
}

static void
remove_agent(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_OK,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = forward_ok,
	};
	const struct msg_op_remove *asked = &request->msg.op_remove;
	struct msg msg;

	memcpy(request->agent, asked->agent, sizeof(request->agent));
	msg_init(&msg, MSG_AGENT_REMOVE);
	memcpy(msg.agent_remove.agent, asked->agent, sizeof(asked->agent));
	msg.agent_remove.purge = asked->purge;
	msg.agent_remove.uid = request->peer.uid;
	msg.agent_remove.pid = request->peer.pid;
	msg.agent_remove.login_uid = request->peer.login_uid;
	request_call(request, &call, &msg);
}

/* Asked again of a schedd that was restarted: to be paused twice is to be paused. */
static void
order_pause(struct request *request, const char *agent, bool paused)
{
	struct msg msg;

	snprintf(request->agent, sizeof(request->agent), "%s", agent);
	if (!agent[0])
		snprintf(request->detail, sizeof(request->detail), "all agents");
	msg_init(&msg, MSG_AGENT_PAUSE);
	snprintf(msg.agent_pause.agent, sizeof(msg.agent_pause.agent), "%s", agent);
	msg.agent_pause.paused = paused;
	memcpy(msg.agent_pause.operator, request->peer.user, sizeof(msg.agent_pause.operator));
	request_ask(request, UP_SCHEDD, &msg, MSG_OK, forward_ok);
}

static void
pause_agent(struct request *request)
{
	order_pause(request, request->msg.op_pause.agent, true);
}

static void
resume_agent(struct request *request)
{
	order_pause(request, request->msg.op_resume.agent, false);
}

/* --- sessions --------------------------------------------------------------------------------- */

/* Whoever asks for one session is told of its tools besides, where runnerd is there to tell. */
static void
session_with_tools(struct request *request, struct msg *tools)
{
	struct msg answer;

	msg_init(&answer, MSG_ROWS);
	answer.rows.count = request->rows_count;
	msg_add_fd(&answer, steal_fd(&request->rows_fd));
	if (tools)
		msg_add_fd(&answer, msg_take_fd(tools, 0));
	request_reply(request, &answer);
}

static void
sessions_found(struct request *request, struct msg *rows)
{
	struct msg msg;

	if (!request->msg.op_sessions.ref[0]) {
		request_forward(request, rows);
		return;
	}
	if (!request_note_session(request, rows)) {
		request_fail_rows(request, "schedd");
		return;
	}
	request->rows_fd = msg_take_fd(rows, 0);
	request->rows_count = rows->rows.count;
	msg_init(&msg, MSG_SESSION_TOOLS_QUERY);
	msg.session_tools_query.session = request->session;
	memcpy(msg.session_tools_query.agent, request->agent, sizeof(request->agent));
	ask_if_there(request, UP_RUNNERD, &msg, MSG_ROWS, session_with_tools);
}

static void
sessions(struct request *request)
{
	const struct msg_op_sessions *asked = &request->msg.op_sessions;
	struct msg msg;

	msg_init(&msg, MSG_SESSION_QUERY);
	memcpy(msg.session_query.ref, asked->ref, sizeof(asked->ref));
	memcpy(msg.session_query.agent, asked->agent, sizeof(asked->agent));
	memcpy(msg.session_query.state, asked->state, sizeof(asked->state));
	msg.session_query.since_ms = asked->since_ms;
	msg.session_query.limit = asked->limit;
	request_ask(request, UP_SCHEDD, &msg, MSG_ROWS, sessions_found);
}

static void
follow_found(struct request *request, struct msg *rows)
{
	struct error error = ERROR_INIT;
	char ref[UUID_TEXT_LEN + 1];

	if (!request_note_session(request, rows)) {
		request_fail_rows(request, "schedd");
		return;
	}
	if (request->client && !client_follow(request->client, &request->session)) {
		error_why(&error, ERR_CONFLICT, "this connection follows %d sessions already",
			  FOLLOW_MAX);
		request_fail(request, &error);
		return;
	}
	/* Asked again now that events are pushed: nothing falls between the two. */
	request_ask_session(request, uuid_format(&request->session, ref), request_forward);
}

static void
follow(struct request *request)
{
	request_ask_session(request, request->msg.op_follow.ref, follow_found);
}

static void
log_found(struct request *request, struct msg *rows)
{
	struct msg msg;

	if (!request_note_session(request, rows)) {
		request_fail_rows(request, "schedd");
		return;
	}
	msg_init(&msg, MSG_LOG_QUERY);
	msg.log_query.session = request->session;
	memcpy(msg.log_query.agent, request->agent, sizeof(request->agent));
	request_ask(request, UP_RUNNERD, &msg, MSG_LOG, request_forward);
}

static void
session_log(struct request *request)
{
	request_ask_session(request, request->msg.op_log.ref, log_found);
}

/* By its full id, so that the audit names the session and not what was typed. */
static void
cancel_found(struct request *request, struct msg *rows)
{
	char id[UUID_TEXT_LEN + 1];
	struct msg msg;

	if (!request_note_session(request, rows)) {
		request_fail_rows(request, "schedd");
		return;
	}
	msg_init(&msg, MSG_SESSION_CANCEL);
	snprintf(msg.session_cancel.ref, sizeof(msg.session_cancel.ref), "%s",
		 uuid_format(&request->session, id));
	snprintf(msg.session_cancel.reason, sizeof(msg.session_cancel.reason), "cancelled by %s",
		 request->peer.user);
	request_ask(request, UP_SCHEDD, &msg, MSG_OK, forward_ok);
}

static void
cancel(struct request *request)
{
	request_ask_session(request, request->msg.op_cancel.ref, cancel_found);
}

/* --- homes ---------------------------------------------------------------------------------- */

static void
home_log(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_HOME_QUERY);
	memcpy(msg.home_query.agent, request->msg.op_home_log.agent, sizeof(msg.home_query.agent));
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, request_forward);
}

static void
home_diff(struct request *request)
{
	const struct msg_op_home_diff *asked = &request->msg.op_home_diff;
	struct msg msg;

	msg_init(&msg, MSG_HOME_DIFF_QUERY);
	memcpy(msg.home_diff_query.agent, asked->agent, sizeof(asked->agent));
	msg.home_diff_query.session = asked->session;
	request_ask(request, UP_RUNNERD, &msg, MSG_HOME_CHANGES, request_forward);
}

static void
home_rollback(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_OK,
	    .wait_ms = 0, /* as long as there is something to undo */
	    .then = forward_ok,
	};
	const struct msg_op_home_rollback *asked = &request->msg.op_home_rollback;
	struct msg msg;

	memcpy(request->agent, asked->agent, sizeof(request->agent));
	request->session = asked->session;
	msg_init(&msg, MSG_HOME_ROLLBACK);
	memcpy(msg.home_rollback.agent, asked->agent, sizeof(asked->agent));
	msg.home_rollback.session = asked->session;
	msg.home_rollback.uid = request->peer.uid;
	msg.home_rollback.pid = request->peer.pid;
	msg.home_rollback.login_uid = request->peer.login_uid;
	request_call(request, &call, &msg);
}

/* --- agentd itself -------------------------------------------------------------------------- */

static void
ask_agentd(struct request *request, enum msg_type type)
{
	struct call call = {
	    .upstream = UP_AGENTD,
	    .flags = CALL_ONCE,
	    .expected = MSG_OK,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = forward_ok,
	};
	struct msg msg;

	msg_init(&msg, type);
	request_call(request, &call, &msg);
}

static void
audit_log(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_LOG_QUERY);
	request_ask(request, UP_AGENTD, &msg, MSG_AUDIT_LOG, request_forward);
}

static void
show_config(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_CONFIG_QUERY);
	request_ask(request, UP_AGENTD, &msg, MSG_CONFIG, request_forward);
}

static void
reload(struct request *request)
{
	ask_agentd(request, MSG_RELOAD_REQUEST);
}

static void
drained(struct request *request, struct msg *answer)
{
	(void)answer;
	ask_agentd(request, MSG_SHUTDOWN_REQUEST);
}

static void
shutdown_agentd(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_SCHEDD,
	    .flags = CALL_REPEATED,
	    .expected = MSG_OK,
	    .wait_ms = 0, /* the sessions' stop_grace and teardown are their own deadlines */
	    .then = drained,
	};
	struct msg msg;

	if (!request->msg.op_shutdown.drain) {
		ask_agentd(request, MSG_SHUTDOWN_REQUEST);
		return;
	}
	msg_init(&msg, MSG_DRAIN);
	request_call(request, &call, &msg);
}

const struct request_rule request_rules[] = {
    {.type = MSG_OP_PING, .start = ping},
    {.type = MSG_OP_STATUS, .start = status},
    {.type = MSG_OP_DOCTOR, .start = doctor},
    {.type = MSG_OP_METRICS, .start = request_metrics},
    {.type = MSG_OP_AGENTS, .start = agents},
    {.type = MSG_OP_SESSIONS, .start = sessions},
    {.type = MSG_OP_FOLLOW, .start = follow},
    {.type = MSG_OP_LOG, .start = session_log},
    {.type = MSG_OP_WATCH, .start = request_watch},
    {.type = MSG_OP_INSTALL, .action = "agent.install", .start = request_install},
    {.type = MSG_OP_EXPLAIN, .start = request_explain},
    {.type = MSG_OP_IMAGE_VIEW, .action = "image.add", .start = request_image_view},
    {.type = MSG_OP_REMOVE, .action = "agent.remove", .start = remove_agent},
    {.type = MSG_OP_PAUSE, .action = "agent.pause", .start = pause_agent},
    {.type = MSG_OP_RESUME, .action = "agent.resume", .start = resume_agent},
    {.type = MSG_OP_RUN, .action = "session.run", .start = request_run},
    {.type = MSG_OP_CANCEL, .action = "session.cancel", .start = cancel},
    {.type = MSG_OP_HOME_LOG, .start = home_log},
    {.type = MSG_OP_HOME_DIFF, .start = home_diff},
    {.type = MSG_OP_HOME_ROLLBACK, .action = "home.rollback", .start = home_rollback},
    {.type = MSG_OP_SCHEDULE, .start = schedule},
    {.type = MSG_OP_EVENTS, .start = request_events},
    {.type = MSG_OP_EVENT_EMIT, .action = "event.emit", .start = request_event_emit},
    {.type = MSG_OP_EVENT_REPLAY, .action = "event.replay", .start = request_event_replay},
    {.type = MSG_OP_TOOLS, .start = request_tools},
    {.type = MSG_OP_TOOL_PIN, .action = "tool.pin", .start = request_tool_pin},
    {.type = MSG_OP_ASKS, .start = request_asks},
    {.type = MSG_OP_APPROVE, .action = "tool.approve", .start = request_approve},
    {.type = MSG_OP_DENY, .action = "tool.deny", .start = request_deny},
    {.type = MSG_OP_IMAGES, .start = request_images},
    {.type = MSG_OP_IMAGE_ADD, .action = "image.add", .start = request_image_add},
    {.type = MSG_OP_IMAGE_REMOVE, .action = "image.remove", .start = request_image_remove},
    {.type = MSG_OP_IMAGES_GC, .action = "image.gc", .start = request_images_gc},
    {.type = MSG_OP_AUDIT, .start = audit_log},
    {.type = MSG_OP_CONFIG, .start = show_config},
    {.type = MSG_OP_RELOAD, .action = "agentd.reload", .start = reload},
    {.type = MSG_OP_SHUTDOWN, .action = "agentd.shutdown", .start = shutdown_agentd},
};
const size_t request_rule_count = ARRAY_LEN(request_rules);
