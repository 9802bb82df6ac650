// with: runnerd/home/changes.c runnerd/home/commit.c runnerd/home/copy.c runnerd/home/history.c
// with: runnerd/home/merge.c runnerd/home/rollback.c runnerd/home/tree.c runnerd/fs.c
// with: runnerd/homes.c runnerd/layers.c runnerd/overlay.c runnerd/quota.c runnerd/trash.c
/*
 * What a commit costs follows what changed, and not how big the home is: counted in system calls,
 * by a tracer. HOME_FILES=100000 takes a bigger home than 20,000 files.
 */
#include <signal.h>
#include <sys/ptrace.h>

#include "tests/unit/home_stage.h"

enum { FILES = 20000, FEW = 1000, IN_DIRECTORY = 100, CHANGED = 10, SLACK = 20 };

static unsigned
files_asked_for(void)
{
	const char *text = getenv("HOME_FILES");

	return text ? (unsigned)strtoul(text, NULL, 10) : FILES;
}

static void
write_one(const struct stage *stage, unsigned number, unsigned size)
{
	char path[64];

	snprintf(path, sizeof(path), "d%u", number / IN_DIRECTORY);
	ck_assert(mkdirat(stage->mount, path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "d%u/f%u", number / IN_DIRECTORY, number);
	ck_assert_int_eq(write_some(stage->mount, path, size, 0, O_CREAT | O_TRUNC), 0);
}

/* The system calls of the order, carried out in a process that is stopped at each. */
static unsigned
count_calls(order_fn *order, const struct home_job *job)
{
	unsigned stops = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct msg_home_done done = {0};
		struct error error = ERROR_INIT;

		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(order(job, &done, &error) == 0 && (done.committed || done.undone) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status));
	for (;;) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		stops++;
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return stops / 2;
}

struct cost {
	unsigned commit, rollback;
};

/* Of a session that changes a few files of a home of so many. */
static struct cost
cost_of(unsigned files)
{
	struct cost cost;
	struct stage stage;
	struct home_job job;
	unsigned i;

	stage_open(&stage);
	session_begin(&stage);
	for (i = 0; i < files; i++)
		write_one(&stage, i, 1);
	session_end(&stage);
	job = job_of(&stage);
	ck_assert_uint_ge(carry_out(home_commit, &job).added, files);
	session_begin(&stage);
	for (i = 0; i < CHANGED; i++)
		write_one(&stage, i * (files / CHANGED), 2);
	session_end(&stage);
	job = job_of(&stage);
	cost.commit = count_calls(home_commit, &job);
	assert_home(&stage, "the home is what the session saw", files, stage.seen);
	cost.rollback = count_calls(home_rollback, &job);
	assert_home(&stage, "rolled back", files, stage.old);
	stage_close(&stage);
	return cost;
}

static void
compare(const char *where)
{
	unsigned files = files_asked_for();
	struct cost few = cost_of(FEW), many = cost_of(files);

	printf("%d files of %u changed, %s: %u calls to commit, %u to undo; of %d: %u and %u\n",
	       CHANGED, files, where, many.commit, many.rollback, FEW, few.commit, few.rollback);
	/* Each changed file lies in a directory of its own, here and there. */
	ck_assert_uint_le(many.commit, few.commit + SLACK);
	ck_assert_uint_le(many.rollback, few.rollback + SLACK);
}

START_TEST(on_disk)
{
	compare("layers on disk");
}
END_TEST

START_TEST(from_memory)
{
	in_memory = true;
	compare("layers in memory");
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {on_disk, from_memory};
	int rc = enter_stage();

	if (!rc)
		rc = suite_run("home_cost", tests, ARRAY_LEN(tests));
	umount2(top, MNT_DETACH);
	rmdir(top);
	return rc;
}
