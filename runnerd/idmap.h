/*
 * Views in which files belong to the ids of one agent: what is root's on disk is the sandbox's
 * root's in the view.
 */
#ifndef SCARAB_RUNNERD_IDMAP_H
#define SCARAB_RUNNERD_IDMAP_H

#include <stdint.h>

#include "common/error.h"
#include "id_map.h"

/* Ids from here on belong to people and stay nobody's in a view: an agent shall own no file that is
 * somebody's on this host (login.defs, UID_MIN). */
enum { IDMAP_IDS = 1000 };

/* A map (id_map.h): the first count ids as those of base, base + 1…, the agent's as uid and gid. */
struct idmap {
	uint32_t base, count, uid, gid;
};
/* The user namespace that stands for it, for any number of mounts. Descriptor or -errno. */
int idmap_open(const struct idmap *map);
/* Shows the files below the detached mount so; both are borrowed. 0, or -errno: -EINVAL and
 * -EOPNOTSUPP where the file system cannot. */
int idmap_mount(int mount, int map);

#endif
