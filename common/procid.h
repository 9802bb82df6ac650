/*
 * A process named so that a reused number is never taken for it: pid and start time (field 22 of
 * /proc/PID/stat, clock ticks since boot). Needs /proc; agentd and runnerd, both unconfined by a
 * private root. A zombie counts as gone.
 */
#ifndef SCARAB_PROCID_H
#define SCARAB_PROCID_H

#include <stdint.h>
#include <sys/types.h>

struct procid {
	pid_t pid;
	uint64_t start_ticks;
};

/* Reads the start time of a living process. 0, -ESRCH, or another -errno. */
int procid_read(pid_t pid, struct procid *id);
/* A pidfd (CLOEXEC, the caller's) of exactly this process; -ESRCH when it is gone. */
int procid_open(const struct procid *id);
/* Signals through such a pidfd. 0, -ESRCH, or another -errno. */
int procid_kill(const struct procid *id, int signal);

#endif
