/*
 * The namespaces of a sandbox: for who makes them (spawner, builder) and who tells of them
 * (runnerd's explain.c).
 */
#ifndef SCARAB_SANDBOX_NAMESPACES_H
#define SCARAB_SANDBOX_NAMESPACES_H

#include <sched.h>

/* By clone3; then the cgroup namespace, whose root is the session's leaf for who is in it; the user
 * namespace last, so that nothing inside owns any other. */
#define NAMESPACES_CLONED (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
#define NAMESPACES_JOINED CLONE_NEWNET /* the spawner has one ready */
#define NAMESPACES_UNSHARED CLONE_NEWCGROUP
#define NAMESPACES_LAST CLONE_NEWUSER
#define NAMESPACES_ALL                                                                             \
	(NAMESPACES_CLONED | NAMESPACES_JOINED | NAMESPACES_UNSHARED | NAMESPACES_LAST)

#endif
