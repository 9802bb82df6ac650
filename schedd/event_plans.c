#include "event_plans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/cleanup.h"

enum { FILTERS_MAX = 32 /* of a manifest */ };

struct plan {
	TAILQ_ENTRY(plan) entry;
	char agent[AGENT_NAME_MAX + 1];
	struct event_trigger *triggers;
	size_t count;
};

struct event_plans {
	TAILQ_HEAD(plan_list, plan) all;
};

struct event_plans *
event_plans_new(void)
{
	struct event_plans *plans = malloc(sizeof(*plans));

	if (plans)
		TAILQ_INIT(&plans->all);
	return plans;
}

static void
free_trigger(struct event_trigger *trigger)
{
	for (size_t i = 0; i < trigger->filter_count; i++) {
		free(trigger->filters[i].key);
		free(trigger->filters[i].value);
	}
	free(trigger->filters);
	free(trigger->id);
	free(trigger->event);
	free(trigger->webhook);
	free(trigger->secret);
	free(trigger->after);
	free(trigger->outcome);
	free(trigger->path);
	free(trigger->source);
	free(trigger->task);
}

static void
free_plan(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free_trigger(&plan->triggers[i]);
	free(plan->triggers);
	free(plan);
}

void
event_plans_free(struct event_plans *plans)
{
	struct plan *plan;

	while (plans && (plan = TAILQ_FIRST(&plans->all))) {
		TAILQ_REMOVE(&plans->all, plan, entry);
		free_plan(plan);
	}
	free(plans);
}

void
event_plans_drop(struct event_plans *plans, const char *agent)
{
	struct plan *plan;

	TAILQ_FOREACH(plan, &plans->all, entry)
	{
		if (strcmp(plan->agent, agent) == 0)
			break;
	}
	if (!plan)
		return;
	TAILQ_REMOVE(&plans->all, plan, entry);
	free_plan(plan);
}

/* --- reading what runnerd told --------------------------------------------------------------- */

/* A copy; NULL for an empty one. False without memory. */
static bool
copy(char **to, const char *from)
{
	if (!*from)
		return true;
	*to = strdup(from);
	return *to != NULL;
}

static bool
copy_webhook(struct event_trigger *trigger, const struct plan *plan, const char *name)
{
	if (*name && asprintf(&trigger->webhook, "%s/%s", plan->agent, name) < 0)
		trigger->webhook = NULL;
	return !*name || trigger->webhook;
}

static bool
add_trigger(struct plan *plan, const struct msg_event_trigger *row)
{
	char source[EVENT_NAME_MAX + 1] = "";
	struct event_trigger *trigger;
	void *all;

	if (plan->count == TRIGGERS_MAX)
		return false;
	all = reallocarray(plan->triggers, plan->count + 1, sizeof(*plan->triggers));
	if (!all)
		return false;
	plan->triggers = all;
	trigger = &plan->triggers[plan->count++];
	*trigger = (struct event_trigger){.kind = (enum trigger_kind)row->kind, .on = row->on};
	if (row->kind == TRIGGER_PATH)
		path_source(plan->agent, row->id, source);
	return copy(&trigger->id, row->id) && copy(&trigger->event, row->event) &&
	       copy_webhook(trigger, plan, row->webhook) && copy(&trigger->secret, row->secret) &&
	       copy(&trigger->after, row->after) && copy(&trigger->outcome, row->outcome) &&
	       copy(&trigger->path, row->path) && copy(&trigger->source, source) &&
	       copy(&trigger->task, row->task);
}

static bool
add_filter(struct plan *plan, const struct msg_event_filter *row)
{
	struct event_trigger *trigger;
	struct event_filter_rule *filter;
	void *all;

	if (plan->count == 0)
		return false;
	trigger = &plan->triggers[plan->count - 1];
	if (trigger->filter_count == FILTERS_MAX)
		return false;
	all = reallocarray(trigger->filters, trigger->filter_count + 1, sizeof(*filter));
	if (!all)
		return false;
	trigger->filters = all;
	filter = &trigger->filters[trigger->filter_count++];
	filter->key = strdup(row->key);
	filter->value = strdup(row->value);
	return filter->key && filter->value;
}

static bool
read_rows(struct plan *plan, int rows)
{
	struct rows_reader *reader = rows_open(rows);
	struct msg row;
	bool fits = reader != NULL;
	int rc = 0;

	while (fits && (rc = rows_next(reader, &row)) == 1) {
		if (row.type == MSG_EVENT_TRIGGER)
			fits = add_trigger(plan, &row.event_trigger);
		else if (row.type != MSG_BLACKOUT)
			fits = row.type == MSG_EVENT_FILTER && add_filter(plan, &row.event_filter);
	}
	rows_close(reader);
	return fits && rc == 0;
}

int
event_plans_set(struct event_plans *plans, const char *agent, int rows, struct error *error)
{
	struct plan *plan;

	event_plans_drop(plans, agent);
	if (rows < 0)
		return 0;
	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return error_why(error, ERR_FAILED, "out of memory");
	snprintf(plan->agent, sizeof(plan->agent), "%s", agent);
	if (!read_rows(plan, rows)) {
		free_plan(plan);
		return error_why(error, ERR_FAILED, "the triggers of agent %s cannot be used",
				 agent);
	}
	TAILQ_INSERT_TAIL(&plans->all, plan, entry);
	return 0;
}

/* --- matching ------------------------------------------------------------------------------ */

int
event_plans_match(struct event_plans *plans, const struct event *event, event_plans_fn *fn,
		  void *arg)
{
	struct plan *plan;
	int rc = 0;

	TAILQ_FOREACH(plan, &plans->all, entry)
	{
		for (size_t i = 0; i < plan->count && rc == 0; i++)
			if (event_matches(&plan->triggers[i], event))
				rc = fn(plan->agent, &plan->triggers[i], arg);
		if (rc != 0)
			break;
	}
	return rc;
}

int
event_plans_each(const struct event_plans *plans, const char *agent, event_plans_fn *fn, void *arg)
{
	struct plan *plan;
	int rc = 0;

	TAILQ_FOREACH(plan, &plans->all, entry)
	{
		if (agent && strcmp(plan->agent, agent) != 0)
			continue;
		for (size_t i = 0; i < plan->count && rc == 0; i++)
			rc = fn(plan->agent, &plan->triggers[i], arg);
		if (rc != 0)
			break;
	}
	return rc;
}

/* --- webhooks ------------------------------------------------------------------------------ */

int
event_plans_webhooks(struct event_plans *plans, const char *agent, event_plans_fn *fn, void *arg)
{
	struct plan *plan;
	int rc = 0;

	TAILQ_FOREACH(plan, &plans->all, entry)
	{
		if (*agent && strcmp(plan->agent, agent) != 0)
			continue;
		for (size_t i = 0; i < plan->count && rc == 0; i++)
			if (plan->triggers[i].webhook)
				rc = fn(plan->agent, &plan->triggers[i], arg);
		if (rc != 0)
			break;
	}
	return rc;
}
