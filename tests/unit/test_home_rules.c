// with: runnerd/home/changes.c runnerd/home/commit.c runnerd/home/copy.c runnerd/home/history.c
// with: runnerd/home/merge.c runnerd/home/rollback.c runnerd/home/tree.c runnerd/fs.c
// with: runnerd/homes.c runnerd/layers.c runnerd/overlay.c runnerd/quota.c
// with: runnerd/trash.c
/*
 * Commits and rollbacks of homes, one rule each: sizes, histories, links, marks and depths.
 */
#include "tests/unit/home_stage.h"

static void
make_file(const struct stage *stage, const char *path, unsigned size)
{
	ck_assert_int_eq(write_some(stage->mount, path, size, 0, O_CREAT | O_TRUNC), 0);
}

START_TEST(nothing_changed_leaves_no_history)
{
	struct history history;
	struct stage stage;
	struct home_job job;

	stage_open(&stage);
	session_begin(&stage);
	session_end(&stage);
	job = job_of(&stage);
	ck_assert(!carry_out(home_commit, &job).committed);
	ck_assert_int_eq(history_read(stage.home.dir, &history), 0);
	ck_assert_uint_eq(history.count, 0);
	assert_settled(&stage, 0);
	stage_close(&stage);
}
END_TEST

START_TEST(discarded_changes_are_gone)
{
	struct stage stage;
	struct home_job job;

	stage_open(&stage);
	whole_session(&stage, 30);
	job = job_of(&stage);
	ck_assert(!carry_out(home_discard, &job).committed);
	assert_home(&stage, "discarded", 0, stage.old);
	assert_settled(&stage, 0);
	ck_assert_uint_eq(carry_out(home_commit, &job).added, 0);
	stage_close(&stage);
}
END_TEST

START_TEST(another_sessions_changes_are_not_committed)
{
	struct stage stage;
	struct home_job job;

	stage_open(&stage);
	whole_session(&stage, 30);
	job = job_of(&stage);
	job.session = uuid_new();
	ck_assert(!carry_out(home_commit, &job).committed);
	assert_home(&stage, "discarded", 0, stage.old);
	stage_close(&stage);
}
END_TEST

START_TEST(a_home_over_its_size_stays_as_it_was)
{
	struct msg_home_done done;
	struct stage stage;
	struct home_job job;
	char *seen;

	stage_open(&stage);
	session_begin(&stage);
	make_file(&stage, "first", 4000);
	session_end(&stage);
	job = job_of(&stage);
	job.max_bytes = 10000;
	ck_assert(carry_out(home_commit, &job).committed);
	session_begin(&stage);
	make_file(&stage, "second", 4000);
	make_file(&stage, "third", 4000);
	session_end(&stage);
	job.session = stage.session;
	done = carry_out(home_commit, &job);
	ck_assert(!done.committed);
	ck_assert_ptr_nonnull(strstr(done.why, "over home.max_size 10000"));
	assert_home(&stage, "too big", 0, stage.old);
	/* It is still there, whoever asks again, until it is discarded. */
	ck_assert_str_eq(carry_out(home_commit, &job).why, done.why);
	ck_assert_str_eq(carry_out(home_discard, &job).why, "");
	assert_home(&stage, "too big", 0, stage.old);
	/* What makes room may be committed in any case. */
	session_begin(&stage);
	make_file(&stage, "first", 1);
	session_end(&stage);
	job.session = stage.session;
	job.max_bytes = 1;
	ck_assert(carry_out(home_commit, &job).committed);
	seen = stage.seen;
	assert_home(&stage, "smaller", 0, seen);
	stage_close(&stage);
}
END_TEST

static unsigned
entries_in(int dir)
{
	DIR *names = tree_read(openat(dir, ".", O_RDONLY | O_DIRECTORY));
	unsigned count = 0;

	while (tree_next(names))
		count++;
	closedir(names);
	return count;
}

START_TEST(a_history_is_as_long_as_is_asked_for)
{
	struct uuid first = {0}, third = {0};
	struct history history;
	struct stage stage;
	struct home_job job;
	char *before = NULL, name[8];
	unsigned i;
	int dir;

	stage_open(&stage);
	for (i = 0; i < 6; i++) {
		session_begin(&stage);
		sprintf(name, "f%u", i);
		make_file(&stage, name, 10);
		session_end(&stage);
		job = job_of(&stage);
		job.keep = 4;
		carry_out(home_commit, &job);
		if (i == 0)
			first = stage.session;
		if (i == 3) {
			third = stage.session;
			before = strdup(stage.old);
		}
	}
	ck_assert_int_eq(history_read(stage.home.dir, &history), 0);
	ck_assert_uint_eq(history.count, 4);
	ck_assert_ptr_null(history_find(&history, &first));
	history_free(&history);
	dir = openat(stage.home.dir, HOME_HISTORY, O_RDONLY | O_DIRECTORY);
	ck_assert_uint_eq(entries_in(dir), 4);
	close(dir);
	ck_assert_ptr_nonnull(before);
	/* Several at once, newest first. */
	job.session = third;
	ck_assert_uint_eq(carry_out(home_rollback, &job).undone, 3);
	assert_home(&stage, "three undone", 0, before);
	free(before);
	stage_close(&stage);
}
END_TEST

START_TEST(nothing_is_undone_past_a_direct_session)
{
	struct msg_home_done done = {0};
	struct error error = ERROR_INIT;
	struct stage stage;
	struct home_job job;

	stage_open(&stage);
	session_begin(&stage);
	make_file(&stage, "a", 10);
	session_end(&stage);
	job = job_of(&stage);
	carry_out(home_commit, &job);
	ck_assert_int_eq(home_note_direct(&stage.home), 0);
	ck_assert_int_lt(home_rollback(&job, &done, &error), 0);
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	session_begin(&stage);
	make_file(&stage, "b", 10);
	session_end(&stage);
	struct home_job later = job_of(&stage);
	carry_out(home_commit, &later);
	ck_assert_int_lt(home_rollback(&job, &done, &error), 0);
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	ck_assert_uint_eq(carry_out(home_rollback, &later).undone, 1);
	job.session = uuid_new();
	ck_assert_int_lt(home_rollback(&job, &done, &error), 0);
	ck_assert_int_eq(error.code, ERR_NOT_FOUND);
	stage_close(&stage);
}
END_TEST

/* Links that lead out are entries like any other; what they lead to is not touched. */
START_TEST(links_are_never_followed)
{
	struct stat before, after;
	struct stage stage;
	struct home_job job;
	char outside[64];

	snprintf(outside, sizeof(outside), "%s/outside", top);
	ck_assert_int_eq(mkdir(outside, 0755), 0);
	ck_assert_int_eq(stat(outside, &before), 0);
	stage_open(&stage);
	session_begin(&stage);
	ck_assert_int_eq(mkdirat(stage.mount, "d", 0700), 0);
	make_file(&stage, "d/file", 10);
	session_end(&stage);
	job = job_of(&stage);
	carry_out(home_commit, &job);
	session_begin(&stage);
	ck_assert_int_eq(remove_tree(stage.mount, "d"), 0);
	ck_assert_int_eq(symlinkat(outside, stage.mount, "d"), 0);
	session_end(&stage);
	job.session = stage.session;
	carry_out(home_commit, &job);
	assert_home(&stage, "a link", 0, stage.seen);
	session_begin(&stage);
	ck_assert_int_eq(unlinkat(stage.mount, "d", 0), 0);
	ck_assert_int_eq(mkdirat(stage.mount, "d", 0711), 0);
	make_file(&stage, "d/other", 10);
	session_end(&stage);
	job.session = stage.session;
	carry_out(home_commit, &job);
	assert_home(&stage, "a directory again", 0, stage.seen);
	carry_out(home_rollback, &job);
	assert_home(&stage, "the link again", 0, stage.old);
	ck_assert_int_eq(stat(outside, &after), 0);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ck_assert_int_eq(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
	stage_close(&stage);
}
END_TEST

/* What an upper layer on disk can hold and no agent can make. */
START_TEST(marks_and_devices_do_not_reach_the_home)
{
	struct stage stage;
	struct home_job job;
	struct stat st;
	int upper;

	stage_open(&stage);
	session_begin(&stage);
	make_file(&stage, "a", 10);
	session_end(&stage);
	upper = openat(stage.home.dir, HOME_SESSION "/" HOME_UPPER, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(mkdirat(upper, "d", 0700), 0);
	ck_assert_int_eq(mknodat(upper, "d/null", S_IFCHR | 0666, makedev(1, 3)), 0);
	ck_assert_int_eq(mknodat(upper, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
	ck_assert_int_eq(mknodat(upper, "d/w", S_IFCHR, makedev(0, 0)), 0);
	ck_assert_int_eq(fsetxattr(upper, "trusted.overlay.impure", "y", 1, 0), 0);
	close(upper);
	job = job_of(&stage);
	carry_out(home_commit, &job);
	ck_assert_int_lt(fstatat(stage.home.tree, "null", &st, 0), 0);
	ck_assert_int_lt(fstatat(stage.home.tree, "d/null", &st, 0), 0);
	ck_assert_int_lt(fstatat(stage.home.tree, "d/w", &st, 0), 0);
	ck_assert_int_eq(fstatat(stage.home.tree, "d", &st, 0), 0);
	ck_assert_int_lt(fgetxattr(stage.home.tree, "trusted.overlay.impure", NULL, 0), 0);
	stage_close(&stage);
}
END_TEST

START_TEST(a_home_that_is_too_deep_is_refused)
{
	struct msg_home_done done;
	struct stage stage;
	struct home_job job;
	int dir, next, i;

	stage_open(&stage);
	session_begin(&stage);
	dir = dup(stage.mount);
	for (i = 0; i < TREE_DEPTH_MAX + 50; i++) {
		ck_assert_int_eq(mkdirat(dir, "d", 0700), 0);
		next = openat(dir, "d", O_RDONLY | O_DIRECTORY);
		close(dir);
		dir = next;
	}
	close(dir);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/at", stage.home.dir);
	close_fd(&stage.mount);
	ck_assert_int_eq(umount2(path, 0), 0);
	job = job_of(&stage);
	done = carry_out(home_commit, &job);
	ck_assert(!done.committed);
	ck_assert_ptr_nonnull(strstr(done.why, "directories deep"));
	carry_out(home_discard, &job);
	assert_home(&stage, "too deep", 0, stage.old);
	ck_assert_int_eq(trash_sweep(stage.home.dir), 0);
	stage_close(&stage);
}
END_TEST

/* The lines of what a session changed, each with a newline for its NUL. */
START_TEST(the_list_names_what_changed)
{
	char path[PATH_MAX], name[UUID_TEXT_LEN + 1], text[256] = "";
	struct msg_home_done done;
	struct stage stage;
	struct home_job job;
	ssize_t length, i;
	int fd;

	stage_open(&stage);
	session_begin(&stage);
	make_file(&stage, "gone", 1);
	make_file(&stage, "kept", 1);
	ck_assert_int_eq(mkdirat(stage.mount, "d", 0700), 0);
	make_file(&stage, "d/x", 1);
	session_end(&stage);
	job = job_of(&stage);
	carry_out(home_commit, &job);
	session_begin(&stage);
	ck_assert_int_eq(unlinkat(stage.mount, "gone", 0), 0);
	make_file(&stage, "kept", 2);
	ck_assert_int_eq(remove_tree(stage.mount, "d"), 0);
	make_file(&stage, "new", 2);
	session_end(&stage);
	job.session = stage.session;
	done = carry_out(home_commit, &job);
	ck_assert_uint_eq(done.added, 1);
	ck_assert_uint_eq(done.modified, 1);
	ck_assert_uint_eq(done.removed, 3);
	snprintf(path, sizeof(path), HOME_HISTORY "/%s/" HOME_CHANGES_FILE,
		 uuid_format(&stage.session, name));
	fd = openat(stage.home.dir, path, O_RDONLY);
	length = read(fd, text, sizeof(text) - 1);
	for (i = 0; i < length; i++)
		text[i] = text[i] ? text[i] : '\n';
	ck_assert_ptr_nonnull(strstr(text, "-gone\n"));
	ck_assert_ptr_nonnull(strstr(text, "~kept\n"));
	ck_assert_ptr_nonnull(strstr(text, "-d\n-d/x\n"));
	ck_assert_ptr_nonnull(strstr(text, "+new\n"));
	close(fd);
	stage_close(&stage);
}
END_TEST

START_TEST(no_descriptor_stays_open)
{
	struct stage stage;
	struct home_job job;
	int before;

	stage_open(&stage);
	whole_session(&stage, 60);
	before = open_fds();
	job = job_of(&stage);
	carry_out(home_commit, &job);
	carry_out(home_rollback, &job);
	ck_assert_int_eq(open_fds(), before);
	stage_close(&stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    nothing_changed_leaves_no_history,
	    discarded_changes_are_gone,
	    another_sessions_changes_are_not_committed,
	    a_home_over_its_size_stays_as_it_was,
	    a_history_is_as_long_as_is_asked_for,
	    nothing_is_undone_past_a_direct_session,
	    links_are_never_followed,
	    marks_and_devices_do_not_reach_the_home,
	    a_home_that_is_too_deep_is_refused,
	    the_list_names_what_changed,
	    no_descriptor_stays_open,
	};
	int rc = enter_stage();

	if (!rc)
		rc = suite_run("home_rules", tests, ARRAY_LEN(tests));
	umount2(top, MNT_DETACH);
	rmdir(top);
	return rc;
}
