#include "directories.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

enum { PARENT_MODE = 0755 };

/* --- the way to a directory --------------------------------------------------------------------
 */

/* Whoever may write a directory on the way may swap what is below it; the sticky bit prevents
 * that. A group that root let into /var/log is root's choice. */
static int
check_step(int fd, const char *path, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "%s", path);
	if (st.st_uid != 0) {
		error_why(error, ERR_PERMISSION, "%s belongs to uid %u, not to root", path,
			  st.st_uid);
		return error_hint(error, "chown root it, or choose another directory");
	}
	if (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)) {
		error_why(error, ERR_PERMISSION, "%s is writable by everyone", path);
		return error_hint(error, "chmod o-w it, or choose another directory");
	}
	return 0;
}

/* The directory called name in fd, made when missing. */
static int
enter(int fd, const char *name, const char *path, struct error *error)
{
	_cleanup_close_ int next = -1;

	if (mkdirat(fd, name, PARENT_MODE) < 0 && errno != EEXIST)
		return error_errno(error, errno, "making %s", path);
	next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0)
		return error_errno(error, errno, "opening %s", path);
	if (check_step(next, path, error) < 0)
		return -1;
	return steal_fd(&next);
}

/* path is free of links. Opens it, making what is missing; every step is checked. */
static int
walk(const char *path, struct error *error)
{
	_cleanup_free_ char *names = strdup(path);
	_cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char partial[PATH_MAX] = "", *rest = NULL;
	size_t used = 0;

	if (fd < 0 || !names)
		return error_errno(error, errno, "%s", path);
	if (check_step(fd, "/", error) < 0)
		return -1;
	for (char *name = strtok_r(names, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int next;

		used += (size_t)snprintf(partial + used, sizeof(partial) - used, "/%s", name);
		if (used >= sizeof(partial))
			return error_errno(error, ENAMETOOLONG, "%s", path);
		next = enter(fd, name, partial, error);
		close(fd);
		fd = next;
		if (fd < 0)
			return -1;
	}
	return steal_fd(&fd);
}

/* The longest part of path that exists, with its links resolved (/var/run), and the rest. */
static int
resolve_links(const char *path, char *resolved, struct error *error)
{
	_cleanup_free_ char *known = strdup(path);
	size_t length = known ? strlen(known) : 0;

	if (!known || *path != '/')
		return error_why(error, ERR_INVALID, "%s is not an absolute path", path);
	while (!realpath(known, resolved)) {
		if (errno != ENOENT)
			return error_errno(error, errno, "%s", known);
		while (length > 1 && known[length - 1] != '/')
			length--;
		while (length > 1 && known[length - 1] == '/')
			length--;
		known[length] = '\0';
	}
	if (strlen(resolved) + strlen(path + length) + 2 > PATH_MAX)
		return error_errno(error, ENAMETOOLONG, "%s", path);
	if (path[length]) {
		strcat(resolved, "/");
		strcat(resolved, path + length);
	}
	return 0;
}

static int
open_parent(const char *path, struct error *error)
{
	char resolved[PATH_MAX];

	if (resolve_links(path, resolved, error) < 0)
		return -1;
	return walk(resolved, error);
}

int
directories_parent(const char *path, const char **name, struct error *error)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent =
	    slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;

	if (!parent || !slash[1])
		return error_why(error, ERR_INVALID, "%s is not the absolute path of a file", path);
	*name = slash + 1;
	return open_parent(parent, error);
}

/* --- one directory
 * -------------------------------------------------------------------------------- */

/* Root's becomes the daemon's; another daemon's is not taken from it silently. */
int
directories_settle(int fd, const char *path, mode_t mode, uid_t uid, gid_t gid, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "%s", path);
	if (st.st_uid != 0 && st.st_uid != uid) {
		error_why(error, ERR_CONFLICT, "%s belongs to uid %u, not to uid %u", path,
			  st.st_uid, uid);
		return error_hint(error, "chown -R it when the user of a daemon was changed");
	}
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return error_errno(error, errno, "chown of %s", path);
	if ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0)
		return error_errno(error, errno, "chmod of %s", path);
	return 0;
}

/* A link in the last place is refused: it would be followed by everybody later. */
static int
make_at(int parent, const char *name, const char *path, mode_t mode, uid_t uid, gid_t gid,
	struct error *error)
{
	_cleanup_close_ int fd = -1;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return error_errno(error, errno, "making %s", path);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return error_why(error, ERR_INVALID, "%s is a link or no directory", path);
	if (fd < 0)
		return error_errno(error, errno, "opening %s", path);
	if (directories_settle(fd, path, mode, uid, gid, error) < 0)
		return -1;
	return steal_fd(&fd);
}

static int
make(const char *path, mode_t mode, uid_t uid, gid_t gid, struct error *error)
{
	const char *name;
	_cleanup_close_ int parent = directories_parent(path, &name, error);

	if (parent < 0)
		return -1;
	return make_at(parent, name, path, mode, uid, gid, error);
}

/* --- the instance's
 * ----------------------------------------------------------------------------------- */

int
directories_run(const struct config *config, struct error *error)
{
	int fd = make(config->run_dir, 0755, 0, 0, error);

	return fd < 0 ? error_what(error, "run_dir") : fd;
}

struct place {
	const char *name;
	mode_t mode;
	uid_t uid;
};

static int
make_all(const char *base, int base_fd, const struct place *places, size_t count,
	 struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int fd = -1;

		if (asprintf(&path, "%s/%s", base, places[i].name) < 0)
			return error_errno(error, ENOMEM, "making directories");
		fd =
		    make_at(base_fd, places[i].name, path, places[i].mode, places[i].uid, 0, error);
		if (fd < 0)
			return -1;
	}
	return 0;
}

int
directories_make(const struct config *config, struct error *error)
{
	const struct place in_run[] = {
	    {"sessions", 0700, 0},
	    {"empty", 0555, 0},
	};
	const struct place in_state[] = {
	    {"agents", 0755, 0},
	    {"store", 0700, 0},
	    {"sessions", 0700, 0},
	    {"homes", 0711, 0},
	    {"tools", 0700, 0},
	    {"images", 0755, 0},
	    {"sched", 0700, (uid_t)config->ids.schedd},
	    {"secrets", 0700, (uid_t)config->ids.secretd},
	};
	_cleanup_close_ int run = make(config->run_dir, 0755, 0, 0, error);
	_cleanup_close_ int state = -1, log = -1;

	if (run < 0 || make_all(config->run_dir, run, in_run, ARRAY_LEN(in_run), error) < 0)
		return error_what(error, "run_dir");
	state = make(config->state_dir, 0755, 0, 0, error);
	if (state < 0 ||
	    make_all(config->state_dir, state, in_state, ARRAY_LEN(in_state), error) < 0)
		return error_what(error, "state_dir");
	log = make(config->log_dir, 0750, 0, (gid_t)config->ids.group, error);
	if (log < 0)
		return error_what(error, "log_dir");
	return 0;
}

int
directories_log(const struct config *config, struct error *error)
{
	return make(config->log_dir, 0750, 0, (gid_t)config->ids.group, error);
}
