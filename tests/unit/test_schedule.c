// with: schedd/*.c
// timeout: 300
/* Time's triggers under a clock of the test's own: what fires, and what does not fire twice,
 * through deaths and steps of the clock. */
#include "schedd/calendar.h"
#include "schedd/ledger_sql.h"
#include "tests/unit/test_clock.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, FIRES_MAX = 20000 };
#define DAY (INT64_C(24) * HOUR)

/* --- what the tests say ------------------------------------------------------------------------
 */

struct told {
	const char *cron, *zone;
	int64_t every_ms, at_ms, jitter_ms, within_ms;
	enum missed missed;
};

static void
tell(struct stage *stage, const char *agent, const struct told *told, size_t count)
{
	struct msg def, msg;

	msg_init(&def, MSG_AGENT_DEF);
	strcpy(def.agent_def.agent, agent);
	def.agent_def.max = 1;
	def.agent_def.queue_limit = 1000000;
	ck_assert_ptr_nonnull(queue_define(stage->schedd.queue, &def.agent_def));
	schedule_define(stage->schedd.schedule, agent, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		msg_init(&msg, MSG_TRIGGER_DEF);
		strcpy(msg.trigger_def.agent, agent);
		strcpy(msg.trigger_def.cron, told[i].cron ? told[i].cron : "");
		strcpy(msg.trigger_def.timezone, told[i].zone ? told[i].zone : "");
		msg.trigger_def.place = (uint8_t)i;
		msg.trigger_def.kind = told[i].cron       ? TRIGGER_CRON
				       : told[i].every_ms ? TRIGGER_EVERY
							  : TRIGGER_AT;
		msg.trigger_def.every_ms = told[i].every_ms ? (uint64_t)told[i].every_ms : ABSENT;
		msg.trigger_def.at_ms = told[i].at_ms ? (uint64_t)told[i].at_ms : ABSENT;
		msg.trigger_def.missed = (uint8_t)told[i].missed;
		msg.trigger_def.missed_within_ms =
		    told[i].within_ms ? (uint64_t)told[i].within_ms : ABSENT;
		msg.trigger_def.jitter_ms = (uint64_t)told[i].jitter_ms;
		schedule_add(stage->schedd.schedule, &msg.trigger_def);
	}
}

/* schedd with this clock, and with nobody to talk to. */
static struct stage *
start(void)
{
	struct stage *stage = begin();

	stage->schedd.config->retention.sessions = 1000000;
	schedule_set_clock(stage->schedd.schedule, &test_clock);
	return stage;
}

static void
known(struct stage *stage)
{
	stage->schedd.known = true;
	schedule_known(stage->schedd.schedule);
}

static void
stop(struct stage *stage)
{
	schedd_release(&stage->schedd);
	loop_free(stage->loop);
	free(stage);
}

struct fires {
	const char *agent;
	int64_t at[FIRES_MAX];
	size_t count;
};

static int
note_fire(const struct ledger_session *session, void *arg)
{
	struct fires *fires = arg;

	if (strcmp(session->row.agent, fires->agent) == 0) {
		ck_assert_uint_lt(fires->count, FIRES_MAX);
		fires->at[fires->count++] = (int64_t)session->row.scheduled_at_ms;
	}
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* In order of their scheduled times. */
static struct fires *
fires_of(struct stage *stage, const char *agent)
{
	static struct fires fires;
	struct ledger_filter filter = {.agent = agent};

	fires.agent = agent;
	fires.count = 0;
	ck_assert_int_eq(ledger_each(stage->schedd.ledger, &filter, note_fire, &fires, NULL), 0);
	qsort(fires.at, fires.count, sizeof(fires.at[0]), by_value);
	return &fires;
}

static void
fired(struct stage *stage, const char *agent, const int64_t *wanted, size_t count)
{
	struct fires *fires = fires_of(stage, agent);

	ck_assert_uint_eq(fires->count, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(fires->at[i], wanted[i]);
}
#define FIRED(stage, agent, ...)                                                                   \
	fired(stage, agent, (const int64_t[]){__VA_ARGS__},                                        \
	      sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static int64_t
at(int year, unsigned month, unsigned day, int hour, int minute)
{
	return (day_of_date(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60) * SECOND;
}

/* --- firing ---------------------------------------------------------------------------------- */

START_TEST(each_kind_fires)
{
	struct told told[] = {{.cron = "30 2 * * *", .zone = "Europe/Berlin"},
			      {.every_ms = 6 * HOUR},
			      {.at_ms = at(2027, 3, 28, 5, 0)}};
	struct stage *stage;

	clock_ms = at(2027, 3, 27, 20, 0);
	stage = start();
	tell(stage, "one", told, 3);
	ck_assert_int_eq(armed_ms, NEVER); /* not before all is told */
	known(stage);
	ck_assert_int_eq(armed_ms, at(2027, 3, 28, 0, 0));
	run_until(stage, at(2027, 3, 28, 12, 0));
	FIRED(stage, "one", at(2027, 3, 28, 0, 0), at(2027, 3, 28, 1, 0), at(2027, 3, 28, 5, 0),
	      at(2027, 3, 28, 6, 0), at(2027, 3, 28, 12, 0));
	ck_assert_int_eq(armed_ms, at(2027, 3, 28, 18, 0));
	stop(stage);
}
END_TEST

START_TEST(jitter_delays_and_stays)
{
	struct told told = {.every_ms = HOUR, .jitter_ms = 10 * MINUTE};
	struct stage *stage;
	int64_t delay;

	clock_ms = at(2027, 1, 1, 0, 0);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	delay = armed_ms - at(2027, 1, 1, 1, 0);
	ck_assert(delay > 0 && delay <= 10 * MINUTE);
	run_until(stage, armed_ms);
	FIRED(stage, "one", at(2027, 1, 1, 1, 0));
	ck_assert_int_eq(armed_ms, at(2027, 1, 1, 2, 0) + delay);
	stop(stage);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	ck_assert_int_eq(armed_ms, at(2027, 1, 1, 2, 0) + delay);
	stop(stage);
}
END_TEST

START_TEST(a_changed_trigger_begins_anew)
{
	struct told hourly = {.every_ms = HOUR, .missed = MISSED_RUN_ALL},
		    daily = {.every_ms = DAY, .missed = MISSED_RUN_ALL};
	struct stage *stage;

	clock_ms = at(2027, 1, 1, 0, 30);
	stage = start();
	tell(stage, "one", &hourly, 1);
	known(stage);
	run_until(stage, at(2027, 1, 1, 2, 30));
	tell(stage, "one", &daily, 1);
	ck_assert_int_eq(armed_ms, at(2027, 1, 2, 0, 0));
	schedule_remove(stage->schedd.schedule, "one");
	ck_assert_int_eq(armed_ms, NEVER);
	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0));
	stop(stage);
}
END_TEST

/* --- missed ------------------------------------------------------------------------------------
 */

/* Away from 01:30 to 05:10. */
static struct stage *
after_an_absence(const struct told *told)
{
	struct stage *stage;

	clock_ms = at(2027, 1, 1, 0, 30);
	stage = start();
	tell(stage, "one", told, 1);
	known(stage);
	run_until(stage, at(2027, 1, 1, 1, 30));
	stop(stage);
	clock_ms = at(2027, 1, 1, 5, 10);
	stage = start();
	tell(stage, "one", told, 1);
	known(stage);
	run_until(stage, at(2027, 1, 1, 6, 30));
	return stage;
}

START_TEST(missed_times)
{
	struct told told = {.every_ms = HOUR, .missed = MISSED_SKIP};
	struct stage *stage = after_an_absence(&told);

	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 6, 0));
	stop(stage);
}
END_TEST

START_TEST(missed_times_run_once)
{
	struct told told = {.every_ms = HOUR, .missed = MISSED_RUN_ONCE};
	struct stage *stage = after_an_absence(&told);

	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 5, 0), at(2027, 1, 1, 6, 0));
	stop(stage);
}
END_TEST

START_TEST(missed_times_run_all)
{
	struct told told = {.every_ms = HOUR, .missed = MISSED_RUN_ALL};
	struct stage *stage = after_an_absence(&told);

	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0), at(2027, 1, 1, 3, 0),
	      at(2027, 1, 1, 4, 0), at(2027, 1, 1, 5, 0), at(2027, 1, 1, 6, 0));
	stop(stage);
}
END_TEST

START_TEST(missed_times_within)
{
	struct told told = {.every_ms = HOUR, .missed = MISSED_RUN_ALL, .within_ms = 2 * HOUR};
	struct stage *stage = after_an_absence(&told);

	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 4, 0), at(2027, 1, 1, 5, 0),
	      at(2027, 1, 1, 6, 0));
	stop(stage);
}
END_TEST

START_TEST(a_year_of_missed_seconds)
{
	struct told told = {.every_ms = SECOND, .missed = MISSED_RUN_ALL};
	struct fires *fires;
	struct stage *stage;

	clock_ms = at(2026, 1, 1, 0, 0);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	stop(stage);
	clock_ms = at(2027, 1, 1, 0, 0);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	schedule_ring(stage->schedd.schedule, false);
	fires = fires_of(stage, "one");
	ck_assert_uint_ge(fires->count, CATCH_UP_MAX);
	ck_assert_uint_le(fires->count, CATCH_UP_MAX + 2);
	ck_assert_int_ge(fires->at[0], clock_ms - (CATCH_UP_MAX + 2) * SECOND);
	stop(stage);
}
END_TEST

/* --- clocks that are set -----------------------------------------------------------------------
 */

static struct stage *
hourly_at_half_past_two(enum missed missed)
{
	struct told told = {.every_ms = HOUR, .missed = missed};
	struct stage *stage;

	clock_ms = at(2027, 1, 1, 0, 30);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	run_until(stage, at(2027, 1, 1, 2, 30));
	return stage;
}

static void
set_clock(struct stage *stage, int64_t ms)
{
	clock_ms = ms;
	schedule_ring(stage->schedd.schedule, true);
}

START_TEST(a_clock_that_is_set_forward)
{
	struct stage *stage = hourly_at_half_past_two(MISSED_SKIP);

	set_clock(stage, at(2027, 1, 1, 7, 30));
	run_until(stage, at(2027, 1, 1, 8, 30));
	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0), at(2027, 1, 1, 8, 0));
	stop(stage);
}
END_TEST

START_TEST(a_clock_that_is_set_back)
{
	struct stage *stage = hourly_at_half_past_two(MISSED_RUN_ALL);

	set_clock(stage, at(2027, 1, 1, 0, 10));
	run_until(stage, at(2027, 1, 1, 3, 30));
	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0), at(2027, 1, 1, 3, 0));
	stop(stage);
}
END_TEST

START_TEST(a_clock_that_was_years_ahead)
{
	struct stage *stage = hourly_at_half_past_two(MISSED_SKIP);

	set_clock(stage, at(2040, 1, 1, 0, 30));
	run_until(stage, at(2040, 1, 1, 1, 30));
	set_clock(stage, at(2027, 1, 1, 2, 40));
	run_until(stage, at(2027, 1, 1, 4, 30));
	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0), at(2027, 1, 1, 3, 0),
	      at(2027, 1, 1, 4, 0), at(2040, 1, 1, 1, 0));
	stop(stage);
}
END_TEST

/* Its next time is days away, which says nothing about the clock. */
START_TEST(a_weekly_time_that_was_missed_stays_missed)
{
	struct told told = {.cron = "0 2 * * fri", .missed = MISSED_SKIP};
	struct stage *stage;

	clock_ms = at(2027, 1, 1, 0, 30);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	set_clock(stage, at(2027, 1, 1, 2, 30));
	set_clock(stage, at(2027, 1, 1, 1, 30));
	run_until(stage, at(2027, 1, 9, 0, 0));
	FIRED(stage, "one", at(2027, 1, 8, 2, 0));
	stop(stage);
}
END_TEST

/* That a time is left out is not so before the ledger has it: the clock that goes back over it
 * finds it left out also by a schedd that has died since. */
START_TEST(a_missed_time_that_the_disk_did_not_take)
{
	struct told told = {.every_ms = HOUR, .missed = MISSED_SKIP};
	struct stage *stage = hourly_at_half_past_two(MISSED_SKIP);
	sqlite3 *db = stage->schedd.ledger->db;

	sqlite3_exec(db, "PRAGMA query_only=ON", NULL, NULL, NULL);
	set_clock(stage, at(2027, 1, 1, 7, 30));
	ck_assert_int_eq(armed_ms, clock_ms + FIRE_AGAIN_MS);
	run_until(stage, clock_ms + MINUTE);
	sqlite3_exec(db, "PRAGMA query_only=OFF", NULL, NULL, NULL);
	run_until(stage, clock_ms + MINUTE);
	stop(stage);
	clock_ms = at(2027, 1, 1, 3, 30);
	stage = start();
	tell(stage, "one", &told, 1);
	known(stage);
	run_until(stage, at(2027, 1, 1, 8, 30));
	FIRED(stage, "one", at(2027, 1, 1, 1, 0), at(2027, 1, 1, 2, 0), at(2027, 1, 1, 8, 0));
	stop(stage);
}
END_TEST

/* --- deaths ------------------------------------------------------------------------------------
 */

static uint64_t random_state;

static uint64_t
draw(uint64_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64_C(0x2545F4914F6CDD1D) >> 16) % below;
}

static const struct told many[] = {
    {.cron = "*/40 * * * *", .zone = "America/New_York", .missed = MISSED_RUN_ALL},
    {.cron = "30 2 * * *", .zone = "Europe/Berlin", .missed = MISSED_RUN_ALL},
    {.every_ms = 50 * MINUTE, .missed = MISSED_RUN_ALL, .jitter_ms = 5 * MINUTE},
};

/* Every scheduled time of the triggers, of all together. */
static size_t
expected(struct stage *stage, int64_t from, int64_t until, int64_t *times)
{
	struct zones *zones = zones_new(zoneinfo_fd(), NULL);
	size_t count = 0;

	(void)stage;
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		struct trigger trigger = {.kind = many[i].cron ? TRIGGER_CRON : TRIGGER_EVERY};
		char why[CRON_WHY_SIZE];
		struct cron cron;

		if (many[i].cron) {
			ck_assert(cron_parse(many[i].cron, &cron, why));
			trigger.cron = cron;
			trigger.zone =
			    (unsigned)zones_find(zones, many[i].zone, NULL) & (ZONES_MAX - 1);
		} else {
			trigger.period_ms = many[i].every_ms;
		}
		for (int64_t t = from; (t = trigger_next(&trigger, zones, t)) <= until;)
			times[count++] = t;
	}
	zones_free(zones);
	qsort(times, count, sizeof(times[0]), by_value);
	return count;
}

/* Forty days with a death, or a step of the clock to and fro, every few hours: the ledger's file is
 * all that stays. Each scheduled time is there, and once. */
START_TEST(deaths_and_steps)
{
	static int64_t times[FIRES_MAX];
	const int64_t from = at(2027, 3, 1, 0, 0), until = from + 40 * DAY;
	struct fires *fires;
	struct stage *stage;
	size_t count;

	random_state = 1;
	clock_ms = from;
	stage = start();
	tell(stage, "many", many, ARRAY_LEN(many));
	known(stage);
	while (clock_ms < until) {
		run_until(stage, clock_ms + (int64_t)draw(5 * HOUR));
		if (draw(3) == 0) {
			set_clock(stage, clock_ms - (int64_t)draw(3 * HOUR));
			continue;
		}
		if (draw(3) == 0) {
			set_clock(stage, clock_ms + (int64_t)draw(3 * HOUR));
			continue;
		}
		stop(stage);
		clock_ms += (int64_t)draw(2 * HOUR);
		stage = start();
		tell(stage, "many", many, ARRAY_LEN(many));
		known(stage);
	}
	run_until(stage, clock_ms + 10 * MINUTE);
	count = expected(stage, from, until, times);
	fires = fires_of(stage, "many");
	ck_assert_uint_ge(fires->count, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(fires->at[i], times[i]);
	stop(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    each_kind_fires,
	    jitter_delays_and_stays,
	    a_changed_trigger_begins_anew,
	    missed_times,
	    missed_times_run_once,
	    missed_times_run_all,
	    missed_times_within,
	    a_year_of_missed_seconds,
	    a_clock_that_is_set_forward,
	    a_clock_that_is_set_back,
	    a_clock_that_was_years_ahead,
	    a_weekly_time_that_was_missed_stays_missed,
	    a_missed_time_that_the_disk_did_not_take,
	    deaths_and_steps,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
