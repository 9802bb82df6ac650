/* image `host`: the programs and libraries of the host, and what they need of its /etc, read-only
 * views upon a root of the session's own. That root needs no overlay: nothing in it is the agent's,
 * so there is nothing that it could write. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "runnerd/fs.h"
#include "runnerd/mounts.h"
#include "steps.h"

/* A read-only view of an open file or directory at path. */
int
image_view(struct session *s, int source, const char *path, bool directory, struct error *error)
{
	int rc = recipe_view(&s->recipe, source, path, path, MOUNT_VIEW, directory);

	return rc < 0 ? error_errno(error, -rc, "open_tree of %s", path) : 0;
}

/* A name of the host's root as the host has it: a link stays that link, a directory is seen. */
static int
root_name(struct session *s, const char *path, bool required, struct error *error)
{
	_cleanup_close_ int fd = -1;
	char target[PATH_LEN_MAX + 1];
	struct stat st;
	ssize_t length;

	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !required)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(error, errno, "cannot open %s of the host", path);
	if (S_ISDIR(st.st_mode))
		return image_view(s, fd, path, true, error);
	if (!S_ISLNK(st.st_mode))
		return 0;
	length = readlinkat(fd, "", target, sizeof(target) - 1);
	if (length < 0)
		return error_errno(error, errno, "readlink of %s", path);
	target[length] = '\0';
	recipe_link(&s->recipe, path, target);
	return 0;
}

static const struct {
	const char *path;
	bool required;
} root_names[] = {
    {.path = "/usr", .required = true},
    {.path = "/bin"},
    {.path = "/sbin"},
    {.path = "/lib"},
    {.path = "/lib32"},
    {.path = "/lib64"},
    {.path = "/libx32"},
};

static int
host_programs(struct session *s, struct error *error)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(root_names); i++)
		if (root_name(s, root_names[i].path, root_names[i].required, error) < 0)
			return -1;
	return 0;
}

/* --- /etc --------------------------------------------------------------------------------------
 */

/* Files and directories of the host's /etc that programs of its /usr need, where they exist. */
static const char *const etc_views[] = {
    "/etc/alternatives", "/etc/ld.so.cache",          "/etc/ssl/certs",
    "/etc/localtime",    "/etc/ca-certificates.conf",
};

/* Only root writes /etc, so its links may be followed; nothing but files and directories passes. */
int
image_etc_view(struct session *s, const char *path, struct error *error)
{
	_cleanup_close_ int fd = open_resolved(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
		return 0;
	return image_view(s, fd, path, S_ISDIR(st.st_mode), error);
}

/* /etc/NAME of the host is there without asking, unless the sandbox has its own of that name.
 * mtab leads into the host's procfs. */
int
image_etc_of_agent(struct session *s, struct error *error)
{
	static const char *const own[] = {
	    "alternatives", "group", "gshadow", "hostname", "hosts", "localtime",
	    "machine-id",   "mtab",  "passwd",  "shadow",   "ssl",
	};
	char path[AGENT_NAME_MAX + sizeof("/etc/")];
	size_t i;

	for (i = 0; i < ARRAY_LEN(own); i++)
		if (!strcmp(s->agent_name, own[i]))
			return 0;
	snprintf(path, sizeof(path), "/etc/%s", s->agent_name);
	return image_etc_view(s, path, error);
}

static int
host_etc(struct session *s, struct error *error)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(etc_views); i++)
		if (image_etc_view(s, etc_views[i], error) < 0)
			return -1;
	return image_etc_of_agent(s, error);
}

int
image_host(struct session *s, struct error *error)
{
	return host_programs(s, error) < 0 ? -1 : host_etc(s, error);
}
