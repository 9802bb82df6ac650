#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static const uint64_t attributes[] = {
    [MOUNT_VIEW] = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    [MOUNT_LOWER] = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    [MOUNT_HOME] = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
    [MOUNT_DEVICE] = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
};

int
mount_detached(int source, enum mount_use use)
{
	struct mount_attr attr = {.attr_set = attributes[use], .propagation = MS_PRIVATE};
	_cleanup_close_ int fd = -1;
	unsigned flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

	/* What is mounted below a home would not be the agent's: it stays outside. */
	if (use == MOUNT_VIEW)
		flags |= AT_RECURSIVE;
	fd = open_tree(source, "", flags);
	if (fd < 0)
		return -errno;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

uint64_t
mount_attributes(enum mount_use use)
{
	return attributes[use];
}
