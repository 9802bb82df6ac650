/* ash session list, show, cancel, why. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "denials.h"
#include "output.h"
#include "rows.h"
#include "session.h"

static const struct column list_columns[] = {
    {"ID", CUT_NEVER, 0, false},      {"AGENT", CUT_NEVER, 0, false},
    {"STATE", CUT_NEVER, 0, false},   {"OUTCOME", CUT_RIGHT, 12, false},
    {"TRIGGER", CUT_RIGHT, 8, false}, {"QUEUED", CUT_NEVER, 0, false},
    {"WALL", CUT_NEVER, 0, true},
};

static const struct column step_columns[] = {
    {"STEP", CUT_NEVER, 0, false},
    {"STARTED", CUT_NEVER, 0, false},
    {"TOOK", CUT_NEVER, 0, true},
    {"TIMELINE", CUT_NEVER, 0, false},
};

enum {
	BAR_WIDTH = 24,
	BAR_SIZE = BAR_WIDTH * 4, /* three bytes a mark */
};

/* --- list ----------------------------------------------------------------------------------------
 */

struct listing {
	struct uuid *ids; /* heap */
	size_t count, size, prefix;
	struct table *table;
	struct json *json;
	char today[32];
};

static int
keep_id(const struct msg *record, void *arg, struct error *error)
{
	struct listing *listing = arg;

	if (listing->count == listing->size) {
		size_t size = listing->size ? listing->size * 2 : 64;
		void *ids = reallocarray(listing->ids, size, sizeof(*listing->ids));

		if (!ids)
			return out_of_memory(error);
		listing->ids = ids;
		listing->size = size;
	}
	listing->ids[listing->count++] = record->session_row.session;
	return 0;
}

/* "2026-11-21 10:02:05"; in short today's time, or month and day too. */
static void
time_cell(const struct listing *listing, uint64_t at_ms)
{
	char text[32], brief[32];

	local_format(at_ms, text);
	if (strncmp(text, listing->today, 10) == 0)
		snprintf(brief, sizeof(brief), "%s", text + 11);
	else
		snprintf(brief, sizeof(brief), "%.11s", text + 5);
	table_cell(listing->table, text, brief, COLOR_NONE);
}

static void
wall_cell(struct table *table, const struct msg_session_row *row)
{
	char wall[32] = "";

	if (row->wall_ms >= 0)
		duration_format((uint64_t)row->wall_ms, wall);
	else if (row->running_at_ms && row->state != STATE_ENDED)
		duration_format(realtime_ms() - row->running_at_ms, wall);
	table_cell(table, wall, NULL, COLOR_NONE);
}

static int
list_row(const struct msg *record, void *arg, struct error *error)
{
	struct listing *listing = arg;
	const struct msg_session_row *row = &record->session_row;
	char id[UUID_TEXT_LEN + 1], brief[UUID_TEXT_LEN + 1];
	const char *outcome = row->outcome ? session_outcome_name(row->outcome) : NULL;

	(void)error;
	uuid_format(&row->session, id);
	snprintf(brief, sizeof(brief), "%.*s", (int)listing->prefix, id);
	table_cell(listing->table, id, brief, COLOR_NONE);
	table_cell(listing->table, row->agent, NULL, COLOR_NONE);
	table_cell(listing->table, session_state_name(row->state), NULL, COLOR_NONE);
	table_cell(listing->table, outcome, NULL, session_color(row->state, row->outcome));
	table_cell(listing->table, row->trigger_kind, NULL, COLOR_NONE);
	time_cell(listing, row->queued_at_ms);
	wall_cell(listing->table, row);
	return 0;
}

static int
json_row(const struct msg *record, void *arg, struct error *error)
{
	struct listing *listing = arg;
	struct session session = {.listed = true};

	(void)error;
	session.row = record->session_row;
	session_json(&session, listing->json);
	return 0;
}

static int
print_session_table(struct ash *ash, int fd, struct listing *listing, struct error *error)
{
	if (rows_each(fd, MSG_SESSION_ROW, keep_id, listing, error) < 0)
		return -1;
	if (listing->count == 0 && ash->out_tty) {
		output_empty(ash, "No sessions; 'ash agent run NAME' starts one.");
		return 0;
	}
	listing->prefix = session_prefix(listing->ids, listing->count);
	local_format(realtime_ms(), listing->today);
	listing->table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!listing->table)
		return out_of_memory(error);
	if (rows_each(fd, MSG_SESSION_ROW, list_row, listing, error) < 0) {
		table_free(listing->table);
		return -1;
	}
	return output_table(ash, listing->table, error);
}

static int
print_session_array(int fd, struct listing *listing, struct error *error)
{
	struct json json = JSON_INIT;
	int r;

	listing->json = &json;
	json_array(&json);
	r = rows_each(fd, MSG_SESSION_ROW, json_row, listing, error);
	json_array_end(&json);
	if (r == 0)
		r = output_json(&json, error);
	json_free(&json);
	return r;
}

int
since_parse(const char *text, uint64_t *since_ms, struct error *error)
{
	uint64_t ago, now = realtime_ms();

	if (rfc3339_parse(text, since_ms))
		return 0;
	if (duration_parse(text, &ago)) {
		*since_ms = ago < now ? now - ago : 1;
		return 0;
	}
	return error_why(
	    error, ERR_USAGE,
	    "--since: '%.80s' is neither a duration (90s, 2h, 7d) nor an RFC 3339 time", text);
}

static int
limit_parse(const char *text, uint32_t *limit, struct error *error)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number == 0 || number > UINT32_MAX)
		return error_why(error, ERR_USAGE, "--limit: '%.80s' is not a number of sessions",
				 text);
	*limit = (uint32_t)number;
	return 0;
}

static int
list_filters(const struct args *args, struct msg_op_sessions *filters, struct error *error)
{
	const char *agent = args_value(args, "--agent"), *state = args_value(args, "--state");
	const char *since = args_value(args, "--since"), *limit = args_value(args, "--limit");

	if (agent) {
		if (agent_name_check(agent, error) < 0)
			return -1;
		strcpy(filters->agent, agent);
	}
	if (state) {
		if (!session_state_parse(state)) {
			error_why(error, ERR_USAGE, "--state: there is no state '%.80s'", state);
			return error_hint(error,
					  "states are queued, setup, running, stopping, ended");
		}
		strncpy(filters->state, state, sizeof(filters->state) - 1);
	}
	if (since && since_parse(since, &filters->since_ms, error) < 0)
		return -1;
	if (limit && limit_parse(limit, &filters->limit, error) < 0)
		return -1;
	return 0;
}

int
session_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct listing listing = {0};
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_SESSIONS);
	if (list_filters(args, &request.op_sessions, error) < 0 ||
	    connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = ash->json ? print_session_array(reply.fds[0], &listing, error)
		      : print_session_table(ash, reply.fds[0], &listing, error);
	msg_close_fds(&reply);
	free(listing.ids);
	return r;
}

/* --- show
 * -------------------------------------------------------------------------------------------- */

static void
show_times(const struct ash *ash, const struct msg_session_row *row)
{
	const struct {
		const char *title;
		uint64_t at_ms;
	} times[] = {{"Queued", row->queued_at_ms},
		     {"Started", row->started_at_ms},
		     {"Running", row->running_at_ms},
		     {"Ended", row->ended_at_ms}};
	char text[32];

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		if (times[i].at_ms)
			output_line(ash, times[i].title, COLOR_NONE, "%s",
				    local_format(times[i].at_ms, text));
}

static void
show_usage(const struct ash *ash, const struct msg_session_row *row)
{
	char text[32], dropped[32];

	if (row->wall_ms >= 0)
		output_line(ash, "Wall time", COLOR_NONE, "%s",
			    duration_format((uint64_t)row->wall_ms, text));
	if (row->cpu_ms >= 0)
		output_line(ash, "CPU time", COLOR_NONE, "%s",
			    duration_format((uint64_t)row->cpu_ms, text));
	if (row->peak_memory_bytes >= 0)
		output_line(ash, "Peak memory", COLOR_NONE, "%s",
			    size_format((uint64_t)row->peak_memory_bytes, text));
	if (row->log_dropped_bytes)
		output_line(ash, "Log", COLOR_WARN, "%s, %s dropped",
			    size_format(row->log_bytes, text),
			    size_format(row->log_dropped_bytes, dropped));
	else
		output_line(ash, "Log", COLOR_NONE, "%s", size_format(row->log_bytes, text));
}

static void
show_state(const struct ash *ash, const struct msg_session_row *row)
{
	struct ending ending = session_ending(row);
	char text[ENDING_TEXT_MAX + 1];

	if (row->state == STATE_ENDED)
		output_line(ash, "Outcome", session_color(row->state, row->outcome), "%s: it %s",
			    session_shown(row->state, row->outcome), ending_text(&ending, text));
	else if (row->state == STATE_SETUP && row->step)
		output_line(ash, "State", COLOR_NONE, "setup: %s", session_step_name(row->step));
	else if (row->state == STATE_QUEUED)
		output_line(ash, "State", COLOR_NONE, "queued, position %u", row->queue_position);
	else
		output_line(ash, "State", COLOR_NONE, "%s", session_shown(row->state, 0));
}

/* Where in the set-up the step stands: from the first one's start to the end of the last. Each
 * began to the millisecond, so that one may not seem to begin before the one before it ended. */
static const char *
step_bar(const struct ash *ash, const struct session *session, size_t which, char bar[BAR_SIZE])
{
	uint64_t at_us = 0, from_us = 0, begin_us, total_us = 0,
		 first_ms = session->steps[0].started_at_ms;
	const char *mark = ash->style.utf8 ? "█" : "#";
	size_t from, to;

	for (size_t i = 0; i < session->count; i++) {
		const struct msg_step_row *step = &session->steps[i];

		begin_us =
		    step->started_at_ms > first_ms ? (step->started_at_ms - first_ms) * 1000 : 0;
		at_us = begin_us > at_us ? begin_us : at_us;
		if (i == which)
			from_us = at_us;
		at_us += step->took_us;
		total_us = at_us;
	}
	total_us += total_us == 0;
	from = (size_t)(from_us * BAR_WIDTH / total_us);
	from -= from == BAR_WIDTH;
	to = (size_t)((from_us + session->steps[which].took_us) * BAR_WIDTH / total_us);
	to += to == from;
	memset(bar, ' ', from);
	bar[from] = '\0';
	for (size_t i = from; i < to; i++)
		strcat(bar, mark);
	return bar;
}

static int
show_steps(const struct ash *ash, const struct session *session, struct error *error)
{
	char text[48], bar[BAR_SIZE];
	struct table *table;

	if (session->count == 0)
		return 0;
	table = table_new(step_columns, ARRAY_LEN(step_columns));
	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < session->count; i++) {
		const struct msg_step_row *step = &session->steps[i];

		table_cell(table, session_step_name(step->step), NULL, COLOR_NONE);
		table_cell(table, local_format(step->started_at_ms, text), text + 11, COLOR_NONE);
		snprintf(text, sizeof(text), "%llu.%03llu ms",
			 (unsigned long long)(step->took_us / 1000),
			 (unsigned long long)(step->took_us % 1000));
		table_cell(table, text, NULL, COLOR_NONE);
		table_cell(table, step_bar(ash, session, i, bar), NULL, COLOR_NONE);
	}
	putchar('\n');
	return output_table(ash, table, error);
}

static void
show_trigger(const struct ash *ash, const struct msg_session_row *row)
{
	const char *by = row->operator, * id = row->trigger_id;

	if (strcmp(id, row->trigger_kind) == 0)
		id = "";
	output_line(ash, "Trigger", COLOR_NONE, "%s%s%s%s%s", row->trigger_kind, *id ? " " : "", id,
		    *by ? ", by " : "", by);
}

static void
show_event(const struct ash *ash, const struct session *session)
{
	const struct msg_event_row *event = &session->event;

	if (session->has_event)
		output_line(ash, "Event", COLOR_NONE, "%s, id %s of %s%s", event->type, event->id,
			    event->source, event->replay ? ", replayed" : "");
}

static int
show_text(const struct ash *ash, const struct session *session, struct error *error)
{
	const struct msg_session_row *row = &session->row;
	char text[UUID_TEXT_LEN + 1];

	output_line(ash, "Session", COLOR_NONE, "%s", uuid_format(&row->session, text));
	output_line(ash, "Agent", COLOR_NONE, "%s", row->agent);
	show_state(ash, row);
	show_trigger(ash, row);
	show_event(ash, session);
	if (*row->task)
		output_line(ash, "Task", COLOR_NONE, "%s", row->task);
	output_line(ash, "Attempt", COLOR_NONE, "%u", row->attempt);
	show_times(ash, row);
	show_usage(ash, row);
	if (session->tools)
		session_tools_lines(ash, session->tools);
	if (show_steps(ash, session, error) < 0)
		return -1;
	return session->tools ? session_tools_tables(ash, session->tools, error) : 0;
}

int
session_show_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(session_tools_free) struct session_tools tools = {0};
	struct json json = JSON_INIT;
	struct session session;

	if (session_get_all(ash, args->operands[0], &session, &tools, error) < 0)
		return -1;
	if (!ash->json)
		return show_text(ash, &session, error);
	session_json(&session, &json);
	return output_json(&json, error);
}

/* --- cancel
 * ------------------------------------------------------------------------------------------ */

int
session_cancel_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(session_tools_free) struct session_tools tools = {0};
	struct json json = JSON_INIT;
	struct msg request, reply;
	struct session session;
	char id[UUID_TEXT_LEN + 1];
	bool over;

	if (session_get(ash, args->operands[0], &session, error) < 0)
		return -1;
	over = session.row.state == STATE_ENDED;
	uuid_format(&session.row.session, id);
	if (!over) {
		msg_init(&request, MSG_OP_CANCEL);
		strcpy(request.op_cancel.ref, id);
		if (connection_call(&ash->connection, &request, MSG_OK, &reply, REPLY_WAIT_MS,
				    error) < 0 ||
		    session_get(ash, id, &session, error) < 0)
			return -1;
		over = reply.ok.value == 1;
	}
	if (ash->json) {
		if (session_get_all(ash, id, &session, &tools, error) < 0)
			return -1;
		session_json(&session, &json);
		return output_json(&json, error);
	}
	if (over)
		output_done(ash, "%s had ended already: %s", id,
			    session_shown(session.row.state, session.row.outcome));
	else
		output_done(ash, "%s is being cancelled", id);
	return 0;
}

/* --- why
 * --------------------------------------------------------------------------------------------- */

struct reasons {
	char words[ENDING_TEXT_MAX + AGENT_NAME_MAX + 64];
	const char *advice;
};

static void
why_queued(const struct msg_session_row *row, struct reasons *why)
{
	char time[32];

	if (row->not_before_ms) {
		local_format(row->not_before_ms, time);
		snprintf(why->words, sizeof(why->words), "%s waits until %s%s%s", row->agent, time,
			 *row->reason ? "; " : "", row->reason);
		why->advice = "spec.retry says how long it waits; 'ash session cancel' ends the "
			      "attempts";
	} else if (*row->reason) {
		snprintf(why->words, sizeof(why->words), "%s waits in the queue: %s", row->agent,
			 row->reason);
	} else {
		snprintf(
		    why->words, sizeof(why->words),
		    "%s waits in the queue at position %u: every slot that it may use is taken",
		    row->agent, row->queue_position);
		why->advice = "see what runs with 'ash session list --state running', or change "
			      "limits in agentd.yaml or spec.concurrency";
	}
}

static void
why_live(const struct msg_session_row *row, struct reasons *why)
{
	char since[32] = "";
	const char *step = row->step ? session_step_name(row->step) : NULL;

	switch ((enum session_state)row->state) {
	case STATE_QUEUED:
		why_queued(row, why);
		break;
	case STATE_SETUP:
		snprintf(why->words, sizeof(why->words), "%s is being set up%s%s", row->agent,
			 step ? ", at step " : "", step ? step : "");
		break;
	case STATE_STOPPING:
		snprintf(why->words, sizeof(why->words), "%s is being stopped%s%s", row->agent,
			 *row->reason ? ": " : "", row->reason);
		break;
	default:
		if (row->running_at_ms)
			duration_format(realtime_ms() - row->running_at_ms, since);
		snprintf(why->words, sizeof(why->words), "%s has been running for %s", row->agent,
			 *since ? since : "a moment");
		why->advice = "follow what it prints with 'ash session logs ID -f'";
		break;
	}
}

static void
why_session(const struct msg_session_row *row, struct reasons *why)
{
	struct ending ending = session_ending(row);
	char text[ENDING_TEXT_MAX + 1];

	*why = (struct reasons){.advice = NULL};
	if (row->state != STATE_ENDED) {
		why_live(row, why);
		return;
	}
	snprintf(why->words, sizeof(why->words), "%s %s", row->agent, ending_text(&ending, text));
	why->advice = ending_advice(&ending);
}

/* Advice names the session as ID: here it is put in. */
static void
fill_id(const char *advice, const struct uuid *session, char *text, size_t size)
{
	const char *at = strstr(advice, "logs ID");
	char id[UUID_TEXT_LEN + 1];

	if (at)
		snprintf(text, size, "%.*slogs %s%s", (int)(at - advice), advice,
			 uuid_format(session, id), at + strlen("logs ID"));
	else
		snprintf(text, size, "%s", advice);
}

static void
denials_json(const struct denials *denials, struct json *json)
{
	json_key(json, "denials");
	json_array(json);
	for (unsigned i = 0; i < denials->count; i++)
		json_string(json, denials->texts[i]);
	json_array_end(json);
}

static void
show_denials(const struct ash *ash, const struct denials *denials)
{
	for (unsigned i = 0; i < denials->count; i++)
		output_line(ash, "Denied", COLOR_NONE, "%s", denials->texts[i]);
	if (denials->more)
		output_line(ash, "Denied", COLOR_NONE, "more, which its log tells");
}

enum { CHAIN_MAX = 16 /* that many of the newest are told */ };

static void
chain_line(const struct ash *ash, const char *label, const struct msg_session_row *row)
{
	struct ending ending = session_ending(row);
	char id[UUID_TEXT_LEN + 1], text[ENDING_TEXT_MAX + 1];

	if (row->state == STATE_ENDED)
		ending_text(&ending, text);
	else
		snprintf(text, sizeof(text), "%s", session_state_name(row->state));
	output_line(ash, label, session_color(row->state, row->outcome), "%s, attempt %u: %s",
		    uuid_format(&row->session, id), row->attempt, text);
}

/* Whom it follows, the newest first, as far as they are kept, and who follows it. */
static int
show_chain(struct ash *ash, const struct msg_session_row *row, struct error *error)
{
	struct session other;
	char id[UUID_TEXT_LEN + 1];

	if (row->attempts > 1 || row->attempt > 1)
		output_line(ash, "Attempt", COLOR_NONE, "%u of %u", row->attempt,
			    row->attempts > row->attempt ? row->attempts : row->attempt);
	other.row = *row;
	for (int i = 0; i < CHAIN_MAX && other.row.succession; i++) {
		const char *label =
		    other.row.succession == SUCCESSION_RETRY ? "Retry of" : "Restart of";

		if (session_get(ash, uuid_format(&other.row.former, id), &other, error) < 0) {
			if (error->code != ERR_NOT_FOUND)
				return -1;
			*error = (struct error)ERROR_INIT;
			output_line(ash, label, COLOR_NONE, "%s, which is not kept any more", id);
			break;
		}
		chain_line(ash, label, &other.row);
	}
	if (!row->next_succession)
		return 0;
	if (session_get(ash, uuid_format(&row->next, id), &other, error) < 0)
		return -1;
	chain_line(ash, row->next_succession == SUCCESSION_RETRY ? "Tried again" : "Restarted",
		   &other.row);
	return 0;
}

int
session_why_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(session_tools_free) struct session_tools tools = {0};
	struct json json = JSON_INIT;
	struct denials denials;
	struct session session;
	struct reasons why;
	char advice[512] = "";

	if (session_get_all(ash, args->operands[0], &session, &tools, error) < 0 ||
	    denials_read(ash, args->operands[0], &denials, error) < 0)
		return -1;
	why_session(&session.row, &why);
	if (why.advice)
		fill_id(why.advice, &session.row.session, advice, sizeof(advice));
	if (ash->json) {
		json_object(&json);
		session_json_keys(&session, &json);
		json_key(&json, "why");
		json_string(&json, why.words);
		json_key(&json, "advice");
		json_string(&json, *advice ? advice : NULL);
		denials_json(&denials, &json);
		json_object_end(&json);
		return output_json(&json, error);
	}
	show_trigger(ash, &session.row);
	show_event(ash, &session);
	if (show_chain(ash, &session.row, error) < 0)
		return -1;
	output_line(ash, "Why", session_color(session.row.state, session.row.outcome), "%s",
		    why.words);
	show_denials(ash, &denials);
	if (*advice)
		output_line(ash, "Next", COLOR_NONE, "%s", advice);
	return 0;
}
