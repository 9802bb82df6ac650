#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/proto.h"
#include "keeper.h"
#include "runnerd/sandbox/builder.h"

enum {
	BOOT_WAIT_MS = 30000,
	OPEN_FILES = 64,
};

static int
check_fds(const struct boot_fds *fds, struct error *error)
{
	const struct {
		const char *name;
		int fd;
		mode_t type;
	} wanted[] = {
	    {"the builder's channel", fds->builder, S_IFSOCK},
	    {"the log", fds->segment, S_IFREG},
	    {"the next log", fds->next_segment, S_IFREG},
	    {"the exit record", fds->record, S_IFREG},
	    {"the keeper's socket", fds->socket, S_IFSOCK},
	    {"the home's lock", fds->lock, S_IFREG},
	    {"the private root", fds->root, S_IFDIR},
	    {"the keeper's seccomp program", fds->program, S_IFREG},
	    {"the builder's seccomp program", fds->builder_program, S_IFREG},
	};
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		rc = fd_check(wanted[i].fd, wanted[i].type, -1);
		if (rc < 0 && !(wanted[i].type == S_IFDIR && rc == -EBADF))
			return error_errno(error, -rc, "KEEPER_BOOT: the descriptor of %s",
					   wanted[i].name);
	}
	rc = fds->oom_count < 0 ? 0 : fd_check(fds->oom_count, S_IFREG, -1);
	return rc < 0 ? error_errno(error, -rc, "KEEPER_BOOT: the count of those killed") : 0;
}

int
keeper_receive(struct keeper *keeper, struct error *error)
{
	static struct msg msg;
	int *const slots[] = {
	    &keeper->fds.builder,         &keeper->fds.segment,   &keeper->fds.next_segment,
	    &keeper->fds.record,          &keeper->fds.socket,    &keeper->fds.lock,
	    &keeper->fds.input,           &keeper->fds.root,      &keeper->fds.program,
	    &keeper->fds.builder_program, &keeper->fds.oom_count, &keeper->fds.oom_event,
	};
	int rc =
	    msg_greet(KEEPER_FD_BOOT, CH_KEEPER, SIDE_B, ROLE_KEEPER, ROLE_RUNNERD, BOOT_WAIT_MS);

	if (rc == 0)
		rc = msg_recv(KEEPER_FD_BOOT, CH_KEEPER, SIDE_B, IN_SETUP, &msg, BOOT_WAIT_MS);
	if (rc <= 0)
		return error_errno(error, rc < 0 ? -rc : EPIPE, "receiving KEEPER_BOOT");
	keeper->boot = msg.keeper_boot;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		*slots[i] = msg_take_fd(&msg, i);
	return check_fds(&keeper->fds, error);
}

/* --- the builder ------------------------------------------------------------------------------ */

/* The agent may open /dev/stdout and its like again: the pipes are its own. [0] reads. */
static int
agent_pipe(const struct keeper *keeper, int ends[2], int own)
{
	uid_t uid = keeper->boot.base_uid + AGENT_UID;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (fchown(ends[0], uid, uid) < 0)
		return -errno;
	return fd_set_nonblock(ends[own], true);
}

static int
make_pipes(struct keeper *keeper, int agents_ends[3])
{
	int ends[2], rc;

	for (int i = 0; i < 3; i++) {
		rc = agent_pipe(keeper, ends, i == 0);
		if (rc < 0)
			return rc;
		agents_ends[i] = ends[i != 0];
		if (i == 0)
			keeper->input = ends[1];
		else
			keeper->streams[i - 1].fd = ends[0];
	}
	return 0;
}

int
keeper_fork_builder(struct keeper *keeper, struct error *error)
{
	struct builder own = {.channel = keeper->fds.builder,
			      .init = KEEPER_FD_INIT,
			      .net = KEEPER_FD_NET,
			      .keeper = getpid(),
			      .program = keeper->fds.builder_program};
	int nursery[2], rc = make_pipes(keeper, own.stdio);

	if (rc < 0)
		return error_errno(error, -rc, "the agent's pipes");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, nursery) < 0)
		return error_errno(error, errno, "socketpair for the builder");
	own.nursery = nursery[0];
	keeper->nursery = nursery[1];
	keeper->builder = fork();
	if (keeper->builder == 0)
		builder_main(&own);
	if (keeper->builder < 0)
		return error_errno(error, errno, "fork of the builder");
	keeper->builder_pidfd = pidfd_open(keeper->builder, 0);
	if (keeper->builder_pidfd < 0)
		return error_errno(error, errno, "pidfd_open of the builder");
	for (int i = 0; i < 3; i++)
		close(own.stdio[i]);
	close(nursery[0]);
	close(KEEPER_FD_INIT);
	close(KEEPER_FD_NET);
	close_fd(&keeper->fds.builder);
	close_fd(&keeper->fds.builder_program);
	return 0;
}

/* --- the drop --------------------------------------------------------------------------------- */

/* Listens only now: SO_PEERCRED tells who called listen(), and that shall be the keeper. */
int
keeper_drop(struct keeper *keeper, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.uid = keeper->boot.base_uid + KEEPER_UID;
	to.gid = to.uid;
	to.root_fd = steal_fd(&keeper->fds.root);
	to.program_fd = steal_fd(&keeper->fds.program);
	to.open_files = OPEN_FILES;
	to.no_processes = true;
	to.landlock = true;
	if (confine_prebuilt(&to, error) < 0)
		return -1;
	if (listen(keeper->fds.socket, 4) < 0)
		return error_errno(error, errno, "listen on the keeper's socket");
	return 0;
}
