#include "keeper_calls.h"

#include <sys/syscall.h>

#include "cleanup.h"

const int keeper_syscalls[] = {
    SYS_listen,     /* after the drop, so that SO_PEERCRED names the keeper */
    SYS_accept4,    /* a restarted runnerd */
    SYS_getsockopt, /* SO_PEERCRED */
    SYS_fdatasync,  /* the exit record */
    SYS_wait4,      /* init's status and use */
};
const size_t keeper_syscall_count = ARRAY_LEN(keeper_syscalls);

const int builder_syscalls[] = {
    SYS_openat2, /* uid_map and gid_map, beneath its own procfs */
    SYS_fstatfs, /* which must be one */
    SYS_pidfd_send_signal,
};
const size_t builder_syscall_count = ARRAY_LEN(builder_syscalls);

const int init_syscalls[] = {
    SYS_wait4,
    SYS_kill,
};
const size_t init_syscall_count = ARRAY_LEN(init_syscalls);
