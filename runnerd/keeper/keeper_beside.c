/*
 * The processes of a session that are no sandbox: its broker and its egress processes. Each finds
 * its descriptors at fixed numbers from 2 on and nothing else, and at the end of its pipe of life
 * it goes.
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
#include "common/crash.h"
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

/* It enters the sandbox's network namespace itself, and furnishes it. */
static int
fork_outlet(struct keeper *keeper, unsigned place, struct error *error)
{
	static char name[] = "egress";
	struct outlet *outlet = &keeper->outlets[place];
	int *binary = &keeper->fds.egress[place], *channel = &keeper->fds.egress_channel[place];
	int log[2], life[2], rc;

	if (make_pipes(log, life) < 0)
		return error_errno(error, errno, "the egress process's pipes");
	outlet->child.pid = fork();
	if (outlet->child.pid == 0) {
		if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0)
			_exit(1);
		become(
		    &(struct beside){name, {log[1], *channel, life[0], outlet->net, *binary}, 5});
	}
	rc = take_child(&outlet->child, &outlet->log, &outlet->life, log, life, error);
	CRASH_POINT("keeper.egress");
	close_fd(binary);
	close_fd(channel);
	return rc < 0 ? error_what(error, "starting the egress process") : 0;
}

/* A namespace for a plugin; the spawner makes the agents' ahead. The keeper stays where it is. */
static int
make_net(struct outlet *outlet, int own, struct error *error)
{
	if (network_unshare(error) < 0)
		return -1;
	outlet->net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (outlet->net < 0)
		return error_errno(error, errno, "opening a plugin's network namespace");
	return setns(own, CLONE_NEWNET) < 0
		   ? error_errno(error, errno, "leaving a plugin's network namespace")
		   : 0;
}

int
keeper_make_nets(struct keeper *keeper, struct error *error)
{
	_cleanup_close_ int own = -1;

	for (unsigned i = 0; i < ARRAY_LEN(keeper->outlets); i++)
		keeper->outlets[i] = (struct outlet){.keeper = keeper,
						     .child = {.pidfd = -1},
						     .life = -1,
						     .net = -1,
						     .log = {.fd = -1}};
	keeper->outlets[0].net = KEEPER_FD_NET;
	for (unsigned i = 1; i <= keeper->boot.plugins; i++) {
		if (keeper->fds.egress[i] < 0)
			continue;
		keeper->outlets[i].whose = keeper->plugins[i - 1].name;
		if (own < 0)
			own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (own < 0)
			return error_errno(error, errno, "opening the keeper's network namespace");
		if (make_net(&keeper->outlets[i], own, error) < 0)
			return -1;
	}
	return 0;
}

int
keeper_fork_egress(struct keeper *keeper, struct error *error)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i <= keeper->boot.plugins; i++)
		if (keeper->fds.egress[i] >= 0)
			rc = fork_outlet(keeper, i, error);
	for (unsigned i = 0; i <= keeper->boot.plugins; i++)
		close_fd(&keeper->outlets[i].net);
	return rc;
}
