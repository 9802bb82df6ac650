/*
 * Views in which files belong to the ids of one agent: what is root's on disk is the sandbox's
 * root's in the view.
 */
#ifndef SCARAB_RUNNERD_IDMAP_H
#define SCARAB_RUNNERD_IDMAP_H

#include <stdint.h>

#include "common/error.h"

/* Ids from here on belong to people and stay nobody's in a view: an agent shall own no file that is
 * somebody's on this host (login.defs, UID_MIN). */
enum { IDMAP_IDS = 1000 };

/* Shows the files below the detached mount (borrowed) that belong to the first IDMAP_IDS ids as
 * those of base, base + 1… 0, or -errno: -EINVAL and -EOPNOTSUPP where the file system cannot. */
int idmap_mount(int mount, uint32_t base);

#endif
