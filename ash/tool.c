/* ash tool list and call with --plugin: a plugin tried without agentd, for who writes one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "output.h"
#include "plugin.h"
#include "registry.h"
#include "text.h"

enum {
	PAGES_MAX = 1000,
	TOOLS_MAX = 10000,
	NAME_MOST = 48, /* of SERVER__TOOL, as agents see it; what is longer is cut, with a hash */
	SERVER_MOST = 16,
	NS_PER_MS = 1000000,
};

static const struct agent_json nothing = {.text = NULL};

/* --- the plugin --------------------------------------------------------------------------------
 */

static void
say(const char *text, void *arg)
{
	_cleanup_free_ char *line = NULL;

	if (asprintf(&line, "the plugin: %s", text) < 0)
		line = NULL;
	output_warning(arg, line ? line : text);
}

static int
needs_plugin(const struct args *args, struct error *error)
{
	if (args->command->run == tool_list_command)
		error_why(error, ERR_USAGE, "SESSION, AGENT or --plugin CMD is missing");
	else
		error_why(error, ERR_USAGE, "--plugin CMD is missing");
	return error_hint(error, "--plugin CMD tries a plugin without agentd");
}

/* Started and greeted. NULL with error. */
static struct plugin *
begin(struct ash *ash, const struct args *args, struct error *error)
{
	struct plugin *plugin;

	output_note(ash, "%s runs as you, without a sandbox", args->rest[0]);
	plugin = plugin_start(args->rest, say, ash, error);
	if (plugin && plugin_greet(plugin, error) < 0) {
		plugin_stop(plugin);
		plugin = NULL;
	}
	if (!plugin) {
		error_what(error, "the plugin");
		return NULL;
	}
	output_note(ash, "%s", plugin_about(plugin));
	return plugin;
}

/* --- list --------------------------------------------------------------------------------------
 */

static const struct column tool_columns[] = {
    {"NAME", CUT_NEVER, 0, false},
    {"DESCRIPTION", CUT_RIGHT, 40, false},
};

struct listing {
	struct ash *ash;
	struct table *table; /* for people */
	struct json json;    /* or for programs */
	size_t count;
};

static bool
is_plain(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_-") == strlen(name);
}

/* What a session does with such a tool, said before it does. */
static void
check_tool(struct listing *listing, const char *name, struct agent_json tool)
{
	char text[256];

	if (!is_plain(name)) {
		snprintf(
		    text, sizeof(text),
		    "the tool %.80s: characters other than A-Z a-z 0-9 _ - become _ for agents",
		    name);
		output_warning(listing->ash, text);
	}
	if (strlen(name) + strlen("__") + SERVER_MOST > NAME_MOST) {
		snprintf(
		    text, sizeof(text),
		    "the tool %.80s: with its server's name before it, it may be longer than %d "
		    "characters and is then cut",
		    name, NAME_MOST);
		output_warning(listing->ash, text);
	}
	if (agent_json_type(agent_json_get(tool, "inputSchema")) != AGENT_JSON_OBJECT) {
		snprintf(text, sizeof(text), "the tool %.80s has no inputSchema", name);
		output_warning(listing->ash, text);
	}
}

static void
tool_json(struct json *json, const char *name, const char *description, struct agent_json tool)
{
	json_object(json);
	json_key(json, "name");
	json_string(json, name);
	json_key(json, "description");
	json_string(json, description);
	json_key(json, "definition");
	json_raw(json, tool.text, tool.length);
	json_object_end(json);
}

static int
add_tool(struct listing *listing, struct agent_json tool, struct error *error)
{
	_cleanup_free_ char *name = agent_json_string(agent_json_get(tool, "name"), NULL);
	_cleanup_free_ char *description =
	    agent_json_string(agent_json_get(tool, "description"), NULL);

	if (!name)
		return error_why(error, ERR_FAILED, "a tool has no name");
	if (++listing->count > TOOLS_MAX)
		return error_why(error, ERR_FAILED, "it has more than %d tools", TOOLS_MAX);
	check_tool(listing, name, tool);
	if (listing->ash->json) {
		tool_json(&listing->json, name, description, tool);
		return 0;
	}
	text_clean_here(name);
	if (description)
		text_clean_here(description);
	table_cell(listing->table, name, NULL, COLOR_NONE);
	table_cell(listing->table, description, NULL, COLOR_NONE);
	return 0;
}

static int
add_page(struct listing *listing, struct agent_json page, struct error *error)
{
	struct agent_json list = agent_json_get(page, "tools"), tool;

	if (agent_json_type(list) != AGENT_JSON_ARRAY)
		return error_why(error, ERR_FAILED, "its list of tools is none");
	for (tool = agent_json_next(list, nothing); tool.text; tool = agent_json_next(list, tool))
		if (add_tool(listing, tool, error) < 0)
			return -1;
	return 0;
}

/* The params of the next page, or NULL after the last one. */
static char *
next_page(struct agent_json page)
{
	struct agent_json cursor = agent_json_get(page, "nextCursor");
	char *params;

	if (agent_json_type(cursor) != AGENT_JSON_STRING ||
	    asprintf(&params, "{\"cursor\":%.*s}", (int)cursor.length, cursor.text) < 0)
		return NULL;
	return params;
}

static int
list_pages(struct plugin *plugin, struct listing *listing, struct error *error)
{
	char *params = NULL;
	struct agent_json page;
	int r = 0;

	for (int pages = 0; r == 0 && (params || pages == 0); pages++) {
		if (pages == PAGES_MAX) {
			r = error_why(error, ERR_FAILED, "its list of tools does not end");
			break;
		}
		r = plugin_ask(plugin, "tools/list", params, PLUGIN_CALL_MS, &page, error);
		free(params);
		params = NULL;
		if (r == 0)
			r = add_page(listing, page, error);
		if (r == 0)
			params = next_page(page);
	}
	free(params);
	return r < 0 ? error_what(error, "the plugin") : 0;
}

static int
print_list(struct ash *ash, struct plugin *plugin, struct error *error)
{
	struct listing listing = {.ash = ash, .json = JSON_INIT};
	int r;

	listing.table = table_new(tool_columns, ARRAY_LEN(tool_columns));
	if (!listing.table)
		return out_of_memory(error);
	json_array(&listing.json);
	r = list_pages(plugin, &listing, error);
	json_array_end(&listing.json);
	if (r == 0 && !ash->json) {
		json_free(&listing.json);
		return output_table(ash, listing.table, error);
	}
	table_free(listing.table);
	if (r == 0)
		return output_json(&listing.json, error);
	json_free(&listing.json);
	return -1;
}

int
tool_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct plugin *plugin;
	int r;

	if (!args->rest && args->count)
		return registry_list(ash, args->operands[0], error);
	if (!args->rest)
		return needs_plugin(args, error);
	plugin = begin(ash, args, error);
	if (!plugin)
		return -1;
	r = print_list(ash, plugin, error);
	plugin_stop(plugin);
	return r;
}

/* --- call --------------------------------------------------------------------------------------
 */

static char *
call_params(const char *tool, struct agent_json arguments)
{
	_cleanup_free_ char *name = agent_json_quote(tool, strlen(tool));
	char *params, *at;

	if (!name || asprintf(&params, "{\"name\":%s,\"arguments\":%.*s}", name,
			      (int)arguments.length, arguments.text) < 0)
		return NULL;
	/* One line: outside of strings a break is a blank, inside there is none. */
	for (at = params; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	return params;
}

static void
print_content(const struct ash *ash, struct agent_json item)
{
	size_t length;
	_cleanup_free_ char *text = agent_json_string(agent_json_get(item, "text"), &length);
	_cleanup_free_ char *type = agent_json_string(agent_json_get(item, "type"), NULL);

	if (text && ash->out_tty) {
		/* Line by line, so that breaks stay. */
		char *rest = text, *line;

		while ((line = strsep(&rest, "\n"))) {
			text_clean_here(line);
			puts(line);
		}
	} else if (text) {
		fwrite(text, 1, length, stdout);
		putchar('\n');
	} else {
		if (type)
			text_clean_here(type);
		printf("[%s, %zu bytes of JSON]\n", type ? type : "unknown content", item.length);
	}
}

static void
print_result(const struct ash *ash, struct agent_json result)
{
	struct agent_json content = agent_json_get(result, "content"), item;
	struct agent_json structured = agent_json_get(result, "structuredContent");
	bool any = false;

	for (item = agent_json_next(content, nothing); item.text;
	     item = agent_json_next(content, item)) {
		print_content(ash, item);
		any = true;
	}
	if (!any && structured.text)
		printf("%.*s\n", (int)structured.length, structured.text);
}

static int
result_json(const char *tool, struct agent_json result, uint64_t took_ms, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "tool");
	json_string(&json, tool);
	json_key(&json, "is_error");
	json_bool(&json, agent_json_true(agent_json_get(result, "isError")));
	json_key(&json, "took_ms");
	json_uint(&json, took_ms);
	json_key(&json, "result");
	json_raw(&json, result.text, result.length);
	json_object_end(&json);
	return output_json(&json, error);
}

/* The exit status: 1 where the tool says that it failed. */
static int
call(struct ash *ash, struct plugin *plugin, const char *tool, struct agent_json arguments,
     uint64_t timeout_ms, struct error *error)
{
	_cleanup_free_ char *params = call_params(tool, arguments);
	uint64_t began = boottime_ns();
	struct agent_json result;

	if (!params)
		return error_why(error, ERR_USAGE, "the tool's name is no UTF-8");
	if (plugin_ask(plugin, "tools/call", params, timeout_ms, &result, error) < 0)
		return error_what(error, "the plugin");
	if (ash->json && result_json(tool, result, (boottime_ns() - began) / NS_PER_MS, error) < 0)
		return -1;
	if (!ash->json)
		print_result(ash, result);
	if (!agent_json_true(agent_json_get(result, "isError")))
		return 0;
	output_note(ash, "the tool says that it failed");
	return ERR_FAILED;
}

int
tool_call_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *text = args->count > 1 ? args->operands[1] : "{}";
	struct agent_json arguments = agent_json(text, strlen(text));
	uint64_t timeout_ms = PLUGIN_CALL_MS;
	struct plugin *plugin;
	int r;

	if (!args->rest)
		return needs_plugin(args, error);
	if (!args->count) {
		error_why(error, ERR_USAGE, "TOOL is missing");
		return error_hint(error,
				  "after --plugin CMD [ARG...] comes -- and the tool's name");
	}
	if (agent_json_type(arguments) != AGENT_JSON_OBJECT)
		return error_why(error, ERR_USAGE, "the tool's arguments are no JSON object");
	if (args_duration(args, "--timeout", &timeout_ms, error) < 0)
		return -1;
	plugin = begin(ash, args, error);
	if (!plugin)
		return -1;
	r = call(ash, plugin, args->operands[0], arguments, timeout_ms, error);
	plugin_stop(plugin);
	return r;
}
