/*
 * What the programs of the escape corpus share. Each tries one class of ways out. It prints a line
 * "ESCAPED: what" for every forbidden thing that succeeded and exits 0 then; it exits 1 when all
 * were refused, 2 when it could not try. Whatever succeeds is undone or was harmless: files of the
 * host are opened and never written, signals are signal 0.
 */
#ifndef SCARAB_TESTS_ESCAPE_H
#define SCARAB_TESTS_ESCAPE_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int escapes, attempts;

/* One attempt: succeeded or not, with errno as the kernel left it. */
static inline void __attribute__((format(printf, 2, 3)))
attempt(bool succeeded, const char *format, ...)
{
	int number = errno;
	va_list list;

	attempts++;
	escapes += succeeded;
	printf(succeeded ? "ESCAPED: " : "held: ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	if (succeeded)
		printf("\n");
	else
		printf(": %s\n", strerror(number));
	fflush(stdout);
}

static inline int
verdict(void)
{
	if (attempts == 0)
		printf("nothing could be tried\n");
	return attempts == 0 ? 2 : escapes == 0;
}

/* In a child, so that what succeeds ends with it. The body's exit status 0 is success; its errno
 * is what it exits with otherwise. A signal is told as what it is. */
static inline void
attempt_in_child(int (*body)(uint64_t argument), uint64_t argument, const char *what)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int rc;

		prctl(PR_SET_PDEATHSIG, 9);
		rc = body(argument);
		_exit(rc == 0 ? 0 : rc & 127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		attempt(false, "%s (no child)", what);
		return;
	}
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	if (WIFSIGNALED(status))
		attempt(false, "%s: killed by signal %d", what, WTERMSIG(status));
	else
		attempt(WEXITSTATUS(status) == 0, "%s", what);
}

#endif
