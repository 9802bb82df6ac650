#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "keeper.h"

enum { SETTLE_MS = 1000 };

static void
link_close(struct keeper *keeper)
{
	struct link *link = &keeper->link;

	loop_remove(link->source);
	close_fd(&link->fd);
	*link = (struct link){.fd = -1,
			      .due = link->due & ~(unsigned)(DUE_HELLO | DUE_STATE | DUE_LAYERS)};
}

static void
link_lost(struct keeper *keeper)
{
	link_close(keeper);
	keeper_on(keeper, EVENT_LINK_LOST);
}

/* --- sending: what is owed is made when it can be sent, so that it is always the newest ---------
 */

static void
make_hello(const struct keeper *keeper, struct msg *msg)
{
	(void)keeper;
	msg_init(msg, MSG_HELLO);
	msg->hello.protocol = PROTO_VERSION;
	msg->hello.role = ROLE_KEEPER;
	strncpy(msg->hello.build, scarab_build_id, sizeof(msg->hello.build) - 1);
}

static void
make_up(const struct keeper *keeper, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_UP);
	msg->keeper_up.pid = (uint32_t)getpid();
	msg->keeper_up.builder_pid = (uint32_t)keeper->builders[0].pid;
}

static uint8_t
session_state(const struct keeper *keeper)
{
	static const uint8_t states[KEEPER_STATES] = {
	    [KEEPER_BUILDING] = STATE_SETUP,    [KEEPER_GATED] = STATE_SETUP,
	    [KEEPER_OPENING] = STATE_SETUP,     [KEEPER_RUNNING] = STATE_RUNNING,
	    [KEEPER_STOPPING] = STATE_STOPPING, [KEEPER_ENDING] = STATE_STOPPING,
	    [KEEPER_CLOSING] = STATE_STOPPING,  [KEEPER_HOLDING] = STATE_STOPPING,
	};

	return states[keeper->state];
}

static void
make_state(const struct keeper *keeper, struct msg *msg)
{
	const struct segments *segments = &keeper->segments;

	msg_init(msg, MSG_KEEPER_STATE);
	msg->id = keeper->link.query;
	msg->keeper_state = (struct msg_keeper_state){
	    .session = keeper->boot.session,
	    .state = session_state(keeper),
	    .running_at_ms = keeper->record.running_at_ms,
	    .segment = segments->number,
	    .total_bytes = segments->total,
	    .dropped_bytes = segments->dropped,
	    .has_next = segments->next >= 0,
	};
}

/* The keeper keeps its own: what is sent is not closed. */
static void
make_layers(const struct keeper *keeper, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_LAYERS);
	msg_add_fd(msg, keeper->layers);
}

static void
make_running(const struct keeper *keeper, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_RUNNING);
	msg->keeper_running.running_at_ms = keeper->record.running_at_ms;
}

static void
make_log(const struct keeper *keeper, struct msg *msg)
{
	const struct segments *segments = &keeper->segments;

	msg_init(msg, MSG_KEEPER_LOG);
	msg->keeper_log.segment = segments->number;
	msg->keeper_log.total_bytes = segments->total;
	msg->keeper_log.dropped_bytes = segments->dropped;
}

static void
make_redacted(const struct keeper *keeper, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_REDACTED);
	msg->keeper_redacted.number = keeper->redacted;
}

static void
make_ended(const struct keeper *keeper, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_ENDED);
	msg->keeper_ended.session = keeper->boot.session;
}

static void
make_plugin(const struct plugin *plugin, unsigned number, struct msg *msg)
{
	msg_init(msg, MSG_KEEPER_PLUGIN);
	msg->keeper_plugin.plugin = (uint8_t)number;
	msg->keeper_plugin.generation = plugin->generation;
	msg->keeper_plugin.state = (uint8_t)plugin->state;
	msg->keeper_plugin.exit_code = plugin->exit_code;
	msg->keeper_plugin.signal = plugin->signal;
	strcpy(msg->keeper_plugin.why, plugin->why);
}

static const struct {
	unsigned due;
	void (*make)(const struct keeper *keeper, struct msg *msg);
} owed[] = {
    {DUE_HELLO, make_hello},
    {DUE_UP, make_up},
    {DUE_STATE, make_state},
    {DUE_LAYERS, make_layers},
    {DUE_RUNNING, make_running},
    {DUE_LOG, make_log},
    {DUE_PLUGINS, NULL /* send_plugins */},
    {DUE_REDACTED, make_redacted},
    {DUE_ENDED, make_ended},
};

/* 0, -EAGAIN when the socket is full, another -errno. */
static int
send_now(const struct keeper *keeper, const struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length;

	if (!msg_permitted(msg->type, CH_KEEPER, SIDE_B, keeper->link.phase))
		return -EPERM;
	length = msg_encode(msg, bytes, sizeof(bytes));
	if (length < 0)
		return (int)length;
	return msg_send_raw(keeper->link.fd, bytes, (size_t)length, msg->fds, msg->nfds);
}

/* Before the peer's HELLO only ours may go. A runnerd that is new hears of the end only when it has
 * the layers: it would take a session without them for one that left nothing in memory. */
static unsigned
sendable(const struct keeper *keeper)
{
	const struct link *link = &keeper->link;
	unsigned held = keeper->layers >= 0 && !link->has_layers ? DUE_ENDED : 0U;

	if (link->phase == IN_HELLO)
		return link->due & DUE_HELLO;
	return link->due & ~(DUE_HELLO | held);
}

/* 0 when nothing of them is owed any more. */
static int
send_plugins(struct keeper *keeper)
{
	struct plugin *plugin;
	struct msg msg;
	int rc;

	for (unsigned i = 0; i < keeper->boot.plugins; i++) {
		plugin = &keeper->plugins[i];
		if (!plugin->due)
			continue;
		make_plugin(plugin, i, &msg);
		rc = send_now(keeper, &msg);
		if (rc < 0)
			return rc;
		plugin->due = false;
	}
	return 0;
}

static int
send_owed(struct keeper *keeper)
{
	struct msg msg;
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(owed); i++) {
		if (!(sendable(keeper) & owed[i].due))
			continue;
		if (owed[i].make) {
			owed[i].make(keeper, &msg);
			rc = send_now(keeper, &msg);
		} else {
			rc = send_plugins(keeper);
		}
		if (rc < 0)
			return rc;
		keeper->link.due &= ~owed[i].due;
		if (owed[i].due == DUE_LAYERS)
			keeper->link.has_layers = true;
	}
	return 0;
}

static void
link_push(struct keeper *keeper)
{
	int rc = send_owed(keeper);

	if (rc == 0 || rc == -EAGAIN)
		loop_set_events(keeper->link.source, EPOLLIN | (rc ? EPOLLOUT : 0U));
	/* Any other failure shows as an end when the socket is read. */
}

void
link_owe(struct keeper *keeper, unsigned due)
{
	keeper->link.due |= due;
	if (keeper->link.fd >= 0)
		link_push(keeper);
}

void
link_settle(struct keeper *keeper)
{
	struct pollfd room = {.fd = keeper->link.fd, .events = POLLOUT};

	if (room.fd >= 0 && send_owed(keeper) == -EAGAIN && poll(&room, 1, SETTLE_MS) == 1)
		send_owed(keeper);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool
told_hello(struct keeper *keeper, struct msg *msg)
{
	if (msg->hello.protocol != PROTO_VERSION || msg->hello.role != ROLE_RUNNERD)
		return false;
	link_push(keeper); /* our own HELLO first */
	keeper->link.phase = IN_OPEN;
	return true;
}

static bool
told_query(struct keeper *keeper, struct msg *msg)
{
	keeper->link.query = msg->id;
	keeper->link.due |= DUE_STATE | DUE_PLUGINS;
	for (unsigned i = 0; i < keeper->boot.plugins; i++)
		keeper->plugins[i].due = true;
	if (keeper->layers >= 0)
		keeper->link.due |= DUE_LAYERS;
	if (keeper->state == KEEPER_HOLDING)
		keeper->link.due |= DUE_ENDED; /* the one who was told is gone */
	return true;
}

static bool
told_go(struct keeper *keeper, struct msg *msg)
{
	if (!uuid_equal(&msg->go.session, &keeper->boot.session))
		return false;
	/* The builder told us before it told runnerd. */
	while (keeper->state == KEEPER_BUILDING && sandbox_look(keeper))
		;
	keeper_on(keeper, EVENT_GO);
	return true;
}

static bool
told_segment(struct keeper *keeper, struct msg *msg)
{
	if (segments_next(&keeper->segments, msg_take_fd(msg, 0)))
		output_told_dropped(keeper);
	return true;
}

static bool
told_stop(struct keeper *keeper, struct msg *msg)
{
	const struct msg_keeper_stop *stop = &msg->keeper_stop;

	if (stop->outcome == OUTCOME_NONE || stop->outcome >= OUTCOME_COUNT)
		return false;
	keeper_end_as(keeper, stop->outcome, stop->grace_ms, stop->reason);
	return true;
}

static bool
told_redact(struct keeper *keeper, struct msg *msg)
{
	keeper->redacted = msg->keeper_redact.number;
	link_owe(keeper, DUE_REDACTED);
	return output_redact(keeper, msg_take_fd(msg, 0));
}

static bool
told_layers(struct keeper *keeper, struct msg *msg)
{
	close_fd(&keeper->layers);
	keeper->layers = msg_take_fd(msg, 0);
	keeper->link.has_layers = true; /* they are the peer's own */
	return true;
}

static bool
told_release(struct keeper *keeper, struct msg *msg)
{
	(void)msg;
	close_fd(&keeper->layers);
	keeper_on(keeper, EVENT_RELEASE);
	return true;
}

static const struct {
	enum msg_type type;
	bool (*told)(struct keeper *keeper, struct msg *msg);
} requests[] = {
    {MSG_HELLO, told_hello},
    {MSG_KEEPER_QUERY, told_query},
    {MSG_GO, told_go},
    {MSG_KEEPER_SEGMENT, told_segment},
    {MSG_KEEPER_STOP, told_stop},
    {MSG_KEEPER_REDACT, told_redact},
    {MSG_KEEPER_PLUGIN_GO, plugin_told_go},
    {MSG_KEEPER_PLUGIN_STOP, plugin_told_stop},
    {MSG_KEEPER_LAYERS, told_layers},
    {MSG_KEEPER_RELEASE, told_release},
};

static bool
obey(struct keeper *keeper, struct msg *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		if (requests[i].type == msg->type)
			return requests[i].told(keeper, msg);
	return false;
}

static void
link_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	static struct msg msg;
	bool fine;
	int rc;

	(void)source;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		rc = msg_recv_now(keeper->link.fd, CH_KEEPER, SIDE_B, keeper->link.phase, &msg);
		fine = rc == 1 && obey(keeper, &msg);
		if (rc == 1)
			msg_close_fds(&msg);
		if (!fine && rc != -EAGAIN) {
			link_lost(keeper);
			return;
		}
	}
	if (keeper->link.fd >= 0)
		link_push(keeper);
}

/* --- connections ------------------------------------------------------------------------------ */

static int
link_use(struct keeper *keeper, int fd, enum phase phase)
{
	struct link *link = &keeper->link;

	link->fd = fd;
	link->phase = phase;
	link->source = loop_add_io(keeper->loop, fd, EPOLLIN, link_ready, keeper);
	return link->source ? 0 : -errno;
}

/* Root alone may speak to a keeper, and the newest connection is runnerd's. */
static void
accept_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	int fd = accept_root(keeper->fds.socket);

	(void)source;
	(void)events;
	if (fd < 0)
		return;
	if (keeper->link.fd >= 0)
		link_close(keeper);
	if (link_use(keeper, fd, IN_HELLO) < 0)
		link_lost(keeper);
	else
		link_owe(keeper, DUE_HELLO);
}

/* On the boot channel both have greeted already. */
int
link_open(struct keeper *keeper, struct error *error)
{
	keeper->listener =
	    loop_add_io(keeper->loop, keeper->fds.socket, EPOLLIN, accept_ready, keeper);
	if (!keeper->listener || link_use(keeper, KEEPER_FD_BOOT, IN_OPEN) < 0)
		return error_errno(error, errno, "the keeper's channels");
	return 0;
}
