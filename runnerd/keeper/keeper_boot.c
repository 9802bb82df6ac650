#include <fcntl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/proto.h"
#include "keeper.h"
#include "runnerd/sandbox/builder.h"

enum { OPEN_FILES = 64 + 8 * SERVERS_MAX };

const struct boot keeper_start = {"keeper", KEEPER_FD_BOOT, CH_KEEPER, ROLE_KEEPER};

static int
receive_plugin(struct keeper *keeper, unsigned number, struct msg *msg, struct error *error)
{
	struct plugin *plugin = &keeper->plugins[number];

	if (boot_receive(&keeper_start, MSG_KEEPER_BUILDER, msg, error) < 0)
		return -1;
	keeper->fds.plugin_builders[number] = msg_take_fd(msg, 0);
	keeper->fds.egress[1 + number] = msg_take_fd(msg, 1);
	keeper->fds.egress_channel[1 + number] = msg_take_fd(msg, 2);
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
	if (boot_receive(&keeper_start, MSG_KEEPER_EGRESS, msg, error) < 0)
		return -1;
	keeper->fds.egress[0] = msg_take_fd(msg, 0);
	keeper->fds.egress_channel[0] = msg_take_fd(msg, 1);
	return 0;
}

/* What follows KEEPER_BOOT, as it says. */
static int
receive_tools(struct keeper *keeper, struct msg *msg, struct error *error)
{
	keeper->fds.broker = keeper->fds.broker_channel = -1;
	keeper->fds.egress[0] = keeper->fds.egress_channel[0] = -1;
	if (keeper->boot.plugins > SERVERS_MAX)
		return error_why(error, ERR_INVALID, "KEEPER_BOOT speaks of too many plugins");
	if (keeper->boot.broker) {
		if (boot_receive(&keeper_start, MSG_KEEPER_BROKER, msg, error) < 0)
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
	struct boot_fds *fds = &keeper->fds;
	const struct boot_fd wanted[] = {
	    {"the builder's channel", &fds->builder, S_IFSOCK, false},
	    {"the log", &fds->segment, S_IFREG, false},
	    {"the next log", &fds->next_segment, S_IFREG, false},
	    {"the exit record", &fds->record, S_IFREG, false},
	    {"the keeper's socket", &fds->socket, S_IFSOCK, false},
	    {"the home's lock", &fds->lock, S_IFREG, false},
	    {"the input", &fds->input, 0, false},
	    {"the private root", &fds->root, S_IFDIR, false},
	    {"the keeper's seccomp program", &fds->program, S_IFREG, false},
	    {"the builder's seccomp program", &fds->builder_program, S_IFREG, false},
	    {"the count of those killed", &fds->oom_count, S_IFREG, true},
	    {"the event of one killed", &fds->oom_event, 0, true},
	};

	if (boot_greet(&keeper_start, error) < 0 ||
	    boot_receive(&keeper_start, MSG_KEEPER_BOOT, &msg, error) < 0)
		return -1;
	keeper->boot = msg.keeper_boot;
	if (boot_take_fds(&msg, wanted, ARRAY_LEN(wanted), error) < 0)
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
	own->net = keeper->outlets[1 + number].net >= 0 ? keeper->outlets[1 + number].net
							: BUILDER_NET_NEW;
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
	own->net = keeper->boot.host_network ? BUILDER_NET_HOST : KEEPER_FD_NET;
	rc = fork_builder(&keeper->builders[0], own, error);
	for (int i = 0; i < 3; i++)
		close(own->stdio[i]);
	close_fd(&keeper->fds.builder);
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

int
keeper_drop(struct keeper *keeper, struct error *error)
{
	if (boot_drop(keeper->boot.base_uid + KEEPER_UID, steal_fd(&keeper->fds.root),
		      steal_fd(&keeper->fds.program), OPEN_FILES, error) < 0)
		return -1;
	return boot_listen(keeper->fds.socket, 4, "the keeper's", error);
}
