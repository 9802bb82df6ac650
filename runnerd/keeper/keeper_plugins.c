/*
 * The other sandboxes of a session and its broker: inits whose program may end and be started
 * again, and one process beside them. None of them decides how the session ends, but for a broker
 * that dies.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "keeper.h"

enum {
	/* What each stage of their end may take: what they read is at its end; TERM was sent;
	 * KILL was. */
	CLOSE_MS = 2000,
	TERM_MS = 2000,
	KILL_MS = 1000,
};

static void
plugin_due(struct plugin *plugin)
{
	plugin->due = true;
	link_owe(plugin->keeper, DUE_PLUGINS);
}

static bool
all_gone(const struct keeper *keeper)
{
	for (unsigned i = 0; i < keeper->boot.plugins; i++)
		if (keeper->plugins[i].pidfd >= 0)
			return false;
	for (unsigned i = 0; i <= keeper->boot.plugins; i++)
		if (keeper->outlets[i].child.pidfd >= 0)
			return false;
	return keeper->broker.pidfd < 0;
}

static void
look_whether_gone(struct keeper *keeper)
{
	if (keeper->state == KEEPER_CLOSING && all_gone(keeper))
		keeper_on(keeper, EVENT_TOOLS_GONE);
}

/* --- one plugin's init ---------------------------------------------------------------------------
 */

/* EOF: it exits at once, and with it everything that the plugin started. */
static void
plugin_abandon(struct plugin *plugin)
{
	loop_remove(plugin->socket_source);
	plugin->socket_source = NULL;
	close_fd(&plugin->socket);
}

static void
plugin_tell(struct plugin *plugin, const struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(msg, bytes, sizeof(bytes));

	if (plugin->socket < 0)
		return;
	if (length < 0 ||
	    msg_send_raw(plugin->socket, bytes, (size_t)length, msg->fds, msg->nfds) < 0)
		plugin_abandon(plugin);
}

static void
plugin_stop(struct plugin *plugin, uint64_t grace_ms, bool stay)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_STOP);
	msg.init_stop.grace_ms = grace_ms;
	msg.init_stop.stay = stay;
	plugin_tell(plugin, &msg);
}

static void
plugin_started(struct plugin *plugin, const struct msg_init_started *started)
{
	plugin->state = started->errnum ? PLUGIN_GATED : PLUGIN_RUNNING;
	plugin->exit_code = plugin->signal = -1;
	snprintf(plugin->why, sizeof(plugin->why), "%s", started->errnum ? started->why : "");
}

static void
plugin_ended(struct plugin *plugin, const struct msg_init_ended *ended)
{
	plugin->state = PLUGIN_GATED;
	plugin->exit_code = ended->exit_code;
	plugin->signal = ended->signal;
	plugin->why[0] = '\0';
	if (plugin->keeper->state == KEEPER_CLOSING)
		plugin_abandon(plugin);
}

/* False when nothing more comes. */
static bool
plugin_hear(struct plugin *plugin)
{
	static struct msg msg;
	int rc;

	if (plugin->socket < 0)
		return false;
	rc = msg_recv_now(plugin->socket, CH_INIT, SIDE_A, IN_OPEN, &msg);
	if (rc == -EAGAIN)
		return false;
	if (rc == 1 && msg.type == MSG_INIT_STARTED)
		plugin_started(plugin, &msg.init_started);
	else if (rc == 1 && msg.type == MSG_INIT_ENDED)
		plugin_ended(plugin, &msg.init_ended);
	else
		plugin_abandon(plugin);
	plugin_due(plugin);
	return rc == 1;
}

static void
plugin_spoke(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	plugin_hear(arg);
}

/* Its last words lie in the socket still. */
static void
plugin_gone(struct loop_source *source, uint32_t events, void *arg)
{
	struct plugin *plugin = arg;

	(void)source;
	(void)events;
	while (plugin_hear(plugin))
		;
	plugin_abandon(plugin);
	loop_remove(plugin->pidfd_source);
	plugin->pidfd_source = NULL;
	close_fd(&plugin->pidfd);
	waitpid(plugin->init, NULL, WNOHANG | __WALL);
	plugin->state = PLUGIN_GONE;
	stream_drain(&plugin->stderr_stream);
	plugin_due(plugin);
	look_whether_gone(plugin->keeper);
}

void
plugin_take(struct keeper *keeper, struct msg *msg)
{
	unsigned number = msg->nursery_init.place - 1U;
	struct plugin *plugin;

	if (number >= keeper->boot.plugins || keeper->plugins[number].state != PLUGIN_NONE)
		return;
	plugin = &keeper->plugins[number];
	plugin->init = (pid_t)msg->nursery_init.pid;
	plugin->pidfd = msg_take_fd(msg, 0);
	plugin->socket = msg_take_fd(msg, 1);
	plugin->pidfd_source =
	    loop_add_io(keeper->loop, plugin->pidfd, EPOLLIN, plugin_gone, plugin);
	plugin->socket_source =
	    loop_add_io(keeper->loop, plugin->socket, EPOLLIN, plugin_spoke, plugin);
	plugin->state = PLUGIN_GATED;
	if (!plugin->pidfd_source || !plugin->socket_source)
		plugin_abandon(plugin);
	plugin_due(plugin);
}

/* --- runnerd's wishes ----------------------------------------------------------------------------
 */

/* The builder told us before it told runnerd; what lies in the nursery is read first. */
static struct plugin *
find(struct keeper *keeper, unsigned number)
{
	if (number >= keeper->boot.plugins)
		return NULL;
	while (keeper->plugins[number].state == PLUGIN_NONE && sandbox_look(keeper))
		;
	return &keeper->plugins[number];
}

bool
plugin_told_go(struct keeper *keeper, struct msg *msg)
{
	struct plugin *plugin = find(keeper, msg->keeper_plugin_go.plugin);
	struct msg go;

	if (!plugin)
		return false;
	if (msg->keeper_plugin_go.generation <= plugin->generation)
		return true;
	plugin->generation = msg->keeper_plugin_go.generation;
	if (plugin->state != PLUGIN_GATED || keeper->state >= KEEPER_ENDING) {
		plugin_due(plugin); /* it was not started, as the state tells */
		return true;
	}
	msg_init(&go, MSG_INIT_GO);
	msg_add_fd(&go, msg_take_fd(msg, 0));
	msg_add_fd(&go, msg_take_fd(msg, 1));
	plugin->state = PLUGIN_STARTING;
	plugin_tell(plugin, &go);
	msg_close_fds(&go);
	return true;
}

bool
plugin_told_stop(struct keeper *keeper, struct msg *msg)
{
	const struct msg_keeper_plugin_stop *stop = &msg->keeper_plugin_stop;
	struct plugin *plugin = find(keeper, stop->plugin);

	if (!plugin)
		return false;
	if (stop->generation == plugin->generation)
		plugin_stop(plugin, stop->grace_ms, true);
	return true;
}

/* --- the broker ----------------------------------------------------------------------------------
 */

static void
broker_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;

	(void)events;
	waitpid(keeper->broker.pid, NULL, WNOHANG);
	loop_remove(source);
	close_fd(&keeper->broker.pidfd);
	stream_drain(&keeper->broker_log);
	keeper_end_as(keeper, OUTCOME_FAILED, keeper->boot.grace_ms, "broker");
	look_whether_gone(keeper);
}

/* --- egress ---------------------------------------------------------------------------------- */

/* Its sockets went with it: what is connected to now is refused. */
static void
outlet_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct outlet *outlet = arg;
	struct keeper *keeper = outlet->keeper;
	char text[128];

	(void)events;
	waitpid(outlet->child.pid, NULL, WNOHANG);
	loop_remove(source);
	close_fd(&outlet->child.pidfd);
	stream_drain(&outlet->log);
	snprintf(text, sizeof(text), "the egress process of %s ended: it has no network any more",
		 outlet->whose ? outlet->whose : "the agent");
	if (keeper->state < KEEPER_CLOSING)
		output_say(keeper, text);
	look_whether_gone(keeper);
}

static int
watch_outlet(struct keeper *keeper, struct outlet *outlet)
{
	if (outlet->child.pidfd < 0)
		return 0;
	outlet->child.source =
	    loop_add_io(keeper->loop, outlet->child.pidfd, EPOLLIN, outlet_ended, outlet);
	return outlet->child.source ? stream_open(keeper, &outlet->log, "runtime") : -errno;
}

/* --- the end of all ------------------------------------------------------------------------------
 */

static void
stop_plugins(struct keeper *keeper)
{
	for (unsigned i = 0; i < keeper->boot.plugins; i++)
		plugin_stop(&keeper->plugins[i], TERM_MS, false);
}

static void
abandon_plugins(struct keeper *keeper)
{
	for (unsigned i = 0; i < keeper->boot.plugins; i++)
		plugin_abandon(&keeper->plugins[i]);
}

static void
closing_lasts(struct loop_source *timer, void *arg)
{
	static const struct {
		void (*act)(struct keeper *keeper);
		uint64_t wait_ms;
	} stages[] = {
	    {stop_plugins, TERM_MS + KILL_MS},
	    {abandon_plugins, KILL_MS},
	};
	struct keeper *keeper = arg;

	if (all_gone(keeper) || keeper->closing_stage == ARRAY_LEN(stages)) {
		keeper_on(keeper, EVENT_TOOLS_GONE);
		return;
	}
	stages[keeper->closing_stage].act(keeper);
	loop_arm_in(timer, stages[keeper->closing_stage++].wait_ms);
}

void
plugins_close(struct keeper *keeper)
{
	loop_remove(keeper->broker_signs);
	keeper->broker_signs = NULL;
	close_fd(&keeper->broker_life);
	for (unsigned i = 0; i <= keeper->boot.plugins; i++)
		close_fd(&keeper->outlets[i].life);
	for (unsigned i = 0; i < keeper->boot.plugins; i++) {
		struct plugin *plugin = &keeper->plugins[i];

		if (!keeper->opened || plugin->state != PLUGIN_RUNNING)
			plugin_abandon(plugin);
	}
	loop_arm_in(keeper->closing, all_gone(keeper) ? 0 : CLOSE_MS);
}

int
plugins_watch(struct keeper *keeper)
{
	int rc = 0;

	if (!keeper->boot.broker)
		return 0;
	keeper->closing = loop_add_timer(keeper->loop, closing_lasts, keeper);
	keeper->broker.source =
	    loop_add_io(keeper->loop, keeper->broker.pidfd, EPOLLIN, broker_ended, keeper);
	if (!keeper->closing || !keeper->broker.source)
		return -errno;
	rc = stream_open(keeper, &keeper->broker_log, "runtime");
	for (unsigned i = 0; rc == 0 && i <= keeper->boot.plugins; i++)
		rc = watch_outlet(keeper, &keeper->outlets[i]);
	for (unsigned i = 0; rc == 0 && i < keeper->boot.plugins; i++) {
		keeper->plugins[i].stderr_stream.rationed = true;
		rc =
		    stream_open(keeper, &keeper->plugins[i].stderr_stream, keeper->plugins[i].name);
	}
	return rc;
}
