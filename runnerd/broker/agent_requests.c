/*
 * One line of an agent. A request that carries the protocolVersion of 2026-07-28 in its _meta is
 * served statelessly by that revision; initialize selects a handshake revision for the connection's
 * other requests. Both may come, in either order.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "revision.h"
#include "state.h"

#define META_VERSION "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"

/* --- what is answered here ------------------------------------------------------------------- */

static void
take_result(struct origin *origin, struct json *json)
{
	size_t length;
	char *text = json_take(json, &length);

	if (text)
		answer_result(origin, text, length);
	else
		answer_error(origin, RPC_INTERNAL, "memory ran out", NULL);
	free(text);
}

static void
empty_result(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct json json = JSON_INIT;

	(void)agent;
	(void)rpc;
	result_open(&json, origin->era, false);
	json_object_end(&json);
	take_result(origin, &json);
}

static void
put_flag(struct json *json, const char *key)
{
	json_key(json, key);
	json_bool(json, true);
}

/* Only what is really proxied. */
static void
put_capabilities(struct json *json, const struct broker *broker, enum era era)
{
	bool subscribes = false, completes = false, logs = false;

	for (size_t i = 0; i < broker->server_count; i++) {
		subscribes |= broker->servers[i].subscribes;
		completes |= broker->servers[i].completes;
		logs |= broker->servers[i].logs;
	}
	json_key(json, "capabilities");
	json_object(json);
	json_key(json, "tools");
	json_object(json);
	put_flag(json, "listChanged");
	json_object_end(json);
	if (registry_offers(broker, ITEM_PROMPT)) {
		json_key(json, "prompts");
		json_object(json);
		put_flag(json, "listChanged");
		json_object_end(json);
	}
	if (registry_offers(broker, ITEM_RESOURCE)) {
		json_key(json, "resources");
		json_object(json);
		put_flag(json, "listChanged");
		if (subscribes)
			put_flag(json, "subscribe");
		json_object_end(json);
	}
	if (completes) {
		json_key(json, "completions");
		json_object(json);
		json_object_end(json);
	}
	if (logs && era == ERA_LEGACY) {
		json_key(json, "logging");
		json_object(json);
		json_object_end(json);
	}
	json_object_end(json);
}

static const char instructions[] =
    "Tools named SERVER__TOOL belong to plugins of this session. agentd__mission says what this "
    "session is for; report with agentd__observe, agentd__transition and agentd__result.";

static void
discover(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct json json = JSON_INIT;

	(void)rpc;
	result_open(&json, origin->era, true);
	json_key(&json, "supportedVersions");
	json_array(&json);
	json_string(&json, REVISION_MODERN);
	json_array_end(&json);
	put_capabilities(&json, agent->broker, ERA_MODERN);
	json_key(&json, "instructions");
	json_string(&json, instructions);
	json_object_end(&json);
	take_result(origin, &json);
}

static void
initialize(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span asked = member(rpc->params, "protocolVersion");
	struct json json = JSON_INIT;

	if (string_text(asked, agent->revision, sizeof(agent->revision)) < 0 ||
	    !revision_handshake(agent->revision))
		strcpy(agent->revision, REVISION_HANDSHAKE);
	agent->initialized = true;
	json_object(&json);
	json_key(&json, "protocolVersion");
	json_string(&json, agent->revision);
	put_capabilities(&json, agent->broker, ERA_LEGACY);
	json_key(&json, "serverInfo");
	json_object(&json);
	json_key(&json, "name");
	json_string(&json, "agentd");
	json_key(&json, "version");
	json_string(&json, scarab_version);
	json_object_end(&json);
	json_key(&json, "instructions");
	json_string(&json, instructions);
	json_object_end(&json);
	take_result(origin, &json);
}

/* Lists are one page: no cursor was ever given out. */
static void
list_items(struct agent *agent, struct origin *origin, const struct rpc *rpc, enum item_kind kind)
{
	struct json json = JSON_INIT;
	size_t length;
	const char *text = registry_text(agent->broker, kind, &length);

	if (member(rpc->params, "cursor").at) {
		answer_error(origin, RPC_INVALID_PARAMS, "Invalid cursor: this list has one page",
			     NULL);
		return;
	}
	if (!text) {
		answer_error(origin, RPC_INTERNAL, "memory ran out", NULL);
		return;
	}
	result_open(&json, origin->era, true);
	json_key(&json, item_list(kind));
	json_raw(&json, text, length);
	json_object_end(&json);
	take_result(origin, &json);
}

static void
list_tools(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	list_items(agent, origin, rpc, ITEM_TOOL);
}

static void
list_prompts(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	list_items(agent, origin, rpc, ITEM_PROMPT);
}

static void
list_resources(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	list_items(agent, origin, rpc, ITEM_RESOURCE);
}

static void
list_templates(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	list_items(agent, origin, rpc, ITEM_TEMPLATE);
}

/* --- the table ------------------------------------------------------------------------------- */

enum { LEGACY = 1 << ERA_LEGACY, MODERN = 1 << ERA_MODERN, EITHER = LEGACY | MODERN };
enum { NO_KIND = -1 };

static const struct {
	const char *method;
	unsigned eras;
	int offered; /* only when a plugin offers this kind */
	void (*asked)(struct agent *agent, struct origin *origin, const struct rpc *rpc);
} methods[] = {
    {"initialize", LEGACY, NO_KIND, initialize},
    {"ping", LEGACY, NO_KIND, empty_result},
    {"server/discover", MODERN, NO_KIND, discover},
    {"tools/list", EITHER, NO_KIND, list_tools},
    {"tools/call", EITHER, NO_KIND, forward_tool},
    {"prompts/list", EITHER, ITEM_PROMPT, list_prompts},
    {"prompts/get", EITHER, ITEM_PROMPT, forward_prompt},
    {"resources/list", EITHER, ITEM_RESOURCE, list_resources},
    {"resources/templates/list", EITHER, ITEM_RESOURCE, list_templates},
    {"resources/read", EITHER, ITEM_RESOURCE, forward_resource},
    {"resources/subscribe", LEGACY, ITEM_RESOURCE, subscribe_request},
    {"resources/unsubscribe", LEGACY, ITEM_RESOURCE, unsubscribe_request},
    {"completion/complete", EITHER, NO_KIND, forward_completion},
    {"logging/setLevel", LEGACY, NO_KIND, log_level_request},
    {"subscriptions/listen", MODERN, NO_KIND, listen_request},
};

static void
dispatch(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(methods[i].method, rpc->method) != 0 ||
		    !(methods[i].eras & 1U << origin->era))
			continue;
		if (methods[i].offered != NO_KIND &&
		    !registry_offers(agent->broker, (enum item_kind)methods[i].offered))
			break;
		methods[i].asked(agent, origin, rpc);
		return;
	}
	answer_error(origin, RPC_NO_METHOD, "Method not found", NULL);
}

/* --- eras ------------------------------------------------------------------------------------ */

static void
refuse_version(struct origin *origin, struct span requested)
{
	struct json json = JSON_INIT;
	char *data;

	json_object(&json);
	json_key(&json, "supported");
	json_array(&json);
	json_string(&json, REVISION_MODERN);
	json_array_end(&json);
	json_key(&json, "requested");
	json_raw(&json, requested.at, requested.length);
	json_object_end(&json);
	data = json_take(&json, NULL);
	answer_error(origin, RPC_UNSUPPORTED_VERSION, "Unsupported protocol version", data);
	free(data);
}

/* Which era a request is of; ERA_NONE: it was refused. */
static enum era
era_of(const struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span meta = member(rpc->params, "_meta");
	struct span version = member(meta, META_VERSION);

	if (!version.at && (strcmp(rpc->method, "initialize") == 0 ||
			    (strcmp(rpc->method, "server/discover") != 0 && agent->initialized) ||
			    (strcmp(rpc->method, "ping") == 0)))
		return ERA_LEGACY;
	if (version.at && value_kind(version) == VALUE_STRING &&
	    !string_equal(version, REVISION_MODERN)) {
		refuse_version(origin, version);
		return ERA_NONE;
	}
	if (value_kind(version) == VALUE_STRING &&
	    value_kind(member(meta, META_CAPABILITIES)) == VALUE_OBJECT)
		return ERA_MODERN;
	answer_error(origin, RPC_INVALID_PARAMS,
		     "Invalid params: _meta must hold " META_VERSION " and " META_CAPABILITIES
		     " (or call initialize first)",
		     NULL);
	return ERA_NONE;
}

/* --- messages -------------------------------------------------------------------------------- */

static bool
in_flight(const struct agent *agent, struct span id)
{
	const struct calls *calls = &agent->broker->calls;

	for (size_t i = 0; calls->count && i < CALLS_MAX; i++) {
		const struct origin *origin = calls->slots[i] ? calls->slots[i]->origin : NULL;

		if (origin && origin->agent == agent &&
		    span_equal(id, (struct span){origin->id, origin->id_length}))
			return true;
	}
	for (size_t i = 0; i < agent->subscription_count; i++) {
		const char *own = agent->subscriptions[i].id;

		if (own && span_equal(id, (struct span){own, strlen(own)}))
			return true;
	}
	return false;
}

static void
requested(struct agent *agent, const struct rpc *rpc, struct batch *batch)
{
	struct origin origin;
	enum era era;

	if (origin_set(&origin, agent, ERA_LEGACY, rpc->id, batch) < 0) {
		agent_doom(agent, "memory ran out");
		return;
	}
	if (in_flight(agent, rpc->id)) {
		answer_error(&origin, RPC_INVALID_REQUEST, "a request with this id is in flight",
			     NULL);
		return;
	}
	era = era_of(agent, &origin, rpc);
	origin.era = era;
	if (era != ERA_NONE)
		dispatch(agent, &origin, rpc);
}

static void
notified(struct agent *agent, const struct rpc *rpc)
{
	if (strcmp(rpc->method, "notifications/cancelled") == 0)
		forward_cancel(agent, member(rpc->params, "requestId"));
}

static void
refuse(struct agent *agent, struct span id, int code, const char *why, struct batch *batch)
{
	struct origin origin = {.agent = agent, .batch = batch};
	char message[160];

	snprintf(message, sizeof(message), "%s: %s",
		 code == RPC_PARSE_ERROR ? "Parse error" : "Invalid Request", why);
	if (id.at && origin_set(&origin, agent, ERA_LEGACY, id, batch) < 0) {
		agent_doom(agent, "memory ran out");
		return;
	}
	if (!id.at && batch)
		batch_hold(batch);
	answer_error(&origin, code, message, NULL);
}

static void
message(struct agent *agent, const struct rpc *rpc, struct batch *batch)
{
	if (rpc->kind == RPC_REQUEST)
		requested(agent, rpc, batch);
	else if (rpc->kind == RPC_NOTIFICATION)
		notified(agent, rpc);
	/* Nothing is ever asked of an agent: its answers are answers to nothing. */
}

static void
take_batch(struct agent *agent, const struct rpc *whole)
{
	struct batch *batch;
	struct cursor cursor;
	struct span key, value;
	const char *why;
	struct rpc rpc;
	size_t count = 0;
	int code;

	if (!agent->initialized || strcmp(agent->revision, REVISION_BATCHES) != 0) {
		refuse(agent, NO_SPAN, RPC_INVALID_REQUEST,
		       "batches are of revision " REVISION_BATCHES " only", NULL);
		return;
	}
	cursor_open(&cursor, whole->whole, VALUE_ARRAY);
	if (cursor.at >= cursor.end) {
		refuse(agent, NO_SPAN, RPC_INVALID_REQUEST, "an empty batch", NULL);
		return;
	}
	batch = batch_new(agent);
	if (!batch) {
		agent_doom(agent, "memory ran out");
		return;
	}
	while (cursor_next(&cursor, &key, &value) && !agent->doomed) {
		code = ++count > RPC_BATCH_MAX ? RPC_INVALID_REQUEST : rpc_take(value, &rpc, &why);
		if (count > RPC_BATCH_MAX) {
			refuse(agent, NO_SPAN, code, "the batch is too long", batch);
			break;
		}
		if (code != 0)
			refuse(agent, rpc.id, code, why, batch);
		else
			message(agent, &rpc, batch);
	}
	batch_close(batch);
}

bool
agent_line(enum frame_event event, struct span line, void *arg)
{
	struct agent *agent = arg;
	const char *why = "a line is longer than 8 MiB";
	struct rpc rpc = {.id = NO_SPAN};
	int code = event == FRAME_TOO_LONG ? RPC_PARSE_ERROR : rpc_parse(line, &rpc, &why);

	life_sign(agent->broker);
	if (code != 0)
		refuse(agent, code == RPC_PARSE_ERROR ? NO_SPAN : rpc.id, code, why, NULL);
	else if (rpc.kind == RPC_BATCH)
		take_batch(agent, &rpc);
	else
		message(agent, &rpc, NULL);
	return !agent->doomed;
}
