/*
 * The end of a session of mode journal, and what a crash left of one. A session's changes are in
 * the upper layer of an overlay until every task is dead; from the mark on they are merged into the
 * home, whatever happens, and before it they are not there. Runs in homekeeper, which holds the
 * home's lock.
 */
#ifndef SCARAB_HOME_COMMIT_H
#define SCARAB_HOME_COMMIT_H

#include "common/error.h"
#include "common/proto.h"

struct home_job {
	int dir; /* homes/NAME */
	struct uuid session;
	int layers;         /* where its upper layer is in memory, runnerd/layers.h; -1: nowhere */
	uint64_t max_bytes; /* 0: no bound */
	uint32_t keep;
	/* Called before every change of the tree. For tests; NULL otherwise. */
	void (*before)(void *arg);
	void *arg;
};

/* All of them: 0, or -1 with error; done is the answer to runnerd. Each may be repeated. */

/* The session's changes become the home's. Those that cannot be kept, since they are lost or go
 * over max_bytes, are left as they are, with done->why: until that is written down, nothing else
 * says that they ever were. home_discard() then takes them. */
int home_commit(const struct home_job *job, struct msg_home_done *done, struct error *error);
/* The session's changes are gone, unless they were marked before: then they are merged. */
int home_discard(const struct home_job *job, struct msg_home_done *done, struct error *error);
/* Whatever a crash left is brought to its end, forwards where there is a mark, else back. */
int home_settle(const struct home_job *job, struct msg_home_done *done, struct error *error);
/* The home becomes what it was before job->session: that session's changes and those of all later
 * ones are undone, newest first. ERR_NOT_FOUND, ERR_CONFLICT. */
int home_rollback(const struct home_job *job, struct msg_home_done *done, struct error *error);
/* Goes on with one that was interrupted. */
int home_rollback_resume(const struct home_job *job, struct msg_home_done *done,
			 struct error *error);

#endif
