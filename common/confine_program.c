#include "confine.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cleanup.h"

enum { BINARY_TREE = 2 /* SCMP_FLTATR_CTL_OPTIMIZE */ };

static void
cleanup_seccomp(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

static bool
listed(const int *syscalls, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (syscalls[i] == number)
			return true;
	return false;
}

/* Not F_SETOWN and F_SETSIG, by which a descriptor sends any signal to every process of the same
 * user. */
static const unsigned fcntl_commands[] = {
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,  F_SETFD,     F_GETFL,     F_SETFL,
    F_GETLK, F_SETLK,         F_SETLKW, F_ADD_SEALS, F_GET_SEALS,
};

static int
allow_fcntl(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(fcntl_commands); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_fcntl, 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, fcntl_commands[i]));
	return rc;
}

/* PROT_EXEC is the third argument's bit in mmap, mprotect and pkey_mprotect alike. */
static int
allow(scmp_filter_ctx filter, int number, bool may_exec)
{
	bool maps = number == SYS_mmap || number == SYS_mprotect || number == SYS_pkey_mprotect;

	if (number == SYS_fcntl)
		return allow_fcntl(filter);
	if (maps && !may_exec)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
					SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int
allow_all(scmp_filter_ctx filter, const int *syscalls, size_t count, bool may_exec,
	  struct error *error)
{
	int rc;

	for (size_t i = 0; i < count; i++) {
		rc = allow(filter, syscalls[i], may_exec);
		if (rc < 0 && rc != -EEXIST)
			return error_errno(error, -rc, "seccomp rule for call %d", syscalls[i]);
	}
	return 0;
}

int
confine_export(void *filter, struct error *error)
{
	_cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	if (fd < 0)
		return error_errno(error, errno, "memfd_create for the seccomp program");
	rc = seccomp_export_bpf(filter, fd);
	if (rc < 0)
		return error_errno(error, -rc, "seccomp_export_bpf");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return error_errno(error, errno, "sealing the seccomp program");
	return steal_fd(&fd);
}

int
confine_program(const int *syscalls, size_t count, struct error *error)
{
	_cleanup_(cleanup_seccomp) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool may_exec =
	    listed(syscalls, count, SYS_execve) || listed(syscalls, count, SYS_execveat);
	int rc;

	if (!filter)
		return error_why(error, ERR_FAILED, "seccomp_init failed");
	rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	if (rc < 0)
		return error_errno(error, -rc, "seccomp_attr_set");
	if (allow_all(filter, confine_base_syscalls, confine_base_count, may_exec, error) < 0 ||
	    allow_all(filter, syscalls, count, may_exec, error) < 0)
		return -1;
	return confine_export(filter, error);
}

/* The program is made first: libseccomp needs calls and room that the confined process lacks. */
int
confine(const struct confinement *confinement, struct error *error)
{
	struct confinement prebuilt = *confinement;

	if (confinement->syscalls) {
		prebuilt.program_fd =
		    confine_program(confinement->syscalls, confinement->syscall_count, error);
		if (prebuilt.program_fd < 0)
			return error_what(error, "confining the process");
		prebuilt.syscalls = NULL;
	}
	return confine_prebuilt(&prebuilt, error);
}
