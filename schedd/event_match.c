#include "event_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/event_template.h"
#include "common/glob.h"
#include "common/json.h"
#include "common/scan.h"
#include "common/timefmt.h"

/* --- parts of the data --------------------------------------------------------------------- */

static struct span
data_of(const struct event *event)
{
	return (struct span){(const char *)event->data, event->data_length};
}

static struct span
item(struct span array, const char *number)
{
	struct cursor cursor;
	struct span key, value;
	char *end;
	unsigned long index = strtoul(number, &end, 10);

	if (*number < '0' || *number > '9' || *end || !cursor_open(&cursor, array, VALUE_ARRAY))
		return NO_SPAN;
	while (cursor_next(&cursor, &key, &value))
		if (index-- == 0)
			return value;
	return NO_SPAN;
}

/* NAME.NAME…; NO_SPAN when there is no such part, or a member of this name is there twice. */
static struct span
part_of(struct span value, const char *path)
{
	char name[TEMPLATE_NAME_MAX + 1];

	while (*path && value.at) {
		size_t length = strcspn(path, ".");

		if (length >= sizeof(name))
			return NO_SPAN;
		memcpy(name, path, length);
		name[length] = '\0';
		value = value_kind(value) == VALUE_ARRAY ? item(value, name) : member(value, name);
		path += length + (path[length] == '.');
	}
	return value;
}

/* A string's text, anything else as it is written. The length, or -1: there is none, or it does not
 * fit. */
static long
text_of(struct span value, char *text, size_t size)
{
	if (!value.at)
		return -1;
	if (value_kind(value) == VALUE_STRING)
		return string_text(value, text, size);
	if (value.length >= size)
		return -1;
	memcpy(text, value.at, value.length);
	text[value.length] = '\0';
	return (long)value.length;
}

/* --- matching ------------------------------------------------------------------------------ */

static bool
filter_matches(const struct event_filter_rule *filter, const struct event *event)
{
	char text[FILTER_TEXT_MAX + 1];

	return text_of(part_of(data_of(event), filter->key), text, sizeof(text)) >= 0 &&
	       glob_match(filter->value, text);
}

static bool
comes_from(const struct event *event, const char *head, const char *rest)
{
	size_t length = strlen(head);

	return strncmp(event->source, head, length) == 0 &&
	       (!rest || strcmp(event->source + length, rest) == 0);
}

static bool
filters_match(const struct event_trigger *trigger, const struct event *event)
{
	for (size_t i = 0; i < trigger->filter_count; i++)
		if (!filter_matches(&trigger->filters[i], event))
			return false;
	return true;
}

static bool
pattern_matches(const struct event_trigger *trigger, const struct event *event)
{
	return !comes_from(event, SESSION_SOURCE, NULL) && !comes_from(event, PATH_SOURCE, NULL) &&
	       glob_match(trigger->event, event->type) && filters_match(trigger, event);
}

/* Without a word of the outcome it is the end of what was let begin. */
static bool
end_matches(const struct event_trigger *trigger, const struct event *event)
{
	char outcome[32];

	if (!comes_from(event, SESSION_SOURCE, trigger->after) ||
	    text_of(part_of(data_of(event), "outcome"), outcome, sizeof(outcome)) < 0)
		return false;
	if (trigger->outcome && strcmp(trigger->outcome, "any") != 0)
		return strcmp(trigger->outcome, outcome) == 0;
	return strcmp(outcome, "skipped") != 0 && strcmp(outcome, "refused") != 0;
}

bool
event_matches(const struct event_trigger *trigger, const struct event *event)
{
	switch (trigger->kind) {
	case TRIGGER_EVENT:
		return trigger->event && pattern_matches(trigger, event);
	case TRIGGER_WEBHOOK:
		return trigger->webhook && comes_from(event, WEBHOOK_SOURCE, trigger->webhook) &&
		       filters_match(trigger, event);
	case TRIGGER_AFTER:
		return trigger->after && end_matches(trigger, event);
	case TRIGGER_PATH:
		return trigger->source && strcmp(trigger->source, event->source) == 0;
	default:
		return false;
	}
}

char *
path_source(const char *agent, const char *id, char *source)
{
	snprintf(source, EVENT_NAME_MAX + 1, PATH_SOURCE "%s/%s", agent, id);
	return source;
}

/* --- the task ------------------------------------------------------------------------------ */

static long
attribute(const char *name, const struct event *event, char *text, size_t size)
{
	char time[RFC3339_LEN + 1];
	const struct {
		const char *name, *value;
	} attributes[] = {
	    {"event.id", event->id},
	    {"event.source", event->source},
	    {"event.type", event->type},
	    {"event.subject", event->subject},
	    {"event.time", rfc3339_format(event->at_ms, time)},
	};

	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		size_t length = strlen(attributes[i].value);

		if (strcmp(name, attributes[i].name) != 0)
			continue;
		if (length >= size)
			return -1;
		memcpy(text, attributes[i].value, length + 1);
		return (long)length;
	}
	return -2;
}

static long
value_of(const char *name, char *text, size_t size, void *arg, struct error *error)
{
	static const char data[] = "event.data";
	const struct event *event = arg;
	struct span part;
	long length = attribute(name, event, text, size);

	if (length == -2) {
		name += sizeof(data) - 1;
		part = part_of(data_of(event), name + (*name == '.'));
		if (!part.at) {
			error_why(error, ERR_FAILED, "the event has no data%.80s", name);
			return -1;
		}
		length = text_of(part, text, size);
	}
	if (length < 0)
		error_why(error, ERR_FAILED,
			  "a value of the event is too long for a task, or no "
			  "text");
	return length;
}

int
event_task(const struct event_trigger *trigger, const struct event *event, char *task,
	   struct error *error)
{
	return event_template_expand(trigger->task, value_of, (void *)event, task, TASK_MAX + 1,
				     error);
}

/* --- the mission --------------------------------------------------------------------------- */

static void
text_key(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, *text ? text : NULL);
}

char *
event_json(const struct event *event, size_t *length)
{
	struct json json = JSON_INIT;

	json_object(&json);
	text_key(&json, "specversion", "1.0");
	text_key(&json, "id", event->id);
	text_key(&json, "source", event->source);
	text_key(&json, "type", event->type);
	text_key(&json, "subject", event->subject);
	json_key(&json, "time");
	json_time(&json, event->at_ms);
	text_key(&json, "datacontenttype", event->data ? "application/json" : "");
	json_key(&json, "data");
	if (event->data)
		json_raw(&json, (const char *)event->data, event->data_length);
	else
		json_null(&json);
	json_object_end(&json);
	return json_take(&json, length);
}
