#include "source.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "member.h"
#include "stream.h"

/* --- a layout ------------------------------------------------------------------------------------
 */

/* Nor into what is mounted there: a file system in user space answers when it pleases, and who
 * waits for it cannot be killed. */
static int
open_beneath(int root, const char *name)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
	    .resolve =
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int fd;

	do
		fd = (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN);
	return fd < 0 ? -errno : fd;
}

static int
open_in_layout(const struct source *source, const char *name, struct blob *blob,
	       struct error *error)
{
	_cleanup_close_ int fd = open_beneath(source->root, name);
	struct stat st;

	if (fd == -ENOENT)
		return -ENOENT;
	if (fd == -ELOOP)
		return error_why(error, ERR_INVALID, "%s is a link, or lies behind one", name);
	if (fd == -EXDEV)
		return error_why(error, ERR_INVALID, "%s lies on another file system", name);
	if (fd < 0) {
		error_errno(error, -fd, "opening %s", name);
		return error_hint(error, "it is opened with your user and first group alone");
	}
	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "looking at %s", name);
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "%s is no regular file", name);
	*blob = (struct blob){.fd = steal_fd(&fd), .size = (uint64_t)st.st_size};
	return 0;
}

void
source_of_layout(struct source *source, int root)
{
	*source = (struct source)SOURCE_INIT;
	source->root = root;
}

/* --- an archive ----------------------------------------------------------------------------------
 */

static bool
is_compressed(int fd)
{
	static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	uint8_t head[4] = {0};

	if (pread(fd, head, sizeof(head), 0) < (ssize_t)sizeof(head))
		return false;
	return !memcmp(head, gzip, sizeof(gzip)) || !memcmp(head, zstd, sizeof(zstd));
}

int
source_of_archive(struct source *source, int archive, int spool, uint64_t max_bytes,
		  struct error *error)
{
	_cleanup_close_ int packed = archive, plain = spool;
	struct stat st;

	*source = (struct source)SOURCE_INIT;
	if (fstat(packed, &st) < 0)
		return error_errno(error, errno, "looking at the archive");
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "it is no regular file");
	if (is_compressed(packed)) {
		const struct blob all = {.fd = packed, .size = (uint64_t)st.st_size};

		if (stream_spool(&all, plain, max_bytes, error) < 0)
			return -1;
		source->archive = steal_fd(&plain);
	} else {
		source->archive = steal_fd(&packed);
	}
	source->members = calloc(MEMBERS_MAX, sizeof(*source->members));
	if (!source->members)
		return error_errno(error, ENOMEM, "reading the archive");
	return members_read(source->archive, source->members, MEMBERS_MAX, &source->count, error);
}

static int
open_in_archive(const struct source *source, const char *name, struct blob *blob,
		struct error *error)
{
	const struct member *member = members_find(source->members, source->count, name);

	if (!member)
		return -ENOENT;
	if (!member->regular)
		return error_why(error, ERR_INVALID, "%s is no regular file", name);
	*blob = (struct blob){.fd = fcntl(source->archive, F_DUPFD_CLOEXEC, 3),
			      .offset = member->offset,
			      .size = member->size};
	return blob->fd < 0 ? error_errno(error, errno, "opening %s", name) : 0;
}

void
source_close(struct source *source)
{
	close_fd(&source->root);
	close_fd(&source->archive);
	free(source->members);
	source->members = NULL;
}

/* --- either --------------------------------------------------------------------------------------
 */

int
source_open(const struct source *source, const char *name, struct blob *blob, struct error *error)
{
	if (source->root >= 0)
		return open_in_layout(source, name, blob, error);
	return open_in_archive(source, name, blob, error);
}

static int
read_blob(const struct blob *blob, char *text)
{
	uint64_t done = 0;

	while (done < blob->size) {
		ssize_t n = pread(blob->fd, text + done, (size_t)(blob->size - done),
				  (off_t)(blob->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (uint64_t)n;
	}
	return 0;
}

int
source_read(const struct source *source, const char *name, uint64_t max, char **text,
	    uint64_t *length, struct error *error)
{
	struct blob blob = {.fd = -1};
	_cleanup_free_ char *bytes = NULL;
	int rc = source_open(source, name, &blob, error);

	if (rc < 0)
		return rc;
	if (blob.size > max) {
		close(blob.fd);
		return error_why(error, ERR_INVALID, "%s has %llu bytes; at most %llu are read",
				 name, (unsigned long long)blob.size, (unsigned long long)max);
	}
	bytes = calloc(1, (size_t)blob.size + 1);
	rc = bytes ? read_blob(&blob, bytes) : -ENOMEM;
	close(blob.fd);
	if (rc < 0)
		return error_errno(error, -rc, "reading %s", name);
	*text = steal_ptr(&bytes);
	*length = blob.size;
	return 0;
}
