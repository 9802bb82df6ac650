/* agent: the keeper gets all that it keeps, as soon as all is there, and the builder the end of the
 * recipe. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "runnerd/seccomp.h"
#include "steps.h"

/* Bound by root; the keeper calls listen() after its drop, so that SO_PEERCRED names it. */
static int
bind_socket(const struct session *s)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/keeper.sock", s->live);
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int
open_input(const struct session *s)
{
	int fd;

	if (!s->request->has_input)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else
		fd = openat(s->records, "input", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int
copy_of(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

/* Every descriptor has its place (proto.def); the first that is missing is named. */
static int
add_descriptors(struct session *s, struct msg *msg, struct error *error)
{
	const struct {
		const char *what;
		int fd;
	} fds[] = {
	    {.what = "the builder's channel", .fd = steal_fd(&s->builder_end)},
	    {.what = "the log", .fd = steal_fd(&s->segments[0])},
	    {.what = "the next log segment", .fd = steal_fd(&s->segments[1])},
	    {.what = "the exit record", .fd = copy_of(s->exit_record)},
	    {.what = "the keeper's socket", .fd = bind_socket(s)},
	    {.what = "the home's lock", .fd = steal_fd(&s->home_lock)},
	    {.what = "the input", .fd = open_input(s)},
	    {.what = "the empty directory", .fd = copy_of(s->r->at.empty)},
	    {.what = "the keeper's filter", .fd = copy_of(s->r->keeper_program)},
	    {.what = "the builder's filter", .fd = copy_of(s->r->builder_program)},
	};
	int rc = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i].fd >= 0)
			msg_add_fd(msg, fds[i].fd);
		else if (!rc)
			rc = error_errno(error, -fds[i].fd, "opening %s", fds[i].what);
	}
	return rc;
}

/* Where memory is limited. */
static int
add_oom(const struct session *s, struct msg *msg, struct error *error)
{
	int fds[2], rc = cgroup_watch_oom(s->r->cgroups, &s->cgroup, fds);

	if (rc < 0)
		return error_errno(error, -rc, "watching the cgroup's memory");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			msg_add_fd(msg, fds[i]);
	return 0;
}

int
keeper_boot(struct session *s, struct error *error)
{
	struct msg msg;
	int rc;

	msg_init(&msg, MSG_KEEPER_BOOT);
	msg.keeper_boot.session = s->id;
	snprintf(msg.keeper_boot.agent, sizeof(msg.keeper_boot.agent), "%s", s->agent_name);
	msg.keeper_boot.base_uid = s->base_uid;
	msg.keeper_boot.timeout_ms = s->timeout_ms;
	msg.keeper_boot.grace_ms = s->effective.grace_ms;
	msg.keeper_boot.idle_ms = s->effective.idle_ms;
	msg.keeper_boot.segment_bytes = LOG_SEGMENT_BYTES;
	snprintf(msg.keeper_boot.degraded, sizeof(msg.keeper_boot.degraded), "%s", s->degraded);
	msg.keeper_boot.broker = true;
	msg.keeper_boot.egress = s->net != NULL;
	msg.keeper_boot.host_network = s->effective.network == NETWORK_HOST;
	msg.keeper_boot.plugins = (uint8_t)s->agent->plan->mcp_servers.count;
	if (add_descriptors(s, &msg, error) < 0 || add_oom(s, &msg, error) < 0) {
		msg_close_fds(&msg);
		return -1;
	}
	rc = channel_send(s->keeper, &msg);
	return rc < 0 ? error_errno(error, -rc, "sending KEEPER_BOOT") : 0;
}

int
agent_build(struct session *s, struct error *error)
{
	int spec = agent_exec_spec(s, error);

	if (spec < 0)
		return -1;
	recipe_seal(&s->recipe, spec, s->r->agent_programs[profile_of(s->effective.trust)],
		    s->r->init_program);
	return 0;
}

/* What it runs is not part of the sandbox. */
int
agent_explain(struct session *s, struct error *error)
{
	(void)s;
	(void)error;
	return 0;
}

int
agent_undo(struct session *s)
{
	if (s->live >= 0)
		unlinkat(s->live, "keeper.sock", 0);
	return 0;
}

int
agent_adopt(struct session *s, struct error *error)
{
	return keeper_adopt(s, error);
}
