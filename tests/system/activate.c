/*
 * activate LISTEN NOTIFY PROGRAM [ARGUMENT…]
 *
 * Runs PROGRAM in this process as systemd's socket activation does: a listening SOCK_SEQPACKET
 * socket at LISTEN as descriptor 3, LISTEN_PID, LISTEN_FDS, and NOTIFY_SOCKET. What arrives there
 * is printed line by line by a process that is nobody's child, until PROGRAM has ended.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int
bound(int type, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	unlink(path);
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

static void
print_until_ended(int notify, int program)
{
	struct pollfd polled[] = {{.fd = notify, .events = POLLIN},
				  {.fd = program, .events = POLLIN}};
	char text[4096];
	ssize_t length;

	while (poll(polled, 2, -1) > 0) {
		if (polled[0].revents) {
			length = recv(notify, text, sizeof(text) - 1, MSG_DONTWAIT);
			if (length > 0)
				printf("%.*s\n", (int)length, text);
			fflush(stdout);
		} else if (polled[1].revents) {
			return;
		}
	}
}

int
main(int argc, char **argv)
{
	int listener, notify, program;
	char pid[16];
	pid_t child;

	if (argc < 4)
		return 2;
	notify = bound(SOCK_DGRAM | SOCK_CLOEXEC, argv[2]);
	listener = bound(SOCK_SEQPACKET, argv[1]);
	program = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (notify < 0 || listener < 0 || program < 0 || chmod(argv[1], 0660) ||
	    listen(listener, 8)) {
		perror("activate");
		return 1;
	}
	child = fork();
	if (child == 0) {
		if (fork())
			_exit(0);
		close(listener);
		print_until_ended(notify, program);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	dup2(listener, 3);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("NOTIFY_SOCKET", argv[2], 1);
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
