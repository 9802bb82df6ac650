/* Who may come in where root alone may: by what the kernel says of the peer. Runs as root. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "tests/unit/suite.h"

enum { STRANGER = 65534 };

/* At an abstract name that nobody has: autobind, unix(7). */
static int
listener_at(struct sockaddr_un *address, socklen_t *length)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
	*length = sizeof(*address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, length), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

/* In a child that is uid. 0: connected and heard nothing; 1: it was closed. */
static pid_t
visitor(const struct sockaddr_un *address, socklen_t length, uid_t uid)
{
	pid_t pid = fork();
	char byte;
	int fd;

	if (pid != 0)
		return pid;
	fd = setresuid(uid, uid, uid) == 0 ? socket(AF_UNIX, SOCK_SEQPACKET, 0) : -1;
	if (fd < 0 || connect(fd, (const struct sockaddr *)address, length) < 0)
		_exit(2);
	_exit(read(fd, &byte, 1) == 1 ? 0 : 1);
}

static int
status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(root_comes_in_and_nobody_else)
{
	struct sockaddr_un address;
	socklen_t length;
	_cleanup_close_ int listener = listener_at(&address, &length), fd = -1;
	pid_t pid;

	ck_assert_int_eq(accept_root(listener), -EAGAIN);
	ck_assert_int_eq(fcntl(listener, F_SETFL, 0), 0);
	pid = visitor(&address, length, STRANGER);
	ck_assert_int_eq(accept_root(listener), -EPERM);
	ck_assert_int_eq(status_of(pid), 1);
	pid = visitor(&address, length, 0);
	fd = accept_root(listener);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {root_comes_in_and_nobody_else};

	return suite_run("accept", tests, ARRAY_LEN(tests));
}
