/* The runtime's own tools: what a session is for, and what its agent says of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "event.h"
#include "state.h"

enum { TEXT_MAX = 255 /* bytes of a type, a subject */ };

/* --- answers --------------------------------------------------------------------------------- */

/* One call of a built-in tool. */
struct request {
	struct broker *broker;
	struct origin *origin;
	struct call *call; /* on the stack: for the record */
	struct span arguments;
};

static void
finish(struct request *request, enum call_outcome outcome, size_t bytes)
{
	recorder_call(request->broker, request->call, outcome, bytes);
}

static void
bad(struct request *request, const char *why)
{
	answer_tool(request->origin, true, why, NO_SPAN);
	finish(request, CALL_INVALID, 0);
}

static void
good(struct request *request, const char *object, size_t length)
{
	answer_tool(request->origin, false, NULL, (struct span){object, length});
	finish(request, CALL_OK, length);
}

static void
said(struct request *request, const char *object)
{
	good(request, object, strlen(object));
}

/* --- mission --------------------------------------------------------------------------------- */

static const char *const state_words[SERVER_STATES] = {
    [SERVER_WAITING] = "restarting",
    [SERVER_STARTING] = "starting",
    [SERVER_READY] = "ready",
    [SERVER_FAILED] = "failed",
};

static void
put_plugins(struct json *json, const struct broker *broker)
{
	json_key(json, "plugins");
	json_array(json);
	for (size_t i = 0; i < broker->server_count; i++) {
		const struct server *server = &broker->servers[i];

		json_object(json);
		json_key(json, "name");
		json_string(json, server->plan.name);
		json_key(json, "state");
		json_string(json, state_words[server->state]);
		json_key(json, "why");
		json_string(json, server->why[0] ? server->why : NULL);
		json_object_end(json);
	}
	json_array_end(json);
}

/* mission.json with one member more, before its closing bracket. */
static void
mission(struct request *request)
{
	const struct broker *broker = request->broker;
	struct span text = {broker->mission, broker->mission_length}, value;
	struct json json = JSON_INIT;
	size_t length;

	if (scan(text, &value) || value_kind(value) != VALUE_OBJECT) {
		bad(request, "this session has no mission");
		return;
	}
	json_raw(&json, value.at, value.length - 1);
	json.comma = value.length > 2;
	put_plugins(&json, broker);
	json.comma = false;
	json_raw(&json, "}", 1);
	_cleanup_free_ char *whole = json_take(&json, &length);
	if (whole)
		good(request, whole, length);
	else
		bad(request, "memory ran out");
}

/* --- what is noted --------------------------------------------------------------------------- */

static bool
note(struct request *request, enum note_kind kind, struct msg *msg, struct span text)
{
	_cleanup_free_ char *clean = NULL;
	size_t length = 0;
	int fd = -1;

	if (text.at)
		clean = clean_json(&request->broker->cleaner, text, &length);
	if (length > NOTE_BYTES_MAX) {
		bad(request, "it is too long once its secrets are replaced by their names");
		return false;
	}
	if (clean)
		fd = memfd_sealed("note", clean, length);
	if (text.at && fd < 0) {
		bad(request, "memory ran out");
		return false;
	}
	msg->broker_note.kind = (uint8_t)kind;
	msg->broker_note.at_ms = realtime_ms();
	msg->broker_note.note_bytes = length;
	if (fd >= 0)
		msg_add_fd(msg, fd);
	if (notes_pass(request->broker, msg))
		return true;
	bad(request, "busy: what was noted before is not kept yet");
	return false;
}

/* A string argument into size bytes; false when it was refused. */
static bool
text_argument(struct request *request, const char *name, bool required, char *text, size_t size)
{
	struct span value = member(request->arguments, name);
	char why[128];

	text[0] = '\0';
	if (!value.at && !required)
		return true;
	if (string_text(value, text, size) >= (required ? 1 : 0))
		return true;
	snprintf(why, sizeof(why), "%s must be a string of %s%zu bytes at most", name,
		 required ? "1 to " : "", size - 1);
	bad(request, why);
	return false;
}

static bool
small(struct request *request, struct span value, size_t most, const char *what)
{
	char why[128];

	if (value.length <= most)
		return true;
	snprintf(why, sizeof(why), "%s is longer than %zu bytes", what, most);
	bad(request, why);
	return false;
}

/* The arguments as they came: text and data. */
static void
observe(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_NOTE);
	if (value_kind(member(request->arguments, "text")) != VALUE_STRING)
		bad(request, "text must be a string");
	else if (small(request, request->arguments, NOTE_TEXT_MAX, "an observation") &&
		 note(request, NOTE_OBSERVATION, &msg, request->arguments))
		said(request, "{\"recorded\":true}");
}

static void
transition(struct request *request)
{
	static const char *const states[] = {"plan", "act", "observe"};
	struct broker *broker = request->broker;
	char state[16], answer[96];
	struct msg msg;
	size_t i;

	msg_init(&msg, MSG_BROKER_NOTE);
	if (!text_argument(request, "state", true, state, sizeof(state)) ||
	    !text_argument(request, "reason", false, msg.broker_note.why,
			   sizeof(msg.broker_note.why)))
		return;
	for (i = 0; i < ARRAY_LEN(states) && strcmp(states[i], state) != 0; i++)
		;
	if (i == ARRAY_LEN(states)) {
		bad(request, "state must be plan, act or observe");
		return;
	}
	strcpy(msg.broker_note.name, state);
	if (!note(request, NOTE_TRANSITION, &msg, NO_SPAN))
		return;
	if (broker->transition[0])
		snprintf(answer, sizeof(answer), "{\"state\":\"%s\",\"previous\":\"%s\"}", state,
			 broker->transition);
	else
		snprintf(answer, sizeof(answer), "{\"state\":\"%s\",\"previous\":null}", state);
	snprintf(broker->transition, sizeof(broker->transition), "%s", states[i]);
	broker->transition_at_ms = realtime_ms();
	said(request, answer);
}

static void
result(struct request *request)
{
	struct span value = member(request->arguments, "result");
	struct msg msg;

	msg_init(&msg, MSG_BROKER_NOTE);
	if (!value.at)
		bad(request, "result is missing");
	else if (small(request, value, NOTE_BYTES_MAX, "result") &&
		 note(request, NOTE_RESULT, &msg, value))
		said(request, "{\"stored\":true}");
}

/* What no event can be called would be dropped on its way. */
static bool
is_event(struct request *request, const struct msg_broker_note *note)
{
	char why[EVENT_WHY];

	if (event_named(note->name, note->subject, why))
		return true;
	bad(request, why);
	return false;
}

static void
emit_event(struct request *request)
{
	struct span value = member(request->arguments, "data");
	struct msg msg;

	msg_init(&msg, MSG_BROKER_NOTE);
	if (text_argument(request, "type", true, msg.broker_note.name, TEXT_MAX + 1) &&
	    text_argument(request, "subject", false, msg.broker_note.subject, TEXT_MAX + 1) &&
	    is_event(request, &msg.broker_note) && small(request, value, NOTE_TEXT_MAX, "data") &&
	    note(request, NOTE_EVENT, &msg, value))
		said(request, "{\"emitted\":true}");
}

/* --- the table ------------------------------------------------------------------------------- */

#define NO_EXTRA "\"additionalProperties\":false}"

static const struct builtin {
	const char *name, *definition;
	void (*called)(struct request *request);
} builtins[] = {
    {"agentd__mission",
     "{\"name\":\"agentd__mission\",\"title\":\"Mission\",\"description\":\"What this session is "
     "for: task, trigger, attempt, deadline, the session before, and the state of its plugins.\","
     "\"inputSchema\":{\"type\":\"object\",\"properties\":{}," NO_EXTRA
     ",\"annotations\":{\"readOnlyHint\":true,\"openWorldHint\":false}}",
     mission},
    {"agentd__observe",
     "{\"name\":\"agentd__observe\",\"title\":\"Observe\",\"description\":\"Record what was seen "
     "or "
     "found out, for the operator and for later sessions.\",\"inputSchema\":{\"type\":\"object\","
     "\"properties\":{\"text\":{\"type\":\"string\",\"description\":\"In one or two sentences\"},"
     "\"data\":{\"description\":\"Anything structured that belongs to it\"}},"
     "\"required\":[\"text\"]," NO_EXTRA
     ",\"annotations\":{\"destructiveHint\":false,\"openWorldHint\":false}}",
     observe},
    {"agentd__transition",
     "{\"name\":\"agentd__transition\",\"title\":\"Transition\",\"description\":\"Say which state "
     "you enter: plan, act or observe.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
     "\"state\":{\"type\":\"string\",\"enum\":[\"plan\",\"act\",\"observe\"]},"
     "\"reason\":{\"type\":\"string\",\"maxLength\":1023}},\"required\":[\"state\"]," NO_EXTRA
     ",\"annotations\":{\"destructiveHint\":false,\"openWorldHint\":false}}",
     transition},
    {"agentd__result",
     "{\"name\":\"agentd__result\",\"title\":\"Result\",\"description\":\"Store the structured "
     "result of this session; the last one counts.\",\"inputSchema\":{\"type\":\"object\","
     "\"properties\":{\"result\":{\"description\":\"Any JSON value, up to 1 MiB\"}},"
     "\"required\":[\"result\"]," NO_EXTRA ",\"annotations\":{\"destructiveHint\":false,"
     "\"idempotentHint\":true,\"openWorldHint\":false}}",
     result},
    {"agentd__emit_event",
     "{\"name\":\"agentd__emit_event\",\"title\":\"Emit event\",\"description\":\"Emit an event "
     "that "
     "may trigger sessions of other agents.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{"
     "\"type\":{\"type\":\"string\",\"maxLength\":255},\"data\":{\"description\":\"Any JSON value, "
     "up to 16 KiB\"},\"subject\":{\"type\":\"string\",\"maxLength\":255}},"
     "\"required\":[\"type\"]," NO_EXTRA
     ",\"annotations\":{\"destructiveHint\":false,\"openWorldHint\":false}}",
     emit_event},
};

int
builtins_register(struct broker *broker)
{
	struct item *items[ARRAY_LEN(builtins)];
	char why[128];

	for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
		const char *text = builtins[i].definition;

		items[i] = item_new(ITEM_TOOL, NULL, NULL, (struct span){text, strlen(text)});
		if (!items[i]) {
			while (i-- > 0)
				item_free(items[i]);
			return -1;
		}
	}
	return registry_replace(broker, NULL, ITEM_TOOL, items, ARRAY_LEN(builtins), why,
				sizeof(why));
}

void
builtin_call(struct broker *broker, struct origin *origin, const struct item *tool,
	     struct span arguments)
{
	struct call call = {
	    .broker = broker, .began_ns = boottime_ns(), .argument_bytes = arguments.length};
	struct request request = {
	    .broker = broker, .origin = origin, .call = &call, .arguments = arguments};

	snprintf(call.tool, sizeof(call.tool), "%s", tool->name);
	snprintf(call.exposed, sizeof(call.exposed), "%s", tool->exposed);
	shape_of(arguments, call.shape);
	if (arguments.at && value_kind(arguments) != VALUE_OBJECT) {
		bad(&request, "arguments must be an object");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
		if (strcmp(builtins[i].name, tool->name) == 0)
			builtins[i].called(&request);
}
