/*
 * What let agents out of other runtimes. CVE-2019-5736: the helper inside, overwritten through
 * /proc. CVE-2024-21626: a descriptor or a working directory that leads out. CVE-2025-31133,
 * CVE-2025-52565: what should mask or be a device is something else. CVE-2025-52881: files of
 * /proc that change the process, or the host, when they are written.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "escape.h"

enum { DESCRIPTORS = 1024 };

/* ETXTBSY: only that it runs stood against it. */
static void
overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	attempt(fd >= 0 || errno == ETXTBSY, "%s for writing", path);
	if (fd >= 0)
		close(fd);
}

static void
leave_by_descriptor(void)
{
	struct stat root, up;
	int fd, out = -1, left = 0;

	stat("/", &root);
	for (fd = 3; fd < DESCRIPTORS; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		left++;
		if (fstatat(fd, "..", &up, 0) == 0)
			out = fd;
	}
	errno = EBADF;
	attempt(left > 0, "%d descriptors that nobody gave it, %d of a directory", left, out);
}

/* Ten levels up from where it is, and by way of /proc. */
static void
leave_by_directory(void)
{
	struct stat root, up, own;
	char path[4096];
	ssize_t length = readlink("/proc/self/cwd", path, sizeof(path) - 1);

	stat("/", &root);
	errno = EXDEV;
	attempt(stat("../../../../../../../../../..", &up) == 0 &&
		    (up.st_ino != root.st_ino || up.st_dev != root.st_dev),
		"a root above the root");
	path[length > 0 ? length : 0] = '\0';
	attempt(path[0] != '/' || !getcwd(path, sizeof(path)) || path[0] != '/',
		"a working directory out of reach");
	attempt(stat("/proc/1/cwd/.", &own) == 0, "process 1's working directory");
}

static void
wrong_device(const char *path, unsigned minor)
{
	struct stat st;
	bool there = stat(path, &st) == 0;

	errno = 0;
	attempt(!there || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, minor),
		"%s is something else", path);
}

static void
terminal_of_others(void)
{
	struct stat st;
	char path[32];
	int found = 0;

	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/pts/%d", i);
		found += stat(path, &st) == 0;
	}
	errno = ENOENT;
	attempt(found > 0, "%d terminals that it did not make", found);
	attempt(stat("/dev/console", &st) == 0, "/dev/console");
}

static void
change_by_proc(void)
{
	static const char *const names[] = {
	    "attr/current",    "attr/exec",      "uid_map",       "gid_map",
	    "setgroups",       "projid_map",     "oom_score_adj", "loginuid",
	    "coredump_filter", "timens_offsets", "clear_refs",
	};
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", names[i]);
		overwrite(path);
		snprintf(path, sizeof(path), "/proc/thread-self/%s", names[i]);
		overwrite(path);
	}
}

int
main(void)
{
	overwrite("/proc/self/exe");
	overwrite("/proc/1/exe");
	leave_by_descriptor();
	leave_by_directory();
	wrong_device("/dev/null", 3);
	wrong_device("/dev/zero", 5);
	terminal_of_others();
	change_by_proc();
	return verdict();
}
