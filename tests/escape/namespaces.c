/* Namespaces of its own, or another's: unshare, setns, clone and clone3. */
#include <linux/sched.h>
#include <signal.h>

#include "escape.h"

/* Not in every libc's headers. */
int unshare(int flags);
int setns(int fd, int type);

static const struct {
	const char *name;
	uint64_t flag;
} kinds[] = {
    {"mnt", CLONE_NEWNS},  {"cgroup", CLONE_NEWCGROUP}, {"uts", CLONE_NEWUTS},
    {"ipc", CLONE_NEWIPC}, {"user", CLONE_NEWUSER},     {"pid", CLONE_NEWPID},
    {"net", CLONE_NEWNET}, {"time", CLONE_NEWTIME},
};

static int
own(uint64_t flag)
{
	return unshare((int)flag) == 0 ? 0 : errno;
}

static int
enter(uint64_t kind)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[kind].name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	return setns(fd, 0) == 0 ? 0 : errno;
}

static int
enter_of_init(uint64_t flag)
{
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

	return setns(pidfd, (int)flag) == 0 ? 0 : errno;
}

static int
child_of(long pid)
{
	int error = errno, status;

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return error;
	return waitpid((pid_t)pid, &status, __WALL) == pid ? 0 : ECHILD;
}

static int
by_clone(uint64_t flag)
{
	return child_of(syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0));
}

static int
by_clone3(uint64_t flag)
{
	struct clone_args args = {.flags = flag, .exit_signal = SIGCHLD};

	return child_of(syscall(SYS_clone3, &args, sizeof(args)));
}

int
main(void)
{
	char what[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(what, sizeof(what), "unshare %s", kinds[i].name);
		attempt_in_child(own, kinds[i].flag, what);
		snprintf(what, sizeof(what), "setns %s", kinds[i].name);
		attempt_in_child(enter, i, what);
		snprintf(what, sizeof(what), "setns of process 1's %s", kinds[i].name);
		attempt_in_child(enter_of_init, kinds[i].flag, what);
		snprintf(what, sizeof(what), "clone3 %s", kinds[i].name);
		attempt_in_child(by_clone3, kinds[i].flag, what);
		if (kinds[i].flag == CLONE_NEWTIME)
			continue; /* clone knows it not: the bit is part of the signal */
		snprintf(what, sizeof(what), "clone %s", kinds[i].name);
		attempt_in_child(by_clone, kinds[i].flag, what);
	}
	return verdict();
}
