/* A root of schedd's own: a mount namespace that holds nothing but its state directory. */
#ifndef SCARAB_SCHEDD_ROOT_H
#define SCARAB_SCHEDD_ROOT_H

#include <sys/types.h>

#include "common/error.h"

/* As root, before confine(): enters a new mount namespace whose only mount is path, writable but
 * nosuid, nodev, noexec. path must be a directory of uid that nobody else may enter. The host's
 * mounts are not kept in use by it. 0, or -1 with error. */
int root_enter(const char *path, uid_t uid, struct error *error);

#endif
