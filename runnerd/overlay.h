/*
 * The overlays of a sandbox: of a home in mode journal and of an image. What lies below is only
 * read, what a session writes is in the upper layer. What an agent does differently upon one is in
 * agent-manifest(5). Called by runnerd, for layers that have a place in its mounts, and by a
 * sandbox's first process for those that have one in its own: before Linux 6.15 a layer must lie in
 * the caller's mount namespace.
 */
#ifndef SCARAB_RUNNERD_OVERLAY_H
#define SCARAB_RUNNERD_OVERLAY_H

#include <stddef.h>
#include <sys/mount.h>

#define OVERLAY_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* A detached mount (no setuid, no devices) over these directories, borrowed. name is its source in
 * mountinfo. fd or -errno. */
int overlay_mount(const char *name, int lower, int upper, int work);

/* Of an image: as many as other runtimes can use, and as the names of their descriptors fit into
 * mount(2)'s one page of options. */
enum { OVERLAY_LOWERS_MAX = 127 };

/* The same upon count layers, the topmost first. Mounted at place for a moment, where it is left
 * for the caller to unmount: fsconfig(2) takes no more than 255 bytes of layers before Linux 6.8.
 */
int overlay_mount_many(const char *name, const int *lowers, size_t count, int upper, int work,
		       const char *place);

#endif
