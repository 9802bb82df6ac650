/* What control asks about times to come; see schedule.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "common/cleanup.h"
#include "common/timefmt.h"
#include "event_plans.h"
#include "next.h"
#include "schedule.h"
#include "webhooks.h"

enum { MS = 1000, HOUR_SECONDS = 3600, MINUTE_SECONDS = 60 };

enum { BLACKOUTS_PASSED_MAX = 1000 /* without a time between them: none is told */ };

/* One of the triggers that are asked for, and its next time; held: by a blackout, until it fires.
 */
struct asked {
	const struct trigger *trigger;
	char agent[AGENT_NAME_MAX + 1];
	enum missed missed;
	int64_t scheduled, fires;
	bool held;
};

struct question {
	const struct schedule *schedule;
	struct asked *asked; /* heap */
	size_t count, room;
	bool failed;
	struct rows *rows;
	struct trigger_row row;
};

static void
collect(const struct trigger *trigger, const char *agent, void *arg)
{
	struct question *question = arg;

	if (question->count == question->room) {
		size_t room = question->room ? 2 * question->room : TRIGGERS_MAX;
		struct asked *asked = reallocarray(question->asked, room, sizeof(*asked));

		if (!asked) {
			question->failed = true;
			return;
		}
		question->asked = asked;
		question->room = room;
	}
	question->asked[question->count] = (struct asked){.trigger = trigger};
	snprintf(question->asked[question->count].agent, AGENT_NAME_MAX + 1, "%s", agent);
	question->count++;
}

/* --- times and blackouts -----------------------------------------------------------------------
 */

static void
set_time(struct asked *asked, int64_t scheduled)
{
	asked->scheduled = scheduled;
	asked->fires = scheduled == NEVER ? NEVER : scheduled + asked->trigger->delay_ms;
	asked->held = false;
}

/* What falls into a blackout is made up for at its end, or left out. */
static void
hold_until(const struct schedule *schedule, struct asked *asked, int64_t until)
{
	int64_t last = until == NEVER ? NEVER : until - asked->trigger->delay_ms - 1;
	int64_t times[CATCH_UP_MAX];

	if (last == NEVER) {
		set_time(asked, NEVER);
		return;
	}
	if (asked->missed == MISSED_RUN_ONCE &&
	    schedule_newest(schedule, asked->trigger, asked->scheduled - 1, last, times, 1))
		asked->scheduled = times[0];
	asked->fires = until;
	asked->held = true;
}

/* The first time after one that is not left out for a blackout. */
static void
find_time(const struct schedule *schedule, struct asked *asked, int64_t after)
{
	const struct zones *zones = schedule_zones(schedule);
	struct blackouts *blackouts = schedule_blackouts(schedule);
	int64_t until;

	set_time(asked, trigger_next(asked->trigger, zones, after));
	for (int i = 0; asked->scheduled != NEVER; i++) {
		until = blackouts_until(blackouts, asked->agent, asked->fires);
		if (!until)
			return;
		if (asked->missed == MISSED_RUN_ONCE || asked->missed == MISSED_RUN_ALL) {
			hold_until(schedule, asked, until);
			return;
		}
		if (until == NEVER || i == BLACKOUTS_PASSED_MAX)
			set_time(asked, NEVER);
		else
			set_time(asked, trigger_next(asked->trigger, zones,
						     until - asked->trigger->delay_ms - 1));
	}
}

/* The one that the heap holds, unless a blackout has a word in it. */
static int
find_next(struct question *question, struct asked *asked, struct error *error)
{
	const struct schedule *schedule = question->schedule;
	int64_t due = asked->trigger->due_ms;

	set_time(asked, due == NEVER ? NEVER : due - asked->trigger->delay_ms);
	if (!blackouts_has(schedule_blackouts(schedule), asked->agent))
		return 0;
	if (triggers_table_get(schedule_table(schedule), asked->agent, asked->trigger->place,
			       &question->row, error) < 0)
		return -1;
	asked->missed = question->row.missed;
	if (due != NEVER)
		find_time(schedule, asked, question->row.cursor_ms);
	return 0;
}

/* --- rows ---------------------------------------------------------------------------------- */

static void
write_local(int64_t local, char *text, size_t size)
{
	struct date date = date_of_day(day_of_second(local));
	int second = (int)(local - day_of_second(local) * DAY_SECONDS);

	snprintf(text, size, "%04d-%02u-%02u %02d:%02d:%02d", date.year, date.month, date.day,
		 second / HOUR_SECONDS, second / MINUTE_SECONDS % 60, second % 60);
}

/* What the clocks of the zone show then, and why it fires where they were changed. */
static void
explain_cron(const struct question *question, const struct asked *asked, char *text, size_t size)
{
	struct zone *zone = zones_at(schedule_zones(question->schedule), asked->trigger->zone);
	int64_t instant = asked->scheduled / MS;
	struct zone_span span = zone_at(zone, instant);
	struct cron cron = asked->trigger->cron;
	char local[64], before[64];

	write_local(instant + span.offset, local, sizeof(local));
	write_local(instant + span.before, before, sizeof(before));
	if (span.start == instant && span.offset > span.before &&
	    !cron_matches(&cron, zone, instant))
		snprintf(text, size,
			 "clocks jump from %s to %s, over a time that it names: it fires at once",
			 before, local);
	else if (span.offset < span.before && instant < span.start + span.before - span.offset)
		snprintf(text, size, "clocks show %s, for the second time", local);
	else if (span.after < span.offset && instant >= span.end - (span.offset - span.after))
		snprintf(text, size, "clocks show %s, for the first time of two", local);
	else
		snprintf(text, size, "clocks show %s", local);
}

static void
write_note(const struct question *question, const struct asked *asked, char *text, size_t size)
{
	size_t length;

	text[0] = '\0';
	if (asked->scheduled == NEVER)
		snprintf(text, size, "it has no time to come");
	else if (asked->trigger->kind == TRIGGER_CRON)
		explain_cron(question, asked, text, size);
	else if (asked->trigger->kind == TRIGGER_EVERY)
		snprintf(text, size, "a multiple of its period, counted from 1970-01-01 UTC");
	length = strlen(text);
	if (asked->held)
		snprintf(text + length, size - length, "%sa blackout holds it back until its end",
			 length ? "; " : "");
	else if (asked->scheduled != NEVER && asked->trigger->delay_ms)
		snprintf(text + length, size - length, "%sjitter delays it by %u ms, always",
			 length ? "; " : "", asked->trigger->delay_ms);
}

static int
add_row(struct question *question, const struct asked *asked, struct error *error)
{
	struct trigger_row *row = &question->row;
	struct msg_trigger_row *r;
	struct msg record;
	int rc;

	if (triggers_table_get(schedule_table(question->schedule), asked->agent,
			       asked->trigger->place, row, error) < 0)
		return -1;
	msg_init(&record, MSG_TRIGGER_ROW);
	r = &record.trigger_row;
	snprintf(r->agent, sizeof(r->agent), "%s", asked->agent);
	snprintf(r->trigger_id, sizeof(r->trigger_id), "%s", row->id);
	snprintf(r->kind, sizeof(r->kind), "%s", trigger_kind_name(row->kind));
	if (row->kind == TRIGGER_CRON) {
		snprintf(r->expression, sizeof(r->expression), "%s", row->cron);
		snprintf(r->timezone, sizeof(r->timezone), "%s",
			 row->timezone[0] ? row->timezone : "UTC");
	} else if (row->kind == TRIGGER_EVERY) {
		period_format(row->every_ms, r->expression);
	} else {
		rfc3339_format(row->at_ms, r->expression);
	}
	if (asked->scheduled != NEVER) {
		r->scheduled_at_ms = (uint64_t)asked->scheduled;
		r->next_fire_at_ms = (uint64_t)asked->fires;
	}
	r->jitter_ms = asked->trigger->delay_ms;
	r->last_fire_at_ms = (uint64_t)row->fired_ms;
	write_note(question, asked, r->note, sizeof(r->note));
	rc = rows_add(question->rows, &record);
	return rc < 0 ? error_errno(error, -rc, "collecting times") : 0;
}

/* --- times --------------------------------------------------------------------------------- */

static int
add_times(struct question *question, const struct msg_schedule_query *query, struct error *error)
{
	const struct schedule *schedule = question->schedule;
	int64_t from = query->from_ms < 0 ? schedule_now(question->schedule) : query->from_ms;

	for (size_t i = 0; i < question->count; i++) {
		struct asked *asked = &question->asked[i];

		find_time(schedule, asked, from - asked->trigger->delay_ms);
	}
	for (uint32_t left = query->count; left > 0; left--) {
		struct asked *first = &question->asked[0];

		for (size_t i = 1; i < question->count; i++)
			if (question->asked[i].fires < first->fires)
				first = &question->asked[i];
		if (first->scheduled == NEVER)
			break;
		if (add_row(question, first, error) < 0)
			return -1;
		find_time(schedule, first, first->scheduled);
	}
	return 0;
}

static int
by_time(const void *a, const void *b)
{
	const struct asked *x = a, *y = b;

	return x->fires != y->fires              ? (x->fires < y->fires ? -1 : 1)
	       : strcmp(x->agent, y->agent) != 0 ? strcmp(x->agent, y->agent)
						 : (int)x->trigger->place - (int)y->trigger->place;
}

static int
add_all(struct question *question, const char *agent, struct error *error)
{
	int rc;

	qsort(question->asked, question->count, sizeof(*question->asked), by_time);
	for (size_t i = 0; i < question->count; i++)
		if (add_row(question, &question->asked[i], error) < 0)
			return -1;
	rc = webhooks_add_rows(schedule_owner(question->schedule)->webhooks, agent, question->rows);
	return rc < 0 ? error_errno(error, -rc, "collecting webhooks") : 0;
}

/* What another thing than time fires has no time to come. */
static int
add_untimed(const char *agent, const struct event_trigger *trigger, void *arg)
{
	struct question *question = arg;
	struct msg_trigger_row *row;
	struct msg record;

	if (trigger->kind == TRIGGER_WEBHOOK)
		return 0; /* told with its URL */
	msg_init(&record, MSG_TRIGGER_ROW);
	row = &record.trigger_row;
	snprintf(row->agent, sizeof(row->agent), "%s", agent);
	snprintf(row->trigger_id, sizeof(row->trigger_id), "%s", trigger->id);
	snprintf(row->kind, sizeof(row->kind), "%s", trigger_kind_name(trigger->kind));
	snprintf(row->expression, sizeof(row->expression), "%.200s%s%.32s",
		 trigger->event   ? trigger->event
		 : trigger->after ? trigger->after
		 : trigger->path  ? trigger->path
				  : "",
		 trigger->outcome ? " " : "", trigger->outcome ? trigger->outcome : "");
	if (ledger_last_fire(schedule_owner(question->schedule)->ledger, agent, trigger->id,
			     &row->last_fire_at_ms, NULL) < 0)
		return -EIO;
	return rows_add(question->rows, &record);
}

static int
add_every(struct question *question, const char *agent, struct error *error)
{
	const struct schedd *schedd = schedule_owner(question->schedule);
	int rc = add_all(question, agent, error);

	if (rc == 0)
		rc = event_plans_each(schedd->event_plans, *agent ? agent : NULL, add_untimed,
				      question);
	return rc < 0 && error->code == ERR_NONE ? error_errno(error, -rc, "collecting triggers")
						 : rc;
}

static int
check_agent(struct schedule *schedule, const char *name, struct error *error)
{
	struct schedd *schedd = schedule_owner(schedule);
	const struct agent *agent = queue_agent(schedd->queue, name);

	if (!name[0] || (agent && (agent->installed || agent->damaged)))
		return 0;
	if (!schedd->known)
		return error_why(error, ERR_UNREACHABLE,
				 "runnerd has not told yet which agents are installed");
	error_why(error, ERR_NOT_FOUND, "no agent named %s is installed", name);
	return error_hint(error, "ash agent list shows what is installed");
}

int
schedule_answer(struct schedule *schedule, const struct msg_schedule_query *query,
		struct msg *answer, struct error *error)
{
	_cleanup_free_ struct question *question = calloc(1, sizeof(*question));
	const char *agent;
	int rc = -1, fd;

	if (!question)
		return error_why(error, ERR_FAILED, "out of memory");
	if (check_agent(schedule, query->agent, error) < 0)
		return -1;
	question->schedule = schedule;
	agent = query->agent[0] ? query->agent : NULL;
	triggers_each(schedule_triggers(schedule), agent, collect, question);
	for (size_t i = 0; i < question->count; i++)
		if (find_next(question, &question->asked[i], error) < 0)
			question->failed = true;
	question->rows = rows_new("schedule");
	if (question->failed || !question->rows)
		error_why(error, ERR_FAILED, "memory or the ledger fails");
	else if (query->count > SCHEDULE_NEXT_MAX)
		error_why(error, ERR_USAGE, "more than %d times", SCHEDULE_NEXT_MAX);
	else if (query->count && question->count)
		rc = add_times(question, query, error);
	else
		rc = query->count ? 0 : add_every(question, query->agent, error);
	free(question->asked);
	if (rc < 0) {
		rows_free(question->rows);
		return -1;
	}
	msg_init(answer, MSG_ROWS);
	answer->rows.count = rows_count(question->rows);
	fd = rows_seal(question->rows);
	if (fd < 0)
		return error_errno(error, -fd, "sealing times");
	msg_add_fd(answer, fd);
	return 0;
}

/* --- an agent's next ------------------------------------------------------------------------- */

uint64_t
schedule_next_ms(const struct schedule *schedule, const char *agent)
{
	_cleanup_free_ struct question *question = calloc(1, sizeof(*question));
	int64_t first = NEVER;

	if (!question)
		return 0;
	question->schedule = schedule;
	triggers_each(schedule_triggers(schedule), agent, collect, question);
	for (size_t i = 0; i < question->count; i++)
		if (find_next(question, &question->asked[i], NULL) == 0 &&
		    question->asked[i].fires < first)
			first = question->asked[i].fires;
	free(question->asked);
	return first == NEVER ? 0 : (uint64_t)first;
}
