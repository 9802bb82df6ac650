#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "common/cleanup.h"
#include "runnerd/fs.h"

enum { LIST_MAX = 65536, VALUE_MAX = 65536 }; /* the kernel's bounds */

static const char overlay_prefix[] = "trusted.overlay.";
static const char overlay_opaque[] = "trusted.overlay.opaque";
static const char overlay_whiteout[] = "trusted.overlay.whiteout";
static const char noted_times[] = "trusted.scarab.times";

int
tree_open(struct spot at)
{
	return open_resolved(at.dir, at.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
				 RESOLVE_NO_XDEV);
}

int
tree_stat(struct spot at, struct stat *st)
{
	return fstatat(at.dir, at.name, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

bool
tree_exists(struct spot at)
{
	struct stat st;

	return tree_stat(at, &st) == 0;
}

/* Linux 6.13 has calls that take a directory; before, the current one stands for it. The name is
 * one component and the calls beginning with l do not follow it. */
static int
enter(struct spot at)
{
	return fchdir(at.dir) < 0 ? -errno : 0;
}

bool
tree_is_whiteout(struct spot at, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	if (!S_ISREG(st->st_mode) || st->st_size != 0 || enter(at) < 0)
		return false;
	return lgetxattr(at.name, overlay_whiteout, NULL, 0) >= 0;
}

bool
tree_is_opaque(int dir)
{
	char value;

	return fgetxattr(dir, overlay_opaque, &value, sizeof(value)) == 1 && value == 'y';
}

int
tree_make_opaque(struct spot at)
{
	_cleanup_close_ int dir = tree_open(at);

	if (dir < 0)
		return dir;
	return fsetxattr(dir, overlay_opaque, "y", 1, 0) < 0 ? -errno : 0;
}

int
tree_make_whiteout(struct spot at)
{
	return mknodat(at.dir, at.name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
}

/* --- attributes ------------------------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
	return !strncmp(name, overlay_prefix, sizeof(overlay_prefix) - 1) ||
	       !strcmp(name, noted_times);
}

int
tree_strip(struct spot at)
{
	char names[LIST_MAX];
	ssize_t length, i;
	int rc = enter(at);

	if (rc < 0)
		return rc;
	length = llistxattr(at.name, names, sizeof(names));
	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (i = 0; i < length; i += (ssize_t)strlen(names + i) + 1)
		if (is_ours(names + i) && lremovexattr(at.name, names + i) < 0)
			return -errno;
	return 0;
}

/* What an agent may set on a directory and an overlay copies with it. */
static bool
is_copied(const char *name)
{
	return !strncmp(name, "user.", 5) || !strncmp(name, "system.posix_acl_", 17);
}

static int
copy_value(int from, int to, const char *name)
{
	char value[VALUE_MAX];
	ssize_t length = fgetxattr(from, name, value, sizeof(value));

	if (length < 0)
		return -errno;
	return fsetxattr(to, name, value, (size_t)length, 0) < 0 ? -errno : 0;
}

static int
remove_others(int from, int to)
{
	char names[LIST_MAX];
	ssize_t length = flistxattr(to, names, sizeof(names)), i;

	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (i = 0; i < length; i += (ssize_t)strlen(names + i) + 1)
		if (is_copied(names + i) && fgetxattr(from, names + i, NULL, 0) < 0 &&
		    fremovexattr(to, names + i) < 0)
			return -errno;
	return 0;
}

static int
copy_values(int from, int to)
{
	char names[LIST_MAX];
	ssize_t length = flistxattr(from, names, sizeof(names)), i;
	int rc = 0;

	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (i = 0; !rc && i < length; i += (ssize_t)strlen(names + i) + 1)
		if (is_copied(names + i))
			rc = copy_value(from, to, names + i);
	return rc;
}

int
tree_copy_attributes(int from, int to)
{
	struct stat st;
	int rc;

	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
	    fchmod(to, st.st_mode & 07777) < 0)
		return -errno;
	rc = remove_others(from, to);
	return rc < 0 ? rc : copy_values(from, to);
}

static bool
same_value(int a, int b, const char *name)
{
	char left[VALUE_MAX], right[VALUE_MAX];
	ssize_t length = fgetxattr(a, name, left, sizeof(left));

	return length >= 0 && fgetxattr(b, name, right, sizeof(right)) == length &&
	       !memcmp(left, right, (size_t)length);
}

/* Does b have all that a has? */
static bool
has_values(int a, int b)
{
	char names[LIST_MAX];
	ssize_t length = flistxattr(a, names, sizeof(names)), i;

	for (i = 0; i < length; i += (ssize_t)strlen(names + i) + 1)
		if (is_copied(names + i) && !same_value(a, b, names + i))
			return false;
	return true;
}

bool
tree_same_attributes(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_mode == right.st_mode &&
	       left.st_uid == right.st_uid && left.st_gid == right.st_gid && has_values(a, b) &&
	       has_values(b, a);
}

int
tree_note_times(int dir, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fsetxattr(dir, noted_times, times, sizeof(times), XATTR_CREATE) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int
tree_set_noted_times(int from, int to)
{
	struct timespec times[2];

	if (fgetxattr(from, noted_times, times, sizeof(times)) != sizeof(times))
		return -EBADMSG;
	return futimens(to, times) < 0 ? -errno : 0;
}

/* --- walking ---------------------------------------------------------------------------------- */

DIR *
tree_read(int dir)
{
	DIR *stream = dir < 0 ? NULL : fdopendir(dir);

	if (!stream && dir >= 0)
		cleanup_close(&dir);
	return stream;
}

const char *
tree_next(DIR *dir)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	return entry ? entry->d_name : NULL;
}

static int
clean_entry(struct spot at, unsigned depth, bool *removed)
{
	_cleanup_close_ int dir = -1;
	struct stat st;
	int rc = tree_stat(at, &st);

	if (rc < 0)
		return rc;
	if (tree_is_whiteout(at, &st) || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		*removed = true;
		return unlinkat(at.dir, at.name, 0) < 0 ? -errno : 0;
	}
	if (S_ISDIR(st.st_mode)) {
		dir = tree_open(at);
		rc = dir < 0 ? dir : tree_clean(dir, depth);
	}
	return rc < 0 ? rc : tree_strip(at);
}

int
tree_clean(int dir, unsigned depth)
{
	_cleanup_closedir_ DIR *names = NULL;
	bool removed = false;
	struct stat st;
	const char *name;
	int rc = 0;

	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	names = tree_read(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!names || fstat(dir, &st) < 0)
		return -errno;
	while (!rc && (name = tree_next(names)))
		rc = clean_entry((struct spot){dir, name}, depth + 1, &removed);
	if (!rc && removed && futimens(dir, (struct timespec[]){st.st_atim, st.st_mtim}) < 0)
		rc = -errno;
	return rc;
}
