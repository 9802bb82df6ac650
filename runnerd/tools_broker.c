/*
 * What a session's broker says: news of plugins, the registry, calls, and what the agent says of
 * itself. All of it is typed and bounded; JSON stays in memfds that nobody here reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "journal.h"
#include "secrets.h"
#include "tools.h"

static struct tool_server *
server_of(struct tools *tools, uint8_t number)
{
	return number < tools->count ? &tools->servers[number] : NULL;
}

static void
on_up(struct tools *tools, struct msg *msg)
{
	(void)msg;
	channel_set_phase(tools->broker, IN_OPEN);
	tools->up = true;
}

static void
on_want(struct tools *tools, struct msg *msg)
{
	const struct msg_broker_want *want = &msg->broker_want;
	struct tool_server *server = server_of(tools, want->server);

	if (!server)
		return;
	if (want->why[0])
		log_session(LOG_LEVEL_INFO, &tools->s->id, "the plugin %s: %s", server->name,
			    want->why);
	if (want->start)
		tools_start_plugin(server, want->generation);
	else
		tools_stop_plugin(server, want->generation);
}

static void
on_server_state(struct tools *tools, struct msg *msg)
{
	const struct msg_broker_server_state *state = &msg->broker_server_state;
	struct tool_server *server = server_of(tools, state->server);

	if (!server)
		return;
	server->state = state->state;
	server->tool_count = state->tools;
	snprintf(server->revision, sizeof(server->revision), "%s", state->revision);
	snprintf(server->software, sizeof(server->software), "%s", state->software);
	snprintf(server->why, sizeof(server->why), "%s", state->why);
	if (state->state == SERVER_FAILED)
		log_session(LOG_LEVEL_WARNING, &tools->s->id, "the plugin %s failed: %s",
			    server->name, state->why);
	tools_touch(tools);
}

static void
on_registry(struct tools *tools, struct msg *msg)
{
	close_fd(&tools->registry);
	close_fd(&tools->rows);
	tools->registry = msg_take_fd(msg, 0);
	tools->rows = msg_take_fd(msg, 1);
	tools->registered = msg->broker_registry.tools;
	tools->quarantined = msg->broker_registry.quarantined;
	tools->registry_changed = true;
	tools_touch(tools);
}

/* Said again to a restarted runnerd; then nobody waits for it. */
static void
on_ready(struct tools *tools, struct msg *msg)
{
	struct session *s = tools->s;
	struct error error = ERROR_INIT;

	if (tools->ready || s->phase != PHASE_BUILDING)
		return;
	tools->ready = true;
	if (msg->broker_ready.ready) {
		session_setup_goes_on(s);
		return;
	}
	error_why(&error, ERR_FAILED, "%s", msg->broker_ready.why);
	session_fail(s, &error);
}

static bool
was_allowed(uint8_t outcome)
{
	return outcome != CALL_REFUSED && outcome != CALL_DENIED && outcome != CALL_EXPIRED &&
	       outcome != CALL_BUDGET;
}

/* Names, sizes, times: never a value. */
static void
on_call(struct tools *tools, struct msg *msg)
{
	const struct msg_broker_call *call = &msg->broker_call;
	struct session *s = tools->s;
	struct msg_audit line = {.session = s->id, .allowed = was_allowed(call->outcome)};
	const char *outcome = call_outcome_name(call->outcome);

	snprintf(line.action, sizeof(line.action), "tool.call");
	snprintf(line.agent, sizeof(line.agent), "%s", s->agent_name);
	snprintf(line.detail, sizeof(line.detail),
		 "%s: %s, %llu us, arguments %s (%llu bytes), result %llu bytes%s%s", call->name,
		 outcome ? outcome : "unknown", (unsigned long long)call->took_us, call->shape,
		 (unsigned long long)call->argument_bytes, (unsigned long long)call->result_bytes,
		 call->operator[0] ? ", decided by " : "", call->operator);
	audit_send(s->r->audit, &line);
	usage_call(&s->r->usage, call->outcome, call->took_us);
}

static void
on_ask_over(struct tools *tools, struct msg *msg)
{
	asks_told_over(tools, &msg->broker_ask_over);
}

static void
on_redacted(struct tools *tools, struct msg *msg)
{
	tools->s->broker_redactions = msg->broker_redacted.number;
	secrets_redacted(tools->s);
}

static void
on_stats(struct tools *tools, struct msg *msg)
{
	close_fd(&tools->stats);
	tools->stats = msg_take_fd(msg, 0);
	tools->calls = msg->broker_stats.calls;
	tools->errors = msg->broker_stats.errors;
	tools_touch(tools);
}

static void
on_activity(struct tools *tools, struct msg *msg)
{
	memcpy(tools->activity, msg->broker_activity.name, sizeof(tools->activity));
	tools->activity_at_ms = msg->broker_activity.at_ms;
	tools_touch(tools);
}

static void
on_end(struct tools *tools, struct msg *msg)
{
	struct session *s = tools->s;

	if (msg->broker_end.outcome == OUTCOME_NONE || msg->broker_end.outcome >= OUTCOME_COUNT)
		return;
	if (s->phase == PHASE_OPENING || s->phase == PHASE_LIVE)
		keeper_tell_stop(s, msg->broker_end.outcome, msg->broker_end.reason);
}

static void
on_error(struct tools *tools, struct msg *msg)
{
	struct error error = ERROR_INIT;

	msg_to_error(msg, &error);
	error_what(&error, "the session's broker");
	if (tools->s->phase == PHASE_BUILDING)
		session_fail(tools->s, &error);
	else
		log_problem(LOG_LEVEL_ERROR, &error);
}

static const struct {
	enum msg_type type;
	void (*handler)(struct tools *tools, struct msg *msg);
} broker_messages[] = {
    {.type = MSG_BROKER_UP, .handler = on_up},
    {.type = MSG_BROKER_WANT, .handler = on_want},
    {.type = MSG_BROKER_SERVER_STATE, .handler = on_server_state},
    {.type = MSG_BROKER_REGISTRY, .handler = on_registry},
    {.type = MSG_BROKER_READY, .handler = on_ready},
    {.type = MSG_BROKER_CALL, .handler = on_call},
    {.type = MSG_BROKER_ASK, .handler = asks_told},
    {.type = MSG_BROKER_ASK_OVER, .handler = on_ask_over},
    {.type = MSG_BROKER_NOTE, .handler = tools_note},
    {.type = MSG_BROKER_REDACTED, .handler = on_redacted},
    {.type = MSG_BROKER_STATS, .handler = on_stats},
    {.type = MSG_BROKER_ACTIVITY, .handler = on_activity},
    {.type = MSG_BROKER_END, .handler = on_end},
    {.type = MSG_ERROR, .handler = on_error},
};

static void
broker_message(struct channel *channel, struct msg *msg, void *arg)
{
	size_t i;

	(void)channel;
	for (i = 0; i < ARRAY_LEN(broker_messages); i++)
		if (broker_messages[i].type == msg->type)
			broker_messages[i].handler(arg, msg);
}

static void
broker_opened(struct channel *channel, void *arg)
{
	struct tools *tools = arg;
	struct msg msg;

	if (!tools->adopted)
		return;
	msg_init(&msg, MSG_BROKER_QUERY);
	channel_send(channel, &msg);
}

/* Its process is the keeper's to watch: a session whose broker died is ended there. */
static void
broker_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct tools *tools = arg;
	struct error died = ERROR_INIT;

	(void)channel;
	tools->broker = NULL;
	secrets_redacted(tools->s);
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (tools->s->phase != PHASE_BUILDING || tools->s->spawn)
		return;
	error_why(&died, ERR_FAILED, "the session's broker ended");
	session_fail(tools->s, error ? error : &died);
}

const struct channel_ops broker_ops = {
    .opened = broker_opened,
    .message = broker_message,
    .closed = broker_closed,
};

/* --- adoption ------------------------------------------------------------------------------------
 */

/* Where the secrets of plugins lie, for a value that changes. */
static void
remember_inits(struct tools *tools)
{
	_cleanup_free_ struct journal *journal = malloc(sizeof(*journal));
	struct tool_server *server;

	if (!journal || journal_read(tools->s->records, journal) < 0)
		return;
	for (unsigned i = 0; i < journal->plugin_count; i++)
		if ((server = tools_find(tools, journal->plugins[i].server)))
			server->init = journal->plugins[i].init;
}

/* A session without a broker of its own, or whose broker is gone, goes on: its keeper tells. */
int
tools_adopt(struct session *s, struct error *error)
{
	int fd = session_connect(s, "broker", BROKER_UID, error);

	if (fd < 0) {
		log_problem(LOG_LEVEL_WARNING, error);
		return 0;
	}
	s->tools = tools_new(s);
	if (!s->tools) {
		close(fd);
		return error_errno(error, ENOMEM, "the session's tools");
	}
	s->tools->adopted = true;
	tools_name_servers(s->tools);
	remember_inits(s->tools);
	s->tools->broker = channel_new(s->r->loop, fd, CH_BROKER, SIDE_A, ROLE_RUNNERD, ROLE_BROKER,
				       &broker_ops, s->tools);
	return s->tools->broker ? 0 : error_errno(error, errno, "opening the broker's channel");
}
