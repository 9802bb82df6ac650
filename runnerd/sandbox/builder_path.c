#include "builder_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/limits.h"

enum { RETRIES = 64 /* EAGAIN: something was renamed while the path was resolved */ };

bool
path_plain(const char *path)
{
	size_t part;

	if (*path != '/')
		return false;
	while (*path) {
		path++;
		part = strcspn(path, "/");
		if (part == 0 || (part == 1 && path[0] == '.') ||
		    (part == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += part;
	}
	return true;
}

static int
resolve(int root, const char *path, int flags)
{
	struct open_how how = {
	    .flags = (unsigned)flags | O_PATH | O_CLOEXEC,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd, tries = 0;

	do
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN && ++tries < RETRIES);
	return fd < 0 ? -errno : fd;
}

int
path_open(int root, const char *path, int flags)
{
	if (strcmp(path, "/") == 0)
		return resolve(root, ".", flags);
	return path_plain(path) ? resolve(root, path, flags) : -EINVAL;
}

/* One part at a time: what is there is entered, what is not is made. */
static int
make_directories(int root, char *path)
{
	_cleanup_close_ int at = resolve(root, ".", O_DIRECTORY);
	char *part, *rest = path;
	int next;

	while (at >= 0 && (part = strsep(&rest, "/"))) {
		if (!*part)
			continue;
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return -errno;
		next = resolve(at, part, O_DIRECTORY);
		close_fd(&at);
		at = next;
	}
	return at < 0 ? at : steal_fd(&at);
}

int
path_parent(int root, const char *path, const char **leaf)
{
	char parent[PATH_LEN_MAX + 1];
	const char *last = strrchr(path, '/');
	size_t length;
	int fd;

	if (!path_plain(path) || strlen(path) > PATH_LEN_MAX)
		return -EINVAL;
	*leaf = last + 1;
	length = (size_t)(last - path);
	memcpy(parent, path, length);
	parent[length] = '\0';
	fd = resolve(root, length ? parent : ".", O_DIRECTORY);
	return fd == -ENOENT ? make_directories(root, parent) : fd;
}

static int
make_file(int parent, const char *leaf)
{
	int fd = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int
make_directory(int parent, const char *leaf)
{
	return mkdirat(parent, leaf, 0755) < 0 ? -errno : 0;
}

int
path_mount_point(int root, const char *path, bool directory)
{
	_cleanup_close_ int parent = -1;
	struct stat st;
	const char *leaf;
	int fd, rc;

	parent = path_parent(root, path, &leaf);
	if (parent < 0)
		return parent;
	rc = directory ? make_directory(parent, leaf) : make_file(parent, leaf);
	if (rc < 0 && rc != -EEXIST && rc != -EROFS)
		return rc;
	fd = resolve(parent, leaf, directory ? O_DIRECTORY : 0);
	if (fd < 0)
		return fd == -ENOENT && rc < 0 ? rc : fd;
	if (!directory && (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))) {
		close(fd);
		return -EISDIR;
	}
	return fd;
}
