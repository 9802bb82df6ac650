/*
 * Does an event start an agent, and with which task? Pure: patterns of types, filters over the
 * event's data, values for templates. schedd only, which is where JSON of events is read.
 */
#ifndef SCARAB_SCHEDD_EVENT_MATCH_H
#define SCARAB_SCHEDD_EVENT_MATCH_H

#include "common/manifest.h"
#include "events_table.h"

enum { FILTER_TEXT_MAX = 4096 /* a value that is longer matches no filter */ };

/* A trigger of an agent that time does not fire; heap strings, NULL where there is none. */
struct event_filter_rule {
	char *key, *value;
};
struct event_trigger {
	enum trigger_kind kind;
	char *id;      /* of the agent's triggers */
	char *event;   /* a pattern of types */
	char *webhook; /* AGENT/KIND: its URL */
	char *secret;
	char *after, *outcome; /* an agent, and how its session ended; NULL: whichever way */
	char *path, *source;   /* what is watched, and what events of that are of */
	uint8_t on;
	char *task;
	struct event_filter_rule *filters;
	size_t filter_count;
};

/* The sources that no operator can name: of a webhook, of an agent, of schedd itself, where an
 * agent's session ended or a path changed. */
#define WEBHOOK_SOURCE "/webhooks/"
#define AGENT_SOURCE "/agents/"
#define SESSION_SOURCE "/sessions/"
#define PATH_SOURCE "/paths/"

/* Of an event trigger: the type matches, and every filter's value, a pattern too, the text of what
 * its key names in the data; not what schedd itself tells. Of a webhook trigger: it came in there,
 * and the filters match. Of an after trigger: that agent's session ended so. Of a path trigger: it
 * is its own. */
bool event_matches(const struct event_trigger *trigger, const struct event *event);
/* What a path trigger's events are of, into EVENT_NAME_MAX + 1 bytes. */
char *path_source(const char *agent, const char *id, char *source);
/* The trigger's task with the event's values, into TASK_MAX + 1 bytes. 0, or -1 with error. */
int event_task(const struct event_trigger *trigger, const struct event *event, char *task,
	       struct error *error);
/* The event as mission.json shows it, with its data. Heap; NULL without memory. */
char *event_json(const struct event *event, size_t *length);

#endif
