/* ash event emit, list, show, replay. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"
#include "session.h"
#include "text.h"

static const struct column list_columns[] = {
    {"TIME", CUT_NEVER, 0, false}, {"TYPE", CUT_NEVER, 0, false}, {"SOURCE", CUT_LEFT, 16, false},
    {"ID", CUT_NEVER, 0, false},   {"DATA", CUT_NEVER, 0, true},  {"REPLAY", CUT_NEVER, 0, true},
};

/* An option's or operand's text into a field of size bytes. */
static int
fill(char *field, size_t size, const char *what, const char *text, struct error *error)
{
	if (!text)
		return 0;
	if (!*text)
		return error_why(error, ERR_USAGE, "%s is empty", what);
	if (strlen(text) >= size)
		return error_why(error, ERR_USAGE, "%s is longer than %zu bytes", what, size - 1);
	strcpy(field, text);
	return 0;
}

/* --- emit ---------------------------------------------------------------------------------- */

/* The text of --data, of the file that @FILE names, or of standard input. Heap. */
static int
read_data(const char *from, char **text, size_t *length, struct error *error)
{
	const char *name = strcmp(from, "-") == 0 ? "standard input" : from + 1;
	_cleanup_close_ int fd = -1;
	int r;

	if (*from != '@' && strcmp(from, "-") != 0) {
		*text = strdup(from);
		*length = strlen(from);
		return *text ? 0 : out_of_memory(error);
	}
	if (*from == '@')
		fd = open(name, O_RDONLY | O_CLOEXEC);
	if (*from == '@' && fd < 0)
		return error_errno(error, errno, "opening %s", name);
	r = read_file(fd >= 0 ? fd : STDIN_FILENO, EVENT_DATA_MAX, text, length);
	if (r == -EFBIG)
		return error_why(error, ERR_USAGE, "%s is larger than %d bytes", name,
				 EVENT_DATA_MAX);
	return r < 0 ? error_errno(error, -r, "reading %s", name) : 0;
}

static int
add_data(struct msg *request, const char *from, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	int fd;

	if (!from)
		return 0;
	if (read_data(from, &text, &length, error) < 0)
		return -1;
	if (length > EVENT_DATA_MAX)
		return error_why(error, ERR_USAGE, "--data is larger than %d bytes",
				 EVENT_DATA_MAX);
	fd = memfd_sealed("event", text, length);
	if (fd < 0)
		return error_errno(error, -fd, "making a memfd for the data");
	msg_add_fd(request, fd);
	return 0;
}

static int
fill_emit(const struct args *args, struct msg *request, struct error *error)
{
	struct msg_op_event_emit *emit = &request->op_event_emit;
	struct uuid id = uuid_new();
	char text[UUID_TEXT_LEN + 1];

	strcpy(emit->id, uuid_format(&id, text));
	if (fill(emit->type, sizeof(emit->type), "the type", args->operands[0], error) < 0 ||
	    fill(emit->source, sizeof(emit->source), "--source", args_value(args, "--source"),
		 error) < 0 ||
	    fill(emit->id, sizeof(emit->id), "--id", args_value(args, "--id"), error) < 0 ||
	    fill(emit->subject, sizeof(emit->subject), "--subject", args_value(args, "--subject"),
		 error) < 0)
		return -1;
	return add_data(request, args_value(args, "--data"), error);
}

static int
stored_json(const struct msg_event_stored *event, bool repeated, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "id");
	json_string(&json, event->id);
	json_key(&json, "source");
	json_string(&json, event->source);
	json_key(&json, "type");
	json_string(&json, event->type);
	json_key(&json, "time");
	json_time(&json, event->at_ms);
	json_key(&json, "replay");
	json_uint(&json, event->replay);
	json_key(&json, "repeated");
	json_bool(&json, repeated);
	json_object_end(&json);
	return output_json(&json, error);
}

int
event_emit_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg request, reply;
	char time[32];
	bool repeated;

	msg_init(&request, MSG_OP_EVENT_EMIT);
	if (fill_emit(args, &request, error) < 0)
		return -1;
	if (connection_query(&ash->connection, &request, MSG_EVENT_STORED, &reply, error) < 0)
		return -1;
	/* With an id of its own making only a broken connection repeats it. */
	repeated = reply.event_stored.repeated && args_value(args, "--id");
	if (ash->json)
		return stored_json(&reply.event_stored, repeated, error);
	text_clean_here(reply.event_stored.id);
	if (repeated)
		output_done(ash, "event %s was told before, at %s; it is not delivered again",
			    reply.event_stored.id, local_format(reply.event_stored.at_ms, time));
	else
		output_done(ash, "%s", reply.event_stored.id);
	return 0;
}

/* --- list ---------------------------------------------------------------------------------- */

static int
list_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_event_row *row = &record->event_row;
	struct table *table = arg;
	char time[32], size[32] = "", replay[16] = "";

	(void)error;
	if (row->has_data)
		size_format(row->data_bytes, size);
	if (row->replay)
		snprintf(replay, sizeof(replay), "%u", row->replay);
	table_cell(table, local_format(row->at_ms, time), time + 5, COLOR_NONE);
	table_cell(table, row->type, NULL, COLOR_NONE);
	table_cell(table, row->source, NULL, COLOR_NONE);
	table_cell(table, row->id, NULL, COLOR_NONE);
	table_cell(table, size, NULL, COLOR_NONE);
	table_cell(table, replay, NULL, COLOR_NONE);
	return 0;
}

static void
text_or_null(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, *text ? text : NULL);
}

/* The attributes of CloudEvents 1.0, and what is known besides. The object stays open. */
static void
put_event(struct json *json, const struct msg_event_row *row)
{
	json_object(json);
	json_key(json, "specversion");
	json_string(json, "1.0");
	json_key(json, "id");
	json_string(json, row->id);
	json_key(json, "source");
	json_string(json, row->source);
	json_key(json, "type");
	json_string(json, row->type);
	text_or_null(json, "subject", row->subject);
	json_key(json, "time");
	json_time(json, row->at_ms);
	text_or_null(json, "datacontenttype", row->has_data ? "application/json" : "");
	json_key(json, "data_bytes");
	json_uint(json, row->data_bytes);
	text_or_null(json, "operator", row->operator);
	json_key(json, "replay");
	json_uint(json, row->replay);
	json_key(json, "repeats");
	json_uint(json, row->repeats);
}

static int
json_row(const struct msg *record, void *arg, struct error *error)
{
	(void)error;
	put_event(arg, &record->event_row);
	json_object_end(arg);
	return 0;
}

static int
fill_list(const struct args *args, struct msg_op_events *asked, struct error *error)
{
	const char *since = args_value(args, "--since"), *limit = args_value(args, "--limit");
	char *end = NULL;
	unsigned long number = limit ? strtoul(limit, &end, 10) : 0;

	if (limit && (*limit < '0' || *limit > '9' || *end || number == 0 || number > UINT32_MAX))
		return error_why(error, ERR_USAGE, "--limit: '%.80s' is not a number of events",
				 limit);
	asked->limit = (uint32_t)number;
	if (since && since_parse(since, &asked->since_ms, error) < 0)
		return -1;
	if (fill(asked->type, sizeof(asked->type), "--type", args_value(args, "--type"), error) < 0)
		return -1;
	return fill(asked->source, sizeof(asked->source), "--source", args_value(args, "--source"),
		    error);
}

static int
print_list(struct ash *ash, const struct msg *reply, struct error *error)
{
	struct table *table;

	if (reply->rows.count == 0 && ash->out_tty) {
		output_empty(ash, "No events; 'ash event emit TYPE' tells one.");
		return 0;
	}
	table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!table)
		return out_of_memory(error);
	if (rows_each(reply->fds[0], MSG_EVENT_ROW, list_row, table, error) < 0) {
		table_free(table);
		return -1;
	}
	return output_table(ash, table, error);
}

static int
print_array(const struct msg *reply, struct error *error)
{
	struct json json = JSON_INIT;

	json_array(&json);
	if (rows_each(reply->fds[0], MSG_EVENT_ROW, json_row, &json, error) < 0) {
		json_free(&json);
		return -1;
	}
	json_array_end(&json);
	return output_json(&json, error);
}

int
event_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_EVENTS);
	if (fill_list(args, &request.op_events, error) < 0 ||
	    connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = ash->json ? print_array(&reply, error) : print_list(ash, &reply, error);
	msg_close_fds(&reply);
	return r;
}

/* --- show ---------------------------------------------------------------------------------- */

/* The event and what it carries: the oldest row that is kept. Heap text; NULL: no data. */
struct shown {
	struct msg_event_row row;
	unsigned replays;
	char *data;
	size_t length;
};

static int
keep_oldest(const struct msg *record, void *arg, struct error *error)
{
	struct shown *shown = arg;

	(void)error;
	shown->row = record->event_row;
	shown->replays += record->event_row.replay > 0;
	return 0;
}

static int
read_shown(struct msg *reply, struct shown *shown, struct error *error)
{
	const uint8_t *bytes = NULL;
	int r;

	if (rows_each(reply->fds[0], MSG_EVENT_ROW, keep_oldest, shown, error) < 0)
		return -1;
	if (reply->nfds < 2)
		return 0;
	r = memfd_map(reply->fds[1], EVENT_DATA_MAX, &bytes, &shown->length);
	if (r < 0)
		return error_errno(error, -r, "reading the event's data");
	shown->data = strndup((const char *)bytes, shown->length);
	return shown->data ? 0 : out_of_memory(error);
}

static int
show_json(const struct shown *shown, struct error *error)
{
	struct json json = JSON_INIT;

	put_event(&json, &shown->row);
	json_key(&json, "replays");
	json_uint(&json, shown->replays);
	json_key(&json, "data");
	if (shown->data)
		json_raw(&json, shown->data, shown->length);
	else
		json_null(&json);
	json_object_end(&json);
	return output_json(&json, error);
}

static void
show_text(const struct ash *ash, const struct shown *shown)
{
	const struct msg_event_row *row = &shown->row;
	char time[32], *clean = shown->data ? text_clean(shown->data) : NULL;

	output_line(ash, "Type", COLOR_BOLD, "%s", row->type);
	output_line(ash, "Id", COLOR_NONE, "%s", row->id);
	output_line(ash, "Source", COLOR_NONE, "%s", row->source);
	if (row->subject[0])
		output_line(ash, "Subject", COLOR_NONE, "%s", row->subject);
	output_line(ash, "Time", COLOR_NONE, "%s", local_format(row->at_ms, time));
	if (row->operator[0])
		output_line(ash, "Told by", COLOR_NONE, "%s", row->operator);
	if (row->repeats)
		output_line(ash, "Repeated", COLOR_NONE, "%u", row->repeats);
	if (shown->replays)
		output_line(ash, "Replays", COLOR_NONE, "%u", shown->replays);
	if (clean)
		printf("%s\n", clean);
	free(clean);
}

int
event_show_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct shown shown = {.data = NULL};
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_EVENTS);
	if (fill(request.op_events.id, sizeof(request.op_events.id), "the id", args->operands[0],
		 error) < 0 ||
	    fill(request.op_events.source, sizeof(request.op_events.source), "--source",
		 args_value(args, "--source"), error) < 0 ||
	    connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = read_shown(&reply, &shown, error);
	msg_close_fds(&reply);
	if (r == 0 && ash->json)
		r = show_json(&shown, error);
	else if (r == 0)
		show_text(ash, &shown);
	free(shown.data);
	return r;
}

/* --- replay -------------------------------------------------------------------------------- */

int
event_replay_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg request, reply;

	msg_init(&request, MSG_OP_EVENT_REPLAY);
	if (fill(request.op_event_replay.id, sizeof(request.op_event_replay.id), "the id",
		 args->operands[0], error) < 0 ||
	    fill(request.op_event_replay.source, sizeof(request.op_event_replay.source), "--source",
		 args_value(args, "--source"), error) < 0 ||
	    connection_call(&ash->connection, &request, MSG_EVENT_STORED, &reply, REPLY_WAIT_MS,
			    error) < 0)
		return -1;
	if (ash->json)
		return stored_json(&reply.event_stored, false, error);
	text_clean_here(reply.event_stored.id);
	output_done(ash, "event %s is delivered once more, replay %u", reply.event_stored.id,
		    reply.event_stored.replay);
	return 0;
}
