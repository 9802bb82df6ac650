/*
 * The one way down: every unprivileged process gives up its privileges here, in the order of
 * DESIGN 2, and refuses to run when a step does not hold.
 *
 * setgroups, private root, bounding and ambient sets, securebits, resgid, resuid, check that all
 * capability sets are empty, no_new_privs, dumpable 0, rlimits, Landlock, seccomp allowlist.
 */
#ifndef SCARAB_CONFINE_H
#define SCARAB_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct confinement {
	uid_t uid;
	gid_t gid;
	int root_fd;         /* directory to become the root; -1: keep the root */
	uint64_t keep_caps;  /* bits (1 << CAP_X) to keep: runnerd, agentd only; else 0 */
	const int *syscalls; /* allowed besides confine_base_syscalls; anything else kills */
	size_t syscall_count;
	int program_fd;        /* instead of syscalls: a prebuilt program (sealed memfd), or -1 */
	unsigned open_files;   /* RLIMIT_NOFILE, soft and hard; 0: as it is */
	uint64_t file_bytes;   /* RLIMIT_FSIZE; UINT64_MAX, or a log that is a file: as it is */
	bool no_processes;     /* RLIMIT_NPROC 0 */
	bool landlock;         /* handle every right the kernel has and allow none */
	bool landlock_connect; /* … but to connect by TCP */
	bool landlock_files;   /* … but to read, write, make and remove files in the root */
};

#define CONFINEMENT_INIT                                                                           \
	{                                                                                          \
		.root_fd = -1, .program_fd = -1, .file_bytes = UINT64_MAX                          \
	}

/* Returns 0, or -1 with error; the process must then exit. Everything not needed afterwards must
 * be closed before; root_fd is closed here. Writes to no file. With keep_caps the process stays
 * able to start root programs: securebits are left alone, no_new_privs and the bounding set hold.
 * Needs libseccomp: static helpers call confine_prebuilt. */
int confine(const struct confinement *confinement, struct error *error);
/* The same without libseccomp: syscalls must be NULL; program_fd -1 loads no filter. */
int confine_prebuilt(const struct confinement *confinement, struct error *error);

/* The calls that loop, channel, log, malloc, time and exit need; part of every program. */
extern const int confine_base_syscalls[];
extern const size_t confine_base_count;

/* A prebuilt allowlist program as a sealed memfd (struct sock_filter array), made once where
 * libseccomp is linked and loaded by processes that start often. The base calls are always in it.
 * mmap and mprotect may not make memory executable, unless execve or execveat is listed too;
 * fcntl may not make a descriptor send signals.
 * -1 with error. */
int confine_program(const int *syscalls, size_t count, struct error *error);
/* A libseccomp filter (borrowed) as such a memfd. -1 with error. */
int confine_export(void *filter, struct error *error);
/* Loads one (borrowed). 0 or -errno. no_new_privs must be set. */
int confine_load(int program_fd);

/* Steps on their own, for the sandbox: 0 or -errno. keep: bits to keep. */
int confine_bounding(uint64_t keep);
int confine_securebits(void);    /* NOROOT, KEEP_CAPS, ambient and NO_SETUID_FIXUP (off) locked */
int confine_caps(uint64_t keep); /* permitted, effective; inheritable and ambient empty */
int confine_ambient(uint64_t caps); /* permitted ones, for the next program too */

/* Closes every descriptor from first on. 0 or -errno. */
int close_from(int first);

#endif
