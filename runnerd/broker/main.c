/* The story of a broker's privileges: root until it has its plan, then nobody who may do nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/log.h"
#include "state.h"

enum {
	BOOT_WAIT_MS = 30000,
	OPEN_FILES = 512, /* two a plugin, one a connection, a memfd for each call that waits */
};

/* What BROKER_BOOT brought, in its order. */
struct boot_fds {
	int plan, mission, agents, own, root, program;
};

static int
check_fds(const struct boot_fds *fds, struct error *error)
{
	const struct {
		const char *name;
		int fd;
		mode_t type;
	} wanted[] = {
	    {"the plan", fds->plan, S_IFREG},
	    {"the mission", fds->mission, S_IFREG},
	    {"the agent's socket", fds->agents, S_IFSOCK},
	    {"the broker's socket", fds->own, S_IFSOCK},
	    {"the private root", fds->root, S_IFDIR},
	    {"the seccomp program", fds->program, S_IFREG},
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		int rc = fd_check(wanted[i].fd, wanted[i].type, -1);

		if (rc < 0 && !(wanted[i].type == S_IFDIR && rc == -EBADF))
			return error_errno(error, -rc, "BROKER_BOOT: the descriptor of %s",
					   wanted[i].name);
	}
	return 0;
}

static int
receive(struct broker *broker, struct boot_fds *fds, struct error *error)
{
	static struct msg msg;
	int *const slots[] = {&fds->plan, &fds->mission, &fds->agents,
			      &fds->own,  &fds->root,    &fds->program};
	int rc =
	    msg_greet(BROKER_FD_BOOT, CH_BROKER, SIDE_B, ROLE_BROKER, ROLE_RUNNERD, BOOT_WAIT_MS);

	if (rc == 0)
		rc = msg_recv(BROKER_FD_BOOT, CH_BROKER, SIDE_B, IN_SETUP, &msg, BOOT_WAIT_MS);
	if (rc <= 0)
		return error_errno(error, rc < 0 ? -rc : EPIPE, "receiving BROKER_BOOT");
	if (msg.type != MSG_BROKER_BOOT) {
		msg_close_fds(&msg);
		return error_why(error, ERR_FAILED, "another message came instead of BROKER_BOOT");
	}
	broker->boot = msg.broker_boot;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		*slots[i] = msg_take_fd(&msg, i);
	broker->listener = fds->agents;
	broker->own_listener = fds->own;
	return check_fds(fds, error);
}

/* Listens only now: SO_PEERCRED tells who called listen(), and that shall be the broker. */
static int
drop(struct broker *broker, struct boot_fds *fds, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.uid = broker->boot.uid;
	to.gid = to.uid;
	to.root_fd = steal_fd(&fds->root);
	to.program_fd = steal_fd(&fds->program);
	to.open_files = OPEN_FILES;
	to.no_processes = true;
	to.landlock = true;
	if (confine_prebuilt(&to, error) < 0)
		return -1;
	if (listen(broker->own_listener, 4) < 0 || fd_set_nonblock(broker->own_listener, true) < 0)
		return error_errno(error, errno, "listen on the broker's socket");
	if (listen(broker->listener, AGENTS_MAX) < 0 || fd_set_nonblock(broker->listener, true) < 0)
		return error_errno(error, errno, "listen on the agent's socket");
	return 0;
}

/* Nothing of plugins is read before the drop; the plan is runnerd's own. */
static int
serve(struct broker *broker, struct error *error)
{
	struct boot_fds fds = {-1, -1, -1, -1, -1, -1};
	int rc;

	if (receive(broker, &fds, error) < 0 || drop(broker, &fds, error) < 0)
		return -1;
	rc = plan_read(broker, fds.plan, fds.mission, error);
	close(fds.plan);
	close(fds.mission);
	if (rc < 0 || link_open(broker, BROKER_FD_BOOT, error) < 0 ||
	    broker_begin(broker, error) < 0)
		return -1;
	if (life_open(broker) < 0)
		return error_errno(error, errno, "watching the keeper's socket");
	return loop_run(broker->loop);
}

/* runnerd is told why when it can still hear it. */
static int
fail(const struct error *error)
{
	struct msg msg;

	log_problem(LOG_LEVEL_ERROR, error);
	msg_from_error(&msg, 0, error);
	msg_send(BROKER_FD_BOOT, CH_BROKER, SIDE_B, IN_SETUP, &msg);
	return 1;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct broker *broker;
	int rc;

	prctl(PR_SET_NAME, "broker", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	fcntl(BROKER_FD_BOOT, F_SETFD, FD_CLOEXEC);
	fcntl(BROKER_FD_LIFE, F_SETFD, FD_CLOEXEC);
	log_open("broker", LOG_LEVEL_INFO, LOG_TO_STDERR);
	broker = broker_new();
	if (!broker)
		return 1;
	rc = serve(broker, &error);
	if (rc < 0)
		return fail(&error);
	broker_free(broker);
	return rc;
}
