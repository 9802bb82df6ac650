#include "spawner.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "common/proto.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* What building a sandbox takes; nothing cloned from here can have more. */
static const uint64_t sandbox_caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) |
				     CAP(FOWNER) | CAP(FSETID) | CAP(KILL) | CAP(SETGID) |
				     CAP(SETUID) | CAP(SETPCAP) | CAP(NET_ADMIN) |
				     CAP(NET_BIND_SERVICE) | CAP(SYS_CHROOT) | CAP(SYS_ADMIN);

static int
drop_capabilities(struct error *error)
{
	int rc = confine_bounding(sandbox_caps);

	if (rc == 0)
		rc = confine_caps(sandbox_caps);
	if (rc < 0) {
		error_errno(error, -rc, "the spawner cannot reduce its capabilities");
		return error_hint(error, "runnerd needs the capabilities named in runnerd(8)");
	}
	return 0;
}

static int
prepare(struct error *error)
{
	int init, rc;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGCHLD, SIG_IGN); /* keepers are runnerd's to watch, by pidfd */
	signal(SIGPIPE, SIG_IGN);
	init = spawner_seal_init(SPAWNER_FD_INIT, error);
	if (init < 0)
		return -1;
	rc = dup3(init, SPAWNER_FD_INIT, O_CLOEXEC);
	if (init != SPAWNER_FD_INIT)
		close(init);
	if (rc < 0)
		return error_errno(error, errno, "dup3 of init's copy");
	rc = close_from(SPAWNER_FD_INIT + 1);
	if (rc < 0)
		return error_errno(error, -rc, "close_range");
	if (spawner_leave_mounts(error) < 0)
		return -1;
	return drop_capabilities(error);
}

/* Making a network namespace takes longer than all the others together: one is kept ahead. */
struct nets {
	int own;  /* the spawner's */
	int next; /* the next session's; -1: it could not be made */
};

static pid_t
start_keeper(const struct msg *request, struct nets *nets, int *pidfd, struct error *error)
{
	struct keeper_start with = {.channel = request->fds[0],
				    .cgroups = &request->fds[1],
				    .cgroup_count = request->nfds - 1};
	pid_t pid;

	if (nets->next < 0)
		nets->next = spawner_new_net(nets->own, error);
	if (nets->next < 0)
		return -1;
	with.net = nets->next;
	pid = spawner_clone(&with, pidfd, error);
	close_fd(&nets->next);
	return pid;
}

static int
answer(const struct msg *request, struct nets *nets)
{
	struct msg msg;
	struct error error = ERROR_INIT;
	int pidfd = -1, rc;
	pid_t pid = start_keeper(request, nets, &pidfd, &error);

	if (pid < 0) {
		msg_from_error(&msg, request->id, &error);
	} else {
		msg_init(&msg, MSG_SPAWNED);
		msg.id = request->id;
		msg.spawned.pid = (uint32_t)pid;
		msg_add_fd(&msg, pidfd);
	}
	rc = msg_send(SPAWNER_FD_CHANNEL, CH_SPAWNER, SIDE_B, IN_OPEN, &msg);
	msg_close_fds(&msg);
	return rc;
}

/* Until runnerd closes the channel. */
static int
serve(struct nets *nets)
{
	struct error later = ERROR_INIT; /* tried again, and told, when it is needed */
	static struct msg msg;
	int rc;

	do {
		nets->next = spawner_new_net(nets->own, &later);
		rc = msg_recv(SPAWNER_FD_CHANNEL, CH_SPAWNER, SIDE_B, IN_OPEN, &msg, -1);
		if (rc <= 0)
			return rc;
		rc = answer(&msg, nets);
		msg_close_fds(&msg);
	} while (rc == 0);
	return rc;
}

int
main(void)
{
	struct nets nets = {.own = -1, .next = -1};
	struct error error = ERROR_INIT;
	int rc;

	log_open("spawner", LOG_LEVEL_INFO, log_target_auto());
	/* Not by EOF alone: one that hangs would hold the generation's lock, and agentd, which
	 * kills the daemons it knows, does not know it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (prepare(&error) == 0)
		nets.own = spawner_open_net(&error);
	if (nets.own < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		return 1;
	}
	rc = msg_greet(SPAWNER_FD_CHANNEL, CH_SPAWNER, SIDE_B, ROLE_SPAWNER, ROLE_RUNNERD, -1);
	if (rc == 0)
		rc = serve(&nets);
	if (rc == 0 || rc == -EPIPE || rc == -ECONNRESET)
		return 0;
	error_errno(&error, -rc, "the channel with runnerd broke");
	log_problem(LOG_LEVEL_ERROR, &error);
	return 1;
}
