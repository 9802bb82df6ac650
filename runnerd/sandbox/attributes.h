/*
 * Attributes of the file systems that a builder makes itself: for it and for who tells of them
 * (runnerd's explain.c). Those of mounts that runnerd hands over are in mounts.c.
 */
#ifndef SCARAB_SANDBOX_ATTRIBUTES_H
#define SCARAB_SANDBOX_ATTRIBUTES_H

#include <sys/mount.h>

#define ROOT_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define ROOT_ATTRIBUTES_SEALED MOUNT_ATTR_RDONLY /* added when the recipe is complete */
#define TMPFS_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define TMPFS_ATTRIBUTES_NOEXEC MOUNT_ATTR_NOEXEC /* added where the recipe says so */
#define PROC_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define DEVPTS_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

#endif
