#include "session_tools.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/netrule.h"
#include "common/timefmt.h"
#include "libagent/c/agent.h"
#include "output.h"
#include "rows.h"

enum {
	ROWS_STEP = 32,
	RESULT_SHOWN = 2048, /* bytes of it, for people */
};

static const struct column plugin_columns[] = {
    {"PLUGIN", CUT_NEVER, 0, false},
    {"STATE", CUT_NEVER, 0, false},
    {"TOOLS", CUT_NEVER, 0, true},
    {"WHY", CUT_RIGHT, 40, false},
};

static const struct column tool_columns[] = {
    {"TOOL", CUT_NEVER, 0, false}, {"CALLS", CUT_NEVER, 0, true}, {"ERRORS", CUT_NEVER, 0, true},
    {"P50", CUT_NEVER, 0, true},   {"P99", CUT_NEVER, 0, true},
};

static const struct column network_columns[] = {
    {"NETWORK", CUT_RIGHT, 24, false},   {"OF", CUT_NEVER, 0, false},
    {"CONNECTIONS", CUT_NEVER, 0, true}, {"SENT", CUT_NEVER, 0, true},
    {"RECEIVED", CUT_NEVER, 0, true},    {"DENIED", CUT_NEVER, 0, true},
};

/* As agentd__mission says it to the agent; the order is runnerd/broker/broker.h's server_state. */
static const char *
plugin_state(uint8_t state)
{
	static const char *const words[] = {"restarting", "starting", "ready", "failed"};

	return state < ARRAY_LEN(words) ? words[state] : "unknown";
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* Room for one more of these; NULL without memory. */
static void *
grown(void **items, size_t *count, size_t size)
{
	if (*count % ROWS_STEP == 0) {
		void *more = reallocarray(*items, *count + ROWS_STEP, size);

		if (!more)
			return NULL;
		*items = more;
	}
	return (char *)*items + (*count)++ * size;
}

static int
add_result(struct session_tools *tools, const struct msg_text_part *part, struct error *error)
{
	if (part->text_len > tools->result_size - tools->result_length)
		return error_why(error, ERR_FAILED, "the result is longer than it says");
	memcpy(tools->result + tools->result_length, part->text, part->text_len);
	tools->result_length += part->text_len;
	return 0;
}

static int
take_row(const struct msg *record, void *arg, struct error *error)
{
	struct session_tools *tools = arg;
	struct msg_tool_stats_row *stats;
	struct msg_plugin_row *plugin;
	struct msg_net_meter *meter;

	switch (record->type) {
	case MSG_TOOLS_HEAD:
		tools->head = record->tools_head;
		return 0;
	case MSG_PLUGIN_ROW:
		plugin = grown((void **)&tools->plugins, &tools->plugin_count, sizeof(*plugin));
		if (!plugin)
			return out_of_memory(error);
		*plugin = record->plugin_row;
		return 0;
	case MSG_TOOL_STATS_ROW:
		stats = grown((void **)&tools->stats, &tools->stats_count, sizeof(*stats));
		if (!stats)
			return out_of_memory(error);
		*stats = record->tool_stats_row;
		return 0;
	case MSG_NET_METER:
		meter = grown((void **)&tools->meters, &tools->meter_count, sizeof(*meter));
		if (!meter)
			return out_of_memory(error);
		*meter = record->net_meter;
		return 0;
	case MSG_RESULT_ROW:
		if (tools->result || record->result_row.bytes > ROWS_BYTES_MAX)
			return error_why(error, ERR_FAILED, "the result does not fit");
		tools->result_size = (size_t)record->result_row.bytes;
		tools->result = malloc(tools->result_size + 1);
		return tools->result ? 0 : out_of_memory(error);
	case MSG_TEXT_PART:
		return tools->result ? add_result(tools, &record->text_part, error) : 0;
	default:
		return 0;
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct msg_tool_stats_row *one = a, *other = b;

	return strcmp(one->name, other->name);
}

int
session_tools_read(int fd, struct session_tools *tools, struct error *error)
{
	if (rows_each(fd, MSG_NONE, take_row, tools, error) < 0)
		return -1;
	if (tools->stats_count > 1)
		qsort(tools->stats, tools->stats_count, sizeof(*tools->stats), by_name);
	return 0;
}

void
session_tools_free(struct session_tools *tools)
{
	free(tools->plugins);
	free(tools->stats);
	free(tools->meters);
	free(tools->result);
	*tools = (struct session_tools){0};
}

/* --- JSON --------------------------------------------------------------------------------------
 */

void
json_foreign(struct json *json, const char *text, size_t length)
{
	struct agent_json value = agent_json(text, length);
	_cleanup_free_ char *line = NULL;

	if (value.text) {
		line = malloc(value.length + 1);
		for (size_t i = 0; line && i < value.length; i++) /* breaks are between tokens */
			line[i] = value.text[i];
		for (size_t i = 0; line && i < value.length; i++)
			if ((unsigned char)line[i] < ' ')
				line[i] = ' ';
		if (line)
			json_raw(json, line, value.length);
		else
			json->failed = true;
	} else if (utf8_valid((const uint8_t *)text, length)) {
		json_string_n(json, text, length);
	} else {
		json_null(json);
	}
}

static void
text_key(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text[0] ? text : NULL);
}

static void
ms_key(struct json *json, const char *key, uint64_t us)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%llu.%03llu", (unsigned long long)(us / 1000),
			      (unsigned long long)(us % 1000));

	json_key(json, key);
	json_raw(json, text, (size_t)length);
}

static void
plugins_json(const struct session_tools *tools, struct json *json)
{
	json_array(json);
	for (size_t i = 0; i < tools->plugin_count; i++) {
		const struct msg_plugin_row *plugin = &tools->plugins[i];

		json_object(json);
		text_key(json, "name", plugin->name);
		text_key(json, "state", plugin_state(plugin->state));
		text_key(json, "why", plugin->why);
		json_key(json, "tools");
		json_uint(json, plugin->tools);
		text_key(json, "revision", plugin->revision);
		text_key(json, "software", plugin->software);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
stats_json(const struct session_tools *tools, struct json *json)
{
	json_array(json);
	for (size_t i = 0; i < tools->stats_count; i++) {
		const struct msg_tool_stats_row *stats = &tools->stats[i];

		json_object(json);
		text_key(json, "name", stats->name);
		json_key(json, "calls");
		json_uint(json, stats->calls);
		json_key(json, "errors");
		json_uint(json, stats->errors);
		ms_key(json, "p50_ms", stats->p50_us);
		ms_key(json, "p99_ms", stats->p99_us);
		json_object_end(json);
	}
	json_array_end(json);
}

static const char *
meter_kind(uint8_t kind)
{
	static const char *const words[] = {"name", "addresses", "others"};

	return kind < ARRAY_LEN(words) ? words[kind] : "unknown";
}

static void
number_key(struct json *json, const char *key, uint64_t number)
{
	json_key(json, key);
	json_uint(json, number);
}

static void
network_json(const struct session_tools *tools, struct json *json)
{
	json_array(json);
	for (size_t i = 0; i < tools->meter_count; i++) {
		const struct msg_net_meter *meter = &tools->meters[i];

		json_object(json);
		text_key(json, "plugin", meter->server);
		text_key(json, "kind", meter_kind(meter->kind));
		text_key(json, "name", meter->name);
		number_key(json, "connections", meter->connections);
		number_key(json, "bytes_in", meter->received_bytes);
		number_key(json, "bytes_out", meter->sent_bytes);
		number_key(json, "denied", meter->denials);
		text_key(json, "why", meter->why);
		json_object_end(json);
	}
	json_array_end(json);
}

void
session_tools_json(const struct session_tools *tools, struct json *json)
{
	text_key(json, "activity", tools ? tools->head.activity : "");
	json_key(json, "activity_at");
	json_time(json, tools ? tools->head.activity_at_ms : 0);
	json_key(json, "plugins");
	if (tools)
		plugins_json(tools, json);
	else
		json_null(json);
	json_key(json, "tools");
	if (tools)
		stats_json(tools, json);
	else
		json_null(json);
	json_key(json, "network");
	if (tools)
		network_json(tools, json);
	else
		json_null(json);
	json_key(json, "result");
	if (tools && tools->result)
		json_foreign(json, tools->result, tools->result_length);
	else
		json_null(json);
}

/* --- for people --------------------------------------------------------------------------------
 */

void
session_tools_lines(const struct ash *ash, const struct session_tools *tools)
{
	const struct msg_tools_head *head = &tools->head;
	bool cut = tools->result_length > RESULT_SHOWN;
	char at[32];

	if (head->activity[0])
		output_line(ash, "Activity", COLOR_NONE, "%s, since %s", head->activity,
			    local_format(head->activity_at_ms, at));
	if (tools->result)
		output_line(ash, "Result", COLOR_NONE, "%.*s%s",
			    (int)(cut ? RESULT_SHOWN : tools->result_length), tools->result,
			    cut ? "... (--json has all of it)" : "");
}

static void
number_cell(struct table *table, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	table_cell(table, text, NULL, COLOR_NONE);
}

static void
latency_cell(struct table *table, uint64_t us)
{
	char text[48];

	snprintf(text, sizeof(text), "%llu.%03llu ms", (unsigned long long)(us / 1000),
		 (unsigned long long)(us % 1000));
	table_cell(table, text, NULL, COLOR_NONE);
}

static int
plugins_table(const struct ash *ash, const struct session_tools *tools, struct error *error)
{
	struct table *table = table_new(plugin_columns, ARRAY_LEN(plugin_columns));

	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < tools->plugin_count; i++) {
		const struct msg_plugin_row *plugin = &tools->plugins[i];
		const char *state = plugin_state(plugin->state);

		table_cell(table, plugin->name, NULL, COLOR_NONE);
		table_cell(table, state, NULL,
			   strcmp(state, "failed") == 0 ? COLOR_BAD : COLOR_NONE);
		number_cell(table, plugin->tools);
		table_cell(table, plugin->why, NULL, COLOR_NONE);
	}
	putchar('\n');
	return output_table(ash, table, error);
}

static int
stats_table(const struct ash *ash, const struct session_tools *tools, struct error *error)
{
	struct table *table = table_new(tool_columns, ARRAY_LEN(tool_columns));

	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < tools->stats_count; i++) {
		const struct msg_tool_stats_row *stats = &tools->stats[i];

		table_cell(table, stats->name, NULL, COLOR_NONE);
		number_cell(table, stats->calls);
		number_cell(table, stats->errors);
		latency_cell(table, stats->p50_us);
		latency_cell(table, stats->p99_us);
	}
	putchar('\n');
	return output_table(ash, table, error);
}

/* The name, or what stands for more than one. */
static const char *
meter_name(const struct msg_net_meter *meter)
{
	if (meter->kind != METER_NAME)
		return meter->kind == METER_ADDRESSES ? "(addresses)" : "(others)";
	return meter->name[0] ? meter->name : "(no name)";
}

static int
network_table(const struct ash *ash, const struct session_tools *tools, struct error *error)
{
	struct table *table = table_new(network_columns, ARRAY_LEN(network_columns));

	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < tools->meter_count; i++) {
		const struct msg_net_meter *meter = &tools->meters[i];

		table_cell(table, meter_name(meter), NULL, COLOR_NONE);
		table_cell(table, meter->server[0] ? meter->server : "agent", NULL, COLOR_NONE);
		number_cell(table, meter->connections);
		number_cell(table, meter->sent_bytes);
		number_cell(table, meter->received_bytes);
		number_cell(table, meter->denials);
	}
	putchar('\n');
	return output_table(ash, table, error);
}

int
session_tools_tables(const struct ash *ash, const struct session_tools *tools, struct error *error)
{
	if (tools->plugin_count > 0 && plugins_table(ash, tools, error) < 0)
		return -1;
	if (tools->stats_count > 0 && stats_table(ash, tools, error) < 0)
		return -1;
	return tools->meter_count > 0 ? network_table(ash, tools, error) : 0;
}
