/* A process is its pid and its start time: never another one with the same number. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/procid.h"
#include "tests/unit/suite.h"

/* A child that waits to be killed, under this name. */
static pid_t
child_named(const char *name)
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, name, 0, 0, 0);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

START_TEST(reads_any_name)
{
	static const char *const names[] = {"x", ") Z 1 1 (", "a b c", "))))", "1 2 3) 4"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		pid_t pid = child_named(names[i]);
		struct procid id, self;

		ck_assert_int_eq(procid_read(pid, &id), 0);
		ck_assert_int_eq(procid_read(getpid(), &self), 0);
		ck_assert_int_eq(id.pid, pid);
		ck_assert_uint_ge(id.start_ticks, self.start_ticks);
		ck_assert_int_eq(procid_kill(&id, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
}
END_TEST

START_TEST(another_start_time)
{
	pid_t pid = child_named("victim");
	struct procid id;

	ck_assert_int_eq(procid_read(pid, &id), 0);
	id.start_ticks--;
	ck_assert_int_eq(procid_open(&id), -ESRCH);
	ck_assert_int_eq(procid_kill(&id, SIGKILL), -ESRCH);
	id.start_ticks++;
	ck_assert_int_eq(procid_kill(&id, 0), 0);
	ck_assert_int_eq(procid_kill(&id, SIGKILL), 0);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(zombie_is_gone)
{
	pid_t pid = child_named("zombie");
	struct procid id;
	siginfo_t info;

	ck_assert_int_eq(procid_read(pid, &id), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(procid_open(&id), -ESRCH);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(procid_open(&id), -ESRCH);
	ck_assert_int_eq(procid_read(pid, &id), -ESRCH);
}
END_TEST

START_TEST(no_process)
{
	static const struct procid none[] = {{0, 0}, {-1, 0}, {1 << 22, 1}};
	int before = open_fds();

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		ck_assert_int_lt(procid_open(&none[i]), 0);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {reads_any_name, another_start_time, zombie_is_gone,
				      no_process};

	return suite_run("procid", tests, ARRAY_LEN(tests));
}
