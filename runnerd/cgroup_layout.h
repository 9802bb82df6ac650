/*
 * Where cgroups are: what /proc/self/mountinfo and /proc/self/cgroup say. A host has one v2
 * hierarchy, which runs everything, or besides it v1 hierarchies that hold some controllers
 * (hybrid): then each has a mount point and a group of ours of its own, and the paths differ.
 */
#ifndef SCARAB_RUNNERD_CGROUP_LAYOUT_H
#define SCARAB_RUNNERD_CGROUP_LAYOUT_H

#include <stdbool.h>

#include "common/error.h"

/* Those that limit a session. */
enum controller { CONTROLLER_MEMORY, CONTROLLER_PIDS, CONTROLLER_CPU, CONTROLLERS };

enum { HIERARCHIES_MAX = 1 + CONTROLLERS };

struct cgroup_place {
	unsigned controllers; /* v1: bits of those that are here; v2: 0, its files tell */
	char *mount;          /* where the whole hierarchy is mounted */
	char *own;            /* our group in it: "/…" */
};

struct cgroup_layout {
	struct cgroup_place all[HIERARCHIES_MAX]; /* the first is v2, the others are v1 */
	unsigned count;
};

/* "memory", "pids", "cpu". */
const char *controller_name(enum controller controller);
/* Both texts are changed. 0, or -1 with error when there is no v2 hierarchy, or memory ran out;
 * cgroup_layout_free() is due in either case. */
int cgroup_layout_parse(char *mountinfo, char *cgroup, struct cgroup_layout *layout,
			struct error *error);
/* The same of this process. */
int cgroup_layout_read(struct cgroup_layout *layout, struct error *error);
void cgroup_layout_free(struct cgroup_layout *layout);

#endif
