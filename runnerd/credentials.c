#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "common/cleanup.h"
#include "fs.h"

enum {
	DIRECTORY_MODE = 0550, /* root's, of the agent's group */
	PAGE_BYTES = 4096,
};

static int
set_number(int context, const char *key, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0);
}

static int
set_mode(int context)
{
	char text[16];

	snprintf(text, sizeof(text), "%o", DIRECTORY_MODE);
	return fsconfig(context, FSCONFIG_SET_STRING, "mode", text, 0);
}

/* Each file may stand beside its successor. */
static int
configure(int context, uint32_t base_uid, size_t count)
{
	if (set_number(context, "size", count * 2 * (SECRET_BYTES_MAX + PAGE_BYTES)) < 0 ||
	    set_number(context, "nr_inodes", count * 2 + 2) < 0 || set_mode(context) < 0 ||
	    set_number(context, "uid", base_uid) < 0 ||
	    set_number(context, "gid", base_uid + AGENT_UID) < 0)
		return -errno;
	/* Linux 6.4; before, what is written may be swapped out like any program's memory. */
	if (fsconfig(context, FSCONFIG_SET_FLAG, "noswap", NULL, 0) < 0 && errno != EINVAL)
		return -errno;
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int
credentials_mount(uint32_t base_uid, size_t count, struct error *error)
{
	_cleanup_close_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int rc = context < 0 ? -errno : configure(context, base_uid, count);
	int fd;

	if (rc < 0)
		return error_errno(error, -rc, "the tmpfs of the credentials");
	fd = fsmount(context, FSMOUNT_CLOEXEC, CREDENTIALS_ATTRIBUTES);
	return fd < 0 ? error_errno(error, errno, "fsmount of the credentials") : fd;
}

int
credentials_file(int dir, const char *name, uint32_t base_uid)
{
	_cleanup_close_ int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);

	if (fd < 0 || fchown(fd, base_uid + AGENT_UID, base_uid + AGENT_UID) < 0 ||
	    fchmod(fd, 0400) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Only runnerd makes such a directory: nothing inside may mount, nor write the root. */
static int
check_dir(int fd, uint32_t base_uid)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC || st.st_uid != base_uid ||
	    (st.st_mode & 07777) != DIRECTORY_MODE)
		return -ESTALE;
	return 0;
}

int
credentials_dir(const struct session *s)
{
	_cleanup_close_ int process = -1, root = -1, dir = -1;
	char path[32];
	struct procid now;
	int rc;

	if (!s->init.pid)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d", s->init.pid);
	process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* If it started when ours did, process is ours, or one that ended before: then it has no
	 * root any more. */
	rc = procid_read(s->init.pid, &now);
	if (rc < 0 || now.start_ticks != s->init.start_ticks)
		return rc < 0 ? rc : -ESRCH;
	root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = open_resolved(root, "run/credentials", O_RDONLY | O_DIRECTORY,
			    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (dir < 0)
		return dir;
	rc = check_dir(dir, s->base_uid);
	return rc < 0 ? rc : steal_fd(&dir);
}

const char *
credentials_new_name(const char *name, char *text, size_t size)
{
	snprintf(text, size, ".%s.new", name);
	return text;
}
