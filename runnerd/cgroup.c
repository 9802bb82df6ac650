#include "cgroup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"

enum { PROC_FILE_MAX = 1 << 20, CONTROL_MAX = 4096 };

struct cgroups {
	int root; /* of the v2 mount */
	int base;
	char *base_path;
	bool own_base; /* not the sessions' holder's: removed with this instance */
};

/* --- finding the hierarchy ------------------------------------------------------------------- */

static char *
read_text(int dir_fd, const char *path)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t length;

	if (fd < 0 || read_file(fd, PROC_FILE_MAX, &text, &length) < 0)
		return NULL;
	return text;
}

/* mountinfo writes blank, tab, newline and backslash as three octal digits. */
static void
unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		*to = *text;
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 3;
		}
	}
	*to = '\0';
}

/* "ID PARENT MAJ:MIN ROOT POINT OPTIONS… - TYPE SOURCE SUPER": the point of a whole cgroup2. */
static char *
mount_point(char *line)
{
	char *type = strstr(line, " - cgroup2 "), *field = NULL, *rest = line;
	int i;

	if (!type)
		return NULL;
	*type = '\0';
	for (i = 0; i < 4; i++)
		field = strsep(&rest, " ");
	if (!field || strcmp(field, "/"))
		return NULL;
	field = strsep(&rest, " ");
	if (field)
		unescape(field);
	return field;
}

static int
open_root(struct error *error)
{
	_cleanup_free_ char *text = read_text(AT_FDCWD, "/proc/self/mountinfo");
	char *rest = text, *line, *point;
	int fd;

	while ((line = strsep(&rest, "\n"))) {
		point = mount_point(line);
		if (!point)
			continue;
		fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	error_why(error, ERR_FAILED, "no cgroup v2 hierarchy is mounted");
	return error_hint(error, "mount -t cgroup2 none /sys/fs/cgroup/unified (or boot with "
				 "systemd.unified_cgroup_hierarchy=1)");
}

static char *
own_path(void)
{
	_cleanup_free_ char *text = read_text(AT_FDCWD, "/proc/self/cgroup");
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (!strncmp(line, "0::/", strlen("0::/")))
			return strdup(line + strlen("0::"));
	return NULL;
}

/* What the holder of the sessions' unit wrote: a path and a newline. */
static char *
held_path(const char *run_dir)
{
	_cleanup_close_ int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *text = dir < 0 ? NULL : read_text(dir, "cgroup");

	if (text)
		text[strcspn(text, "\n")] = '\0';
	if (text && text[0] == '/')
		return text;
	free(text);
	return NULL;
}

static unsigned
run_dir_hash(const char *run_dir)
{
	uint32_t hash = 0x811c9dc5;

	for (; *run_dir; run_dir++)
		hash = (hash ^ (uint8_t)*run_dir) * 0x01000193;
	return hash;
}

static char *
base_path(const struct config *config, bool *own)
{
	_cleanup_free_ char *below = NULL;
	char *path;

	*own = true;
	if (strcmp(config->cgroup, "auto")) {
		if (asprintf(&path, "%s%s", config->cgroup[0] == '/' ? "" : "/", config->cgroup) <
		    0)
			return NULL;
		return path;
	}
	path = held_path(config->run_dir);
	*own = !path;
	if (path)
		return path;
	below = own_path();
	if (!below || asprintf(&path, "%s/scarab-%08x", strcmp(below, "/") ? below : "",
			       run_dir_hash(config->run_dir)) < 0)
		return NULL;
	return path;
}

static int
dir_below(int dir_fd, const char *name, bool make)
{
	int fd;

	if (make && mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct cgroups *
cgroups_open(const struct config *config, struct error *error)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));

	if (!cgroups) {
		error_errno(error, ENOMEM, "cgroups");
		return NULL;
	}
	cgroups->base = -1;
	cgroups->root = open_root(error);
	if (cgroups->root < 0) {
		cgroups_close(cgroups);
		return NULL;
	}
	cgroups->base_path = base_path(config, &cgroups->own_base);
	if (cgroups->base_path)
		cgroups->base = dir_below(cgroups->root, cgroups->base_path + 1, true);
	if (cgroups->base >= 0)
		return cgroups;
	error_errno(error, cgroups->base_path ? -cgroups->base : ENOMEM,
		    "cannot make the cgroup %s for sessions",
		    cgroups->base_path ? cgroups->base_path : "");
	cgroups->base = -1;
	cgroups_close(cgroups);
	return NULL;
}

void
cgroups_close(struct cgroups *cgroups)
{
	if (!cgroups)
		return;
	/* Fails, as it should, while sessions live in it. */
	if (cgroups->base >= 0 && cgroups->own_base)
		unlinkat(cgroups->root, cgroups->base_path + 1, AT_REMOVEDIR);
	close_fd(&cgroups->base);
	close_fd(&cgroups->root);
	free(cgroups->base_path);
	free(cgroups);
}

const char *
cgroups_base(const struct cgroups *cgroups)
{
	return cgroups->base_path;
}

bool
cgroups_can_kill(const struct cgroups *cgroups)
{
	struct stat st;

	return fstatat(cgroups->base, "cgroup.kill", &st, 0) == 0;
}

/* --- one session's ---------------------------------------------------------------------------- */

char *
cgroup_path(const struct cgroups *cgroups, const char *name)
{
	char *path;

	if (!cgroups)
		return NULL;
	return asprintf(&path, "%s/%s", cgroups->base_path, name) < 0 ? NULL : path;
}

static int
open_group(struct cgroups *cgroups, struct session_cgroup *cgroup, bool make)
{
	cgroup->dir = dir_below(cgroups->root, cgroup->path + 1, make);
	if (cgroup->dir < 0)
		return cgroup->dir;
	cgroup->runtime = dir_below(cgroup->dir, "runtime", make);
	cgroup->agent = dir_below(cgroup->dir, "agent", make);
	cgroup->events = openat(cgroup->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (!make)
		return 0;
	if (cgroup->runtime < 0)
		return cgroup->runtime;
	if (cgroup->agent < 0)
		return cgroup->agent;
	return cgroup->events < 0 ? -errno : 0;
}

int
cgroup_create(struct cgroups *cgroups, char *path, struct session_cgroup *cgroup)
{
	*cgroup = (struct session_cgroup)SESSION_CGROUP_INIT;
	cgroup->path = path;
	return path ? open_group(cgroups, cgroup, true) : -ENOMEM;
}

int
cgroup_find(struct cgroups *cgroups, char *path, struct session_cgroup *cgroup)
{
	int rc;

	*cgroup = (struct session_cgroup)SESSION_CGROUP_INIT;
	cgroup->path = path;
	if (!path)
		return -ENOMEM;
	rc = cgroups ? open_group(cgroups, cgroup, false) : -ENOENT;
	return rc == -ENOENT ? 0 : rc;
}

int
cgroup_kill(int dir)
{
	_cleanup_close_ int fd = -1;

	if (dir < 0)
		return 0;
	fd = openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, "1", 1) < 0 ? -errno : 0;
}

bool
cgroup_populated(const struct session_cgroup *cgroup)
{
	char text[CONTROL_MAX];
	ssize_t length;

	if (cgroup->events < 0)
		return false;
	length = pread(cgroup->events, text, sizeof(text) - 1, 0);
	if (length < 0)
		return errno != ENODEV;
	text[length] = '\0';
	return strstr(text, "populated 1") != NULL;
}

/* By path: a group of which nothing could be opened goes too. */
static int
remove_group(struct cgroups *cgroups, const struct session_cgroup *cgroup)
{
	static const char *const parts[] = {"/agent", "/runtime", ""};
	char path[PATH_LEN_MAX + 1];
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%.4000s%s", cgroup->path + 1, parts[i]);
		if (unlinkat(cgroups->root, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int
cgroup_remove(struct cgroups *cgroups, struct session_cgroup *cgroup)
{
	int rc = cgroup->path && cgroups ? remove_group(cgroups, cgroup) : 0;

	if (!rc)
		cgroup_close(cgroup);
	return rc;
}

void
cgroup_close(struct session_cgroup *cgroup)
{
	close_fd(&cgroup->events);
	close_fd(&cgroup->agent);
	close_fd(&cgroup->runtime);
	close_fd(&cgroup->dir);
	free(cgroup->path);
	*cgroup = (struct session_cgroup)SESSION_CGROUP_INIT;
}
