/* A bomb of open files: opened, duplicated, and sent away in messages that nobody receives. */
#include <sys/resource.h>
#include <sys/socket.h>

#include "escape.h"

enum { COUNT = 3000, SECONDS = 20, PER_MESSAGE = 100 };

static void
close_all(void)
{
	close_range(3, ~0U, 0);
}

static int
open_many(void)
{
	int made = 0;

	while (made < COUNT && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		made++;
	return made;
}

static int
duplicate_many(void)
{
	int made = 0;

	while (made < COUNT && dup(1) >= 0)
		made++;
	return made;
}

/* Those under way count for the user, when they are more than one process may have open. */
static int
send_many(void)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(PER_MESSAGE * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(PER_MESSAGE * sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int made = 0, ends[2];

	for (int i = 0; i < PER_MESSAGE; i++)
		((int *)CMSG_DATA(&control.head))[i] = 1;
	while (made < COUNT) {
		/* A socket of its own each: one queue holds few messages. */
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
		    sendmsg(ends[0], &message, 0) < 0)
			break;
		made += PER_MESSAGE;
	}
	return made;
}

static void
try(int (*make)(void), const char *what)
{
	int made = make(), number = errno;

	close_all();
	errno = number;
	attempt(made >= COUNT, "%d open files %s, %d were made", COUNT, what, made);
}

int
main(void)
{
	struct rlimit files;

	alarm(SECONDS);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	try(open_many, "by open");
	try(duplicate_many, "by dup");
	try(send_many, "under way");
	return verdict();
}
