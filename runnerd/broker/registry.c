/* The registry: what plugins offer, seen through the rules, as the agent and runnerd are told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "naming.h"
#include "state.h"

enum { REPORT_MS = 20 };

static void
judge(struct broker *broker, struct item *item)
{
	struct span definition = {item->definition, item->length};

	if (item->kind != ITEM_TOOL || !item->server)
		return;
	tool_digest(definition, item->digest);
	item->state = policy_rules(broker, item->server, item->name, item->exposed);
	if (!policy_accepted(broker, item->server->number, item->name, item->digest))
		item->state = TOOL_QUARANTINED;
}

bool
item_listed(const struct item *item)
{
	return item->kind != ITEM_TOOL || item->state == TOOL_OPEN || item->state == TOOL_ASK;
}

bool
registry_offers(const struct broker *broker, enum item_kind kind)
{
	for (size_t i = 0; i < broker->server_count; i++)
		if (broker->servers[i].offers[kind] && broker->servers[i].state != SERVER_FAILED)
			return true;
	return false;
}

static void
changed(struct broker *broker, enum item_kind kind)
{
	free(broker->texts[kind]);
	broker->texts[kind] = NULL;
	registry_report(broker);
	if (broker->open)
		notify_changed(broker, kind);
}

static void
say_quarantined(const struct catalog *catalog, struct server *server)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i]->server == server &&
		    catalog->items[i]->state == TOOL_QUARANTINED)
			server_log(server,
				   "the definition of %s is not the accepted one; it cannot be "
				   "called until `ash tool pin`",
				   catalog->items[i]->exposed);
}

static const char *
reserved(enum item_kind kind, struct item *const *items, size_t count)
{
	for (size_t i = 0; i < count && (kind == ITEM_TOOL || kind == ITEM_PROMPT); i++)
		if (name_reserved(items[i]->exposed))
			return items[i]->exposed;
	return NULL;
}

int
registry_replace(struct broker *broker, struct server *server, enum item_kind kind,
		 struct item **items, size_t count, char *why, size_t why_size)
{
	struct catalog *catalog = &broker->catalogs[kind];
	const char *taken = server ? reserved(kind, items, count) : NULL;
	int rc = taken ? -EEXIST : 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		judge(broker, items[i]);
	if (rc == 0)
		rc = catalog_replace(catalog, server, items, count, &taken);
	if (rc == -EEXIST)
		snprintf(why, why_size, "the name %.100s is taken already", taken);
	else if (rc < 0)
		snprintf(why, why_size, "memory ran out");
	if (rc < 0)
		return rc;
	if (rc > 0)
		changed(broker, kind);
	if (server && kind == ITEM_TOOL)
		say_quarantined(catalog, server);
	return 0;
}

void
registry_drop(struct broker *broker, struct server *server)
{
	char why[128];

	for (size_t kind = 0; kind < ITEM_KINDS; kind++)
		if (registry_replace(broker, server, (enum item_kind)kind, NULL, 0, why,
				     sizeof(why)) < 0)
			log_warn("plugin %s: its %s stay listed: %s", server->plan.name,
				 item_list((enum item_kind)kind), why);
	registry_report(broker);
}

void
registry_accept(struct broker *broker, const char *server, const char *tool, const uint8_t *digest)
{
	const struct catalog *tools = &broker->catalogs[ITEM_TOOL];
	bool differs = false;

	for (size_t i = 0; i < broker->server_count; i++)
		if (strcmp(broker->servers[i].plan.name, server) == 0)
			policy_pin(broker, (uint8_t)i, tool, digest);
	for (size_t i = 0; i < tools->count; i++) {
		enum tool_state before = tools->items[i]->state;

		judge(broker, tools->items[i]);
		differs |= before != tools->items[i]->state;
	}
	if (differs)
		changed(broker, ITEM_TOOL);
}

/* --- as the agent sees it -------------------------------------------------------------------- */

/* The definition with the agent's name in the place of the plugin's. */
static void
put_item(struct json *json, const struct item *item)
{
	struct json own = JSON_INIT;
	size_t after = item->key_at + item->key_length;
	size_t length;

	json_raw(&own, item->definition, item->key_at);
	own.comma = false;
	json_string(&own, item->exposed);
	own.comma = false;
	json_raw(&own, item->definition + after, item->length - after);
	_cleanup_free_ char *text = json_take(&own, &length);
	if (text)
		json_raw(json, text, length);
	else
		json->failed = true;
}

const char *
registry_text(struct broker *broker, enum item_kind kind, size_t *length)
{
	const struct catalog *catalog = &broker->catalogs[kind];
	struct json json = JSON_INIT;

	if (!broker->texts[kind]) {
		json_array(&json);
		for (size_t i = 0; i < catalog->count; i++)
			if (item_listed(catalog->items[i]))
				put_item(&json, catalog->items[i]);
		json_array_end(&json);
		broker->texts[kind] = json_take(&json, &broker->text_lengths[kind]);
	}
	*length = broker->text_lengths[kind];
	return broker->texts[kind];
}

/* --- as runnerd is told ---------------------------------------------------------------------- */

static void
fill_description(struct msg_tool_row *row, const struct item *item)
{
	struct span text = member((struct span){item->definition, item->length}, "description");
	_cleanup_free_ char *plain = malloc(text.length + 1);
	ssize_t length = plain ? string_text(text, plain, text.length + 1) : -1;
	bool partial;

	if (length > DESCRIPTION_MAX)
		length = (ssize_t)utf8_prefix((const uint8_t *)plain, DESCRIPTION_MAX, &partial);
	if (length > 0)
		memcpy(row->description, plain, (size_t)length);
}

static void
fill_row(struct msg *msg, const struct item *item)
{
	struct msg_tool_row *row = &msg->tool_row;

	msg_init(msg, MSG_TOOL_ROW);
	snprintf(row->name, sizeof(row->name), "%s", item->exposed);
	snprintf(row->tool, sizeof(row->tool), "%s", item->name);
	row->state = (uint8_t)item->state;
	fill_description(row, item);
	if (!item->server)
		return;
	snprintf(row->server, sizeof(row->server), "%s", item->server->plan.name);
	if (item->server->state != SERVER_READY && item_listed(item))
		row->state = TOOL_ABSENT;
	row->digest_len = DIGEST_BYTES;
	memcpy(row->digest, item->digest, DIGEST_BYTES);
}

static int
add_definition(struct rows *rows, const struct item *item)
{
	struct msg part;
	int rc = 0;

	msg_init(&part, MSG_TEXT_PART);
	for (size_t at = 0, length; rc == 0 && at < item->length; at += length) {
		length = item->length - at;
		if (length > sizeof(part.text_part.text))
			length = sizeof(part.text_part.text);
		part.text_part.text_len = (uint32_t)length;
		memcpy(part.text_part.text, item->definition + at, length);
		rc = rows_add(rows, &part);
	}
	return rc;
}

/* The definition goes with those of plugins: an operator accepts what he has seen. */
static int
add_tool(struct rows *rows, const struct item *item)
{
	struct msg row;
	int rc;

	fill_row(&row, item);
	rc = rows_add(rows, &row);
	return rc == 0 && item->server ? add_definition(rows, item) : rc;
}

static int
rows_of_tools(const struct broker *broker, uint32_t *quarantined)
{
	const struct catalog *tools = &broker->catalogs[ITEM_TOOL];
	struct rows *rows = rows_new("tools");

	*quarantined = 0;
	for (size_t i = 0; rows && i < tools->count; i++) {
		*quarantined += tools->items[i]->state == TOOL_QUARANTINED;
		if (add_tool(rows, tools->items[i]) < 0) {
			rows_free(rows);
			return -1;
		}
	}
	return rows ? rows_seal(rows) : -1;
}

static void
report(struct broker *broker)
{
	struct msg msg;
	size_t length;
	const char *text = registry_text(broker, ITEM_TOOL, &length);
	_cleanup_close_ int list = text ? memfd_sealed("tools.json", text, length) : -1;
	uint32_t quarantined;
	_cleanup_close_ int rows = rows_of_tools(broker, &quarantined);

	broker->report_due = false;
	msg_init(&msg, MSG_BROKER_REGISTRY);
	if (list < 0 || rows < 0) {
		log_error("the registry cannot be reported: memory ran out");
		return;
	}
	msg.broker_registry.tools = (uint32_t)broker->catalogs[ITEM_TOOL].count;
	msg.broker_registry.quarantined = quarantined;
	msg_add_fd(&msg, steal_fd(&list));
	msg_add_fd(&msg, steal_fd(&rows));
	link_send(broker, &msg);
}

void
registry_report_due(struct loop_source *source, void *arg)
{
	(void)source;
	registry_report_now(arg);
}

void
registry_report_now(struct broker *broker)
{
	if (broker->report_due)
		report(broker);
}

/* Coalesced, but for the very first, which goes before BROKER_READY. */
void
registry_report(struct broker *broker)
{
	if (!broker->report_due && broker->report)
		loop_arm_in(broker->report, REPORT_MS);
	broker->report_due = true;
}
