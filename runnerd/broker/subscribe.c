/*
 * Who wants to hear of changes: connections of the handshake revisions hear of every list and of
 * the resources that they subscribed to; those of 2026-07-28 of what a subscriptions/listen asked
 * for, tagged with its id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "naming.h"
#include "state.h"

#define SUBSCRIPTION_ID "io.modelcontextprotocol/subscriptionId"

/* --- which plugin has a resource ------------------------------------------------------------- */

static char *
quoted(const char *text)
{
	struct json json = JSON_INIT;

	json_string(&json, text);
	return json_take(&json, NULL);
}

/* Named without its prefix, as results of tools name resources: whoever lists it, else the only
 * plugin that has any. */
static struct server *
owner_unprefixed(struct broker *broker, const char *uri)
{
	const struct catalog *resources = &broker->catalogs[ITEM_RESOURCE];
	struct server *only = NULL, *listing = NULL;

	for (size_t i = 0; i < resources->count; i++)
		if (strcmp(resources->items[i]->name, uri) == 0)
			listing = listing ? listing : resources->items[i]->server;
	if (listing)
		return listing;
	for (size_t i = 0; i < broker->server_count; i++) {
		struct server *server = &broker->servers[i];

		if (!server->offers[ITEM_RESOURCE] || server->state == SERVER_FAILED)
			continue;
		if (only)
			return NULL;
		only = server;
	}
	return only;
}

/* *rest: the plugin's own name of it, inside uri. */
static struct server *
owner_of(struct broker *broker, const char *uri, const char **rest)
{
	char prefix[SERVER_NAME_MAX + 6];

	for (size_t i = 0; i < broker->server_count; i++) {
		struct server *server = &broker->servers[i];

		uri_prefix(server->plan.passthrough ? NULL : server->plan.name, prefix);
		*rest = uri + strlen(prefix);
		if (prefix[0] && strncmp(uri, prefix, strlen(prefix)) == 0)
			return server->offers[ITEM_RESOURCE] && server->state != SERVER_FAILED
				   ? server
				   : NULL;
	}
	*rest = uri;
	return owner_unprefixed(broker, uri);
}

struct server *
resource_owner(struct broker *broker, struct span uri, char **own)
{
	char text[URI_MAX + 1];
	struct server *server;
	const char *rest;

	*own = NULL;
	if (string_text(uri, text, sizeof(text)) < 1)
		return NULL;
	server = owner_of(broker, text, &rest);
	if (server)
		*own = quoted(rest);
	return *own ? server : NULL;
}

/* --- subscriptions --------------------------------------------------------------------------- */

static void
release(struct subscription *subscription)
{
	free(subscription->id);
	free(subscription->uri);
	free(subscription->own);
}

void
subscriptions_free(struct agent *agent)
{
	for (size_t i = 0; i < agent->subscription_count; i++)
		release(&agent->subscriptions[i]);
	free(agent->subscriptions);
	agent->subscriptions = NULL;
	agent->subscription_count = 0;
}

/* Takes what it points to over, also on failure. */
static bool
add(struct agent *agent, struct subscription *subscription)
{
	void *grown = NULL;

	if (agent->subscription_count < SUBSCRIPTIONS_MAX)
		grown = reallocarray(agent->subscriptions, agent->subscription_count + 1,
				     sizeof(*subscription));
	if (!grown) {
		release(subscription);
		return false;
	}
	agent->subscriptions = grown;
	agent->subscriptions[agent->subscription_count++] = *subscription;
	return true;
}

static void
drop(struct agent *agent, size_t at)
{
	release(&agent->subscriptions[at]);
	agent->subscriptions[at] = agent->subscriptions[--agent->subscription_count];
}

/* A request of our own, whose answer nobody needs. */
static void
tell_server(struct server *server, const char *method, const char *key, struct span value)
{
	struct call *call;
	_cleanup_free_ char *text = NULL;
	int length;

	if (server->state != SERVER_READY)
		return;
	call = call_new(server->broker, server, call_nothing, server->plan.timeout_ms);
	if (!call)
		return;
	length = asprintf(
	    &text, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":{\"%s\":%.*s}}\n",
	    (unsigned long long)call->id, method, key, (int)value.length, value.at);
	if (length < 0)
		text = NULL;
	call->sent = true;
	if (!text || server_send(server, &(struct iovec){text, (size_t)length}, 1, 0) < 0)
		call_end(call, NULL, CALL_DIED, "");
}

static struct span
text_span(const char *text)
{
	return (struct span){text, strlen(text)};
}

static bool
wanted(const struct broker *broker, const struct server *server, const char *own)
{
	for (const struct agent *agent = broker->agents; agent; agent = agent->next)
		for (size_t i = 0; i < agent->subscription_count; i++) {
			const struct subscription *one = &agent->subscriptions[i];

			if (one->server == server && one->own && strcmp(one->own, own) == 0)
				return true;
		}
	return false;
}

void
subscriptions_renew(struct server *server)
{
	for (struct agent *agent = server->broker->agents; agent; agent = agent->next)
		for (size_t i = 0; i < agent->subscription_count; i++)
			if (agent->subscriptions[i].server == server)
				tell_server(server, "resources/subscribe", "uri",
					    text_span(agent->subscriptions[i].own));
}

static void
answer_empty(struct origin *origin)
{
	answer_result(origin, "{}", 2);
}

/* One resource; false when its plugin does not tell of changes, or there are too many. */
static bool
subscribe(struct agent *agent, struct span uri, struct span id)
{
	struct subscription subscription = {0};
	struct server *server = resource_owner(agent->broker, uri, &subscription.own);

	if (!server || !server->subscribes) {
		free(subscription.own);
		return false;
	}
	subscription.server = server;
	subscription.uri = strndup(uri.at, uri.length);
	subscription.id = id.at ? strndup(id.at, id.length) : NULL;
	if (!subscription.uri || (id.at && !subscription.id)) {
		release(&subscription);
		return false;
	}
	if (!wanted(agent->broker, server, subscription.own))
		tell_server(server, "resources/subscribe", "uri", text_span(subscription.own));
	return add(agent, &subscription);
}

void
subscribe_request(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	if (subscribe(agent, member(rpc->params, "uri"), NO_SPAN))
		answer_empty(origin);
	else
		answer_error(origin, RPC_INVALID_PARAMS,
			     "No plugin tells of changes of this resource, or too many "
			     "subscriptions",
			     NULL);
}

/* Takes one out and, when it was the last of its resource, tells the plugin. */
static void
unsubscribe(struct agent *agent, size_t at)
{
	struct server *server = agent->subscriptions[at].server;
	_cleanup_free_ char *own = steal_ptr(&agent->subscriptions[at].own);

	drop(agent, at);
	if (server && own && !wanted(agent->broker, server, own))
		tell_server(server, "resources/unsubscribe", "uri", text_span(own));
}

void
unsubscribe_request(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span uri = member(rpc->params, "uri");

	for (size_t i = agent->subscription_count; i-- > 0;) {
		const struct subscription *one = &agent->subscriptions[i];

		if (!one->id && one->uri && span_equal(uri, text_span(one->uri)))
			unsubscribe(agent, i);
	}
	answer_empty(origin);
}

/* --- subscriptions/listen -------------------------------------------------------------------- */

static const struct {
	const char *key, *method;
	enum item_kind kind;
} listens[] = {
    {"toolsListChanged", "notifications/tools/list_changed", ITEM_TOOL},
    {"promptsListChanged", "notifications/prompts/list_changed", ITEM_PROMPT},
    {"resourcesListChanged", "notifications/resources/list_changed", ITEM_RESOURCE},
};

static void
put_tag(struct json *json, struct span id)
{
	json_key(json, "_meta");
	json_object(json);
	json_key(json, SUBSCRIPTION_ID);
	json_raw(json, id.at, id.length);
	json_object_end(json);
}

static void
open_notification(struct json *json, const char *method)
{
	json_object(json);
	json_key(json, "jsonrpc");
	json_string(json, "2.0");
	json_key(json, "method");
	json_string(json, method);
	json_key(json, "params");
	json_object(json);
}

static void
send_json(struct agent *agent, struct json *json)
{
	size_t length;
	_cleanup_free_ char *text = json_take(json, &length);

	if (text)
		agent_notify(agent, (struct iovec[]){{text, length}, {(char[]){'\n'}, 1}}, 2);
}

/* The resources of a filter that are honoured, each subscribed. */
static void
take_resources(struct agent *agent, struct span id, struct span array, struct json *ack)
{
	struct cursor cursor;
	struct span key, uri;
	bool any = false;

	if (!cursor_open(&cursor, array, VALUE_ARRAY))
		return;
	while (cursor_next(&cursor, &key, &uri)) {
		if (!subscribe(agent, uri, id))
			continue;
		if (!any) {
			json_key(ack, "resourceSubscriptions");
			json_array(ack);
		}
		any = true;
		json_raw(ack, uri.at, uri.length);
	}
	if (any)
		json_array_end(ack);
}

void
listen_request(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	struct span filter = member(rpc->params, "notifications");
	struct subscription lists = {.id = strndup(origin->id, origin->id_length)};
	struct json ack = JSON_INIT;
	bool kept;

	if (value_kind(filter) != VALUE_OBJECT || origin->batch || !lists.id) {
		free(lists.id);
		answer_error(origin, RPC_INVALID_PARAMS,
			     "Invalid params: notifications must say what to listen for", NULL);
		return;
	}
	open_notification(&ack, "notifications/subscriptions/acknowledged");
	put_tag(&ack, rpc->id);
	json_key(&ack, "notifications");
	json_object(&ack);
	for (size_t i = 0; i < ARRAY_LEN(listens); i++) {
		enum item_kind kind = listens[i].kind;

		if (!span_equal(member(filter, listens[i].key), SPAN("true")) ||
		    (kind != ITEM_TOOL && !registry_offers(agent->broker, kind)))
			continue;
		lists.kinds[kind] = true;
		json_key(&ack, listens[i].key);
		json_bool(&ack, true);
	}
	kept = add(agent, &lists);
	if (!kept) {
		json_free(&ack);
		answer_error(origin, RPC_INTERNAL, "too many subscriptions", NULL);
		return;
	}
	take_resources(agent, rpc->id, member(filter, "resourceSubscriptions"), &ack);
	json_object_end(&ack);
	json_object_end(&ack);
	json_object_end(&ack);
	send_json(agent, &ack);
	answer_none(origin); /* the request stays open */
}

bool
listen_cancel(struct agent *agent, struct span id)
{
	bool found = false;

	for (size_t i = agent->subscription_count; id.at && i-- > 0;) {
		const char *own = agent->subscriptions[i].id;

		if (!own || !span_equal(id, text_span(own)))
			continue;
		found = true;
		unsubscribe(agent, i);
	}
	return found;
}

/* A graceful end: the answer to the long request. */
void
listens_end(struct broker *broker)
{
	for (struct agent *agent = broker->agents; agent; agent = agent->next)
		for (size_t i = 0; i < agent->subscription_count; i++) {
			const struct subscription *one = &agent->subscriptions[i];
			struct json json = JSON_INIT;

			if (!one->id || one->uri)
				continue;
			json_object(&json);
			json_key(&json, "jsonrpc");
			json_string(&json, "2.0");
			json_key(&json, "id");
			json_raw(&json, one->id, strlen(one->id));
			json_key(&json, "result");
			json_object(&json);
			json_key(&json, "resultType");
			json_string(&json, "complete");
			put_tag(&json, text_span(one->id));
			json_object_end(&json);
			json_object_end(&json);
			send_json(agent, &json);
		}
}

/* --- telling --------------------------------------------------------------------------------- */

static void
tell_listens(struct agent *agent, const char *method, enum item_kind kind)
{
	for (size_t i = 0; i < agent->subscription_count && !agent->doomed; i++) {
		const struct subscription *one = &agent->subscriptions[i];
		struct json json = JSON_INIT;

		if (!one->id || one->uri || !one->kinds[kind])
			continue;
		open_notification(&json, method);
		put_tag(&json, text_span(one->id));
		json_object_end(&json);
		json_object_end(&json);
		send_json(agent, &json);
	}
}

void
notify_changed(struct broker *broker, enum item_kind kind)
{
	const char *method = NULL;
	char text[128];
	int length;

	/* Templates are told of as resources. */
	if (kind == ITEM_TEMPLATE)
		kind = ITEM_RESOURCE;
	for (size_t i = 0; i < ARRAY_LEN(listens); i++)
		if (listens[i].kind == kind)
			method = listens[i].method;
	length = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"method\":\"%s\"}\n", method);
	for (struct agent *agent = broker->agents; agent; agent = agent->next) {
		if (agent->initialized)
			agent_notify(agent, &(struct iovec){text, (size_t)length}, 1);
		tell_listens(agent, method, kind);
	}
}

static void
tell_updated(struct agent *agent, const struct subscription *one)
{
	struct json json = JSON_INIT;

	open_notification(&json, "notifications/resources/updated");
	if (one->id)
		put_tag(&json, text_span(one->id));
	json_key(&json, "uri");
	json_raw(&json, one->uri, strlen(one->uri));
	json_object_end(&json);
	json_object_end(&json);
	send_json(agent, &json);
}

void
notify_resource(struct server *server, const struct rpc *rpc)
{
	char text[URI_MAX + 1];
	_cleanup_free_ char *own = NULL;

	if (string_text(member(rpc->params, "uri"), text, sizeof(text)) < 1)
		return;
	own = quoted(text);
	for (struct agent *agent = server->broker->agents; own && agent; agent = agent->next)
		for (size_t i = 0; i < agent->subscription_count && !agent->doomed; i++) {
			const struct subscription *one = &agent->subscriptions[i];

			if (one->server == server && strcmp(one->own, own) == 0)
				tell_updated(agent, one);
		}
}

/* --- messages of plugins: to connections that have set a level ------------------------------- */

void
notify_message(struct server *server, const struct rpc *rpc)
{
	const struct iovec pieces[] = {{(void *)(uintptr_t)rpc->whole.at, rpc->whole.length},
				       {(char[]){'\n'}, 1}};

	for (struct agent *agent = server->broker->agents; agent; agent = agent->next)
		if (agent->logs)
			agent_notify(agent, pieces, 2);
}

void
log_level_request(struct agent *agent, struct origin *origin, const struct rpc *rpc)
{
	static const char *const levels[] = {"debug", "info",     "notice", "warning",
					     "error", "critical", "alert",  "emergency"};
	struct broker *broker = agent->broker;
	struct span level = member(rpc->params, "level");
	size_t known = 0;

	while (known < ARRAY_LEN(levels) && !string_equal(level, levels[known]))
		known++;
	if (known == ARRAY_LEN(levels)) {
		answer_error(origin, RPC_INVALID_PARAMS, "Invalid params: no such level", NULL);
		return;
	}
	agent->logs = true;
	for (size_t i = 0; i < broker->server_count; i++)
		if (broker->servers[i].logs)
			tell_server(&broker->servers[i], "logging/setLevel", "level", level);
	answer_empty(origin);
}
