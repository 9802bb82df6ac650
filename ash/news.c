#include "news.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/notice.h"
#include "session.h"

enum { ID_SHOWN = 13 /* of a session's id: its time */ };

static const char *const session_kinds[STATE_COUNT] = {
    [STATE_QUEUED] = "session.queued",   [STATE_SETUP] = "session.setup",
    [STATE_RUNNING] = "session.running", [STATE_STOPPING] = "session.stopping",
    [STATE_ENDED] = "session.ended",
};

const char *
news_kind(const struct msg *msg)
{
	if (msg->type == MSG_NOTICE)
		return notice_kind_name(msg->notice.kind);
	if (msg->type == MSG_SESSION_EVENT && msg->session_event.state < STATE_COUNT)
		return session_kinds[msg->session_event.state];
	return NULL;
}

const char *
news_agent(const struct msg *msg)
{
	return msg->type == MSG_NOTICE ? msg->notice.agent : msg->session_event.agent;
}

uint64_t
news_at_ms(const struct msg *msg)
{
	return msg->type == MSG_NOTICE ? msg->notice.at_ms : msg->session_event.at_ms;
}

/* --- for people --------------------------------------------------------------------------------
 */

struct line {
	char *text;
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *line, const char *fmt, ...)
{
	size_t room = NEWS_TEXT_MAX + 1 - line->length;
	va_list arguments;
	int n;

	va_start(arguments, fmt);
	n = vsnprintf(line->text + line->length, room, fmt, arguments);
	va_end(arguments);
	if (n > 0)
		line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void
add_session(struct line *line, const char *agent, const struct uuid *session)
{
	char id[UUID_TEXT_LEN + 1];

	if (*agent)
		add(line, "%s", agent);
	if (!uuid_is_nil(session))
		add(line, "%s%.*s", line->length ? " " : "", ID_SHOWN, uuid_format(session, id));
}

static void
session_text(const struct msg_session_event *event, struct line *line)
{
	const char *step = event->step ? session_step_name(event->step) : NULL;
	char ending[ENDING_TEXT_MAX + 1];
	const struct ending end = {.outcome = event->outcome,
				   .step = event->step,
				   .exit_code = event->exit_code,
				   .signal = event->signal,
				   .reason = event->reason};

	add_session(line, event->agent, &event->session);
	if (event->state == STATE_ENDED)
		add(line, " %s", ending_text(&end, ending));
	else if (event->state == STATE_SETUP && step)
		add(line, " %s", step);
	else if (*event->reason)
		add(line, ": %s", event->reason);
}

static void
event_text(const struct msg_notice *notice, struct line *line)
{
	add(line, "%s of %s, id %s", notice->name, notice->source, notice->id);
	if (*notice->by)
		add(line, ", by %s", notice->by);
}

static void
fired_text(const struct msg_notice *notice, struct line *line)
{
	add_session(line, notice->agent, &notice->session);
	add(line, " by %s, %s", notice->name, notice->id);
}

static void
agent_text(const struct msg_notice *notice, struct line *line)
{
	add(line, "%s", notice->agent);
	if (*notice->text)
		add(line, " %s", notice->text);
}

static void
call_text(const struct msg_notice *notice, struct line *line)
{
	char id[UUID_TEXT_LEN + 1];

	add_session(line, notice->agent, &notice->session);
	add(line, " %s %s", notice->name, notice->text);
	if (*notice->by)
		add(line, " by %s", notice->by);
	if (notice->kind == NOTICE_CALL_ASKED)
		add(line, ": ash approve %s, or deny", uuid_format(&notice->ask, id));
}

static void
daemon_text(const struct msg_notice *notice, struct line *line)
{
	add(line, "%s, pid %llu%s%s", notice->name, (unsigned long long)notice->count,
	    *notice->text ? ", " : "", notice->text);
}

static void
missed_text(const struct msg_notice *notice, struct line *line)
{
	add(line, "%llu lines are left out: they came faster than they were read",
	    (unsigned long long)notice->count);
}

static void (*const notice_texts[NOTICE_COUNT])(const struct msg_notice *, struct line *) = {
    [NOTICE_EVENT_EMITTED] = event_text, [NOTICE_EVENT_DELIVERED] = event_text,
    [NOTICE_TRIGGER_FIRED] = fired_text, [NOTICE_AGENT_PAUSED] = agent_text,
    [NOTICE_AGENT_RESUMED] = agent_text, [NOTICE_AGENT_INSTALLED] = agent_text,
    [NOTICE_AGENT_REMOVED] = agent_text, [NOTICE_CALL_ASKED] = call_text,
    [NOTICE_CALL_DECIDED] = call_text,   [NOTICE_DAEMON_STARTED] = daemon_text,
    [NOTICE_DAEMON_ENDED] = daemon_text, [NOTICE_MISSED] = missed_text,
};

const char *
news_text(const struct msg *msg, char *text)
{
	struct line line = {.text = text};

	*text = '\0';
	if (msg->type == MSG_SESSION_EVENT)
		session_text(&msg->session_event, &line);
	else if (msg->notice.kind < NOTICE_COUNT && notice_texts[msg->notice.kind])
		notice_texts[msg->notice.kind](&msg->notice, &line);
	return text;
}

/* --- for programs ------------------------------------------------------------------------------
 */

static void
string_key(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text && *text ? text : NULL);
}

static void
id_key(struct json *json, const char *key, const struct uuid *id)
{
	char text[UUID_TEXT_LEN + 1];

	string_key(json, key, uuid_is_nil(id) ? NULL : uuid_format(id, text));
}

static void
number_key(struct json *json, const char *key, int64_t number)
{
	json_key(json, key);
	if (number < 0)
		json_null(json);
	else
		json_int(json, number);
}

static void
event_keys(const struct msg_notice *notice, struct json *json)
{
	bool event = notice->kind == NOTICE_EVENT_EMITTED || notice->kind == NOTICE_EVENT_DELIVERED;
	bool fired = notice->kind == NOTICE_TRIGGER_FIRED;

	json_key(json, "event");
	if (event) {
		json_object(json);
		string_key(json, "type", notice->name);
		string_key(json, "source", notice->source);
		string_key(json, "id", notice->id);
		json_object_end(json);
	} else {
		json_null(json);
	}
	json_key(json, "trigger");
	if (fired) {
		json_object(json);
		string_key(json, "kind", notice->name);
		string_key(json, "id", notice->id);
		json_object_end(json);
	} else {
		json_null(json);
	}
}

static void
call_keys(const struct msg_notice *notice, struct json *json)
{
	bool call = notice->kind == NOTICE_CALL_ASKED || notice->kind == NOTICE_CALL_DECIDED;
	bool daemon = notice->kind == NOTICE_DAEMON_STARTED || notice->kind == NOTICE_DAEMON_ENDED;

	id_key(json, "call", &notice->ask);
	string_key(json, "tool", call ? notice->name : NULL);
	string_key(json, "server", call ? notice->source : NULL);
	string_key(json, "daemon", daemon ? notice->name : NULL);
	number_key(json, "pid", daemon ? (int64_t)notice->count : -1);
	string_key(json, "by", notice->by);
	number_key(json, "missed", notice->kind == NOTICE_MISSED ? (int64_t)notice->count : -1);
}

void
news_json(const struct msg *msg, struct json *json)
{
	static const struct msg_notice no_notice;
	static const struct msg_session_event no_session;
	bool session = msg->type == MSG_SESSION_EVENT;
	const struct msg_notice *notice = session ? &no_notice : &msg->notice;
	const struct msg_session_event *event = session ? &msg->session_event : &no_session;
	bool ended = event->state == STATE_ENDED;

	json_object(json);
	json_key(json, "time");
	json_time(json, news_at_ms(msg));
	string_key(json, "kind", news_kind(msg));
	string_key(json, "agent", news_agent(msg));
	id_key(json, "session", session ? &event->session : &notice->session);
	string_key(json, "step", event->step ? session_step_name(event->step) : NULL);
	string_key(json, "outcome", ended ? session_outcome_name(event->outcome) : NULL);
	number_key(json, "exit_code", ended ? event->exit_code : -1);
	number_key(json, "signal", ended ? event->signal : -1);
	string_key(json, "reason", session ? event->reason : notice->text);
	event_keys(notice, json);
	call_keys(notice, json);
	json_object_end(json);
}
