#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "builder.h"
#include "common/cleanup.h"
#include "runnerd/id_map.h"

static int
open_beneath(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
	    .flags = (unsigned)flags | O_CLOEXEC,
	    .resolve = resolve | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int
builder_open_proc(struct error *error)
{
	_cleanup_close_ int fd = open_beneath(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);
	struct statfs fs;

	if (fd < 0)
		return error_errno(error, errno, "openat2 of /proc");
	if (fstatfs(fd, &fs) < 0)
		return error_errno(error, errno, "fstatfs of /proc");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return error_why(error, ERR_FAILED, "what stands at /proc is not a procfs");
	return steal_fd(&fd);
}

static int
write_map(int proc, pid_t pid, const char *file, uint32_t base, uint32_t agent, struct error *error)
{
	_cleanup_close_ int fd = -1;
	char path[64], map[ID_MAP_TEXT];
	struct statfs fs;
	size_t length;

	snprintf(path, sizeof(path), "%d/%s", pid, file);
	fd = open_beneath(proc, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	if (fd < 0)
		return error_errno(error, errno, "openat2 of /proc/%s", path);
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return error_why(error, ERR_FAILED, "/proc/%s is not of a procfs", path);
	length = id_map_text(base, ID_RANGE, agent, map);
	if (write(fd, map, length) != (ssize_t)length)
		return error_errno(error, errno, "mapping %u ids from %u on in /proc/%s", ID_RANGE,
				   base, path);
	return 0;
}

int
builder_write_maps(int proc, pid_t pid, const struct msg_sandbox_begin *begin, struct error *error)
{
	if (write_map(proc, pid, "gid_map", begin->base_uid, begin->gid, error) < 0 ||
	    write_map(proc, pid, "uid_map", begin->base_uid, begin->uid, error) < 0)
		return error_what(error, "mapping the sandbox's ids");
	return 0;
}
