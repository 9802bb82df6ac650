#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/confine.h"

static _Noreturn void
become(int binary, const char *name, int end)
{
	char *argv[] = {(char *)name, NULL}, *envp[] = {NULL};
	const int above = 16;
	int channel = fcntl(end, F_DUPFD, above), program = fcntl(binary, F_DUPFD, above);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(channel, CHILD_FD_CHANNEL) < 0 ||
	    dup3(program, CHILD_FD_CHANNEL + 1, O_CLOEXEC) < 0 ||
	    close_from(CHILD_FD_CHANNEL + 2) < 0)
		_exit(1);
	execveat(CHILD_FD_CHANNEL + 1, "", argv, envp, AT_EMPTY_PATH);
	_exit(1);
}

int
child_start(int binary, const char *name, pid_t *pid)
{
	int ends[2], rc = channel_pair(ends);

	if (rc < 0)
		return rc;
	*pid = fork();
	if (!*pid)
		become(binary, name, ends[1]);
	rc = -errno;
	close(ends[1]);
	if (*pid > 0)
		return ends[0];
	close(ends[0]);
	return rc;
}

void
child_end(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}
