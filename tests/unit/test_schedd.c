// with: schedd/ledger.c schedd/ledger_query.c schedd/queue.c schedd/sessions.c
// with: schedd/fire.c schedd/answers.c schedd/peers.c schedd/schedd.c
/* The scheduler with a runnerd and a control that the test plays. */
#include <signal.h>
#include <sys/resource.h>

#include "common/log.h"
#include "schedd/peers.h"
#include "schedd/schedd.h"
#include "schedd/sessions.h"
#include "tests/unit/peer.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/scarab-schedd-XXXXXX";
static char path[sizeof(dir) + 16];

struct stage {
	struct loop *loop;
	struct schedd schedd;
	struct peer control, runnerd;
};

static void
make_dir(void)
{
	strcpy(dir, "/tmp/scarab-schedd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	log_set_level(LOG_LEVEL_ERROR);
}

static void
remove_dir(void)
{
	char wal[sizeof(path) + 8];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(wal);
	unlink(path);
	rmdir(dir);
}

/* schedd begins with what the ledger holds and nobody to talk to. */
static struct stage *
begin(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct error error = ERROR_INIT;
	struct config *config = config_read(NULL, 0, "defaults", &error);
	struct ledger *ledger = ledger_open(path, path, &error);

	ck_assert_msg(ledger != NULL, "%s: %s", error.what, error.why);
	stage->loop = loop_new();
	ck_assert_int_eq(schedd_init(&stage->schedd, stage->loop, config, ledger, &error), 0);
	return stage;
}

static void
meet_control(struct stage *stage)
{
	int fd = peer_open(&stage->control, stage->loop, CH_CONTROL_SCHEDD, SIDE_A, ROLE_CONTROL,
			   ROLE_SCHEDD);

	peers_introduce_control(&stage->schedd, fd);
}

static void
meet_runnerd(struct stage *stage)
{
	int fd = peer_open(&stage->runnerd, stage->loop, CH_SCHEDD_RUNNERD, SIDE_B, ROLE_RUNNERD,
			   ROLE_SCHEDD);

	peers_introduce_runnerd(&stage->schedd, fd);
}

static void
install(struct stage *stage, const char *name, enum overlap policy)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_DEF);
	strcpy(msg.agent_def.agent, name);
	msg.agent_def.overlap = (uint8_t)policy;
	msg.agent_def.max = 1;
	msg.agent_def.queue_limit = 2;
	msg.agent_def.timeout_ms = 60000;
	strcpy(msg.agent_def.task, "the manifest's task");
	peer_send(&stage->runnerd, &msg);
}

static void
end_inventory(struct stage *stage)
{
	struct msg msg;

	msg_init(&msg, MSG_INVENTORY_END);
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

/* Everybody is there, an agent is installed. */
static struct stage *
begin_with(const char *agent, enum overlap policy)
{
	struct stage *stage = begin();

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, agent, policy);
	end_inventory(stage);
	return stage;
}

static void
finish(struct stage *stage)
{
	peer_free(&stage->control);
	peer_free(&stage->runnerd);
	schedd_release(&stage->schedd);
	loop_free(stage->loop);
	free(stage);
}

static void
ask(enum msg_type type, struct msg *msg, uint32_t id)
{
	msg_init(msg, type);
	msg->id = id;
}

static struct uuid
enqueue_as(struct stage *stage, const char *agent, struct uuid id, uint32_t request)
{
	struct msg msg;

	ask(MSG_ENQUEUE, &msg, request);
	msg.enqueue.session = id;
	strcpy(msg.enqueue.agent, agent);
	strcpy(msg.enqueue.operator, "root");
	peer_send(&stage->control, &msg);
	return id;
}

static struct uuid
enqueue(struct stage *stage, const char *agent)
{
	return enqueue_as(stage, agent, uuid_new(), 7);
}

static void
expect_event(struct stage *stage, const struct uuid *id, enum session_state state,
	     enum session_outcome outcome)
{
	struct msg msg;

	expect(&stage->control, MSG_SESSION_EVENT, &msg);
	ck_assert(uuid_equal(&msg.session_event.session, id));
	ck_assert_str_eq(session_state_name(msg.session_event.state), session_state_name(state));
	ck_assert_int_eq(msg.session_event.outcome, outcome);
}

/* The answer and the first event of an accepted session, in the order schedd gives them. */
static void
expect_accepted(struct stage *stage, const struct uuid *id, enum session_state state)
{
	struct msg msg;

	expect_event(stage, id, state, OUTCOME_NONE);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 7);
}

static void
expect_error(struct stage *stage, enum error_code code)
{
	struct msg msg;

	expect(&stage->control, MSG_ERROR, &msg);
	ck_assert_int_eq(msg.error.code, code);
	ck_assert_int_ne(msg.error.why[0], '\0');
}

static void
say(struct stage *stage, enum msg_type type, const struct uuid *id)
{
	struct msg msg;

	msg_init(&msg, type);
	switch (type) {
	case MSG_PREPARED:
		msg.prepared.session = *id;
		break;
	case MSG_RUNNING:
		msg.running.session = *id;
		msg.running.running_at_ms = realtime_ms();
		break;
	case MSG_STEP:
		msg.step.session = *id;
		msg.step.step = STEP_IMAGE;
		msg.step.took_us = 42000;
		break;
	default:
		ck_abort_msg("not a message of one session");
	}
	peer_send(&stage->runnerd, &msg);
}

static void
say_ended(struct stage *stage, const struct uuid *id, enum session_outcome outcome)
{
	struct msg msg;

	msg_init(&msg, MSG_ENDED);
	msg.ended.session = *id;
	msg.ended.outcome = (uint8_t)outcome;
	msg.ended.exit_code = outcome == OUTCOME_FAILED ? 3 : 0;
	msg.ended.signal = -1;
	msg.ended.ended_at_ms = realtime_ms();
	msg.ended.log_bytes = 1234;
	peer_send(&stage->runnerd, &msg);
}

static void
say_held(struct stage *stage, const struct uuid *id, enum session_state state)
{
	struct msg msg;

	msg_init(&msg, MSG_INVENTORY);
	msg.inventory.session = *id;
	msg.inventory.state = (uint8_t)state;
	msg.inventory.running_at_ms = state == STATE_RUNNING ? 99 : 0;
	peer_send(&stage->runnerd, &msg);
}

static void
expect_for(struct stage *stage, enum msg_type type, const struct uuid *id)
{
	struct msg msg;

	expect(&stage->runnerd, type, &msg);
	ck_assert(uuid_equal(type == MSG_PREPARE  ? &msg.prepare.session
			     : type == MSG_GO     ? &msg.go.session
			     : type == MSG_CANCEL ? &msg.cancel.session
						  : &msg.end_ack.session,
			     id));
}

/* From ENQUEUE to RUNNING. */
static struct uuid
run(struct stage *stage, const char *agent)
{
	struct uuid id = enqueue(stage, agent);

	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	say(stage, MSG_PREPARED, &id);
	expect_for(stage, MSG_GO, &id);
	say(stage, MSG_RUNNING, &id);
	expect_event(stage, &id, STATE_RUNNING, OUTCOME_NONE);
	return id;
}

static struct msg_session_row
row_of(struct stage *stage, const char *ref)
{
	struct rows_reader *reader;
	struct msg msg, record;

	ask(MSG_SESSION_QUERY, &msg, 9);
	strcpy(msg.session_query.ref, ref);
	peer_send(&stage->control, &msg);
	do
		ck_assert(peer_next(&stage->control, &msg));
	while (msg.type == MSG_SESSION_EVENT);
	ck_assert_int_eq(msg.type, MSG_ROWS);
	reader = rows_open(msg.fds[0]);
	ck_assert_ptr_nonnull(reader);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_SESSION_ROW);
	rows_close(reader);
	msg_close_fds(&msg);
	return record.session_row;
}

static struct msg_session_row
row_by_id(struct stage *stage, const struct uuid *id)
{
	char ref[UUID_TEXT_LEN + 1];

	return row_of(stage, uuid_format(id, ref));
}

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

static void
cancel(struct stage *stage, const struct uuid *id, uint64_t expected)
{
	struct msg msg;

	ask(MSG_SESSION_CANCEL, &msg, 11);
	uuid_format(id, msg.session_cancel.ref);
	strcpy(msg.session_cancel.reason, "cancelled by root");
	peer_send(&stage->control, &msg);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.ok.value, expected);
}

START_TEST(cancel_of_a_queued_one_ends_it)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid second;

	run(stage, "one");
	second = enqueue(stage, "one");
	expect_accepted(stage, &second, STATE_QUEUED);
	cancel(stage, &second, 0);
	expect_event(stage, &second, STATE_ENDED, OUTCOME_CANCELLED);
	cancel(stage, &second, 1);
	finish(stage);
}
END_TEST

START_TEST(cancel_of_a_live_one_asks_runnerd)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = run(stage, "one");

	cancel(stage, &id, 0);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_for(stage, MSG_CANCEL, &id);
	cancel(stage, &id, 0);
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
	cancel(stage, &id, 0);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_for(stage, MSG_CANCEL, &id);
	say_ended(stage, &id, OUTCOME_NONE);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_CANCELLED);
	expect(&stage->runnerd, MSG_END_ACK, &msg);
	ck_assert(!msg.end_ack.keep_input);
	finish(stage);
}
END_TEST

/* --- deaths ---------------------------------------------------------------------------------- */

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
	cancel(stage, &id, 0);
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

static int
run_suite(const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create("schedd");
	TCase *all = tcase_create("schedd");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(all, make_dir, remove_dir);
	for (size_t i = 0; i < count; i++)
		_tcase_add_test(all, tests[i], 0, 0, 0, 1);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

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
	    runnerd_away_holds_the_queue,
	    runnerd_restarted_is_reconciled,
	    schedd_restarted_adopts_what_runnerd_holds,
	    a_row_that_schedd_took_along_is_asked_for_again,
	    an_input_of_no_session_is_dropped,
	    a_cancel_while_runnerd_is_away_is_kept,
	    an_enqueue_waits_for_the_first_word_of_runnerd,
	    an_enqueue_without_runnerd_is_refused,
	    a_removed_agents_queue_is_ended,
	    a_full_disk_refuses_the_run_whole,
	    an_end_waits_for_room,
	    references_are_resolved,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
