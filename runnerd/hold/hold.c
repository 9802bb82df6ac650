/*
 * hold RUN_DIR: owns the cgroup of the sessions, so that agentd may be restarted and upgraded
 * while they run. Started by scarab-sessions.service with Delegate=yes; moves itself into the leaf
 * hold/ (a group with processes of its own may not have controllers for its children), writes the
 * unit's cgroup into RUN_DIR/cgroup for runnerd, gives up every capability and sleeps.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"

enum { PROC_FILE_MAX = 1 << 20, PATH_SIZE = 4096 };

static int
complain(const char *doing, const char *object, int errnum)
{
	dprintf(2, "hold: %s %s: %s\n", doing, object, strerror(errnum));
	return -1;
}

static char *
read_proc(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t length;

	if (fd < 0 || read_file(fd, PROC_FILE_MAX, &text, &length) < 0)
		return NULL;
	return text;
}

/* The line "0::PATH" of /proc/self/cgroup. */
static int
own_cgroup(char *path)
{
	_cleanup_free_ char *text = read_proc("/proc/self/cgroup");
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "0::/", 4) != 0 || strlen(line + 3) >= PATH_SIZE)
			continue;
		strcpy(path, line + 3);
		if (strcmp(path, "/") != 0)
			return 0;
	}
	dprintf(2, "hold: not in a cgroup of its own: start it by a unit with Delegate=yes\n");
	return -1;
}

/* "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS… - cgroup2 …", the whole hierarchy only. */
static bool
is_cgroup_mount(const char *line, char *point)
{
	char root[PATH_SIZE];

	return strstr(line, " - cgroup2 ") &&
	       sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) == 2 &&
	       strcmp(root, "/") == 0;
}

static int
cgroup_mount(char *point)
{
	_cleanup_free_ char *text = read_proc("/proc/self/mountinfo");
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (is_cgroup_mount(line, point))
			return 0;
	dprintf(2, "hold: no cgroup v2 hierarchy is mounted: mount -t cgroup2 none "
		   "/sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1\n");
	return -1;
}

static int
enter_leaf(const char *mount, const char *cgroup)
{
	_cleanup_close_ int dir = -1, procs = -1;
	char path[2 * PATH_SIZE + 8];

	snprintf(path, sizeof(path), "%s%s/hold", mount, cgroup);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return complain("making the cgroup", path, errno);
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	procs = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0 || write(procs, "0", 1) != 1)
		return complain("entering the cgroup", path, errno);
	return 0;
}

/* The directory is agentd's too: root's alone, and stays when hold ends. */
static int
open_run_dir(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return complain("making", path, errno);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return complain("opening", path, errno);
	if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)) {
		dprintf(2, "hold: %s is not root's alone\n", path);
		return -1;
	}
	return steal_fd(&fd);
}

static int
publish(int run_dir, const char *cgroup)
{
	char line[PATH_SIZE + 2];
	int length = snprintf(line, sizeof(line), "%s\n", cgroup);
	int rc = write_file_durable(run_dir, "cgroup", line, (size_t)length, 0644);

	return rc < 0 ? complain("writing", "RUN_DIR/cgroup", -rc) : 0;
}

static void
notify_ready(void)
{
	static const char ready[] = "READY=1\nSTATUS=Holding the cgroup of the sessions.";
	const char *address = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;

	if (!address || (*address != '/' && *address != '@') ||
	    strlen(address) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, address, strlen(address));
	if (*address == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, ready, sizeof(ready) - 1, MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))) < 0)
		complain("telling", "systemd", errno);
}

/* It parses nothing more and does nothing more: root by name only, to own RUN_DIR/cgroup. */
static int
drop(void)
{
	int rc = confine_bounding(0);

	if (rc == 0)
		rc = confine_securebits();
	if (rc == 0)
		rc = confine_caps(0);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	return rc < 0 ? complain("dropping", "capabilities", -rc) : 0;
}

int
main(int argc, char **argv)
{
	char cgroup[PATH_SIZE], mount[PATH_SIZE];
	sigset_t ends;
	int run_dir, number;

	if (argc != 2 || *argv[1] != '/') {
		dprintf(2, "usage: hold RUN_DIR\n");
		return 2;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (own_cgroup(cgroup) < 0 || cgroup_mount(mount) < 0 || enter_leaf(mount, cgroup) < 0)
		return 1;
	run_dir = open_run_dir(argv[1]);
	if (run_dir < 0 || publish(run_dir, cgroup) < 0 || drop() < 0)
		return 1;
	notify_ready();
	sigwait(&ends, &number);
	unlinkat(run_dir, "cgroup", 0);
	return 0;
}
