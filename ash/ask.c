/* ash pending, approve, deny: calls of tools that wait for an operator. */
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"
#include "session.h"
#include "text.h"

enum {
	ASKS_STEP = 16,
	PREFIX_LEAST = 13, /* of a session's id: its time */
};

static const struct column columns[] = {
    {"ID", CUT_NEVER, 0, false},         {"SESSION", CUT_NEVER, 0, false},
    {"AGENT", CUT_NEVER, 0, false},      {"TOOL", CUT_NEVER, 0, false},
    {"ARGUMENTS", CUT_RIGHT, 24, false}, {"SINCE", CUT_NEVER, 0, true},
    {"LEFT", CUT_NEVER, 0, true},
};

void
asks_free(struct asks *asks)
{
	for (size_t i = 0; i < asks->count; i++)
		free(asks->all[i].arguments);
	free(asks->all);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static int
add_part(struct asks *asks, const struct msg_text_part *part, struct error *error)
{
	struct ask *ask = asks->count ? &asks->all[asks->count - 1] : NULL;
	char *text;

	if (!ask)
		return 0;
	text = realloc(ask->arguments, ask->length + part->text_len + 1);
	if (!text)
		return out_of_memory(error);
	memcpy(text + ask->length, part->text, part->text_len);
	ask->arguments = text;
	ask->length += part->text_len;
	text[ask->length] = '\0';
	return 0;
}

static int
take_ask(const struct msg *record, void *arg, struct error *error)
{
	struct asks *asks = arg;

	if (record->type == MSG_TEXT_PART)
		return add_part(asks, &record->text_part, error);
	if (record->type != MSG_ASK_ROW)
		return 0;
	if (asks->count % ASKS_STEP == 0) {
		void *all = reallocarray(asks->all, asks->count + ASKS_STEP, sizeof(*asks->all));

		if (!all)
			return out_of_memory(error);
		asks->all = all;
	}
	asks->all[asks->count++] = (struct ask){.row = record->ask_row};
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	const struct ask *one = a, *other = b;

	if (one->row.asked_at_ms != other->row.asked_at_ms)
		return one->row.asked_at_ms < other->row.asked_at_ms ? -1 : 1;
	return memcmp(one->row.ask.bytes, other->row.ask.bytes, sizeof(one->row.ask.bytes));
}

int
asks_read(int fd, struct asks *asks, struct error *error)
{
	int r = rows_each(fd, MSG_NONE, take_ask, asks, error);

	if (r == 0 && asks->count > 1)
		qsort(asks->all, asks->count, sizeof(*asks->all), by_age);
	return r;
}

/* An id or the beginning of one. */
static int
check_ref(const char *ref, struct error *error)
{
	size_t length = strlen(ref);

	if (length > 0 && length <= UUID_TEXT_LEN &&
	    strspn(ref, "0123456789abcdefABCDEF-") == length)
		return 0;
	error_why(error, ERR_NOT_FOUND, "'%.80s' is no call's id", ref);
	return error_hint(error, "'ash pending' lists the calls that wait");
}

/* ref empty: all. */
static int
get_asks(struct ash *ash, const char *ref, struct asks *asks, struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_ASKS);
	snprintf(request.op_asks.ref, sizeof(request.op_asks.ref), "%s", ref);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = asks_read(reply.fds[0], asks, error);
	msg_close_fds(&reply);
	return r;
}

/* --- printing ----------------------------------------------------------------------------------
 */

static void
text_key(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text[0] ? text : NULL);
}

/* Arguments that are too long were cut: then they are no JSON, and null. */
static void
ask_json(const struct ask *ask, struct json *json)
{
	const struct msg_ask_row *row = &ask->row;
	char id[UUID_TEXT_LEN + 1];

	json_object(json);
	text_key(json, "id", uuid_format(&row->ask, id));
	text_key(json, "session", uuid_format(&row->session, id));
	text_key(json, "agent", row->agent);
	text_key(json, "tool", row->name);
	text_key(json, "server", row->server);
	text_key(json, "shape", row->shape);
	json_key(json, "argument_bytes");
	json_uint(json, row->argument_bytes);
	json_key(json, "arguments");
	if (ask->arguments && ask->length < ARGUMENTS_MOST)
		json_foreign(json, ask->arguments, ask->length);
	else
		json_null(json);
	json_key(json, "asked_at");
	json_time(json, row->asked_at_ms);
	json_key(json, "expires_at");
	json_time(json, row->expires_at_ms);
	json_object_end(json);
}

static void
id_cell(struct table *table, const struct uuid *id, size_t prefix)
{
	char text[UUID_TEXT_LEN + 1], brief[UUID_TEXT_LEN + 1];

	uuid_format(id, text);
	snprintf(brief, sizeof(brief), "%.*s", (int)prefix, text);
	table_cell(table, text, brief, COLOR_NONE);
}

static void
span_cell(struct table *table, uint64_t from_ms, uint64_t to_ms)
{
	char text[32];

	table_cell(table, duration_format(to_ms > from_ms ? to_ms - from_ms : 0, text), NULL,
		   COLOR_NONE);
}

static int
print_table(struct ash *ash, const struct asks *asks, struct error *error)
{
	struct uuid *ids = reallocarray(NULL, asks->count + 1, sizeof(*ids));
	struct table *table = table_new(columns, ARRAY_LEN(columns));
	uint64_t now = realtime_ms();
	size_t prefix;

	if (!ids || !table) {
		free(ids);
		table_free(table);
		return out_of_memory(error);
	}
	for (size_t i = 0; i < asks->count; i++)
		ids[i] = asks->all[i].row.ask;
	prefix = session_prefix(ids, asks->count);
	free(ids);
	for (size_t i = 0; i < asks->count; i++) {
		const struct msg_ask_row *row = &asks->all[i].row;

		id_cell(table, &row->ask, prefix);
		id_cell(table, &row->session, PREFIX_LEAST);
		table_cell(table, row->agent, NULL, COLOR_NONE);
		table_cell(table, row->name, NULL, COLOR_NONE);
		table_cell(table, row->shape, NULL, COLOR_NONE);
		span_cell(table, row->asked_at_ms, now);
		span_cell(table, now, row->expires_at_ms);
	}
	return output_table(ash, table, error);
}

static int
print_one(struct ash *ash, const struct ask *ask)
{
	const struct msg_ask_row *row = &ask->row;
	char text[UUID_TEXT_LEN + 1], at[32];

	output_line(ash, "Call", COLOR_NONE, "%s", uuid_format(&row->ask, text));
	output_line(ash, "Session", COLOR_NONE, "%s", uuid_format(&row->session, text));
	output_line(ash, "Agent", COLOR_NONE, "%s", row->agent);
	output_line(ash, "Tool", COLOR_NONE, "%s", row->name);
	output_line(ash, "Server", COLOR_NONE, "%s", row->server);
	output_line(ash, "Asked", COLOR_NONE, "%s", local_format(row->asked_at_ms, at));
	output_line(ash, "Expires", COLOR_NONE, "%s", local_format(row->expires_at_ms, at));
	output_line(ash, "Shape", COLOR_NONE, "%s", row->shape);
	output_line(ash, "Arguments", COLOR_NONE, "%s", ask->arguments ? ask->arguments : "");
	if (ask->length >= ARGUMENTS_MOST)
		output_line(ash, "Cut", COLOR_WARN, "the arguments are %llu bytes long",
			    (unsigned long long)row->argument_bytes);
	return 0;
}

static int
print_json(const struct asks *asks, bool one, struct error *error)
{
	struct json json = JSON_INIT;

	if (!one)
		json_array(&json);
	for (size_t i = 0; i < asks->count; i++)
		ask_json(&asks->all[i], &json);
	if (!one)
		json_array_end(&json);
	return output_json(&json, error);
}

int
pending_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(asks_free) struct asks asks = {0};
	const char *ref = args->count ? args->operands[0] : "";

	if ((args->count && check_ref(ref, error) < 0) || get_asks(ash, ref, &asks, error) < 0)
		return -1;
	if (args->count && asks.count != 1)
		return error_why(error, ERR_NOT_FOUND, "no call '%s' waits", ref);
	if (ash->json)
		return print_json(&asks, args->count == 1, error);
	if (args->count)
		return print_one(ash, &asks.all[0]);
	if (asks.count == 0 && ash->out_tty) {
		output_empty(ash, "No call waits for an operator.");
		return 0;
	}
	return print_table(ash, &asks, error);
}

/* --- answers -----------------------------------------------------------------------------------
 */

/* The call is asked for first, so that what was answered can be named; the answer goes to its full
 * id. */
static int
answer(struct ash *ash, const char *ref, bool allowed, struct error *error)
{
	_cleanup_(asks_free) struct asks asks = {0};
	struct json json = JSON_INIT;
	struct msg request, reply;
	char id[UUID_TEXT_LEN + 1];

	if (check_ref(ref, error) < 0 || get_asks(ash, ref, &asks, error) < 0)
		return -1;
	if (asks.count != 1)
		return error_why(error, ERR_NOT_FOUND, "no call '%s' waits", ref);
	uuid_format(&asks.all[0].row.ask, id);
	msg_init(&request, allowed ? MSG_OP_APPROVE : MSG_OP_DENY);
	if (allowed)
		memcpy(request.op_approve.ref, id, sizeof(id));
	else
		memcpy(request.op_deny.ref, id, sizeof(id));
	if (connection_call(&ash->connection, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	if (ash->json) {
		ask_json(&asks.all[0], &json);
		return output_json(&json, error);
	}
	output_done(ash, "%s of %s is %s", asks.all[0].row.name, asks.all[0].row.agent,
		    allowed ? "approved" : "denied");
	return 0;
}

int
approve_command(struct ash *ash, const struct args *args, struct error *error)
{
	return answer(ash, args->operands[0], true, error);
}

int
deny_command(struct ash *ash, const struct args *args, struct error *error)
{
	return answer(ash, args->operands[0], false, error);
}
