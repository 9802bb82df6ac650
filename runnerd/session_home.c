/*
 * A session's home at its end: one job of a homekeeper, which commits what the session left or
 * discards it. A layer on disk waits for the identity step's turn. One in memory is gone with who
 * holds it, so its keeper is let go only once the home is settled: a runnerd that dies meanwhile
 * loses nothing, since the next one is given the layer by the same keeper.
 */
#include <errno.h>
#include <string.h>

#include "common/crash.h"
#include "common/log.h"
#include "home_jobs.h"
#include "homes.h"
#include "journal.h"
#include "session.h"
#include "tools.h"

enum { HOME_TRIES = 3, HOLD_RETRY_MS = 20 };
static const char never_synced[] =
    "the host went down before what it changed in its home was on disk: that was discarded";

/* What was never run left nothing. */
static bool
should_keep(const struct session *s)
{
	if (!s->gate || s->end.outcome == OUTCOME_NONE || s->end.outcome == OUTCOME_SETUP_FAILED)
		return false;
	return s->end.outcome == OUTCOME_SUCCESS || !s->effective.home_discards_failure;
}

/* What a host that went down left was never synced; what cannot be committed, since the disk is
 * full, makes room for the next session. */
static enum home_order
order_of(const struct session *s)
{
	return should_keep(s) && !s->host_restarted && !s->discard.why[0] ? HOME_ORDER_COMMIT
									  : HOME_ORDER_DISCARD;
}

/* Beside why it ended. */
static void
add_reason(struct session *s, const char *text)
{
	size_t length = strlen(s->end.reason);

	if (!text[0])
		return;
	snprintf(s->end.reason + length, sizeof(s->end.reason) - length, "%s%s", length ? "; " : "",
		 text);
	s->home_told = true;
	log_session(LOG_LEVEL_WARNING, &s->id, "%s: %s", s->agent_name, text);
}

void
home_tell_discard(struct session *s)
{
	if (s->discard.lost)
		s->end.outcome = OUTCOME_LOST;
	add_reason(s, s->discard.why);
}

/* Written down before it is discarded: a runnerd that is started after that finds a home without
 * the session's changes, as one that was merged, and a record that may say success. */
static void
decide_discard(struct session *s, bool lost, const char *why)
{
	int rc;

	s->discard.lost = s->discard.lost || lost;
	snprintf(s->discard.why, sizeof(s->discard.why), "%s", why);
	rc = journal_discard(s->journal, &s->discard);
	if (rc < 0)
		log_session(LOG_LEVEL_ERROR, &s->id, "cannot write what its home does not keep: %s",
			    strerrordesc_np(-rc));
	home_tell_discard(s);
	CRASH_POINT("home.refused");
}

static void
home_failed(struct session *s, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1], reason[REASON_MAX + 1];

	error_text(error, text);
	if (++s->home_tries < HOME_TRIES) {
		log_session(LOG_LEVEL_WARNING, &s->id, "its home: %s; it is tried again", text);
	} else if (s->home_tries == HOME_TRIES) {
		snprintf(reason, sizeof(reason), "its home: %.*s", REASON_MAX - 16, text);
		decide_discard(s, false, reason);
	} else {
		s->home_settled = true; /* the next session's matter */
	}
}

static void
home_done(const struct msg_home_done *done, const struct error *error, void *arg)
{
	struct session *s = arg;

	s->home_job = NULL;
	if (done && done->why[0]) {
		decide_discard(s, done->lost, done->why);
	} else if (done) {
		s->home_settled = true;
		if (s->home_tries >= HOME_TRIES && !done->committed)
			add_reason(s, "what it changed in its home was discarded");
		log_session(LOG_LEVEL_DEBUG, &s->id,
			    "its home: %llu added, %llu modified, %llu removed",
			    (unsigned long long)done->added, (unsigned long long)done->modified,
			    (unsigned long long)done->removed);
	} else {
		home_failed(s, error);
	}
	session_end_advance(s);
}

static int
start_job(struct session *s)
{
	const struct home_request request = {.order = order_of(s),
					     .agent = s->agent_name,
					     .session = s->id,
					     .layers = s->home_in_memory ? s->layers : -1,
					     .lock_is_held = s->keeper_holds,
					     .max_bytes = s->effective.home_max_bytes,
					     .keep = s->effective.home_history};
	struct error error = ERROR_INIT;

	s->home_job = home_job_start(s->r, &request, home_done, s, &error);
	if (!s->home_job && error.code != ERR_CONFLICT)
		home_failed(s, &error);
	return s->home_settled ? 0 : -EAGAIN;
}

int
home_settle_session(struct session *s)
{
	if (s->home_settled || s->home_job)
		return s->home_job ? -EAGAIN : 0;
	if (!home_unsettled(s->r->at.homes, s->agent_name, &s->id))
		return 0;
	if (s->host_restarted && should_keep(s) && !s->discard.why[0] &&
	    home_undecided(s->r->at.homes, s->agent_name, &s->id))
		decide_discard(s, true, never_synced);
	return start_job(s);
}

/* The keeper holds the home's lock too: nobody else changes the home, and nothing of the sandbox
 * writes to the layer any more. */
int
home_settle_held(struct session *s)
{
	int rc;

	if (!s->keeper_holds)
		return 0;
	if (cgroup_kill_sandboxes(&s->cgroup)) {
		loop_arm_in(s->timer, HOLD_RETRY_MS);
		return -EAGAIN;
	}
	CRASH_POINT("held.begin");
	tools_finish(s->tools);
	session_settle_outcome(s);
	rc = home_settle_session(s);
	if (rc < 0) {
		if (s->home_job)
			loop_arm(s->timer, 0);
		else
			loop_arm_in(s->timer, HOLD_RETRY_MS);
		return rc;
	}
	CRASH_POINT("held.settled");
	s->keeper_holds = false;
	return 0;
}
