/*
 * Jobs on homes, each in a homekeeper of its own, so that no merge, however big, makes another
 * session wait. A job holds the home's lock, or works under that of a session's keeper; one that
 * dies is a crash, and is settled like one. Two never are at one home, also not one that a runnerd
 * which was killed left behind: while it works it has the home's directory locked as well.
 */
#ifndef SCARAB_RUNNERD_HOME_JOBS_H
#define SCARAB_RUNNERD_HOME_JOBS_H

#include "common/error.h"
#include "common/proto.h"
#include "home/order.h"

struct runnerd;
struct home_jobs;
struct home_job_run;

struct home_request {
	enum home_order order;
	const char *agent;
	struct uuid session;
	int layers;         /* of the session, runnerd/layers.h, borrowed; -1: none in memory */
	bool lock_is_held;  /* by the session's keeper, until the job is done and longer */
	uint64_t max_bytes; /* 0: no bound */
	uint32_t keep;
};

/* done NULL: it failed, error says why. */
typedef void home_done_fn(const struct msg_home_done *done, const struct error *error, void *arg);

/* Opens the program now: an upgrade of a running instance mixes nothing. NULL with error. */
struct home_jobs *home_jobs_new(struct runnerd *r, struct error *error);
/* What is under way is killed: the next start goes on with it. */
void home_jobs_free(struct home_jobs *jobs);

/* fn is called once, from the loop, unless the job is forgotten. NULL with error (ERR_CONFLICT: the
 * home is locked; ERR_NOT_FOUND: there is none). */
struct home_job_run *home_job_start(struct runnerd *r, const struct home_request *request,
				    home_done_fn *fn, void *arg, struct error *error);
/* The job goes on, fn is not called. NULL is allowed. */
void home_job_forget(struct home_job_run *run);
/* Is a job under way on this agent's home? */
bool home_job_runs(const struct runnerd *r, const char *agent);
/* Starts settling what a crash left in this home, unless a job is at it. */
void home_job_settle(struct runnerd *r, const char *agent);
/* The same, where something is left and no homekeeper is there, which would do it at its end. */
void home_job_tidy(struct runnerd *r, const char *agent);
/* The same for every home that no session of the table is about to end. */
void home_jobs_settle_all(struct runnerd *r);

#endif
