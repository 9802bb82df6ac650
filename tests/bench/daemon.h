/*
 * A real daemon under a bench that plays agentd to it, and the other one of schedd and runnerd.
 * Root only. Included by the one file of a program.
 */
#ifndef SCARAB_TESTS_BENCH_DAEMON_H
#define SCARAB_TESTS_BENCH_DAEMON_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/proto.h"

enum { WAIT_MS = 60000 };

struct played {
	pid_t pid;
	int agentd, peer; /* the bench's ends */
};

static _Noreturn void
die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(rc < 0 ? -rc : errno));
	exit(2);
}

static inline void
play_exec(struct played *played, const char *build, const char *name, int end)
{
	char path[PATH_LEN_MAX + 16], own[16];
	char *argv[] = {own, NULL}, *envp[] = {NULL};

	snprintf(path, sizeof(path), "%s/%s", build, name);
	snprintf(own, sizeof(own), "%s", name);
	played->pid = fork();
	if (played->pid < 0)
		die("fork", 0);
	if (played->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		if (dup2(end, 20) < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0 ||
		    dup2(20, DAEMON_FD_AGENTD) < 0 || dup2(null, DAEMON_FD_GENERATION) < 0)
			_exit(127);
		close_from(DAEMON_FD_GENERATION + 1);
		execve(path, argv, envp);
		_exit(127);
	}
	close(end);
}

/* Takes fd over. */
static inline void
play_tell(const struct played *played, enum phase phase, struct msg *msg, int fd)
{
	int rc;

	msg_add_fd(msg, fd);
	rc = msg_send(played->agentd, CH_SUPERVISE, SIDE_A, phase, msg);
	msg_close_fds(msg);
	if (rc < 0)
		die("telling the daemon", rc);
}

/* The one of BUILD, with its configuration (a sealed memfd, taken over): it
 * is ready. */
static inline void
play_start(struct played *played, const char *build, enum role role, int config)
{
	int ends[2], rc = channel_pair(ends);
	struct msg msg;

	if (rc < 0 || config < 0)
		die("a channel", rc < 0 ? rc : config);
	played->agentd = ends[0];
	play_exec(played, build, role_name(role), ends[1]);
	rc = msg_greet(played->agentd, CH_SUPERVISE, SIDE_A, ROLE_AGENTD, role, WAIT_MS);
	if (rc < 0)
		die("greeting the daemon", rc);
	msg_init(&msg, MSG_START);
	msg.start.generation = 1;
	play_tell(played, IN_SETUP, &msg, config);
	rc = msg_recv(played->agentd, CH_SUPERVISE, SIDE_A, IN_SETUP, &msg, WAIT_MS);
	if (rc <= 0 || msg.type != MSG_READY)
		die("the daemon does not get ready", rc);
}

/* It takes the bench for the other one. */
static inline void
play_introduce(struct played *played, enum role role)
{
	enum role own = role == ROLE_SCHEDD ? ROLE_RUNNERD : ROLE_SCHEDD;
	int ends[2], rc = channel_pair(ends);
	struct msg msg;

	if (rc < 0)
		die("a channel", rc);
	msg_init(&msg, MSG_INTRODUCE);
	msg.introduce.kind = CH_SCHEDD_RUNNERD;
	msg.introduce.role = own;
	play_tell(played, IN_OPEN, &msg, ends[1]);
	played->peer = ends[0];
	rc = msg_greet(played->peer, CH_SCHEDD_RUNNERD, own == ROLE_SCHEDD ? SIDE_A : SIDE_B, own,
		       role, WAIT_MS);
	if (rc < 0)
		die("greeting the daemon as another", rc);
}

static inline void
play_end(struct played *played)
{
	close(played->agentd);
	waitpid(played->pid, NULL, 0);
	close(played->peer);
}

#endif
