/* A path inside an image, through its layers. */
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "common/cleanup.h"
#include "fs.h"
#include "image_store.h"

#include <fcntl.h>

/* What a layer says of a path: it has it, says nothing, or hides what is below. */
enum says { SAYS_NOTHING, SAYS_HERE, SAYS_GONE };

static bool
is_opaque(int path_fd)
{
	char path[64], value[2];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	return getxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

/* Follows the path as far as this layer has it. */
static enum says
ask_layer(int root, const char *path, int *found)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	char *rest = NULL, *name;
	bool hides = false;
	struct stat st;

	if (!copy || at < 0)
		return SAYS_GONE;
	for (name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (next < 0)
			return hides || (errno != ENOENT) ? SAYS_GONE : SAYS_NOTHING;
		close(at);
		at = next;
		if (fstat(at, &st) < 0 || (S_ISCHR(st.st_mode) && st.st_rdev == 0))
			return SAYS_GONE;
		hides = hides || (S_ISDIR(st.st_mode) && is_opaque(at));
	}
	*found = steal_fd(&at);
	return SAYS_HERE;
}

int
image_open_path(const struct runnerd *r, const struct image *image, const char *path)
{
	for (size_t i = image->head.layers; i-- > 0;) {
		_cleanup_close_ int root = image_layer_open(r, image, i);
		struct stat st;
		int found = -1;

		if (root < 0)
			return root;
		switch (ask_layer(root, path, &found)) {
		case SAYS_HERE:
			if (fstat(found, &st) == 0 && !S_ISLNK(st.st_mode))
				return found;
			close(found);
			return -ELOOP;
		case SAYS_GONE:
			return -ENOENT;
		case SAYS_NOTHING:
			break;
		}
	}
	return -ENOENT;
}
