/*
 * Two generations of daemons never run at once: RUN_DIR/agentd.lock is held (flock) by agentd and
 * inherited by its daemons and the spawner, never by a keeper. RUN_DIR/agentd.pids names the
 * holders in lines "ROLE PID START". agentd only.
 */
#ifndef SCARAB_GENERATION_H
#define SCARAB_GENERATION_H

#include <stdbool.h>

#include "common/error.h"
#include "common/procid.h"

enum {
	GENERATION_WAIT_MS = 5000, /* for holders that end by themselves, then they are killed */
	GENERATION_KILLED_WAIT_MS = 5000,
	GENERATION_HOLDERS_MAX = 8,
};

struct holder {
	char role[32];
	struct procid id;
};

struct holders {
	struct holder all[GENERATION_HOLDERS_MAX];
	unsigned count;
};

/* The lock's descriptor, the caller's; run_fd is run_dir. -1 with error: ERR_CONFLICT when
 * another agentd runs there. */
int generation_take(int run_fd, const char *run_dir, struct error *error);
/* Replaces agentd.pids. 0 or -errno. */
int generation_record(int run_fd, const struct holders *holders);
void generation_forget(int run_fd);
/* Does anybody hold the lock of that run_dir now? */
bool generation_held(const char *run_dir);

#endif
