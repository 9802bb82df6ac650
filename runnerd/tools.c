#include "tools.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "journal.h"
#include "keeper/keeper.h"
#include "mounts.h"
#include "net.h"
#include "pins.h"
#include "secrets.h"
#include "steps/steps.h"

enum { PLUGIN_GRACE_MS = 5000 /* for the end of a plugin that the broker wants to end */ };

/* --- sockets in the session's directory ----------------------------------------------------------
 */

/* Bound here, listened on by the broker after its drop, so that SO_PEERCRED names it. */
static int
bind_socket(const struct session *s, const char *name, int type, uid_t owner, mode_t mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", s->live, name);
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fchownat(s->live, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* --- one plugin ----------------------------------------------------------------------------------
 */

static void
plugin_failed(struct tool_server *server, const struct error *error)
{
	struct error named = *error;

	error_what(&named, "the sandbox of the plugin %s", server->name);
	session_fail(server->s, &named);
}

/* Noted so that a restarted runnerd finds its secrets too. */
static void
know_init(struct tool_server *server, pid_t pid)
{
	const struct manifest *plan = server->s->agent->plan;

	if (procid_read(pid, &server->init) < 0)
		server->init = (struct procid){0}; /* gone already: the keeper tells */
	else if (secret_uses_count(plan, server->name, PLACE_CREDENTIALS) ||
		 secret_uses_count(plan, server->name, PLACE_ENVIRONMENT))
		journal_plugin(server->s->journal, server->name, &server->init);
	secrets_built(server->s, server->name);
}

/* No plugin runs before its secrets are whole, and before keeper and broker can tell them: one that
 * holds none may have found another's in the home. */
void
tools_progress(struct session *s)
{
	struct tools *tools = s->tools;
	unsigned i;

	if (!tools || s->phase != PHASE_BUILDING || !s->keeper_up || s->hands ||
	    s->redaction >= 0 || !net_is_up(s))
		return;
	for (i = 0; i < tools->count; i++)
		if (tools->servers[i].built)
			tools_start_plugin(&tools->servers[i], 1);
}

struct tool_server *
tools_find(struct tools *tools, const char *server)
{
	unsigned i;

	for (i = 0; tools && i < tools->count; i++)
		if (!strcmp(tools->servers[i].name, server))
			return &tools->servers[i];
	return NULL;
}

static void
plugin_builder_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct tool_server *server = arg;
	struct error error = ERROR_INIT;

	(void)channel;
	if (msg->type == MSG_SANDBOX_BUILT) {
		server->built = true;
		know_init(server, (pid_t)msg->sandbox_built.pid);
		tools_progress(server->s);
		return;
	}
	msg_to_error(msg, &error);
	plugin_failed(server, &error);
}

static void
plugin_builder_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct tool_server *server = arg;
	struct error died = ERROR_INIT;

	(void)channel;
	server->builder = server->recipe.builder = NULL;
	if (server->built || server->s->phase != PHASE_BUILDING || (server->s->spawn && !error))
		return;
	error_why(&died, ERR_FAILED, "the sandbox's builder died");
	plugin_failed(server, error ? error : &died);
}

static const struct channel_ops plugin_builder_ops = {
    .message = plugin_builder_message,
    .closed = plugin_builder_closed,
};

/* One that sees the home is the agent to it; any other has an id of its own. */
static uint32_t
plugin_uid(const struct manifest_server *plan, unsigned number)
{
	return plugin_sees(plan, "home") ? AGENT_UID : PLUGIN_UID + number;
}

static int
open_plugin(struct session *s, unsigned number, struct error *error)
{
	const struct manifest_server *plan = &s->agent->plan->mcp_servers.items[number];
	struct tool_server *server = &s->tools->servers[number];
	struct cgroup_entry entry;
	char name[32];
	int ends[2], rc = channel_pair(ends);

	if (rc < 0)
		return error_errno(error, -rc, "a builder's channel");
	snprintf(server->name, sizeof(server->name), "%s", plan->name);
	snprintf(name, sizeof(name), "plugin-%s", plan->name);
	server->s = s;
	server->number = number;
	server->uid = plugin_uid(plan, number);
	rc = journal_server(s->journal, (uint8_t)number, server->uid, plan->name);
	if (rc < 0) {
		close(ends[0]);
		close(ends[1]);
		return error_errno(error, -rc, "writing the session's journal");
	}
	server->builder_end = ends[1];
	server->builder = channel_new(s->r->loop, ends[0], CH_BUILDER, SIDE_A, ROLE_RUNNERD,
				      ROLE_BUILDER, &plugin_builder_ops, server);
	if (!server->builder)
		return error_errno(error, errno, "opening a builder's channel");
	if (cgroup_enter_plugin(s->r->cgroups, &s->limits, &s->cgroup, name, &entry, error) < 0)
		return error_what(error, "the cgroup of the plugin %s", plan->name);
	server->recipe = (struct recipe){.builder = server->builder,
					 .base_uid = s->base_uid,
					 .uid = AGENT_UID,
					 .gid = AGENT_UID};
	recipe_begin(&server->recipe, name, number + 1, plan->name, &entry);
	cgroup_entry_close(&entry);
	if (net_open_plugin(s, number, error) < 0 ||
	    plugin_recipe(s, &server->recipe, plan, server->uid, error) < 0)
		return -1;
	if (!plugin_sees(plan, "home"))
		return plugin_seal(s, &server->recipe, plan, server->uid, error);
	recipe_share(&s->recipe, "/home/agent", number + 1);
	return 0;
}

/* The one home mount of the session: with it the recipe is complete. */
void
tools_share(struct session *s, struct msg *shared)
{
	unsigned number = shared->sandbox_shared.place - 1U;
	struct error error = ERROR_INIT;
	struct tool_server *server;

	if (!s->tools || number >= s->tools->count || s->phase != PHASE_BUILDING)
		return;
	server = &s->tools->servers[number];
	recipe_mount(&server->recipe, "/home/agent", msg_take_fd(shared, 0), true);
	if (plugin_seal(s, &server->recipe, &s->agent->plan->mcp_servers.items[number], server->uid,
			&error) < 0)
		plugin_failed(server, &error);
}

/* Pipes for one start: ends[0] the plugin's two, ends[1] the broker's. */
static int
make_pipes(const struct tool_server *server, int plugins[2], int brokers[2])
{
	uid_t uid = server->s->base_uid + server->uid;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	/* It may open /dev/stdin and its like again. */
	if (fchown(in[0], uid, uid) < 0 || fchown(out[1], uid, uid) < 0)
		log_session(LOG_LEVEL_WARNING, &server->s->id, "fchown of a plugin's pipes: %s",
			    strerrordesc_np(errno));
	plugins[0] = in[0];
	plugins[1] = out[1];
	brokers[0] = in[1];
	brokers[1] = out[0];
	return 0;
}

void
tools_start_plugin(struct tool_server *server, uint32_t generation)
{
	struct tools *tools = server->s->tools;
	int plugins[2] = {-1, -1}, brokers[2] = {-1, -1}, rc;
	struct msg msg;

	if (generation <= server->generation)
		return;
	server->generation = generation;
	rc = !server->s->keeper || server->keeper_state == PLUGIN_GONE
		 ? -ESRCH
		 : make_pipes(server, plugins, brokers);
	if (rc < 0) {
		tools_plugin_gone(server, generation,
				  rc == -ESRCH ? "its sandbox is gone" : strerrordesc_np(-rc));
		return;
	}
	msg_init(&msg, MSG_KEEPER_PLUGIN_GO);
	msg.keeper_plugin_go.plugin = (uint8_t)server->number;
	msg.keeper_plugin_go.generation = generation;
	msg_add_fd(&msg, plugins[0]);
	msg_add_fd(&msg, plugins[1]);
	channel_send(server->s->keeper, &msg);
	msg_init(&msg, MSG_BROKER_PLUGIN);
	msg.broker_plugin.server = (uint8_t)server->number;
	msg.broker_plugin.generation = generation;
	msg_add_fd(&msg, brokers[0]);
	msg_add_fd(&msg, brokers[1]);
	if (tools->broker)
		channel_send(tools->broker, &msg);
	else
		msg_close_fds(&msg);
}

void
tools_plugin_gone(struct tool_server *server, uint32_t generation, const char *why)
{
	struct tools *tools = server->s->tools;
	struct msg msg;

	server->told_gone = generation;
	if (!tools->broker)
		return;
	msg_init(&msg, MSG_BROKER_PLUGIN_GONE);
	msg.broker_plugin_gone.server = (uint8_t)server->number;
	msg.broker_plugin_gone.generation = generation;
	snprintf(msg.broker_plugin_gone.why, sizeof(msg.broker_plugin_gone.why), "%s", why);
	channel_send(tools->broker, &msg);
}

void
tools_stop_plugin(struct tool_server *server, uint32_t generation)
{
	struct msg msg;

	if (!server->s->keeper)
		return;
	msg_init(&msg, MSG_KEEPER_PLUGIN_STOP);
	msg.keeper_plugin_stop.plugin = (uint8_t)server->number;
	msg.keeper_plugin_stop.generation = generation;
	msg.keeper_plugin_stop.grace_ms = PLUGIN_GRACE_MS;
	channel_send(server->s->keeper, &msg);
}

static const char *
end_of(const struct msg_keeper_plugin *told, char *text, size_t size)
{
	if (told->why[0])
		snprintf(text, size, "%s", told->why);
	else if (told->signal > 0)
		snprintf(text, size, "killed by signal %d (%s)", told->signal,
			 sigdescr_np(told->signal) ? sigdescr_np(told->signal) : "?");
	else if (told->exit_code >= 0)
		snprintf(text, size, "exit status %d", told->exit_code);
	else
		snprintf(text, size, "its sandbox was killed");
	return text;
}

void
tools_heard_keeper(struct session *s, const struct msg_keeper_plugin *told)
{
	struct tool_server *server;
	char text[REASON_MAX + 1];

	if (!s->tools || told->plugin >= s->tools->count)
		return;
	server = &s->tools->servers[told->plugin];
	server->keeper_state = told->state;
	if (told->generation > server->generation)
		server->generation = told->generation; /* of an earlier runnerd */
	if (!told->generation || told->generation <= server->told_gone ||
	    (told->state != PLUGIN_GATED && told->state != PLUGIN_GONE))
		return;
	tools_plugin_gone(server, told->generation, end_of(told, text, sizeof(text)));
}

/* --- the broker ----------------------------------------------------------------------------------
 */

static int
add_rule(struct rows *rows, enum rule_kind kind, unsigned server, const char *glob)
{
	struct msg record;

	msg_init(&record, MSG_BROKER_RULE);
	record.broker_rule.kind = (uint8_t)kind;
	record.broker_rule.server = (uint8_t)server;
	snprintf(record.broker_rule.glob, sizeof(record.broker_rule.glob), "%s", glob);
	return rows_add(rows, &record);
}

static int
add_rules(struct rows *rows, enum rule_kind kind, unsigned server, const struct strings *globs)
{
	int rc = 0;
	size_t i;

	for (i = 0; !rc && i < globs->count; i++)
		rc = add_rule(rows, kind, server, globs->items[i]);
	return rc;
}

static int
add_server(struct rows *rows, const struct manifest_server *plan)
{
	struct msg record;

	msg_init(&record, MSG_BROKER_SERVER);
	snprintf(record.broker_server.name, sizeof(record.broker_server.name), "%s", plan->name);
	record.broker_server.required = plan->required;
	record.broker_server.passthrough = plan->passthrough;
	record.broker_server.timeout_ms =
	    plan->timeout_ms == ABSENT ? CALL_TIMEOUT_MS : plan->timeout_ms;
	record.broker_server.start_timeout_ms =
	    plan->start_timeout_ms == ABSENT ? START_TIMEOUT_MS : plan->start_timeout_ms;
	record.broker_server.result_bytes = RESULT_BYTES;
	return rows_add(rows, &record);
}

/* What is accepted for the agent, of the plugins that it has now. */
static int
add_pins(const struct session *s, struct rows *rows)
{
	const struct tools *tools = s->tools;
	_cleanup_(pins_free) struct pins pins = {0};
	int rc = tools->count ? pins_read(s->r->at.tools, s->agent_name, &pins) : 0;
	struct msg record;
	size_t i, j;

	msg_init(&record, MSG_BROKER_PIN);
	for (i = 0; i < tools->count; i++)
		for (j = 0; !rc && j < pins.count; j++) {
			const struct msg_tool_pin *pin = &pins.items[j].head;

			if (strcmp(pin->server, tools->servers[i].name) != 0)
				continue;
			record.broker_pin.server = (uint8_t)i;
			memcpy(record.broker_pin.tool, pin->tool, sizeof(pin->tool));
			record.broker_pin.digest_len = DIGEST_BYTES;
			memcpy(record.broker_pin.digest, pin->digest, DIGEST_BYTES);
			rc = rows_add(rows, &record);
		}
	return rc;
}

static int
write_plan(const struct session *s, struct rows *rows)
{
	const struct manifest *plan = s->agent->plan;
	int rc = 0;
	size_t i;

	for (i = 0; !rc && i < plan->mcp_servers.count; i++)
		rc = add_server(rows, &plan->mcp_servers.items[i]);
	for (i = 0; !rc && i < plan->mcp_servers.count; i++) {
		const struct manifest_server *server = &plan->mcp_servers.items[i];

		rc = add_rules(rows, RULE_ALLOW, (unsigned)i, &server->allow);
		if (!rc)
			rc = add_rules(rows, RULE_DENY, (unsigned)i, &server->deny);
		if (!rc)
			rc = add_rules(rows, RULE_ASK, (unsigned)i, &server->ask);
	}
	if (!rc)
		rc = add_rules(rows, RULE_CAPABILITY, NO_SERVER, &plan->capabilities);
	if (!rc)
		rc = add_pins(s, rows);
	return rc;
}

/* The memfd of BROKER_BOOT. fd or -errno. */
static int
plan_memfd(const struct session *s)
{
	struct rows *rows = rows_new("broker-plan");
	int rc = rows ? write_plan(s, rows) : -ENOMEM;

	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

static int
boot_broker(struct session *s, const char *mission, size_t length, struct error *error)
{
	const struct {
		const char *what;
		int fd;
	} fds[] = {
	    {.what = "the plan", .fd = plan_memfd(s)},
	    {.what = "the mission", .fd = memfd_sealed("mission", mission, length)},
	    {.what = "the agent's socket", .fd = steal_fd(&s->tools->agent_socket)},
	    {.what = "the broker's socket",
	     .fd = bind_socket(s, "broker.sock", SOCK_SEQPACKET, 0, 0600)},
	    {.what = "the empty directory", .fd = fcntl(s->r->at.empty, F_DUPFD_CLOEXEC, 3)},
	    {.what = "the broker's filter", .fd = fcntl(s->r->broker_program, F_DUPFD_CLOEXEC, 3)},
	};
	struct msg msg;
	int rc = 0;
	size_t i;

	msg_init(&msg, MSG_BROKER_BOOT);
	msg.broker_boot.session = s->id;
	msg.broker_boot.uid = s->base_uid + BROKER_UID;
	msg.broker_boot.agent_uid = s->base_uid + AGENT_UID;
	msg.broker_boot.max_tool_calls = s->agent->plan->budget.max_tool_calls == ABSENT
					     ? 0
					     : s->agent->plan->budget.max_tool_calls;
	msg.broker_boot.approval_ms = APPROVAL_MS;
	msg.broker_boot.has_capabilities = s->agent->plan->has_capabilities;
	for (i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i].fd >= 0)
			msg_add_fd(&msg, fds[i].fd);
		else if (!rc)
			rc = error_errno(error, -fds[i].fd, "opening %s", fds[i].what);
	}
	if (rc < 0) {
		msg_close_fds(&msg);
		return rc;
	}
	rc = channel_send(s->tools->broker, &msg);
	return rc < 0 ? error_errno(error, -rc, "sending BROKER_BOOT") : 0;
}

void
tools_tell_redaction(struct session *s, int fd)
{
	struct msg msg;

	if (!s->tools || !s->tools->broker)
		return;
	msg_init(&msg, MSG_BROKER_REDACT);
	msg.broker_redact.number = s->redactions;
	if (msg_add_fd(&msg, fcntl(fd, F_DUPFD_CLOEXEC, 3)))
		channel_send(s->tools->broker, &msg);
}

static int
send_keeper(struct session *s, struct msg *msg, struct error *error)
{
	int rc = channel_send(s->keeper, msg);

	return rc < 0 ? error_errno(error, -rc, "sending %s", msg_rule(msg->type)->name) : 0;
}

int
tools_boot(struct session *s, const char *mission, size_t length, struct error *error)
{
	struct tools *tools = s->tools;
	struct msg msg;
	unsigned i;

	msg_init(&msg, MSG_KEEPER_BROKER);
	msg_add_fd(&msg, fcntl(s->r->broker_binary, F_DUPFD_CLOEXEC, 3));
	msg_add_fd(&msg, steal_fd(&tools->broker_end));
	if (send_keeper(s, &msg, error) < 0)
		return -1;
	for (i = 0; i < tools->count; i++) {
		msg_init(&msg, MSG_KEEPER_BUILDER);
		msg.keeper_builder.plugin = (uint8_t)i;
		msg.keeper_builder.uid = tools->servers[i].uid;
		snprintf(msg.keeper_builder.name, sizeof(msg.keeper_builder.name), "%s",
			 tools->servers[i].name);
		msg_add_fd(&msg, steal_fd(&tools->servers[i].builder_end));
		net_add_plugins(s, i, &msg);
		if (send_keeper(s, &msg, error) < 0)
			return -1;
	}
	if (net_boot(s, error) < 0)
		return -1;
	return boot_broker(s, mission, length, error);
}

/* --- open and close ------------------------------------------------------------------------------
 */

struct tools *
tools_new(struct session *s)
{
	struct tools *tools = calloc(1, sizeof(*tools));
	unsigned i;

	if (!tools)
		return NULL;
	tools->s = s;
	tools->broker_end = tools->agent_socket = tools->registry = tools->rows = tools->stats = -1;
	for (i = 0; i < SERVERS_MAX; i++)
		tools->servers[i].builder_end = -1;
	return tools;
}

void
tools_name_servers(struct tools *tools)
{
	_cleanup_free_ struct journal *journal = malloc(sizeof(*journal));
	unsigned i;

	if (!journal || journal_read(tools->s->records, journal) < 0)
		return;
	tools->count = journal->server_count;
	for (i = 0; i < tools->count; i++) {
		struct tool_server *server = &tools->servers[i];

		server->s = tools->s;
		server->number = i;
		server->uid = journal->servers[i].uid;
		server->built = true;
		snprintf(server->name, sizeof(server->name), "%s", journal->servers[i].name);
	}
}

/* What the agent connects to: the one file of the session's directory that its sandbox sees. */
static int
open_agent_socket(struct session *s, struct error *error)
{
	_cleanup_close_ int name = -1;
	int mount;

	s->tools->agent_socket =
	    bind_socket(s, "agent.sock", SOCK_STREAM, s->base_uid + AGENT_UID, 0600);
	if (s->tools->agent_socket < 0)
		return error_errno(error, -s->tools->agent_socket, "making the agent's socket");
	name = openat(s->live, "agent.sock", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (name < 0)
		return error_errno(error, errno, "opening the agent's socket");
	mount = mount_detached(name, MOUNT_VIEW);
	if (mount < 0)
		return error_errno(error, -mount, "open_tree of the agent's socket");
	recipe_mount(&s->recipe, "/run/agentd/agentd.sock", mount, false);
	return 0;
}

static int
open_broker(struct session *s, struct error *error)
{
	struct tools *tools = s->tools;
	int ends[2], rc = channel_pair(ends);

	if (rc < 0)
		return error_errno(error, -rc, "the broker's channel");
	tools->broker_end = ends[1];
	tools->broker = channel_new(s->r->loop, ends[0], CH_BROKER, SIDE_A, ROLE_RUNNERD,
				    ROLE_BROKER, &broker_ops, tools);
	return tools->broker ? 0 : error_errno(error, errno, "opening the broker's channel");
}

int
tools_open(struct session *s, struct error *error)
{
	unsigned i;

	s->tools = tools_new(s);
	if (!s->tools)
		return error_errno(error, ENOMEM, "the session's tools");
	if (open_agent_socket(s, error) < 0 || open_broker(s, error) < 0)
		return -1;
	for (i = 0; i < s->agent->plan->mcp_servers.count; i++) {
		s->tools->count++;
		if (open_plugin(s, i, error) < 0)
			return -1;
	}
	return 0;
}

uint64_t
tools_start_ms(const struct session *s)
{
	uint64_t most = 0, one;
	size_t i;

	for (i = 0; i < s->agent->plan->mcp_servers.count; i++) {
		one = s->agent->plan->mcp_servers.items[i].start_timeout_ms;
		if (one == ABSENT)
			one = START_TIMEOUT_MS;
		if (one > most)
			most = one;
	}
	return most;
}

void
tools_end(struct tools *tools)
{
	unsigned i;

	for (i = 0; tools && i < tools->count; i++) {
		struct tool_server *server = &tools->servers[i];

		channel_free(server->builder);
		server->builder = server->recipe.builder = NULL;
		close_fd(&server->builder_end);
	}
}

void
tools_free(struct tools *tools)
{
	if (!tools)
		return;
	channel_free(tools->broker);
	tools_end(tools);
	asks_drop(tools);
	loop_remove(tools->settle);
	close_fd(&tools->broker_end);
	close_fd(&tools->agent_socket);
	close_fd(&tools->registry);
	close_fd(&tools->rows);
	close_fd(&tools->stats);
	free(tools);
}
