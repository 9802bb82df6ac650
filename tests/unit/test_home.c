// with: runnerd/home/changes.c runnerd/home/commit.c runnerd/home/copy.c runnerd/home/history.c
// with: runnerd/home/merge.c runnerd/home/rollback.c runnerd/home/tree.c runnerd/fs.c
// with: runnerd/homes.c runnerd/layers.c runnerd/overlay.c runnerd/quota.c
// with: runnerd/trash.c
/*
 * Commits and rollbacks of homes against two models: what the agent saw in its overlay, and a plain
 * directory in which the same was done. Real overlays, in a mount namespace of the test's own.
 */
#include "tests/unit/home_stage.h"

enum { TREES = 1000, CRASH_TREES = 12, STEPS_MOST = 4000 };

/* --- the tests ---------------------------------------------------------------------------------
 */

/* Directories of an overlay and of a plain file system differ in nothing but what was renamed. */
static void
assert_model(const struct stage *stage, unsigned tree)
{
	char *home = picture(stage->home.tree, false), *model = picture(stage->model, false);

	/* The roots are not each other's copies. */
	assert_same("the model", tree, strchr(home, '\n'), strchr(model, '\n'));
	free(home);
	free(model);
}

static void
one_tree(unsigned number, bool with_model)
{
	char *before_last = NULL;
	struct uuid last = {0};
	struct stage stage;
	unsigned sessions = 1 + below(3), i;
	struct home_job job;

	stage_open(&stage);
	for (i = 0; i < sessions; i++) {
		session_begin(&stage);
		act_randomly(&stage, with_model, 1 + below(i ? 25 : 60));
		session_end(&stage);
		job = job_of(&stage);
		if (carry_out(home_commit, &job).committed) {
			free(before_last);
			before_last = strdup(stage.old);
			last = stage.session;
		}
		assert_home(&stage, "the home is what the session saw", number, stage.seen);
		if (with_model)
			assert_model(&stage, number);
		assert_settled(&stage, number);
	}
	if (before_last) {
		job.session = last;
		ck_assert_uint_eq(carry_out(home_rollback, &job).undone, 1);
		assert_home(&stage, "rolled back", number, before_last);
	}
	assert_settled(&stage, number);
	free(before_last);
	ck_assert_int_eq(trash_sweep(stage.home.dir), 0);
	stage_close(&stage);
}

static void
random_trees(unsigned count)
{
	unsigned number;

	for (number = 1; number <= count; number++) {
		seed = 0x9e3779b97f4a7c15U * number;
		one_tree(number, number % 3 != 0);
	}
}

START_TEST(a_thousand_random_trees)
{
	random_trees(TREES);
}
END_TEST

START_TEST(random_trees_written_in_memory)
{
	in_memory = true;
	random_trees(TREES / 4);
}
END_TEST

/* --- crashes ------------------------------------------------------------------------------------
 */

struct crash {
	unsigned count, at; /* at 0: never */
};

static void
count_or_crash(void *arg)
{
	struct crash *crash = arg;

	if (++crash->count == crash->at)
		_exit(7);
}

/* Runs it in a process that ends before its n-th change. False: it made fewer. */
static bool
crash_at(order_fn *order, struct home_job job, unsigned at)
{
	struct crash crash = {.at = at};
	struct msg_home_done done = {0};
	struct error error = ERROR_INIT;
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		job.before = count_or_crash;
		job.arg = &crash;
		_exit(order(&job, &done, &error) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 1, "status %x", (unsigned)status);
	return WEXITSTATUS(status) == 7;
}

/* The same home and session each time: by the same seed. */
static void
crash_stage(struct stage *stage, unsigned tree)
{
	struct home_job job;

	seed = 0x9e3779b97f4a7c15U * (tree + 77);
	stage_open(stage);
	whole_session(stage, 40);
	job = job_of(stage);
	carry_out(home_commit, &job);
	whole_session(stage, 30);
}

/* Without its upper layer, and none in memory, it was merged. */
static bool
is_marked(const struct stage *stage)
{
	return tree_exists((struct spot){stage->home.dir, HOME_SESSION "/" HOME_MARK}) ||
	       (!tree_exists((struct spot){stage->home.dir, HOME_SESSION "/" HOME_UPPER}) &&
		!tree_exists((struct spot){stage->home.dir, HOME_SESSION "/" HOME_MEMORY}));
}

/* A crash of the commit at this step: with the mark the session's changes hold, else as recover
 * says. False: there is no such step. */
static bool
crash_of_commit(unsigned tree, unsigned at, order_fn *recover)
{
	struct stage stage;
	struct home_job job;
	bool crashed, marked;

	crash_stage(&stage, tree);
	job = job_of(&stage);
	crashed = crash_at(home_commit, job, at);
	marked = is_marked(&stage);
	/* Recovery may be interrupted as well, and is repeated. */
	crash_at(recover, job, 1 + at % 5);
	carry_out(recover, &job);
	assert_settled(&stage, tree);
	if (marked || recover == home_commit)
		assert_home(&stage, "new", tree, stage.seen);
	else
		assert_home(&stage, "old", tree, stage.old);
	if (marked || recover == home_commit) {
		carry_out(home_rollback, &job);
		assert_home(&stage, "rolled back", tree, stage.old);
	}
	stage_close(&stage);
	return crashed;
}

static void
crashes_of_commit(void)
{
	unsigned tree, at, steps = 0;

	for (tree = 1; tree <= CRASH_TREES; tree++) {
		for (at = 1; crash_of_commit(tree, at, home_settle); at++)
			ck_assert_uint_lt(at, STEPS_MOST);
		for (at = 1; crash_of_commit(tree, at, home_commit); at++)
			;
		steps += at;
	}
	ck_assert_uint_gt(steps, CRASH_TREES * 10);
}

START_TEST(a_commit_may_stop_at_every_step)
{
	crashes_of_commit();
}
END_TEST

START_TEST(so_may_one_from_memory)
{
	in_memory = true;
	crashes_of_commit();
}
END_TEST

/* The layers went with a keeper: the home is the old one, and that is said as often as somebody
 * asks, until it is discarded; what was on disk by then is not lost. */
static bool
crash_without_layers(unsigned tree, unsigned at)
{
	struct msg_home_done done;
	struct stage stage;
	struct home_job job;
	bool crashed, whole;

	crash_stage(&stage, tree);
	job = job_of(&stage);
	crashed = crash_at(home_commit, job, at);
	whole = is_marked(&stage) ||
		tree_exists((struct spot){stage.home.dir, HOME_SESSION "/" HOME_UPPER});
	job.layers = -1;
	done = carry_out(home_commit, &job);
	ck_assert_int_eq(done.lost, !whole);
	ck_assert_int_eq(done.why[0] != '\0', !whole);
	ck_assert_int_eq(carry_out(home_commit, &job).lost, !whole);
	if (!whole)
		carry_out(home_discard, &job);
	assert_home(&stage, whole ? "new" : "old", tree, whole ? stage.seen : stage.old);
	assert_settled(&stage, tree);
	stage_close(&stage);
	return crashed;
}

START_TEST(what_nobody_held_is_lost_as_a_whole)
{
	unsigned tree, at;

	in_memory = true;
	for (tree = 1; tree <= CRASH_TREES; tree++)
		for (at = 1; crash_without_layers(tree, at); at++)
			ck_assert_uint_lt(at, STEPS_MOST);
}
END_TEST

static bool
crash_of_rollback(unsigned tree, unsigned at)
{
	struct stage stage;
	struct home_job job;
	bool crashed, marked;

	crash_stage(&stage, tree);
	job = job_of(&stage);
	carry_out(home_commit, &job);
	crashed = crash_at(home_rollback, job, at);
	marked = !crashed || tree_exists((struct spot){stage.home.dir, HOME_ROLLBACK_FILE}) ||
		 !tree_exists((struct spot){stage.home.dir, HOME_HISTORY}) || at > 4;
	crash_at(home_settle, job, 1 + at % 5);
	carry_out(home_settle, &job);
	assert_settled(&stage, tree);
	assert_home(&stage, marked ? "old" : "new", tree, marked ? stage.old : stage.seen);
	stage_close(&stage);
	return crashed;
}

START_TEST(a_rollback_may_stop_at_every_step)
{
	unsigned tree, at, steps = 0;

	for (tree = 1; tree <= CRASH_TREES; tree++) {
		for (at = 1; crash_of_rollback(tree, at); at++)
			ck_assert_uint_lt(at, STEPS_MOST);
		steps += at;
	}
	ck_assert_uint_gt(steps, CRASH_TREES * 10);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_thousand_random_trees,
	    random_trees_written_in_memory,
	    a_commit_may_stop_at_every_step,
	    so_may_one_from_memory,
	    what_nobody_held_is_lost_as_a_whole,
	    a_rollback_may_stop_at_every_step,
	};
	int rc = enter_stage();

	if (!rc)
		rc = suite_run("home", tests, ARRAY_LEN(tests));
	umount2(top, MNT_DETACH);
	rmdir(top);
	return rc;
}
