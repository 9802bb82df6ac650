/*
 * What was given to it, turned against who gave it: each of the three pipes is reopened from the
 * other side, filled, made to block and not to block, grown and closed. What it may do to its own
 * ends is no escape; that the session ends all the same is what the test looks at. ESCAPED: a
 * pipe that leads to more than a pipe, or one of a size that only the privileged get.
 */
#include <signal.h>
#include <sys/stat.h>

#include "escape.h"

enum { HUGE_PIPE = 64 << 20, FILL_MOST = 4 << 20 };

static void
fill(const char *path)
{
	static char bytes[65536];
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC), total = 0;
	ssize_t count = 0;

	memset(bytes, 'x', sizeof(bytes));
	while (fd >= 0 && total < FILL_MOST && (count = write(fd, bytes, sizeof(bytes))) > 0)
		total += (int)count;
}

static void
look_at(int fd)
{
	struct stat st;
	char path[32];

	fstat(fd, &st);
	errno = ESPIPE;
	attempt(!S_ISFIFO(st.st_mode), "descriptor %d is no pipe", fd);
	attempt(fcntl(fd, F_SETPIPE_SZ, HUGE_PIPE) >= HUGE_PIPE, "a pipe of 64 MiB, descriptor %d",
		fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/..", fd);
	attempt(access(path, F_OK) == 0, "what is above descriptor %d", fd);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd < 3; fd++)
		look_at(fd);
	fflush(stdout);
	/* Its own input, which nobody reads: who feeds it must not be held up. */
	fill("/proc/self/fd/0");
	/* Its output, read back by itself: what is lost is its own. */
	close(open("/proc/self/fd/1", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	fcntl(1, F_SETFL, O_WRONLY);
	fcntl(2, F_SETFL, O_WRONLY | O_NONBLOCK);
	if (fork() == 0) {
		/* Holds all three without a word until it is killed. */
		alarm(30);
		pause();
		_exit(0);
	}
	close(0);
	close(2);
	return verdict();
}
