/*
 * The spawner: root, tiny, with a mount namespace of its own that holds an empty tmpfs and a
 * procfs, so that everything cloned from it is cheap and sees nothing of the host. It starts
 * keepers and does nothing else.
 *
 * Started by runnerd: 0 and 1 /dev/null, 2 the log, then the descriptors below.
 */
#ifndef SCARAB_SANDBOX_SPAWNER_H
#define SCARAB_SANDBOX_SPAWNER_H

#include <sys/types.h>

#include "common/error.h"

enum {
	SPAWNER_FD_CHANNEL = 3,    /* CH_SPAWNER, side B */
	SPAWNER_FD_GENERATION = 4, /* held while the spawner lives, by nothing that it clones */
	SPAWNER_FD_KEEPER = 5,     /* the keeper's binary */
	SPAWNER_FD_INIT = 6,       /* init's binary; replaced by a sealed copy */
};

/* Leaves the host's mounts for a tmpfs with /proc and, empty, /new, /layers and /lower, upon which
 * sandboxes are built. 0, or -1 with error. */
int spawner_leave_mounts(struct error *error);

/* A sealed copy of the binary (borrowed) that may be run but not read by a sandbox's ids
 * (CVE-2019-5736). The descriptor, or -1 with error. */
int spawner_seal_init(int binary, struct error *error);

/* The network namespace of the caller. The descriptor, or -1 with error. */
int spawner_open_net(struct error *error);

/* A new network namespace with nothing but lo, which is up; the spawner itself stays in own
 * (borrowed). The descriptor, or -1 with error. */
int spawner_new_net(int own, struct error *error);

/* What a keeper starts with, borrowed; init's copy comes besides. */
struct keeper_start {
	int channel;
	int net;            /* of the session */
	const int *cgroups; /* the v2 group, then the `tasks` of each v1 group */
	unsigned cgroup_count;
};

/* Runs the keeper in its cgroups. Sets *pidfd, owned by the caller. The pid, or -1 with error. */
pid_t spawner_clone(const struct keeper_start *with, int *pidfd, struct error *error);

#endif
