#include "deliver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "event_plans.h"
#include "events.h"
#include "sessions.h"

struct delivery {
	struct schedd *schedd;
	const struct event *event;
	struct error *error;
};

static bool
installed(struct schedd *schedd, const char *name)
{
	const struct agent *agent = queue_agent(schedd->queue, name);

	return agent && agent->installed;
}

/* What an agent emits does not start it: it would run for ever. */
static bool
emitted_by(const struct event *event, const char *agent)
{
	const size_t head = sizeof(AGENT_SOURCE) - 1, length = strlen(agent);

	return strncmp(event->source, AGENT_SOURCE, head) == 0 &&
	       strncmp(event->source + head, agent, length) == 0 &&
	       event->source[head + length] == '/';
}

static int
is_installed(const char *agent, const struct event_trigger *trigger, void *arg)
{
	(void)trigger;
	return installed(arg, agent);
}

bool
deliver_wanted(struct schedd *schedd, const struct event *event)
{
	return event_plans_match(schedd->event_plans, event, is_installed, schedd) != 0;
}

/* A task that cannot be written refuses the session: its row says why. */
static int
fire(const char *agent, const struct event_trigger *trigger, void *arg)
{
	struct delivery *delivery = arg;
	const struct event *event = delivery->event;
	char id[TRIGGER_ID_MAX + 1], task[TASK_MAX + 1], refused[ERROR_TEXT_MAX + 1];
	struct error problem = ERROR_INIT;
	struct fire fire = {.id = uuid_new(),
			    .agent = agent,
			    .trigger_kind = trigger->event ? "event" : "webhook",
			    .trigger_id = id,
			    .scheduled_at_ms = event->at_ms,
			    .has_task = trigger->task != NULL,
			    .task = task,
			    .uid = event->uid,
			    .pid = event->pid,
			    .login_uid = event->login_uid,
			    .operator= event->operator};

	if (!installed(delivery->schedd, agent) || emitted_by(event, agent))
		return 0;
	snprintf(id, sizeof(id), "%.64s/%" PRId64, trigger->id, event->seq);
	task[0] = '\0';
	if (trigger->task && event_task(trigger, event, task, &problem) < 0) {
		error_what(&problem, "writing the task");
		fire.refused = error_text(&problem, refused);
	}
	return session_fire(delivery->schedd, &fire, delivery->error);
}

int
deliver_event(struct schedd *schedd, const struct event *event, struct error *error)
{
	struct delivery delivery = {.schedd = schedd, .event = event, .error = error};

	return event_plans_match(schedd->event_plans, event, fire, &delivery);
}

int64_t
trigger_id_cut(char *id)
{
	char *slash = strrchr(id, '/');

	if (!slash)
		return 0;
	*slash = '\0';
	return strtoll(slash + 1, NULL, 10);
}

static int
write_memfd(const struct event *event, void *arg)
{
	size_t length;
	char *text = event_json(event, &length);

	if (text)
		*(int *)arg = memfd_sealed("event", text, length);
	free(text);
	return 1;
}

int
deliver_event_memfd(struct schedd *schedd, int64_t seq)
{
	struct error error = ERROR_INIT;
	int fd = -1;

	if (events_table_get(events_table_of(schedd->events), seq, write_memfd, &fd, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
	return fd < 0 ? -1 : fd;
}
