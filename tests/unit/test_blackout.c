// with: schedd/*.c
/* Blackouts under a clock of the test's own: when they are, what waits for their end and what is
 * left out. */
#include <string.h>

#include "common/timefmt.h"
#include "schedd/gate.h"
#include "tests/unit/test_clock.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static int64_t
at(const char *text)
{
	uint64_t ms;

	ck_assert(rfc3339_parse(text, &ms));
	return (int64_t)ms;
}

/* --- when they are -----------------------------------------------------------------------------
 */

struct dark {
	const char *crons[3], *zone, *at, *until; /* NULL: not dark, "": without end */
};

static const struct dark darks[] = {
    {{"* 22-23 * * *"}, "", "2027-05-03T21:59:59Z", NULL},
    {{"* 22-23 * * *"}, "", "2027-05-03T22:00:00Z", "2027-05-04T00:00:00Z"},
    {{"* 22-23 * * *"}, "", "2027-05-03T23:59:59Z", "2027-05-04T00:00:00Z"},
    {{"* 22-23 * * *"}, "", "2027-05-04T00:00:00Z", NULL},
    {{"* 22-23 * * *", "* 0-5 * * *"}, "", "2027-05-03T23:00:00Z", "2027-05-04T06:00:00Z"},
    {{"* 22-23 * * *", "0-9 0 * * *"}, "", "2027-05-03T22:30:00Z", "2027-05-04T00:10:00Z"},
    {{"30 2 * * *"}, "", "2027-05-03T02:30:59Z", "2027-05-03T02:31:00Z"},
    {{"10-19 30 2 * * *"}, "", "2027-05-03T02:30:12Z", "2027-05-03T02:30:20Z"},
    {{"10-19 30 2 * * *"}, "", "2027-05-03T02:30:20Z", NULL},
    {{"* * * * sat,sun"}, "Europe/Berlin", "2027-05-01T12:00:00Z", "2027-05-02T22:00:00Z"},
    {{"* * 24-31 12 *"}, "", "2027-12-24T00:00:00Z", "2028-01-01T00:00:00Z"},
    {{"* * * * *"}, "", "2027-05-03T00:00:00Z", ""},
    {{"* 0-11 * * *", "* 12-23 * * *"}, "", "2027-05-03T00:00:00Z", ""},
    {{"* * 1-28 2 *", "* * * 1,3-12 *"}, "", "2097-01-01T00:00:00Z", "2104-02-29T00:00:00Z"},
    /* The hour that is skipped is dark for nobody, the one that is shown twice is dark twice. */
    {{"* 2 * * *"}, "Europe/Berlin", "2027-03-28T01:00:00Z", NULL},
    {{"* 2 * * *"}, "Europe/Berlin", "2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z"},
    {{"* 0-2 * * *"}, "Europe/Berlin", "2027-03-27T23:30:00Z", "2027-03-28T01:00:00Z"},
};

static int
rows_of(const char *const crons[3], const char *zone)
{
	struct rows *rows = rows_new("blackouts");
	struct msg row;

	for (int i = 0; i < 3 && crons[i]; i++) {
		msg_init(&row, MSG_BLACKOUT);
		strcpy(row.blackout.cron, crons[i]);
		strcpy(row.blackout.timezone, zone);
		ck_assert_int_eq(rows_add(rows, &row), 0);
	}
	return rows_seal(rows);
}

START_TEST(they_last_while_an_expression_matches)
{
	struct error error = ERROR_INIT;
	struct zones *zones = zones_new(zoneinfo_fd(), &error);
	struct blackouts *blackouts = blackouts_new(zones);

	for (size_t i = 0; i < ARRAY_LEN(darks); i++) {
		int rows = rows_of(darks[i].crons, darks[i].zone);
		int64_t until;

		ck_assert_int_eq(blackouts_set(blackouts, "one", rows, &error), 0);
		close(rows);
		until = blackouts_until(blackouts, "one", at(darks[i].at));
		ck_assert_msg(until == (!darks[i].until   ? 0
					: *darks[i].until ? at(darks[i].until)
							  : INT64_MAX),
			      "%s %s at %s: %lld", darks[i].crons[0], darks[i].zone, darks[i].at,
			      (long long)until);
	}
	ck_assert_int_eq(blackouts_until(blackouts, "two", 0), 0);
	ck_assert_int_eq(blackouts_set(blackouts, "one", -1, &error), 0);
	ck_assert(!blackouts_has(blackouts, "one"));
	blackouts_free(blackouts);
	zones_free(zones);
}
END_TEST

START_TEST(one_that_cannot_be_used_is_a_blackout)
{
	static const char *const no_zone[3] = {"* 1 * * *"}, *const no_cron[3] = {"* * * *"};
	struct error error = ERROR_INIT;
	struct zones *zones = zones_new(zoneinfo_fd(), &error);
	struct blackouts *blackouts = blackouts_new(zones);
	int rows = rows_of(no_zone, "Nowhere/City");

	ck_assert_int_eq(blackouts_set(blackouts, "one", rows, &error), -1);
	ck_assert(blackouts_until(blackouts, "one", 0) == INT64_MAX);
	close(rows);
	rows = rows_of(no_cron, "");
	ck_assert_int_eq(blackouts_set(blackouts, "one", rows, &error), -1);
	ck_assert(blackouts_until(blackouts, "one", 0) == INT64_MAX);
	close(rows);
	blackouts_free(blackouts);
	zones_free(zones);
}
END_TEST

/* --- what waits --------------------------------------------------------------------------------
 */

static void
darken(struct stage *stage, const char *agent, const char *cron)
{
	const char *const crons[3] = {cron};
	int rows = cron ? rows_of(crons, "") : -1;

	schedule_darken(stage->schedd.schedule, agent, rows);
	gate_changed(&stage->schedd, queue_agent(stage->schedd.queue, agent));
	close_fd(&rows);
}

static struct stage *
begin_at(const char *time)
{
	struct stage *stage;
	struct msg def;

	clock_ms = at(time);
	stage = begin();
	schedule_set_clock(stage->schedd.schedule, &test_clock);
	meet_control(stage);
	meet_runnerd(stage);
	msg_init(&def, MSG_AGENT_DEF);
	strcpy(def.agent_def.agent, "one");
	def.agent_def.max = 1;
	def.agent_def.queue_limit = 1000;
	ck_assert_ptr_nonnull(queue_define(stage->schedd.queue, &def.agent_def));
	return stage;
}

static void
fire_event(struct stage *stage, const char *id)
{
	struct error error = ERROR_INIT;
	struct fire fire = {.id = uuid_new(),
			    .agent = "one",
			    .trigger_kind = "event",
			    .trigger_id = id,
			    .scheduled_at_ms = (uint64_t)clock_ms,
			    .task = "",
			    .operator= "" };

	ck_assert_int_eq(session_fire(&stage->schedd, &fire, &error), 0);
}

START_TEST(sessions_wait_for_the_end_and_operators_are_told)
{
	struct stage *stage = begin_at("2027-05-03T21:59:00Z");
	struct msg_session_row row;
	struct msg msg;

	end_inventory(stage);
	darken(stage, "one", "* 22-23 * * *");
	ck_assert(armed_ms == NEVER);
	clock_ms = at("2027-05-03T22:10:00Z");
	enqueue(stage, "one");
	expect(&stage->control, MSG_ERROR, &msg);
	ck_assert_int_eq(msg.error.code, ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(msg.error.why, "blackout until 2027-05-04T00:00:00.000Z"));
	ck_assert(armed_ms == NEVER);
	fire_event(stage, "event-1/1");
	fire_event(stage, "event-1/2");
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 0);
	row = row_of(stage, "one@latest");
	ck_assert_int_eq(row.state, STATE_QUEUED);
	ck_assert_str_eq(row.reason, "blackout until 2027-05-04T00:00:00.000Z");
	ck_assert(armed_ms == at("2027-05-04T00:00:00Z"));
	ck_assert_uint_eq(run_until(stage, at("2027-05-04T00:00:00Z")), 1);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 1);
	ck_assert(armed_ms == NEVER);
	finish(stage);
}
END_TEST

START_TEST(the_clock_that_is_set_ends_or_begins_one)
{
	struct stage *stage = begin_at("2027-05-03T22:10:00Z");

	end_inventory(stage);
	darken(stage, "one", "* 22-23 * * *");
	fire_event(stage, "event-1/1");
	clock_ms = at("2027-05-05T22:10:00Z");
	schedule_ring(stage->schedd.schedule, true);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 0);
	ck_assert(armed_ms == at("2027-05-06T00:00:00Z"));
	clock_ms = at("2027-05-03T12:00:00Z");
	schedule_ring(stage->schedd.schedule, true);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	finish(stage);
}
END_TEST

START_TEST(one_that_is_taken_away_ends)
{
	struct stage *stage = begin_at("2027-05-03T22:10:00Z");
	struct msg msg;

	end_inventory(stage);
	darken(stage, "one", "* * * * *");
	fire_event(stage, "event-1/1");
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 0);
	ck_assert(armed_ms == NEVER);
	install(stage, "one", OVERLAP_QUEUE);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, "one");
	peer_send(&stage->runnerd, &msg);
	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	finish(stage);
}
END_TEST

/* --- what time fires ---------------------------------------------------------------------------
 */

static void
tell_every(struct stage *stage, int64_t every_ms, enum missed missed)
{
	struct msg msg;

	msg_init(&msg, MSG_TRIGGER_DEF);
	strcpy(msg.trigger_def.agent, "one");
	msg.trigger_def.kind = TRIGGER_EVERY;
	msg.trigger_def.every_ms = (uint64_t)every_ms;
	msg.trigger_def.at_ms = msg.trigger_def.missed_within_ms = ABSENT;
	msg.trigger_def.missed = (uint8_t)missed;
	schedule_define(stage->schedd.schedule, "one", 1);
	schedule_add(stage->schedd.schedule, &msg.trigger_def);
}

struct fires {
	int64_t at[64];
	size_t count;
};

static int
note_fire(const struct ledger_session *session, void *arg)
{
	struct fires *fires = arg;

	ck_assert_uint_lt(fires->count, ARRAY_LEN(fires->at));
	fires->at[fires->count++] = (int64_t)session->row.scheduled_at_ms;
	return 0;
}

/* Newest first. */
static struct fires
fires(struct stage *stage)
{
	struct ledger_filter all = {.agent = "one"};
	struct error error = ERROR_INIT;
	struct fires fires = {.count = 0};

	ck_assert_int_eq(ledger_each(stage->schedd.ledger, &all, note_fire, &fires, &error), 0);
	return fires;
}

static int64_t
next_told(struct stage *stage)
{
	return (int64_t)schedule_next_ms(stage->schedd.schedule, "one");
}

START_TEST(times_within_one_are_left_out_or_made_up_for_at_its_end)
{
	static const struct {
		enum missed missed;
		const char *next;
		size_t count;
		const char *newest[4];
	} cases[] = {
	    {MISSED_SKIP,
	     "2027-05-04T00:00:00Z",
	     2,
	     {"2027-05-04T00:00:00Z", "2027-05-03T21:45:00Z"}},
	    {MISSED_RUN_ONCE,
	     "2027-05-04T00:00:00Z",
	     3,
	     {"2027-05-04T00:00:00Z", "2027-05-03T23:45:00Z", "2027-05-03T21:45:00Z"}},
	    {MISSED_RUN_ALL,
	     "2027-05-04T00:00:00Z",
	     10,
	     {"2027-05-04T00:00:00Z", "2027-05-03T23:45:00Z", "2027-05-03T23:30:00Z"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage *stage = begin_at("2027-05-03T21:40:00Z");
		struct fires all;

		end_inventory(stage);
		queue_agent(stage->schedd.queue, "one")->queue_limit = 1000;
		darken(stage, "one", "* 22-23 * * *");
		tell_every(stage, 15 * MINUTE, cases[i].missed);
		run_until(stage, at("2027-05-03T21:50:00Z"));
		ck_assert_uint_eq(fires(stage).count, 1);
		/* 22:00 rings, is held, and nothing rings before the end. */
		ck_assert_uint_eq(run_until(stage, at("2027-05-03T23:59:59Z")), 1);
		ck_assert_uint_eq(fires(stage).count, 1);
		ck_assert(next_told(stage) == at(cases[i].next));
		run_until(stage, at("2027-05-04T00:00:00Z"));
		all = fires(stage);
		ck_assert_uint_eq(all.count, cases[i].count);
		for (size_t n = 0; n < ARRAY_LEN(cases[i].newest) && cases[i].newest[n]; n++)
			ck_assert(all.at[n] == at(cases[i].newest[n]));
		finish(stage);
		remove_dir();
		make_dir();
	}
}
END_TEST

/* A death in the dark, and one at its very end, make no difference. */
START_TEST(deaths_in_a_blackout_change_nothing)
{
	struct stage *stage = begin_at("2027-05-03T21:50:00Z");
	const char *const lives[] = {"2027-05-03T22:30:00Z", "2027-05-03T23:59:59Z",
				     "2027-05-04T00:00:00Z"};

	end_inventory(stage);
	darken(stage, "one", "* 22-23 * * *");
	tell_every(stage, 15 * MINUTE, MISSED_RUN_ONCE);
	for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
		run_until(stage, at(lives[i]) - 1);
		finish(stage);
		stage = begin_at(lives[i]);
		darken(stage, "one", "* 22-23 * * *");
		tell_every(stage, 15 * MINUTE, MISSED_RUN_ONCE);
		end_inventory(stage);
		if (i + 1 < ARRAY_LEN(lives))
			ck_assert_uint_eq(fires(stage).count, 0);
	}
	run_until(stage, at("2027-05-04T00:16:00Z"));
	ck_assert_uint_eq(fires(stage).count, 3);
	ck_assert(fires(stage).at[2] == at("2027-05-03T23:45:00Z"));
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    they_last_while_an_expression_matches,
	    one_that_cannot_be_used_is_a_blackout,
	    sessions_wait_for_the_end_and_operators_are_told,
	    the_clock_that_is_set_ends_or_begins_one,
	    one_that_is_taken_away_ends,
	    times_within_one_are_left_out_or_made_up_for_at_its_end,
	    deaths_in_a_blackout_change_nothing,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
