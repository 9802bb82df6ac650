/*
 * race WAY: changes names under who acts on them as root, while the session ends: children go on
 * until they are killed, a bounded number of times each. WAY is home (directories, files and links
 * to a canary change places) or log (output without end, so that its segments turn over). The
 * canary's path is in $CANARY; what became of it, the test sees from outside.
 */
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "escape.h"

enum { ROUNDS = 2000000, CHILDREN = 3, SECONDS = 20, FLOOD_BYTES = 48 << 20 };

static void
turn(const char *home, int child)
{
	const char *canary = getenv("CANARY");
	char dir[512], link[512], file[512];

	snprintf(dir, sizeof(dir), "%s/turn%d", home, child);
	snprintf(link, sizeof(link), "%s/other%d", home, child);
	snprintf(file, sizeof(file), "%s/turn%d/file", home, child);
	mkdir(dir, 0755);
	unlink(link);
	if (symlink(canary ? canary : "/", link) < 0)
		return;
	for (int i = 0; i < ROUNDS; i++) {
		syscall(SYS_renameat2, AT_FDCWD, dir, AT_FDCWD, link, 2 /* RENAME_EXCHANGE */);
		if (i % 7 == 0)
			close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		if (i % 11 == 0)
			unlink(file);
		if (i % 13 == 0)
			rename(link, dir);
	}
}

static void
flood(void)
{
	static char line[8192];

	memset(line, 'y', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	for (long written = 0; written < FLOOD_BYTES; written += (long)sizeof(line))
		if (write(1, line, sizeof(line)) < 0)
			return;
}

int
main(int argc, char **argv)
{
	const char *home = getenv("HOME");
	const struct timespec moment = {.tv_nsec = 50000000};

	if (argc > 1 && !strcmp(argv[1], "log")) {
		flood();
		return 0;
	}
	for (int child = 0; child < CHILDREN; child++) {
		if (fork() != 0)
			continue;
		setsid();
		alarm(SECONDS);
		turn(home ? home : "/tmp", child);
		_exit(0);
	}
	nanosleep(&moment, NULL);
	return 0;
}
