#include "mission.h"

#include <stdlib.h>

#include "common/json.h"

enum { MISSION_VERSION = 1 };

static void
text_or_null(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	if (text[0])
		json_string(json, text);
	else
		json_null(json);
}

static void
time_at(struct json *json, const char *key, uint64_t ms)
{
	json_key(json, key);
	json_time(json, ms);
}

static void
session_id(struct json *json, const char *key, const struct uuid *id)
{
	char text[UUID_TEXT_LEN + 1];

	json_key(json, key);
	json_string(json, uuid_format(id, text));
}

static void
trigger(struct json *json, const struct msg_prepare *request, const char *event,
	size_t event_length)
{
	json_key(json, "trigger");
	json_object(json);
	text_or_null(json, "kind", request->trigger_kind);
	text_or_null(json, "id", request->trigger_id);
	time_at(json, "scheduled_at", request->scheduled_at_ms);
	time_at(json, "fired_at", request->fired_at_ms);
	text_or_null(json, "operator", request->operator);
	json_key(json, "event");
	if (event)
		json_raw(json, event, event_length);
	else
		json_null(json);
	json_object_end(json);
}

static void
previous(struct json *json, const struct msg_prepare *request)
{
	json_key(json, "previous");
	if (uuid_is_nil(&request->previous)) {
		json_null(json);
		return;
	}
	json_object(json);
	session_id(json, "session", &request->previous);
	text_or_null(json, "outcome", request->previous_outcome);
	time_at(json, "ended_at", request->previous_ended_at_ms);
	json_object_end(json);
}

char *
mission_json(const struct msg_prepare *request, const char *event, size_t event_length,
	     uint64_t deadline_ms, size_t *length)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "version");
	json_int(&json, MISSION_VERSION);
	text_or_null(&json, "agent", request->agent);
	session_id(&json, "session", &request->session);
	text_or_null(&json, "task", request->task);
	text_or_null(&json, "model", request->model);
	trigger(&json, request, event, event_length);
	json_key(&json, "attempt");
	json_uint(&json, request->attempt);
	previous(&json, request);
	time_at(&json, "deadline", deadline_ms);
	json_object_end(&json);
	return json_take(&json, length);
}
