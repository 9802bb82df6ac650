/* Bombs of disk space and of inodes in a directory: `disk bytes|inodes DIR`. Each ends by itself at
 * 64 MiB, at 20,000 files or after ten seconds, and takes away what it made. */
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "escape.h"

enum { MOST_BYTES = 64 << 20, MOST_FILES = 20000, MOST_SECONDS = 10 };

static time_t began;

static bool
has_time(void)
{
	return time(NULL) - began < MOST_SECONDS;
}

static void
fill_bytes(const char *dir)
{
	static char block[65536] = "bomb";
	char path[PATH_MAX];
	long written = 0;
	ssize_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/bomb", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (fd >= 0 && written < MOST_BYTES && has_time() &&
	       (length = write(fd, block, sizeof(block))) > 0)
		written += length;
	attempt(written >= MOST_BYTES, "%d MiB in %s (%ld written)", MOST_BYTES >> 20, dir,
		written);
	if (fd >= 0)
		close(fd);
	unlink(path);
}

static void
fill_inodes(const char *dir)
{
	char path[PATH_MAX];
	int made = 0, fd = 0, error;

	while (made < MOST_FILES && has_time() && fd >= 0) {
		snprintf(path, sizeof(path), "%s/bomb%d", dir, made);
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			made++;
		}
	}
	error = errno;
	for (int i = 0; i < made; i++) {
		snprintf(path, sizeof(path), "%s/bomb%d", dir, i);
		unlink(path);
	}
	errno = error;
	attempt(made >= MOST_FILES, "%d files in %s (%d made)", MOST_FILES, dir, made);
}

int
main(int argc, char **argv)
{
	began = time(NULL);
	if (argc < 3)
		return verdict();
	if (strcmp(argv[1], "bytes") == 0)
		fill_bytes(argv[2]);
	else
		fill_inodes(argv[2]);
	return verdict();
}
