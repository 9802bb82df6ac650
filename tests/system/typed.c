/* typed LINE... -- COMMAND [ARGUMENT...]: runs the command on a terminal of its own and types a
 * line each time that it shows a prompt (": " at the end of what it wrote). Prints what the
 * terminal showed; exits with the command's status, 99 when nothing came for 20 s. */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* Shows what the terminal says until it asks for something. 0 at its end, 1 at a prompt. */
static int
listen_to(int fd)
{
	char text[4096], last[2] = "";
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	ssize_t length;

	for (;;) {
		if (poll(&polled, 1, PATIENCE_MS) == 0)
			exit(99);
		length = read(fd, text, sizeof(text));
		if (length <= 0)
			return 0; /* EIO: nobody holds the other end any more */
		fwrite(text, 1, (size_t)length, stdout);
		if (length >= 2)
			memcpy(last, text + length - 2, 2);
		if (last[0] == ':' && last[1] == ' ')
			return 1;
	}
}

int
main(int argc, char **argv)
{
	int fd, status, at = 1, command = 1;
	pid_t pid;

	while (command < argc && strcmp(argv[command], "--") != 0)
		command++;
	if (command + 1 >= argc)
		return 98;
	pid = forkpty(&fd, NULL, NULL, NULL);
	if (pid < 0)
		return 98;
	if (pid == 0) {
		execvp(argv[command + 1], argv + command + 1);
		_exit(127);
	}
	while (listen_to(fd) && at < command) {
		if (write(fd, argv[at], strlen(argv[at])) < 0 || write(fd, "\n", 1) < 0)
			break;
		at++;
	}
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}
