/*
 * The processes of a session that are no sandbox: its broker and its egress process. Each finds its
 * descriptors at fixed numbers from 2 on and nothing else, and at the end of its pipe of life it
 * goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "keeper.h"
#include "runnerd/sandbox/network.h"

enum { BESIDE_FDS_MAX = 5, FD_CLEAR = 64 };

struct beside {
	char *name;
	int fds[BESIDE_FDS_MAX]; /* at 2, 3, …; the last is the binary */
	size_t count;
};

/* In the child. Everything is moved out of the way first. */
static _Noreturn void
become(struct beside *what)
{
	char *argv[] = {what->name, NULL}, *envp[] = {NULL};
	int *fds = what->fds, binary = (int)what->count - 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* until its ids change; then the pipe tells */
	for (size_t i = 0; i < what->count; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_CLEAR);
		if (fds[i] < 0)
			_exit(1);
	}
	for (int i = 0; i < binary; i++)
		if (dup2(fds[i], STDERR_FILENO + i) < 0)
			_exit(1);
	if (close_range((unsigned)(STDERR_FILENO + binary), ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(1);
	fexecve(fds[binary], argv, envp);
	log_error("fexecve of the %s: %s", what->name, strerror(errno));
	_exit(1);
}

/* log, life: pipes; the child has the writing end of the one and the reading end of the other. */
static int
take_child(struct child *child, struct stream *log, int *life, const int log_ends[2],
	   const int life_ends[2], struct error *error)
{
	close(log_ends[1]);
	close(life_ends[0]);
	log->fd = log_ends[0];
	*life = life_ends[1];
	if (child->pid < 0)
		return error_errno(error, errno, "fork");
	child->pidfd = pidfd_open(child->pid, 0);
	return child->pidfd < 0 ? error_errno(error, errno, "pidfd_open") : 0;
}

static int
make_pipes(int log[2], int life[2])
{
	return pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(life, O_CLOEXEC) < 0 ? -1 : 0;
}

static void
leave_namespaces(const char *name)
{
	struct error error = ERROR_INIT;

	if (network_unshare(&error) == 0 && unshare(CLONE_NEWIPC | CLONE_NEWUTS) == 0)
		return;
	log_error("the %s's namespaces: %s", name, error.why[0] ? error.why : strerror(errno));
	_exit(1);
}

int
keeper_fork_broker(struct keeper *keeper, struct error *error)
{
	static char name[] = "broker";
	int log[2], life[2], rc;

	keeper->broker_life = keeper->broker_log.fd = keeper->broker.pidfd = -1;
	if (!keeper->boot.broker)
		return 0;
	if (pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, life) < 0)
		return error_errno(error, errno, "the broker's pipe and socket");
	keeper->broker.pid = fork();
	if (keeper->broker.pid == 0) {
		leave_namespaces(name);
		become(&(struct beside){
		    name, {log[1], keeper->fds.broker_channel, life[0], keeper->fds.broker}, 4});
	}
	rc = take_child(&keeper->broker, &keeper->broker_log, &keeper->broker_life, log, life,
			error);
	close_fd(&keeper->fds.broker);
	close_fd(&keeper->fds.broker_channel);
	return rc < 0 ? error_what(error, "starting the broker") : 0;
}

/* It leaves the network namespace itself, when it has furnished the session's. */
int
keeper_fork_egress(struct keeper *keeper, struct error *error)
{
	static char name[] = "egress";
	int log[2], life[2], rc;

	keeper->egress_life = keeper->egress_log.fd = keeper->egress.pidfd = -1;
	if (!keeper->boot.egress)
		return 0;
	if (make_pipes(log, life) < 0)
		return error_errno(error, errno, "the egress process's pipes");
	keeper->egress.pid = fork();
	if (keeper->egress.pid == 0) {
		if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0)
			_exit(1);
		become(&(struct beside){name,
					{log[1], keeper->fds.egress_channel, life[0], KEEPER_FD_NET,
					 keeper->fds.egress},
					5});
	}
	rc = take_child(&keeper->egress, &keeper->egress_log, &keeper->egress_life, log, life,
			error);
	close_fd(&keeper->fds.egress);
	close_fd(&keeper->fds.egress_channel);
	return rc < 0 ? error_what(error, "starting the egress process") : 0;
}
