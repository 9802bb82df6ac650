/* Doors into the kernel that an agent has no use for: bpf, io_uring, keys, userfaultfd, perf,
 * fanotify. What opens is closed by the program's end. */
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>

#include "escape.h"

enum { URING_PARAMS = 120, USER_MODE_ONLY = 1 };

static void
try_bpf(void)
{
	union bpf_attr attr = {
	    .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	attempt(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) >= 0, "bpf map");
}

static void
try_uring(void)
{
	char params[URING_PARAMS] = {0};
	long fd = syscall(SYS_io_uring_setup, 1, params);

	attempt(fd >= 0, "io_uring_setup");
	attempt(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0) >= 0, "io_uring_enter");
}

static void
try_keys(void)
{
	long key = syscall(SYS_add_key, "user", "scarab-escape", "x", 1, KEY_SPEC_PROCESS_KEYRING);

	attempt(key >= 0, "add_key");
	attempt(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1) >= 0,
		"keyctl");
	attempt(syscall(SYS_request_key, "user", "scarab-escape", NULL, 0) >= 0, "request_key");
}

static void
try_perf(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_CPU_CLOCK,
				       .disabled = 1,
				       .exclude_kernel = 1};

	attempt(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) >= 0, "perf_event_open");
}

int
main(void)
{
	try_bpf();
	try_uring();
	try_keys();
	try_perf();
	attempt(syscall(SYS_userfaultfd, O_CLOEXEC) >= 0, "userfaultfd");
	attempt(syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY) >= 0,
		"userfaultfd for user mode");
	attempt(syscall(SYS_fanotify_init, 0, O_RDONLY) >= 0, "fanotify_init");
	return verdict();
}
