// with: schedd/*.c
/* The scheduler with a runnerd and a control that the test plays. */
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/stage.h"

/* --- the way of a session ------------------------------------------------------------------ */

START_TEST(a_session_from_end_to_end)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct msg_session_row row;
	struct uuid id = enqueue(stage, "one");
	struct msg msg;

	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert_str_eq(msg.prepare.task, "the manifest's task");
	ck_assert_uint_eq(msg.prepare.timeout_ms, 60000);
	ck_assert_str_eq(msg.prepare.trigger_kind, "manual");
	ck_assert_str_eq(msg.prepare.operator, "root");
	ck_assert_uint_eq(msg.prepare.attempt, 1);
	ck_assert(uuid_is_nil(&msg.prepare.previous));
	expect_accepted(stage, &id, STATE_SETUP);
	say(stage, MSG_STEP, &id);
	expect_event(stage, &id, STATE_SETUP, OUTCOME_NONE);
	say(stage, MSG_PREPARED, &id);
	expect_for(stage, MSG_GO, &id);
	say(stage, MSG_RUNNING, &id);
	expect_event(stage, &id, STATE_RUNNING, OUTCOME_NONE);
	say_ended(stage, &id, OUTCOME_FAILED);
	expect_for(stage, MSG_END_ACK, &id);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_FAILED);
	row = row_of(stage, "one@latest");
	ck_assert_int_eq(row.state, STATE_ENDED);
	ck_assert_int_eq(row.exit_code, 3);
	ck_assert_uint_eq(row.log_bytes, 1234);
	/* The next one hears of it. */
	id = row.session;
	enqueue(stage, "one");
	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert(uuid_equal(&msg.prepare.previous, &id));
	ck_assert_str_eq(msg.prepare.previous_outcome, "failed");
	finish(stage);
}
END_TEST

START_TEST(the_same_id_starts_once)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one");
	struct msg msg;

	enqueue_as(stage, "one", id, 8);
	expect(&stage->control, MSG_OK, &msg);
	expect_nothing(&stage->runnerd);
	say_ended(stage, &id, OUTCOME_SUCCESS);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_SUCCESS);
	enqueue_as(stage, "one", id, 9);
	expect(&stage->control, MSG_OK, &msg);
	expect_for(stage, MSG_END_ACK, &id);
	expect_nothing(&stage->runnerd);
	finish(stage);
}
END_TEST

START_TEST(an_unknown_agent_is_not_found)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);

	enqueue(stage, "two");
	expect_error(stage, ERR_NOT_FOUND);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	finish(stage);
}
END_TEST

START_TEST(one_waits_until_the_other_ended)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid first = run(stage, "one"), second = enqueue(stage, "one"), third;

	expect_accepted(stage, &second, STATE_QUEUED);
	third = enqueue(stage, "one");
	expect_accepted(stage, &third, STATE_QUEUED);
	ck_assert_uint_eq(row_by_id(stage, &third).queue_position, 2);
	enqueue(stage, "one"); /* queue_limit 2 */
	expect_error(stage, ERR_CONFLICT);
	expect_nothing(&stage->runnerd);
	say_ended(stage, &first, OUTCOME_SUCCESS);
	expect_for(stage, MSG_END_ACK, &first);
	expect_for(stage, MSG_PREPARE, &second);
	finish(stage);
}
END_TEST

START_TEST(policy_skip_records_it)
{
	struct stage *stage = begin_with("one", OVERLAP_SKIP);
	struct uuid second;
	struct msg msg;

	run(stage, "one");
	second = enqueue(stage, "one");
	expect_event(stage, &second, STATE_ENDED, OUTCOME_SKIPPED);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_int_ne(row_by_id(stage, &second).reason[0], '\0');
	finish(stage);
}
END_TEST

START_TEST(policy_replace_cancels_the_other)
{
	struct stage *stage = begin_with("one", OVERLAP_REPLACE);
	struct uuid first = run(stage, "one"), second = enqueue(stage, "one");
	struct msg msg;

	expect_event(stage, &second, STATE_QUEUED, OUTCOME_NONE);
	expect_event(stage, &first, STATE_STOPPING, OUTCOME_NONE);
	expect(&stage->control, MSG_OK, &msg);
	expect_for(stage, MSG_CANCEL, &first);
	say_ended(stage, &first, OUTCOME_CANCELLED);
	expect_for(stage, MSG_END_ACK, &first);
	expect_for(stage, MSG_PREPARE, &second);
	finish(stage);
}
END_TEST

/* --- cancel and drain ---------------------------------------------------------------------- */

START_TEST(cancel_of_a_queued_one_ends_it)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid second;

	run(stage, "one");
	second = enqueue(stage, "one");
	expect_accepted(stage, &second, STATE_QUEUED);
	cancel(stage, &second);
	expect_event(stage, &second, STATE_ENDED, OUTCOME_CANCELLED);
	expect_cancelled(stage, 0);
	cancel(stage, &second);
	expect_cancelled(stage, 1);
	finish(stage);
}
END_TEST

START_TEST(cancel_of_a_live_one_asks_runnerd)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one");

	cancel(stage, &id);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_cancelled(stage, 0);
	expect_for(stage, MSG_CANCEL, &id);
	cancel(stage, &id);
	expect_cancelled(stage, 0);
	expect_nothing(&stage->runnerd);
	say_ended(stage, &id, OUTCOME_CANCELLED);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_CANCELLED);
	finish(stage);
}
END_TEST

START_TEST(drain_ends_what_is_live_and_starts_nothing)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one"), waiting = enqueue(stage, "one");
	struct msg msg;

	expect_accepted(stage, &waiting, STATE_QUEUED);
	ask(MSG_DRAIN, &msg, 12);
	peer_send(&stage->control, &msg);
	expect_for(stage, MSG_CANCEL, &id);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_nothing(&stage->control);
	say_ended(stage, &id, OUTCOME_CANCELLED);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_CANCELLED);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 12);
	expect_for(stage, MSG_END_ACK, &id);
	expect_nothing(&stage->runnerd);
	enqueue(stage, "one");
	expect_error(stage, ERR_CONFLICT);
	ck_assert_int_eq(row_by_id(stage, &waiting).state, STATE_QUEUED);
	finish(stage);
}
END_TEST

/* --- a gate that never opened --------------------------------------------------------------- */

START_TEST(an_unopened_one_is_built_again_but_not_for_ever)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = enqueue(stage, "one");

	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	for (int i = 1; i < BUILDS_MAX; i++) {
		say_ended(stage, &id, OUTCOME_NONE);
		expect_for(stage, MSG_END_ACK, &id);
		expect_for(stage, MSG_PREPARE, &id);
		expect_event(stage, &id, STATE_QUEUED, OUTCOME_NONE);
		expect_event(stage, &id, STATE_SETUP, OUTCOME_NONE);
	}
	say_ended(stage, &id, OUTCOME_NONE);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_LOST);
	finish(stage);
}
END_TEST

START_TEST(a_cancelled_unopened_one_is_cancelled)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = enqueue(stage, "one");
	struct msg msg;

	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	cancel(stage, &id);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_cancelled(stage, 0);
	expect_for(stage, MSG_CANCEL, &id);
	say_ended(stage, &id, OUTCOME_NONE);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_CANCELLED);
	expect(&stage->runnerd, MSG_END_ACK, &msg);
	ck_assert(!msg.end_ack.keep_input);
	finish(stage);
}
END_TEST

/* --- the ledger refuses ------------------------------------------------------------------------
 */

static struct rlimit
limit_files(rlim_t bytes)
{
	struct rlimit old, new;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	new = old;
	new.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &new), 0);
	return old;
}

START_TEST(a_full_disk_refuses_the_run_whole)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct rlimit old = limit_files(4096);
	struct uuid id = enqueue(stage, "one");

	expect_error(stage, ERR_FAILED);
	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_uint_eq(queue_live(stage->schedd.queue) + queue_waiting(stage->schedd.queue), 0);
	id = enqueue_as(stage, "one", id, 7);
	settle(stage->loop);
	while (stage->runnerd.first && stage->runnerd.first->msg.type == MSG_CANCEL)
		expect_for(stage, MSG_CANCEL, &id);
	finish(stage);
}
END_TEST

START_TEST(an_end_waits_for_room)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one");
	struct rlimit old = limit_files(4096);

	say_ended(stage, &id, OUTCOME_SUCCESS);
	expect_nothing(&stage->runnerd);
	setrlimit(RLIMIT_FSIZE, &old);
	expect_for(stage, MSG_END_ACK, &id);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_SUCCESS);
	finish(stage);
}
END_TEST

/* --- references ---------------------------------------------------------------------------------
 */

static void
expect_ref_error(struct stage *stage, const char *ref, enum error_code code)
{
	struct msg msg;

	ask(MSG_SESSION_QUERY, &msg, 13);
	strcpy(msg.session_query.ref, ref);
	peer_send(&stage->control, &msg);
	expect_error(stage, code);
}

START_TEST(references_are_resolved)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = {{0xab, 0xcd, 0xef, 1, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};
	struct uuid other = id;
	struct msg_session_row row;

	other.bytes[3] = 2;
	enqueue_as(stage, "one", id, 7);
	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	enqueue_as(stage, "one", other, 7);
	expect_accepted(stage, &other, STATE_QUEUED);
	row = row_of(stage, "abcdef01");
	ck_assert(uuid_equal(&row.session, &id));
	row = row_of(stage, "ABCDEF02-00");
	ck_assert(uuid_equal(&row.session, &other));
	row = row_of(stage, "one@latest");
	ck_assert(uuid_equal(&row.session, &other));
	expect_ref_error(stage, "abcdef", ERR_CONFLICT);
	expect_ref_error(stage, "abcdef03", ERR_NOT_FOUND);
	expect_ref_error(stage, "a", ERR_CONFLICT);
	expect_ref_error(stage, "b", ERR_NOT_FOUND);
	expect_ref_error(stage, "one@first", ERR_NOT_FOUND);
	expect_ref_error(stage, "two@latest", ERR_NOT_FOUND);
	expect_ref_error(stage, "abcd-ef", ERR_NOT_FOUND);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_session_from_end_to_end,
	    the_same_id_starts_once,
	    an_unknown_agent_is_not_found,
	    one_waits_until_the_other_ended,
	    policy_skip_records_it,
	    policy_replace_cancels_the_other,
	    cancel_of_a_queued_one_ends_it,
	    cancel_of_a_live_one_asks_runnerd,
	    drain_ends_what_is_live_and_starts_nothing,
	    an_unopened_one_is_built_again_but_not_for_ever,
	    a_cancelled_unopened_one_is_cancelled,
	    a_full_disk_refuses_the_run_whole,
	    an_end_waits_for_room,
	    references_are_resolved,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
