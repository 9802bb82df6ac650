#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

static bool
in_path(const char *program)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *rest = copy, *dir;

	while (rest && (dir = strsep(&rest, ":"))) {
		_cleanup_free_ char *file = NULL;

		if (asprintf(&file, "%s/%s", dir, program) < 0) {
			file = NULL;
			return false;
		}
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* NULL: none. */
static const char *
pager_command(void)
{
	const char *pager = getenv("ASH_PAGER");

	if (!pager)
		pager = getenv("PAGER");
	if (!pager)
		pager = in_path("less") ? "less" : "";
	return *pager && strcmp(pager, "cat") != 0 ? pager : NULL;
}

/* As git has it: end at once what fits, colours as they are, the screen stays. */
static void __attribute__((noreturn)) become_pager(const char *pager, int from)
{
	dup2(from, STDIN_FILENO);
	signal(SIGPIPE, SIG_DFL);
	setenv("LESS", "FRX", 0);
	setenv("LV", "-c", 0);
	execl("/bin/sh", "sh", "-c", pager, NULL);
	_exit(127);
}

void
pager_start(struct ash *ash, const struct args *args)
{
	const struct command *command = args->command;
	const char *pager;
	int ends[2];

	if (!command->pages || !ash->out_tty || args->json || args->no_pager ||
	    args_flag(args, "--follow"))
		return;
	pager = pager_command();
	if (!pager || pipe2(ends, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	ash->pager = fork();
	if (ash->pager == 0)
		become_pager(pager, ends[0]);
	close(ends[0]);
	if (ash->pager > 0) {
		dup2(ends[1], STDOUT_FILENO);
		/* Ctrl-C is the pager's: what it shows stays. */
		signal(SIGINT, SIG_IGN);
	}
	close(ends[1]);
}

void
pager_end(struct ash *ash)
{
	if (ash->pager <= 0)
		return;
	fflush(stdout);
	close(STDOUT_FILENO);
	while (waitpid(ash->pager, NULL, 0) < 0 && errno == EINTR)
		;
	ash->pager = 0;
}
