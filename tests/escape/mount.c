/* Mounts, by the old calls and the new, and leaving the root. */
#include <sched.h>
#include <sys/mount.h>

#include "escape.h"

enum { OPEN_TREE_CLONE_FLAG = 1, SET_CREATE = 6 };

static void
by_name(void)
{
	bool mounted = mount("tmpfs", "/tmp", "tmpfs", 0, "size=4k") == 0;

	attempt(mounted, "mount of a tmpfs");
	if (mounted)
		umount2("/tmp", MNT_DETACH);
	mounted = mount("/tmp", "/tmp", NULL, MS_BIND, NULL) == 0;
	attempt(mounted, "bind mount");
	if (mounted)
		umount2("/tmp", MNT_DETACH);
	attempt(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0, "remount of / writable");
	attempt(mount(NULL, "/", NULL, MS_PRIVATE, NULL) == 0, "change of the root's propagation");
	attempt(umount2("/proc", MNT_EXPIRE) == 0 || errno == EAGAIN, "umount of /proc");
}

static void
by_descriptor(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/tmp", OPEN_TREE_CLONE_FLAG);
	uint64_t nothing[4] = {0};

	attempt(fs >= 0, "fsopen");
	attempt(syscall(SYS_fsconfig, fs, SET_CREATE, NULL, NULL, 0) == 0, "fsconfig");
	attempt(tree >= 0, "open_tree");
	attempt(syscall(SYS_fspick, AT_FDCWD, "/tmp", 0) >= 0, "fspick");
	attempt(syscall(SYS_mount_setattr, AT_FDCWD, "/tmp", 0, nothing, sizeof(nothing)) == 0,
		"mount_setattr of nothing");
	attempt(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp", 4) == 0, "move_mount");
	if (tree >= 0)
		umount2("/tmp", MNT_DETACH);
}

static int
change_root(uint64_t argument)
{
	(void)argument;
	return chroot("/tmp") == 0 ? 0 : errno;
}

int
main(void)
{
	by_name();
	by_descriptor();
	attempt_in_child(change_root, 0, "chroot");
	return verdict();
}
