/*
 * Views of host files for a sandbox: a private, detached copy of the mount behind a descriptor,
 * with its attributes set for the whole subtree (a remount would miss what is mounted below).
 */
#ifndef SCARAB_RUNNERD_MOUNTS_H
#define SCARAB_RUNNERD_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

enum mount_use {
	MOUNT_VIEW,   /* read-only, no setuid, no devices */
	MOUNT_LOWER,  /* the same, of one file system: what is mounted below is no part of it */
	MOUNT_HOME,   /* written: no setuid, no devices */
	MOUNT_DEVICE, /* one device node: read-only, no setuid, no programs */
};

/* source: O_PATH or more, borrowed. Descriptor or -errno. */
int mount_detached(int source, enum mount_use use);
/* MOUNT_ATTR_… of such a view. */
uint64_t mount_attributes(enum mount_use use);

#endif
