/*
 * Sessions' cgroups on the v2 hierarchy: BASE/ID with the leaves `runtime` (keeper, builder) and
 * `agent`. Membership, kill and the news that a group is empty; limits come from elsewhere.
 */
#ifndef SCARAB_RUNNERD_CGROUP_H
#define SCARAB_RUNNERD_CGROUP_H

#include <stdbool.h>

#include "common/config.h"

struct cgroups;

/* Finds the v2 mount and makes the base that config names (auto: what RUN_DIR/cgroup says, else
 * scarab-HASH below our own). run_fd: RUN_DIR. NULL with error. */
struct cgroups *cgroups_open(const struct config *config, struct error *error);
/* Removes the base when nothing is left in it. */
void cgroups_close(struct cgroups *cgroups);
const char *cgroups_base(const struct cgroups *cgroups); /* "/…", below the root of the mount */
/* Has it cgroup.kill (Linux 5.14)? */
bool cgroups_can_kill(const struct cgroups *cgroups);

/* One session's. path is below the root of the mount and survives a new base. */
struct session_cgroup {
	char *path;
	int dir, runtime, agent; /* directories */
	int events;              /* cgroup.events of dir: EPOLLPRI when it fills or empties */
};
#define SESSION_CGROUP_INIT                                                                        \
	{                                                                                          \
		.path = NULL, .dir = -1, .runtime = -1, .agent = -1, .events = -1                  \
	}

/* The path that a session of this name has: heap memory, NULL when memory ran out. */
char *cgroup_path(const struct cgroups *cgroups, const char *name);
/* Makes (or finds) the group and its leaves; takes path over. 0 or -errno. */
int cgroup_create(struct cgroups *cgroups, char *path, struct session_cgroup *cgroup);
/* Opens what is left of it; 0 also when nothing is. Takes path over. */
int cgroup_find(struct cgroups *cgroups, char *path, struct session_cgroup *cgroup);
/* SIGKILL to everything in the directory's subtree. -1: nothing to do. 0 or -errno. */
int cgroup_kill(int dir);
/* Does a process live in it? False for a group that is not there. */
bool cgroup_populated(const struct session_cgroup *cgroup);
/* rmdir of leaves and group; everything is closed. 0, -EBUSY while something lives in it. */
int cgroup_remove(struct cgroups *cgroups, struct session_cgroup *cgroup);
/* Closes the descriptors only. */
void cgroup_close(struct session_cgroup *cgroup);

#endif
