/* What a keeper, a builder or an init may not call kills it. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/keeper_calls.h"
#include "suite.h"

/* Arguments that would do nothing if the call were let through. */
static const struct {
	const char *name;
	long number;
	bool builder; /* allowed to it */
	bool keeper;
	bool init;
} calls[] = {
    {"socket", SYS_socket, false, false, false},
    {"connect", SYS_connect, false, false, false},
    {"execve", SYS_execve, false, false, false},
    {"execveat", SYS_execveat, false, false, false},
    {"clone3", SYS_clone3, false, false, false},
    {"unshare", SYS_unshare, false, false, false},
    {"setns", SYS_setns, false, false, false},
    {"mount", SYS_mount, false, false, false},
    {"move_mount", SYS_move_mount, false, false, false},
    {"ptrace", SYS_ptrace, false, false, false},
    {"kill", SYS_kill, false, false, true},
    {"setresuid", SYS_setresuid, false, false, false},
    {"capset", SYS_capset, false, false, false},
    {"bpf", SYS_bpf, false, false, false},
    {"keyctl", SYS_keyctl, false, false, false},
    {"io_uring_setup", SYS_io_uring_setup, false, false, false},
    {"open_by_handle_at", SYS_open_by_handle_at, false, false, false},
    {"openat2", SYS_openat2, true, false, false},
    {"pidfd_send_signal", SYS_pidfd_send_signal, true, false, false},
    {"accept4", SYS_accept4, false, true, false},
    {"fdatasync", SYS_fdatasync, false, true, false},
    {"wait4", SYS_wait4, false, true, true},
#ifndef __SANITIZE_ADDRESS__ /* whose run time may open files */
    {"openat", SYS_openat, false, false, false},
#endif
    {"clone", SYS_clone, false, false, false},
    {"prctl", SYS_prctl, false, false, false},
};

/* The signal that ended a process which loaded the program and called; 0: it went on. second: the
 * call's second argument. */
static int
call_with(int program, long number, long second)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_load(program) < 0)
			syscall(SYS_exit_group, 1);
		syscall(number, -1, second, -1, -1, -1, -1);
		syscall(SYS_exit_group, 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int
call_under(int program, long number)
{
	return call_with(program, number, -1);
}

static int
program(const int *list, size_t count)
{
	struct error error = ERROR_INIT;
	int fd = confine_program(list, count, &error);

	ck_assert_msg(fd >= 0, "%s: %s", error.what, error.why);
	return fd;
}

START_TEST(keeper)
{
	_cleanup_close_ int fd = program(keeper_syscalls, keeper_syscall_count);

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		ck_assert_msg(call_under(fd, calls[i].number) == (calls[i].keeper ? 0 : SIGSYS),
			      "%s", calls[i].name);
}
END_TEST

START_TEST(builder)
{
	_cleanup_close_ int fd = program(builder_syscalls, builder_syscall_count);

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		ck_assert_msg(call_under(fd, calls[i].number) == (calls[i].builder ? 0 : SIGSYS),
			      "%s", calls[i].name);
}
END_TEST

/* Who owns it has the connections that it was handed, and no other. */
START_TEST(egress)
{
	static const long forbidden[] = {SYS_socket, SYS_socketpair, SYS_connect, SYS_bind,
					 SYS_setns,  SYS_execve,     SYS_clone3,  SYS_kill};
	_cleanup_close_ int fd = program(egress_syscalls, egress_syscall_count);

	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		ck_assert_msg(call_under(fd, forbidden[i]) == SIGSYS, "%ld", forbidden[i]);
	ck_assert_int_eq(call_under(fd, SYS_accept4), 0);
	ck_assert_int_eq(call_under(fd, SYS_setsockopt), 0);
}
END_TEST

/* A descriptor with an owner and a signal would be a kill() of every process of the same user. */
START_TEST(descriptors_send_no_signals)
{
	_cleanup_close_ int fd = program(keeper_syscalls, keeper_syscall_count);
	const int forbidden[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY, F_SETLEASE};
	const int used[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_SETLK};

	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		ck_assert_int_eq(call_with(fd, SYS_fcntl, forbidden[i]), SIGSYS);
	for (size_t i = 0; i < ARRAY_LEN(used); i++)
		ck_assert_int_eq(call_with(fd, SYS_fcntl, used[i]), 0);
	ck_assert_int_eq(call_with(fd, SYS_fcntl, F_SETOWN | 1L << 32), SIGSYS);
}
END_TEST

START_TEST(init)
{
	_cleanup_close_ int fd = program(init_syscalls, init_syscall_count);

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		ck_assert_msg(call_under(fd, calls[i].number) == (calls[i].init ? 0 : SIGSYS), "%s",
			      calls[i].name);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {keeper, builder, egress, init, descriptors_send_no_signals};

	return suite_run("keeper_calls", tests, ARRAY_LEN(tests));
}
