#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"

/* --- paths ------------------------------------------------------------------------------------ */

/* Returns the length to go back to. Names of a directory are bounded, and so is the depth. */
static size_t
path_enter(struct changes *c, const char *name)
{
	size_t before = c->length, length = strlen(name);

	if (before + length + 2 > sizeof(c->path))
		return before;
	if (before)
		c->path[c->length++] = '/';
	memcpy(c->path + c->length, name, length + 1);
	c->length += length;
	return before;
}

static void
path_leave(struct changes *c, size_t before)
{
	c->length = before;
	c->path[before] = '\0';
}

static void
emit(struct changes *c, enum change change)
{
	uint64_t *const counts[] = {[CHANGE_ADDED] = &c->added,
				    [CHANGE_MODIFIED] = &c->modified,
				    [CHANGE_REMOVED] = &c->removed};

	(*counts[change])++;
	c->touched = true;
	if (!c->list)
		return;
	putc(change, c->list);
	fwrite(c->path, 1, c->length + 1, c->list);
}

static uint64_t
taken(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? (uint64_t)st->st_blocks * 512 : 0;
}

/* --- what was removed ------------------------------------------------------------------------- */

static int removed_below(struct changes *c, struct spot home, unsigned depth);

static int
removed(struct changes *c, struct spot home, unsigned depth)
{
	struct stat st;

	if (tree_stat(home, &st) < 0)
		return 0;
	emit(c, CHANGE_REMOVED);
	c->lost_bytes += taken(&st);
	return S_ISDIR(st.st_mode) ? removed_below(c, home, depth) : 0;
}

/* A home of earlier times may be deeper than is walked: its directory stands for the rest. */
static int
removed_below(struct changes *c, struct spot home, unsigned depth)
{
	_cleanup_closedir_ DIR *names = NULL;
	const char *name;
	size_t before;
	int rc = 0;

	if (depth >= TREE_DEPTH_MAX)
		return 0;
	names = tree_read(tree_open(home));
	if (!names)
		return -errno;
	while (!rc && (name = tree_next(names))) {
		before = path_enter(c, name);
		rc = removed(c, (struct spot){dirfd(names), name}, depth + 1);
		path_leave(c, before);
	}
	return rc;
}

/* --- what is there ---------------------------------------------------------------------------- */

static int compare(struct changes *c, struct spot layer, struct spot home, bool whole,
		   unsigned depth);

/* home -1: there is no such directory in the home. whole: the layer's directory replaces it. */
static int
compare_entries(struct changes *c, int layer, int home, bool whole, unsigned depth)
{
	_cleanup_closedir_ DIR *names =
	    tree_read(openat(layer, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const char *name;
	size_t before;
	int rc = names ? 0 : -errno;

	while (!rc && (name = tree_next(names))) {
		before = path_enter(c, name);
		rc =
		    compare(c, (struct spot){layer, name}, (struct spot){home, name}, whole, depth);
		path_leave(c, before);
	}
	return rc;
}

/* What the home has and a directory that replaces it has not. */
static int
compare_hidden(struct changes *c, int layer, int home, unsigned depth)
{
	_cleanup_closedir_ DIR *names =
	    tree_read(openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const char *name;
	size_t before;
	int rc = names ? 0 : -errno;

	while (!rc && (name = tree_next(names))) {
		if (tree_exists((struct spot){layer, name}))
			continue;
		before = path_enter(c, name);
		rc = removed(c, (struct spot){home, name}, depth);
		path_leave(c, before);
	}
	return rc;
}

static bool
same_times(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int
compare_directories(struct changes *c, struct spot layer, struct spot home, bool whole,
		    unsigned depth)
{
	_cleanup_close_ int upper = tree_open(layer), lower = tree_open(home);
	struct stat is, was;
	bool same;
	int rc;

	if (upper < 0 || lower < 0)
		return upper < 0 ? upper : lower;
	if (fstat(upper, &is) < 0 || fstat(lower, &was) < 0)
		return -errno;
	whole = whole || (c->length && tree_is_opaque(upper));
	same = tree_same_attributes(upper, lower);
	if (!same && c->length)
		emit(c, CHANGE_MODIFIED);
	if (whole || !same || !same_times(&is, &was))
		c->touched = true;
	rc = compare_entries(c, upper, lower, whole, depth + 1);
	return rc || !whole ? rc : compare_hidden(c, upper, lower, depth + 1);
}

static int
compare_added(struct changes *c, struct spot layer, unsigned depth)
{
	_cleanup_close_ int dir = tree_open(layer);

	return dir < 0 ? dir : compare_entries(c, dir, -1, true, depth + 1);
}

static int
compare(struct changes *c, struct spot layer, struct spot home, bool whole, unsigned depth)
{
	struct stat is, was = {0};
	bool had = home.dir >= 0 && tree_stat(home, &was) == 0;
	int rc = tree_stat(layer, &is);

	if (rc < 0)
		return rc;
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	if (tree_is_whiteout(layer, &is)) {
		c->touched = true;
		return had ? removed(c, home, depth) : 0;
	}
	if (S_ISCHR(is.st_mode) || S_ISBLK(is.st_mode))
		return 0;
	if (had && S_ISDIR(is.st_mode) && S_ISDIR(was.st_mode))
		return compare_directories(c, layer, home, whole, depth);
	emit(c, had ? CHANGE_MODIFIED : CHANGE_ADDED);
	c->new_bytes += taken(&is);
	c->lost_bytes += had ? taken(&was) : 0;
	if (had && S_ISDIR(was.st_mode))
		rc = removed_below(c, home, depth);
	return rc || !S_ISDIR(is.st_mode) ? rc : compare_added(c, layer, depth);
}

int
changes_find(struct changes *changes, struct spot layer, struct spot home)
{
	changes->length = 0;
	changes->path[0] = '\0';
	return compare_directories(changes, layer, home, false, 0);
}

static uint64_t
measure(int dir, unsigned depth)
{
	_cleanup_closedir_ DIR *names = tree_read(dir);
	const char *name;
	struct stat st;
	uint64_t sum = 0;

	while (names && (name = tree_next(names))) {
		const struct spot at = {dirfd(names), name};

		if (tree_stat(at, &st) < 0)
			continue;
		sum += taken(&st);
		if (S_ISDIR(st.st_mode) && depth < TREE_DEPTH_MAX)
			sum += measure(tree_open(at), depth + 1);
	}
	return sum;
}

uint64_t
changes_measure(int dir)
{
	return measure(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0);
}
