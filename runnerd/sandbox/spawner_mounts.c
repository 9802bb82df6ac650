#include "spawner.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "network.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

static int
failed(struct error *error, const char *call)
{
	error_errno(error, errno, "%s", call);
	if (errno == ENOSYS)
		error_hint(error, "the runtime needs Linux 5.15 or later");
	return error_what(error, "leaving the host's mounts");
}

/* A file system of this type, detached; attributes are MOUNT_ATTR_*. */
static int
new_mount(const char *type, const char *key, const char *value, unsigned attributes)
{
	_cleanup_close_ int context = fsopen(type, FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, key, value, 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(context, FSMOUNT_CLOEXEC, attributes);
}

/* The tmpfs is put on /proc, the one directory that every host has, and becomes the root. */
static int
pivot_into(int root)
{
	if (move_mount(root, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(root) < 0)
		return -1;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return -1;
	return chdir("/");
}

int
spawner_leave_mounts(struct error *error)
{
	_cleanup_close_ int root = -1, proc = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return failed(error, "unshare(CLONE_NEWNS)");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return failed(error, "making every mount private (/ must be a mount point)");
	proc = new_mount("proc", "subset", "pid",
			 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (proc < 0)
		return failed(error, "a procfs of its own");
	root = new_mount("tmpfs", "size", "64k", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (root < 0)
		return failed(error, "a tmpfs for the root");
	if (mkdirat(root, "proc", 0555) < 0 || mkdirat(root, "new", 0755) < 0 ||
	    mkdirat(root, "layers", 0755) < 0 || mkdirat(root, "lower", 0755) < 0)
		return failed(error, "mkdirat in the new root");
	if (pivot_into(root) < 0)
		return failed(error, "pivot_root");
	if (move_mount(proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return failed(error, "move_mount of /proc");
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) <
	    0)
		return failed(error, "making the root read-only");
	return 0;
}

/* --- networks -------------------------------------------------------------------------------- */

int
spawner_open_net(struct error *error)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_errno(error, errno, "opening the network namespace") : fd;
}

int
spawner_new_net(int own, struct error *error)
{
	int fd, rc = network_unshare(error);

	fd = rc < 0 ? -1 : spawner_open_net(error);
	if (setns(own, CLONE_NEWNET) == 0)
		return fd;
	log_error("cannot leave the network namespace of a session: %s", strerrordesc_np(errno));
	_exit(1);
}

/* --- init's copy ------------------------------------------------------------------------------ */

/* From 6.3 on a memfd may be made without the right to run it; before, it always has it. */
static int
executable_memfd(void)
{
	int fd = memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int
copy_whole(int to, int from, off_t left)
{
	ssize_t done;
	off_t at = 0;

	while (left > 0) {
		done = sendfile(to, from, &at, (size_t)left);
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		left -= done;
	}
	return 0;
}

int
spawner_seal_init(int binary, struct error *error)
{
	_cleanup_close_ int fd = executable_memfd();
	struct stat st;
	int rc;

	if (fd < 0)
		return error_errno(error, errno, "memfd_create for init's copy");
	if (fstat(binary, &st) < 0)
		return error_errno(error, errno, "fstat of init's binary");
	rc = copy_whole(fd, binary, st.st_size);
	if (rc < 0)
		return error_errno(error, -rc, "copying init's binary");
	if (fchmod(fd, 0111) < 0)
		return error_errno(error, errno, "fchmod of init's copy");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return error_errno(error, errno, "sealing init's copy");
	return steal_fd(&fd);
}
