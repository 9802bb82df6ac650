/* What an image may have planted: a setuid program and device nodes under /planted, and links or
 * files where a sandbox has its own /dev, /proc, /etc, /run, /tmp and /home. Runs in the image. */
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "escape.h"

static int
as_whom(uint64_t program)
{
	char *argv[] = {(char *)(uintptr_t)program, (char *)"tell", NULL};

	execv(argv[0], argv);
	return errno;
}

/* Opened for reading and nothing else. */
static void
open_node(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	attempt(fd >= 0, "open of the device node %s", path);
	if (fd >= 0)
		close(fd);
}

static void
see_devices(void)
{
	struct stat st;
	bool own =
	    stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);

	errno = EEXIST;
	attempt(!own, "a /dev/null of the image's");
}

static void
see_file_system(const char *path, unsigned magic)
{
	struct statfs fs;
	bool own = statfs(path, &fs) == 0 && (unsigned)fs.f_type == magic;

	errno = EEXIST;
	attempt(!own, "a %s of the image's", path);
}

static void
see_file(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	errno = EEXIST;
	attempt(length > 0 && !strncmp(text, "planted", 7), "%s of the image's", path);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return geteuid() == getuid() && getegid() == getgid() ? EPERM : 0;
	attempt_in_child(as_whom, (uintptr_t) "/planted/setuid", "a setuid program of the image");
	open_node("/planted/null");
	open_node("/planted/zero");
	see_devices();
	see_file_system("/proc", PROC_SUPER_MAGIC);
	see_file_system("/tmp", TMPFS_MAGIC);
	see_file_system("/run", TMPFS_MAGIC);
	see_file("/etc/passwd");
	see_file("/etc/group");
	see_file("/etc/hosts");
	see_file("/etc/resolv.conf");
	see_file("/etc/nsswitch.conf");
	see_file("/etc/machine-id");
	see_file("/home/agent/file");
	return verdict();
}
