// with: schedd/*.c
// timeout: 300
/* What follows from the end of a session: retries, restarts, the breaker, budgets and pauses, under
 * a clock of the test's own, through deaths at every write of the ledger. */
#include <sqlite3.h>
#include <sys/wait.h>

#include "schedd/aftermath.h"
#include "schedd/successors.h"
#include "tests/unit/test_clock.h"

enum { SECOND = 1000 };
#define NOW INT64_C(1800000000000)
#define DAY INT64_C(86400000)

/* --- an agent -----------------------------------------------------------------------------------
 */

static const struct msg_agent_def worker = {
    .agent = "worker",
    .task = "the task",
    .max = 1,
    .queue_limit = 100,
    .timeout_ms = 60000,
    .backoff_ms = 10 * SECOND,
    .factor_milli = 2000,
    .max_backoff_ms = 30 * SECOND,
};

static void
define(struct stage *stage, const struct msg_agent_def *def)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_DEF);
	msg.agent_def = *def;
	peer_send(&stage->runnerd, &msg);
}

static struct stage *
begin_as(const struct msg_agent_def *def)
{
	struct stage *stage = begin();

	schedule_set_clock(stage->schedd.schedule, &test_clock);
	schedule_follow(stage->schedd.schedule);
	meet_control(stage);
	meet_runnerd(stage);
	define(stage, def);
	end_inventory(stage);
	return stage;
}

static void
pass(struct stage *stage, int64_t ms)
{
	clock_ms += ms;
	schedule_ring(stage->schedd.schedule, false);
}

/* Its end is told; what schedd answers is read. */
static void
end_as(struct stage *stage, const struct uuid *id, enum session_outcome outcome)
{
	say_ended(stage, id, outcome);
	expect_for(stage, MSG_END_ACK, id);
}

/* Who is prepared next, taken to its end. */
static struct uuid
next_ends(struct stage *stage, enum session_outcome outcome, uint32_t attempt)
{
	struct msg msg;

	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert_uint_eq(msg.prepare.attempt, attempt);
	end_as(stage, &msg.prepare.session, outcome);
	return msg.prepare.session;
}

static struct uuid
runs_and_ends(struct stage *stage, enum session_outcome outcome)
{
	enqueue(stage, "worker");
	return next_ends(stage, outcome, 1);
}

static struct agent *
agent(struct stage *stage)
{
	return queue_agent(stage->schedd.queue, "worker");
}

/* The delay until the next one, within its tenth of jitter; and it passes. */
static void
wait_backoff(struct stage *stage, int64_t ms)
{
	int64_t wait = queue_wakes_at(stage->schedd.queue) - clock_ms;

	ck_assert_int_le(wait, ms);
	ck_assert_int_ge(wait, ms - ms / JITTER_SHARE);
	ck_assert_int_eq(armed_ms, clock_ms + wait);
	pass(stage, wait - 1);
	expect_nothing(&stage->runnerd);
	pass(stage, 1);
}

static void
nothing_follows(struct stage *stage)
{
	ck_assert_int_eq(queue_wakes_at(stage->schedd.queue), NEVER);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	expect_nothing(&stage->runnerd);
}

/* --- retries ------------------------------------------------------------------------------------
 */

START_TEST(a_failed_one_is_tried_again)
{
	struct msg_agent_def def = worker;
	struct msg_session_row row;
	struct stage *stage;
	struct uuid first, second, third;
	struct msg msg;

	clock_ms = NOW;
	def.retry_max = 2;
	stage = begin_as(&def);
	first = runs_and_ends(stage, OUTCOME_FAILED);
	wait_backoff(stage, 10 * SECOND);
	expect(&stage->runnerd, MSG_PREPARE, &msg);
	second = msg.prepare.session;
	ck_assert(!uuid_equal(&second, &first));
	ck_assert_uint_eq(msg.prepare.attempt, 2);
	ck_assert(uuid_equal(&msg.prepare.previous, &first));
	ck_assert_str_eq(msg.prepare.previous_outcome, "failed");
	ck_assert_str_eq(msg.prepare.trigger_kind, "manual");
	ck_assert_str_eq(msg.prepare.trigger_id, "manual");
	ck_assert_str_eq(msg.prepare.task, "the task");
	end_as(stage, &second, OUTCOME_SETUP_FAILED);
	wait_backoff(stage, 20 * SECOND);
	third = next_ends(stage, OUTCOME_TIMED_OUT, 3);
	nothing_follows(stage);
	row = row_by_id(stage, &second);
	ck_assert_uint_eq(row.attempts, 3);
	ck_assert_uint_eq(row.succession, SUCCESSION_RETRY);
	ck_assert(uuid_equal(&row.former, &first));
	ck_assert(uuid_equal(&row.next, &third));
	row = row_by_id(stage, &third);
	ck_assert_uint_eq(row.next_succession, SUCCESSION_NONE);
	ck_assert_uint_eq(agent(stage)->standing.failures, 1); /* the chain, once */
	finish(stage);
}
END_TEST

START_TEST(backoff_grows_to_its_bound)
{
	struct agent a = {.backoff_ms = 100, .factor_milli = 1500, .max_backoff_ms = 400};
	struct agent far = {
	    .backoff_ms = 86400000, .factor_milli = 100000, .max_backoff_ms = 604800000};
	const uint64_t most[] = {100, 150, 225, 337, 400, 400};
	struct uuid id = uuid_new();

	for (uint64_t i = 0; i < ARRAY_LEN(most); i++) {
		uint64_t delay = backoff_ms(&a, i + 1, &id);

		ck_assert_uint_le(delay, most[i]);
		ck_assert_uint_ge(delay, most[i] - most[i] / JITTER_SHARE);
		ck_assert_uint_eq(delay, backoff_ms(&a, i + 1, &id));
	}
	ck_assert_uint_le(backoff_ms(&far, 1000, &id), far.max_backoff_ms);
	a.backoff_ms = 0;
	ck_assert_uint_eq(backoff_ms(&a, 3, &id), 0);
}
END_TEST

START_TEST(outcomes_that_are_tried_again)
{
	for (enum session_outcome outcome = OUTCOME_SUCCESS; outcome < OUTCOME_COUNT; outcome++) {
		struct msg_agent_def def = worker;
		struct stage *stage;
		bool again = outcome != OUTCOME_SUCCESS && outcome != OUTCOME_CANCELLED &&
			     outcome != OUTCOME_BUDGET_EXCEEDED && outcome != OUTCOME_SKIPPED &&
			     outcome != OUTCOME_REFUSED;

		remove_dir();
		make_dir();
		clock_ms = NOW;
		def.retry_max = 1;
		stage = begin_as(&def);
		runs_and_ends(stage, outcome);
		settle(stage->loop);
		ck_assert_uint_eq(queue_waiting(stage->schedd.queue), again);
		finish(stage);
	}
}
END_TEST

START_TEST(a_cancelled_retry_ends_the_chain)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	struct msg_session_row row;
	struct uuid first;

	clock_ms = NOW;
	def.retry_max = 5;
	stage = begin_as(&def);
	first = runs_and_ends(stage, OUTCOME_FAILED);
	settle(stage->loop);
	row = row_by_id(stage, &first);
	ck_assert_uint_eq(row.next_succession, SUCCESSION_RETRY);
	row = row_by_id(stage, &row.next);
	ck_assert_int_eq(row.state, STATE_QUEUED);
	ck_assert_uint_eq(row.not_before_ms, (uint64_t)queue_wakes_at(stage->schedd.queue));
	session_cancel(&stage->schedd, queue_find(stage->schedd.queue, &row.session), "enough");
	expect_for(stage, MSG_END_ACK, &row.session);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

/* What a retry takes over goes with the answer to the end that it follows, also when that is told
 * again. */
START_TEST(a_retry_inherits_the_input)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	struct uuid id = uuid_new(), heir;
	struct msg_session_row row;
	struct msg msg;

	clock_ms = NOW;
	def.retry_max = 1;
	stage = begin_as(&def);
	ask(MSG_ENQUEUE, &msg, 7);
	msg.enqueue.session = id;
	strcpy(msg.enqueue.agent, "worker");
	strcpy(msg.enqueue.operator, "root");
	msg.enqueue.has_input = true;
	peer_send(&stage->control, &msg);
	expect_for(stage, MSG_PREPARE, &id);
	for (int told = 0; told < 2; told++) {
		say_ended(stage, &id, OUTCOME_FAILED);
		expect(&stage->runnerd, MSG_END_ACK, &msg);
		heir = msg.end_ack.heir;
		row = row_by_id(stage, &id);
		ck_assert(uuid_equal(&heir, &row.next));
	}
	wait_backoff(stage, 10 * SECOND);
	expect(&stage->runnerd, MSG_PREPARE, &msg);
	ck_assert(uuid_equal(&msg.prepare.session, &heir));
	ck_assert(msg.prepare.has_input);
	finish(stage);
}
END_TEST

START_TEST(a_retry_waits_through_a_death_and_steps_of_the_clock)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	int64_t due;

	clock_ms = NOW;
	def.retry_max = 1;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_LOST);
	settle(stage->loop);
	due = queue_wakes_at(stage->schedd.queue);
	finish(stage);
	stage = begin_as(&def);
	ck_assert_int_eq(queue_wakes_at(stage->schedd.queue), due);
	clock_ms -= DAY;
	schedule_ring(stage->schedd.schedule, true);
	ck_assert_int_le(queue_wakes_at(stage->schedd.queue), clock_ms + 10 * SECOND);
	finish(stage);
	stage = begin_as(&def); /* as the ledger has it, it would wait for a day */
	schedule_ring(stage->schedd.schedule, true);
	ck_assert_int_le(queue_wakes_at(stage->schedd.queue), clock_ms + 10 * SECOND);
	pass(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_SUCCESS, 2);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

START_TEST(another_manifest_decides_at_the_end)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	struct uuid id;

	clock_ms = NOW;
	def.retry_max = 3;
	stage = begin_as(&def);
	id = enqueue(stage, "worker");
	expect_for(stage, MSG_PREPARE, &id);
	def.retry_max = 0;
	define(stage, &def);
	end_as(stage, &id, OUTCOME_FAILED);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

START_TEST(retries_do_not_overfill_the_queue)
{
	struct msg_agent_def def = worker;
	struct stage *stage;

	clock_ms = NOW;
	def.retry_max = 1;
	stage = begin_as(&def);
	stage->schedd.config->limits.queue = 2;
	for (int i = 0; i < 4; i++)
		runs_and_ends(stage, OUTCOME_FAILED);
	settle(stage->loop);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 2);
	ck_assert_uint_eq(agent(stage)->standing.failures, 2);
	finish(stage);
}
END_TEST

/* --- restarts ------------------------------------------------------------------------------------
 */

START_TEST(restarts_until_there_were_too_many)
{
	struct msg_agent_def def = worker;
	struct stage *stage;

	clock_ms = NOW;
	def.restart = RESTART_ALWAYS;
	def.max_restarts = 2;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_SUCCESS);
	wait_backoff(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_FAILED, 1);
	wait_backoff(stage, 20 * SECOND);
	next_ends(stage, OUTCOME_SUCCESS, 1);
	nothing_follows(stage);
	runs_and_ends(stage, OUTCOME_SUCCESS); /* who runs it begins anew */
	wait_backoff(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_CANCELLED, 1);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

START_TEST(who_ran_for_long_begins_anew)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	struct msg msg, end;

	clock_ms = NOW;
	def.restart = RESTART_ON_FAILURE;
	def.max_restarts = 1;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_SIGNALED);
	for (int i = 0; i < 3; i++) {
		wait_backoff(stage, 10 * SECOND);
		expect(&stage->runnerd, MSG_PREPARE, &msg);
		msg_init(&end, MSG_ENDED);
		end.ended.session = msg.prepare.session;
		end.ended.outcome = OUTCOME_FAILED;
		end.ended.running_at_ms = NOW;
		end.ended.ended_at_ms = NOW + HEALTHY_MS;
		peer_send(&stage->runnerd, &end);
		expect_for(stage, MSG_END_ACK, &msg.prepare.session);
	}
	wait_backoff(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_SUCCESS, 1); /* on failure only */
	nothing_follows(stage);
	finish(stage);
}
END_TEST

START_TEST(retries_come_before_restarts)
{
	struct msg_agent_def def = worker;
	struct stage *stage;

	clock_ms = NOW;
	def.retry_max = 1;
	def.restart = RESTART_ON_FAILURE;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_FAILED);
	wait_backoff(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_FAILED, 2);
	wait_backoff(stage, 10 * SECOND);
	next_ends(stage, OUTCOME_SUCCESS, 1);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

START_TEST(what_a_drain_ended_goes_on_afterwards)
{
	struct msg_agent_def def = worker;
	struct stage *stage;
	struct uuid id;
	struct msg msg;

	clock_ms = NOW;
	def.restart = RESTART_ALWAYS;
	stage = begin_as(&def);
	id = enqueue(stage, "worker");
	expect_for(stage, MSG_PREPARE, &id);
	ask(MSG_DRAIN, &msg, 9);
	peer_send(&stage->control, &msg);
	expect_for(stage, MSG_CANCEL, &id);
	end_as(stage, &id, OUTCOME_CANCELLED);
	expect_nothing(&stage->runnerd);
	finish(stage);
	stage = begin_as(&def);
	pass(stage, 0);
	next_ends(stage, OUTCOME_CANCELLED, 1);
	nothing_follows(stage);
	finish(stage);
}
END_TEST

/* --- the breaker, the budget, the pause ---------------------------------------------------------
 */

static void
order_pause(struct stage *stage, const char *name, bool paused, uint64_t changed)
{
	struct msg msg;

	ask(MSG_AGENT_PAUSE, &msg, 21);
	strcpy(msg.agent_pause.agent, name);
	strcpy(msg.agent_pause.operator, "ann");
	msg.agent_pause.paused = paused;
	peer_send(&stage->control, &msg);
	do
		ck_assert(peer_next(&stage->control, &msg));
	while (msg.id != 21);
	ck_assert_int_eq(msg.type, MSG_OK);
	ck_assert_uint_eq(msg.ok.value, changed);
}

static void
is_skipped(struct stage *stage, const char *why)
{
	struct uuid id = enqueue(stage, "worker");
	struct msg_session_row row;

	settle(stage->loop);
	row = row_by_id(stage, &id);
	ck_assert_int_eq(row.state, STATE_ENDED);
	ck_assert_int_eq(row.outcome, OUTCOME_SKIPPED);
	ck_assert_ptr_nonnull(strstr(row.reason, why));
	expect_for(stage, MSG_END_ACK, &id);
}

START_TEST(failures_in_a_row_pause_the_agent)
{
	struct msg_agent_def def = worker;
	struct stage *stage;

	clock_ms = NOW;
	def.failures_before_pause = 3;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_FAILED);
	runs_and_ends(stage, OUTCOME_FAILED);
	runs_and_ends(stage, OUTCOME_SUCCESS);
	runs_and_ends(stage, OUTCOME_OOM_KILLED);
	runs_and_ends(stage, OUTCOME_CANCELLED); /* neither */
	runs_and_ends(stage, OUTCOME_FAILED);
	ck_assert_uint_eq(agent(stage)->standing.paused_at_ms, 0);
	runs_and_ends(stage, OUTCOME_LOST);
	settle(stage->loop);
	ck_assert_uint_eq(agent(stage)->standing.paused_at_ms, NOW);
	is_skipped(stage, "failed 3 times in a row");
	finish(stage);
	stage = begin_as(&def);
	is_skipped(stage, "failed 3 times in a row");
	order_pause(stage, "worker", false, 1);
	runs_and_ends(stage, OUTCOME_FAILED);
	ck_assert_uint_eq(agent(stage)->standing.failures, 1);
	finish(stage);
}
END_TEST

START_TEST(a_day_has_so_many_runs)
{
	struct msg_agent_def def = worker;
	struct stage *stage;

	clock_ms = NOW / DAY * DAY + DAY - SECOND;
	def.max_runs_per_day = 2;
	def.retry_max = 9;
	stage = begin_as(&def);
	runs_and_ends(stage, OUTCOME_FAILED);
	settle(stage->loop);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 1); /* the second */
	is_skipped(stage, "max_runs_per_day");
	finish(stage);
	stage = begin_as(&def);
	is_skipped(stage, "max_runs_per_day");
	pass(stage, 11 * SECOND); /* another day, UTC */
	next_ends(stage, OUTCOME_SUCCESS, 2);
	runs_and_ends(stage, OUTCOME_SUCCESS);
	runs_and_ends(stage, OUTCOME_FAILED);
	nothing_follows(stage); /* a retry would be the third */
	is_skipped(stage, "max_runs_per_day");
	finish(stage);
}
END_TEST

START_TEST(a_pause_holds_what_waits)
{
	struct msg_agent_def def = worker;
	struct uuid live, waiting;
	struct msg_session_row row;
	struct stage *stage;
	struct msg msg;

	clock_ms = NOW;
	def.retry_max = 1;
	stage = begin_as(&def);
	live = enqueue(stage, "worker");
	expect_for(stage, MSG_PREPARE, &live);
	waiting = enqueue(stage, "worker");
	settle(stage->loop);
	order_pause(stage, "worker", true, 1);
	order_pause(stage, "worker", true, 0);
	is_skipped(stage, "paused: by ann");
	end_as(stage, &live, OUTCOME_FAILED); /* goes on, and is to be tried again */
	expect_nothing(&stage->runnerd);
	pass(stage, 10 * SECOND);
	expect_nothing(&stage->runnerd);
	row = row_by_id(stage, &waiting);
	ck_assert_ptr_nonnull(strstr(row.reason, "paused: by ann"));
	finish(stage);
	stage = begin_as(&def);
	pass(stage, 0);
	expect_nothing(&stage->runnerd);
	define(stage, &def);
	expect_nothing(&stage->runnerd);
	order_pause(stage, "", false, 1);
	expect_for(stage, MSG_PREPARE, &waiting);
	end_as(stage, &waiting, OUTCOME_SUCCESS);
	next_ends(stage, OUTCOME_SUCCESS, 2);
	order_pause(stage, "", true, 1);
	msg_init(&msg, MSG_AGENT_GONE);
	strcpy(msg.agent_gone.agent, "worker");
	peer_send(&stage->runnerd, &msg);
	define(stage, &def); /* installed anew: it is not paused */
	runs_and_ends(stage, OUTCOME_SUCCESS);
	finish(stage);
}
END_TEST

START_TEST(who_is_not_installed_cannot_be_paused)
{
	struct stage *stage = begin_as(&worker);
	struct msg msg;

	ask(MSG_AGENT_PAUSE, &msg, 21);
	strcpy(msg.agent_pause.agent, "nobody");
	msg.agent_pause.paused = true;
	peer_send(&stage->control, &msg);
	expect_error(stage, ERR_NOT_FOUND);
	finish(stage);
}
END_TEST

/* --- deaths at every write ----------------------------------------------------------------------
 */

static long writes_left; /* until death */

/* Half of it is written: a torn page, as a death in the middle leaves it. */
static ssize_t
dying_pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	if (--writes_left == 0) {
		ssize_t torn = pwrite(fd, bytes, length / 2, offset);

		_exit(torn < 0 ? 2 : 1);
	}
	return pwrite(fd, bytes, length, offset);
}

static void
die_at_write(long nth)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	writes_left = nth;
	ck_assert_int_eq(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)dying_pwrite),
			 SQLITE_OK);
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)dying_pwrite);
}

struct chain {
	size_t count;
	uint32_t attempts[8];
	uint32_t open;
};

static int
note_row(const struct ledger_session *session, void *arg)
{
	struct chain *chain = arg;

	ck_assert_uint_lt(chain->count, 8);
	chain->attempts[chain->count++] = session->row.attempt;
	chain->open += session->row.state != STATE_ENDED;
	return 0;
}

/* A live session of the ledger's file ends; schedd dies at its nth write. 0: it did not. */
static int
end_and_die(const struct msg_agent_def *def, const struct uuid *id, long nth)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct stage *stage = begin();
		struct msg msg;

		schedule_set_clock(stage->schedd.schedule, &test_clock);
		meet_control(stage);
		meet_runnerd(stage);
		define(stage, def);
		say_held(stage, id, STATE_RUNNING);
		end_inventory(stage);
		die_at_write(nth);
		say_ended(stage, id, OUTCOME_FAILED);
		do
			if (!peer_next(&stage->runnerd, &msg))
				_exit(3);
		while (msg.type != MSG_END_ACK);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	return WEXITSTATUS(status);
}

/* Whenever it dies, one retry follows, the failure is counted once, and once it has failed too the
 * agent is paused. */
START_TEST(deaths_at_every_write)
{
	struct msg_agent_def def = worker;
	bool died = true;
	long nth = 0;

	def.retry_max = 1;
	def.failures_before_pause = 1;
	while (died) {
		struct ledger_filter filter = {.agent = "worker"};
		struct chain chain = {.count = 0};
		struct stage *stage;
		struct uuid id;

		remove_dir();
		make_dir();
		clock_ms = NOW;
		stage = begin_as(&def);
		id = run(stage, "worker");
		finish(stage);
		died = end_and_die(&def, &id, ++nth);
		stage = begin();
		schedule_set_clock(stage->schedd.schedule, &test_clock);
		meet_control(stage);
		meet_runnerd(stage);
		define(stage, &def);
		say_ended(stage, &id, OUTCOME_FAILED); /* not acknowledged: told again */
		end_inventory(stage);
		expect_for(stage, MSG_END_ACK, &id);
		ck_assert_int_eq(ledger_each(stage->schedd.ledger, &filter, note_row, &chain, NULL),
				 0);
		ck_assert_uint_eq(chain.count, 2);
		ck_assert_uint_eq(chain.attempts[0], 2);
		ck_assert_uint_eq(chain.open, 1);
		ck_assert_uint_eq(agent(stage)->standing.failures, 0);
		ck_assert_uint_eq(agent(stage)->standing.runs, 2);
		pass(stage, 10 * SECOND);
		next_ends(stage, OUTCOME_FAILED, 2);
		settle(stage->loop);
		ck_assert_uint_eq(agent(stage)->standing.failures, 1);
		ck_assert_uint_ne(agent(stage)->standing.paused_at_ms, 0);
		finish(stage);
	}
	ck_assert_int_gt(nth, 3);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_failed_one_is_tried_again,
	    backoff_grows_to_its_bound,
	    outcomes_that_are_tried_again,
	    a_cancelled_retry_ends_the_chain,
	    a_retry_inherits_the_input,
	    a_retry_waits_through_a_death_and_steps_of_the_clock,
	    another_manifest_decides_at_the_end,
	    retries_do_not_overfill_the_queue,
	    restarts_until_there_were_too_many,
	    who_ran_for_long_begins_anew,
	    retries_come_before_restarts,
	    what_a_drain_ended_goes_on_afterwards,
	    failures_in_a_row_pause_the_agent,
	    a_day_has_so_many_runs,
	    a_pause_holds_what_waits,
	    who_is_not_installed_cannot_be_paused,
	    deaths_at_every_write,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
