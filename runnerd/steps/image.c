/* image: programs and libraries of the host or of an image, devices, and the bounded places that a
 * program expects. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "runnerd/disk.h"
#include "runnerd/fs.h"
#include "runnerd/layers.h"
#include "runnerd/mounts.h"
#include "steps.h"

enum { MEM_MAJOR = 1, TTY_MAJOR = 5 };

/* Not the host's programs, but a tree that is the root. */
static bool
image_is_tree(const struct session *s)
{
	return manifest_image_is_tree(s->agent->plan);
}

int
session_layers(struct session *s, struct error *error)
{
	if (s->layers >= 0)
		return s->layers;
	s->layers =
	    layers_new(image_is_tree(s) ? s->effective.disk : disk_of_home(&s->effective), error);
	if (s->layers >= 0)
		recipe_layers(&s->recipe, fcntl(s->layers, F_DUPFD_CLOEXEC, 3));
	return s->layers;
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
	int rc;

	if (fd < 0)
		return error_errno(error, -fd, "cannot open %s of the host", path);
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(major, minor))
		return error_why(error, ERR_FAILED,
				 "%s of the host is not the character device %u:%u", path, major,
				 minor);
	rc = recipe_view(&s->recipe, fd, path, path, MOUNT_DEVICE, false);
	return rc < 0 ? error_errno(error, -rc, "open_tree of %s", path) : 0;
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

/* install_dir where it lies on the host; below the host's /usr it is seen already. */
static int
install_dir(struct session *s, struct error *error)
{
	const struct msg_store_head *head = &s->agent->head;
	_cleanup_close_ int fd = -1;

	if (!image_is_tree(s) && path_within(head->install_dir, "/usr"))
		return 0;
	if (!s->recipe.facts)
		fd = open_without_links(head->install_dir, O_PATH | O_DIRECTORY);
	if (fd < 0 && !s->recipe.facts) {
		error_errno(error, -fd, "cannot open install_dir %s", head->install_dir);
		return error_hint(error, "install the agent again from where it lies now");
	}
	return image_view(s, fd, head->install_dir, true, error);
}

static int
image_root(struct session *s, struct error *error)
{
	const char *dir = manifest_image_dir(s->agent->plan);

	if (dir)
		return image_dir(s, dir, error);
	return image_is_tree(s) ? image_oci(s, error) : image_host(s, error);
}

int
image_build(struct session *s, struct error *error)
{
	size_t i;

	if (image_root(s, error) < 0)
		return -1;
	for (i = 0; i < ARRAY_LEN(places); i++)
		recipe_tmpfs(&s->recipe, &places[i]);
	recipe_proc(&s->recipe, "/proc");
	if (host_devices(s, error) < 0)
		return -1;
	if (session_is_container(s))
		image_directory(s);
	return install_dir(s, error);
}

/* Whoever needed them has what was in them. */
int
image_undo(struct session *s)
{
	close_fd(&s->layers);
	return 0;
}
