#include "tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "common/cleanup.h"
#include "name.h"

enum {
	MODE_KEPT = 01777, /* no set-id bits: sessions' mounts know none either */
	PARENT_MODE = 0755,
	LOOK_BYTES = 16 << 20,  /* free space is looked at so often */
	FREE_BYTES = 64 << 20,  /* and so much of it stays */
	XATTR_BYTES = 64 << 10, /* of one value: XATTR_SIZE_MAX */
	XATTRS_MAX = 64,
};

/* One entry on its way. */
struct entry {
	struct archive *archive;
	struct archive_entry *said;
	char name[PATH_LEN_MAX + 1];
	const char *base; /* its last component, in name */
	int parent;       /* borrowed */
	struct stat st;
};

static int
refuse(const struct entry *entry, const char *why, struct error *error)
{
	char shown[128];

	return error_why(error, ERR_INVALID, "the entry %s %s", name_shown(entry->name, shown),
			 why);
}

static int
failed(const struct entry *entry, const char *doing, struct error *error)
{
	int errnum = errno;
	char shown[128];

	return error_errno(error, errnum, "%s %s", doing, name_shown(entry->name, shown));
}

/* --- directories on the way ----------------------------------------------------------------------
 */

static int
open_in_root(int root, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	int fd;

	do
		fd = (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN);
	return fd;
}

/* Each directory that is not there; a link on the way is followed within the tree. */
static int
make_parents(int root, const char *path)
{
	char partial[PATH_LEN_MAX + 1];
	_cleanup_close_ int at = open_in_root(root, ".", O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
	const char *component = path, *slash;

	for (; component && at >= 0; component = slash ? slash + 1 : NULL) {
		char name[COMPONENT_MAX + 1];
		size_t length;
		int next;

		slash = strchr(component, '/');
		length = slash ? (size_t)(slash - component) : strlen(component);
		memcpy(name, component, length);
		name[length] = '\0';
		memcpy(partial, path, (size_t)(component - path) + length);
		partial[(size_t)(component - path) + length] = '\0';
		next = open_in_root(root, partial, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
		if (next < 0 && errno == ENOENT && mkdirat(at, name, PARENT_MODE) == 0)
			next = open_in_root(root, partial, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
		close(at);
		at = next;
	}
	return steal_fd(&at);
}

static int
enter_parent(struct tree *tree, struct entry *entry, struct error *error)
{
	char path[PATH_LEN_MAX + 1];

	entry->base = name_split(entry->name, path);
	if (tree->parent < 0 || strcmp(tree->parent_path, path) != 0) {
		close_fd(&tree->parent);
		tree->parent =
		    open_in_root(tree->root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
		if (tree->parent < 0 && errno == ENOENT)
			tree->parent = make_parents(tree->root, path);
		strcpy(tree->parent_path, path);
	}
	entry->parent = tree->parent;
	if (tree->parent >= 0)
		return 0;
	if (errno == ELOOP)
		return refuse(entry, "lies behind links that lead in a circle", error);
	if (errno == ENOENT || errno == EEXIST)
		return refuse(entry, "lies behind a link that leads nowhere", error);
	if (errno == ENOTDIR)
		return refuse(entry, "lies below what is no directory", error);
	return failed(entry, "entering the directory of", error);
}

/* --- what was there before -----------------------------------------------------------------------
 */

static bool
is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* The later entry wins, but over a directory that holds something. */
static int
make_room(const struct entry *entry, struct error *error)
{
	struct stat st;

	if (fstatat(entry->parent, entry->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(entry, "looking at", error);
	if (unlinkat(entry->parent, entry->base, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0)
		return 0;
	if (errno == ENOTEMPTY)
		return refuse(entry, "stands where a directory is that holds something", error);
	return failed(entry, "replacing", error);
}

/* --- properties ----------------------------------------------------------------------------------
 */

static int
set_times(const struct entry *entry, int fd)
{
	const struct timespec times[2] = {
	    {.tv_nsec = UTIME_OMIT},
	    {.tv_sec = entry->st.st_mtim.tv_sec, .tv_nsec = entry->st.st_mtim.tv_nsec},
	};

	if (!archive_entry_mtime_is_set(entry->said))
		return 0;
	return fd >= 0 ? futimens(fd, times)
		       : utimensat(entry->parent, entry->base, times, AT_SYMLINK_NOFOLLOW);
}

/* user.* alone: all others are of the host that made the image, or mean something to an overlay. */
static void
set_attributes(const struct entry *entry, int fd)
{
	const char *name;
	const void *value;
	size_t size;
	int left = XATTRS_MAX;

	if (!archive_entry_xattr_reset(entry->said))
		return;
	while (left-- && archive_entry_xattr_next(entry->said, &name, &value, &size) == ARCHIVE_OK)
		if (name && !strncmp(name, "user.", 5) && strncmp(name, "user.overlay.", 13) != 0 &&
		    size <= XATTR_BYTES)
			fsetxattr(fd, name, value, size, 0);
}

static int
set_properties(const struct entry *entry, int fd, struct error *error)
{
	set_attributes(entry, fd);
	if (fchown(fd, entry->st.st_uid, entry->st.st_gid) < 0 ||
	    fchmod(fd, entry->st.st_mode & MODE_KEPT) < 0 || set_times(entry, fd) < 0)
		return failed(entry, "setting owner, mode and time of", error);
	return 0;
}

/* --- each kind -----------------------------------------------------------------------------------
 */

/* One that is there stays with what is in it, also where an entry before it had a file. */
static int
add_directory(struct tree *tree, struct entry *entry, struct error *error)
{
	_cleanup_close_ int fd = -1;
	bool hides = false;
	struct stat st;

	if (entry->name[0]) {
		if (fstatat(entry->parent, entry->base, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISDIR(st.st_mode)) {
			hides = is_whiteout(&st);
			if (make_room(entry, error) < 0)
				return -1;
		}
		if (mkdirat(entry->parent, entry->base, 0700) < 0 && errno != EEXIST)
			return failed(entry, "making the directory", error);
	}
	fd = openat(entry->name[0] ? entry->parent : tree->root, entry->name[0] ? entry->base : ".",
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(entry, "opening the directory", error);
	if (hides && tree->opaque(tree->arg, fd, error) < 0)
		return -1;
	return set_properties(entry, fd, error);
}

static int
check_room(struct tree *tree, uint64_t more, struct error *error)
{
	struct statfs fs;

	tree->unchecked += more;
	if (tree->unchecked < LOOK_BYTES)
		return 0;
	tree->unchecked = 0;
	if (fstatfs(tree->root, &fs) < 0)
		return error_errno(error, errno, "looking how much room is left");
	if ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= FREE_BYTES)
		return 0;
	error_why(error, ERR_FAILED, "the disk is full but for %d MiB", FREE_BYTES >> 20);
	return error_hint(error, "'ash image gc' removes what no agent uses");
}

static int
write_block(int fd, const char *bytes, size_t length, la_int64_t offset)
{
	while (length) {
		ssize_t n = pwrite(fd, bytes, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		length -= (size_t)n;
		offset += n;
	}
	return 0;
}

static int
write_content(struct tree *tree, const struct entry *entry, int fd, struct error *error)
{
	la_int64_t offset, size = archive_entry_size(entry->said);
	const void *bytes;
	size_t length;
	int rc;

	while ((rc = archive_read_data_block(entry->archive, &bytes, &length, &offset)) ==
	       ARCHIVE_OK) {
		if (offset < 0 || offset > size || (la_int64_t)length > size - offset)
			return refuse(entry, "has bytes beyond its end", error);
		if (write_block(fd, bytes, length, offset) < 0)
			return failed(entry, "writing", error);
		if (check_room(tree, length, error) < 0)
			return -1;
	}
	if (rc != ARCHIVE_EOF)
		return refuse(entry, "is cut short or damaged", error);
	return ftruncate(fd, size) < 0 ? failed(entry, "writing", error) : 0;
}

/* A hole counts like what is written: the sum bounds what an agent can be shown. */
static int
add_file(struct tree *tree, struct entry *entry, struct error *error)
{
	_cleanup_close_ int fd = -1;
	la_int64_t size = archive_entry_size(entry->said);

	if (size < 0 || (uint64_t)size > tree->max_bytes - tree->bytes) {
		refuse(entry, "makes the layer larger than an image may be", error);
		return error_hint(error, "at most %llu bytes", (unsigned long long)tree->max_bytes);
	}
	tree->bytes += (uint64_t)size;
	if (make_room(entry, error) < 0)
		return -1;
	fd = openat(entry->parent, entry->base,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(entry, "making", error);
	if (write_content(tree, entry, fd, error) < 0)
		return -1;
	return set_properties(entry, fd, error);
}

static int
own_by_name(const struct entry *entry, struct error *error)
{
	if (fchownat(entry->parent, entry->base, entry->st.st_uid, entry->st.st_gid,
		     AT_SYMLINK_NOFOLLOW) < 0 ||
	    set_times(entry, -1) < 0)
		return failed(entry, "setting owner and time of", error);
	return 0;
}

static int
add_link(const struct entry *entry, struct error *error)
{
	const char *target = archive_entry_symlink(entry->said);

	if (!target || !target[0] || strlen(target) > PATH_LEN_MAX)
		return refuse(entry, "is a link to no path", error);
	if (make_room(entry, error) < 0)
		return -1;
	if (symlinkat(target, entry->parent, entry->base) < 0)
		return failed(entry, "making the link", error);
	return own_by_name(entry, error);
}

static int
add_fifo(const struct entry *entry, struct error *error)
{
	if (make_room(entry, error) < 0)
		return -1;
	if (mknodat(entry->parent, entry->base, S_IFIFO | (entry->st.st_mode & 0777), 0) < 0)
		return failed(entry, "making the FIFO", error);
	return own_by_name(entry, error);
}

/* Opened without links: a name of this layer, by the way that its own entry was written. */
static int
open_target(struct tree *tree, struct entry *entry, const char **base,
	    char target[PATH_LEN_MAX + 1], struct error *error)
{
	char parent[PATH_LEN_MAX + 1];
	struct stat st;
	int dir;

	if (name_normalise(archive_entry_hardlink(entry->said), target, error) < 0)
		return -1;
	*base = name_split(target, parent);
	dir = open_in_root(tree->root, parent, O_PATH | O_DIRECTORY,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (dir < 0 && errno == ELOOP)
		return refuse(entry, "is a hard link over a link", error);
	if (dir < 0 || !**base || fstatat(dir, *base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (dir >= 0)
			close(dir);
		return refuse(entry, "is a hard link to what this layer has not", error);
	}
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || S_ISFIFO(st.st_mode))
		return dir;
	close(dir);
	return refuse(entry, "is a hard link to what is no file", error);
}

static int
add_hard_link(struct tree *tree, struct entry *entry, struct error *error)
{
	char target[PATH_LEN_MAX + 1];
	_cleanup_close_ int dir = -1;
	const char *base;

	dir = open_target(tree, entry, &base, target, error);
	if (dir < 0)
		return -1;
	if (!strcmp(target, entry->name))
		return 0;
	if (make_room(entry, error) < 0)
		return -1;
	if (linkat(dir, base, entry->parent, entry->base, 0) < 0)
		return failed(entry, "making the hard link", error);
	return 0;
}

static int
add_device(const struct entry *entry, struct error *error)
{
	if (!strncmp(entry->name, "dev/", 4))
		return 0;
	refuse(entry, "is a device", error);
	return error_hint(error, "devices are left out of /dev, and refused elsewhere");
}

/* --- what hides ----------------------------------------------------------------------------------
 */

static int
hide_all(struct tree *tree, struct entry *entry, struct error *error)
{
	_cleanup_close_ int dir = -1;

	dir = openat(entry->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return failed(entry, "opening the directory of", error);
	return tree->opaque(tree->arg, dir, error);
}

/* What the same layer has of that name stays; a directory of it hides the one below. */
static int
hide_name(struct tree *tree, struct entry *entry, const char *hidden, struct error *error)
{
	_cleanup_close_ int dir = -1;
	struct stat st;

	if (fstatat(entry->parent, hidden, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode))
			return 0;
		dir =
		    openat(entry->parent, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return dir < 0 ? failed(entry, "opening what it hides by", error)
			       : tree->opaque(tree->arg, dir, error);
	}
	if (mknodat(entry->parent, hidden, S_IFCHR, 0) < 0)
		return failed(entry, "making the whiteout", error);
	return 0;
}

/* --- one entry -----------------------------------------------------------------------------------
 */

static int
add_kind(struct tree *tree, struct entry *entry, struct error *error)
{
	if (archive_entry_hardlink(entry->said))
		return add_hard_link(tree, entry, error);
	switch (archive_entry_filetype(entry->said)) {
	case AE_IFDIR:
		return add_directory(tree, entry, error);
	case AE_IFREG:
		return add_file(tree, entry, error);
	case AE_IFLNK:
		return add_link(entry, error);
	case AE_IFIFO:
		return add_fifo(entry, error);
	case AE_IFCHR:
	case AE_IFBLK:
		return add_device(entry, error);
	default:
		return refuse(entry, "is of a kind that a layer has not", error);
	}
}

static int
add_named(struct tree *tree, struct entry *entry, struct error *error)
{
	const char *hidden;
	int whiteout;

	if (enter_parent(tree, entry, error) < 0)
		return -1;
	whiteout = name_whiteout(entry->base, &hidden, error);
	if (whiteout < 0)
		return -1;
	if (whiteout == WHITEOUT_OPAQUE)
		return hide_all(tree, entry, error);
	if (whiteout == WHITEOUT_NAME)
		return hide_name(tree, entry, hidden, error);
	return add_kind(tree, entry, error);
}

static int
check_owner(const struct entry *entry, struct error *error)
{
	la_int64_t uid = archive_entry_uid(entry->said), gid = archive_entry_gid(entry->said);

	if (uid >= 0 && uid < ID_RANGE && gid >= 0 && gid < ID_RANGE)
		return 0;
	refuse(entry, "belongs to an id over 65535", error);
	return error_hint(error, "an agent has 65536 ids");
}

int
tree_add(struct tree *tree, struct archive *archive, struct archive_entry *said,
	 struct error *error)
{
	const char *raw = archive_entry_pathname(said);
	struct entry entry = {.archive = archive, .said = said, .parent = -1};

	if (++tree->entries > tree->max_entries)
		return error_why(error, ERR_INVALID, "it has over %llu entries",
				 (unsigned long long)tree->max_entries);
	if (!raw)
		return error_why(error, ERR_INVALID, "an entry has no name, or none that is UTF-8");
	if (name_normalise(raw, entry.name, error) < 0)
		return -1;
	entry.st = *archive_entry_stat(said);
	if (check_owner(&entry, error) < 0)
		return -1;
	if (entry.name[0])
		return add_named(tree, &entry, error);
	if (archive_entry_filetype(said) != AE_IFDIR || archive_entry_hardlink(said))
		return error_why(error, ERR_INVALID, "the root of the layer is no directory");
	return add_directory(tree, &entry, error);
}

void
tree_begin(struct tree *tree, int root, uint64_t max_bytes, uint64_t max_entries,
	   tree_opaque *opaque, void *arg)
{
	*tree = (struct tree){.root = root,
			      .max_bytes = max_bytes,
			      .max_entries = max_entries,
			      .opaque = opaque,
			      .arg = arg,
			      .parent_path = calloc(1, PATH_LEN_MAX + 1),
			      .parent = -1};
}

int
tree_sync(struct tree *tree, struct error *error)
{
	return syncfs(tree->root) < 0 ? error_errno(error, errno, "bringing it to the disk") : 0;
}

void
tree_end(struct tree *tree)
{
	close_fd(&tree->parent);
	free(tree->parent_path);
	tree->parent_path = NULL;
}
