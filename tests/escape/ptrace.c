/* Tracing process 1 and reaching into it: ptrace, its memory, its descriptors, what it shares. */
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "escape.h"

enum { INIT = 1, KCMP_FILE = 0 };

static void
read_across(void)
{
	char here[8];
	struct iovec local = {here, sizeof(here)}, remote = {(void *)(uintptr_t)0x10000, 8};

	/* EFAULT would say that it was let in. */
	attempt(process_vm_readv(INIT, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT,
		"process_vm_readv of process 1");
	attempt(process_vm_writev(INIT, &local, 0, &remote, 0, 0) >= 0,
		"process_vm_writev of nothing to process 1");
}

static void
open_of_init(const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/1/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	attempt(fd >= 0, "open of %s", path);
	if (fd >= 0)
		close(fd);
}

static void
take_descriptor(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, INIT, 0);
	long fd = syscall(SYS_pidfd_getfd, pidfd, 0, 0);

	attempt(fd >= 0, "pidfd_getfd of process 1");
}

int
main(void)
{
	bool seized = ptrace(PTRACE_SEIZE, INIT, NULL, NULL) == 0;

	attempt(seized, "PTRACE_SEIZE of process 1");
	if (seized)
		ptrace(PTRACE_DETACH, INIT, NULL, NULL);
	read_across();
	open_of_init("mem", O_RDWR);
	open_of_init("environ", O_RDONLY);
	open_of_init("maps", O_RDONLY);
	open_of_init("root", O_RDONLY | O_DIRECTORY);
	open_of_init("fd", O_RDONLY | O_DIRECTORY);
	take_descriptor();
	attempt(syscall(SYS_kcmp, getpid(), INIT, KCMP_FILE, 0, 0) >= 0, "kcmp with process 1");
	return verdict();
}
