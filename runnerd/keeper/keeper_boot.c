#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/log.h"
#include "common/proto.h"
#include "keeper.h"
#include "runnerd/sandbox/builder.h"

enum {
	BOOT_WAIT_MS = 30000,
	OPEN_FILES = 64 + 4 * SERVERS_MAX,
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

/* The end of the channel: runnerd gave the session up, or died itself. */
static int
not_heard(int rc, const char *what, struct error *error)
{
	int errnum = rc < 0 ? -rc : EPIPE;

	error_errno(error, errnum, "%s", what);
	if (errnum == EPIPE || errnum == ECONNRESET)
		error_as(error, ERR_UNREACHABLE);
	return -1;
}

static int
receive(enum msg_type type, struct msg *msg, struct error *error)
{
	int rc = msg_recv(KEEPER_FD_BOOT, CH_KEEPER, SIDE_B, IN_SETUP, msg, BOOT_WAIT_MS);

	if (rc <= 0)
		return not_heard(rc, msg_rule(type)->name, error);
	if (msg->type == type)
		return 0;
	msg_close_fds(msg);
	return error_why(error, ERR_INVALID, "%s came instead of %s", msg_rule(msg->type)->name,
			 msg_rule(type)->name);
}

static int
receive_plugin(struct keeper *keeper, unsigned number, struct msg *msg, struct error *error)
{
	struct plugin *plugin = &keeper->plugins[number];

	if (receive(MSG_KEEPER_BUILDER, msg, error) < 0)
		return -1;
	keeper->fds.plugin_builders[number] = msg_take_fd(msg, 0);
	*plugin = (struct plugin){.keeper = keeper,
				  .uid = keeper->boot.base_uid + msg->keeper_builder.uid,
				  .pidfd = -1,
				  .socket = -1};
	snprintf(plugin->name, sizeof(plugin->name), "plugin-%s", msg->keeper_builder.name);
	return msg->keeper_builder.plugin == number
		   ? 0
		   : error_why(error, ERR_INVALID, "KEEPER_BUILDER out of order");
}

static int
receive_egress(struct keeper *keeper, struct msg *msg, struct error *error)
{
	if (receive(MSG_KEEPER_EGRESS, msg, error) < 0)
		return -1;
	keeper->fds.egress = msg_take_fd(msg, 0);
	keeper->fds.egress_channel = msg_take_fd(msg, 1);
	return 0;
}

/* What follows KEEPER_BOOT, as it says. */
static int
receive_tools(struct keeper *keeper, struct msg *msg, struct error *error)
{
	keeper->fds.broker = keeper->fds.broker_channel = -1;
	keeper->fds.egress = keeper->fds.egress_channel = -1;
	if (keeper->boot.plugins > SERVERS_MAX)
		return error_why(error, ERR_INVALID, "KEEPER_BOOT speaks of too many plugins");
	if (keeper->boot.broker) {
		if (receive(MSG_KEEPER_BROKER, msg, error) < 0)
			return -1;
		keeper->fds.broker = msg_take_fd(msg, 0);
		keeper->fds.broker_channel = msg_take_fd(msg, 1);
	}
	for (unsigned i = 0; i < keeper->boot.plugins; i++)
		if (receive_plugin(keeper, i, msg, error) < 0)
			return -1;
	return keeper->boot.egress ? receive_egress(keeper, msg, error) : 0;
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

	if (rc < 0)
		return not_heard(rc, "greeting runnerd", error);
	if (receive(MSG_KEEPER_BOOT, &msg, error) < 0)
		return -1;
	keeper->boot = msg.keeper_boot;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		*slots[i] = msg_take_fd(&msg, i);
	if (check_fds(&keeper->fds, error) < 0)
		return -1;
	return receive_tools(keeper, &msg, error);
}

/* --- the builder ------------------------------------------------------------------------------ */

/* A program may open /dev/stdout and its like again: the pipes are its own. [0] reads. */
static int
program_pipe(uid_t uid, int ends[2], int own)
{
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
		rc = program_pipe(keeper->boot.base_uid + AGENT_UID, ends, i == 0);
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

static int
fork_builder(struct child *child, const struct builder *own, struct error *error)
{
	child->pid = fork();
	if (child->pid == 0)
		builder_main(own);
	if (child->pid < 0)
		return error_errno(error, errno, "fork of the builder");
	child->pidfd = pidfd_open(child->pid, 0);
	return child->pidfd < 0 ? error_errno(error, errno, "pidfd_open of the builder") : 0;
}

/* A plugin reads and writes what comes with its start; its standard error is the keeper's. */
static int
fork_plugin_builder(struct keeper *keeper, unsigned number, struct builder *own,
		    struct error *error)
{
	struct plugin *plugin = &keeper->plugins[number];
	int ends[2], rc = program_pipe(plugin->uid, ends, 0);

	if (rc < 0)
		return error_errno(error, -rc, "a plugin's pipe");
	plugin->stderr_stream.fd = ends[0];
	own->channel = keeper->fds.plugin_builders[number];
	own->net = -1;
	own->stdio[0] = STDIN_FILENO;
	own->stdio[1] = STDOUT_FILENO;
	own->stdio[2] = ends[1];
	rc = fork_builder(&keeper->builders[1 + number], own, error);
	close(ends[1]);
	close_fd(&keeper->fds.plugin_builders[number]);
	return rc;
}

static int
fork_agent_builder(struct keeper *keeper, struct builder *own, struct error *error)
{
	int rc = make_pipes(keeper, own->stdio);

	if (rc < 0)
		return error_errno(error, -rc, "the agent's pipes");
	own->channel = keeper->fds.builder;
	own->net = KEEPER_FD_NET;
	rc = fork_builder(&keeper->builders[0], own, error);
	for (int i = 0; i < 3; i++)
		close(own->stdio[i]);
	close_fd(&keeper->fds.builder);
	close(KEEPER_FD_NET);
	return rc;
}

/* One for each sandbox, all at once: each knows what it needs for its own and ends with it. */
int
keeper_fork_builders(struct keeper *keeper, struct error *error)
{
	struct builder own = {
	    .init = KEEPER_FD_INIT, .keeper = getpid(), .program = keeper->fds.builder_program};
	int nursery[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, nursery) < 0)
		return error_errno(error, errno, "socketpair for the builder");
	own.nursery = nursery[0];
	keeper->nursery = nursery[1];
	rc = fork_agent_builder(keeper, &own, error);
	for (unsigned i = 0; rc == 0 && i < keeper->boot.plugins; i++)
		rc = fork_plugin_builder(keeper, i, &own, error);
	close(nursery[0]);
	close(KEEPER_FD_INIT);
	close_fd(&keeper->fds.builder_program);
	return rc;
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
