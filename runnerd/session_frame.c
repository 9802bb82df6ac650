/*
 * The frame of a session, below all its steps: directories, cgroup, log, exit record, and the
 * channels to a keeper and a builder, which start while the steps write the recipe.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "fs.h"
#include "session.h"
#include "spawner.h"

enum { EXIT_BYTES = 4096 };

/* One record at most, as the keeper writes it over nothing. */
static int
open_exit_record(struct session *s)
{
	s->exit_record =
	    openat(s->records, "exit", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A disk that is full by then loses no outcome. */
	return s->exit_record < 0 ? -errno : reserve(s->exit_record, EXIT_BYTES);
}

static int
open_log(struct session *s)
{
	int rc = log_attach(&s->log, s->r->at.logs, s->agent_name, &s->id,
			    (unsigned)s->r->config->ids.group);

	return rc < 0 ? rc : log_begin(&s->log, &s->segments[0], &s->segments[1]);
}

static int
open_builder(struct session *s)
{
	struct cgroup_entry entry;
	int ends[2], rc;

	rc = channel_pair(ends);
	if (rc < 0)
		return rc;
	s->builder_end = ends[1];
	rc = builder_channel_open(s, ends[0]);
	if (rc < 0)
		return rc;
	s->recipe = (struct recipe){.builder = s->builder,
				    .base_uid = s->base_uid,
				    .uid = session_agent_uid(s),
				    .gid = session_agent_gid(s)};
	rc = cgroup_enter_agent(s->r->cgroups, &s->cgroup, &entry);
	if (rc < 0)
		return rc;
	recipe_begin(&s->recipe, "agent", 0, s->agent_name, &entry);
	cgroup_entry_close(&entry);
	return s->recipe.failure;
}

/* Asked for now, so that it starts while the steps are built; it gets KEEPER_BOOT from the last. */
static int
open_keeper(struct session *s)
{
	struct cgroup_entry entry;
	int ends[2], rc;

	rc = channel_pair(ends);
	if (rc < 0)
		return rc;
	rc = keeper_channel_open(s, ends[0]);
	if (rc == 0)
		rc = cgroup_enter_runtime(s->r->cgroups, &s->cgroup, &entry);
	if (rc < 0) {
		close(ends[1]);
		return rc;
	}
	s->spawn = spawner_ask(s->r->spawner, &s->id, ends[1], &entry, keeper_spawned, s);
	return s->spawn ? 0 : -ENOMEM;
}

static int
open_live(struct session *s)
{
	s->live = dir_make(s->r->at.live, s->name, 0700, 0, 0);
	return s->live < 0 ? s->live : 0;
}

static const struct {
	const char *what;
	int (*open)(struct session *s);
} frame[] = {
    {.what = "asking for a keeper", .open = open_keeper},
    {.what = "making the session's directory", .open = open_live},
    {.what = "opening the exit record", .open = open_exit_record},
    {.what = "opening the session's log", .open = open_log},
    {.what = "making the builder's channel", .open = open_builder},
};

int
frame_open(struct session *s, struct error *error)
{
	size_t i;
	int rc;

	if (cgroup_create(s->r->cgroups, &s->limits, &s->cgroup, error) < 0)
		return error_what(error, "making the session's cgroup");
	for (i = 0; i < ARRAY_LEN(frame); i++) {
		CRASH_POINT_OF("frame.begin", frame[i].what);
		rc = frame[i].open(s);
		CRASH_POINT_OF("frame.end", frame[i].what);
		if (rc < 0)
			return error_errno(error, -rc, "%s", frame[i].what);
	}
	return 0;
}

int
frame_close(struct session *s)
{
	int rc;

	loop_remove(s->cgroup_watch);
	s->cgroup_watch = NULL;
	rc = cgroup_remove(s->r->cgroups, &s->cgroup);
	if (rc < 0)
		return rc;
	close_fd(&s->live);
	CRASH_POINT("frame.undone");
	return dir_remove_flat(s->r->at.live, s->name);
}

int
session_connect(const struct session *s, const char *name, uint32_t uid, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(error, errno, "making a socket");
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s.sock", s->live,
		 name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(error, errno, "connecting to the %s", name);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return error_errno(error, errno, "asking who the %s is", name);
	if (peer.uid != s->base_uid + uid)
		return error_why(error, ERR_PERMISSION, "uid %u listens where the %s %u should",
				 peer.uid, name, s->base_uid + uid);
	return steal_fd(&fd);
}
