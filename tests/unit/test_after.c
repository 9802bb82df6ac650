// with: schedd/*.c
/* What starts after another agent: once for each end, through deaths, and not for ever. */
#include <string.h>
#include <sys/mman.h>

#include "schedd/deliver.h"
#include "schedd/events.h"
#include "tests/unit/stage.h"

static void
wait_for(struct stage *stage, const char *agent, const char *after, const char *outcome)
{
	struct rows *rows = rows_new("triggers");
	struct msg row, msg;

	msg_init(&row, MSG_EVENT_TRIGGER);
	row.event_trigger.kind = TRIGGER_AFTER;
	strcpy(row.event_trigger.id, "after-1");
	strcpy(row.event_trigger.after, after);
	strcpy(row.event_trigger.outcome, outcome);
	strcpy(row.event_trigger.task, "{{event.data.agent}}: {{event.data.outcome}}");
	ck_assert_int_eq(rows_add(rows, &row), 0);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, agent);
	msg_add_fd(&msg, rows_seal(rows));
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

/* The agent next waits for ends of first. */
static struct stage *
begin_waiting(const char *outcome)
{
	struct stage *stage = begin();

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, "first", OVERLAP_QUEUE);
	install(stage, "next", OVERLAP_QUEUE);
	wait_for(stage, "next", "first", outcome);
	end_inventory(stage);
	return stage;
}

/* The next PREPARE that runnerd is sent; waits for it. */
static void
take_prepare(struct stage *stage, struct msg *msg)
{
	do
		ck_assert_msg(peer_next(&stage->runnerd, msg), "nothing starts");
	while (msg->type != MSG_PREPARE);
}

/* None is sent in a while. */
static void
expect_no_prepare(struct stage *stage)
{
	struct msg msg;

	settle(stage->loop);
	while (stage->runnerd.first) {
		ck_assert(peer_next(&stage->runnerd, &msg));
		ck_assert_int_ne(msg.type, MSG_PREPARE);
	}
}

/* A session of first comes to this end. */
static struct uuid
come_to_end(struct stage *stage, enum session_outcome outcome)
{
	struct uuid id = enqueue(stage, "first");
	struct msg msg;

	take_prepare(stage, &msg);
	say_ended(stage, &id, outcome);
	return id;
}

/* Waits until the agent next has a session; it has one. */
static void
expect_one_next(struct stage *stage)
{
	const struct agent *next = queue_agent(stage->schedd.queue, "next");
	uint64_t until = boottime_ns() + UINT64_C(8000000000);

	do
		settle(stage->loop);
	while (next->live_count + next->waiting_count == 0 && boottime_ns() < until);
	ck_assert_uint_eq(next->live_count + next->waiting_count, 1);
}

START_TEST(an_end_starts_who_waits_for_it_with_its_outcome)
{
	struct stage *stage = begin_waiting("failed");
	char text[UUID_TEXT_LEN + 1];
	const uint8_t *bytes;
	struct uuid id;
	size_t length;
	struct msg msg;

	come_to_end(stage, OUTCOME_SUCCESS);
	expect_no_prepare(stage);
	id = come_to_end(stage, OUTCOME_FAILED);
	take_prepare(stage, &msg);
	ck_assert_str_eq(msg.prepare.agent, "next");
	ck_assert_str_eq(msg.prepare.trigger_kind, "after");
	ck_assert_str_eq(msg.prepare.trigger_id, "after-1");
	ck_assert_str_eq(msg.prepare.task, "first: failed");
	ck_assert_uint_eq(msg.nfds, 1);
	ck_assert_int_eq(memfd_map(msg.fds[0], EVENT_JSON_MAX, &bytes, &length), 0);
	ck_assert_ptr_nonnull(memmem(bytes, length, uuid_format(&id, text), UUID_TEXT_LEN));
	ck_assert_ptr_nonnull(memmem(bytes, length, "\"type\":\"session.ended\"", 22));
	ck_assert_ptr_nonnull(memmem(bytes, length, "\"exit_code\":3", 13));
	munmap((void *)bytes, length);
	msg_close_fds(&msg);
	expect_one_next(stage);
	finish(stage);
}
END_TEST

/* What never began has to be named. */
START_TEST(any_end_is_one_of_what_began)
{
	static const char *const words[] = {"", "any"};
	static const struct {
		enum session_outcome outcome;
		bool begun;
	} ends[] = {
	    {OUTCOME_SUCCESS, true},   {OUTCOME_LOST, true},     {OUTCOME_TIMED_OUT, true},
	    {OUTCOME_CANCELLED, true}, {OUTCOME_SKIPPED, false}, {OUTCOME_REFUSED, false},
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(ends); i++) {
		struct stage *stage = begin_waiting(words[i % 2]);
		struct msg msg;

		come_to_end(stage, ends[i / 2].outcome);
		if (!ends[i / 2].begun) {
			expect_no_prepare(stage);
		} else {
			take_prepare(stage, &msg);
			msg_close_fds(&msg);
			say_ended(stage, &msg.prepare.session, OUTCOME_SUCCESS);
			settle(stage->loop);
		}
		finish(stage);
	}
}
END_TEST

/* The end is durable, and schedd dies before it does anything about it. */
START_TEST(a_death_after_the_end_loses_nothing_and_doubles_nothing)
{
	struct stage *stage = begin_waiting("success");
	struct uuid id = enqueue(stage, "first");
	struct ledger_session row;
	struct error error = ERROR_INIT;

	expect_for(stage, MSG_PREPARE, &id);
	ck_assert_int_eq(ledger_get(stage->schedd.ledger, &id, &row, &error), 1);
	row.row.state = STATE_ENDED;
	row.row.outcome = OUTCOME_SUCCESS;
	ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
	ck_assert_int_eq(ledger_update(stage->schedd.ledger, &row, DURABLE, &error), 0);
	ck_assert_int_eq(deliver_end(&stage->schedd, &row, &error), 0);
	ck_assert_int_eq(ledger_commit(stage->schedd.ledger, &error), 0);
	finish(stage);
	for (int life = 0; life < 2; life++) {
		stage = begin_waiting("success");
		expect_one_next(stage);
		/* As if it had died before the mark that it is delivered. */
		ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
		ck_assert_int_eq(deliver_end(&stage->schedd, &row, &error), 0);
		ck_assert_int_eq(ledger_commit(stage->schedd.ledger, &error), 0);
		finish(stage);
	}
}
END_TEST

/* While it is not known who is installed, somebody may wait. */
START_TEST(an_end_before_the_agents_are_known_is_kept)
{
	struct stage *stage = begin_waiting("success");
	struct uuid id = enqueue(stage, "first");

	expect_for(stage, MSG_PREPARE, &id);
	finish(stage);
	stage = begin();
	meet_runnerd(stage);
	say_ended(stage, &id, OUTCOME_SUCCESS);
	settle(stage->loop);
	finish(stage);
	stage = begin_waiting("success");
	expect_one_next(stage);
	finish(stage);
}
END_TEST

static int
count_refused(const struct ledger_session *session, void *arg)
{
	*(unsigned *)arg += session->row.outcome == OUTCOME_REFUSED;
	return 0;
}

/* Two that start one another. */
START_TEST(a_circle_comes_to_an_end)
{
	struct stage *stage = begin_waiting("any");
	struct ledger_filter all = {.agent = ""};
	uint64_t until;
	unsigned refused = 0;
	struct error error = ERROR_INIT;
	struct msg msg;

	wait_for(stage, "first", "next", "");
	enqueue(stage, "first");
	for (int i = 0; i <= EVENT_DEPTH_MAX; i++) {
		take_prepare(stage, &msg);
		msg_close_fds(&msg);
		say_ended(stage, &msg.prepare.session, OUTCOME_SUCCESS);
	}
	until = boottime_ns() + UINT64_C(8000000000);
	while (refused == 0 && boottime_ns() < until) {
		settle(stage->loop);
		ck_assert_int_eq(
		    ledger_each(stage->schedd.ledger, &all, count_refused, &refused, &error), 0);
	}
	ck_assert_uint_eq(refused, 1);
	expect_no_prepare(stage);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    an_end_starts_who_waits_for_it_with_its_outcome,
	    any_end_is_one_of_what_began,
	    a_death_after_the_end_loses_nothing_and_doubles_nothing,
	    an_end_before_the_agents_are_known_is_kept,
	    a_circle_comes_to_an_end,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
