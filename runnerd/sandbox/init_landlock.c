/*
 * Landlock over the mounts: reads and executes everything that is mounted, writes the places of
 * the agent alone. It holds where a mount would be writable by mistake, and its scopes keep
 * abstract sockets and signals inside.
 *
 * Only rights that the kernel knows are handled. Version 1 lets no file be moved between
 * directories and is not used. Network rights are not handled: the network namespace decides.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "init.h"
#include "landlock_places.h"

enum { RULE_PATH_BENEATH = 1 };

struct ruleset {
	uint64_t fs;
	uint64_t net;    /* version 4 */
	uint64_t scoped; /* version 6 */
};

struct path_rule {
	uint64_t rights;
	int32_t parent;
} __attribute__((packed));

/* 13 rights in the first version; refer, truncate and ioctl came with 2, 3 and 5. */
static uint64_t
known_rights(long version)
{
	unsigned bits = 14;

	bits += version >= 3;
	bits += version >= 5;
	return RIGHT(bits) - 1;
}

static int
allow_at(int ruleset, int fd, uint64_t rights)
{
	struct path_rule rule = {.rights = rights, .parent = fd};

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

static int
allow(int ruleset, const char *path, uint64_t rights)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return allow_at(ruleset, fd, rights);
}

/* The root may be written where it is an image's overlay: then its own directories are places as
 * well, as far as their owners and modes allow. What is mounted below it is told apart by its
 * device, so that /proc stays read-only. */
static int
allow_own(int ruleset, DIR *root, uint64_t rights)
{
	_cleanup_close_ int fd = -1;
	struct stat of_root, st;
	struct dirent *entry;
	int rc = fstat(dirfd(root), &of_root) < 0 ? -errno : 0;

	while (!rc && (entry = readdir(root))) {
		close_fd(&fd);
		fd = openat(dirfd(root), entry->d_name,
			    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (entry->d_name[0] != '.' && fd >= 0 && fstat(fd, &st) == 0 &&
		    st.st_dev == of_root.st_dev)
			rc = allow_at(ruleset, fd, rights);
	}
	return rc;
}

static int
allow_image(int ruleset, uint64_t rights)
{
	_cleanup_closedir_ DIR *root = NULL;
	struct statvfs fs;

	if (statvfs("/", &fs) < 0)
		return -errno;
	if (fs.f_flag & ST_RDONLY)
		return 0;
	root = opendir("/");
	return root ? allow_own(ruleset, root, rights) : -errno;
}

int
init_landlock(void)
{
	struct ruleset rights = {0};
	_cleanup_close_ int ruleset = -1;
	size_t size = sizeof(rights.fs);
	int rc;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);

	if (version < LANDLOCK_VERSION_LEAST)
		return 0;
	rights.fs = known_rights(version);
	if (version >= LANDLOCK_VERSION_SCOPES) {
		rights.scoped = 3; /* abstract sockets and signals */
		size = sizeof(rights);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rights, size, 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(landlock_places); i++) {
		rc = allow(ruleset, landlock_places[i].path, landlock_places[i].rights & rights.fs);
		if (rc < 0)
			return rc;
	}
	rc = allow_image(ruleset, OWN & rights.fs);
	if (rc < 0)
		return rc;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
