/* ash status: one screen of how things stand, and whether that is well. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "clock.h"
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"
#include "secret.h"
#include "session.h"
#include "text.h"

enum {
	SHOWN_MAX = 3,    /* of each list, for people */
	KEPT_MAX = 64,    /* of each list */
	LOOKED_MAX = 200, /* ended sessions among which failures are looked for */
	PROBLEMS_MAX = 16,
	PROBLEM_SIZE = 160,
	SECRETD_WAIT_MS = 1000, /* it greets at once */
	AUDIT_BACKLOG = 64,     /* entries; a healthy secretd has a handful before it */
};

static const struct column daemon_columns[] = {
    {"DAEMON", CUT_NEVER, 0, false}, {"PID", CUT_NEVER, 0, true},
    {"STATE", CUT_NEVER, 0, false},  {"RESTARTS", CUT_NEVER, 0, true},
    {"UP FOR", CUT_NEVER, 0, true},
};

/* What agentd and its daemons answered; what nobody could tell is not known. */
struct picture {
	struct msg_status_row row;
	struct msg_status_more more;
	struct msg_daemon_row daemons[KEPT_MAX];
	size_t daemon_count;
	struct msg_agent_last paused[KEPT_MAX];
	size_t paused_count;
	struct msg_agent_last next[KEPT_MAX]; /* soonest first */
	size_t next_count;
	struct msg_session_row *failed; /* heap: SHOWN_MAX, newest first */
	size_t failed_count;
	struct msg_mechanism_row absent[KEPT_MAX];
	size_t absent_count;
	uint32_t pending;
	bool agents_known, sessions_known, pending_known, mechanisms_known;
	bool secretd_answers;
	char problems[PROBLEMS_MAX][PROBLEM_SIZE];
	size_t problem_count;
};

static void
picture_free(struct picture *picture)
{
	free(picture->failed);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static int
take_status(const struct msg *record, void *arg, struct error *error)
{
	struct picture *picture = arg;

	(void)error;
	if (record->type == MSG_STATUS_ROW)
		picture->row = record->status_row;
	else if (record->type == MSG_STATUS_MORE)
		picture->more = record->status_more;
	else if (record->type == MSG_DAEMON_ROW && picture->daemon_count < KEPT_MAX)
		picture->daemons[picture->daemon_count++] = record->daemon_row;
	return 0;
}

static int
take_last(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_agent_last *last = &record->agent_last;
	struct picture *picture = arg;

	(void)error;
	if (last->paused_at_ms && picture->paused_count < KEPT_MAX)
		picture->paused[picture->paused_count++] = *last;
	else if (last->next_fire_at_ms && picture->next_count < KEPT_MAX)
		picture->next[picture->next_count++] = *last;
	return 0;
}

static int
take_session(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_session_row *row = &record->session_row;
	struct picture *picture = arg;

	(void)error;
	if (row->outcome == OUTCOME_SUCCESS || row->outcome == OUTCOME_CANCELLED ||
	    row->outcome == OUTCOME_SKIPPED || picture->failed_count == SHOWN_MAX)
		return 0;
	picture->failed[picture->failed_count++] = *row;
	return 0;
}

static int
take_mechanism(const struct msg *record, void *arg, struct error *error)
{
	struct picture *picture = arg;

	(void)error;
	if (!record->mechanism_row.present && picture->absent_count < KEPT_MAX)
		picture->absent[picture->absent_count++] = record->mechanism_row;
	return 0;
}

static int
count_ask(const struct msg *record, void *arg, struct error *error)
{
	struct picture *picture = arg;

	(void)record;
	(void)error;
	picture->pending++;
	return 0;
}

/* One more question; what it finds out is not needed. True: answered. */
static bool
ask(struct ash *ash, struct msg *request, unsigned fd, enum msg_type type, row_fn *row,
    struct picture *picture)
{
	struct error ignored = ERROR_INIT;
	struct msg reply;
	bool known;

	if (connection_call(&ash->connection, request, MSG_ROWS, &reply, REPLY_WAIT_MS, &ignored) <
	    0)
		return false;
	known = reply.nfds > fd && rows_each(reply.fds[fd], type, row, picture, &ignored) == 0;
	msg_close_fds(&reply);
	return known;
}

static int
by_time(const void *a, const void *b)
{
	const struct msg_agent_last *one = a, *other = b;

	return one->next_fire_at_ms < other->next_fire_at_ms   ? -1
	       : one->next_fire_at_ms > other->next_fire_at_ms ? 1
							       : strcmp(one->agent, other->agent);
}

/* Only of daemons that are there: nobody waits for the others twice. */
static void
ask_more(struct ash *ash, struct picture *picture)
{
	struct msg request;

	if (picture->row.agents_known && picture->row.ledger_known) {
		msg_init(&request, MSG_OP_AGENTS);
		picture->agents_known = ask(ash, &request, 1, MSG_AGENT_LAST, take_last, picture);
		qsort(picture->next, picture->next_count, sizeof(*picture->next), by_time);
	}
	if (picture->row.ledger_known && picture->failed) {
		msg_init(&request, MSG_OP_SESSIONS);
		strcpy(request.op_sessions.state, "ended");
		request.op_sessions.limit = LOOKED_MAX;
		picture->sessions_known =
		    ask(ash, &request, 0, MSG_SESSION_ROW, take_session, picture);
	}
	if (!picture->row.agents_known)
		return;
	msg_init(&request, MSG_OP_ASKS);
	picture->pending_known = ask(ash, &request, 0, MSG_ASK_ROW, count_ask, picture);
	msg_init(&request, MSG_OP_DOCTOR);
	picture->mechanisms_known =
	    ask(ash, &request, 0, MSG_MECHANISM_ROW, take_mechanism, picture);
}

/* secretd greets whoever connects; a stopped one does not. */
static bool
secretd_greets(struct ash *ash)
{
	uint64_t deadline = clock_ms() + SECRETD_WAIT_MS;
	struct error ignored = ERROR_INIT;
	struct pollfd polled;
	struct msg msg;

	if (secrets_begin(ash, &ignored) < 0 || connection_begin(&ash->secrets, &ignored) < 0)
		return ignored.code == ERR_PERMISSION; /* not known to be away */
	while (!ash->secrets.greeted && ash->secrets.fd >= 0 && clock_ms() < deadline) {
		polled = (struct pollfd){.fd = ash->secrets.fd, .events = POLLIN};
		if (poll(&polled, 1, (int)(deadline - clock_ms())) < 0 ||
		    connection_poll(&ash->secrets, &msg, &ignored) < 0)
			break;
	}
	return ash->secrets.greeted;
}

static int
look(struct ash *ash, struct picture *picture, struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_STATUS);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = rows_each(reply.fds[0], MSG_NONE, take_status, picture, error);
	msg_close_fds(&reply);
	if (r < 0)
		return -1;
	if (!*picture->row.version)
		return error_why(error, ERR_FAILED, "agentd's answer holds no status");
	picture->failed = calloc(SHOWN_MAX, sizeof(*picture->failed));
	ask_more(ash, picture);
	picture->secretd_answers = secretd_greets(ash);
	return 0;
}

/* --- judging -----------------------------------------------------------------------------------
 */

static void __attribute__((format(printf, 2, 3)))
problem(struct picture *picture, const char *fmt, ...)
{
	va_list arguments;

	if (picture->problem_count == PROBLEMS_MAX)
		return;
	va_start(arguments, fmt);
	vsnprintf(picture->problems[picture->problem_count++], PROBLEM_SIZE, fmt, arguments);
	va_end(arguments);
}

static const char *
daemon_state(const struct msg_daemon_row *row)
{
	const char *name = daemon_state_name(row->state);

	return name ? name : "-";
}

static void
judge(struct picture *picture)
{
	for (size_t i = 0; i < picture->daemon_count; i++)
		if (picture->daemons[i].state != DAEMON_READY)
			problem(picture, "%s is %s: its end is in the log of agentd",
				role_name(picture->daemons[i].role),
				daemon_state(&picture->daemons[i]));
	if (!picture->row.ledger_known)
		problem(picture, "schedd does not answer: 'systemctl restart agentd' starts it "
				 "anew");
	if (!picture->row.agents_known)
		problem(picture, "runnerd does not answer: 'systemctl restart agentd' starts it "
				 "anew");
	if (!picture->secretd_answers)
		problem(picture, "secretd does not answer: no audit entry is written");
	else if (picture->more.audit_waiting > AUDIT_BACKLOG)
		problem(picture,
			"%u audit entries wait to be written: is the disk of log_dir full?",
			picture->more.audit_waiting);
	for (size_t i = 0; i < picture->absent_count; i++)
		if (picture->absent[i].required)
			problem(picture, "%s is missing, and no session starts: see ash doctor",
				picture->absent[i].name);
	if (picture->row.ledger_known && picture->row.draining)
		problem(picture, "agentd drains: no session starts any more");
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void
daemons_json(const struct picture *picture, struct json *json)
{
	json_key(json, "daemons");
	json_array(json);
	for (size_t i = 0; i < picture->daemon_count; i++) {
		const struct msg_daemon_row *row = &picture->daemons[i];

		json_object(json);
		json_key(json, "name");
		json_string(json, role_name(row->role));
		json_key(json, "pid");
		if (row->pid)
			json_uint(json, row->pid);
		else
			json_null(json);
		json_key(json, "state");
		json_string(json, daemon_state(row));
		json_key(json, "restarts");
		json_uint(json, row->restarts);
		json_key(json, "started_at");
		json_time(json, row->started_at_ms);
		json_object_end(json);
	}
	json_array_end(json);
}

/* null while the daemon that knows is away. */
static void
json_count(struct json *json, const char *key, bool known, uint64_t count)
{
	json_key(json, key);
	if (known)
		json_uint(json, count);
	else
		json_null(json);
}

static void
counts_json(const struct picture *picture, struct json *json)
{
	const struct msg_status_row *row = &picture->row;

	json_count(json, "agents", row->agents_known, row->agents);
	json_count(json, "queued", row->ledger_known, row->queued);
	json_count(json, "live", row->ledger_known, row->live);
	json_count(json, "ended", row->ledger_known, row->ended);
	json_count(json, "sessions_limit", row->ledger_known, row->sessions_limit);
	json_count(json, "pending", picture->pending_known, picture->pending);
	json_count(json, "watchers", true, picture->more.watchers);
	json_count(json, "audit_waiting", true, picture->more.audit_waiting);
	json_key(json, "draining");
	if (row->ledger_known)
		json_bool(json, row->draining);
	else
		json_null(json);
}

static void
agents_json(const struct picture *picture, struct json *json)
{
	json_key(json, "paused");
	json_array(json);
	for (size_t i = 0; i < picture->paused_count; i++) {
		json_object(json);
		json_key(json, "agent");
		json_string(json, picture->paused[i].agent);
		json_key(json, "reason");
		json_string(json, picture->paused[i].pause_reason);
		json_key(json, "paused_at");
		json_time(json, picture->paused[i].paused_at_ms);
		json_object_end(json);
	}
	json_array_end(json);
	json_key(json, "next");
	json_array(json);
	for (size_t i = 0; i < picture->next_count; i++) {
		json_object(json);
		json_key(json, "agent");
		json_string(json, picture->next[i].agent);
		json_key(json, "next_fire_at");
		json_time(json, picture->next[i].next_fire_at_ms);
		json_object_end(json);
	}
	json_array_end(json);
}

static void
troubles_json(const struct picture *picture, struct json *json)
{
	char id[UUID_TEXT_LEN + 1];

	json_key(json, "failures");
	json_array(json);
	for (size_t i = 0; i < picture->failed_count; i++) {
		const struct msg_session_row *row = &picture->failed[i];

		json_object(json);
		json_key(json, "session");
		json_string(json, uuid_format(&row->session, id));
		json_key(json, "agent");
		json_string(json, row->agent);
		json_key(json, "outcome");
		json_string(json, session_outcome_name(row->outcome));
		json_key(json, "ended_at");
		json_time(json, row->ended_at_ms);
		json_object_end(json);
	}
	json_array_end(json);
	json_key(json, "missing");
	json_array(json);
	for (size_t i = 0; i < picture->absent_count; i++)
		json_string(json, picture->absent[i].name);
	json_array_end(json);
	json_key(json, "problems");
	json_array(json);
	for (size_t i = 0; i < picture->problem_count; i++)
		json_string(json, picture->problems[i]);
	json_array_end(json);
}

static int
status_json(const struct ash *ash, const struct picture *picture, struct error *error)
{
	const struct msg_status_row *row = &picture->row;
	struct json json = JSON_INIT;
	const struct {
		const char *key, *text;
	} texts[] = {{"version", row->version},     {"build", row->build},
		     {"socket", ash->socket},       {"run_dir", row->run_dir},
		     {"state_dir", row->state_dir}, {"log_dir", row->log_dir}};

	json_object(&json);
	json_key(&json, "healthy");
	json_bool(&json, picture->problem_count == 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_key(&json, texts[i].key);
		json_string(&json, texts[i].text);
	}
	json_key(&json, "started_at");
	json_time(&json, row->started_at_ms);
	json_key(&json, "uptime_ms");
	json_uint(&json, realtime_ms() - row->started_at_ms);
	counts_json(picture, &json);
	daemons_json(picture, &json);
	agents_json(picture, &json);
	troubles_json(picture, &json);
	json_object_end(&json);
	return output_json(&json, error);
}

/* --- one screen --------------------------------------------------------------------------------
 */

/* A line that fits. */
static void __attribute__((format(printf, 4, 5)))
line(const struct ash *ash, const char *title, enum color color, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *clean = NULL, *cut = NULL;
	size_t room = ash->style.width > 35 ? ash->style.width - 15 : 20;
	va_list arguments;
	int r;

	va_start(arguments, fmt);
	r = vasprintf(&text, fmt, arguments);
	va_end(arguments);
	if (r < 0)
		return;
	clean = text_clean(text);
	cut = clean ? text_cut(clean, room, false, ash->style.utf8 ? "…" : ">") : NULL;
	output_line(ash, title, color, "%s", cut ? cut : "");
}

static void
show_counts(const struct ash *ash, const struct picture *picture)
{
	const struct msg_status_row *row = &picture->row;
	char text[32];

	line(ash, "Version", COLOR_NONE, "%s, up for %s", row->version,
	     duration_format(realtime_ms() - row->started_at_ms, text));
	line(ash, "Socket", COLOR_NONE, "%s", ash->socket);
	if (row->agents_known && picture->agents_known)
		line(ash, "Agents", COLOR_NONE, "%u, %zu paused", row->agents,
		     picture->paused_count);
	else if (row->agents_known)
		line(ash, "Agents", COLOR_NONE, "%u", row->agents);
	else
		line(ash, "Agents", COLOR_WARN, "unknown, runnerd is away");
	if (row->ledger_known)
		line(ash, "Sessions", COLOR_NONE, "%u live of at most %u, %u queued, %llu ended",
		     row->live, row->sessions_limit, row->queued, (unsigned long long)row->ended);
	else
		line(ash, "Sessions", COLOR_WARN, "unknown, schedd is away");
	if (picture->pending_known && picture->pending)
		line(ash, "Approvals", COLOR_WARN, "%u call%s for an operator: ash pending",
		     picture->pending, picture->pending == 1 ? " waits" : "s wait");
}

static void
show_lists(const struct ash *ash, const struct picture *picture)
{
	char ending_words[ENDING_TEXT_MAX + 1], at[32];

	for (size_t i = 0; i < picture->next_count && i < SHOWN_MAX; i++)
		line(ash, i ? "" : "Next", COLOR_NONE, "%s  %s",
		     local_format(picture->next[i].next_fire_at_ms, at), picture->next[i].agent);
	for (size_t i = 0; i < picture->paused_count && i < SHOWN_MAX; i++)
		line(ash, i ? "" : "Paused", COLOR_WARN, "%s: %s", picture->paused[i].agent,
		     picture->paused[i].pause_reason);
	for (size_t i = 0; i < picture->failed_count; i++) {
		struct ending ending = session_ending(&picture->failed[i]);

		line(ash, i ? "" : "Failed", COLOR_NONE, "%s  %s %s",
		     local_format(picture->failed[i].ended_at_ms, at), picture->failed[i].agent,
		     ending_text(&ending, ending_words));
	}
}

static void
show_missing(const struct ash *ash, const struct picture *picture)
{
	char names[512] = "";
	size_t length = 0;

	for (size_t i = 0; i < picture->absent_count && length < sizeof(names); i++)
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
					   i ? ", " : "", picture->absent[i].name);
	if (picture->absent_count)
		line(ash, "Missing", COLOR_WARN, "%s: ash doctor", names);
}

static int
show_daemons(const struct ash *ash, const struct picture *picture, struct error *error)
{
	struct table *table = table_new(daemon_columns, ARRAY_LEN(daemon_columns));
	uint64_t now = realtime_ms();
	char text[32];

	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < picture->daemon_count; i++) {
		const struct msg_daemon_row *row = &picture->daemons[i];
		uint64_t up =
		    row->started_at_ms && now > row->started_at_ms ? now - row->started_at_ms : 0;

		table_cell(table, role_name(row->role), NULL, COLOR_NONE);
		snprintf(text, sizeof(text), "%u", row->pid);
		table_cell(table, row->pid ? text : "", NULL, COLOR_NONE);
		table_cell(table, daemon_state(row), NULL,
			   row->state == DAEMON_READY ? COLOR_GOOD : COLOR_WARN);
		snprintf(text, sizeof(text), "%u", row->restarts);
		table_cell(table, text, NULL, row->restarts ? COLOR_WARN : COLOR_NONE);
		table_cell(table, row->pid ? duration_format(up, text) : "", NULL, COLOR_NONE);
	}
	putchar('\n');
	return output_table(ash, table, error);
}

static int
status_text(const struct ash *ash, const struct picture *picture, struct error *error)
{
	if (picture->problem_count == 0)
		line(ash, "Health", COLOR_GOOD, "healthy");
	for (size_t i = 0; i < picture->problem_count; i++)
		line(ash, i ? "" : "Health", COLOR_BAD, "%s", picture->problems[i]);
	show_counts(ash, picture);
	show_lists(ash, picture);
	show_missing(ash, picture);
	return show_daemons(ash, picture, error);
}

int
status_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct picture *picture = calloc(1, sizeof(*picture));
	int r = picture ? look(ash, picture, error) : out_of_memory(error);

	(void)args;
	if (r == 0) {
		judge(picture);
		r = ash->json ? status_json(ash, picture, error) : status_text(ash, picture, error);
	}
	if (r == 0 && picture->problem_count)
		r = ERR_FAILED;
	if (picture)
		picture_free(picture);
	free(picture);
	return r;
}
