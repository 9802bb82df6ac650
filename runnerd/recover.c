#include "recover.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "common/procid.h"
#include "fs.h"
#include "home_jobs.h"
#include "journal.h"
#include "session.h"
#include "steps/steps.h"

enum { INPUT_YOUNG_S = 120 };

typedef int entry_fn(struct runnerd *r, int dir_fd, const char *name);

/* Calls fn with every entry of the directory that has a session's name. */
static int
each_session_dir(struct runnerd *r, int dir_fd, entry_fn *fn)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	struct uuid id;
	int fd, rc = 0;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!rc && (entry = readdir(dir)))
		if (uuid_parse(entry->d_name, &id))
			rc = fn(r, dir_fd, entry->d_name);
	return rc;
}

/* --- one session ---------------------------------------------------------------------------------
 */

/* Its agent may be another by now, or none that can be read: a session ends by the terms that it
 * began with. One that did not come so far has no home. */
static void
take_home(struct session *s, const struct journal *journal)
{
	const struct msg_journal_home *home = &journal->home;

	s->effective.home_discards_failure = home->discards_failure;
	s->effective.home_max_bytes = home->max_bytes;
	s->effective.home_history = journal->has_home ? home->history : UINT32_MAX;
}

static void
take_plan(struct session *s)
{
	struct agent *agent = store_find(s->r->store, s->agent_name, NULL);

	s->effective.grace_ms = STOP_GRACE_DEFAULT_MS;
	if (!agent)
		return;
	s->agent = agent_ref(agent);
	policy_effective(agent->plan, s->r->config, &s->effective);
}

/* Everything the session held that has a name. What is not there was never made, or was undone. */
static int
open_frame(struct session *s, const struct journal *journal)
{
	int rc;

	s->journal = journal_open(s->records);
	if (s->journal < 0)
		return s->journal;
	s->exit_record = openat(s->records, "exit", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	s->live = openat(s->r->at.live, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	rc = cgroup_from_journal(s->r->cgroups, journal->session.cgroup, &journal->groups,
				 &s->cgroup);
	if (!rc)
		rc = cgroup_find(s->r->cgroups, &s->cgroup);
	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &s->id, "cannot open its cgroup %s: %s",
			    journal->session.cgroup, strerrordesc_np(-rc));
	rc = log_attach(&s->log, s->r->at.logs, s->agent_name, &s->id,
			(unsigned)s->r->config->ids.group);
	s->log.segment = journal->segment;
	s->log.offset = journal->offset;
	return rc;
}

static struct session *
revive(struct runnerd *r, const struct journal *journal, int records)
{
	struct session *s = session_new(r, &journal->session.session, journal->session.agent);

	if (!s) {
		close(records);
		return NULL;
	}
	s->records = records;
	s->base_uid = journal->session.base_uid;
	s->timeout_ms = journal->session.timeout_ms;
	s->step = journal->step;
	s->gate = journal->gate;
	s->init = journal->init;
	s->discard = journal->discard;
	memcpy(s->built, journal->begun, sizeof(s->built));
	memcpy(s->image_digest, journal->image.digest, sizeof(s->image_digest));
	take_plan(s);
	take_home(s, journal);
	return s;
}

static void
adopt(struct session *s, int pidfd)
{
	struct error error = ERROR_INIT;
	int rc = keeper_watch(s, pidfd);
	size_t i;

	if (rc < 0) {
		session_end(s, OUTCOME_LOST, "its keeper cannot be watched");
		return;
	}
	for (i = 0; i < session_step_count; i++) {
		const struct step *step = &session_steps[i];

		if (!s->built[step->id] || !step->adopt || step->adopt(s, &error) == 0)
			continue;
		log_session(LOG_LEVEL_WARNING, &s->id, "cannot be adopted at step %s: %s: %s",
			    step->name, error.what, error.why);
		session_end(s, OUTCOME_LOST, "its keeper could not be reached");
		return;
	}
}

/* Its gate never opened: the keeper ends with the channel that the old runnerd held. */
static void
end_unopened(struct session *s, int pidfd)
{
	if (pidfd >= 0)
		keeper_watch(s, pidfd);
	session_end(s, OUTCOME_NONE, "runnerd was started again before the gate opened");
}

static int
find_keeper(const struct session *s, const struct journal *journal)
{
	const struct procid id = {.pid = (pid_t)journal->keeper.pid,
				  .start_ticks = journal->keeper.start_ticks};

	if (!journal->has_keeper || strcmp(journal->keeper.boot_id, s->r->boot_id))
		return -1;
	return procid_open(&id);
}

static void
decide(struct session *s, const struct journal *journal)
{
	int pidfd;

	/* After a power cut the last marks may be missing: nobody can say that it never ran. */
	if (strcmp(journal->session.boot_id, s->r->boot_id)) {
		s->gate = s->host_restarted = true;
		session_end(s, OUTCOME_LOST, "the host was started again");
		return;
	}
	pidfd = find_keeper(s, journal);
	if (!s->gate)
		end_unopened(s, pidfd);
	else if (pidfd < 0)
		session_end(s, OUTCOME_LOST, REASON_KEEPER);
	else
		adopt(s, pidfd);
}

static void
restore_end(struct session *s, const struct journal *journal)
{
	s->end = journal->ended;
	s->gate = journal->gate;
	s->phase = PHASE_ENDED;
}

/* Only an input is there: it belongs to a session that schedd still has in its queue. */
static int
keep_spooled(struct runnerd *r, int dir, const char *name)
{
	struct stat st;

	/* It outlives the journal only where all of it was to go: see forget_records(). */
	if (fstatat(dir, "exit", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return dir_remove_flat(r->at.records, name);
	unlinkat(dir, "input.part", 0);
	unlinkat(dir, "journal", 0);
	unlinkat(r->at.records, name, AT_REMOVEDIR);
	return 0;
}

/* The groups that a session of this name has now, whatever it was limited in. */
static int
name_groups(struct runnerd *r, const char *name, struct journal *journal)
{
	static const struct cgroup_limits every = {0};
	struct session_cgroup cgroup = SESSION_CGROUP_INIT;
	int rc = cgroup_name(r->cgroups, name, &every, &cgroup);

	if (!rc && cgroup.paths[0]) {
		snprintf(journal->session.cgroup, sizeof(journal->session.cgroup), "%s",
			 cgroup.paths[0]);
		cgroup_to_journal(r->cgroups, &cgroup, &journal->groups);
	}
	cgroup_close(&cgroup);
	return rc;
}

/* Nobody can say how far it came, so it may have run: what there is of it ends, as lost. */
static int
assume_the_worst(struct runnerd *r, const char *name, struct journal *journal)
{
	struct msg_journal_session *session = &journal->session;

	journal->gate = true;
	if (!journal->has_groups && name_groups(r, name, journal) < 0)
		return -ENOMEM;
	if (journal->has_session)
		return 0;
	if (!uuid_parse(name, &session->session))
		return -EINVAL;
	snprintf(session->boot_id, sizeof(session->boot_id), "%s", r->boot_id);
	journal->has_session = true;
	return 0;
}

static int
recover_one(struct runnerd *r, int dir_fd, const char *name)
{
	_cleanup_free_ struct journal *journal = malloc(sizeof(*journal));
	_cleanup_close_ int dir = -1;
	struct session *s;
	int rc;

	dir = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || !journal)
		return dir < 0 && errno == ENOTDIR ? 0 : -ENOMEM;
	rc = journal_read(dir, journal);
	if (rc < 0 && rc != -ENOENT) {
		log_error("the journal of session %s is damaged: %s", name, strerrordesc_np(-rc));
		if (assume_the_worst(r, name, journal) < 0)
			return -ENOMEM;
	}
	CRASH_POINT("recover.begin");
	if (!journal->has_session)
		return keep_spooled(r, dir, name);
	s = revive(r, journal, steal_fd(&dir));
	if (!s)
		return -ENOMEM;
	if (journal->has_ended) {
		restore_end(s, journal);
		return 0;
	}
	rc = open_frame(s, journal);
	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &s->id, "part of it cannot be opened: %s",
			    strerrordesc_np(-rc));
	decide(s, journal);
	CRASH_POINT("recover.end");
	return 0;
}

/* An input whose session schedd may not have: nothing came of it, or its end was never told.
 * Young ones are still on their way through control. */
static int
announce_input(struct runnerd *r, int dir_fd, const char *name)
{
	char input[UUID_TEXT_LEN + sizeof("/input")];
	struct msg msg;
	struct stat st;

	msg_init(&msg, MSG_INVENTORY);
	snprintf(input, sizeof(input), "%s/input", name);
	if (!uuid_parse(name, &msg.inventory.session) ||
	    session_find(r->sessions, &msg.inventory.session) ||
	    fstatat(dir_fd, input, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_mtim.tv_sec + INPUT_YOUNG_S > realtime_ms() / 1000)
		return 0;
	msg.inventory.state = STATE_QUEUED;
	channel_send(r->schedd, &msg);
	return 0;
}

void
inputs_announce(struct runnerd *r)
{
	each_session_dir(r, r->at.records, announce_input);
}

/* A directory of a session that no record knows. */
static int
sweep_live(struct runnerd *r, int dir_fd, const char *name)
{
	struct uuid id;

	if (uuid_parse(name, &id) && !session_find(r->sessions, &id))
		dir_remove_flat(dir_fd, name);
	return 0;
}

int
recover_sessions(struct runnerd *r, struct error *error)
{
	int rc = each_session_dir(r, r->at.records, recover_one);

	if (!rc)
		rc = each_session_dir(r, r->at.live, sweep_live);
	CRASH_POINT("recover.all");
	home_jobs_settle_all(r);
	if (rc < 0)
		return error_errno(error, -rc, "reading the records of sessions");
	if (r->sessions->first)
		log_info("%u sessions found in the records", sessions_count(r->sessions));
	return 0;
}
