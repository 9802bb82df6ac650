#include "merge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"

static const char scratch_name[] = "new";

static void
before(const struct merge *merge)
{
	CRASH_POINT("merge.step");
	if (merge->before)
		merge->before(merge->arg);
}

static int
move(const struct merge *merge, struct spot from, struct spot to)
{
	before(merge);
	return renameat(from.dir, from.name, to.dir, to.name) < 0 ? -errno : 0;
}

/* Puts what the home has at this name into the reverse layer, where a directory then stands for
 * all that was in it. Where the home has nothing, a whiteout says so if something is added. */
static int
displace(const struct merge *merge, struct spot home, struct spot reverse, bool added)
{
	struct stat st;
	int rc;

	if (tree_exists(reverse))
		return 0;
	rc = tree_stat(home, &st);
	if (rc == -ENOENT) {
		before(merge);
		return added ? tree_make_whiteout(reverse) : 0;
	}
	if (!rc && S_ISDIR(st.st_mode))
		rc = tree_make_opaque(home);
	return rc < 0 ? rc : move(merge, home, reverse);
}

static int
drop(const struct merge *merge, struct spot layer, int flags)
{
	before(merge);
	return unlinkat(layer.dir, layer.name, flags) < 0 ? -errno : 0;
}

/* Everything that overlays say with marks is said by now: the home gets plain files. */
static int
put(const struct merge *merge, struct spot layer, struct spot home, struct spot reverse)
{
	int rc = displace(merge, home, reverse, true);

	if (!rc)
		rc = tree_strip(layer);
	return rc < 0 ? rc : move(merge, layer, home);
}

static int
put_directory(const struct merge *merge, struct spot layer, struct spot home, struct spot reverse,
	      unsigned depth)
{
	_cleanup_close_ int dir = tree_open(layer);
	int rc;

	if (dir < 0)
		return dir;
	rc = tree_clean(dir, depth);
	return rc < 0 ? rc : put(merge, layer, home, reverse);
}

/* --- directories that are on both sides --------------------------------------------------------
 */

static int merge_entry(const struct merge *merge, struct spot layer, struct spot home,
		       struct spot reverse, unsigned depth);

/* Entries leave the directory while it is read, so it is read until nothing is found. */
static int
merge_entries(const struct merge *merge, int layer, int home, int reverse, unsigned depth)
{
	_cleanup_closedir_ DIR *names =
	    tree_read(openat(layer, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const char *name;
	bool found = true;
	int rc = 0;

	if (!names)
		return -errno;
	while (!rc && found) {
		found = false;
		rewinddir(names);
		while (!rc && (name = tree_next(names))) {
			found = true;
			rc = merge_entry(merge, (struct spot){layer, name},
					 (struct spot){home, name}, (struct spot){reverse, name},
					 depth);
		}
	}
	return rc;
}

/* The reverse layer's directory has the home's attributes and times from the moment it is seen. */
static int
make_reverse(const struct merge *merge, struct spot reverse, int home)
{
	const struct spot scratch = {merge->scratch, scratch_name};
	_cleanup_close_ int dir = -1;
	struct stat st;
	int rc;

	if (tree_exists(reverse))
		return 0;
	before(merge);
	unlinkat(scratch.dir, scratch.name, AT_REMOVEDIR);
	if (mkdirat(scratch.dir, scratch.name, 0700) < 0 || fstat(home, &st) < 0)
		return -errno;
	dir = tree_open(scratch);
	rc = dir < 0 ? dir : tree_copy_attributes(home, dir);
	if (!rc)
		rc = tree_note_times(dir, &st);
	return rc < 0 ? rc : move(merge, scratch, reverse);
}

static int
merge_open_directories(const struct merge *merge, int layer, int home, struct spot reverse,
		       unsigned depth)
{
	_cleanup_close_ int displaced = -1;
	struct stat st;
	int rc = make_reverse(merge, reverse, home);

	if (!rc)
		rc = fstat(layer, &st) < 0 ? -errno : tree_note_times(layer, &st);
	if (rc < 0)
		return rc;
	displaced = tree_open(reverse);
	rc = displaced < 0 ? displaced : merge_entries(merge, layer, home, displaced, depth);
	if (rc < 0)
		return rc;
	before(merge);
	rc = tree_copy_attributes(layer, home);
	return rc < 0 ? rc : tree_set_noted_times(layer, home);
}

static int
merge_directory(const struct merge *merge, struct spot layer, struct spot home, struct spot reverse,
		unsigned depth)
{
	_cleanup_close_ int upper = -1, lower = -1;
	int rc;

	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	upper = tree_open(layer);
	lower = tree_open(home);
	if (upper < 0 || lower < 0)
		return upper < 0 ? upper : lower;
	rc = merge_open_directories(merge, upper, lower, reverse, depth + 1);
	return rc < 0 ? rc : drop(merge, layer, AT_REMOVEDIR);
}

/* --- one entry -------------------------------------------------------------------------------- */

static bool
is_merged(struct spot layer, struct spot home)
{
	_cleanup_close_ int dir = -1;
	struct stat st;

	if (tree_stat(home, &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	dir = tree_open(layer);
	return dir >= 0 && !tree_is_opaque(dir);
}

static int
merge_entry(const struct merge *merge, struct spot layer, struct spot home, struct spot reverse,
	    unsigned depth)
{
	struct stat st;
	int rc = tree_stat(layer, &st);

	if (rc < 0)
		return rc;
	if (tree_is_whiteout(layer, &st)) {
		rc = displace(merge, home, reverse, false);
		return rc < 0 ? rc : drop(merge, layer, 0);
	}
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return drop(merge, layer, 0);
	if (!S_ISDIR(st.st_mode))
		return put(merge, layer, home, reverse);
	if (is_merged(layer, home))
		return merge_directory(merge, layer, home, reverse, depth);
	return put_directory(merge, layer, home, reverse, depth);
}

int
merge_run(const struct merge *merge)
{
	if (!tree_exists(merge->layer))
		return 0;
	return merge_directory(merge, merge->layer, merge->home, merge->reverse, 0);
}
