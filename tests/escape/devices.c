/* Device nodes, whiteouts among them. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "escape.h"

enum { NOREPLACE = 1, WHITEOUT = 4 };

static void
make(const char *what, mode_t type, unsigned major, unsigned minor)
{
	bool made = mknod("/tmp/escape-node", type | 0600, makedev(major, minor)) == 0;

	attempt(made, "mknod of %s", what);
	if (made)
		unlink("/tmp/escape-node");
}

/* A rename that leaves a whiteout behind. */
static void
leave_whiteout(void)
{
	int fd = open("/tmp/escape-from", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct stat st;
	bool left;

	if (fd >= 0)
		close(fd);
	syscall(SYS_renameat2, AT_FDCWD, "/tmp/escape-from", AT_FDCWD, "/tmp/escape-to", WHITEOUT);
	left = stat("/tmp/escape-from", &st) == 0 && S_ISCHR(st.st_mode);
	attempt(left, "renameat2 with a whiteout");
	unlink("/tmp/escape-from");
	unlink("/tmp/escape-to");
}

int
main(void)
{
	make("memory", S_IFCHR, 1, 1);
	make("null", S_IFCHR, 1, 3);
	make("a disk", S_IFBLK, 8, 0);
	make("a whiteout", S_IFCHR, 0, 0);
	leave_whiteout();
	return verdict();
}
