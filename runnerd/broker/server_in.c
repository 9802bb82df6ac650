/* What a plugin writes: answers to our calls, notifications, requests of its own. */
#include <stdio.h>
#include <string.h>

#include "state.h"

/* A line that says nothing is dropped; a plugin that goes on so is ended. */
static bool
garbage(struct server *server, const char *why)
{
	uint32_t generation = server->generation;

	server_log(server, "a line of its standard output is dropped: %s", why);
	if (++server->garbage > GARBAGE_MAX)
		server_break(server, "it writes what is no message to its standard output");
	return server->out >= 0 && server->generation == generation;
}

/* --- answers --------------------------------------------------------------------------------- */

static void
answered(struct server *server, const struct rpc *rpc)
{
	struct call *call;
	uint64_t id;

	if (!number_uint(rpc->id, &id)) {
		server_log(server, "an answer to nothing is dropped");
		return;
	}
	call = call_find(server->broker, id);
	if (!call || call->server != server || !call->sent)
		return; /* late: it was cancelled, or its time is over */
	call_end(call, rpc, rpc->kind == RPC_RESULT ? CALL_OK : CALL_ERROR,
		 "it answered with an error");
}

/* What it wanted to say is too long: at least the call it belongs to shall not wait. An id stands
 * at the beginning or at the end of what servers write. */
static void
fail_too_long(struct server *server, struct span ends)
{
	static const char mark[] = "\"id\":";
	const char *end = ends.at + ends.length, *at = ends.at;
	char why[96];

	snprintf(why, sizeof(why), "its result is longer than %llu bytes",
		 (unsigned long long)server->plan.result_bytes);
	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)) != NULL) {
		uint64_t id = 0;
		struct call *call;

		for (at += sizeof(mark) - 1; at < end && *at >= '0' && *at <= '9'; at++)
			id = id * 10 + (uint64_t)(*at - '0');
		call = call_find(server->broker, id);
		if (call && call->server == server && call->sent) {
			call_end(call, NULL, CALL_DIED, why);
			return;
		}
	}
}

/* --- notifications --------------------------------------------------------------------------- */

static void
progressed(struct server *server, const struct rpc *rpc)
{
	struct call *call;
	uint64_t id;

	if (!number_uint(member(rpc->params, "progressToken"), &id))
		return;
	call = call_find(server->broker, id);
	if (!call || call->server != server || !call->sent)
		return;
	call_extend(call);
	forward_progress(call, rpc);
}

static void
tools_changed(struct server *server, const struct rpc *rpc)
{
	(void)rpc;
	server_list_changed(server, ITEM_TOOL);
}

static void
prompts_changed(struct server *server, const struct rpc *rpc)
{
	(void)rpc;
	server_list_changed(server, ITEM_PROMPT);
}

static void
resources_changed(struct server *server, const struct rpc *rpc)
{
	(void)rpc;
	server_list_changed(server, ITEM_RESOURCE);
	server_list_changed(server, ITEM_TEMPLATE);
}

static const struct {
	const char *method;
	void (*notified)(struct server *server, const struct rpc *rpc);
} notifications[] = {
    {"notifications/progress", progressed},
    {"notifications/tools/list_changed", tools_changed},
    {"notifications/prompts/list_changed", prompts_changed},
    {"notifications/resources/list_changed", resources_changed},
    {"notifications/resources/updated", notify_resource},
    {"notifications/message", notify_message},
};

static void
notified(struct server *server, const struct rpc *rpc)
{
	for (size_t i = 0; i < ARRAY_LEN(notifications); i++)
		if (strcmp(notifications[i].method, rpc->method) == 0) {
			notifications[i].notified(server, rpc);
			return;
		}
}

/* --- requests: ping is answered, nothing else was advertised --------------------------------- */

static void
requested(struct server *server, const struct rpc *rpc)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
	static const char pong[] = ",\"result\":{}}\n";
	static const char refusal[] =
	    ",\"error\":{\"code\":-32601,\"message\":\"Method not found: this client advertises "
	    "no capabilities\"}}\n";
	bool ping = strcmp(rpc->method, "ping") == 0;
	const char *rest = ping ? pong : refusal;
	struct iovec pieces[] = {
	    {(void *)(uintptr_t)head, sizeof(head) - 1},
	    {(void *)(uintptr_t)rpc->id.at, rpc->id.length},
	    {(void *)(uintptr_t)rest, strlen(rest)},
	};

	/* Whoever floods us with requests and does not read gets no answer. */
	server_send(server, pieces, 3, 0);
}

bool
server_line(enum frame_event event, struct span line, void *arg)
{
	struct server *server = arg;
	uint32_t generation = server->generation;
	const char *why = "it is no message";
	struct rpc rpc;

	if (event == FRAME_TOO_LONG) {
		fail_too_long(server, line);
		return garbage(server, "it is too long");
	}
	if (rpc_parse(line, &rpc, &why) != 0)
		return garbage(server, why);
	switch (rpc.kind) {
	case RPC_RESULT:
	case RPC_ERROR:
		answered(server, &rpc);
		break;
	case RPC_NOTIFICATION:
		notified(server, &rpc);
		break;
	case RPC_REQUEST:
		requested(server, &rpc);
		break;
	case RPC_BATCH:
		return garbage(server, "a batch, which was not negotiated");
	}
	return server->out >= 0 && server->generation == generation;
}
