#include "fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/limits.h"

enum { OPEN_TRIES = 64 /* EAGAIN: something was renamed while the path was walked */ };

int
open_resolved(int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	int tries;
	long fd;

	for (tries = 0; tries < OPEN_TRIES; tries++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int
open_without_links(const char *path, uint64_t flags)
{
	return open_resolved(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int
reopen_readable(int path_fd)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static bool
components_are_normal(const char *path)
{
	size_t length;

	for (;;) {
		length = strcspn(path, "/");
		if (!length || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += length;
		if (!*path++)
			return true;
	}
}

bool
path_is_normal(const char *path)
{
	if (path[0] != '/' || strlen(path) > PATH_LEN_MAX)
		return false;
	return !path[1] || components_are_normal(path + 1);
}

bool
path_is_normal_relative(const char *path)
{
	return path[0] != '/' && strlen(path) <= PATH_LEN_MAX && components_are_normal(path);
}

bool
path_within(const char *path, const char *dir)
{
	size_t length = strlen(dir);

	if (length == 1)
		return true;
	return !strncmp(path, dir, length) && (!path[length] || path[length] == '/');
}

const char *
path_split(const char *path, char *parent)
{
	const char *slash = strrchr(path, '/');
	size_t length = (size_t)(slash - path);

	memcpy(parent, path, length);
	parent[length] = '\0';
	if (!length)
		strcpy(parent, "/");
	return slash + 1;
}

bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int
dir_own(int fd, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return -errno;
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return -errno;
	return 0;
}

int
dir_make(int dir_fd, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	_cleanup_close_ int fd = -1;
	int rc;

	if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = dir_own(fd, mode, uid, gid);
	return rc < 0 ? rc : steal_fd(&fd);
}

static int
remove_entry(int dir_fd, const char *name)
{
	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int
empty_dir(DIR *dir)
{
	struct dirent *entry;
	int rc = 0, failed;

	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		failed = remove_entry(dirfd(dir), entry->d_name);
		CRASH_POINT_OF("file.removed", entry->d_name);
		if (failed < 0)
			rc = failed;
	}
	return rc;
}

int
dir_remove_flat(int dir_fd, const char *name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	int fd, rc;

	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = empty_dir(dir);
	if (rc < 0)
		return rc;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

bool
dir_is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *names = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (names && (entry = readdir(names)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return false;
	return names != NULL;
}

int
reserve(int fd, off_t bytes)
{
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}
