/*
 * What is kept of a session's tools and its network: written a moment after a change, so that a
 * broker that tells much does not make runnerd write much, and once more when the session has
 * ended.
 */
#include <errno.h>
#include <string.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "net.h"
#include "pins.h"
#include "tools.h"

enum {
	SETTLE_MS = 200,
	COPIED_MAX = 1 << 17, /* records of one memfd of a broker's */
};

/* --- rows --------------------------------------------------------------------------------------
 */

static int
add_head(struct rows *rows, const struct tools *tools, bool live)
{
	const struct session *s = tools->s;
	struct msg row;

	msg_init(&row, MSG_TOOLS_HEAD);
	row.tools_head = (struct msg_tools_head){.session = s->id,
						 .at_ms = realtime_ms(),
						 .live = live,
						 .recorded = true,
						 .activity_at_ms = tools->activity_at_ms};
	memcpy(row.tools_head.agent, s->agent_name, sizeof(row.tools_head.agent));
	memcpy(row.tools_head.activity, tools->activity, sizeof(tools->activity));
	return rows_add(rows, &row);
}

static int
add_plugins(struct rows *rows, const struct tools *tools)
{
	struct msg row;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < tools->count; i++) {
		const struct tool_server *server = &tools->servers[i];

		msg_init(&row, MSG_PLUGIN_ROW);
		row.plugin_row.state = server->state;
		row.plugin_row.tools = server->tool_count;
		memcpy(row.plugin_row.name, server->name, sizeof(server->name));
		memcpy(row.plugin_row.revision, server->revision, sizeof(server->revision));
		memcpy(row.plugin_row.software, server->software, sizeof(server->software));
		memcpy(row.plugin_row.why, server->why, sizeof(server->why));
		rc = rows_add(rows, &row);
	}
	return rc;
}

/* What a broker wrote is decoded once more on its way: only records of these types go on. */
static int
add_copies(struct rows *rows, int fd, enum msg_type type, enum msg_type other)
{
	struct rows_reader *reader = fd >= 0 ? rows_open(fd) : NULL;
	struct msg row;
	size_t count = 0;
	int rc = 0, next;

	if (fd >= 0 && !reader)
		return -errno;
	while (rc == 0 && reader && (next = rows_next(reader, &row)) != 0) {
		if (next < 0)
			rc = next;
		else if (++count > COPIED_MAX)
			rc = -EFBIG;
		else if (row.type == type || row.type == other)
			rc = rows_add(rows, &row);
	}
	rows_close(reader);
	return rc;
}

static int
seal(struct rows *rows, int rc)
{
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

int
tools_rows(const struct tools *tools)
{
	struct rows *rows = rows_new("session-tools");
	int rc = rows ? add_head(rows, tools, tools->s->phase < PHASE_ENDING) : -ENOMEM;

	if (rc == 0)
		rc = add_plugins(rows, tools);
	if (rc == 0)
		rc = add_copies(rows, tools->stats, MSG_TOOL_STATS_ROW, MSG_NONE);
	if (rc == 0)
		rc = add_copies(rows, tools->rows, MSG_TOOL_ROW, MSG_NONE);
	if (rc == 0)
		rc = net_meters(tools->s, rows);
	return seal(rows, rc);
}

int
tools_registry_rows(const struct tools *tools)
{
	struct rows *rows = rows_new("registry");
	int rc = rows ? add_head(rows, tools, true) : -ENOMEM;

	if (rc == 0)
		rc = add_copies(rows, tools->rows, MSG_TOOL_ROW, MSG_TEXT_PART);
	return seal(rows, rc);
}

/* --- pins --------------------------------------------------------------------------------------
 */

void
tools_accept(struct tools *tools, const struct msg_tool_pin *pin)
{
	struct msg msg;

	if (!tools->broker || channel_phase(tools->broker) != IN_OPEN)
		return;
	msg_init(&msg, MSG_BROKER_ACCEPT);
	memcpy(msg.broker_accept.server, pin->server, sizeof(pin->server));
	memcpy(msg.broker_accept.tool, pin->tool, sizeof(pin->tool));
	msg.broker_accept.digest_len = DIGEST_BYTES;
	memcpy(msg.broker_accept.digest, pin->digest, DIGEST_BYTES);
	channel_send(tools->broker, &msg);
}

static bool
has_server(const struct tools *tools, const char *name)
{
	for (unsigned i = 0; i < tools->count; i++)
		if (strcmp(tools->servers[i].name, name) == 0)
			return true;
	return false;
}

/* One that this session sees first. Where it changed before anybody could write the first sight
 * down, nothing is accepted until an operator says so. */
static int
pin_first(struct tools *tools, struct pins *pins, const struct pin *seen)
{
	struct msg_tool_pin head = seen->head;

	head.pinned_at_ms = realtime_ms();
	head.session = tools->s->id;
	if (seen->state == TOOL_QUARANTINED)
		memset(head.digest, 0, sizeof(head.digest));
	return pins_add(pins, &head, seen->state == TOOL_QUARANTINED ? NULL : seen);
}

/* True when pins has new ones. A definition that is not the accepted one, and that this broker took
 * for its first sight, because two sessions began at once, is put into quarantine. */
static bool
compare(struct tools *tools, const struct pins *seen, struct pins *pins)
{
	bool added = false;

	for (size_t i = 0; i < seen->count; i++) {
		const struct pin *one = &seen->items[i];
		const struct pin *pin = pins_find(pins, one->head.server, one->head.tool);

		if (!has_server(tools, one->head.server))
			continue;
		if (!pin)
			added |= pin_first(tools, pins, one) == 0;
		else if (one->state != TOOL_QUARANTINED &&
			 memcmp(pin->head.digest, one->head.digest, DIGEST_BYTES) != 0)
			tools_accept(tools, &pin->head);
	}
	pins_sort(pins);
	return added;
}

static int
keep_pins(struct tools *tools)
{
	_cleanup_(pins_free) struct pins seen = {0}, pins = {0};
	const struct session *s = tools->s;
	int rc = pins_take(&seen, tools->rows);

	if (rc == 0)
		rc = pins_read(s->r->at.tools, s->agent_name, &pins);
	if (rc < 0 || !compare(tools, &seen, &pins))
		return rc;
	return pins_write(s->r->at.tools, s->agent_name, &pins);
}

static int
keep_registry(struct tools *tools)
{
	const struct session *s = tools->s;
	_cleanup_close_ int rows = tools_registry_rows(tools);
	char name[AGENT_NAME_MAX + sizeof(".seen")];

	snprintf(name, sizeof(name), "%s.seen", s->agent_name);
	return rows < 0 ? rows : rows_file_write(s->r->at.tools, name, rows, false);
}

/* --- the record --------------------------------------------------------------------------------
 */

static int
keep_record(struct tools *tools)
{
	const struct session *s = tools->s;
	char name[UUID_TEXT_LEN + sizeof(".tools")];
	_cleanup_close_ int rows = -1;

	if (s->log.dir < 0 ||
	    (tools->count == 0 && tools->stats < 0 && !tools->activity[0] && !net_metered(s)))
		return 0;
	rows = tools_rows(tools);
	snprintf(name, sizeof(name), "%s.tools", s->name);
	return rows < 0 ? rows : rows_file_write(s->log.dir, name, rows, false);
}

static void
complain(const struct tools *tools, const char *what, int rc)
{
	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &tools->s->id, "%s cannot be kept: %s", what,
			    strerrordesc_np(-rc));
}

static void
settle(struct tools *tools)
{
	if (tools->registry_changed && tools->count > 0 && tools->rows >= 0) {
		complain(tools, "what is accepted of its tools", keep_pins(tools));
		complain(tools, "the registry of its tools", keep_registry(tools));
	}
	if (tools->record_changed)
		complain(tools, "the record of its tools", keep_record(tools));
	tools->registry_changed = tools->record_changed = false;
}

static void
settle_due(struct loop_source *source, void *arg)
{
	(void)source;
	settle(arg);
}

void
tools_touch(struct tools *tools)
{
	if (!tools->settle)
		tools->settle = loop_add_timer(tools->s->r->loop, settle_due, tools);
	if (!tools->record_changed && tools->settle)
		loop_arm_in(tools->settle, SETTLE_MS);
	tools->record_changed = true;
}

void
tools_finish(struct tools *tools)
{
	if (!tools)
		return;
	if (tools->broker)
		channel_drain(tools->broker);
	net_finish(tools->s);
	settle(tools);
	asks_drop(tools);
}
