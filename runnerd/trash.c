#include "trash.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/loop.h"

static const char trash_prefix[] = ".purged-";

/* A tree that a stranger wrote may be deeper than there are descriptors: a directory that is
 * found is moved up beside the first one and emptied there, so that nothing ever descends. */
static int
flatten(int top, int dir, const char *name, unsigned *serial)
{
	char moved[TRASH_NAME_MAX];

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	snprintf(moved, sizeof(moved), "%s%u", trash_prefix, (*serial)++);
	return renameat(dir, name, top, moved) < 0 ? -errno : 0;
}

static int
empty_once(int top, const char *name, unsigned *serial)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd, rc = 0;

	fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!rc && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = flatten(top, fd, entry->d_name, serial);
	return rc;
}

/* Empties every directory in top until none is left, then the loop in the caller ends. */
static int
empty_round(int top, unsigned *serial, bool *found)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	*found = false;
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	while (!rc && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		*found = true;
		if (unlinkat(top, entry->d_name, 0) == 0)
			continue;
		rc = empty_once(top, entry->d_name, serial);
		if (!rc && unlinkat(top, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
			rc = -errno;
	}
	return rc;
}

void
trash_delete(int dir_fd, const char *name)
{
	_cleanup_close_ int top = -1;
	unsigned serial = (unsigned)realtime_ms();
	bool found = true;

	top = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return;
	while (found && empty_round(top, &serial, &found) == 0)
		;
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* The child keeps one descriptor and is nobody's to wait for: it is forked twice. */
static void
delete_in_child(int dir_fd, const char *name)
{
	int fd = dup3(dir_fd, 3, 0);

	if (fd < 0 || close_from(4) < 0)
		_exit(1);
	if (fork() == 0)
		trash_delete(fd, name);
	_exit(0);
}

int
trash_delete_aside(int dir_fd, const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		delete_in_child(dir_fd, name);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int
trash_put(int trash_dir, int dir_fd, const char *name, char *moved)
{
	char to[TRASH_NAME_MAX];

	snprintf(to, sizeof(to), "%s%llx", trash_prefix, (unsigned long long)boottime_ns());
	if (renameat(dir_fd, name, trash_dir, to) < 0)
		return -errno;
	if (moved)
		memcpy(moved, to, sizeof(to));
	return 0;
}

int
trash_each(int dir_fd, trash_fn *fn)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	while (!rc && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, trash_prefix, strlen(trash_prefix)))
			rc = fn(dir_fd, entry->d_name);
	return rc;
}

static int
delete_one(int dir_fd, const char *name)
{
	trash_delete(dir_fd, name);
	return 0;
}

int
trash_sweep(int dir_fd)
{
	return trash_each(dir_fd, delete_one);
}
