#include "hidden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "common/cleanup.h"

static volatile sig_atomic_t caught;

static void
note_signal(int number)
{
	caught = number;
}

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

/* Without SA_RESTART: the read ends, the terminal is put back, then the signal has its way. */
static void
catch_signals(struct sigaction *old)
{
	struct sigaction ours = {.sa_handler = note_signal};

	caught = 0;
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		sigaction(ending[i], &ours, &old[i]);
}

static void
release_signals(const struct sigaction *old)
{
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		sigaction(ending[i], &old[i], NULL);
	if (caught)
		raise(caught);
}

static ssize_t
read_line(int fd, char *line, size_t size)
{
	size_t length = 0;
	char c;

	while (!caught) {
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			continue;
		if (n == 0 || c == '\n')
			return (ssize_t)length;
		if (length == size)
			return -EMSGSIZE;
		line[length++] = c;
	}
	return -EINTR;
}

ssize_t
hidden_line(const char *prompt, char *line, size_t size, struct error *error)
{
	_cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct sigaction old[ARRAY_LEN(ending)];
	struct termios shown, hidden;
	ssize_t length;

	if (fd < 0 || tcgetattr(fd, &shown) < 0) {
		error_why(error, ERR_FAILED, "there is no terminal to ask on");
		return error_hint(error, "give it on standard input");
	}
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	hidden.c_lflag |= ICANON;
	catch_signals(old);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	dprintf(fd, "%s: ", prompt);
	length = read_line(fd, line, size);
	dprintf(fd, "\n");
	tcsetattr(fd, TCSAFLUSH, &shown);
	release_signals(old);
	if (length == -EMSGSIZE)
		return error_why(error, ERR_USAGE, "it has more than %zu bytes", size);
	if (length < 0)
		return error_errno(error, (int)-length, "reading from the terminal");
	if (length == 0)
		return error_why(error, ERR_USAGE, "nothing was typed");
	return length;
}

ssize_t
hidden_twice(const char *prompt, const char *again, char *line, size_t size, struct error *error)
{
	char second[1024];
	ssize_t length = hidden_line(prompt, line, size, error), same;

	if (length < 0)
		return -1;
	same = hidden_line(again, second, sizeof(second), error);
	if (same >= 0 && (same != length || memcmp(line, second, (size_t)length) != 0))
		same = error_why(error, ERR_USAGE, "the two differ");
	explicit_bzero(second, sizeof(second));
	return same < 0 ? -1 : length;
}
