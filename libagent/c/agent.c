/* The connection's conversation: the handshake, requests and their answers, and what comes between.
 */
#include "agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_SOCKET "/run/agentd/agentd.sock"

enum {
	NOT_FOUND = -32601, /* JSON-RPC: no such method */
};

/* Revisions that begin with initialize, the one we ask for first. */
static const char *const revisions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

static const char *const status_names[] = {
    [AGENT_OK] = "ok",           [AGENT_INVALID] = "invalid", [AGENT_UNREACHABLE] = "unreachable",
    [AGENT_CLOSED] = "closed",   [AGENT_TIMEOUT] = "timeout", [AGENT_CANCELLED] = "cancelled",
    [AGENT_REFUSED] = "refused", [AGENT_FAILED] = "failed",   [AGENT_PROTOCOL] = "protocol",
    [AGENT_MEMORY] = "memory",
};

const char *
agent_status_name(enum agent_status status)
{
	size_t index = (size_t)status;

	return index < sizeof(status_names) / sizeof(status_names[0]) ? status_names[index]
								      : "unknown";
}

enum agent_status
agent_fail(struct agent_error *error, enum agent_status status, const char *fmt, ...)
{
	va_list ap;

	if (!error)
		return status;
	error->status = status;
	error->code = 0;
	va_start(ap, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, ap);
	va_end(ap);
	return status;
}

static const char *
reason(enum agent_status status)
{
	switch (status) {
	case AGENT_CLOSED:
		return "the runtime closed the connection";
	case AGENT_TIMEOUT:
		return "no answer in time";
	case AGENT_CANCELLED:
		return "cancelled";
	case AGENT_PROTOCOL:
		return "the runtime sent what is no message";
	case AGENT_MEMORY:
		return "out of memory";
	default:
		return agent_status_name(status);
	}
}

/* After these the conversation cannot go on: where a message ends is no longer known. */
static enum agent_status
broken(struct agent *agent, enum agent_status status)
{
	if (status == AGENT_CLOSED || status == AGENT_PROTOCOL || status == AGENT_MEMORY)
		wire_close(&agent->wire);
	return status;
}

/* --- messages out --------------------------------------------------------------------------------
 */

static void
begin_request(struct buffer *line, uint64_t id, const char *method)
{
	char text[64];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":", (unsigned long long)id);
	buffer_text(line, text);
	buffer_quoted(line, method, strlen(method));
}

static enum agent_status
send_cancelled(struct agent *agent, uint64_t id, const char *why)
{
	struct buffer line = {.bytes = NULL};
	char text[160];

	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
		 "{\"requestId\":%llu,\"reason\":\"%s\"}}",
		 (unsigned long long)id, why);
	buffer_text(&line, text);
	return wire_send(&agent->wire, &line);
}

/* The runtime asks nothing of us but whether we are there. */
static enum agent_status
answer_request(struct agent *agent, struct agent_json id, struct agent_json method)
{
	struct buffer line = {.bytes = NULL};
	char text[96];
	bool ping =
	    method.length == strlen("\"ping\"") && !memcmp(method.text, "\"ping\"", method.length);

	buffer_text(&line, "{\"jsonrpc\":\"2.0\",\"id\":");
	buffer_add(&line, id.text, id.length);
	snprintf(text, sizeof(text), ",\"error\":{\"code\":%d,\"message\":\"Method not found\"}}",
		 NOT_FOUND);
	buffer_text(&line, ping ? ",\"result\":{}}" : text);
	return wire_send(&agent->wire, &line);
}

/* --- messages in ---------------------------------------------------------------------------------
 */

/* Is it the number that we gave? */
static bool
is_id(struct agent_json value, uint64_t id)
{
	int64_t number;

	return agent_json_integer(value, &number) && number >= 0 && (uint64_t)number == id;
}

static enum agent_status
tell_progress(const struct request *request, struct agent_json params)
{
	const struct agent_options *options = request->options;
	struct agent_progress progress = {.total = 0};
	char *message;
	bool on;

	if (!options || !options->progress ||
	    !is_id(agent_json_get(params, "progressToken"), request->id) ||
	    !agent_json_number(agent_json_get(params, "progress"), &progress.progress))
		return AGENT_OK;
	agent_json_number(agent_json_get(params, "total"), &progress.total);
	message = agent_json_string(agent_json_get(params, "message"), NULL);
	progress.message = message;
	on = options->progress(&progress, options->arg);
	free(message);
	return on ? AGENT_OK : AGENT_CANCELLED;
}

static bool
is_method(struct agent_json method, const char *name)
{
	return method.length == strlen(name) + 2 &&
	       !memcmp(method.text + 1, name, method.length - 2);
}

/* A request or a notification of the runtime. */
static enum agent_status
take_method(struct agent *agent, const struct request *request, struct agent_json message,
	    struct agent_json method)
{
	struct agent_json id = agent_json_get(message, "id");

	if (id.text)
		return answer_request(agent, id, method);
	if (is_method(method, "notifications/progress"))
		return tell_progress(request, agent_json_get(message, "params"));
	return AGENT_OK;
}

/* An answer that is neither ours nor late is dropped like a late one: it is nobody's. */
static enum agent_status
take_message(struct agent *agent, const struct request *request, struct agent_json message,
	     struct reply *reply)
{
	struct agent_json method = agent_json_get(message, "method");

	if (agent_json_type(message) != AGENT_JSON_OBJECT)
		return AGENT_PROTOCOL;
	if (agent_json_type(method) == AGENT_JSON_STRING)
		return take_method(agent, request, message, method);
	if (!is_id(agent_json_get(message, "id"), request->id))
		return AGENT_OK;
	reply->result = agent_json_get(message, "result");
	reply->error = agent_json_get(message, "error");
	return reply->result.text || reply->error.text ? AGENT_OK : AGENT_PROTOCOL;
}

static enum agent_status
refused(struct agent_json refusal, struct agent_error *error)
{
	char *text = agent_json_string(agent_json_get(refusal, "message"), NULL);
	int64_t code = 0;

	agent_json_integer(agent_json_get(refusal, "code"), &code);
	agent_fail(error, AGENT_REFUSED, "%s", text ? text : "");
	if (error)
		error->code = code;
	free(text);
	return AGENT_REFUSED;
}

static enum agent_status
await(struct agent *agent, const struct request *request, struct reply *reply)
{
	const char *line;
	size_t length;
	enum agent_status status = AGENT_OK;

	while (!status && !reply->result.text && !reply->error.text) {
		status = wire_line(&agent->wire, &request->patience, &line, &length);
		if (!status)
			status = take_message(agent, request, agent_json(line, length), reply);
	}
	return status;
}

enum agent_status
agent_exchange(struct agent *agent, const struct request *request, struct buffer *line,
	       struct agent_json *result, struct agent_error *error)
{
	struct reply reply = {.result = {.text = NULL}};
	enum agent_status status;

	status = wire_send(&agent->wire, line);
	if (!status)
		status = await(agent, request, &reply);
	if (status == AGENT_TIMEOUT || status == AGENT_CANCELLED)
		send_cancelled(agent, request->id,
			       status == AGENT_TIMEOUT ? "timeout" : "cancelled");
	if (status)
		return agent_fail(error, broken(agent, status), "%s", reason(status));
	if (reply.error.text)
		return refused(reply.error, error);
	*result = reply.result;
	return AGENT_OK;
}

uint64_t
agent_begin(struct agent *agent, struct buffer *line, const char *method)
{
	uint64_t id = agent->next_id++;

	begin_request(line, id, method);
	return id;
}

/* --- connect -------------------------------------------------------------------------------------
 */

static bool
is_known(struct agent_json revision)
{
	size_t i;

	for (i = 0; i < sizeof(revisions) / sizeof(revisions[0]); i++)
		if (agent_json_type(revision) == AGENT_JSON_STRING &&
		    is_method(revision, revisions[i]))
			return true;
	return false;
}

static enum agent_status
greet(struct agent *agent, const struct patience *patience, struct agent_error *error)
{
	struct request request = {.patience = *patience};
	struct buffer line = {.bytes = NULL};
	struct agent_json result;
	enum agent_status status;

	request.id = agent_begin(agent, &line, "initialize");
	buffer_text(&line, ",\"params\":{\"protocolVersion\":\"");
	buffer_text(&line, revisions[0]);
	buffer_text(&line, "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"libagent\","
			   "\"version\":\"" AGENT_VERSION "\"}}}");
	status = agent_exchange(agent, &request, &line, &result, error);
	if (status)
		return status;
	if (!is_known(agent_json_get(result, "protocolVersion")))
		return agent_fail(error, AGENT_PROTOCOL,
				  "the runtime speaks no revision of MCP that libagent knows");
	buffer_text(&line, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
	status = wire_send(&agent->wire, &line);
	return status ? agent_fail(error, status, "%s", reason(status)) : AGENT_OK;
}

static enum agent_status
open_and_greet(struct agent *agent, struct agent_error *error)
{
	const char *path = getenv("SCARAB_SOCKET");
	struct patience patience = {.deadline_ms = wire_now_ms() + AGENT_CONNECT_MS,
				    .interrupt = -1};
	enum agent_status status;
	int rc;

	if (!path || !*path)
		path = DEFAULT_SOCKET;
	rc = wire_open(&agent->wire, path, &patience);
	if (rc < 0)
		return agent_fail(error, rc == -ENOMEM ? AGENT_MEMORY : AGENT_UNREACHABLE,
				  "cannot connect to the agent's socket %s: %s", path,
				  strerror(-rc));
	status = greet(agent, &patience, error);
	if (status == AGENT_TIMEOUT)
		return agent_fail(error, AGENT_UNREACHABLE,
				  "nobody answers at the agent's socket %s", path);
	return status;
}

enum agent_status
agent_connect(struct agent **agent, struct agent_error *error)
{
	enum agent_status status;

	*agent = calloc(1, sizeof(**agent));
	if (!*agent)
		return agent_fail(error, AGENT_MEMORY, "out of memory");
	**agent = (struct agent){.wire = WIRE_INIT, .next_id = 1};
	status = open_and_greet(*agent, error);
	if (status) {
		agent_close(*agent);
		*agent = NULL;
	}
	return status;
}

void
agent_close(struct agent *agent)
{
	if (!agent)
		return;
	wire_close(&agent->wire);
	free(agent);
}
