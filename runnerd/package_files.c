#include "package_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/proto.h"
#include "fs.h"

enum { DEPTH_MAX = 32, DIRECTORY_MODE = 0755 };

static int
refuse(const char *path, const char *why, struct error *error)
{
	error_why(error, ERR_INVALID, "%s %s", path, why);
	return error_what(error, "spec.packages");
}

/* The directory of path, made where it is not there. Nobody else writes here. */
static int
make_parents(int dir, const char *path, struct error *error)
{
	_cleanup_close_ int at = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	char name[PACKAGE_PATH_MAX + 1];
	const char *slash;
	int depth = 0, next;

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		if (++depth > DEPTH_MAX)
			return refuse(path, "lies deeper than 32 directories", error);
		if (mkdirat(at, name, DIRECTORY_MODE) < 0 && errno != EEXIST)
			return error_errno(error, errno, "making %s", name);
		next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return error_errno(error, errno, "opening %s", name);
		close(at);
		at = next;
	}
	return steal_fd(&at);
}

static int
copy_bytes(int to, int content, uint64_t offset, uint64_t size)
{
	off_t at = (off_t)offset;

	while (size) {
		ssize_t done = sendfile(to, content, &at, size);

		if (done <= 0)
			return done < 0 ? -errno : -ENODATA;
		size -= (uint64_t)done;
	}
	return 0;
}

static int
make_file(int dir, int content, const struct msg_package_file *file, struct error *error)
{
	_cleanup_close_ int parent = make_parents(dir, file->path, error), fd = -1;
	const char *slash = strrchr(file->path, '/');
	int rc;

	if (parent < 0)
		return -1;
	fd = openat(parent, slash ? slash + 1 : file->path,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    file->executable ? 0755 : 0644);
	if (fd < 0)
		return error_errno(error, errno, "making %s", file->path);
	rc = copy_bytes(fd, content, file->offset, file->size);
	return rc < 0 ? error_errno(error, -rc, "writing %s", file->path) : 0;
}

/* Each has bytes of its own, behind those of the one before: all are no more than came. */
static int
check_file(const struct msg_package_file *file, uint64_t *taken, uint64_t content,
	   struct error *error)
{
	if (!path_is_normal_relative(file->path))
		return refuse(file->path, "is no path without . and ..", error);
	if (file->offset > content || file->size > content - file->offset)
		return refuse(file->path, "has bytes that did not come", error);
	if (file->offset < *taken)
		return refuse(file->path, "has bytes of another file", error);
	*taken = file->offset + file->size;
	return 0;
}

static int
make_files(int dir, struct rows_reader *index, int content, uint64_t size, struct error *error)
{
	uint32_t files = 0;
	uint64_t taken = 0;
	struct msg record;
	int rc;

	while ((rc = rows_next(index, &record)) > 0) {
		if (record.type != MSG_PACKAGE_FILE || ++files > PACKAGE_FILES_MAX)
			return error_errno(error, EBADMSG, "the index of the packages");
		if (check_file(&record.package_file, &taken, size, error) < 0 ||
		    make_file(dir, content, &record.package_file, error) < 0)
			return -1;
	}
	return rc < 0 ? error_errno(error, -rc, "the index of the packages") : 0;
}

int
package_files_make(int dir, int index, int content, struct error *error)
{
	struct rows_reader *reader = rows_open(index);
	struct stat st;
	int rc;

	if (!reader)
		return error_errno(error, errno, "the index of the packages");
	if (fd_check(content, S_IFREG, -1) < 0 || fstat(content, &st) < 0 ||
	    st.st_size > PACKAGES_BYTES_MAX)
		rc = error_errno(error, EBADMSG, "the bytes of the packages");
	else
		rc = make_files(dir, reader, content, (uint64_t)st.st_size, error);
	rows_close(reader);
	if (rc == 0 && syncfs(dir) < 0)
		rc = error_errno(error, errno, "bringing the packages to the disk");
	return rc;
}
