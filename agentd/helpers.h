/*
 * The programs that agentd starts: opened once, so that an upgrade under a running agentd mixes
 * nothing, and executed from the descriptor. agentd only.
 */
#ifndef SCARAB_HELPERS_H
#define SCARAB_HELPERS_H

#include <sys/types.h>

#include "common/error.h"

/* An O_PATH descriptor of DIR/NAME, the caller's. -1 with error and remedy. */
int helper_open(const char *dir, const char *name, struct error *error);

/* Where agentd-config is looked for, before the configuration says where the others are: beside
 * agentd itself (a build folder), else where make installs helpers. Owned by the caller. */
char *helper_own_dir(void);

/* Runs the binary as a session leader, root, with a clean environment, and these descriptors:
 * 0 /dev/null, 1 and 2 standard error, 3 channel, 4 lock (-1: none); both borrowed. The pid, or
 * -1 with error. */
pid_t helper_start(int binary, const char *name, int channel, int lock, struct error *error);

#endif
