/* The runtime's own tools, and the log. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* --- arguments
 * -------------------------------------------------------------------------------------- */

static void
add_name(struct buffer *arguments, const char *name)
{
	buffer_text(arguments, arguments->length ? ",\"" : "{\"");
	buffer_text(arguments, name);
	buffer_text(arguments, "\":");
}

static enum agent_status
add_text(struct buffer *arguments, const char *name, const char *text, struct agent_error *error)
{
	char *quoted;

	if (!text)
		return AGENT_OK;
	quoted = agent_json_quote(text, strlen(text));
	if (!quoted)
		return agent_fail(error, AGENT_INVALID, "%s is no UTF-8", name);
	add_name(arguments, name);
	buffer_text(arguments, quoted);
	free(quoted);
	return AGENT_OK;
}

static enum agent_status
add_json(struct buffer *arguments, const char *name, const char *json, struct agent_error *error)
{
	if (!json)
		return AGENT_OK;
	if (!agent_json(json, strlen(json)).text)
		return agent_fail(error, AGENT_INVALID, "%s is no JSON", name);
	add_name(arguments, name);
	buffer_text(arguments, json);
	return AGENT_OK;
}

/* --- calls
 * ------------------------------------------------------------------------------------------ */

/* status: whether the arguments, which are emptied, could be written. */
static enum agent_status
ask(struct agent *agent, const char *tool, struct buffer *arguments, enum agent_status status,
    struct agent_answer *answer, struct agent_error *error)
{
	char *text;
	size_t length;

	if (status) {
		buffer_free(arguments);
		return status;
	}
	buffer_text(arguments, arguments->length ? "}" : "{}");
	text = buffer_take(arguments, &length);
	if (!text)
		return agent_fail(error, AGENT_MEMORY, "out of memory");
	status = agent_call(agent, tool, text, NULL, answer, error);
	free(text);
	if (status || !answer->is_error)
		return status;
	agent_fail(error, AGENT_FAILED, "%s", answer->text);
	agent_answer_free(answer);
	return AGENT_FAILED;
}

static enum agent_status
tell(struct agent *agent, const char *tool, struct buffer *arguments, enum agent_status status,
     struct agent_error *error)
{
	struct agent_answer answer = {.json = NULL};

	status = ask(agent, tool, arguments, status, &answer, error);
	if (!status)
		agent_answer_free(&answer);
	return status;
}

enum agent_status
agent_mission(struct agent *agent, char **json, struct agent_error *error)
{
	struct buffer none = {.bytes = NULL};
	struct agent_answer answer = {.json = NULL};
	enum agent_status status;
	const char *text;

	*json = NULL;
	status = ask(agent, "agentd__mission", &none, AGENT_OK, &answer, error);
	if (status)
		return status;
	/* Older revisions of MCP have the text alone. */
	text = answer.structured ? answer.structured : answer.text;
	*json = text ? strdup(text) : NULL;
	agent_answer_free(&answer);
	return *json ? AGENT_OK : agent_fail(error, AGENT_MEMORY, "out of memory");
}

enum agent_status
agent_observe(struct agent *agent, const char *text, const char *data, struct agent_error *error)
{
	struct buffer arguments = {.bytes = NULL};
	enum agent_status status = add_text(&arguments, "text", text, error);

	if (!status)
		status = add_json(&arguments, "data", data, error);
	return tell(agent, "agentd__observe", &arguments, status, error);
}

enum agent_status
agent_transition(struct agent *agent, const char *state, const char *reason,
		 struct agent_error *error)
{
	struct buffer arguments = {.bytes = NULL};
	enum agent_status status = add_text(&arguments, "state", state, error);

	if (!status)
		status = add_text(&arguments, "reason", reason, error);
	return tell(agent, "agentd__transition", &arguments, status, error);
}

enum agent_status
agent_result(struct agent *agent, const char *json, struct agent_error *error)
{
	struct buffer arguments = {.bytes = NULL};

	return tell(agent, "agentd__result", &arguments,
		    add_json(&arguments, "result", json, error), error);
}

enum agent_status
agent_emit_event(struct agent *agent, const char *type, const char *data, const char *subject,
		 struct agent_error *error)
{
	struct buffer arguments = {.bytes = NULL};
	enum agent_status status = add_text(&arguments, "type", type, error);

	if (!status)
		status = add_json(&arguments, "data", data, error);
	if (!status)
		status = add_text(&arguments, "subject", subject, error);
	return tell(agent, "agentd__emit_event", &arguments, status, error);
}

/* --- log
 * -------------------------------------------------------------------------------------------- */

void
agent_log(const char *level, const char *text)
{
	struct buffer lines = {.bytes = NULL};
	size_t length;

	do {
		length = strcspn(text, "\n");
		buffer_text(&lines, level);
		buffer_text(&lines, ": ");
		buffer_add(&lines, text, length);
		buffer_add(&lines, "\n", 1);
		text += length;
	} while (*text && *++text);
	/* One write: lines of several threads do not mix. Who does not hear the log is not told. */
	if (!lines.failed && write(STDERR_FILENO, lines.bytes, lines.length) < 0)
		lines.failed = true;
	buffer_free(&lines);
}
