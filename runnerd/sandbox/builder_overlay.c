/* Overlays, and what the sandbox lays over an image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "builder_path.h"
#include "builder_seed.h"
#include "common/cleanup.h"
#include "runnerd/overlay.h"

static const char layers_place[] = "/layers", lower_place[] = "/lower", root_place[] = "/new";

/* Places of the spawner's own mounts, which go with the pivot. */
static int
attach_outside(int mount, const char *place, struct error *error)
{
	if (move_mount(mount, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "move_mount to %s", place);
	return 0;
}

int
seed_layers(struct seed *seed, const struct msg *msg, struct error *error)
{
	if (seed->layers >= 0)
		return error_why(error, ERR_INVALID, "there are layers already");
	if (attach_outside(msg->fds[0], layers_place, error) < 0)
		return -1;
	seed->layers = fcntl(msg->fds[0], F_DUPFD_CLOEXEC, 3);
	return seed->layers < 0 ? error_errno(error, errno, "fcntl") : 0;
}

/* LAYER/upper or LAYER/work. */
static int
open_layer(const struct seed *seed, const char *layer, const char *part, struct error *error)
{
	char path[sizeof(((struct msg_sandbox_overlay *)NULL)->layer) + 8];
	int fd;

	snprintf(path, sizeof(path), "/%s/%s", layer, part);
	fd = seed->layers < 0 ? -ENOENT : path_open(seed->layers, path, O_DIRECTORY);
	return fd < 0 ? error_errno(error, -fd, "opening its layer %s", path + 1) : fd;
}

/* Each upon the one before: an overlay takes them by their descriptors. */
static int
add_lower(struct seed *seed, int mount, struct error *error)
{
	int *lower = &seed->lowers[seed->lower_count];

	if (seed->lower_count == OVERLAY_LOWERS_MAX)
		return error_why(error, ERR_INVALID, "it has more than %d layers",
				 OVERLAY_LOWERS_MAX);
	if (attach_outside(mount, lower_place, error) < 0)
		return -1;
	*lower = fcntl(mount, F_DUPFD_CLOEXEC, 3);
	if (*lower < 0)
		return error_errno(error, errno, "fcntl");
	seed->lower_count++;
	return 0;
}

int
seed_lower(struct seed *seed, const struct msg *msg, struct error *error)
{
	for (unsigned i = 0; i < msg->nfds; i++)
		if (add_lower(seed, msg->fds[i], error) < 0)
			return -1;
	return 0;
}

/* The overlay keeps views of its own: with the lowest goes what is mounted upon it. */
static int
let_lowers_go(struct seed *seed, struct error *error)
{
	char lowest[32];

	snprintf(lowest, sizeof(lowest), "/proc/self/fd/%d", seed->lowers[0]);
	if (umount2(lowest, MNT_DETACH) < 0)
		return error_errno(error, errno, "umount2 of %s", lower_place);
	while (seed->lower_count)
		close(seed->lowers[--seed->lower_count]);
	return 0;
}

static int
new_overlay(struct seed *seed, const struct msg *msg, struct error *error)
{
	const char *layer = msg->sandbox_overlay.layer;
	_cleanup_close_ int upper = open_layer(seed, layer, "upper", error), work = -1, mount = -1;

	if (upper < 0)
		return -1;
	work = open_layer(seed, layer, "work", error);
	if (work < 0 || add_lower(seed, msg->fds[0], error) < 0)
		return -1;
	mount = seed->lower_count == 1 ? overlay_mount(layer, seed->lowers[0], upper, work)
				       : overlay_mount_many(layer, seed->lowers, seed->lower_count,
							    upper, work, lower_place);
	if (mount < 0)
		return error_errno(error, -mount, "mounting the overlay of %zu layers",
				   seed->lower_count);
	return let_lowers_go(seed, error) < 0 ? -1 : steal_fd(&mount);
}

/* Upon the root that was there before any image could name something: the spawner's place for it
 * leads to the newest. */
static int
become_root(struct seed *seed, int overlay, struct error *error)
{
	struct stat st;

	if (seed->image)
		return error_why(error, ERR_INVALID, "there is an image already");
	if (attach_outside(overlay, root_place, error) < 0)
		return -1;
	if (fstat(overlay, &st) < 0)
		return error_errno(error, errno, "fstat of the root");
	close(seed->root);
	seed->root = fcntl(overlay, F_DUPFD_CLOEXEC, 3);
	seed->root_device = st.st_dev;
	seed->image = true;
	return seed->root < 0 ? error_errno(error, errno, "fcntl") : 0;
}

int
seed_overlay(struct seed *seed, const struct msg *msg, struct error *error)
{
	const char *path = msg->sandbox_overlay.path;
	_cleanup_close_ int overlay = new_overlay(seed, msg, error);

	if (overlay < 0)
		return -1;
	if (strcmp(path, "/") == 0)
		return become_root(seed, overlay, error);
	return seed_attach(seed, overlay, path, true, error);
}

/* --- what an image has in the way ---------------------------------------------------------------
 */

static int
remove_leaf(const struct seed *seed, int parent, const char *leaf, mode_t type, struct error *error)
{
	struct stat st;

	if (fstat(parent, &st) < 0)
		return error_errno(error, errno, "fstat of its parent");
	if (st.st_dev != seed->root_device)
		return 0;
	if (fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_errno(error, errno, "fstatat");
	if (type && (st.st_mode & S_IFMT) == type)
		return 0;
	if (S_ISDIR(st.st_mode))
		return error_why(error, ERR_CONFLICT, "the image has a directory there");
	if (unlinkat(parent, leaf, 0) < 0)
		return error_errno(error, errno, "unlinkat of what the image has there");
	return 0;
}

int
seed_clear(const struct seed *seed, const char *path, mode_t type, struct error *error)
{
	_cleanup_close_ int parent = -1;
	const char *leaf;

	if (!seed->image)
		return 0;
	parent = path_parent(seed->root, path, &leaf);
	if (parent == -ELOOP || parent == -ENOTDIR)
		return error_why(error, ERR_INVALID,
				 "on the way there the image has a link or a file");
	if (parent < 0)
		return error_errno(error, -parent, "opening its parent");
	return remove_leaf(seed, parent, leaf, type, error);
}
