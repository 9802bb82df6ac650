#include "filter.h"

#include <errno.h>
#include <seccomp.h>

#include "common/cleanup.h"

static const char *const denied[] = {
    /* the kernel itself */
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "bpf",
    "perf_event_open",
    "lookup_dcookie",
    "iopl",
    "ioperm",
    "modify_ldt",
    /* the host */
    "swapon",
    "swapoff",
    "acct",
    "quotactl", /* quotactl_fd sets the limits of homes */
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "vhangup",
    "syslog",
    "nfsservctl",
    /* other processes' memory and descriptors; old ways around checks */
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "ptrace",
    "userfaultfd",
    "open_by_handle_at",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    /* keys are not of any namespace; keyctl stays: a sandbox gets a keyring of its own by it */
    "add_key",
    "request_key",
};

static int
add_all(scmp_filter_ctx filter)
{
	int number, rc;
	size_t i;

	for (i = 0; i < ARRAY_LEN(denied); i++) {
		number = seccomp_syscall_resolve_name(denied[i]);
		if (number == __NR_SCMP_ERROR)
			continue; /* this architecture has none of that name */
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
filter_load(struct error *error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = filter ? 0 : -ENOMEM;

	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (!rc)
		rc = add_all(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc < 0 ? error_errno(error, -rc, "the filter of system calls") : 0;
}
