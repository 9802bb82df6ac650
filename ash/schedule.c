/* ash schedule list, next. */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"

static const struct column columns[] = {
    {"AGENT", CUT_NEVER, 0, false},       {"TRIGGER", CUT_NEVER, 0, false},
    {"EXPRESSION", CUT_RIGHT, 16, false}, {"TIMEZONE", CUT_NEVER, 0, false},
    {"NEXT", CUT_NEVER, 0, false},        {"LAST", CUT_NEVER, 0, false},
};

static void
text_or_null(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, *text ? text : NULL);
}

static void
time_or_null(struct json *json, const char *key, uint64_t at_ms)
{
	json_key(json, key);
	json_time(json, at_ms);
}

struct listing {
	struct json json;
	struct table *table;
	bool explain;
};

static int
json_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_trigger_row *row = &record->trigger_row;
	struct listing *listing = arg;
	struct json *json = &listing->json;

	(void)error;
	json_object(json);
	text_or_null(json, "agent", row->agent);
	text_or_null(json, "trigger_id", row->trigger_id);
	text_or_null(json, "kind", row->kind);
	text_or_null(json, "expression", row->expression);
	text_or_null(json, "timezone", row->timezone);
	time_or_null(json, "next_fire_at", row->next_fire_at_ms);
	time_or_null(json, "last_fire_at", row->last_fire_at_ms);
	time_or_null(json, "scheduled_at", row->scheduled_at_ms);
	json_key(json, "jitter_ms");
	json_uint(json, row->jitter_ms);
	if (listing->explain)
		text_or_null(json, "explanation", row->note);
	json_object_end(json);
	return 0;
}

static int
table_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_trigger_row *row = &record->trigger_row;
	struct listing *listing = arg;
	char next[32] = "", last[32] = "";

	(void)error;
	if (row->next_fire_at_ms)
		local_format(row->next_fire_at_ms, next);
	if (row->last_fire_at_ms)
		local_format(row->last_fire_at_ms, last);
	table_cell(listing->table, row->agent, NULL, COLOR_NONE);
	table_cell(listing->table, row->trigger_id, NULL, COLOR_NONE);
	table_cell(listing->table, row->expression, NULL, COLOR_NONE);
	table_cell(listing->table, row->timezone, NULL, COLOR_NONE);
	table_cell(listing->table, next, *next ? next + 5 : NULL, COLOR_NONE);
	table_cell(listing->table, last, *last ? last + 5 : NULL, COLOR_DIM);
	return 0;
}

static int
time_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_trigger_row *row = &record->trigger_row;
	const struct listing *listing = arg;
	char time[32];

	(void)error;
	printf("%s  %s  %s%s%s\n", local_format(row->next_fire_at_ms, time), row->trigger_id,
	       row->expression, *row->timezone ? " " : "", row->timezone);
	if (listing->explain && *row->note)
		printf("    %s\n", row->note);
	return 0;
}

static int
print_json(struct listing *listing, int fd, struct error *error)
{
	int r;

	json_array(&listing->json);
	r = rows_each(fd, MSG_TRIGGER_ROW, json_row, listing, error);
	if (r < 0) {
		json_free(&listing->json);
		return -1;
	}
	json_array_end(&listing->json);
	return output_json(&listing->json, error);
}

/* Below the table: what keeps a trigger that no time fires from being fired at all. */
static int
problem_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_trigger_row *row = &record->trigger_row;

	(void)arg;
	(void)error;
	if (strcmp(row->kind, "webhook") == 0 && *row->note)
		printf("%s %s: %s\n", row->agent, row->trigger_id, row->note);
	return 0;
}

static int
print_table(struct ash *ash, struct listing *listing, const struct msg *reply, struct error *error)
{
	if (reply->rows.count == 0 && ash->out_tty) {
		output_empty(ash, "No agent has a trigger; see triggers in "
				  "agent-manifest(5).");
		return 0;
	}
	listing->table = table_new(columns, ARRAY_LEN(columns));
	if (!listing->table)
		return out_of_memory(error);
	if (rows_each(reply->fds[0], MSG_TRIGGER_ROW, table_row, listing, error) < 0) {
		table_free(listing->table);
		return -1;
	}
	if (output_table(ash, listing->table, error) < 0)
		return -1;
	return rows_each(reply->fds[0], MSG_TRIGGER_ROW, problem_row, NULL, error);
}

int
schedule_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct listing listing = {.json = JSON_INIT, .explain = true};
	const char *agent = args_value(args, "--agent");
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_SCHEDULE);
	if (agent && agent_name_check(agent, error) < 0)
		return -1;
	if (agent)
		strcpy(request.op_schedule.agent, agent);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = ash->json ? print_json(&listing, reply.fds[0], error)
		      : print_table(ash, &listing, &reply, error);
	msg_close_fds(&reply);
	return r;
}

static int
fill_next(const struct args *args, struct msg_op_schedule *asked, struct error *error)
{
	const char *from = args_value(args, "--from"), *count = args_value(args, "--count");
	char *end = NULL;
	unsigned long number = count ? strtoul(count, &end, 10) : 1;
	uint64_t from_ms;

	if (agent_name_check(args->operands[0], error) < 0)
		return -1;
	if (count && (*count < '0' || *count > '9' || *end || number == 0 || number > UINT32_MAX))
		return error_why(error, ERR_USAGE, "-n: '%.80s' is not a number of times", count);
	if (from && !rfc3339_parse(from, &from_ms))
		return error_why(error, ERR_USAGE,
				 "--from: '%.80s' is not a time such as 2027-01-01T00:00:00Z",
				 from);
	strcpy(asked->agent, args->operands[0]);
	asked->count = (uint32_t)number;
	asked->from_ms = from ? (int64_t)from_ms : -1;
	return 0;
}

int
schedule_next_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct listing listing = {.json = JSON_INIT, .explain = args_flag(args, "--explain")};
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_SCHEDULE);
	if (fill_next(args, &request.op_schedule, error) < 0 ||
	    connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	if (!ash->json && reply.rows.count == 0)
		output_empty(ash, "No time starts it any more, or ever did.");
	r = ash->json ? print_json(&listing, reply.fds[0], error)
		      : rows_each(reply.fds[0], MSG_TRIGGER_ROW, time_row, &listing, error);
	msg_close_fds(&reply);
	return r;
}
