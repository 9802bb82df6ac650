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

const int homekeeper_syscalls[] = {
    /* trees: one component beneath an open directory each */
    SYS_openat,
    SYS_openat2,
    SYS_getdents64,
    SYS_mkdirat,
    SYS_mknodat, /* whiteouts, which need no capability */
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_symlinkat, /* a layer that comes from memory */
    SYS_readlinkat,
    SYS_linkat,
    SYS_fchownat,
    SYS_fstatfs,
    SYS_fchdir, /* stands for the directory of the next three */
    SYS_lgetxattr,
    SYS_llistxattr,
    SYS_lremovexattr,
    SYS_fgetxattr,
    SYS_fsetxattr,
    SYS_flistxattr,
    SYS_fremovexattr,
    SYS_fchown,
    SYS_fchmod,
    SYS_utimensat,
    /* durability */
    SYS_fsync,
    SYS_fdatasync,
    SYS_syncfs,
};
const size_t homekeeper_syscall_count = ARRAY_LEN(homekeeper_syscalls);

const int broker_syscalls[] = {
    SYS_listen,     /* after the drop, so that SO_PEERCRED names the broker */
    SYS_accept4,    /* the agent, a restarted runnerd */
    SYS_getsockopt, /* SO_PEERCRED */
};
const size_t broker_syscall_count = ARRAY_LEN(broker_syscalls);

/* Neither socket nor connect: what it moves bytes between was made by others. */
const int egress_syscalls[] = {
    SYS_listen,     /* after the drop, so that SO_PEERCRED names the egress process */
    SYS_accept4,    /* the agent's connections, a restarted runnerd */
    SYS_getsockopt, /* SO_PEERCRED */
    SYS_setsockopt, /* a reset instead of an end; no delays */
};
const size_t egress_syscall_count = ARRAY_LEN(egress_syscalls);

const int unpack_reader_syscalls[] = {
    SYS_openat, /* its root */
    SYS_openat2,
};
const size_t unpack_reader_syscall_count = ARRAY_LEN(unpack_reader_syscalls);

const int unpack_writer_syscalls[] = {
    SYS_openat,    SYS_openat2,  SYS_mkdirat,  SYS_mknodat, /* FIFOs, and whiteouts, which need no
							       capability since Linux 5.8 */
    SYS_symlinkat, SYS_linkat,   SYS_unlinkat,              /* what an entry comes twice for */
    SYS_fchown,    SYS_fchownat, SYS_fchmod,   SYS_utimensat, SYS_fsetxattr,
    SYS_fstatfs, /* how much room is left */
    SYS_syncfs,
};
const size_t unpack_writer_syscall_count = ARRAY_LEN(unpack_writer_syscalls);
