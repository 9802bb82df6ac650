/*
 * What spec.packages brought, in STATE_DIR/packages/NAME/WHEN, where WHEN is the definition's
 * installed_at: files of root's, which sandboxes see read-only at PACKAGES_DIR. Each installation
 * has a directory of its own, so that one which replaces another disturbs no session, and one that
 * dies leaves the old definition with its files. The bytes come from an operator's ash, apart: an
 * index that is checked here, and a memfd that is only copied. A child of runnerd's writes, so that
 * no session waits.
 */
#ifndef SCARAB_RUNNERD_PACKAGES_H
#define SCARAB_RUNNERD_PACKAGES_H

#include "runnerd.h"

#define PACKAGES_DIR "/run/agentd/packages"

struct packages_request {
	const char *agent;
	uint64_t when_ms;
	int index, content; /* as in AGENT_INSTALL, borrowed */
};

/* error NULL: they are there, durably. */
typedef void packages_fn(void *arg, const struct error *error);

/* fn is called once, from the loop. 0, or -1 with error: then it is not. */
int packages_write(struct runnerd *r, const struct packages_request *request, packages_fn *fn,
		   void *arg, struct error *error);
/* O_PATH, or -errno. */
int packages_open(const struct runnerd *r, const char *agent, uint64_t when_ms);
/* Deletes what no definition names any more, unless a session of the agent lives: it may see it.
 * agent NULL: of all. */
void packages_sweep(struct runnerd *r, const char *agent);

#endif
