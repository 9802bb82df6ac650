/* image `oci:`: the layers of an image in the store as the root, below a layer of the session's own
 * that takes what is written and goes with the session. Other sessions have the same layers:
 * nothing of them is ever written. */
#include <errno.h>

#include "common/cleanup.h"
#include "runnerd/container.h"
#include "runnerd/fs.h"
#include "runnerd/overlay.h"
#include "steps.h"

_Static_assert((int)IMAGE_LAYERS_MAX <= (int)OVERLAY_LOWERS_MAX, "an overlay takes every image");

static int
layer_mount(const struct session *s, size_t index, int ids, struct error *error)
{
	_cleanup_close_ int dir = image_layer_open(s->r, s->image, index);
	int lower;

	if (dir < 0)
		error_errno(error, -dir, "opening it");
	lower = dir < 0 ? -1 : image_lower(s, dir, ids, error);
	if (lower < 0)
		return error_what(error, "layer %zu of the image %s", index + 1, s->image_digest);
	return lower;
}

/* Files of the store are nobody else's: every id of a sandbox has its own. */
static int
cover(struct session *s, struct error *error)
{
	int mounts[IMAGE_LAYERS_MAX], bottom;
	size_t layers = s->image->head.layers, count = 0;
	_cleanup_close_ int ids = -1;

	if (layers == 0 || layers > IMAGE_LAYERS_MAX)
		return error_why(error, ERR_INVALID, "the image has %zu layers", layers);
	if (image_upper(s, error) < 0)
		return -1;
	ids = image_ids(s, ID_RANGE);
	while (count < layers - 1) {
		mounts[count] = layer_mount(s, layers - 1 - count, ids, error);
		if (mounts[count++] < 0)
			break;
	}
	bottom = count && mounts[count - 1] < 0 ? -1 : layer_mount(s, 0, ids, error);
	if (bottom < 0) {
		while (count)
			close_fd(&mounts[--count]);
		return -1;
	}
	recipe_lowers(&s->recipe, mounts, count);
	recipe_overlay(&s->recipe, "/", "image", bottom);
	return 0;
}

int
image_oci(struct session *s, struct error *error)
{
	if (s->recipe.facts)
		recipe_explain(&s->recipe, "/", s->agent->plan->image, "overlay",
			       OVERLAY_ATTRIBUTES);
	else if (cover(s, error) < 0)
		return -1;
	return image_outfit(s, error);
}

/* Below what others mount, it is theirs. */
static bool
is_made_elsewhere(const char *path)
{
	static const char *const places[] = {"/dev", "/proc", "/sys", "/run", "/tmp", "/home"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (path_within(path, places[i]))
			return true;
	return false;
}

void
image_directory(struct session *s)
{
	const char *path = s->image ? container_directory(s->image) : "/";
	_cleanup_close_ int fd = -1;

	if (!path_is_normal(path) || is_made_elsewhere(path) || s->recipe.facts)
		return;
	fd = image_open_path(s->r, s->image, path);
	if (fd == -ENOENT)
		recipe_dir(&s->recipe, path, 0755, AGENT_UID);
}
