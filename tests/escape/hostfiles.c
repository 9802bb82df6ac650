/* Files of the host, its kernel's settings and devices: opened for writing, never written. */
#include "escape.h"

static const char *const paths[] = {
    "/etc/passwd",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/usr/bin/env",
    "/usr/lib/os-release",
    "/bin/sh",
    "/run/agentd/mission.json",
    "/run/agentd/tools.json",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sysrq-trigger",
    "/proc/kcore",
    "/proc/1/oom_score_adj",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/fuse",
    "/dev/kvm",
    "/dev/net/tun",
    "/dev/console",
};

static const char *const directories[] = {
    "/", "/usr", "/usr/bin", "/etc", "/run", "/dev", "/proc", "/run/agentd", "/run/credentials",
};

static void
open_to_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	attempt(fd >= 0 || errno == ETXTBSY, "open of %s for writing", path);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		open_to_write(paths[i]);
	for (int i = 1; i < argc; i++)
		open_to_write(argv[i]);
	open_to_write(argv[0]);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		int fd = open(directories[i], O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

		attempt(fd >= 0, "a file without a name in %s", directories[i]);
		if (fd >= 0)
			close(fd);
	}
	return verdict();
}
