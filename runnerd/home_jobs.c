#include "home_jobs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "child.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "common/keeper_calls.h"
#include "common/log.h"
#include "home/layout.h"
#include "homes.h"
#include "layers.h"
#include "session.h"

struct home_job_run {
	struct home_job_run *next;
	struct home_jobs *jobs;
	char agent[AGENT_NAME_MAX + 1];
	struct channel *channel;
	pid_t pid;
	bool settles;
	bool answered;    /* the home is nobody's again; what is in its trash is being deleted */
	home_done_fn *fn; /* NULL: forgotten, or called */
	void *arg;
};

struct home_jobs {
	struct runnerd *r;
	int binary, program;
	struct home_job_run *first;
};

struct home_jobs *
home_jobs_new(struct runnerd *r, struct error *error)
{
	_cleanup_close_ int dir = open(r->config->libexec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct home_jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs) {
		error_errno(error, ENOMEM, "homes");
		return NULL;
	}
	*jobs = (struct home_jobs){.r = r, .binary = -1, .program = -1};
	jobs->binary = openat(dir, "homekeeper", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (jobs->binary < 0)
		error_errno(error, errno, "cannot open homekeeper of libexec_dir");
	else
		jobs->program =
		    confine_program(homekeeper_syscalls, homekeeper_syscall_count, error);
	if (jobs->program >= 0)
		return jobs;
	home_jobs_free(jobs);
	return NULL;
}

/* --- the process -------------------------------------------------------------------------------
 */

static void
run_free(struct home_job_run *run)
{
	struct home_job_run **at = &run->jobs->first;

	while (*at && *at != run)
		at = &(*at)->next;
	if (*at)
		*at = run->next;
	channel_free(run->channel);
	child_end(&run->pid); /* it answered or its channel broke: nobody listens any more */
	free(run);
}

void
home_jobs_free(struct home_jobs *jobs)
{
	if (!jobs)
		return;
	while (jobs->first)
		run_free(jobs->first);
	close_fd(&jobs->binary);
	close_fd(&jobs->program);
	free(jobs);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void
tell(struct home_job_run *run, const struct msg_home_done *done, const struct error *error)
{
	home_done_fn *fn = run->fn;

	run->fn = NULL;
	run->answered = true;
	if (fn)
		fn(done, error, run->arg);
}

static void
job_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct error error = ERROR_INIT;

	(void)channel;
	CRASH_POINT("home.answered");
	if (msg->type == MSG_HOME_DONE) {
		tell(arg, &msg->home_done, NULL);
		return;
	}
	msg_to_error(msg, &error);
	tell(arg, NULL, &error);
}

/* Is a homekeeper there, though it may have answered? */
static bool
is_at_work(const struct runnerd *r, const char *agent)
{
	const struct home_job_run *run;

	for (run = r->home_jobs->first; run; run = run->next)
		if (!strcmp(run->agent, agent))
			return true;
	return false;
}

void
home_job_tidy(struct runnerd *r, const char *agent)
{
	if (!is_at_work(r, agent) &&
	    (home_unsettled(r->at.homes, agent, NULL) || home_has_trash(r->at.homes, agent)))
		home_job_settle(r, agent);
}

/* Only now: after its answer it deletes what is in the trash. */
static void
job_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct home_job_run *run = arg;
	struct runnerd *r = run->jobs->r;
	char agent[AGENT_NAME_MAX + 1];
	struct error died = ERROR_INIT;
	bool settles = run->settles;

	(void)channel;
	run->channel = NULL;
	memcpy(agent, run->agent, sizeof(agent));
	error_why(&died, ERR_FAILED, "the homekeeper died");
	if (!run->answered)
		tell(run, NULL, error ? error : &died);
	run_free(run);
	/* It died before it was done: nobody else would go on until the next session. */
	if (!settles)
		home_job_tidy(r, agent);
}

static const struct channel_ops job_ops = {
    .message = job_message,
    .closed = job_closed,
};

/* --- starting ----------------------------------------------------------------------------------
 */

/* Who may change the home: whoever has its lock, or stands in for the keeper that has it. */
static int
lock_home(const struct home_request *request, struct home *home, struct error *error)
{
	if (flock(home->dir, LOCK_EX | LOCK_NB) < 0)
		return error_why(error, ERR_CONFLICT, "a homekeeper is at the home of %s",
				 request->agent);
	home->lock = request->lock_is_held
			 ? fcntl(home->dir, F_DUPFD_CLOEXEC, 3)
			 : openat(home->dir, HOME_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (home->lock < 0)
		return error_errno(error, errno, "opening the lock of the home of %s",
				   request->agent);
	if (!request->lock_is_held && flock(home->lock, LOCK_EX | LOCK_NB) < 0)
		return error_why(error, ERR_CONFLICT, "a session holds the home of %s",
				 request->agent);
	return 0;
}

static int
open_home(struct runnerd *r, const struct home_request *request, struct home *home,
	  struct error *error)
{
	const char *agent = request->agent;

	home->dir = openat(r->at.homes, agent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home->dir < 0)
		return error_errno(error, errno, "opening the home of %s", agent);
	return lock_home(request, home, error);
}

static int
send_job(struct home_job_run *run, const struct home_request *request, struct home *home)
{
	struct msg msg;
	int envelope;

	msg_init(&msg, MSG_HOME_JOB);
	msg.home_job.order = (uint8_t)request->order;
	msg.home_job.session = request->session;
	msg.home_job.max_bytes = request->max_bytes;
	msg.home_job.keep = request->keep;
	msg_add_fd(&msg, steal_fd(&home->dir));
	msg_add_fd(&msg, steal_fd(&home->lock));
	msg_add_fd(&msg, fcntl(run->jobs->program, F_DUPFD_CLOEXEC, 3));
	if (request->layers >= 0) {
		envelope = layers_seal(request->layers);
		if (envelope < 0) {
			msg_close_fds(&msg);
			return envelope;
		}
		msg_add_fd(&msg, envelope);
	}
	return channel_send(run->channel, &msg);
}

static int
start(struct home_job_run *run, const struct home_request *request, struct home *home)
{
	int fd = child_start(run->jobs->binary, "homekeeper", &run->pid);

	if (fd < 0)
		return fd;
	run->channel = channel_new(run->jobs->r->loop, fd, CH_HOME, SIDE_A, ROLE_RUNNERD,
				   ROLE_HOMEKEEPER, &job_ops, run);
	return run->channel ? send_job(run, request, home) : -ENOMEM;
}

struct home_job_run *
home_job_start(struct runnerd *r, const struct home_request *request, home_done_fn *fn, void *arg,
	       struct error *error)
{
	_cleanup_(home_close) struct home home = HOME_INIT;
	struct home_job_run *run = NULL;
	int rc;

	if (open_home(r, request, &home, error) < 0)
		return NULL;
	run = calloc(1, sizeof(*run));
	if (!run) {
		error_errno(error, ENOMEM, "starting a homekeeper");
		return NULL;
	}
	*run = (struct home_job_run){
	    .next = r->home_jobs->first, .jobs = r->home_jobs, .fn = fn, .arg = arg};
	run->settles = request->order == HOME_ORDER_SETTLE;
	snprintf(run->agent, sizeof(run->agent), "%s", request->agent);
	r->home_jobs->first = run;
	CRASH_POINT("home.begin");
	rc = start(run, request, &home);
	CRASH_POINT("home.asked");
	if (rc == 0)
		return run;
	run_free(run);
	error_errno(error, -rc, "starting a homekeeper");
	return NULL;
}

void
home_job_forget(struct home_job_run *run)
{
	if (run)
		run->fn = NULL;
}

bool
home_job_runs(const struct runnerd *r, const char *agent)
{
	const struct home_job_run *run;

	for (run = r->home_jobs->first; run; run = run->next)
		if (!run->answered && !strcmp(run->agent, agent))
			return true;
	return false;
}

/* --- what a crash left --------------------------------------------------------------------------
 */

static void
settled(const struct msg_home_done *done, const struct error *error, void *arg)
{
	(void)arg;
	if (error)
		log_problem(LOG_LEVEL_ERROR, error);
	else
		log_info("a home is whole again: %s", done->committed || done->undone
							  ? "what was begun was brought to its end"
							  : "what was not finished was discarded");
}

void
home_job_settle(struct runnerd *r, const char *agent)
{
	const struct home_request request = {
	    .order = HOME_ORDER_SETTLE, .agent = agent, .layers = -1, .keep = UINT32_MAX};
	struct error error = ERROR_INIT;

	if (home_job_runs(r, agent) || sessions_hold_home(r->sessions, agent))
		return;
	if (!home_job_start(r, &request, settled, NULL, &error))
		log_problem(LOG_LEVEL_WARNING, &error);
}

void
home_jobs_settle_all(struct runnerd *r)
{
	int fd = openat(r->at.homes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (agent_name_valid(entry->d_name) &&
		    (home_unsettled(r->at.homes, entry->d_name, NULL) ||
		     home_has_trash(r->at.homes, entry->d_name)))
			home_job_settle(r, entry->d_name);
}
