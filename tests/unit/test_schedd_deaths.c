// with: schedd/*.c
/* The scheduler when its neighbours die, restart or are not there yet. */
#include "tests/unit/stage.h"

START_TEST(runnerd_away_holds_the_queue)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id;

	peer_free(&stage->runnerd);
	settle(stage->loop);
	id = enqueue(stage, "one");
	expect_accepted(stage, &id, STATE_QUEUED);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	expect_nothing(&stage->runnerd);
	end_inventory(stage);
	expect_for(stage, MSG_PREPARE, &id);
	finish(stage);
}
END_TEST

START_TEST(runnerd_restarted_is_reconciled)
{
	struct stage *stage = begin_with("running", OVERLAP_QUEUE);
	struct uuid kept, lost, setup, stranger = uuid_new();

	install(stage, "lost", OVERLAP_QUEUE);
	install(stage, "setup", OVERLAP_QUEUE);
	settle(stage->loop);
	kept = run(stage, "running");
	lost = run(stage, "lost");
	setup = enqueue(stage, "setup");
	expect_for(stage, MSG_PREPARE, &setup);
	expect_accepted(stage, &setup, STATE_SETUP);

	peer_free(&stage->runnerd);
	meet_runnerd(stage);
	install(stage, "running", OVERLAP_QUEUE);
	install(stage, "lost", OVERLAP_QUEUE);
	install(stage, "setup", OVERLAP_QUEUE);
	say_held(stage, &kept, STATE_RUNNING);
	say_held(stage, &stranger, STATE_RUNNING);
	end_inventory(stage);
	expect_for(stage, MSG_CANCEL, &stranger);
	ck_assert_int_eq(row_by_id(stage, &kept).state, STATE_RUNNING);
	finish(stage);

	/* The ledger says the same to the next schedd. */
	stage = begin();
	meet_control(stage);
	ck_assert_int_eq(row_by_id(stage, &lost).outcome, OUTCOME_LOST);
	ck_assert_int_eq(row_by_id(stage, &kept).state, STATE_RUNNING);
	finish(stage);
}
END_TEST

START_TEST(schedd_restarted_adopts_what_runnerd_holds)
{
	struct stage *stage = begin_with("running", OVERLAP_QUEUE);
	struct uuid running, setup, waiting, ended;
	struct msg msg;

	install(stage, "setup", OVERLAP_QUEUE);
	install(stage, "ended", OVERLAP_QUEUE);
	settle(stage->loop);
	running = run(stage, "running");
	ended = run(stage, "ended");
	waiting = enqueue(stage, "running");
	expect_accepted(stage, &waiting, STATE_QUEUED);
	setup = enqueue(stage, "setup");
	expect_for(stage, MSG_PREPARE, &setup);
	finish(stage);

	stage = begin();
	meet_control(stage);
	meet_runnerd(stage);
	install(stage, "running", OVERLAP_QUEUE);
	install(stage, "setup", OVERLAP_QUEUE);
	install(stage, "ended", OVERLAP_QUEUE);
	say_held(stage, &running, STATE_RUNNING);
	say_held(stage, &setup, STATE_SETUP);
	say_ended(stage, &ended, OUTCOME_SUCCESS);
	end_inventory(stage);
	expect_for(stage, MSG_PREPARE, &setup); /* asked again: where does it stand? */
	expect_for(stage, MSG_END_ACK, &ended);
	say(stage, MSG_PREPARED, &setup);
	expect_for(stage, MSG_GO, &setup);
	say_ended(stage, &running, OUTCOME_SUCCESS);
	expect_for(stage, MSG_END_ACK, &running);
	expect_for(stage, MSG_PREPARE, &waiting);
	while (stage->control.first)
		ck_assert(peer_next(&stage->control, &msg));
	ck_assert_int_eq(row_by_id(stage, &ended).outcome, OUTCOME_SUCCESS);
	/* An end that is repeated is acknowledged again. */
	say_ended(stage, &ended, OUTCOME_SUCCESS);
	expect_for(stage, MSG_END_ACK, &ended);
	finish(stage);
}
END_TEST

/* Nobody asked for its end: a new runnerd undoes what never opened its gate. */
START_TEST(what_is_torn_down_unopened_is_built_again)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = enqueue(stage, "one");

	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	peer_free(&stage->runnerd);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	say_held(stage, &id, STATE_STOPPING);
	end_inventory(stage);
	expect_for(stage, MSG_PREPARE, &id);
	ck_assert_int_eq(row_by_id(stage, &id).state, STATE_SETUP);
	say_ended(stage, &id, OUTCOME_NONE);
	expect_for(stage, MSG_END_ACK, &id);
	expect_for(stage, MSG_PREPARE, &id);
	ck_assert_int_eq(row_by_id(stage, &id).state, STATE_SETUP);
	finish(stage);
}
END_TEST

/* PREPARE had left, but the row was never committed: control asks again. */
START_TEST(a_row_that_schedd_took_along_is_asked_for_again)
{
	struct stage *stage = begin();
	struct uuid id = uuid_new(), other;
	struct msg msg;

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	say_held(stage, &id, STATE_SETUP);
	end_inventory(stage);
	expect(&stage->runnerd, MSG_CANCEL, &msg);
	ck_assert(uuid_equal(&msg.cancel.session, &id));
	ck_assert_int_eq(msg.cancel.outcome, OUTCOME_NONE);
	/* What runnerd still tears down may hold the home: nothing starts beside it. */
	other = enqueue(stage, "one");
	expect_accepted(stage, &other, STATE_QUEUED);
	enqueue_as(stage, "one", id, 7);
	expect_accepted(stage, &id, STATE_QUEUED);
	expect_nothing(&stage->runnerd);
	say_ended(stage, &id, OUTCOME_NONE);
	expect(&stage->runnerd, MSG_END_ACK, &msg);
	ck_assert(msg.end_ack.keep_input);
	expect_for(stage, MSG_PREPARE, &other);
	finish(stage);
}
END_TEST

START_TEST(an_input_of_no_session_is_dropped)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid queued, nobody = uuid_new();
	struct msg msg;

	peer_free(&stage->runnerd);
	settle(stage->loop);
	queued = enqueue(stage, "one");
	expect_accepted(stage, &queued, STATE_QUEUED);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	say_held(stage, &queued, STATE_QUEUED);
	say_held(stage, &nobody, STATE_QUEUED);
	end_inventory(stage);
	expect(&stage->runnerd, MSG_END_ACK, &msg);
	ck_assert(uuid_equal(&msg.end_ack.session, &nobody) && !msg.end_ack.keep_input);
	expect_for(stage, MSG_PREPARE, &queued);
	finish(stage);
}
END_TEST

START_TEST(a_cancel_while_runnerd_is_away_is_kept)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one");

	peer_free(&stage->runnerd);
	settle(stage->loop);
	cancel(stage, &id);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_cancelled(stage, 0);
	finish(stage);
	stage = begin();
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	say_held(stage, &id, STATE_RUNNING);
	end_inventory(stage);
	expect_for(stage, MSG_CANCEL, &id);
	finish(stage);
}
END_TEST

START_TEST(an_enqueue_waits_for_the_first_word_of_runnerd)
{
	struct stage *stage = begin();
	struct uuid id;

	meet_control(stage);
	id = enqueue(stage, "one");
	expect_nothing(&stage->control);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	end_inventory(stage);
	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	finish(stage);
}
END_TEST

START_TEST(an_enqueue_without_runnerd_is_refused)
{
	struct stage *stage = begin();

	meet_control(stage);
	enqueue(stage, "one");
	expect_error(stage, ERR_UNREACHABLE);
	finish(stage);
}
END_TEST

START_TEST(a_removed_agents_queue_is_ended)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid waiting;
	struct msg msg;

	run(stage, "one");
	waiting = enqueue(stage, "one");
	expect_accepted(stage, &waiting, STATE_QUEUED);
	msg_init(&msg, MSG_AGENT_GONE);
	strcpy(msg.agent_gone.agent, "one");
	peer_send(&stage->runnerd, &msg);
	expect_event(stage, &waiting, STATE_ENDED, OUTCOME_CANCELLED);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    runnerd_away_holds_the_queue,
	    runnerd_restarted_is_reconciled,
	    schedd_restarted_adopts_what_runnerd_holds,
	    what_is_torn_down_unopened_is_built_again,
	    a_row_that_schedd_took_along_is_asked_for_again,
	    an_input_of_no_session_is_dropped,
	    a_cancel_while_runnerd_is_away_is_kept,
	    an_enqueue_waits_for_the_first_word_of_runnerd,
	    an_enqueue_without_runnerd_is_refused,
	    a_removed_agents_queue_is_ended,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
