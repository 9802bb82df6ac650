#include "schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "counters.h"
#include "sessions.h"
#include "zones_watch.h"

enum { MINUTE_MS = 60000, WINDOW_GROWTH = 4 };

/* The definitions of one agent, while they come. */
struct coming {
	char agent[AGENT_NAME_MAX + 1];
	uint32_t expected, count;
	struct trigger_row *rows; /* heap */
};

struct schedule {
	struct schedd *schedd;
	struct zones *zones;
	struct triggers *triggers;
	struct triggers_table *table;
	struct blackouts *blackouts;
	struct zones_watch *zones_watch; /* NULL: updates of tzdata are not noticed */
	struct host_clock *host_clock;
	struct wall_clock clock;
	struct coming coming;
	struct trigger_row row; /* of the trigger that fires, or of the one that does next */
	bool row_ahead;         /* the next one's, as the table has it */
	int64_t advancing;      /* the cursor that a fire's row takes along */
	bool advanced;          /* and did */
	int64_t missed_until;   /* what was due by then was missed */
	unsigned zones_watched; /* so many of zones */
	bool known;
};

static int64_t
now_ms(const struct schedule *schedule)
{
	return schedule->clock.now_ms(schedule->clock.arg);
}

/* The trigger's row into schedule->row; as triggers_table_get. */
static int
read_row(struct schedule *schedule, const struct trigger *trigger, struct error *error)
{
	const char *agent = triggers_owner(schedule->triggers, trigger);
	const struct trigger_row *row = &schedule->row;

	if (schedule->row_ahead && row->place == trigger->place && strcmp(row->agent, agent) == 0)
		return 1;
	schedule->row_ahead = false;
	return triggers_table_get(schedule->table, agent, trigger->place, &schedule->row, error);
}

/* What fires next is read before it is due. */
void
schedule_follow(struct schedule *schedule)
{
	const struct trigger *first = triggers_first(schedule->triggers);
	int64_t due = schedule->known && first ? first->due_ms : NEVER;
	int64_t wakes = queue_wakes_at(schedule->schedd->queue);

	schedule->clock.arm(schedule->clock.arg, wakes < due ? wakes : due);
	if (due != NEVER)
		schedule->row_ahead = read_row(schedule, first, NULL) == 1;
}

static int64_t
due_after(const struct schedule *schedule, const struct trigger *trigger, int64_t scheduled)
{
	int64_t next = trigger_next(trigger, schedule->zones, scheduled);

	return next == NEVER ? NEVER : next + trigger->delay_ms;
}

/* --- time zones ------------------------------------------------------------------------------ */

static void
follow_zones(struct schedule *schedule)
{
	unsigned count = zones_count(schedule->zones);

	if (schedule->zones_watch && count != schedule->zones_watched)
		zones_watch_follow(schedule->zones_watch, schedule->zones);
	schedule->zones_watched = count;
}

/* What is due already fires; a blackout that holds one back is asked again. */
static int64_t
due_by_new_rules(const struct trigger *trigger, void *arg)
{
	struct schedule *schedule = arg;
	int64_t now = now_ms(schedule);

	if (trigger->kind != TRIGGER_CRON || trigger->due_ms <= now ||
	    !zones_changed(schedule->zones, trigger->zone))
		return trigger->due_ms;
	return due_after(schedule, trigger, now - trigger->delay_ms);
}

void
schedule_reread_zones(struct schedule *schedule)
{
	unsigned count = zones_refresh(schedule->zones);

	schedule->zones_watched = 0;
	follow_zones(schedule);
	if (count == 0)
		return;
	log_info("the rules of %u time zones have changed", count);
	blackouts_look_again(schedule->blackouts);
	triggers_due_again(schedule->triggers, due_by_new_rules, schedule);
	queue_clock_set(schedule->schedd->queue, now_ms(schedule));
	sessions_pump(schedule->schedd);
	schedule_follow(schedule);
}

static void
zones_touched(void *arg)
{
	schedule_reread_zones(arg);
}

int
schedule_watch_zones(struct schedule *schedule, const char *path, struct error *error)
{
	schedule->zones_watch =
	    zones_watch_new(schedule->schedd->loop, path, zones_touched, schedule, error);
	schedule->zones_watched = 0;
	return schedule->zones_watch ? 0 : -1;
}

/* --- blackouts ------------------------------------------------------------------------------- */

/* What one that is taken away has held back was missed. */
void
schedule_darken(struct schedule *schedule, const char *agent, int rows)
{
	struct error error = ERROR_INIT;

	if (blackouts_has(schedule->blackouts, agent))
		schedule->missed_until = now_ms(schedule) - MISSED_GRACE_MS;
	if (blackouts_set(schedule->blackouts, agent, rows, &error) < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	follow_zones(schedule);
}

int64_t
schedule_dark_until(struct schedule *schedule, const char *agent)
{
	return blackouts_until(schedule->blackouts, agent, now_ms(schedule));
}

/* --- definitions --------------------------------------------------------------------------- */

/* What a trigger is known by, as long as it says the same: its kind and a digest (FNV-1a). */
static void
name_trigger(struct trigger_row *row)
{
	char text[sizeof(row->cron) + sizeof(row->timezone) + 64];
	uint32_t hash = 2166136261U;

	snprintf(text, sizeof(text), "%s|%s|%llu|%llu", row->cron, row->timezone,
		 (unsigned long long)row->every_ms, (unsigned long long)row->at_ms);
	for (const char *c = text; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	snprintf(row->id, sizeof(row->id), "%s-%08x", trigger_kind_name(row->kind), hash);
}

/* Triggers of one agent that say the same are told apart by their order. */
static void
name_all(struct coming *coming)
{
	for (uint32_t i = 0; i < coming->count; i++) {
		unsigned same = 1;
		size_t length;

		name_trigger(&coming->rows[i]);
		length = strlen(coming->rows[i].id);
		for (uint32_t j = 0; j < i; j++)
			same += strncmp(coming->rows[i].id, coming->rows[j].id, length) == 0;
		if (same > 1)
			snprintf(coming->rows[i].id + length, sizeof(coming->rows[i].id) - length,
				 "-%u", same);
	}
}

static int
prepare_cron(struct schedule *schedule, const struct trigger_row *row, struct trigger *trigger,
	     struct error *error)
{
	char why[CRON_WHY_SIZE];
	struct cron cron;
	int zone;

	if (!cron_parse(row->cron, &cron, why))
		return error_why(error, ERR_INVALID, "the expression %s", why);
	trigger->cron = cron;
	zone = zones_find(schedule->zones, row->timezone, error);
	if (zone < 0)
		return -1;
	trigger->zone = (unsigned)zone & (ZONES_MAX - 1);
	return 0;
}

static int
prepare(struct schedule *schedule, const struct trigger_row *row, struct trigger *trigger,
	struct error *error)
{
	*trigger = (struct trigger){
	    .kind = row->kind & 15,
	    .place = (unsigned)row->place & (TRIGGERS_MAX - 1),
	};
	trigger->delay_ms = trigger_delay(row->agent, row->id, row->jitter_ms);
	switch (row->kind) {
	case TRIGGER_CRON:
		return prepare_cron(schedule, row, trigger, error);
	case TRIGGER_EVERY:
		trigger->period_ms = (int64_t)row->every_ms;
		return 0;
	default:
		trigger->at_ms = (int64_t)row->at_ms;
		return 0;
	}
}

/* A trigger that cannot be used is left out, and said. */
static int
put_coming(struct schedule *schedule, struct error *error)
{
	struct coming *coming = &schedule->coming;
	struct trigger triggers[TRIGGERS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < coming->count; i++) {
		const struct trigger_row *row = &coming->rows[i];
		int64_t now = now_ms(schedule), cursor = row->cursor_ms;
		struct error unusable = ERROR_INIT;

		if (prepare(schedule, row, &triggers[count], &unusable) < 0) {
			error_what(&unusable, "agent %s: trigger %s does not fire", row->agent,
				   row->id);
			log_problem(LOG_LEVEL_ERROR, &unusable);
			continue;
		}
		if (cursor > now + CLOCK_AHEAD_MS)
			cursor = now;
		triggers[count].due_ms = due_after(schedule, &triggers[count], cursor);
		count++;
	}
	if (triggers_put(schedule->triggers, coming->agent, triggers, count) < 0)
		return error_why(error, ERR_FAILED, "out of memory");
	return 0;
}

static void
end_coming(struct schedule *schedule)
{
	free(schedule->coming.rows);
	schedule->coming = (struct coming){.expected = 0};
}

static void
define_coming(struct schedule *schedule)
{
	struct coming *coming = &schedule->coming;
	struct error error = ERROR_INIT;

	name_all(coming);
	schedule->row_ahead = false;
	if (triggers_table_put(schedule->table, coming->agent, coming->rows, coming->count,
			       &error) < 0 ||
	    put_coming(schedule, &error) < 0) {
		error_what(&error, "agent %s: its triggers are not taken over", coming->agent);
		log_problem(LOG_LEVEL_ERROR, &error);
	}
	end_coming(schedule);
	follow_zones(schedule);
	schedule_follow(schedule);
}

void
schedule_define(struct schedule *schedule, const char *agent, uint32_t count)
{
	struct coming *coming = &schedule->coming;

	end_coming(schedule);
	if (count > TRIGGERS_MAX ||
	    (count && !(coming->rows = calloc(count, sizeof(*coming->rows))))) {
		log_error("agent %s: its triggers are too many, or memory is short", agent);
		return;
	}
	snprintf(coming->agent, sizeof(coming->agent), "%s", agent);
	coming->expected = count;
	if (count == 0)
		define_coming(schedule);
}

static bool
usable(const struct msg_trigger_def *def)
{
	const uint64_t far = (uint64_t)INSTANT_MAX * 1000;

	switch (def->kind) {
	case TRIGGER_CRON:
		return def->cron[0] != '\0';
	case TRIGGER_EVERY:
		return def->every_ms > 0 && def->every_ms < far;
	case TRIGGER_AT:
		return def->at_ms < far;
	default:
		return false;
	}
}

void
schedule_add(struct schedule *schedule, const struct msg_trigger_def *def)
{
	struct coming *coming = &schedule->coming;
	struct trigger_row *row;

	if (coming->count == coming->expected || strcmp(coming->agent, def->agent) != 0 ||
	    !usable(def) || def->place >= TRIGGERS_MAX || def->jitter_ms >= UINT32_MAX) {
		log_error("agent %s: a trigger came that does not fit", def->agent);
		return;
	}
	row = &coming->rows[coming->count++];
	snprintf(row->agent, sizeof(row->agent), "%s", def->agent);
	snprintf(row->cron, sizeof(row->cron), "%s", def->cron);
	snprintf(row->timezone, sizeof(row->timezone), "%s", def->timezone);
	snprintf(row->task, sizeof(row->task), "%s", def->task);
	row->place = def->place;
	row->kind = (enum trigger_kind)def->kind;
	row->every_ms = def->every_ms;
	row->at_ms = def->at_ms;
	row->missed = (enum missed)def->missed;
	row->missed_within_ms = def->missed_within_ms;
	row->jitter_ms = def->jitter_ms;
	row->has_task = def->has_task;
	row->cursor_ms = now_ms(schedule); /* a new one: nothing before it is missed */
	if (coming->count == coming->expected)
		define_coming(schedule);
}

void
schedule_remove(struct schedule *schedule, const char *agent)
{
	schedule_define(schedule, agent, 0);
	schedule_darken(schedule, agent, -1);
}

static bool
is_installed(const char *agent, void *arg)
{
	struct schedule *schedule = arg;
	const struct agent *known = queue_agent(schedule->schedd->queue, agent);

	return known && (known->installed || known->damaged);
}

struct gone {
	struct schedule *schedule;
	char agent[AGENT_NAME_MAX + 1]; /* the last one found, or empty */
};

static void
find_uninstalled(const struct trigger *trigger, const char *agent, void *arg)
{
	struct gone *gone = arg;

	(void)trigger;
	if (!is_installed(agent, gone->schedule))
		snprintf(gone->agent, sizeof(gone->agent), "%s", agent);
}

static void
forget_uninstalled(struct schedule *schedule)
{
	struct gone gone = {.schedule = schedule};

	do {
		gone.agent[0] = '\0';
		triggers_each(schedule->triggers, NULL, find_uninstalled, &gone);
		if (gone.agent[0])
			triggers_put(schedule->triggers, gone.agent, NULL, 0);
	} while (gone.agent[0]);
}

void
schedule_known(struct schedule *schedule)
{
	struct error error = ERROR_INIT;

	forget_uninstalled(schedule);
	if (triggers_table_sweep(schedule->table, is_installed, schedule, &error) < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	schedule->known = true;
	/* The clock may have been set while nobody was there to be told. */
	queue_clock_set(schedule->schedd->queue, now_ms(schedule));
	schedule_follow(schedule);
}

/* --- firing ---------------------------------------------------------------------------------- */

/* With the row of a fire on its time: it and the cursor are one transaction. */
static int
advance_along(void *arg, struct error *error)
{
	struct schedule *schedule = arg;
	const struct trigger_row *row = &schedule->row;

	if (triggers_table_advance(schedule->table, row->agent, row->place, schedule->advancing,
				   now_ms(schedule), error) < 0)
		return -1;
	schedule->advanced = true;
	return 0;
}

/* -1: the ledger could not take it, it is to be tried again. Any other refusal is said, and the
 * fire is over. */
static int
fire(struct schedule *schedule, int64_t scheduled)
{
	const struct trigger_row *row = &schedule->row;
	struct error error = ERROR_INIT;
	struct fire fire = {
	    .id = uuid_new(),
	    .agent = row->agent,
	    .trigger_kind = trigger_kind_name(row->kind),
	    .trigger_id = row->id,
	    .scheduled_at_ms = (uint64_t)scheduled,
	    .has_task = row->has_task,
	    .task = row->task,
	    .uid = UINT32_MAX,
	    .login_uid = UINT32_MAX,
	    .operator= "",
	    .along = advance_along,
	    .arg = schedule,
	};

	schedule->advancing = scheduled;
	schedule->advanced = false;
	if (session_fire(schedule->schedd, &fire, &error) == 0) {
		counters_fired(schedule->schedd->counters, row->kind);
		return 0;
	}
	error_what(&error, "agent %s: firing %s", row->agent, row->id);
	log_problem(LOG_LEVEL_ERROR, &error);
	return error.code == ERR_FAILED ? -1 : 0;
}

/* Scheduled times in (after, until], the newest max, in order. Looks back ever further, so that a
 * long absence costs no more than what it brings. */
size_t
schedule_newest(const struct schedule *schedule, const struct trigger *trigger, int64_t after,
		int64_t until, int64_t times[CATCH_UP_MAX], size_t max)
{
	int64_t ring[CATCH_UP_MAX], from;
	size_t count;

	for (int64_t window = MINUTE_MS;; window *= WINDOW_GROWTH) {
		from = until - after <= window ? after : until - window;
		count = 0;
		for (int64_t at = from;
		     (at = trigger_next(trigger, schedule->zones, at)) <= until && at != NEVER;)
			ring[count++ % max] = at;
		if (count >= max || from == after)
			break;
	}
	for (size_t i = 0; i < (count < max ? count : max); i++)
		times[i] = ring[(count < max ? i : count + i) % max];
	return count < max ? count : max;
}

/* How many scheduled times lie in (after, until], as far as they are counted. */
static size_t
times_between(const struct schedule *schedule, const struct trigger *trigger, int64_t after,
	      int64_t until)
{
	size_t count = 0;

	while (count < MISSED_COUNTED_MAX &&
	       (after = trigger_next(trigger, schedule->zones, after)) <= until && after != NEVER)
		count++;
	return count;
}

static int
make_up(struct schedule *schedule, const struct trigger *trigger, int64_t after, int64_t until)
{
	const struct trigger_row *row = &schedule->row;
	size_t max = row->missed == MISSED_RUN_ALL    ? CATCH_UP_MAX
		     : row->missed == MISSED_RUN_ONCE ? 1
						      : 0;
	int64_t times[CATCH_UP_MAX], oldest = after;
	size_t count = 0, missed;

	if (row->missed_within_ms != ABSENT && until - (int64_t)row->missed_within_ms > after)
		oldest = until - (int64_t)row->missed_within_ms - 1;
	if (max && oldest < until)
		count = schedule_newest(schedule, trigger, oldest, until, times, max);
	log_info("agent %s: times of %s were missed; it makes up for %zu", row->agent, row->id,
		 count);
	missed = times_between(schedule, trigger, after, until);
	counters_missed(schedule->schedd->counters, missed > count ? missed - count : 0);
	for (size_t i = 0; i < count; i++)
		if (fire(schedule, times[i]) < 0)
			return -1;
	return count ? 1 : 0;
}

/* Up to which scheduled time a blackout has held it back, that has ended when it became due, or a
 * while ago; 0: none has. */
static int64_t
held_until(const struct schedule *schedule, const char *agent, const struct trigger *trigger)
{
	int64_t now = now_ms(schedule);

	if (!blackouts_has(schedule->blackouts, agent))
		return 0;
	if (trigger->due_ms < now - MISSED_GRACE_MS)
		return now - MISSED_GRACE_MS - trigger->delay_ms;
	if (due_after(schedule, trigger, schedule->row.cursor_ms) < trigger->due_ms)
		return trigger->due_ms - trigger->delay_ms - 1;
	return 0;
}

/* The first of the heap, which is due, stays until its agent's blackout ends: what the trigger
 * names until then is missed. False: there is none. */
static bool
hold_first(struct schedule *schedule, const char *agent)
{
	int64_t until = schedule_dark_until(schedule, agent);

	if (until)
		triggers_move_first(schedule->triggers, until);
	return until != 0;
}

/* Since it was due. A clock of tests knows milliseconds. */
static uint64_t
late_us(const struct schedule *schedule, int64_t due_ms)
{
	int64_t now = schedule->host_clock ? (int64_t)realtime_us() : now_ms(schedule) * 1000;

	return now > due_ms * 1000 ? (uint64_t)(now - due_ms * 1000) : 0;
}

/* The first of the heap, which is due. -1: again later. */
static int
fire_first(struct schedule *schedule)
{
	struct trigger *first = triggers_first(schedule->triggers), trigger = *first;
	const char *agent = triggers_owner(schedule->triggers, first);
	int64_t scheduled = trigger.due_ms - trigger.delay_ms, cursor = scheduled, held;
	struct error error = ERROR_INIT;
	int found, fired = 1;

	schedule->advanced = false;
	if (hold_first(schedule, agent))
		return 0;
	found = read_row(schedule, first, &error);
	schedule->row_ahead = false;
	if (found <= 0) {
		if (found < 0)
			log_problem(LOG_LEVEL_ERROR, &error);
		else
			triggers_move_first(schedule->triggers, NEVER);
		return found;
	}
	if (trigger.due_ms <= schedule->missed_until) {
		cursor = schedule->missed_until - trigger.delay_ms;
		fired = make_up(schedule, &trigger, scheduled - 1, cursor);
	} else if ((held = held_until(schedule, agent, &trigger))) {
		cursor = held;
		fired = make_up(schedule, &trigger, schedule->row.cursor_ms, cursor);
	} else if (fire(schedule, scheduled) < 0) {
		fired = -1;
	} else {
		counters_late(schedule->schedd->counters, late_us(schedule, trigger.due_ms));
	}
	if (fired < 0)
		return -1;
	/* What is left out stands in the cursor alone. */
	if (!(schedule->advanced && schedule->advancing == cursor) &&
	    triggers_table_advance(schedule->table, agent, trigger.place, cursor,
				   fired ? now_ms(schedule) : 0, &error) < 0) {
		error_what(&error, "agent %s: noting how far %s is", agent, schedule->row.id);
		log_problem(LOG_LEVEL_ERROR, &error);
		return -1;
	}
	triggers_move_first(schedule->triggers, due_after(schedule, &trigger, cursor));
	return 0;
}

/* A clock that was far ahead was wrong: what it made of the triggers is taken back. How far it was
 * the cursor says, for the next time of a weekly trigger is always days away. */
static int64_t
due_again(const struct trigger *trigger, void *arg)
{
	struct schedule *schedule = arg;
	int64_t now = now_ms(schedule), due = due_after(schedule, trigger, now - trigger->delay_ms);

	if (due == NEVER || trigger->due_ms - due <= CLOCK_AHEAD_MS ||
	    read_row(schedule, trigger, NULL) != 1)
		return trigger->due_ms;
	return schedule->row.cursor_ms > now + CLOCK_AHEAD_MS ? due : trigger->due_ms;
}

void
schedule_ring(struct schedule *schedule, bool stepped)
{
	int64_t now = now_ms(schedule);
	const struct trigger *first;

	if (stepped) {
		log_info("the clock was set, or the host slept");
		schedule->missed_until = now - MISSED_GRACE_MS;
		triggers_due_again(schedule->triggers, due_again, schedule);
		queue_clock_set(schedule->schedd->queue, now);
	}
	if (queue_wake(schedule->schedd->queue, now) || stepped)
		sessions_pump(schedule->schedd);
	if (!schedule->known || schedule->schedd->draining)
		return;
	for (int left = RING_MAX; left > 0; left--) {
		first = triggers_first(schedule->triggers);
		if (!first || first->due_ms > now)
			break;
		if (fire_first(schedule) < 0) {
			schedule->clock.arm(schedule->clock.arg, now + FIRE_AGAIN_MS);
			return;
		}
	}
	schedule_follow(schedule);
}

/* --- beginning and end -------------------------------------------------------------------------
 */

void
schedule_set_clock(struct schedule *schedule, const struct wall_clock *clock)
{
	schedule->clock.arm(schedule->clock.arg, NEVER);
	schedule->clock = *clock;
	schedule->missed_until = now_ms(schedule) - MISSED_GRACE_MS;
}

const struct triggers *
schedule_triggers(const struct schedule *schedule)
{
	return schedule->triggers;
}

const struct zones *
schedule_zones(const struct schedule *schedule)
{
	return schedule->zones;
}

struct blackouts *
schedule_blackouts(const struct schedule *schedule)
{
	return schedule->blackouts;
}

struct triggers_table *
schedule_table(const struct schedule *schedule)
{
	return schedule->table;
}

int64_t
schedule_now(const struct schedule *schedule)
{
	return now_ms(schedule);
}

struct schedd *
schedule_owner(const struct schedule *schedule)
{
	return schedule->schedd;
}

struct schedule *
schedule_new(struct schedd *schedd, int zoneinfo, struct error *error)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));

	if (!schedule) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	schedule->schedd = schedd;
	schedule->triggers = triggers_new();
	if (!schedule->triggers)
		error_why(error, ERR_FAILED, "out of memory");
	else if ((schedule->zones = zones_new(zoneinfo, error)) &&
		 !(schedule->blackouts = blackouts_new(schedule->zones)))
		error_why(error, ERR_FAILED, "out of memory");
	else if (schedule->zones && (schedule->table = triggers_table_open(schedd->ledger, error)))
		schedule->host_clock =
		    host_clock_new(schedule, schedd->loop, &schedule->clock, error);
	if (!schedule->host_clock) {
		schedule_free(schedule);
		return NULL;
	}
	schedule->missed_until = now_ms(schedule) - MISSED_GRACE_MS;
	return schedule;
}

void
schedule_free(struct schedule *schedule)
{
	if (!schedule)
		return;
	zones_watch_free(schedule->zones_watch);
	host_clock_free(schedule->host_clock);
	triggers_table_close(schedule->table);
	triggers_free(schedule->triggers);
	blackouts_free(schedule->blackouts);
	zones_free(schedule->zones);
	free(schedule->coming.rows);
	free(schedule);
}
