/*
 * Every system call number with arguments of -1, each in a child: what an agent meets. Prints
 * "NUMBER CLASS": the errno where the filter may have given it, killed, or kernel for whatever
 * else came of it. Run by nobody in particular: as root -1 could mean something.
 */
#include <poll.h>
#include <signal.h>

#include "escape.h"

enum { LAST = 470, PATIENCE_MS = 200, STARTED = 1 };

/* What the child found, in a pipe: a call may take everything else away. */
static int
classify(long number, int report)
{
	long rc;
	int found;

	if (number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn)
		return 0;
	rc = syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
	found = rc < 0 ? errno : 0;
	return (int)write(report, &found, sizeof(found));
}

static const char *
class_of(int number)
{
	switch (number) {
	case EPERM:
		return "EPERM";
	case ENOSYS:
		return "ENOSYS";
	case EAFNOSUPPORT:
		return "EAFNOSUPPORT";
	default:
		return "kernel";
	}
}

/* A child that reports nothing was blocked, ended or killed by what it called. */
static const char *
met(long number)
{
	struct pollfd ends[2] = {{.events = POLLIN}};
	int pipes[2], found = 0, status;
	const char *class = "kernel";
	pid_t pid;

	if (pipe(pipes) < 0)
		return "no pipe";
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		setpgid(0, 0);
		classify(number, pipes[1]);
		_exit(0);
	}
	close(pipes[1]);
	ends[0].fd = pipes[0];
	if (poll(ends, 1, PATIENCE_MS) == 1 && read(pipes[0], &found, sizeof(found)) > 0)
		class = class_of(found);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(pipes[0]);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "killed" : class;
}

int
main(void)
{
	for (long number = 0; number <= LAST; number++)
		printf("%ld %s\n", number, met(number));
	return 0;
}
