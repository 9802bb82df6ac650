#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"

int
write_all(int fd, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t n = write(fd, at, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

int
pwrite_all(int fd, const void *bytes, size_t length, off_t offset)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t n = pwrite(fd, at, length, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		offset += n;
		length -= (size_t)n;
	}
	return 0;
}

int
write_all_durable(int fd, const void *bytes, size_t length)
{
	int r = write_all(fd, bytes, length);

	if (r < 0)
		return r;
	return fdatasync(fd) < 0 ? -errno : 0;
}

ssize_t
read_all(int fd, void *bytes, size_t length)
{
	uint8_t *at = bytes;
	size_t done = 0;

	while (done < length) {
		ssize_t n = read(fd, at + done, length - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* A buffer of at least size + 1 bytes: doubled, never over max + 1 (one byte over the bound shows
 * that the file is too big). */
static int
grow(char **text, size_t *size, size_t max)
{
	size_t wanted = *size ? *size * 2 : 4096;

	if (wanted > max + 1)
		wanted = max + 1;
	char *grown = realloc(*text, wanted + 1);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	*size = wanted;
	return 0;
}

int
read_file(int fd, size_t max, char **text, size_t *length)
{
	_cleanup_free_ char *buffer = NULL;
	size_t size = 0, used = 0;

	for (;;) {
		int r = grow(&buffer, &size, max);
		if (r < 0)
			return r;
		ssize_t n = read_all(fd, buffer + used, size - used);
		if (n < 0)
			return (int)n;
		used += (size_t)n;
		if (used > max)
			return -EFBIG;
		if (used < size)
			break;
	}
	buffer[used] = '\0';
	*text = steal_ptr(&buffer);
	*length = used;
	return 0;
}

int
read_file_at(int dir_fd, const char *name, size_t max, char **text, size_t *length)
{
	_cleanup_close_ int fd =
	    openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	int r = fd_check(fd, S_IFREG, O_RDONLY);
	return r < 0 ? r : read_file(fd, max, text, length);
}

static int
write_temporary(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode)
{
	_cleanup_close_ int fd =
	    openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	int r = write_all(fd, bytes, length);
	if (r < 0)
		return r;
	/* The mode as asked, whatever the umask is. */
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int
write_file_durable(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode)
{
	char temporary[NAME_MAX + 1];
	int n = snprintf(temporary, sizeof(temporary), ".%s.new", name);

	if (n < 0 || (size_t)n >= sizeof(temporary))
		return -ENAMETOOLONG;
	/* One that a crash left behind. */
	if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	int r = write_temporary(dir_fd, temporary, bytes, length, mode);
	if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return sync_dir(dir_fd);
}

int
sync_dir(int dir_fd)
{
	/* Also for an O_PATH descriptor, which cannot be synced itself. */
	return sync_dir_at(dir_fd, ".");
}

int
sync_dir_at(int dir_fd, const char *name)
{
	_cleanup_close_ int fd =
	    openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int
fd_check(int fd, mode_t type, int access)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != type)
		return -EINVAL;
	if ((flags & O_PATH) != 0)
		return access == O_PATH ? 0 : -EBADF;
	if (access != -1 && (flags & O_ACCMODE) != access)
		return -EBADF;
	return 0;
}

int
accept_root(int listener)
{
	/* cppcheck-suppress nullPointer ; accept(2) allows it */
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return peer.uid == 0 ? steal_fd(&fd) : -EPERM;
}

int
fd_set_nonblock(int fd, bool nonblock)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	int wanted = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return wanted != flags && fcntl(fd, F_SETFL, wanted) < 0 ? -errno : 0;
}
