#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "builder_path.h"
#include "builder_seed.h"
#include "common/cleanup.h"
#include "common/io.h"

/* Only root and the agent's own range may own anything in a sandbox. */
static int
check_owner(const struct seed *seed, uint32_t uid, uint32_t gid, struct error *error)
{
	uint32_t base = seed->begin->base_uid;

	if ((uid != 0 && uid - base >= ID_RANGE) || (gid != 0 && gid - base >= ID_RANGE))
		return error_why(error, ERR_INVALID, "owner %u:%u is outside the agent's ids", uid,
				 gid);
	return 0;
}

static bool
is_as_asked(const struct stat *st, const struct msg_sandbox_dir *dir)
{
	return (st->st_mode & 07777) == dir->mode && st->st_uid == dir->uid &&
	       st->st_gid == dir->gid;
}

/* A directory that was there before is changed only on the root's own tmpfs: everything else
 * might be the host's or the agent's. */
static int
own_directory(const struct seed *seed, int fd, const struct msg_sandbox_dir *dir, bool made,
	      struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "fstat");
	if (is_as_asked(&st, dir))
		return 0;
	if (!made && st.st_dev != seed->root_device)
		return error_why(error, ERR_CONFLICT, "it exists with another mode or owner");
	if (fchown(fd, dir->uid, dir->gid) < 0)
		return error_errno(error, errno, "fchown");
	if (fchmod(fd, dir->mode & 07777) < 0)
		return error_errno(error, errno, "fchmod");
	return 0;
}

int
seed_dir(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_dir *dir = &msg->sandbox_dir;
	_cleanup_close_ int parent = -1, fd = -1;
	const char *leaf;
	bool made;

	if (check_owner(seed, dir->uid, dir->gid, error) < 0 ||
	    seed_clear(seed, dir->path, S_IFDIR, error) < 0)
		return -1;
	parent = path_parent(seed->root, dir->path, &leaf);
	if (parent < 0)
		return error_errno(error, -parent, "opening its parent");
	made = mkdirat(parent, leaf, 0700) == 0;
	if (!made && errno != EEXIST)
		return error_errno(error, errno, "mkdirat");
	fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(error, errno, "openat");
	return own_directory(seed, fd, dir, made, error);
}

/* --- files ------------------------------------------------------------------------------------ */

static int
write_content(int fd, const struct msg *msg)
{
	const uint8_t *bytes;
	size_t length;
	int rc;

	if (msg->nfds == 0)
		return write_all(fd, msg->sandbox_file.content, msg->sandbox_file.content_len);
	rc = memfd_map(msg->fds[0], ROWS_BYTES_MAX, &bytes, &length);
	if (rc < 0)
		return rc;
	rc = write_all(fd, bytes, length);
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return rc;
}

int
seed_file(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_file *file = &msg->sandbox_file;
	_cleanup_close_ int parent = -1, fd = -1;
	const char *leaf;
	int rc;

	if (check_owner(seed, file->uid, file->gid, error) < 0 ||
	    seed_clear(seed, file->path, 0, error) < 0)
		return -1;
	parent = path_parent(seed->root, file->path, &leaf);
	if (parent < 0)
		return error_errno(error, -parent, "opening its parent");
	fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(error, errno, "openat");
	rc = write_content(fd, msg);
	if (rc < 0)
		return error_errno(error, -rc, "write");
	if (fchown(fd, file->uid, file->gid) < 0)
		return error_errno(error, errno, "fchown");
	if (fchmod(fd, file->mode & 07777) < 0)
		return error_errno(error, errno, "fchmod");
	return 0;
}

static bool
link_says(int parent, const char *leaf, const char *target)
{
	char text[PATH_LEN_MAX + 1];
	ssize_t length = readlinkat(parent, leaf, text, sizeof(text));

	return length == (ssize_t)strlen(target) && memcmp(text, target, (size_t)length) == 0;
}

/* The same link twice is one. */
int
seed_link(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_link *link = &msg->sandbox_link;
	_cleanup_close_ int parent = -1;
	const char *leaf;

	if (seed_clear(seed, link->path, 0, error) < 0)
		return -1;
	parent = path_parent(seed->root, link->path, &leaf);
	if (parent < 0)
		return error_errno(error, -parent, "opening its parent");
	if (symlinkat(link->target, parent, leaf) == 0)
		return 0;
	if (errno == EEXIST && link_says(parent, leaf, link->target))
		return 0;
	return error_errno(error, errno, "symlinkat to %s", link->target);
}

/* --- in the agent's home ------------------------------------------------------------------------
 */

/* Something else is there, or there is no room: the home is the agent's, who starts without. */
static bool
is_in_the_way(int errnum)
{
	static const int reasons[] = {EEXIST, ELOOP, ENOTDIR, ENOSPC, EDQUOT};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (errnum == reasons[i])
			return true;
	return false;
}

/* The directory at path, of the agent when it is new: fd or -errno. */
static int
home_directory(const struct seed *seed, const char *path, const struct msg_sandbox_home_link *link)
{
	_cleanup_close_ int parent = -1, fd = -1;
	const char *leaf;
	int found = path_open(seed->root, path, O_DIRECTORY);

	if (found != -ENOENT)
		return found;
	parent = path_parent(seed->root, path, &leaf);
	if (parent < 0)
		return parent;
	if (mkdirat(parent, leaf, 0755) < 0)
		return -errno;
	fd = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, link->uid, link->gid) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Links, files and directories of an earlier session lie here: each component is opened without
 * following any, and what exists is left alone. */
int
seed_home_link(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_home_link *link = &msg->sandbox_home_link;
	_cleanup_close_ int dir = -1;
	char path[PATH_LEN_MAX + 1];
	char *leaf;

	if (check_owner(seed, link->uid, link->gid, error) < 0)
		return -1;
	memcpy(path, link->path, sizeof(path));
	leaf = strrchr(path, '/');
	if (!path_plain(path) || leaf == path)
		return error_why(error, ERR_INVALID, "it lies in no directory");
	*leaf++ = '\0';
	dir = home_directory(seed, path, link);
	if (dir < 0)
		return is_in_the_way(-dir) ? 0 : error_errno(error, -dir, "opening its directory");
	if (symlinkat(link->target, dir, leaf) < 0)
		return is_in_the_way(errno) ? 0 : error_errno(error, errno, "symlinkat");
	if (fchownat(dir, leaf, link->uid, link->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(error, errno, "fchownat");
	return 0;
}
