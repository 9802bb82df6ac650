#include "deliver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
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
			    .trigger_kind = trigger_kind_name(trigger->kind),
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
	if (event->depth > EVENT_DEPTH_MAX) {
		snprintf(refused, sizeof(refused), "%d sessions have started one another already",
			 EVENT_DEPTH_MAX);
		fire.refused = refused;
	} else if (trigger->task && event_task(trigger, event, task, &problem) < 0) {
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

/* --- ends of sessions ---------------------------------------------------------------------- */

static int
note_depth(const struct event *event, void *arg)
{
	*(uint32_t *)arg = event->depth;
	return 1;
}

static uint32_t
depth_of_row(struct schedd *schedd, const struct ledger_session *row)
{
	char id[TRIGGER_ID_MAX + 1];
	uint32_t depth = 0;
	int64_t seq;

	memcpy(id, row->row.trigger_id, sizeof(id));
	seq = trigger_id_cut(id);
	if (seq)
		events_table_get(events_table_of(schedd->events), seq, note_depth, &depth, NULL);
	return depth;
}

uint32_t
deliver_depth_of(struct schedd *schedd, const struct uuid *session)
{
	_cleanup_free_ struct ledger_session *row = malloc(sizeof(*row));

	if (!row || ledger_get(schedd->ledger, session, row, NULL) <= 0)
		return 0;
	return depth_of_row(schedd, row);
}

/* Heap; NULL without memory. */
static char *
end_json(const struct msg_session_row *row, const char *session, size_t *length)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "agent");
	json_string(&json, row->agent);
	json_key(&json, "session");
	json_string(&json, session);
	json_key(&json, "outcome");
	json_string(&json, session_outcome_name((enum session_outcome)row->outcome));
	json_key(&json, "reason");
	json_string(&json, row->reason[0] ? row->reason : NULL);
	json_key(&json, "exit_code");
	if (row->exit_code < 0)
		json_null(&json);
	else
		json_int(&json, row->exit_code);
	json_key(&json, "ended_at");
	json_time(&json, row->ended_at_ms);
	json_object_end(&json);
	return json_take(&json, length);
}

/* While nobody has told yet which agents are installed, somebody may wait for it. */
int
deliver_end(struct schedd *schedd, const struct ledger_session *row, struct error *error)
{
	char source[EVENT_NAME_MAX + 1], session[UUID_TEXT_LEN + 1];
	struct event event = {.type = "session.ended",
			      .source = source,
			      .id = uuid_format(&row->row.session, session),
			      .subject = row->row.agent,
			      .operator= "",
			      .uid = UINT32_MAX,
			      .login_uid = UINT32_MAX,
			      .at_ms = schedd_now_ms(schedd),
			      .has_data = true};
	_cleanup_free_ char *data = end_json(&row->row, session, &event.data_length);
	enum event_fate fate;

	if (!data)
		return error_why(error, ERR_FAILED, "out of memory");
	snprintf(source, sizeof(source), SESSION_SOURCE "%s", row->row.agent);
	event.data = (const uint8_t *)data;
	if (schedd->known && !deliver_wanted(schedd, &event))
		return 0;
	event.depth = depth_of_row(schedd, row) + 1;
	/* The end of one that was refused for its depth starts nothing more. */
	if (event.depth > EVENT_DEPTH_MAX + 1)
		return 0;
	return events_table_insert(events_table_of(schedd->events), &event, &fate, error);
}

/* --- their triggers ------------------------------------------------------------------------ */

int64_t
trigger_id_cut(char *id)
{
	char *mark = strrchr(id, SUCCESSOR_MARK), *slash;

	if (mark)
		*mark = '\0';
	slash = strrchr(id, '/');
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
