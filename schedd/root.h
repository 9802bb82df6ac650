/* A root of schedd's own: a mount namespace that holds its state directory and the system's time
 * zones, and nothing else. */
#ifndef SCARAB_SCHEDD_ROOT_H
#define SCARAB_SCHEDD_ROOT_H

#include <sys/types.h>

#include "common/error.h"

/* Where tzdata is in that root; the host has it at ROOT_ZONEINFO_FROM. */
#define ROOT_ZONEINFO "zoneinfo"
#define ROOT_ZONEINFO_FROM "/usr/share/zoneinfo"

/* As root, before confine(): enters a new mount namespace whose only mounts are path, writable but
 * nosuid, nodev, noexec, and in it, where the host has any, the time zones, read-only. path must be
 * a directory of uid that nobody else may enter. The host's mounts are not kept in use by it. 0, or
 * -1 with error. */
int root_enter(const char *path, uid_t uid, struct error *error);

#endif
