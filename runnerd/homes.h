/*
 * Homes: STATE_DIR/homes/NAME (root, 0700) holds `home` (the agent's) and `lock`. One session at
 * a time holds the lock, by the open file that its keeper inherits.
 */
#ifndef SCARAB_RUNNERD_HOMES_H
#define SCARAB_RUNNERD_HOMES_H

#include <stdint.h>

#include "common/error.h"

/* Makes what is missing. *home: O_PATH of the agent's directory, *lock: locked. 0, or -1 with
 * error (ERR_CONFLICT: another session holds it). */
int home_open(int homes_fd, const char *agent, uint32_t base_uid, int *home, int *lock,
	      struct error *error);
/* Takes the home out of its name at once; deleting what it held goes on in a process of its own,
 * so that a big home makes nobody wait. 0 (also when there is none) or -errno. */
int home_purge(int homes_fd, const char *agent);
/* At start: goes on with what an interrupted purge left. */
int homes_sweep(int homes_fd);

#endif
