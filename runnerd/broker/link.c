/* The channel with runnerd: the boot channel first, later whoever of root connects to the broker's
 * own socket. Everything that still holds can be told again, so nothing is kept for a runnerd that
 * is away but the lines of calls. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "state.h"

/* --- telling --------------------------------------------------------------------------------- */

void
link_send(struct broker *broker, struct msg *msg)
{
	clean_message(&broker->cleaner, msg);
	if (broker->channel && channel_phase(broker->channel) == IN_OPEN)
		channel_send(broker->channel, msg);
	else
		msg_close_fds(msg);
}

static void
tell_up(struct broker *broker)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_UP);
	msg.broker_up.session = broker->boot.session;
	msg.broker_up.pid = (uint32_t)getpid();
	link_send(broker, &msg);
}

void
link_tell_server(struct server *server)
{
	struct msg_broker_server_state *state;
	const struct catalog *tools = &server->broker->catalogs[ITEM_TOOL];
	struct msg msg;

	msg_init(&msg, MSG_BROKER_SERVER_STATE);
	state = &msg.broker_server_state;
	state->server = server->number;
	state->generation = server->generation;
	state->state = (uint8_t)server->state;
	for (size_t i = 0; i < tools->count; i++)
		state->tools += tools->items[i]->server == server;
	snprintf(state->revision, sizeof(state->revision), "%s", server->revision);
	snprintf(state->software, sizeof(state->software), "%s", server->software);
	snprintf(state->why, sizeof(state->why), "%s", server->why);
	link_send(server->broker, &msg);
}

void
link_tell_ready(struct broker *broker)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_READY);
	msg.broker_ready.ready = broker->ready;
	snprintf(msg.broker_ready.why, sizeof(msg.broker_ready.why), "%s", broker->ready_why);
	link_send(broker, &msg);
}

void
link_want(struct server *server, uint32_t generation, bool start, const char *why)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_WANT);
	msg.broker_want.server = server->number;
	msg.broker_want.generation = generation;
	msg.broker_want.start = start;
	snprintf(msg.broker_want.why, sizeof(msg.broker_want.why), "%s", why);
	link_send(server->broker, &msg);
}

/* --- being told ------------------------------------------------------------------------------ */

static struct server *
server_numbered(struct broker *broker, uint8_t number)
{
	return number < broker->server_count ? &broker->servers[number] : NULL;
}

static void
told_plugin(struct broker *broker, struct msg *msg)
{
	struct server *server = server_numbered(broker, msg->broker_plugin.server);

	if (server)
		server_handed(server, msg->broker_plugin.generation, msg_take_fd(msg, 0),
			      msg_take_fd(msg, 1));
}

static void
told_gone(struct broker *broker, struct msg *msg)
{
	struct server *server = server_numbered(broker, msg->broker_plugin_gone.server);

	if (server)
		server_gone(server, msg->broker_plugin_gone.generation,
			    msg->broker_plugin_gone.why);
}

static void
told_accept(struct broker *broker, struct msg *msg)
{
	if (msg->broker_accept.digest_len == DIGEST_BYTES)
		registry_accept(broker, msg->broker_accept.server, msg->broker_accept.tool,
				msg->broker_accept.digest);
}

static void
told_answer(struct broker *broker, struct msg *msg)
{
	approval_answer(broker, &msg->broker_answer);
}

static void
told_redact(struct broker *broker, struct msg *msg)
{
	struct msg done;

	clean_learn(&broker->cleaner, msg_take_fd(msg, 0));
	msg_init(&done, MSG_BROKER_REDACTED);
	done.broker_redacted.number = msg->broker_redact.number;
	link_send(broker, &done);
}

static void
tell_activity(struct broker *broker)
{
	struct msg msg;

	if (!broker->transition[0])
		return;
	msg_init(&msg, MSG_BROKER_ACTIVITY);
	snprintf(msg.broker_activity.name, sizeof(msg.broker_activity.name), "%s",
		 broker->transition);
	msg.broker_activity.at_ms = broker->transition_at_ms;
	link_send(broker, &msg);
}

/* In the order in which a new runnerd needs it. */
static void
told_query(struct broker *broker, struct msg *msg)
{
	(void)msg;
	tell_up(broker);
	for (size_t i = 0; i < broker->server_count; i++) {
		struct server *server = &broker->servers[i];

		link_tell_server(server);
		if (server->state == SERVER_WAITING && server->was_ready)
			loop_arm_in(server->timer, RESTART_FIRST_MS);
	}
	broker->report_due = true;
	registry_report_now(broker);
	if (broker->ready_told)
		link_tell_ready(broker);
	approvals_tell(broker);
	stats_tell(broker);
	notes_flush(broker);
	tell_activity(broker);
	if (broker->budget_told)
		budget_tell(broker);
	recorder_flush(broker);
}

static void
told_stop(struct broker *broker, struct msg *msg)
{
	(void)msg;
	broker_stop(broker);
}

static const struct {
	enum msg_type type;
	void (*told)(struct broker *broker, struct msg *msg);
} orders[] = {
    {MSG_BROKER_PLUGIN, told_plugin}, {MSG_BROKER_PLUGIN_GONE, told_gone},
    {MSG_BROKER_ACCEPT, told_accept}, {MSG_BROKER_ANSWER, told_answer},
    {MSG_BROKER_QUERY, told_query},   {MSG_BROKER_STOP, told_stop},
    {MSG_BROKER_REDACT, told_redact},
};

static void
message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		if (orders[i].type == msg->type)
			orders[i].told(arg, msg);
}

static void
closed(struct channel *channel, const struct error *error, void *arg)
{
	struct broker *broker = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (broker->channel == channel)
		broker->channel = NULL;
}

static const struct channel_ops ops = {.message = message, .closed = closed};

/* --- connections ----------------------------------------------------------------------------- */

/* Root alone may speak to a broker, and the newest connection is runnerd's. */
static void
accept_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct broker *broker = arg;
	int fd = accept_root(broker->own_listener);

	(void)source;
	(void)events;
	if (fd < 0)
		return;
	channel_free(broker->channel);
	broker->channel = channel_new(broker->loop, fd, CH_BROKER, SIDE_B, ROLE_BROKER,
				      ROLE_RUNNERD, &ops, broker);
	if (!broker->channel)
		log_error("the channel with runnerd: %s", strerrordesc_np(errno));
}

int
link_open(struct broker *broker, int boot_fd, struct error *error)
{
	broker->channel = channel_new_greeted(broker->loop, boot_fd, CH_BROKER, SIDE_B,
					      ROLE_RUNNERD, IN_OPEN, &ops, broker);
	broker->link_accept =
	    loop_add_io(broker->loop, broker->own_listener, EPOLLIN, accept_ready, broker);
	if (!broker->channel || !broker->link_accept)
		return error_errno(error, errno, "the broker's channels");
	tell_up(broker);
	return 0;
}

void
link_close(struct broker *broker)
{
	channel_free(broker->channel);
	broker->channel = NULL;
	loop_remove(broker->link_accept);
	broker->link_accept = NULL;
}
