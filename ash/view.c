#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/limits.h"

/* What image `host` shows of the host (runnerd/steps/image_host.c). */
static const char *const trees[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
};

int
view_init(struct view *view, const struct manifest *manifest, const char *install_dir, int image)
{
	const char *dir = manifest_image_dir(manifest);

	*view = (struct view){.manifest = manifest, .install_dir = install_dir, .image = -1};
	if (!manifest_image_is_tree(manifest))
		return 0;
	if (dir)
		view->image = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	else
		view->image = fcntl(image, F_DUPFD_CLOEXEC, 3);
	return view->image < 0 ? -errno : 0;
}

const char *
view_image_name(const struct view *view)
{
	const char *dir = manifest_image_dir(view->manifest);

	if (!manifest_image_is_tree(view->manifest))
		return NULL;
	return dir ? dir : view->manifest->image;
}

void
view_close(struct view *view)
{
	close_fd(&view->image);
}

static bool
within(const char *path, const char *dir)
{
	size_t length = strlen(dir);

	return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int
open_regular(int dir, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	return steal_fd(&fd);
}

static bool
name_of(int fd, char path[PATH_LEN_MAX + 1])
{
	char name[32];
	ssize_t length;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	length = readlink(name, path, PATH_LEN_MAX);
	path[length < 0 ? 0 : length] = '\0';
	return length > 0;
}

static bool
in_trees(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(trees); i++)
		if (within(path, trees[i]))
			return true;
	return false;
}

/* A link of the host may lead to where nothing is inside. */
static bool
stays_inside(const struct view *view, int fd)
{
	char path[PATH_LEN_MAX + 1];

	return !name_of(fd, path) || in_trees(path) || within(path, view->install_dir);
}

static int
open_of_host(const struct view *view, const char *path)
{
	_cleanup_close_ int fd = open_regular(AT_FDCWD, path, 0);

	if (fd < 0)
		return fd;
	return stays_inside(view, fd) ? steal_fd(&fd) : -ENOENT;
}

static int
open_of_context(const struct view *view, const char *path)
{
	for (size_t i = 0; i < view->manifest->context.count; i++) {
		const struct manifest_context *context = &view->manifest->context.items[i];
		char source[2 * PATH_LEN_MAX + 2];

		if (!within(path, context->target))
			continue;
		snprintf(source, sizeof(source), "%s%s", context->source,
			 path + strlen(context->target));
		return open_regular(AT_FDCWD, source, 0);
	}
	return -ENOENT;
}

int
view_open(const struct view *view, const char *path)
{
	int fd = open_of_context(view, path);

	if (fd != -ENOENT)
		return fd;
	if (view->image >= 0 && !within(path, view->install_dir))
		return open_regular(view->image, path, RESOLVE_IN_ROOT);
	return open_of_host(view, path);
}

/* Of context, which shows files elsewhere than they lie, the name that was asked for. */
void
view_resolved(const struct view *view, int fd, const char *path, char *resolved)
{
	char found[PATH_LEN_MAX + 1], image[PATH_LEN_MAX + 1];
	const char *below = found;

	snprintf(resolved, PATH_LEN_MAX + 1, "%s", path);
	for (size_t i = 0; i < view->manifest->context.count; i++)
		if (within(path, view->manifest->context.items[i].target))
			return;
	if (!name_of(fd, found))
		return;
	if (view->image >= 0 && name_of(view->image, image) && within(found, image))
		below = found + strlen(image);
	snprintf(resolved, PATH_LEN_MAX + 1, "%s", below);
}

bool
view_is_of_host(const struct view *view, const char *path)
{
	_cleanup_close_ int fd = open_regular(AT_FDCWD, path, 0);
	_cleanup_close_ int dir = open(view->install_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char found[PATH_LEN_MAX + 1], own[PATH_LEN_MAX + 1];

	return view->image < 0 && fd >= 0 && dir >= 0 && name_of(fd, found) && name_of(dir, own) &&
	       in_trees(found) && !within(found, own);
}
