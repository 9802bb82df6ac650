/*
 * notify-wait SOCKET SECONDS ANSWER PROGRAM [ARGUMENT…]
 *
 * Runs PROGRAM in this process with NOTIFY_SOCKET set, and writes one line to the FIFO ANSWER,
 * which its reader holds open, as soon as it is known: "ready" when READY=1 arrived, "ended" when
 * the program ended before that, "late" after SECONDS. The waiter is nobody's child, so that
 * PROGRAM sees no stranger.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int
notify_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	unlink(path);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* One datagram is one or more lines. */
static int
says_ready(int fd)
{
	char text[4096];
	ssize_t length = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (length <= 0)
		return 0;
	text[length] = '\0';
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strcmp(line, "READY=1"))
			return 1;
	return 0;
}

static const char *
wait_ready(int fd, int program, int timeout_ms)
{
	struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = program, .events = POLLIN}};

	for (;;) {
		int ready = poll(polled, 2, timeout_ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return "late\n";
		if (says_ready(fd))
			return "ready\n";
		if (polled[1].revents)
			return "ended\n";
	}
}

static void
answer(const char *path, const char *line)
{
	/* Nobody reads it any more: whoever asked has ended. */
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && write(fd, line, strlen(line)) < 0)
		_exit(1);
	_exit(0);
}

int
main(int argc, char **argv)
{
	int fd, program;
	pid_t child;

	if (argc < 5)
		return 2;
	fd = notify_socket(argv[1]);
	program = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0 || program < 0) {
		perror("notify-wait");
		return 1;
	}
	child = fork();
	if (child == 0) {
		if (fork())
			_exit(0);
		setsid();
		answer(argv[3], wait_ready(fd, program, atoi(argv[2]) * 1000));
	}
	waitpid(child, NULL, 0);
	setenv("NOTIFY_SOCKET", argv[1], 1);
	execv(argv[4], argv + 4);
	perror(argv[4]);
	return 127;
}
