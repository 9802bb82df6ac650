/* Lists of tools, and calls of them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef __wasi__
#include <sys/eventfd.h>
#endif

#include "internal.h"

static const struct agent_json nothing = {.text = NULL};

/* A copy that ends at a NUL; NULL where there is nothing, or no memory. */
static char *
copy_of(struct agent_json json)
{
	return json.text ? strndup(json.text, json.length) : NULL;
}

/* --- list
 * ------------------------------------------------------------------------------------------ */

static bool
add_tool(struct agent_tools *tools, struct agent_json definition)
{
	struct agent_tool *all = reallocarray(tools->tools, tools->count + 1, sizeof(*all)), *tool;

	if (!all)
		return false;
	tools->tools = all;
	tool = &all[tools->count++];
	tool->name = agent_json_string(agent_json_get(definition, "name"), NULL);
	tool->description = agent_json_string(agent_json_get(definition, "description"), NULL);
	if (!tool->description)
		tool->description = strdup("");
	tool->json = copy_of(definition);
	return tool->description && tool->json;
}

/* One page; cursor is JSON text, replaced by that of the next page, or by NULL. */
static enum agent_status
read_page(struct agent *agent, struct agent_tools *tools, char **cursor, struct agent_error *error)
{
	struct request request = {.patience = {.deadline_ms = -1, .interrupt = -1}};
	struct buffer line = {.bytes = NULL};
	struct agent_json result, list, tool;
	enum agent_status status;

	request.id = agent_begin(agent, &line, "tools/list");
	if (*cursor) {
		buffer_text(&line, ",\"params\":{\"cursor\":");
		buffer_text(&line, *cursor);
		buffer_text(&line, "}");
	}
	buffer_text(&line, "}");
	free(*cursor);
	*cursor = NULL;
	status = agent_exchange(agent, &request, &line, &result, error);
	if (status)
		return status;
	list = agent_json_get(result, "tools");
	if (agent_json_type(list) != AGENT_JSON_ARRAY)
		return agent_fail(error, AGENT_PROTOCOL, "the runtime's list of tools is none");
	for (tool = agent_json_next(list, nothing); tool.text; tool = agent_json_next(list, tool)) {
		if (!add_tool(tools, tool))
			return agent_fail(error, AGENT_MEMORY, "out of memory");
		if (!tools->tools[tools->count - 1].name)
			return agent_fail(error, AGENT_PROTOCOL, "a tool has no name");
	}
	if (agent_json_type(agent_json_get(result, "nextCursor")) == AGENT_JSON_STRING)
		*cursor = copy_of(agent_json_get(result, "nextCursor"));
	return AGENT_OK;
}

enum agent_status
agent_tools(struct agent *agent, struct agent_tools *tools, struct agent_error *error)
{
	enum agent_status status;
	char *cursor = NULL;
	int pages = 0;

	*tools = (struct agent_tools){.tools = NULL};
	do {
		status = read_page(agent, tools, &cursor, error);
	} while (!status && cursor && ++pages < AGENT_PAGES_MAX);
	if (!status && cursor)
		status = agent_fail(error, AGENT_PROTOCOL, "the list of tools does not end");
	free(cursor);
	if (status)
		agent_tools_free(tools);
	return status;
}

void
agent_tools_free(struct agent_tools *tools)
{
	size_t i;

	for (i = 0; i < tools->count; i++) {
		free(tools->tools[i].name);
		free(tools->tools[i].description);
		free(tools->tools[i].json);
	}
	free(tools->tools);
	*tools = (struct agent_tools){.tools = NULL};
}

/* --- cancel
 * ---------------------------------------------------------------------------------------- */

struct agent_cancel {
	int fd; /* an eventfd that is never read: fired once, it stays so */
};

#ifdef __wasi__

/* A module has one thread: none could fire it. */
struct agent_cancel *
agent_cancel_new(void)
{
	return NULL;
}

#else

struct agent_cancel *
agent_cancel_new(void)
{
	struct agent_cancel *cancel = malloc(sizeof(*cancel));

	if (!cancel)
		return NULL;
	cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (cancel->fd >= 0)
		return cancel;
	free(cancel);
	return NULL;
}

#endif

void
agent_cancel_fire(struct agent_cancel *cancel)
{
	static const uint64_t once = 1;
	int saved = errno;

	/* It fails only where it has been fired 2^64 - 2 times. */
	if (write(cancel->fd, &once, sizeof(once)) < 0)
		errno = saved;
}

void
agent_cancel_free(struct agent_cancel *cancel)
{
	if (!cancel)
		return;
	close(cancel->fd);
	free(cancel);
}

static bool
is_fired(const struct agent_cancel *cancel)
{
	struct pollfd fd = {.fd = cancel->fd, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* --- call
 * ------------------------------------------------------------------------------------------ */

static bool
add_texts(struct agent_json content, struct agent_answer *answer)
{
	struct buffer text = {.bytes = NULL};
	struct agent_json item;
	bool first = true;
	size_t length;
	char *part;

	for (item = agent_json_next(content, nothing); item.text;
	     item = agent_json_next(content, item)) {
		part = agent_json_string(agent_json_get(item, "text"), &length);
		if (!part)
			continue;
		if (!first)
			buffer_add(&text, "\n", 1);
		buffer_add(&text, part, length);
		free(part);
		first = false;
	}
	answer->text = buffer_take(&text, &answer->text_length);
	return answer->text;
}

static enum agent_status
keep_answer(struct agent_json result, struct agent_answer *answer, struct agent_error *error)
{
	struct agent_json structured = agent_json_get(result, "structuredContent");

	if (agent_json_type(result) != AGENT_JSON_OBJECT)
		return agent_fail(error, AGENT_PROTOCOL, "the answer of a tool is no object");
	answer->json = copy_of(result);
	answer->length = result.length;
	answer->structured = copy_of(structured);
	answer->is_error = agent_json_true(agent_json_get(result, "isError"));
	if (add_texts(agent_json_get(result, "content"), answer) && answer->json &&
	    (answer->structured || !structured.text))
		return AGENT_OK;
	agent_answer_free(answer);
	return agent_fail(error, AGENT_MEMORY, "out of memory");
}

static enum agent_status
check_call(const char *tool, const char *arguments, const struct agent_options *options,
	   struct agent_error *error)
{
	size_t length = strlen(arguments);

	if (!agent_is_utf8(tool, strlen(tool)))
		return agent_fail(error, AGENT_INVALID, "the tool's name is no UTF-8");
	if (length + strlen(tool) > AGENT_ARGUMENTS_MAX - 1024)
		return agent_fail(error, AGENT_INVALID,
				  "the arguments of %.64s are %zu bytes; a request has at most %d",
				  tool, length, AGENT_ARGUMENTS_MAX);
	if (agent_json_type(agent_json(arguments, length)) != AGENT_JSON_OBJECT)
		return agent_fail(error, AGENT_INVALID, "the arguments of %.64s are no JSON object",
				  tool);
	if (options && options->cancel && is_fired(options->cancel))
		return agent_fail(error, AGENT_CANCELLED, "cancelled");
	return AGENT_OK;
}

static void
write_call(struct buffer *line, const char *tool, const char *arguments,
	   const struct request *request)
{
	struct agent_json json = agent_json(arguments, strlen(arguments));
	char token[64];

	buffer_text(line, ",\"params\":{\"name\":");
	buffer_quoted(line, tool, strlen(tool));
	buffer_text(line, ",\"arguments\":");
	buffer_one_line(line, json.text, json.length);
	if (request->options && request->options->progress) {
		snprintf(token, sizeof(token), ",\"_meta\":{\"progressToken\":%llu}",
			 (unsigned long long)request->id);
		buffer_text(line, token);
	}
	buffer_text(line, "}}");
}

static struct patience
patience_of(const struct agent_options *options)
{
	struct patience patience = {.deadline_ms = -1, .interrupt = -1};

	if (options && options->timeout_ms)
		patience.deadline_ms =
		    wire_now_ms() +
		    (int64_t)(options->timeout_ms < INT32_MAX ? options->timeout_ms : INT32_MAX);
	if (options && options->cancel)
		patience.interrupt = options->cancel->fd;
	return patience;
}

enum agent_status
agent_call(struct agent *agent, const char *tool, const char *arguments,
	   const struct agent_options *options, struct agent_answer *answer,
	   struct agent_error *error)
{
	struct request request = {.options = options, .patience = patience_of(options)};
	struct buffer line = {.bytes = NULL};
	struct agent_json result;
	enum agent_status status;

	*answer = (struct agent_answer){.json = NULL};
	if (!arguments)
		arguments = "{}";
	status = check_call(tool, arguments, options, error);
	if (status)
		return status;
	request.id = agent_begin(agent, &line, "tools/call");
	write_call(&line, tool, arguments, &request);
	status = agent_exchange(agent, &request, &line, &result, error);
	return status ? status : keep_answer(result, answer, error);
}

void
agent_answer_free(struct agent_answer *answer)
{
	free(answer->json);
	free(answer->text);
	free(answer->structured);
	*answer = (struct agent_answer){.json = NULL};
}
