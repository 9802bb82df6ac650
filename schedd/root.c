#include "root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"

static int
check_owner(int fd, const char *path, uid_t uid, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "stat %s", path);
	if (st.st_uid == uid && (st.st_mode & 077) == 0)
		return 0;
	error_why(error, ERR_PERMISSION, "%s is not a directory that only uid %u may enter", path,
		  uid);
	return error_hint(error, "chown %u %s; chmod 0700 %s", uid, path, path);
}

/* The directory alone, cut from the host's tree. -1 with error. */
static int
clone_directory(const char *path, uid_t uid, struct error *error)
{
	struct mount_attr attr = {
	    .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	};
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int tree = -1;

	if (fd < 0)
		return error_errno(error, errno, "opening %s", path);
	if (check_owner(fd, path, uid, error) < 0)
		return -1;
	tree = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return error_errno(error, errno, "open_tree %s", path);
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_errno(error, errno, "mount_setattr %s", path);
	return steal_fd(&tree);
}

/* Nothing where the host has none: triggers in UTC need none. */
static int
attach_zones(int root, struct error *error)
{
	struct mount_attr attr = {
	    .attr_set =
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
	};
	/* The directory is schedd's: a name in it may lead anywhere. */
	struct open_how how = {
	    .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	_cleanup_close_ int tree =
	    open_tree(AT_FDCWD, ROOT_ZONEINFO_FROM, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	_cleanup_close_ int place = -1;

	if (tree < 0)
		return errno == ENOENT ? 0
				       : error_errno(error, errno, "open_tree " ROOT_ZONEINFO_FROM);
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_errno(error, errno, "mount_setattr " ROOT_ZONEINFO_FROM);
	if (mkdirat(root, ROOT_ZONEINFO, 0755) < 0 && errno != EEXIST)
		return error_errno(error, errno, "mkdir " ROOT_ZONEINFO);
	place = (int)syscall(SYS_openat2, root, ROOT_ZONEINFO, &how, sizeof(how));
	if (place < 0)
		return error_errno(error, errno, "opening " ROOT_ZONEINFO " in the private root");
	if (move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "move_mount to " ROOT_ZONEINFO);
	return 0;
}

int
root_enter(const char *path, uid_t uid, struct error *error)
{
	_cleanup_close_ int tree = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(error, errno, "unshare of the mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(error, errno,
				   "making every mount private (/ must be a mount point)");
	tree = clone_directory(path, uid, error);
	if (tree < 0)
		return -1;
	/* Attached over itself: pivot_root wants a mount that the namespace knows. */
	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "move_mount to %s", path);
	if (attach_zones(tree, error) < 0)
		return -1;
	if (fchdir(tree) < 0)
		return error_errno(error, errno, "fchdir to %s", path);
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(error, errno, "pivot_root to %s", path);
	if (umount2(".", MNT_DETACH) < 0)
		return error_errno(error, errno, "detaching the host's tree");
	if (chdir("/") < 0)
		return error_errno(error, errno, "chdir to the private root");
	return 0;
}
