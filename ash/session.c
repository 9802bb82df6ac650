#include "session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/manifest.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"

enum { PREFIX_LEAST = 13 /* "01939c5a-7b3e": the milliseconds */ };

/* --- references --------------------------------------------------------------------------------
 */

static bool
is_id_prefix(const char *ref)
{
	size_t length = strlen(ref);

	return length > 0 && length <= UUID_TEXT_LEN &&
	       strspn(ref, "0123456789abcdefABCDEF-") == length;
}

static bool
is_latest(const char *ref)
{
	char name[AGENT_NAME_MAX + 1];
	const char *at = strchr(ref, '@');
	size_t length = at ? (size_t)(at - ref) : 0;

	if (!at || strcmp(at, "@latest") != 0 || length > AGENT_NAME_MAX)
		return false;
	memcpy(name, ref, length);
	name[length] = '\0';
	return agent_name_valid(name);
}

int
session_ref_check(const char *ref, struct error *error)
{
	if (is_id_prefix(ref) || is_latest(ref))
		return 0;
	error_why(error, ERR_NOT_FOUND, "'%.80s' names no session", ref);
	return error_hint(error, "give an id, the beginning of one, or AGENT@latest; see "
				 "'ash session list'");
}

static int
take_row(const struct msg *record, void *arg, struct error *error)
{
	struct session *session = arg;

	(void)error;
	session->has_event |= record->type == MSG_EVENT_ROW;
	if (record->type == MSG_SESSION_ROW)
		session->row = record->session_row;
	else if (record->type == MSG_EVENT_ROW)
		session->event = record->event_row;
	else if (record->type == MSG_STEP_ROW && session->count < STEPS_MAX)
		session->steps[session->count++] = record->step_row;
	return 0;
}

int
session_read(int fd, struct session *session, struct error *error)
{
	session->count = 0;
	session->tools = NULL;
	session->listed = false;
	session->has_event = false;
	session->row.state = STATE_NONE;
	if (rows_each(fd, MSG_NONE, take_row, session, error) < 0)
		return -1;
	if (session->row.state != STATE_NONE)
		return 0;
	return error_why(error, ERR_NOT_FOUND, "there is no such session");
}

int
session_get(struct ash *ash, const char *ref, struct session *session, struct error *error)
{
	return session_get_all(ash, ref, session, NULL, error);
}

int
session_get_all(struct ash *ash, const char *ref, struct session *session,
		struct session_tools *tools, struct error *error)
{
	struct msg request, reply;
	int r;

	if (session_ref_check(ref, error) < 0)
		return -1;
	msg_init(&request, MSG_OP_SESSIONS);
	strcpy(request.op_sessions.ref, ref);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = session_read(reply.fds[0], session, error);
	if (r == 0 && tools && reply.nfds > 1) {
		r = session_tools_read(reply.fds[1], tools, error);
		session->tools = tools;
	}
	msg_close_fds(&reply);
	return r;
}

/* --- JSON
 * ------------------------------------------------------------------------------------------ */

static void
json_text(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text && *text ? text : NULL);
}

static void
json_when(struct json *json, const char *key, uint64_t at_ms)
{
	json_key(json, key);
	json_time(json, at_ms);
}

/* least: the smallest number that is known. */
static void
json_known(struct json *json, const char *key, int64_t number, int64_t least)
{
	json_key(json, key);
	if (number < least)
		json_null(json);
	else
		json_int(json, number);
}

static void
trigger_json(const struct msg_session_row *row, struct json *json)
{
	json_key(json, "trigger");
	json_object(json);
	json_text(json, "kind", row->trigger_kind);
	json_text(json, "id", row->trigger_id);
	json_when(json, "scheduled_at", row->scheduled_at_ms);
	json_when(json, "fired_at", row->fired_at_ms);
	json_object_end(json);
}

static void
event_json(const struct session *session, struct json *json)
{
	json_key(json, "event");
	if (!session->has_event) {
		json_null(json);
		return;
	}
	json_object(json);
	json_text(json, "id", session->event.id);
	json_text(json, "source", session->event.source);
	json_text(json, "type", session->event.type);
	json_when(json, "time", session->event.at_ms);
	json_key(json, "replay");
	json_uint(json, session->event.replay);
	json_object_end(json);
}

static void
steps_json(const struct session *session, struct json *json)
{
	json_key(json, "steps");
	json_array(json);
	for (size_t i = 0; i < session->count; i++) {
		json_object(json);
		json_text(json, "name", session_step_name(session->steps[i].step));
		json_when(json, "started_at", session->steps[i].started_at_ms);
		json_key(json, "took_us");
		json_uint(json, session->steps[i].took_us);
		json_object_end(json);
	}
	json_array_end(json);
}

const char *
succession_name(uint8_t succession)
{
	return succession == SUCCESSION_RETRY     ? "retry"
	       : succession == SUCCESSION_RESTART ? "restart"
						  : NULL;
}

/* Another session of the chain and how one follows the other; null: none. */
static void
link_json(const char *key, const struct uuid *session, uint8_t succession, struct json *json)
{
	char id[UUID_TEXT_LEN + 1];

	json_key(json, key);
	if (!succession) {
		json_null(json);
		return;
	}
	json_object(json);
	json_text(json, "session", uuid_format(session, id));
	json_text(json, "as", succession_name(succession));
	json_object_end(json);
}

static void
more_json(const struct msg_session_row *row, struct json *json)
{
	bool waiting = row->state == STATE_QUEUED;

	json_known(json, "attempts", row->attempts, 1);
	link_json("follows", &row->former, row->succession, json);
	link_json("followed_by", &row->next, row->next_succession, json);
	json_when(json, "not_before", row->not_before_ms);
	json_text(json, "operator", row->operator);
	json_text(json, "task", row->task);
	json_known(json, "timeout_ms", (int64_t)row->timeout_ms, 1);
	json_known(json, "queue_position", waiting ? (int64_t)row->queue_position : 0, 1);
	json_key(json, "log_bytes");
	json_uint(json, row->log_bytes);
	json_key(json, "log_dropped_bytes");
	json_uint(json, row->log_dropped_bytes);
}

void
session_json_keys(const struct session *session, struct json *json)
{
	static const struct session_tools unasked = {.result = NULL};
	const struct msg_session_row *row = &session->row;
	char id[UUID_TEXT_LEN + 1];

	json_text(json, "id", uuid_format(&row->session, id));
	json_text(json, "agent", row->agent);
	json_text(json, "state", session_state_name(row->state));
	json_text(json, "step", row->step ? session_step_name(row->step) : NULL);
	json_text(json, "outcome", row->outcome ? session_outcome_name(row->outcome) : NULL);
	json_text(json, "reason", row->reason);
	json_known(json, "exit_code", row->exit_code, 0);
	json_known(json, "signal", row->signal, 1);
	json_key(json, "attempt");
	json_uint(json, row->attempt);
	trigger_json(row, json);
	event_json(session, json);
	json_when(json, "queued_at", row->queued_at_ms);
	json_when(json, "started_at", row->started_at_ms);
	json_when(json, "running_at", row->running_at_ms);
	json_when(json, "ended_at", row->ended_at_ms);
	json_known(json, "wall_ms", row->wall_ms, 0);
	json_known(json, "cpu_ms", row->cpu_ms, 0);
	json_known(json, "peak_memory_bytes", row->peak_memory_bytes, 0);
	steps_json(session, json);
	session_tools_json(session->listed ? &unasked : session->tools, json);
	more_json(row, json);
}

void
session_json(const struct session *session, struct json *json)
{
	json_object(json);
	session_json_keys(session, json);
	json_object_end(json);
}

/* --- outcomes ------------------------------------------------------------------------------------
 */

/* Outcomes: how they look, what they exit with when the agent has no status of its own, their
 * words and what to do. `own`: the agent's status counts when it ran. */
static const struct outcome_view {
	enum color color;
	bool own;
	int status;
	const char *words, *advice;
	const char *known; /* how a reason begins that says no more than the words do */
} outcomes[OUTCOME_COUNT] = {
    [OUTCOME_SUCCESS] = {COLOR_GOOD, true, 0, "ended with success", NULL},
    [OUTCOME_FAILED] = {COLOR_BAD, true, EXIT_NO_STATUS, "failed",
			"what it printed tells more: ash session logs ID", "exit status"},
    [OUTCOME_SIGNALED] = {COLOR_BAD, true, EXIT_NO_STATUS, "was ended by a signal",
			  "what it printed before may tell more: ash session logs ID",
			  "killed by signal"},
    [OUTCOME_TIMED_OUT] =
	{COLOR_BAD, false, EXIT_TIMED_OUT, "timed out",
	 "give it more time with --timeout or spec.lifecycle.timeout_secs, or see "
	 "where it hangs: ash session logs ID",
	 "the timeout passed"},
    [OUTCOME_IDLE_TIMED_OUT] = {COLOR_BAD, false, EXIT_TIMED_OUT, "was idle for too long",
				"raise spec.lifecycle.idle_timeout_secs"},
    [OUTCOME_OOM_KILLED] = {COLOR_BAD, true, EXIT_NO_STATUS, "ran out of memory",
			    "raise spec.resources.memory_limit"},
    [OUTCOME_CANCELLED] = {COLOR_WARN, false, EXIT_NO_STATUS, "was cancelled",
			   "an operator asked for it; the audit log says who", "cancelled"},
    [OUTCOME_BUDGET_EXCEEDED] = {COLOR_BAD, true, EXIT_NO_STATUS, "used up its budget",
				 "raise spec.budget"},
    [OUTCOME_SETUP_FAILED] = {COLOR_BAD, false, EXIT_NO_STATUS, "could not be set up",
			      "correct what the reason names; 'ash doctor' lists what the host "
			      "lacks"},
    [OUTCOME_SKIPPED] = {COLOR_WARN, false, EXIT_NO_STATUS, "was skipped",
			 "'ash agent resume' lets a paused agent start; spec.concurrency and "
			 "spec.budget say what else is skipped"},
    [OUTCOME_REFUSED] = {COLOR_BAD, false, EXIT_NO_STATUS, "was refused",
			 "change what the reason names, of the manifest, the event or agentd.yaml"},
    [OUTCOME_LOST] = {COLOR_BAD, false, EXIT_NO_STATUS, "was lost",
		      "the host or the runtime stopped under it; run it again"},
};

static const struct outcome_view *
outcome_view(enum session_outcome outcome)
{
	return &outcomes[outcome < OUTCOME_COUNT ? outcome : OUTCOME_NONE];
}

const char *
session_shown(uint8_t state, uint8_t outcome)
{
	const char *name = state == STATE_ENDED && outcome ? session_outcome_name(outcome)
							   : session_state_name(state);

	return name ? name : "-";
}

enum color
session_color(uint8_t state, uint8_t outcome)
{
	return state == STATE_ENDED ? outcome_view(outcome)->color : COLOR_NONE;
}

struct ending
session_ending(const struct msg_session_row *row)
{
	return (struct ending){
	    .outcome = row->outcome,
	    .step = row->step,
	    .exit_code = row->exit_code,
	    .signal = row->signal,
	    .reason = row->reason,
	};
}

int
ending_status(const struct ending *ending)
{
	const struct outcome_view *view = outcome_view(ending->outcome);

	if (ending->outcome == OUTCOME_SUCCESS)
		return 0;
	if (ending->outcome == OUTCOME_NONE || !view->own)
		return view->status ? view->status : EXIT_NO_STATUS;
	if (ending->signal > 0)
		return EXIT_SIGNAL_BASE + ending->signal;
	return ending->exit_code > 0 ? ending->exit_code : view->status;
}

static const char *
signal_words(int number, char *text, size_t size)
{
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(text, size, "SIG%s", name);
	else
		snprintf(text, size, "signal %d", number);
	return text;
}

static void
how_it_ended(const struct ending *ending, char *how, size_t size)
{
	const char *step = ending->step ? session_step_name(ending->step) : NULL;
	char name[32];

	*how = '\0';
	if (ending->signal > 0 && ending->outcome == OUTCOME_SIGNALED)
		snprintf(how, size, " (%s)", signal_words(ending->signal, name, sizeof(name)));
	else if (ending->exit_code > 0 && ending->outcome == OUTCOME_FAILED)
		snprintf(how, size, " with exit status %d", ending->exit_code);
	else if (ending->outcome == OUTCOME_SETUP_FAILED && step)
		snprintf(how, size, " (step %s)", step);
}

const char *
ending_text(const struct ending *ending, char *text)
{
	const struct outcome_view *view = outcome_view(ending->outcome);
	const char *words = view->words ? view->words : "ended";
	const char *reason = ending->reason ? ending->reason : "";
	bool told = view->known && strncmp(reason, view->known, strlen(view->known)) == 0;
	char how[64];

	if (ending->outcome == OUTCOME_LOST && strcmp(reason, "keeper") == 0)
		reason = "its keeper died";
	how_it_ended(ending, how, sizeof(how));
	if (told && ending->outcome == OUTCOME_CANCELLED)
		snprintf(text, ENDING_TEXT_MAX + 1, "was %s", reason);
	else if (told || !*reason)
		snprintf(text, ENDING_TEXT_MAX + 1, "%s%s", words, how);
	else
		snprintf(text, ENDING_TEXT_MAX + 1, "%s%s: %s", words, how, reason);
	return text;
}

const char *
ending_advice(const struct ending *ending)
{
	return outcome_view(ending->outcome)->advice;
}

/* --- ids
 * ------------------------------------------------------------------------------------------- */

size_t
session_prefix(const struct uuid *ids, size_t count)
{
	char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
	size_t length = PREFIX_LEAST;

	/* Newest first: ids that begin alike stand near one another, but not always side by
	 * side; a list is short enough to compare each with each up to a bound. */
	for (size_t i = 0; i < count; i++) {
		size_t last = count < i + 256 ? count : i + 256;

		uuid_format(&ids[i], a);
		for (size_t j = i + 1; j < last; j++) {
			if (memcmp(ids[i].bytes, ids[j].bytes, 6) != 0)
				continue;
			uuid_format(&ids[j], b);
			while (length < UUID_TEXT_LEN && strncmp(a, b, length) == 0)
				length++;
		}
	}
	return length;
}
