/*
 * runnerd's end of the spawner: starts it, starts it again when it dies, and asks it for keepers.
 */
#ifndef SCARAB_RUNNERD_SPAWNER_H
#define SCARAB_RUNNERD_SPAWNER_H

#include "cgroup.h"
#include "common/loop.h"
#include "common/proto.h"

struct spawner;
struct spawner_request;

/* pidfd is the callee's; -1 with error when there is no keeper. */
typedef void spawned_fn(pid_t pid, int pidfd, const struct error *error, void *arg);

/* Opens the binaries beneath libexec_dir and starts the first spawner. NULL with error. */
struct spawner *spawner_new(struct loop *loop, const char *libexec_dir, struct error *error);
void spawner_free(struct spawner *spawner);
/* Takes all descriptors over: the keeper's end of its boot channel and how it enters its cgroups.
 * fn is called from the loop, once, unless the request is forgotten. NULL when memory ran out. */
struct spawner_request *spawner_ask(struct spawner *spawner, const struct uuid *session, int boot,
				    struct cgroup_entry *entry, spawned_fn *fn, void *arg);
/* The answer is not wanted any more; a keeper that comes is left to the end of its channel. */
void spawner_forget(struct spawner_request *request);

#endif
