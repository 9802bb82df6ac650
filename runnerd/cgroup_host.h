/*
 * The host's hierarchies as sessions use them: below which group they are made in each (its base),
 * and which hierarchy can limit memory, processes and CPU. On v2 that takes the controller in every
 * group from the root to the base, which is tried here; on v1 a mount of the controller.
 *
 * runnerd alone; made once at its start.
 */
#ifndef SCARAB_RUNNERD_CGROUP_HOST_H
#define SCARAB_RUNNERD_CGROUP_HOST_H

#include "cgroup_layout.h"
#include "common/config.h"

struct hierarchy {
	bool unified;         /* v2: the first one, and no other */
	unsigned controllers; /* bits of those that limit sessions here */
	int root;             /* where it is mounted */
	int base;             /* below which sessions are made; -1: it could not be made */
	char *base_path;      /* "/…", below root */
	bool own_base;        /* not the sessions' holder's: removed with this instance */
};

struct cgroups {
	struct hierarchy all[HIERARCHIES_MAX];
	unsigned count;
	struct {
		struct hierarchy *in; /* NULL: cannot be limited; found says why */
		char found[192];
	} limits[CONTROLLERS];
};

/* Makes the bases that config names (auto: what RUN_DIR/cgroup says, else scarab-HASH below our
 * own). NULL with error when there is no v2 hierarchy, or no base in it. */
struct cgroups *cgroups_open(const struct config *config, struct error *error);
/* The same on a layout that is not this process's (borrowed). */
struct cgroups *cgroups_open_at(const struct cgroup_layout *layout, const struct config *config,
				struct error *error);
/* Removes bases in which nothing is left. */
void cgroups_close(struct cgroups *cgroups);
const char *cgroups_base(const struct cgroups *cgroups); /* "/…", below the root of v2 */
/* Has it cgroup.kill (Linux 5.14)? */
bool cgroups_can_kill(const struct cgroups *cgroups);

/* mkdir where it is not there, then opened; no link. Descriptor or -errno. */
int group_open(int dir_fd, const char *name, bool make);
/* Writes a control file; the text goes in one write. 0 or -errno. */
int group_write(int dir_fd, const char *file, const char *text);
/* Reads one, as much as fits, NUL-terminated. 0 or -errno. */
int group_read(int dir_fd, const char *file, char *text, size_t size);

#endif
