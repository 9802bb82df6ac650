#include "idmap.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "fs.h"

/* A map is a user namespace, and one is made by a process that enters it: it does nothing else,
 * and is gone when the descriptor is there. */
struct mapper {
	pid_t pid;
	int told; /* a byte comes when it is in its namespace */
};

static _Noreturn void
be_mapped(int tell)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (unshare(CLONE_NEWUSER) == 0 && write(tell, "", 1) == 1)
		pause();
	_exit(1);
}

static int
mapper_start(struct mapper *mapper)
{
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	mapper->pid = fork();
	if (mapper->pid == 0)
		be_mapped(ends[1]);
	rc = mapper->pid < 0 ? -errno : 0;
	close(ends[1]);
	mapper->told = ends[0];
	return rc;
}

static void
mapper_end(struct mapper *mapper)
{
	close_fd(&mapper->told);
	if (mapper->pid <= 0)
		return;
	kill(mapper->pid, SIGKILL);
	while (waitpid(mapper->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool
of_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Nothing but a procfs is written to (CVE-2025-52881). */
static int
write_map(int proc, const char *file, const char *text, size_t length)
{
	_cleanup_close_ int fd =
	    open_resolved(proc, file, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return fd;
	if (!of_proc(fd))
		return -EXDEV;
	return write(fd, text, length) == (ssize_t)length ? 0 : -errno;
}

static int
write_maps(int proc, const struct idmap *map)
{
	char text[ID_MAP_TEXT];
	size_t length = id_map_text(map->base, map->count, map->gid, text);
	int rc = write_map(proc, "gid_map", text, length);

	if (rc < 0)
		return rc;
	length = id_map_text(map->base, map->count, map->uid, text);
	return write_map(proc, "uid_map", text, length);
}

static int
namespace_of(const struct mapper *mapper, const struct idmap *map)
{
	_cleanup_close_ int proc = -1;
	char path[32], byte;
	int fd, rc;

	if (read(mapper->told, &byte, 1) != 1)
		return -ENOSPC; /* user.max_user_namespaces */
	snprintf(path, sizeof(path), "/proc/%d", mapper->pid);
	proc = open_without_links(path, O_RDONLY | O_DIRECTORY);
	if (proc < 0 || !of_proc(proc))
		return proc < 0 ? proc : -EXDEV;
	rc = write_maps(proc, map);
	if (rc < 0)
		return rc;
	fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
idmap_open(const struct idmap *map)
{
	struct mapper mapper = {.told = -1};
	int rc = mapper_start(&mapper);

	if (!rc)
		rc = namespace_of(&mapper, map);
	mapper_end(&mapper);
	return rc;
}

int
idmap_mount(int mount, int map)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)map};

	return mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}
