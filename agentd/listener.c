#include "listener.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "directories.h"

enum { BACKLOG = 128 };

/* Through /proc/self/fd: sun_path holds 108 bytes, a path more. */
static int
bind_beneath(int fd, int dir, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length =
	    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir, name);

	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* Only a socket is replaced, never a file that a wrong path names. */
static int
check_old(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISSOCK(st.st_mode) ? 0 : -EEXIST;
}

/* Made under another name and renamed when all is right: nobody meets it with a wrong mode. */
static int
put(int fd, int dir, const char *name, gid_t group)
{
	_cleanup_free_ char *fresh = NULL;
	int rc = check_old(dir, name);

	if (rc < 0)
		return rc;
	if (asprintf(&fresh, "%s.new", name) < 0)
		return -ENOMEM;
	unlinkat(dir, fresh, 0);
	rc = bind_beneath(fd, dir, fresh);
	if (rc < 0)
		return rc;
	if (fchownat(dir, fresh, 0, group, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dir, fresh, 0660, 0) < 0 || listen(fd, BACKLOG) < 0 ||
	    renameat(dir, fresh, dir, name) < 0) {
		rc = -errno;
		unlinkat(dir, fresh, 0);
	}
	return rc;
}

int
listener_open(const char *path, int type, uint64_t group, struct error *error)
{
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_close_ int dir = -1;
	const char *name;
	int rc;

	if (fd < 0)
		return error_errno(error, errno, "making the socket %s", path);
	dir = directories_parent(path, &name, error);
	if (dir < 0)
		return error_what(error, "socket");
	rc = put(fd, dir, name, (gid_t)group);
	if (rc == -EEXIST)
		return error_why(error, ERR_CONFLICT, "socket: %s is there and is no socket", path);
	if (rc < 0)
		return error_errno(error, -rc, "binding the socket %s", path);
	return steal_fd(&fd);
}

static int
option(int fd, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

int
listener_check(int fd, struct error *error)
{
	int rc = fd_set_nonblock(fd, true); /* systemd passes it blocking */

	if (rc < 0)
		return error_errno(error, -rc, "the descriptor passed by LISTEN_FDS");
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_SEQPACKET ||
	    option(fd, SO_ACCEPTCONN) != 1) {
		error_why(error, ERR_INVALID,
			  "the descriptor passed by LISTEN_FDS is no listening operator socket");
		return error_hint(error, "the socket unit needs ListenSequentialPacket=, "
					 "SocketMode=0660 and SocketGroup=");
	}
	return 0;
}

void
listener_remove(const char *path)
{
	struct error error = ERROR_INIT;
	const char *name;
	_cleanup_close_ int dir = -1;

	dir = directories_parent(path, &name, &error);
	if (dir >= 0 && check_old(dir, name) == 0)
		unlinkat(dir, name, 0);
}
