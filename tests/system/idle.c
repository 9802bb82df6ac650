/*
 * idle SOCKET COUNT PROGRAM [ARGUMENT…]
 *
 * Opens COUNT connections that say nothing (as many as the other side takes), keeps them open
 * while PROGRAM runs, and ends with its exit status.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int status;
	pid_t child;

	if (argc < 4 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	for (int i = 0; i < atoi(argv[2]); i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
			break;
	}
	child = fork();
	if (child == 0) {
		execv(argv[3], argv + 3);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
