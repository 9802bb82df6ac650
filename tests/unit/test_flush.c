// with: schedd/*.c
/* What schedd says waits for the disk, and what becomes of it when that fails. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "schedd/flush.h"
#include "tests/unit/stage.h"

static bool broken;
static unsigned syncs;

/* The disk of the test's own. */
__attribute__((visibility("default"))) int
fdatasync(int fd)
{
	syncs++;
	if (!broken)
		return (int)syscall(SYS_fdatasync, fd);
	errno = EIO;
	return -1;
}

static struct stage *
begin_on_own_disk(void)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);

	flush_in_loop(stage->schedd.flush);
	settle(stage->loop);
	return stage;
}

/* Enqueued, prepared, and its gate would open. */
static struct uuid
begin_session(struct stage *stage)
{
	struct uuid id = enqueue(stage, "one");

	expect_for(stage, MSG_PREPARE, &id);
	say(stage, MSG_PREPARED, &id);
	return id;
}

static void
break_disk(bool breaks)
{
	broken = breaks;
	log_set_level(breaks ? LOG_LEVEL_ERROR + 1 : LOG_LEVEL_ERROR);
}

START_TEST(one_that_is_prepared_waits_for_its_row)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id, other;

	break_disk(true);
	id = begin_session(stage);
	expect_nothing(&stage->runnerd);
	expect_nothing(&stage->control);
	/* Nothing more is taken, and that is said at once. */
	other = enqueue(stage, "one");
	expect_error(stage, ERR_FAILED);
	expect_nothing(&stage->runnerd);
	ck_assert_ptr_null(queue_find(stage->schedd.queue, &other));
	break_disk(false);
	expect_for(stage, MSG_GO, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	say(stage, MSG_RUNNING, &id);
	expect_event(stage, &id, STATE_RUNNING, OUTCOME_NONE);
	finish(stage);
}
END_TEST

START_TEST(an_end_is_acknowledged_when_it_is_on_the_disk)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id = run(stage, "one"), next;

	next = enqueue(stage, "one");
	expect_accepted(stage, &next, STATE_QUEUED);
	break_disk(true);
	say_ended(stage, &id, OUTCOME_SUCCESS);
	expect_nothing(&stage->runnerd); /* nor does the next one start before it */
	expect_nothing(&stage->control);
	break_disk(false);
	expect_for(stage, MSG_END_ACK, &id);
	expect_for(stage, MSG_PREPARE, &next);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_SUCCESS);
	finish(stage);
}
END_TEST

START_TEST(an_end_that_came_during_the_failure_is_recorded_after_it)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id = run(stage, "one");

	install(stage, "two", OVERLAP_QUEUE);
	settle(stage->loop);
	break_disk(true);
	enqueue(stage, "two");
	settle(stage->loop);
	say_ended(stage, &id, OUTCOME_FAILED);
	settle(stage->loop);
	break_disk(false);
	do
		settle(stage->loop);
	while (row_by_id(stage, &id).state != STATE_ENDED);
	ck_assert_int_eq(row_by_id(stage, &id).outcome, OUTCOME_FAILED);
	finish(stage);
}
END_TEST

START_TEST(what_runs_can_be_stopped_meanwhile)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id = run(stage, "one"), other;

	install(stage, "two", OVERLAP_QUEUE);
	settle(stage->loop);
	break_disk(true);
	other = enqueue(stage, "two");
	settle(stage->loop);
	cancel(stage, &id);
	expect_event(stage, &id, STATE_STOPPING, OUTCOME_NONE);
	expect_cancelled(stage, 0);
	expect_for(stage, MSG_PREPARE, &other);
	expect_for(stage, MSG_CANCEL, &id);
	break_disk(false);
	finish(stage);
}
END_TEST

/* Who heard nothing asks again with the same id: the row that is there may be lost yet. */
START_TEST(what_may_be_lost_is_not_known_already)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id;

	break_disk(true);
	id = begin_session(stage);
	expect_nothing(&stage->control);
	peer_free(&stage->control);
	meet_control(stage);
	enqueue_as(stage, "one", id, 8);
	expect_error(stage, ERR_FAILED);
	break_disk(false);
	finish(stage);
}
END_TEST

START_TEST(a_cancel_of_what_waits_is_answered_when_it_is_on_the_disk)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id;

	run(stage, "one");
	id = enqueue(stage, "one");
	expect_accepted(stage, &id, STATE_QUEUED);
	break_disk(true);
	cancel(stage, &id);
	expect_nothing(&stage->control);
	break_disk(false);
	expect_event(stage, &id, STATE_ENDED, OUTCOME_CANCELLED);
	expect_cancelled(stage, 0);
	finish(stage);
}
END_TEST

START_TEST(a_cancel_that_cannot_be_recorded_is_no_success)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id;

	run(stage, "one");
	id = enqueue(stage, "one");
	expect_accepted(stage, &id, STATE_QUEUED);
	install(stage, "two", OVERLAP_QUEUE);
	settle(stage->loop);
	break_disk(true);
	enqueue(stage, "two");
	settle(stage->loop);
	cancel(stage, &id);
	expect_error(stage, ERR_FAILED);
	break_disk(false);
	finish(stage);
}
END_TEST

START_TEST(what_was_asked_is_answered_meanwhile)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id;

	break_disk(true);
	id = begin_session(stage);
	settle(stage->loop);
	ck_assert_int_eq(row_by_id(stage, &id).state, STATE_SETUP);
	break_disk(false);
	finish(stage);
}
END_TEST

/* So it is when the kernel drops pages that it could not write. */
static void
drop_last_page(void)
{
	char log[sizeof(path) + 8];
	uint8_t other[512];
	struct stat st;
	int fd;

	snprintf(log, sizeof(log), "%s-wal", path);
	fd = open(log, O_RDWR | O_CLOEXEC);
	ck_assert(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 4096);
	memset(other, 0xa5, sizeof(other));
	ck_assert_int_eq(pwrite(fd, other, sizeof(other), st.st_size - 1024), sizeof(other));
	close(fd);
}

START_TEST(what_the_disk_lost_is_no_row)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid kept = run(stage, "one"), lost;
	int status;

	install(stage, "two", OVERLAP_QUEUE);
	settle(stage->loop);
	break_disk(true);
	lost = enqueue(stage, "two");
	settle(stage->loop);
	ck_assert_ptr_nonnull(queue_find(stage->schedd.queue, &lost));
	drop_last_page();
	broken = false;
	/* It ends, so that a new one begins with what is there. */
	do
		status = loop_run(stage->loop);
	while (status == 0);
	ck_assert_int_eq(status, -EIO);
	expect_nothing(&stage->control);
	finish(stage);
	log_set_level(LOG_LEVEL_ERROR);
	stage = begin();
	ck_assert_ptr_nonnull(queue_find(stage->schedd.queue, &kept));
	ck_assert_ptr_null(queue_find(stage->schedd.queue, &lost));
	finish(stage);
}
END_TEST

/* What another process left behind may never have been synced. */
START_TEST(a_log_that_is_found_is_brought_to_the_disk)
{
	struct stage *stage = begin_on_own_disk();
	struct uuid id = run(stage, "one");
	char log[sizeof(path) + 8];
	struct stat st;
	unsigned before;

	snprintf(log, sizeof(log), "%s-wal", path);
	ledger_abandon(stage->schedd.ledger);
	finish(stage);
	ck_assert(stat(log, &st) == 0 && st.st_size > 0);
	before = syncs;
	stage = begin();
	ck_assert_uint_gt(syncs, before);
	ck_assert(stat(log, &st) == 0 && st.st_size == 0);
	ck_assert_ptr_nonnull(queue_find(stage->schedd.queue, &id));
	finish(stage);
}
END_TEST

START_TEST(the_last_words_wait_for_the_disk)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct uuid id = begin_session(stage);

	flush_settle(stage->schedd.flush);
	expect_for(stage, MSG_GO, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    one_that_is_prepared_waits_for_its_row,
	    an_end_is_acknowledged_when_it_is_on_the_disk,
	    an_end_that_came_during_the_failure_is_recorded_after_it,
	    what_runs_can_be_stopped_meanwhile,
	    what_may_be_lost_is_not_known_already,
	    a_cancel_of_what_waits_is_answered_when_it_is_on_the_disk,
	    a_cancel_that_cannot_be_recorded_is_no_success,
	    what_was_asked_is_answered_meanwhile,
	    what_the_disk_lost_is_no_row,
	    a_log_that_is_found_is_brought_to_the_disk,
	    the_last_words_wait_for_the_disk,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
