#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "common/cleanup.h"

/* By descriptor: before Linux 6.13 layers are paths only, and this one needs no resolving, holds
 * no comma or colon, and shows nothing of the host in the sandbox's mountinfo. */
static int
set_layer(int context, const char *key, int dir)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	return fsconfig(context, FSCONFIG_SET_STRING, key, path, 0);
}

/* Whatever this kernel's defaults are: an upper layer holds whole files under their own names,
 * which is what a commit can bear. */
static const char *const off[] = {"redirect_dir", "metacopy", "index", "xino", "nfs_export"};

static int
set_options(int context)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(off); i++)
		if (fsconfig(context, FSCONFIG_SET_STRING, off[i], "off", 0) < 0)
			return -1;
	return 0;
}

int
overlay_mount(const char *name, int lower, int upper, int work)
{
	_cleanup_close_ int context = fsopen("overlay", FSOPEN_CLOEXEC);
	int fd;

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "source", name, 0) < 0 ||
	    set_layer(context, "lowerdir", lower) < 0 ||
	    set_layer(context, "upperdir", upper) < 0 || set_layer(context, "workdir", work) < 0 ||
	    set_options(context) < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(context, FSMOUNT_CLOEXEC, OVERLAY_ATTRIBUTES);
	return fd < 0 ? -errno : fd;
}

static void
add_option(char *options, size_t size, const char *key, const char *value)
{
	size_t length = strlen(options);

	snprintf(options + length, size - length, "%s%s=%s", length ? "," : "", key, value);
}

static void
add_layer(char *options, size_t size, const char *key, int dir)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	add_option(options, size, key, path);
}

static void
add_lowers(char *options, size_t size, const int *lowers, size_t count)
{
	size_t length;

	for (size_t i = 0; i < count; i++) {
		length = strlen(options);
		snprintf(options + length, size - length, "%s/proc/self/fd/%d",
			 i ? ":" : "lowerdir=", lowers[i]);
	}
}

int
overlay_mount_many(const char *name, const int *lowers, size_t count, int upper, int work,
		   const char *place)
{
	char options[4096] = ""; /* what the kernel reads of them */
	int fd;

	if (count > OVERLAY_LOWERS_MAX)
		return -E2BIG;
	add_lowers(options, sizeof(options), lowers, count);
	add_layer(options, sizeof(options), "upperdir", upper);
	add_layer(options, sizeof(options), "workdir", work);
	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		add_option(options, sizeof(options), off[i], "off");
	if (strlen(options) == sizeof(options) - 1)
		return -E2BIG;
	if (mount(name, place, "overlay", MS_NOSUID | MS_NODEV, options) < 0)
		return -errno;
	fd = open_tree(AT_FDCWD, place, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
