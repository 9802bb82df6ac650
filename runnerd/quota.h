/*
 * Project quotas: what the files of one project may take of a file system, counted and enforced by
 * the file system (ext4 and xfs, mounted with prjquota). An agent's project has the number of its
 * first id. runnerd must not have CAP_SYS_RESOURCE: whoever has it is bounded by no quota, and what
 * is written upon an overlay is written with the rights of who mounted it.
 */
#ifndef SCARAB_RUNNERD_QUOTA_H
#define SCARAB_RUNNERD_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* Does the file system of this directory enforce them? */
bool quota_enforced(int dir);
/* What the project takes now may grow by so much. 0 or -errno. */
int quota_allow(int dir, uint32_t project, uint64_t bytes, uint64_t inodes);
/* The directory, and whatever is made in it from now on, is the project's. 0 or -errno. */
int quota_enter(int dir, uint32_t project);
/* Is it already? */
bool quota_holds(int dir, uint32_t project);

#endif
