/* image: the host's programs and libraries, devices, and the bounded places that a program
 * expects. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "runnerd/fs.h"
#include "runnerd/mounts.h"
#include "steps.h"

enum { MEM_MAJOR = 1, TTY_MAJOR = 5 };

/* A read-only view of an open file or directory at path. */
static int
view_of(struct session *s, int source, const char *path, bool directory, struct error *error)
{
	int mount = mount_detached(source, MOUNT_VIEW);

	if (mount < 0)
		return error_errno(error, -mount, "open_tree of %s", path);
	recipe_mount(&s->recipe, path, mount, directory);
	return 0;
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
		return view_of(s, fd, path, true, error);
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
static int
etc_view(struct session *s, const char *path, struct error *error)
{
	_cleanup_close_ int fd = open_resolved(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
		return 0;
	return view_of(s, fd, path, S_ISDIR(st.st_mode), error);
}

/* /etc/NAME of the host is there without asking, unless the sandbox has its own of that name.
 * mtab leads into the host's procfs. */
static int
etc_of_agent(struct session *s, struct error *error)
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
	return etc_view(s, path, error);
}

static int
host_etc(struct session *s, struct error *error)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(etc_views); i++)
		if (etc_view(s, etc_views[i], error) < 0)
			return -1;
	return etc_of_agent(s, error);
}

/* --- /dev --------------------------------------------------------------------------------------
 */

static const struct {
	const char *path;
	unsigned major, minor;
} devices[] = {
    {.path = "/dev/null", .major = MEM_MAJOR, .minor = 3},
    {.path = "/dev/zero", .major = MEM_MAJOR, .minor = 5},
    {.path = "/dev/full", .major = MEM_MAJOR, .minor = 7},
    {.path = "/dev/random", .major = MEM_MAJOR, .minor = 8},
    {.path = "/dev/urandom", .major = MEM_MAJOR, .minor = 9},
    {.path = "/dev/tty", .major = TTY_MAJOR, .minor = 0},
};

/* The number is checked on the descriptor that is bound (CVE-2025-31133). */
static int
device(struct session *s, const char *path, unsigned major, unsigned minor, struct error *error)
{
	_cleanup_close_ int fd = open_without_links(path, O_PATH);
	struct stat st;
	int mount;

	if (fd < 0)
		return error_errno(error, -fd, "cannot open %s of the host", path);
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(major, minor))
		return error_why(error, ERR_FAILED,
				 "%s of the host is not the character device %u:%u", path, major,
				 minor);
	mount = mount_detached(fd, MOUNT_DEVICE);
	if (mount < 0)
		return error_errno(error, -mount, "open_tree of %s", path);
	recipe_mount(&s->recipe, path, mount, false);
	return 0;
}

static const struct {
	const char *path, *target;
} dev_links[] = {
    {.path = "/dev/fd", .target = "/proc/self/fd"},
    {.path = "/dev/stdin", .target = "/proc/self/fd/0"},
    {.path = "/dev/stdout", .target = "/proc/self/fd/1"},
    {.path = "/dev/stderr", .target = "/proc/self/fd/2"},
};

/* --- the places of CONTRACT 3
 * --------------------------------------------------------------------- */

static const struct recipe_tmpfs places[] = {
    {.path = "/dev", .mode = 0755, .bytes = 64 << 10, .inodes = 64, .noexec = true},
    {.path = "/dev/shm",
     .mode = 01777,
     .bytes = 64 << 20,
     .inodes = 4096,
     .owner = 0,
     .noexec = true},
    {.path = "/tmp", .mode = 01777, .bytes = 256 << 20, .inodes = 65536},
    {.path = "/run/agent",
     .mode = 0700,
     .owner = AGENT_UID,
     .bytes = 16 << 20,
     .inodes = 4096,
     .noexec = true},
};

static int
host_devices(struct session *s, struct error *error)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(devices); i++)
		if (device(s, devices[i].path, devices[i].major, devices[i].minor, error) < 0)
			return -1;
	for (i = 0; i < ARRAY_LEN(dev_links); i++)
		recipe_link(&s->recipe, dev_links[i].path, dev_links[i].target);
	recipe_devpts(&s->recipe, "/dev/pts");
	return 0;
}

/* install_dir where it lies on the host; below /usr it is seen already. */
static int
install_dir(struct session *s, struct error *error)
{
	const struct msg_store_head *head = &s->agent->head;
	_cleanup_close_ int fd = -1;

	if (path_within(head->install_dir, "/usr"))
		return 0;
	fd = open_without_links(head->install_dir, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		error_errno(error, -fd, "cannot open install_dir %s", head->install_dir);
		return error_hint(error, "install the agent again from where it lies now");
	}
	return view_of(s, fd, head->install_dir, true, error);
}

int
image_build(struct session *s, struct error *error)
{
	size_t i;

	if (host_programs(s, error) < 0 || host_etc(s, error) < 0)
		return -1;
	for (i = 0; i < ARRAY_LEN(places); i++)
		recipe_tmpfs(&s->recipe, &places[i]);
	recipe_proc(&s->recipe, "/proc");
	if (host_devices(s, error) < 0)
		return -1;
	return install_dir(s, error);
}
