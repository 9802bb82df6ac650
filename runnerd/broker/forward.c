/*
 * Requests that a plugin answers. A line is passed on in the bytes it came in; exchanged are the
 * id, the name or uri, the progress token, and, from an agent of 2026-07-28, what its _meta says of
 * this hop: a plugin that knows both eras would otherwise answer in the other one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "splice.h"
#include "state.h"

/* --- what is exchanged ----------------------------------------------------------------------- */

#define HOP "io.modelcontextprotocol/"
static const char *const hop_keys[] = {HOP "protocolVersion", HOP "clientInfo",
				       HOP "clientCapabilities", HOP "logLevel"};

static bool
of_this_hop(struct span key)
{
	for (size_t i = 0; i < ARRAY_LEN(hop_keys); i++)
		if (string_equal(key, hop_keys[i]))
			return true;
	return false;
}

/* What is left of _meta for the plugin. Heap; NULL when memory ran out. */
static char *
meta_without_hop(struct span meta, struct span token, const char *own_token, size_t *length)
{
	struct json json = JSON_INIT;
	struct cursor cursor;
	struct span key, value;

	json_object(&json);
	if (cursor_open(&cursor, meta, VALUE_OBJECT))
		while (cursor_next(&cursor, &key, &value)) {
			if (of_this_hop(key))
				continue;
			json_raw(&json, key.at, key.length);
			json.comma = false;
			json_raw(&json, ":", 1);
			json.comma = false;
			if (value.at == token.at)
				json_raw(&json, own_token, strlen(own_token));
			else
				json_raw(&json, value.at, value.length);
		}
	json_object_end(&json);
	return json_take(&json, length);
}

/* One request on its way: the edits, and the texts that they put in. */
struct passage {
	struct splice splice;
	char id[24];
	char *meta;
	char *name;
	struct span token;
};

static void
passage_free(struct passage *passage)
{
	free(passage->meta);
	free(passage->name);
}

#define _cleanup_passage_ _cleanup_(passage_free)

/* Everything but the name. 0, -EINVAL for a doubled or senseless token, -ENOMEM. */
static int
exchange(struct passage *passage, struct call *call, const struct rpc *rpc)
{
	static const char *const names[] = {"progressToken"};
	struct span meta = member(rpc->params, "_meta"), token;
	size_t length;

	snprintf(passage->id, sizeof(passage->id), "%llu", (unsigned long long)call->id);
	splice_put(&passage->splice, rpc->id, passage->id, strlen(passage->id));
	if (members(meta, names, 1, &token) < 0)
		return -EINVAL;
	if (token.at) {
		if (token.length > RPC_ID_MAX ||
		    (value_kind(token) != VALUE_STRING && value_kind(token) != VALUE_NUMBER))
			return -EINVAL;
		call->origin->token = strndup(token.at, token.length);
		if (!call->origin->token)
			return -ENOMEM;
	}
	if (call->origin->era == ERA_MODERN) {
		passage->meta = meta_without_hop(meta, token, passage->id, &length);
		if (!passage->meta)
			return -ENOMEM;
		splice_put(&passage->splice, meta, passage->meta, length);
	} else if (token.at) {
		splice_put(&passage->splice, token, passage->id, strlen(passage->id));
	}
	return 0;
}

/* --- how it ends ----------------------------------------------------------------------------- */

static bool
asks_for_input(const struct call *call, const struct rpc *answer)
{
	struct span type = member(answer->result, "resultType");

	return call->origin->era == ERA_MODERN && type.at && !string_equal(type, "complete");
}

static void
record(struct call *call, const struct rpc *answer, enum call_outcome outcome)
{
	if (outcome == CALL_OK && span_equal(member(answer->result, "isError"), SPAN("true")))
		outcome = CALL_TOOL_ERROR;
	recorder_call(call->broker, call, outcome, answer ? answer->whole.length : 0);
}

static void
fail(struct origin *origin, bool is_tool, const char *why)
{
	if (is_tool)
		answer_tool(origin, true, why, NO_SPAN);
	else
		answer_error(origin, RPC_INTERNAL, why, NULL);
}

static void
forwarded(struct call *call, const struct rpc *answer, enum call_outcome outcome, const char *why)
{
	if (answer && asks_for_input(call, answer)) {
		answer = NULL;
		outcome = CALL_DIED;
		why = "the plugin asks for input, which nobody here gives";
	}
	if (call->is_tool)
		record(call, answer, outcome);
	if (answer)
		answer_forward(call->origin, answer, call->cacheable);
	else if (outcome == CALL_CANCELLED)
		answer_none(call->origin);
	else
		fail(call->origin, call->is_tool, why);
}

/* Moves the origin into a new call; on failure it stays where it was. */
static struct call *
call_of(struct server *server, struct origin *origin)
{
	struct call *call = call_new(server->broker, server, forwarded, server->plan.timeout_ms);

	if (!call)
		return NULL;
	call->origin = malloc(sizeof(*call->origin));
	if (!call->origin) {
		call->ended = call_nothing;
		call_end(call, NULL, CALL_DIED, NULL);
		errno = ENOMEM;
		return NULL;
	}
	*call->origin = *origin;
	*origin = (struct origin){0};
	return call;
}

static void
send(struct call *call, struct passage *passage, const struct rpc *rpc)
{
	struct iovec pieces[SPLICE_PIECES];
	int count = splice_pieces(&passage->splice, rpc->whole, pieces);
	int rc = server_send(call->server, pieces, count, call->id);

	if (rc == 0)
		call->sent = true;
	else if (rc == -ENOBUFS)
		call_end(call, NULL, CALL_BUSY, "busy: the plugin does not read its requests");
	else
		call_end(call, NULL, CALL_DIED, "the plugin does not take requests");
}

/* --- tools ----------------------------------------------------------------------------------- */

enum tool_part { TOOL_NAME, TOOL_ARGUMENTS, TOOL_META, TOOL_PARTS };
static const char *const tool_parts[] = {"name", "arguments", "_meta"};

/* A call that never began: recorded all the same. */
static void
record_refused(struct broker *broker, const struct item *item, const char *exposed,
	       struct span arguments, enum call_outcome outcome)
{
	struct call call = {.broker = broker,
			    .server = item ? item->server : NULL,
			    .began_ns = boottime_ns(),
			    .argument_bytes = arguments.length};

	snprintf(call.exposed, sizeof(call.exposed), "%s", exposed);
	snprintf(call.tool, sizeof(call.tool), "%s", item ? item->name : "");
	shape_of(arguments, call.shape);
	recorder_call(broker, &call, outcome, 0);
}

/* Why a tool may not be called now; CALL_OK when it may. */
static enum call_outcome
admit(struct broker *broker, const struct item *item, char *why, size_t size)
{
	enum tool_state state = policy_rules(broker, item->server, item->name, item->exposed);

	if (item->state == TOOL_QUARANTINED) {
		snprintf(why, size,
			 "its definition has changed; an operator must accept it: ash tool pin");
		return CALL_REFUSED;
	}
	if (state == TOOL_DENIED) {
		snprintf(why, size, "the manifest does not allow it");
		return CALL_REFUSED;
	}
	if (broker->boot.max_tool_calls && broker->tool_calls >= broker->boot.max_tool_calls) {
		snprintf(why, size, "the budget of %llu calls is used up",
			 (unsigned long long)broker->boot.max_tool_calls);
		return CALL_BUDGET;
	}
	if (item->server->state != SERVER_READY) {
		snprintf(why, size, "the plugin %s is not running: %.200s", item->server->plan.name,
			 item->server->why);
		return CALL_DIED;
	}
	return CALL_OK;
}

void
budget_tell(struct broker *broker)
{
	struct msg msg;

	broker->budget_told = true;
	msg_init(&msg, MSG_BROKER_END);
	msg.broker_end.outcome = OUTCOME_BUDGET_EXCEEDED;
	snprintf(msg.broker_end.reason, sizeof(msg.broker_end.reason),
		 "more than %llu tool calls (budget.max_tool_calls)",
		 (unsigned long long)broker->boot.max_tool_calls);
	link_send(broker, &msg);
}

static void
refuse_tool(struct broker *broker, struct origin *origin, const struct item *item,
	    struct span arguments, enum call_outcome outcome, const char *why)
{
	char text[448];

	record_refused(broker, item, item->exposed, arguments, outcome);
	if (outcome == CALL_BUDGET && !broker->budget_told)
		budget_tell(broker);
	if (outcome == CALL_REFUSED) {
		snprintf(text, sizeof(text), "Unknown tool: %s: %s", item->exposed, why);
		answer_error(origin, RPC_INVALID_PARAMS, text, NULL);
	} else {
		answer_tool(origin, true, why, NO_SPAN);
	}
}

static void
fill_tool(struct call *call, const struct item *item, struct span arguments)
{
	call->is_tool = true;
	snprintf(call->tool, sizeof(call->tool), "%s", item->name);
	snprintf(call->exposed, sizeof(call->exposed), "%s", item->exposed);
	call->argument_bytes = arguments.length;
	shape_of(arguments, call->shape);
}

static void
call_tool(struct broker *broker, struct origin *origin, const struct item *item,
	  const struct rpc *rpc, const struct span *parts)
{
	_cleanup_passage_ struct passage passage = {0};
	struct iovec pieces[SPLICE_PIECES];
	struct span name = item_key_text(item);
	struct call *call = call_of(item->server, origin);
	int rc, count;

	if (!call) {
		refuse_tool(broker, origin, item, parts[TOOL_ARGUMENTS], CALL_BUSY,
			    "busy: too many calls are in flight");
		return;
	}
	broker->tool_calls++;
	fill_tool(call, item, parts[TOOL_ARGUMENTS]);
	splice_put(&passage.splice, parts[TOOL_NAME], name.at, name.length);
	rc = exchange(&passage, call, rpc);
	if (rc < 0) {
		call_end(call, NULL, CALL_INVALID,
			 rc == -EINVAL ? "_meta.progressToken must be one string or number"
				       : "memory ran out");
		return;
	}
	if (policy_rules(broker, item->server, item->name, item->exposed) != TOOL_ASK) {
		send(call, &passage, rpc);
		return;
	}
	count = splice_pieces(&passage.splice, rpc->whole, pieces);
	if (approval_ask(call, pieces, count, parts[TOOL_ARGUMENTS]) < 0)
		call_end(call, NULL, CALL_BUSY, "busy: too many calls wait for an operator");
}

static void
unknown_tool(struct broker *broker, struct origin *origin, struct span name, struct span arguments)
{
	char plain[TOOL_NAME_MAX + 1], text[sizeof(plain) + 16], exposed[EXPOSED_NAME_MAX + 1];

	if (string_text(name, plain, sizeof(plain)) < 0)
		strcpy(plain, "?");
	snprintf(exposed, sizeof(exposed), "%.*s", EXPOSED_NAME_MAX, plain);
	if (!utf8_valid((const uint8_t *)exposed, strlen(exposed)))
		strcpy(exposed, "?");
	record_refused(broker, NULL, exposed, arguments, CALL_REFUSED);
	snprintf(text, sizeof(text), "Unknown tool: %s", plain);
	answer_error(origin, RPC_INVALID_PARAMS, text, NULL);
}

void
forward_tool(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct broker *broker = agent->broker;
	char exposed[EXPOSED_NAME_MAX + 1], why[320];
	struct span parts[TOOL_PARTS], arguments;
	const struct item *item = NULL;
	enum call_outcome outcome;

	if (members(rpc->params, tool_parts, TOOL_PARTS, parts) < 0 ||
	    value_kind(parts[TOOL_NAME]) != VALUE_STRING) {
		answer_error(origin, RPC_INVALID_PARAMS,
			     "Invalid params: name must be one string, no member occurs twice",
			     NULL);
		return;
	}
	if (!recorder_room(broker)) {
		answer_tool(origin, true, "busy: earlier calls are not recorded yet", NO_SPAN);
		return;
	}
	arguments = parts[TOOL_ARGUMENTS];
	if (string_text(parts[TOOL_NAME], exposed, sizeof(exposed)) >= 0)
		item = catalog_find(&broker->catalogs[ITEM_TOOL], exposed);
	if (!item) {
		unknown_tool(broker, origin, parts[TOOL_NAME], arguments);
		return;
	}
	if (!item->server) {
		builtin_call(broker, origin, item, arguments);
		return;
	}
	outcome = admit(broker, item, why, sizeof(why));
	if (outcome == CALL_OK && arguments.at && value_kind(arguments) != VALUE_OBJECT) {
		outcome = CALL_INVALID;
		snprintf(why, sizeof(why), "arguments must be an object");
	}
	if (outcome == CALL_OK)
		call_tool(broker, origin, item, rpc, parts);
	else
		refuse_tool(broker, origin, item, arguments, outcome, why);
}

/* --- prompts, resources, completions --------------------------------------------------------- */

/* text: what stands for the plugin in the place of named; taken over. */
static void
pass_on(struct server *server, struct origin *origin, const struct rpc *rpc, struct span named,
	char *text, bool cacheable)
{
	_cleanup_passage_ struct passage passage = {.name = text};
	struct call *call;
	int rc;

	if (server->state != SERVER_READY) {
		answer_error(origin, RPC_INTERNAL, "the plugin is not running", NULL);
		return;
	}
	call = text ? call_of(server, origin) : NULL;
	if (!call) {
		answer_error(origin, RPC_INTERNAL,
			     text ? "busy: too many calls are in flight" : "memory ran out", NULL);
		return;
	}
	call->cacheable = cacheable;
	splice_put(&passage.splice, named, text, strlen(text));
	rc = exchange(&passage, call, rpc);
	if (rc < 0)
		call_end(call, NULL, CALL_INVALID, "_meta.progressToken is not usable");
	else
		send(call, &passage, rpc);
}

static struct item *
prompt_named(struct broker *broker, struct span name)
{
	char exposed[EXPOSED_NAME_MAX + 1];

	if (string_text(name, exposed, sizeof(exposed)) < 0)
		return NULL;
	return catalog_find(&broker->catalogs[ITEM_PROMPT], exposed);
}

static char *
own_name(const struct item *item)
{
	struct span name = item_key_text(item);

	return strndup(name.at, name.length);
}

void
forward_prompt(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span name = member(rpc->params, "name");
	struct item *item = prompt_named(agent->broker, name);

	if (!item)
		answer_error(origin, RPC_INVALID_PARAMS, "Unknown prompt", NULL);
	else
		pass_on(item->server, origin, rpc, name, own_name(item), false);
}

void
forward_resource(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span uri = member(rpc->params, "uri");
	char *own = NULL;
	struct server *server = resource_owner(agent->broker, uri, &own);

	if (!server)
		answer_error(origin, origin->era == ERA_MODERN ? RPC_INVALID_PARAMS : -32002,
			     "Resource not found", NULL);
	else
		pass_on(server, origin, rpc, uri, own, true);
}

void
forward_completion(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span ref = member(rpc->params, "ref"), type = member(ref, "type");
	struct span name = member(ref, "name"), uri = member(ref, "uri");
	struct server *server = NULL;
	struct item *item;
	char *own = NULL;

	if (string_equal(type, "ref/resource")) {
		name = uri;
		server = resource_owner(agent->broker, uri, &own);
	} else if (string_equal(type, "ref/prompt")) {
		item = prompt_named(agent->broker, name);
		server = item ? item->server : NULL;
		own = item ? own_name(item) : NULL;
	}
	if (server && server->completes) {
		pass_on(server, origin, rpc, name, own, false);
		return;
	}
	free(own);
	answer_error(origin, RPC_INVALID_PARAMS, "Invalid params: nothing is known by this ref",
		     NULL);
}

/* --- meanwhile ------------------------------------------------------------------------------- */

void
forward_allowed(struct call *call, size_t length)
{
	struct iovec whole = {call->held, length};
	int rc = call->server->state == SERVER_READY
		     ? server_send(call->server, &whole, 1, call->id)
		     : -EPIPE;

	free(steal_ptr(&call->held));
	if (rc == 0)
		call->sent = true;
	else
		call_end(call, NULL, rc == -ENOBUFS ? CALL_BUSY : CALL_DIED,
			 rc == -ENOBUFS ? "busy: the plugin does not read its requests"
					: "the plugin does not take requests");
}

void
forward_progress(struct call *call, const struct rpc *rpc)
{
	struct iovec pieces[SPLICE_PIECES];
	struct splice splice = {0};
	struct origin *origin = call->origin;

	/* A batch is one answer: what comes before it has no place. */
	if (!origin || !origin->agent || !origin->token || origin->batch)
		return;
	splice_put(&splice, member(rpc->params, "progressToken"), origin->token,
		   strlen(origin->token));
	agent_notify(origin->agent, pieces, splice_pieces(&splice, rpc->whole, pieces));
}

static struct call *
call_of_agent(const struct agent *agent, struct span id)
{
	const struct calls *calls = &agent->broker->calls;

	for (size_t i = 0; id.at && i < CALLS_MAX; i++) {
		const struct origin *origin = calls->slots[i] ? calls->slots[i]->origin : NULL;

		if (origin && origin->agent == agent &&
		    span_equal(id, (struct span){origin->id, origin->id_length}))
			return calls->slots[i];
	}
	return NULL;
}

void
forward_cancel(struct agent *agent, struct span id)
{
	struct call *call = call_of_agent(agent, id);

	if (!call) {
		listen_cancel(agent, id);
		return;
	}
	call_withdraw(call, "cancelled by the client");
	call_end(call, NULL, CALL_CANCELLED, "cancelled by the client");
}
