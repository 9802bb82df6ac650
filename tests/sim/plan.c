#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/manifest.h"

static _Noreturn void
fatal(const char *what, int rc)
{
	fprintf(stderr, "the plan: %s: %s\n", what, strerror(-rc));
	exit(2);
}

struct parcel
parcel_of(struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(msg, bytes, sizeof(bytes));
	struct parcel made = {.fd = msg->nfds ? msg_take_fd(msg, 0) : -1};

	made.bytes = length > 0 ? malloc((size_t)length) : NULL;
	if (!made.bytes)
		fatal("a message", length < 0 ? (int)length : -ENOMEM);
	memcpy(made.bytes, bytes, (size_t)length);
	made.length = (size_t)length;
	return made;
}

static void
define(struct plan *plan, struct msg *msg)
{
	plan->definitions =
	    reallocarray(plan->definitions, plan->count + 1, sizeof(*plan->definitions));
	if (!plan->definitions)
		fatal("memory", -ENOMEM);
	plan->definitions[plan->count++] = parcel_of(msg);
}

static const char *
field(char **line)
{
	const char *text = strsep(line, "\t");

	if (!text)
		fatal("a line of the plan is short", -EINVAL);
	return text;
}

static uint64_t
number(char **line)
{
	const char *text = field(line);

	return *text == '-' ? ABSENT : strtoull(text, NULL, 10);
}

static void
define_agent(struct plan *plan, char *name, char *line)
{
	struct msg msg;

	snprintf(name, AGENT_NAME_MAX + 1, "%s", field(&line));
	msg_init(&msg, MSG_AGENT_DEF);
	strcpy(msg.agent_def.agent, name);
	msg.agent_def.max = 1;
	msg.agent_def.queue_limit = 1000000;
	msg.agent_def.timeout_ms = 86400000;
	msg.agent_def.triggers = (uint32_t)number(&line);
	define(plan, &msg);
}

static void
define_time(struct plan *plan, const char *name, unsigned place, char *line)
{
	struct msg msg;
	const char *zone;

	msg_init(&msg, MSG_TRIGGER_DEF);
	strcpy(msg.trigger_def.agent, name);
	msg.trigger_def.place = (uint8_t)place;
	msg.trigger_def.kind = (uint8_t)number(&line);
	msg.trigger_def.missed = (uint8_t)number(&line);
	msg.trigger_def.missed_within_ms = ABSENT;
	msg.trigger_def.jitter_ms = number(&line);
	msg.trigger_def.every_ms = number(&line);
	msg.trigger_def.at_ms = number(&line);
	zone = field(&line);
	snprintf(msg.trigger_def.timezone, sizeof(msg.trigger_def.timezone), "%s",
		 *zone == '-' ? "" : zone);
	zone = field(&line);
	snprintf(msg.trigger_def.cron, sizeof(msg.trigger_def.cron), "%s",
		 *zone == '-' ? "" : zone);
	define(plan, &msg);
}

static void
define_event(struct plan *plan, const char *name, char *line)
{
	struct rows *rows = rows_new("triggers");
	struct msg msg, row;
	int fd;

	msg_init(&row, MSG_EVENT_TRIGGER);
	strcpy(row.event_trigger.id, "event-1");
	row.event_trigger.kind = TRIGGER_EVENT;
	snprintf(row.event_trigger.event, sizeof(row.event_trigger.event), "%s", field(&line));
	strcpy(row.event_trigger.task, "{{event.id}}");
	fd = rows && rows_add(rows, &row) == 0 ? rows_seal(rows) : -1;
	if (fd < 0)
		fatal("an agent's events", fd);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, name);
	msg_add_fd(&msg, fd);
	define(plan, &msg);
}

void
plan_read(struct plan *plan, FILE *file)
{
	char text[1024], name[AGENT_NAME_MAX + 1] = "";
	unsigned place = 0;

	while (fgets(text, sizeof(text), file)) {
		char *line = text;
		const char *word;

		text[strcspn(text, "\n")] = '\0';
		word = field(&line);
		if (strcmp(word, "agent") == 0) {
			define_agent(plan, name, line);
			place = 0;
		} else if (strcmp(word, "time") == 0) {
			define_time(plan, name, place++, line);
		} else if (strcmp(word, "event") == 0) {
			define_event(plan, name, line);
		} else {
			for (; line && plan->type_count < TYPES_MAX; plan->type_count++)
				plan->types[plan->type_count] = strdup(field(&line));
		}
	}
}

void
plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->definitions[i].bytes);
		close_fd(&plan->definitions[i].fd);
	}
	free(plan->definitions);
	for (unsigned i = 0; i < plan->type_count; i++)
		free(plan->types[i]);
}
