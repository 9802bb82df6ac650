#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"

enum { BUFFER_BYTES = 256 << 10 };

static void
before(const struct copy *copy)
{
	CRASH_POINT("copy.step");
	if (copy->before)
		copy->before(copy->arg);
}

/* --- what stands in a file -------------------------------------------------------------------- */

static int
copy_range(int from, int to, off_t at, off_t end)
{
	static uint8_t buffer[BUFFER_BYTES];
	size_t most;
	ssize_t length;
	int rc;

	while (at < end) {
		most = (size_t)(end - at) < sizeof(buffer) ? (size_t)(end - at) : sizeof(buffer);
		length = pread(from, buffer, most, at);
		if (length <= 0)
			return length < 0 ? -errno : 0;
		rc = pwrite_all(to, buffer, (size_t)length, at);
		if (rc < 0)
			return rc;
		at += length;
	}
	return 0;
}

/* Holes stay holes. */
static int
copy_content(int from, int to, off_t size)
{
	off_t at = 0, end;
	int rc = ftruncate(to, size) < 0 ? -errno : 0;

	while (!rc) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		rc = copy_range(from, to, at, end);
		at = end;
	}
	return rc;
}

/* --- one entry -------------------------------------------------------------------------------- */

static int copy_directory(const struct copy *copy, int from, int to, unsigned depth);

/* Owner, mode, attributes and, last, times. */
static int
copy_all_attributes(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int rc = tree_copy_attributes(from, to);

	if (!rc && futimens(to, times) < 0)
		rc = -errno;
	return rc;
}

static int
copy_file(struct spot from, struct spot to, const struct stat *st)
{
	_cleanup_close_ int source = -1, target = -1;
	int rc;

	source = openat(from.dir, from.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	target =
	    openat(to.dir, to.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (source < 0 || target < 0)
		return -errno;
	rc = copy_content(source, target, st->st_size);
	return rc < 0 ? rc : copy_all_attributes(source, target, st);
}

/* The first name of a file that has several is kept aside by its number. */
static int
copy_named_file(const struct copy *copy, struct spot from, struct spot to, const struct stat *st)
{
	char number[32];
	int rc;

	if (st->st_nlink < 2)
		return copy_file(from, to, st);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)st->st_ino);
	if (linkat(copy->links, number, to.dir, to.name, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	rc = copy_file(from, to, st);
	if (!rc && linkat(to.dir, to.name, copy->links, number, 0) < 0)
		rc = -errno;
	return rc;
}

/* Links, FIFOs and sockets, which have no attributes that an agent could set. */
static int
finish_special(struct spot to, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(to.dir, to.name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(to.dir, to.name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int
copy_link(struct spot from, struct spot to, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from.dir, from.name, target, sizeof(target) - 1);

	if (length < 0)
		return -errno;
	target[length] = '\0';
	return symlinkat(target, to.dir, to.name) < 0 ? -errno : finish_special(to, st);
}

/* The mask is empty: it is a node of its own mode from the beginning. */
static int
copy_node(struct spot to, const struct stat *st)
{
	if (mknodat(to.dir, to.name, st->st_mode & (S_IFMT | 07777), 0) < 0)
		return -errno;
	return finish_special(to, st);
}

static int
copy_subdirectory(const struct copy *copy, struct spot from, struct spot to, unsigned depth)
{
	_cleanup_close_ int source = tree_open(from), target = -1;

	if (source < 0)
		return source;
	if (mkdirat(to.dir, to.name, 0700) < 0)
		return -errno;
	target = tree_open(to);
	return target < 0 ? target : copy_directory(copy, source, target, depth);
}

/* Other devices than whiteouts cannot be made in a sandbox. */
static int
copy_entry(const struct copy *copy, struct spot from, struct spot to, unsigned depth)
{
	struct stat st;
	int rc = tree_stat(from, &st);

	if (rc < 0)
		return rc;
	before(copy);
	if (tree_is_whiteout(from, &st))
		return tree_make_whiteout(to);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_named_file(copy, from, to, &st);
	case S_IFDIR:
		return copy_subdirectory(copy, from, to, depth);
	case S_IFLNK:
		return copy_link(from, to, &st);
	case S_IFIFO:
	case S_IFSOCK:
		return copy_node(to, &st);
	default:
		return 0;
	}
}

static int
copy_directory(const struct copy *copy, int from, int to, unsigned depth)
{
	_cleanup_closedir_ DIR *names = NULL;
	const char *name;
	struct stat st;
	int rc = 0;

	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	names = tree_read(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!names || fstat(from, &st) < 0)
		return -errno;
	while (!rc && (name = tree_next(names)))
		rc =
		    copy_entry(copy, (struct spot){from, name}, (struct spot){to, name}, depth + 1);
	if (!rc && tree_is_opaque(from))
		rc = tree_make_opaque((struct spot){to, "."});
	return rc < 0 ? rc : copy_all_attributes(from, to, &st);
}

int
copy_run(const struct copy *copy)
{
	_cleanup_close_ int to = -1;

	before(copy);
	if (mkdirat(copy->to.dir, copy->to.name, 0700) < 0)
		return -errno;
	to = tree_open(copy->to);
	return to < 0 ? to : copy_directory(copy, copy->from, to, 0);
}
