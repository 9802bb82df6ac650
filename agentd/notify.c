#include "notify.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/cleanup.h"

enum { FD_LISTEN = 3 /* SD_LISTEN_FDS_START */, FD_HIGH = 10 };

char *
notify_address(void)
{
	const char *value = getenv("NOTIFY_SOCKET");
	char *address = value && (*value == '/' || *value == '@') ? strdup(value) : NULL;

	unsetenv("NOTIFY_SOCKET");
	return address;
}

int
notify_send(const char *address, const char *lines)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	size_t length;

	if (!address)
		return 0;
	length = strlen(address);
	if (length >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, address, length);
	if (*address == '@')
		to.sun_path[0] = '\0'; /* the abstract namespace */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	return 0;
}

int
notify_reloading(const char *address)
{
	struct timespec now;
	char lines[96];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	return notify_send(address, lines);
}

int
notify_listener(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	bool ours = pid && count && strtol(pid, NULL, 10) == getpid();
	long fds = ours ? strtol(count, NULL, 10) : 0;
	int fd;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!ours)
		return -ENOENT;
	if (fds != 1)
		return -EINVAL;
	fd = fcntl(FD_LISTEN, F_DUPFD_CLOEXEC, FD_HIGH);
	if (fd < 0)
		return -errno;
	close(FD_LISTEN);
	return fd;
}
