#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/log.h"
#include "common/netrule.h"
#include "inject.h"
#include "tools.h"

/* The session's rules, beside its journal: a plan may be another one when they are told again. */
#define RULES_FILE "network"

enum {
	RULES_BYTES_MAX = 1 << 20,
	USES_AUDITED = 64, /* names of one session */
	METERS_KEPT = 512, /* of one egress process, which tells fewer */
	FILE_NAME_SIZE = 32,
};

const char net_resolv_conf[] = "nameserver 198.18.0.1\noptions timeout:3 attempts:2\n";

static const struct channel_ops egress_ops;

/* --- rules ------------------------------------------------------------------------------------ */

static bool
lets_through(enum network_policy policy, const struct strings *allowlist)
{
	return policy == NETWORK_FULL ||
	       ((policy == NETWORK_ALLOWLIST || policy == NETWORK_LOCAL) && allowlist->count > 0);
}

bool
net_wanted(const struct session *s)
{
	const struct manifest *plan = s->agent->plan;

	return lets_through(s->effective.network, &plan->network.allowlist) ||
	       (inject_wanted(plan) && (s->effective.network == NETWORK_ALLOWLIST ||
					s->effective.network == NETWORK_LOCAL));
}

bool
net_plugin_wanted(const struct manifest_server *plan)
{
	return lets_through(plan->network.policy, &plan->network.allowlist);
}

static bool
has_many_ports(enum network_policy policy, const struct strings *allowlist)
{
	_cleanup_free_ struct net_rule *rules = NULL;
	struct net_rules all = {0};
	uint16_t ports[NET_PORTS_MAX];
	char why[REASON_SIZE];

	if (policy != NETWORK_ALLOWLIST && policy != NETWORK_LOCAL)
		return policy == NETWORK_FULL;
	rules = calloc(allowlist->count + 1, sizeof(*rules));
	all.items = rules;
	while (rules && all.count < allowlist->count &&
	       net_rule_parse(allowlist->items[all.count], &rules[all.count], why))
		all.count++;
	return net_rules_ports(&all, ports) < 0;
}

bool
net_wants_nf_tables(const struct manifest *plan, enum network_policy policy)
{
	bool many = has_many_ports(policy, &plan->network.allowlist);

	for (size_t i = 0; !many && i < plan->mcp_servers.count; i++) {
		const struct manifest_network *network = &plan->mcp_servers.items[i].network;

		many = has_many_ports(network->policy, &network->allowlist);
	}
	return many;
}

static int
write_rules(enum network_policy policy, const struct strings *allowlist, struct rows *rows)
{
	char why[REASON_SIZE];
	struct net_rule rule;
	int rc = 0;

	for (size_t i = 0; !rc && i < allowlist->count; i++)
		rc = net_rule_parse(allowlist->items[i], &rule, why) ? net_rule_add(rows, &rule)
								     : -EINVAL;
	return !rc && policy == NETWORK_FULL ? net_rule_add(rows, &net_rule_any) : rc;
}

/* The rules as a sealed memfd; for the dialer with what inject of this plan (NULL: none) implies,
 * which the agent's own connections may not use. fd or -errno. */
static int
rules_memfd(enum network_policy policy, const struct strings *allowlist,
	    const struct manifest *implying)
{
	struct rows *rows = rows_new("network-rules");
	int rc = rows ? write_rules(policy, allowlist, rows) : -ENOMEM;

	if (rc == 0 && implying)
		rc = inject_add_rules(implying, rows);
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

static const char *
rules_file(unsigned place, char name[FILE_NAME_SIZE])
{
	snprintf(name, FILE_NAME_SIZE, place ? RULES_FILE "-%u" : RULES_FILE, place);
	return name;
}

/* Only a session that lives needs them again: they need not be durable. One that a death left half
 * built is built again over those that it left. */
static int
keep_rules(const struct net *net, int rules)
{
	_cleanup_close_ int file = -1;
	_cleanup_free_ char *bytes = NULL;
	char name[FILE_NAME_SIZE];
	size_t length;
	int rc = read_file(rules, RULES_BYTES_MAX, &bytes, &length);

	if (rc < 0)
		return rc;
	file = openat(net->s->records, rules_file(net->place, name),
		      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return file < 0 ? -errno : write_all(file, bytes, length);
}

static int
kept_rules(const struct net *net)
{
	_cleanup_free_ char *bytes = NULL;
	char name[FILE_NAME_SIZE];
	size_t length;
	int rc = read_file_at(net->s->records, rules_file(net->place, name), RULES_BYTES_MAX,
			      &bytes, &length);

	return rc < 0 ? rc : memfd_sealed("network-rules", bytes, length);
}

/* --- all of a session ------------------------------------------------------------------------- */

/* The one after this, NULL: the first. */
static struct net *
following(const struct session *s, const struct net *net)
{
	if (!net)
		return s->net ? s->net : s->plugin_nets;
	return net == s->net ? s->plugin_nets : net->next;
}

static struct net *
net_at(const struct session *s, unsigned place)
{
	struct net *net = following(s, NULL);

	while (net && net->place != place)
		net = following(s, net);
	return net;
}

/* "" for the agent's. */
static const char *
plugin_of(const struct net *net)
{
	const struct tools *tools = net->s->tools;

	return net->place && tools ? tools->servers[net->place - 1].name : "";
}

bool
net_is_up(const struct session *s)
{
	for (const struct net *net = following(s, NULL); net; net = following(s, net))
		if (!net->up)
			return false;
	return true;
}

/* --- the dialer ------------------------------------------------------------------------------- */

/* Tells the dialer of the session. The other end of their channel, or -errno; without a dialer one
 * that is at its end. */
static int
tell_dialer(const struct net *net)
{
	struct channel *dialer = net->s->r->dialer;
	int ends[2], rules, rc = channel_pair(ends);
	struct msg msg;

	if (rc < 0)
		return rc;
	rules = dialer ? kept_rules(net) : -ENOENT;
	if (rules < 0) {
		close(ends[1]);
		return ends[0];
	}
	msg_init(&msg, MSG_DIALER_SESSION);
	msg.dialer_session.session = net->s->id;
	msg.dialer_session.place = (uint8_t)net->place;
	msg_add_fd(&msg, rules);
	msg_add_fd(&msg, ends[1]);
	channel_send(dialer, &msg);
	return ends[0];
}

static void
redial(struct net *net)
{
	struct msg msg;
	int end;

	if (!net->egress || channel_phase(net->egress) != IN_OPEN) {
		net->dialer_stale = true;
		return;
	}
	net->dialer_stale = false;
	end = tell_dialer(net);
	if (end < 0)
		return;
	msg_init(&msg, MSG_EGRESS_DIALER);
	msg_add_fd(&msg, end);
	channel_send(net->egress, &msg);
}

void
net_dialer_introduced(struct runnerd *r)
{
	for (struct session *s = r->sessions->first; s; s = s->next)
		for (struct net *net = following(s, NULL); net; net = following(s, net))
			redial(net);
}

/* --- what egress says ------------------------------------------------------------------------- */

static void
on_up(struct net *net, struct msg *msg)
{
	struct session *s = net->s;

	(void)msg;
	channel_set_phase(net->egress, IN_OPEN);
	CRASH_POINT("net.up");
	net->up = true;
	if (net->adopted || net->dialer_stale)
		redial(net);
	tools_progress(s);
	session_progress(s);
}

static void
audit(const struct net *net, bool allowed, const char *action, const char *detail)
{
	const struct session *s = net->s;
	struct msg_audit line = {.session = s->id, .allowed = allowed};

	snprintf(line.action, sizeof(line.action), "%s", action);
	snprintf(line.agent, sizeof(line.agent), "%s", s->agent_name);
	if (net->place)
		snprintf(line.detail, sizeof(line.detail), "plugin %s: %.*s", plugin_of(net),
			 REASON_MAX - SERVER_NAME_MAX - 16, detail);
	else
		snprintf(line.detail, sizeof(line.detail), "%s", detail);
	audit_send(s->r->audit, &line);
}

/* "NAME:PORT: why (12 times)", without what it does not have. */
static void
on_note(struct net *net, struct msg *msg)
{
	const struct msg_egress_note *note = &msg->egress_note;
	char port[16] = "", times[48] = "", detail[REASON_MAX + 1];

	if (note->port && note->port <= UINT16_MAX)
		snprintf(port, sizeof(port), ":%u", note->port);
	if (note->count > 1)
		snprintf(times, sizeof(times), " (%llu times)", (unsigned long long)note->count);
	snprintf(detail, sizeof(detail), "%s%s%s%s%s", note->name[0] ? note->name : "a name", port,
		 note->why[0] ? ": " : "", note->why, times);
	audit(net, note->allowed, note->allowed ? "network.use" : "network.deny", detail);
}

/* For metrics: what came since it was told last. One that another runnerd has started begins with
 * what it tells first. */
static void
count_usage(struct net *net, uint64_t denials)
{
	struct usage *usage = &net->s->r->usage;
	struct rows_reader *reader = net->uses >= 0 ? rows_open(net->uses) : NULL;
	uint64_t received = 0, sent = 0;
	struct msg row;

	for (unsigned i = 0; reader && i < METERS_KEPT && rows_next(reader, &row) > 0; i++)
		if (row.type == MSG_NET_METER) {
			received += row.net_meter.received_bytes;
			sent += row.net_meter.sent_bytes;
		}
	rows_close(reader);
	if (net->counted || !net->adopted) {
		usage->received_bytes +=
		    received > net->received_bytes ? received - net->received_bytes : 0;
		usage->sent_bytes += sent > net->sent_bytes ? sent - net->sent_bytes : 0;
		usage->denials += denials > net->denials ? denials - net->denials : 0;
	}
	net->received_bytes = received;
	net->sent_bytes = sent;
	net->counted = true;
}

static void
on_uses(struct net *net, struct msg *msg)
{
	close_fd(&net->uses);
	net->uses = msg_take_fd(msg, 0);
	count_usage(net, msg->egress_uses.denials);
	net->connections = msg->egress_uses.connections;
	net->denials = msg->egress_uses.denials;
	if (net->s->tools)
		tools_touch(net->s->tools);
}

static int
add_meters(const struct net *net, struct rows *rows)
{
	struct rows_reader *reader = net->uses >= 0 ? rows_open(net->uses) : NULL;
	struct msg row;
	int rc = 0, next;

	for (unsigned i = 0; rc == 0 && reader && i < METERS_KEPT; i++) {
		next = rows_next(reader, &row);
		if (next <= 0 || row.type != MSG_NET_METER || row.net_meter.kind >= METER_KINDS)
			break;
		snprintf(row.net_meter.server, sizeof(row.net_meter.server), "%s", plugin_of(net));
		rc = rows_add(rows, &row);
	}
	rows_close(reader);
	return rc;
}

int
net_meters(const struct session *s, struct rows *rows)
{
	int rc = 0;

	for (const struct net *net = following(s, NULL); net && rc == 0; net = following(s, net))
		rc = add_meters(net, rows);
	return rc;
}

void
net_bytes(const struct session *s, uint64_t *sent, uint64_t *received)
{
	struct msg row;

	*sent = *received = 0;
	for (const struct net *net = following(s, NULL); net; net = following(s, net)) {
		struct rows_reader *reader = net->uses >= 0 ? rows_open(net->uses) : NULL;

		for (unsigned i = 0; reader && i < METERS_KEPT && rows_next(reader, &row) == 1; i++)
			if (row.type == MSG_NET_METER) {
				*sent += row.net_meter.sent_bytes;
				*received += row.net_meter.received_bytes;
			}
		rows_close(reader);
	}
}

bool
net_metered(const struct session *s)
{
	const struct net *net = following(s, NULL);

	while (net && net->uses < 0)
		net = following(s, net);
	return net != NULL;
}

void
net_finish(struct session *s)
{
	for (struct net *net = following(s, NULL); net; net = following(s, net))
		if (net->egress)
			channel_drain(net->egress);
}

static const char *
meter_name(const struct msg_net_meter *meter)
{
	if (meter->kind == METER_ADDRESSES)
		return "addresses";
	if (meter->kind == METER_OTHERS)
		return "others";
	return meter->name[0] ? meter->name : "a name that is none";
}

/* What went through, name by name, where it is kept. */
static void
audit_uses(const struct net *net)
{
	struct rows_reader *reader = net->uses >= 0 ? rows_open(net->uses) : NULL;
	char detail[REASON_MAX + 1];
	struct msg row;

	for (int i = 0; reader && i < USES_AUDITED && rows_next(reader, &row) > 0; i++) {
		const struct msg_net_meter *use = &row.net_meter;

		if (row.type != MSG_NET_METER)
			break;
		snprintf(detail, sizeof(detail),
			 "%s: %llu connections, %llu bytes sent, %llu received, %llu denials",
			 meter_name(use), (unsigned long long)use->connections,
			 (unsigned long long)use->sent_bytes,
			 (unsigned long long)use->received_bytes, (unsigned long long)use->denials);
		audit(net, true, "network.total", detail);
	}
	rows_close(reader);
}

static void
on_ending(struct net *net, struct msg *msg)
{
	(void)msg;
	net->ending = true;
	audit_uses(net);
}

static void
on_error(struct net *net, struct msg *msg)
{
	struct error error = ERROR_INIT;

	msg_to_error(msg, &error);
	if (net->s->phase == PHASE_BUILDING)
		session_fail(net->s, &error);
	else
		log_problem(LOG_LEVEL_ERROR, &error);
}

static const struct {
	enum msg_type type;
	void (*handler)(struct net *net, struct msg *msg);
} egress_messages[] = {
    {.type = MSG_EGRESS_UP, .handler = on_up},
    {.type = MSG_EGRESS_NOTE, .handler = on_note},
    {.type = MSG_EGRESS_USES, .handler = on_uses},
    {.type = MSG_EGRESS_ENDING, .handler = on_ending},
    {.type = MSG_ERROR, .handler = on_error},
};

static void
egress_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	for (size_t i = 0; i < ARRAY_LEN(egress_messages); i++)
		if (egress_messages[i].type == msg->type)
			egress_messages[i].handler(arg, msg);
}

static void
egress_opened(struct channel *channel, void *arg)
{
	const struct net *net = arg;
	struct msg msg;

	if (!net->adopted)
		return;
	msg_init(&msg, MSG_EGRESS_QUERY);
	channel_send(channel, &msg);
}

/* The session goes on without a network: its connections are at their end, and no new one is made.
 */
static void
egress_closed(struct channel *channel, const struct error *error, void *arg)
{
	char died[128] = "the session's egress process ended";
	struct net *net = arg;
	struct session *s = net->s;
	struct error why = ERROR_INIT;

	(void)channel;
	net->egress = NULL;
	if (net->place)
		snprintf(died, sizeof(died), "the egress process of the plugin %s ended",
			 plugin_of(net));
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (s->phase == PHASE_BUILDING && !s->spawn) {
		error_why(&why, ERR_FAILED, "%s", died);
		session_fail(s, error ? error : &why);
	} else if (!net->ending && s->phase < PHASE_ENDING) {
		log_session(LOG_LEVEL_WARNING, &s->id, "%s; it has no network any more", died);
		audit(net, true, "network.lost", died);
	}
}

static const struct channel_ops egress_ops = {
    .opened = egress_opened,
    .message = egress_message,
    .closed = egress_closed,
};

/* --- the step --------------------------------------------------------------------------------- */

static struct net *
net_new(struct session *s, unsigned place)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return NULL;
	net->s = s;
	net->place = place;
	net->egress_end = net->dialer_end = net->uses = -1;
	if (!place) {
		s->net = net;
		return net;
	}
	net->next = s->plugin_nets;
	s->plugin_nets = net;
	return net;
}

/* rules: taken over. */
static int
open_one(struct session *s, unsigned place, int rules, struct error *error)
{
	_cleanup_close_ int memfd = rules;
	struct net *net = rules < 0 ? NULL : net_new(s, place);
	int ends[2], rc = rules < 0 ? rules : net ? keep_rules(net, memfd) : -ENOMEM;

	if (rc < 0)
		return error_errno(error, -rc, "the rules of the session's network");
	CRASH_POINT("net.rules");
	rc = channel_pair(ends);
	if (rc < 0)
		return error_errno(error, -rc, "the egress process's channel");
	net->egress_end = ends[1];
	net->egress = channel_new(s->r->loop, ends[0], CH_EGRESS, SIDE_A, ROLE_RUNNERD, ROLE_EGRESS,
				  &egress_ops, net);
	if (!net->egress)
		return error_errno(error, errno, "opening the egress process's channel");
	net->dialer_end = tell_dialer(net);
	return net->dialer_end < 0
		   ? error_errno(error, -net->dialer_end, "a channel with the dialer")
		   : 0;
}

int
net_open(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	int rules = rules_memfd(s->effective.network, &plan->network.allowlist, plan);

	return open_one(s, 0, rules, error) < 0 ? -1 : inject_ask(s, error);
}

int
net_open_plugin(struct session *s, unsigned number, struct error *error)
{
	const struct manifest_server *plan = &s->agent->plan->mcp_servers.items[number];

	if (!net_plugin_wanted(plan))
		return 0;
	return open_one(s, 1 + number,
			rules_memfd(plan->network.policy, &plan->network.allowlist, NULL), error);
}

static const char *
socket_of(unsigned place, char name[FILE_NAME_SIZE])
{
	snprintf(name, FILE_NAME_SIZE, place ? "egress-%u" : "egress", place);
	return name;
}

static int
bind_socket(const struct net *net)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	char name[FILE_NAME_SIZE];

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s.sock",
		 net->s->live, socket_of(net->place, name));
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Where the plan injects secrets, which it does for the agent alone. */
static int
add_inject(const struct net *net, struct msg *msg, struct error *error)
{
	const struct manifest *plan = net->s->agent->plan;
	int rules, trust;

	msg->egress_boot.inject = net->place == 0 && inject_wanted(plan);
	if (!msg->egress_boot.inject)
		return 0;
	rules = inject_rules(plan);
	if (rules < 0)
		return error_errno(error, -rules, "the rules of inject");
	msg_add_fd(msg, rules);
	trust = inject_trust();
	if (trust < 0) {
		error_errno(error, -trust, "opening the host's trust store");
		return error_hint(error, "install the package ca-certificates");
	}
	msg_add_fd(msg, trust);
	return 0;
}

/* What the egress process may use for the agent or the plugin itself. */
static int
own_rules(const struct net *net)
{
	const struct session *s = net->s;

	return net->place
		   ? kept_rules(net)
		   : rules_memfd(s->effective.network, &s->agent->plan->network.allowlist, NULL);
}

static int
boot_egress(struct net *net, struct error *error)
{
	const struct runnerd *r = net->s->r;
	const struct {
		const char *what;
		int fd;
	} fds[] = {
	    {.what = "the rules", .fd = own_rules(net)},
	    {.what = "the dialer's channel", .fd = steal_fd(&net->dialer_end)},
	    {.what = "the egress process's socket", .fd = bind_socket(net)},
	    {.what = "the empty directory", .fd = fcntl(r->at.empty, F_DUPFD_CLOEXEC, 3)},
	    {.what = "the egress process's filter",
	     .fd = fcntl(r->egress_program, F_DUPFD_CLOEXEC, 3)},
	};
	struct msg msg;
	int rc = 0;

	msg_init(&msg, MSG_EGRESS_BOOT);
	msg.egress_boot.session = net->s->id;
	msg.egress_boot.uid = net->s->base_uid + EGRESS_UID;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i].fd >= 0)
			msg_add_fd(&msg, fds[i].fd);
		else if (!rc)
			rc = error_errno(error, -fds[i].fd, "opening %s", fds[i].what);
	}
	if (rc == 0)
		rc = add_inject(net, &msg, error);
	if (rc < 0) {
		msg_close_fds(&msg);
		return rc;
	}
	rc = channel_send(net->egress, &msg);
	if (rc < 0)
		return error_errno(error, -rc, "sending EGRESS_BOOT");
	inject_booted(net);
	return 0;
}

static void
add_process(struct net *net, struct msg *msg)
{
	msg_add_fd(msg, fcntl(net->s->r->egress_binary, F_DUPFD_CLOEXEC, 3));
	msg_add_fd(msg, steal_fd(&net->egress_end));
}

void
net_add_plugins(struct session *s, unsigned number, struct msg *keeper_builder)
{
	struct net *net = net_at(s, 1 + number);

	if (net)
		add_process(net, keeper_builder);
}

static int
tell_keeper(struct session *s, struct error *error)
{
	struct msg msg;
	int rc;

	msg_init(&msg, MSG_KEEPER_EGRESS);
	add_process(s->net, &msg);
	rc = channel_send(s->keeper, &msg);
	return rc < 0 ? error_errno(error, -rc, "sending KEEPER_EGRESS") : 0;
}

int
net_boot(struct session *s, struct error *error)
{
	int rc = s->net ? tell_keeper(s, error) : 0;

	for (struct net *net = following(s, NULL); net && rc == 0; net = following(s, net))
		rc = boot_egress(net, error);
	if (following(s, NULL))
		CRASH_POINT("net.booted");
	return rc;
}

static void
free_one(struct net *net)
{
	channel_free(net->egress);
	close_fd(&net->egress_end);
	close_fd(&net->dialer_end);
	close_fd(&net->uses);
	inject_free(net);
	free(net);
}

void
net_free(struct session *s)
{
	struct net *net, *next;

	for (net = following(s, NULL); net; net = next) {
		next = following(s, net);
		free_one(net);
	}
	s->net = s->plugin_nets = NULL;
}

/* A session that is built again may have another plan. */
void
net_forget(const struct session *s)
{
	char name[FILE_NAME_SIZE];

	for (unsigned place = 0; s->records >= 0 && place <= SERVERS_MAX; place++)
		unlinkat(s->records, rules_file(place, name), 0);
}

/* --- adoption --------------------------------------------------------------------------------- */

static int
adopt_one(struct session *s, unsigned place, struct error *error)
{
	char name[FILE_NAME_SIZE];
	struct net *net;
	int fd;

	if (faccessat(s->records, rules_file(place, name), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	fd = session_connect(s, socket_of(place, name), EGRESS_UID, error);
	if (fd < 0) {
		log_problem(LOG_LEVEL_WARNING, error);
		return 0;
	}
	net = net_new(s, place);
	if (!net) {
		close(fd);
		return error_errno(error, ENOMEM, "the session's network");
	}
	CRASH_POINT("adopt.net");
	net->adopted = true;
	net->egress = channel_new(s->r->loop, fd, CH_EGRESS, SIDE_A, ROLE_RUNNERD, ROLE_EGRESS,
				  &egress_ops, net);
	return net->egress ? 0 : error_errno(error, errno, "opening egress's channel");
}

/* A session without one, or whose egress process is gone, goes on. */
int
net_adopt(struct session *s, struct error *error)
{
	int rc = 0;

	for (unsigned place = 0; rc == 0 && place <= SERVERS_MAX; place++)
		rc = adopt_one(s, place, error);
	return rc;
}
