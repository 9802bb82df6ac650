#include "overlay.h"

#include <errno.h>
#include <stdio.h>
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
static int
set_options(int context)
{
	static const char *const off[] = {"redirect_dir", "metacopy", "index", "xino",
					  "nfs_export"};
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
