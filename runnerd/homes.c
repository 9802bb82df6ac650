#include "homes.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/limits.h"
#include "common/loop.h"
#include "fs.h"

enum { TRASH_NAME_MAX = 64 };
static const char trash_prefix[] = ".purged-";

int
home_open(int homes_fd, const char *agent, uint32_t base_uid, int *home, int *lock,
	  struct error *error)
{
	_cleanup_close_ int dir = -1, held = -1, inner = -1;
	uid_t owner = base_uid + AGENT_UID;

	dir = dir_make(homes_fd, agent, 0700, 0, 0);
	if (dir < 0)
		return error_errno(error, -dir, "cannot make homes/%s", agent);
	held = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (held < 0)
		return error_errno(error, errno, "cannot open homes/%s/lock", agent);
	if (flock(held, LOCK_EX | LOCK_NB) < 0)
		return error_why(error, ERR_CONFLICT, "another session holds the home of %s",
				 agent);
	inner = dir_make(dir, "home", 0700, owner, owner);
	if (inner < 0)
		return error_errno(error, -inner, "cannot make homes/%s/home", agent);
	*home = steal_fd(&inner);
	*lock = steal_fd(&held);
	return 0;
}

/* --- deletion ------------------------------------------------------------------------------- */

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

static void
delete_tree(int homes_fd, const char *name)
{
	_cleanup_close_ int top = -1;
	unsigned serial = (unsigned)realtime_ms();
	bool found = true;

	top = openat(homes_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return;
	while (found && empty_round(top, &serial, &found) == 0)
		;
	unlinkat(homes_fd, name, AT_REMOVEDIR);
}

/* The child keeps one descriptor and is nobody's to wait for: it is forked twice. */
static void
delete_in_child(int homes_fd, const char *name)
{
	int fd = dup3(homes_fd, 3, 0);

	if (fd < 0 || close_from(4) < 0)
		_exit(1);
	if (fork() == 0)
		delete_tree(fd, name);
	_exit(0);
}

static int
delete_aside(int homes_fd, const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		delete_in_child(homes_fd, name);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int
home_purge(int homes_fd, const char *agent)
{
	char name[TRASH_NAME_MAX];

	snprintf(name, sizeof(name), "%s%llx", trash_prefix, (unsigned long long)boottime_ns());
	if (renameat(homes_fd, agent, homes_fd, name) < 0)
		return errno == ENOENT ? 0 : -errno;
	return delete_aside(homes_fd, name);
}

int
homes_sweep(int homes_fd)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(homes_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	while (!rc && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, trash_prefix, strlen(trash_prefix)))
			rc = delete_aside(homes_fd, entry->d_name);
	return rc;
}
