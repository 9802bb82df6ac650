/*
 * The limit `resources.disk` of a session: what it may write that lasts, and by what means this
 * host holds it. Where state_dir's file system has project quotas, the home's layer lies on it
 * under the agent's project; elsewhere layers are a bounded tmpfs, and what is in it goes to the
 * disk at the end (home/commit.h). Layers over images are always in memory: nothing of them lasts.
 */
#ifndef SCARAB_RUNNERD_DISK_H
#define SCARAB_RUNNERD_DISK_H

#include "policy.h"
#include "runnerd.h"

#define DISK_MECHANISM "disk" /* what ash doctor calls the quota */

enum disk_means {
	DISK_MEMORY, /* a tmpfs, runnerd/layers.h */
	DISK_QUOTA,  /* runnerd/quota.h */
	DISK_FREE,   /* on disk and not bounded: root listed `disk` in degraded */
};

enum disk_means disk_means(const struct runnerd *r);
/* Can this host hold the plan's limit? 0, or -1 with error: a home of mode direct needs a quota, if
 * its manifest asks for a limit. */
int disk_check(const struct runnerd *r, const struct manifest *plan, struct error *error);
/* What a home of mode journal may take in one session: no more than it may be big. */
uint64_t disk_of_home(const struct effective *effective);

#endif
