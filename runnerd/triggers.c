#include "triggers.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "watch.h"

/* --- telling schedd ------------------------------------------------------------------------- */

static bool
by_time(const struct manifest_trigger *trigger)
{
	return trigger->kind == TRIGGER_CRON || trigger->kind == TRIGGER_EVERY ||
	       trigger->kind == TRIGGER_AT;
}

static void
announce_trigger(struct runnerd *r, const char *agent, const struct manifest_trigger *trigger,
		 size_t place)
{
	struct msg msg;
	struct msg_trigger_def *def = &msg.trigger_def;

	msg_init(&msg, MSG_TRIGGER_DEF);
	snprintf(def->agent, sizeof(def->agent), "%s", agent);
	snprintf(def->cron, sizeof(def->cron), "%s", trigger->cron ? trigger->cron : "");
	snprintf(def->timezone, sizeof(def->timezone), "%s",
		 trigger->timezone ? trigger->timezone : "");
	snprintf(def->task, sizeof(def->task), "%s", trigger->task ? trigger->task : "");
	def->place = (uint8_t)place;
	def->kind = (uint8_t)trigger->kind;
	def->every_ms = trigger->every_ms;
	def->at_ms = trigger->at_ms;
	def->missed = (uint8_t)trigger->missed;
	def->missed_within_ms = trigger->missed_within_ms;
	def->jitter_ms = trigger->jitter_ms == ABSENT ? 0 : trigger->jitter_ms;
	def->has_task = trigger->task != NULL;
	channel_send(r->schedd, &msg);
}

uint32_t
triggers_by_time(const struct manifest *plan)
{
	uint32_t count = 0;

	for (size_t i = 0; i < plan->triggers.count; i++)
		count += by_time(&plan->triggers.items[i]);
	return count;
}

static void
announce_triggers(struct runnerd *r, const struct agent *agent)
{
	const struct manifest *plan = agent->plan;

	for (size_t i = 0; i < plan->triggers.count; i++)
		if (by_time(&plan->triggers.items[i]))
			announce_trigger(r, agent->head.name, &plan->triggers.items[i], i);
}

static void
put(char *field, size_t size, const char *text)
{
	snprintf(field, size, "%s", text ? text : "");
}

static int
add_event_trigger(struct rows *rows, const struct manifest_trigger *trigger, size_t place)
{
	struct msg row;
	int rc;

	msg_init(&row, MSG_EVENT_TRIGGER);
	row.event_trigger.kind = (uint8_t)trigger->kind;
	snprintf(row.event_trigger.id, sizeof(row.event_trigger.id), "%s-%zu",
		 trigger_kind_name(trigger->kind), place + 1);
	put(row.event_trigger.event, sizeof(row.event_trigger.event), trigger->event);
	put(row.event_trigger.webhook, sizeof(row.event_trigger.webhook), trigger->webhook);
	put(row.event_trigger.secret, sizeof(row.event_trigger.secret), trigger->secret);
	put(row.event_trigger.after, sizeof(row.event_trigger.after), trigger->after);
	put(row.event_trigger.outcome, sizeof(row.event_trigger.outcome), trigger->outcome);
	put(row.event_trigger.path, sizeof(row.event_trigger.path), trigger->path);
	row.event_trigger.on = watch_words(&trigger->on);
	put(row.event_trigger.task, sizeof(row.event_trigger.task), trigger->task);
	rc = rows_add(rows, &row);
	for (size_t i = 0; i < trigger->filter.count && rc == 0; i++) {
		msg_init(&row, MSG_EVENT_FILTER);
		put(row.event_filter.key, sizeof(row.event_filter.key),
		    trigger->filter.items[i].key);
		put(row.event_filter.value, sizeof(row.event_filter.value),
		    trigger->filter.items[i].value);
		rc = rows_add(rows, &row);
	}
	return rc;
}

static int
add_blackout(struct rows *rows, const struct manifest_blackout *blackout)
{
	struct msg row;

	msg_init(&row, MSG_BLACKOUT);
	put(row.blackout.cron, sizeof(row.blackout.cron), blackout->cron);
	put(row.blackout.timezone, sizeof(row.blackout.timezone), blackout->timezone);
	return rows_add(rows, &row);
}

/* What but time starts it, and when nothing does: a memfd of rows, -1 when nothing does, or -errno.
 */
static int
event_rows(const struct manifest *plan)
{
	struct rows *rows = rows_new("triggers");
	int rc = rows ? 0 : -errno;

	for (size_t i = 0; i < plan->triggers.count && rc == 0; i++) {
		const struct manifest_trigger *trigger = &plan->triggers.items[i];

		if (!by_time(trigger))
			rc = add_event_trigger(rows, trigger, i);
	}
	for (size_t i = 0; i < plan->blackout.count && rc == 0; i++)
		rc = add_blackout(rows, &plan->blackout.items[i]);
	if (rc == 0 && rows_count(rows) > 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc < 0 ? rc : -1;
}

static void
announce_events(struct runnerd *r, const struct agent *agent)
{
	int rows = event_rows(agent->plan);
	struct msg msg;

	if (rows < -1)
		log_error("agent %s: its triggers cannot be told: %s", agent->head.name,
			  strerrordesc_np(-rows));
	msg_init(&msg, MSG_AGENT_EVENTS);
	put(msg.agent_events.agent, sizeof(msg.agent_events.agent), agent->head.name);
	if (rows >= 0)
		msg_add_fd(&msg, rows);
	channel_send(r->schedd, &msg);
}

void
triggers_announce(struct runnerd *r, const struct agent *agent)
{
	announce_events(r, agent);
	announce_triggers(r, agent);
}

/* --- telling operators ---------------------------------------------------------------------- */

/* "cron 0 9 * * mon-fri Europe/Berlin", as an operator reads it. */
static void
trigger_line(const struct manifest_trigger *trigger, char *line, size_t size)
{
	const char *kind = trigger_kind_name(trigger->kind);
	char text[32];

	if (trigger->kind == TRIGGER_CRON)
		snprintf(line, size, "%s %s%s%s", kind, trigger->cron, trigger->timezone ? " " : "",
			 trigger->timezone ? trigger->timezone : "");
	else if (trigger->kind == TRIGGER_EVERY)
		snprintf(line, size, "%s %s", kind, period_format(trigger->every_ms, text));
	else if (trigger->kind == TRIGGER_AT)
		snprintf(line, size, "%s %s", kind, rfc3339_format(trigger->at_ms, text));
	else if (trigger->kind == TRIGGER_AFTER)
		snprintf(line, size, "%s %s%s%s", kind, trigger->after, trigger->outcome ? " " : "",
			 trigger->outcome ? trigger->outcome : "");
	else if (trigger->kind == TRIGGER_PATH)
		snprintf(line, size, "%s %.300s", kind, trigger->path);
	else
		snprintf(line, size, "%s%s%s", kind, trigger->event ? " " : "",
			 trigger->event ? trigger->event : "");
}

void
triggers_text(const struct manifest *plan, char *text, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < plan->triggers.count; i++) {
		char line[400];
		int written;

		trigger_line(&plan->triggers.items[i], line, sizeof(line));
		written = snprintf(text + length, size - length, "%s%s", length ? "\n" : "", line);
		if ((size_t)written >= size - length)
			break;
		length += (size_t)written;
	}
	text[length] = '\0';
}
