/*
 * The builder: a root child of the keeper, forked before the keeper drops. It makes the first
 * process of one sandbox, which reads the recipe itself (builder_seed.h), writes that process's
 * id maps, hands it to the keeper when it stands at the gate, and ends.
 */
#ifndef SCARAB_SANDBOX_BUILDER_H
#define SCARAB_SANDBOX_BUILDER_H

#include <sys/types.h>

#include "common/error.h"
#include "common/proto.h"

enum {
	BUILDER_NET_NEW = -1,  /* it makes one */
	BUILDER_NET_HOST = -2, /* it stays in the host's (network policy host) */
};

struct builder {
	int channel;  /* CH_BUILDER, side B */
	int nursery;  /* CH_NURSERY, side A */
	int init;     /* the sealed copy of init */
	int net;      /* the sandbox's network namespace, new and empty, or BUILDER_NET_* */
	int program;  /* the builder's seccomp program */
	pid_t keeper; /* whose child it is */
	int stdio[3]; /* what the sandbox has as 0, 1 and 2: the program's ends of its pipes */
};

/* Runs in the forked child, never returns; closes every descriptor that is not the builder's. */
_Noreturn void builder_main(const struct builder *fds);

/* A procfs that is one (CVE-2025-52881): /proc of the spawner's mount namespace. The descriptor,
 * or -1 with error. */
int builder_open_proc(struct error *error);
/* Gives the process the ids 0…65535 as base…base+65535, the agent's as begin says. 0, or -1 with
 * error. */
int builder_write_maps(int proc, pid_t pid, const struct msg_sandbox_begin *begin,
		       struct error *error);

/* The process of a new sandbox in all its namespaces but those of user, network and cgroup, a child
 * of the builder's parent. 0 in the child, the pid and *pidfd in the caller, -errno. */
pid_t builder_clone(int cgroup, int *pidfd);

#endif
