#include "plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/proto.h"
#include "plugin_process.h"

struct plugin {
	struct plugin_process process;
	plugin_say_fn *say;
	void *arg;
	uint64_t last_id;
	int bad_lines;
	bool stranger; /* an answer to nothing was told of */
	char about[256];
};

static const struct agent_json nothing = {.text = NULL};

static void __attribute__((format(printf, 2, 3)))
say(const struct plugin *plugin, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (rc < 0)
		text = NULL;
	else
		plugin->say(text, plugin->arg);
}

struct plugin *
plugin_start(const char *const *command, plugin_say_fn *say_fn, void *arg, struct error *error)
{
	struct plugin *plugin = calloc(1, sizeof(*plugin));

	if (!plugin) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	plugin->say = say_fn;
	plugin->arg = arg;
	if (child_start(&plugin->process, command, error) == 0)
		return plugin;
	free(plugin);
	return NULL;
}

const char *
plugin_about(const struct plugin *plugin)
{
	return plugin->about;
}

void
plugin_stop(struct plugin *plugin)
{
	const char *said;

	if (!plugin)
		return;
	child_end(&plugin->process, &said);
	if (said)
		say(plugin, "%s", said);
	free(plugin);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static int
send_json(struct plugin *plugin, struct json *json, uint64_t deadline, struct error *error)
{
	_cleanup_free_ char *line = NULL;
	size_t length;

	json_object_end(json);
	line = json_take(json, &length);
	if (!line)
		return error_why(error, ERR_FAILED, "out of memory");
	line[length] = '\n'; /* in place of the NUL */
	return child_write(&plugin->process, line, length + 1, deadline, error);
}

static void
begin_message(struct json *json)
{
	*json = (struct json)JSON_INIT;
	json_object(json);
	json_key(json, "jsonrpc");
	json_string(json, "2.0");
}

static bool
is_method(struct agent_json method, const char *name)
{
	return method.length == strlen(name) + 2 &&
	       !memcmp(method.text + 1, name, method.length - 2);
}

/* A plugin may ask whether we are there; nothing else was offered to it. */
static int
answer_request(struct plugin *plugin, struct agent_json id, struct agent_json method,
	       uint64_t deadline, struct error *error)
{
	struct json json;

	begin_message(&json);
	json_key(&json, "id");
	json_raw(&json, id.text, id.length);
	if (is_method(method, "ping")) {
		json_key(&json, "result");
		json_object(&json);
	} else {
		say(plugin, "it asks for %.*s, which no session offers", (int)method.length,
		    method.text);
		json_key(&json, "error");
		json_object(&json);
		json_key(&json, "code");
		json_int(&json, -32601);
		json_key(&json, "message");
		json_string(&json, "Method not found");
	}
	json_object_end(&json);
	return send_json(plugin, &json, deadline, error);
}

static void
tell_notification(const struct plugin *plugin, struct agent_json message, struct agent_json method)
{
	struct agent_json params = agent_json_get(message, "params");

	if (is_method(method, "notifications/cancelled"))
		return;
	say(plugin, "%.*s %.*s", (int)(method.length - 2), method.text + 1,
	    (int)(params.length < 200 ? params.length : 200), params.text ? params.text : "");
}

static int
bad_line(struct plugin *plugin, const char *line, size_t length, struct error *error)
{
	say(plugin, "a line on its standard output is no message: %.*s",
	    (int)(length < 100 ? length : 100), line);
	if (++plugin->bad_lines < PLUGIN_BAD_LINES)
		return 0;
	error_why(error, ERR_FAILED, "%d lines on its standard output were no messages",
		  plugin->bad_lines);
	return error_hint(error, "what is meant for people goes to standard error");
}

static int
refused(struct agent_json answer, struct error *error)
{
	_cleanup_free_ char *text = agent_json_string(agent_json_get(answer, "message"), NULL);
	int64_t code = 0;

	agent_json_integer(agent_json_get(answer, "code"), &code);
	return error_why(error, ERR_FAILED, "it answers with error %lld: %s", (long long)code,
			 text ? text : "");
}

/* 1: result holds the answer to id; 0: something else; -1 with error. */
static int
take_answer(struct plugin *plugin, struct agent_json message, uint64_t id,
	    struct agent_json *result, struct error *error)
{
	struct agent_json refusal = agent_json_get(message, "error");
	int64_t number;

	if (!agent_json_integer(agent_json_get(message, "id"), &number) || (uint64_t)number != id) {
		if (!plugin->stranger)
			say(plugin, "it answers what nobody asked");
		plugin->stranger = true;
		return 0;
	}
	if (refusal.text)
		return refused(refusal, error);
	*result = agent_json_get(message, "result");
	if (agent_json_type(*result) != AGENT_JSON_OBJECT)
		return error_why(error, ERR_FAILED, "its answer has no result");
	return 1;
}

static int
take_line(struct plugin *plugin, uint64_t id, uint64_t deadline, struct agent_json *result,
	  struct error *error)
{
	struct agent_json message, method, asked;
	const char *line;
	size_t length;

	if (child_read(&plugin->process, deadline, &line, &length, error) < 0)
		return -1;
	message = agent_json(line, length);
	if (agent_json_type(message) != AGENT_JSON_OBJECT)
		return bad_line(plugin, line, length, error);
	method = agent_json_get(message, "method");
	if (agent_json_type(method) != AGENT_JSON_STRING)
		return take_answer(plugin, message, id, result, error);
	asked = agent_json_get(message, "id");
	if (asked.text)
		return answer_request(plugin, asked, method, deadline, error);
	tell_notification(plugin, message, method);
	return 0;
}

int
plugin_ask(struct plugin *plugin, const char *method, const char *params, uint64_t timeout_ms,
	   struct agent_json *result, struct error *error)
{
	uint64_t id = ++plugin->last_id, deadline = child_now_ms() + timeout_ms;
	struct json json;
	int r;

	begin_message(&json);
	json_key(&json, "id");
	json_uint(&json, id);
	json_key(&json, "method");
	json_string(&json, method);
	if (params) {
		json_key(&json, "params");
		json_raw(&json, params, strlen(params));
	}
	*result = nothing;
	r = send_json(plugin, &json, deadline, error);
	while (r == 0)
		r = take_line(plugin, id, deadline, result, error);
	return r < 0 ? error_what(error, "%s", method) : 0;
}

/* --- the handshake -----------------------------------------------------------------------------
 */

/* Revisions that begin with initialize, the one we ask for first. */
static const char *const revisions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

static char *
greeting(void)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "protocolVersion");
	json_string(&json, revisions[0]);
	json_key(&json, "capabilities");
	json_object(&json);
	json_object_end(&json);
	json_key(&json, "clientInfo");
	json_object(&json);
	json_key(&json, "name");
	json_string(&json, "agentd");
	json_key(&json, "version");
	json_string(&json, scarab_version);
	json_object_end(&json);
	json_object_end(&json);
	return json_take(&json, NULL);
}

static int
check_revision(struct plugin *plugin, struct agent_json result, struct error *error)
{
	_cleanup_free_ char *revision =
	    agent_json_string(agent_json_get(result, "protocolVersion"), NULL);
	struct agent_json info = agent_json_get(result, "serverInfo");
	_cleanup_free_ char *name = agent_json_string(agent_json_get(info, "name"), NULL);
	_cleanup_free_ char *version = agent_json_string(agent_json_get(info, "version"), NULL);

	for (size_t i = 0; revision && i < ARRAY_LEN(revisions); i++)
		if (strcmp(revision, revisions[i]) == 0) {
			snprintf(plugin->about, sizeof(plugin->about), "%.80s %.80s, MCP %s",
				 name ? name : "a plugin", version ? version : "", revision);
			return 0;
		}
	error_why(error, ERR_FAILED, "it speaks revision %.80s of MCP", revision ? revision : "?");
	return error_hint(error, "agentd knows %s, %s, %s and %s", revisions[0], revisions[1],
			  revisions[2], revisions[3]);
}

int
plugin_greet(struct plugin *plugin, struct error *error)
{
	_cleanup_free_ char *params = greeting();
	struct agent_json result;
	struct json json;

	if (!params)
		return error_why(error, ERR_FAILED, "out of memory");
	if (plugin_ask(plugin, "initialize", params, PLUGIN_START_MS, &result, error) < 0)
		return -1;
	if (check_revision(plugin, result, error) < 0)
		return -1;
	begin_message(&json);
	json_key(&json, "method");
	json_string(&json, "notifications/initialized");
	return send_json(plugin, &json, child_now_ms() + PLUGIN_START_MS, error);
}
