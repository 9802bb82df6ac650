/*
 * A kernel that fails: the calls by which sessions are made, counted while armed; the one numbered
 * fail_at fails with EIO. Included by the one file of a test program that needs it.
 */
#ifndef SCARAB_TESTS_FAILING_KERNEL_H
#define SCARAB_TESTS_FAILING_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Counts calls while armed; the one numbered fail_at fails with EIO. */
static struct {
	bool armed;
	unsigned count, fail_at;
} kernel;

static bool
failing(void)
{
	if (!kernel.armed || ++kernel.count != kernel.fail_at)
		return false;
	errno = EIO;
	return true;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return failing() ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

EXPORT int
open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return failing() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int
mkdirat(int dir, const char *path, mode_t mode)
{
	return failing() ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}

EXPORT int
open_tree(int dir, const char *path, unsigned flags)
{
	return failing() ? -1 : (int)syscall(SYS_open_tree, dir, path, flags);
}

EXPORT int
mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size)
{
	return failing() ? -1 : (int)syscall(SYS_mount_setattr, dir, path, flags, attr, size);
}

EXPORT int
socketpair(int domain, int type, int protocol, int fds[2])
{
	return failing() ? -1 : (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

EXPORT int
socket(int domain, int type, int protocol)
{
	return failing() ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

EXPORT int
bind(int fd, const struct sockaddr *address, socklen_t length)
{
	return failing() ? -1 : (int)syscall(SYS_bind, fd, address, length);
}

EXPORT int
memfd_create(const char *name, unsigned flags)
{
	return failing() ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

EXPORT int
fdatasync(int fd)
{
	return failing() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

EXPORT int
fsync(int fd)
{
	return failing() ? -1 : (int)syscall(SYS_fsync, fd);
}

EXPORT int
fchown(int fd, uid_t uid, gid_t gid)
{
	return failing() ? -1 : (int)syscall(SYS_fchown, fd, uid, gid);
}

EXPORT int
fchmod(int fd, mode_t mode)
{
	return failing() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

EXPORT int
flock(int fd, int operation)
{
	return failing() ? -1 : (int)syscall(SYS_flock, fd, operation);
}

#endif
