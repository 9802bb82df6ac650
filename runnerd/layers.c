#include "layers.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/cleanup.h"
#include "common/envelope.h"
#include "fs.h"

uint32_t
layers_inodes(uint64_t bytes)
{
	uint64_t inodes = bytes / LAYERS_BYTES_PER_INODE;

	if (inodes < LAYERS_INODES_LEAST)
		return LAYERS_INODES_LEAST;
	return inodes > UINT32_MAX ? UINT32_MAX : (uint32_t)inodes;
}

static int
set_number(int context, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0);
}

int
layers_new(uint64_t bytes, struct error *error)
{
	_cleanup_close_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd = -1;

	/* A tmpfs takes 0 for "no limit". */
	if (!bytes)
		return error_why(error, ERR_INVALID, "the session's layers have no bound");
	if (context >= 0 && set_number(context, "size", bytes) == 0 &&
	    set_number(context, "nr_inodes", layers_inodes(bytes)) == 0 &&
	    fsconfig(context, FSCONFIG_SET_STRING, "mode", "0700", 0) == 0 &&
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? error_errno(error, errno, "a tmpfs for the session's layers") : fd;
}

int
layers_add(int layers, const char *name, mode_t mode, uid_t owner)
{
	_cleanup_close_ int dir = dir_make(layers, name, 0700, 0, 0), work = -1;

	if (dir < 0)
		return dir;
	work = dir_make(dir, "work", 0700, 0, 0);
	return work < 0 ? work : dir_make(dir, "upper", mode, owner, owner);
}

int
layers_upper(int layers, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/upper", name);
	return open_resolved(layers, path, O_RDONLY | O_DIRECTORY,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static int
check_layers(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC || st.st_uid != 0 || (st.st_mode & 07777) != 0700)
		return -EPERM;
	return 0;
}

int
layers_seal(int layers)
{
	return envelope_seal(layers);
}

int
layers_unseal(int envelope)
{
	_cleanup_close_ int fd = envelope_look(envelope);
	int rc = fd < 0 ? fd : check_layers(fd);

	return rc < 0 ? rc : steal_fd(&fd);
}
