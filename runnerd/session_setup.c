#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "fs.h"
#include "home_jobs.h"
#include "homes.h"
#include "journal.h"
#include "net.h"
#include "session.h"
#include "steps/steps.h"
#include "tools.h"

enum { HOME_WAIT_MS = 50, HOME_WAITS = 600 /* half a minute; then the step says what it is */ };

static void
step_begins(struct session *s, enum session_step step)
{
	s->step = step;
	s->step_started_ms = realtime_ms();
	s->step_started_ns = boottime_ns();
	journal_step(s->journal, step, MARK_BEGIN);
}

static void
step_ends(struct session *s)
{
	struct msg msg;

	s->told[s->step] = (struct msg_step){
	    .session = s->id,
	    .step = (uint8_t)s->step,
	    .started_at_ms = s->step_started_ms,
	    .took_us = (boottime_ns() - s->step_started_ns) / 1000,
	};
	journal_step(s->journal, s->step, MARK_END);
	if (!s->r->schedd)
		return;
	msg_init(&msg, MSG_STEP);
	msg.step = s->told[s->step];
	channel_send(s->r->schedd, &msg);
}

/* From here on nobody deletes its layers. */
static int
keep_image(struct session *s)
{
	snprintf(s->image_digest, sizeof(s->image_digest), "%s", s->agent->plan->image_digest);
	return journal_image(s->journal, s->image_digest);
}

static int
journal_begin(struct session *s, struct error *error)
{
	struct msg_journal_session first = {.session = s->id,
					    .base_uid = s->base_uid,
					    .timeout_ms = s->timeout_ms,
					    .prepared_at_ms = realtime_ms()};
	const struct msg_journal_home home = {.discards_failure =
						  s->effective.home_discards_failure,
					      .max_bytes = s->effective.home_max_bytes,
					      .history = s->effective.home_history};
	struct msg_journal_groups groups;
	bool has_groups;
	int rc;

	if (cgroup_name(s->r->cgroups, s->name, &s->limits, &s->cgroup) < 0 || !s->cgroup.paths[0])
		return error_errno(error, ENOMEM, "naming the session's cgroup");
	has_groups = cgroup_to_journal(s->r->cgroups, &s->cgroup, &groups);
	snprintf(first.agent, sizeof(first.agent), "%s", s->agent_name);
	snprintf(first.cgroup, sizeof(first.cgroup), "%s", s->cgroup.paths[0]);
	snprintf(first.boot_id, sizeof(first.boot_id), "%s", s->r->boot_id);
	s->records = dir_make(s->r->at.records, s->name, 0700, 0, 0);
	if (s->records < 0)
		return error_errno(error, -s->records, "making the session's record");
	CRASH_POINT("setup.recorded");
	s->journal = journal_create(s->records, &first, has_groups ? &groups : NULL);
	if (s->journal < 0)
		return error_errno(error, -s->journal, "writing the session's journal");
	if (fsync(s->r->at.records) < 0)
		return error_errno(error, errno, "writing the session's journal");
	rc = journal_home(s->journal, &home);
	if (!rc && s->agent->plan->image_digest)
		rc = keep_image(s);
	if (rc < 0)
		return error_errno(error, -rc, "writing the session's journal");
	CRASH_POINT("setup.journalled");
	return 0;
}

static int
check_recipe(const struct session *s, struct error *error)
{
	if (s->recipe.failure)
		return error_errno(error, -s->recipe.failure, "writing the recipe");
	return 0;
}

/* Builds every step that is needed, up to one that waits; the last one, agent, ends later, in
 * session_progress. */
static int
build_steps(struct session *s, struct error *error)
{
	const struct step *step;
	int rc;

	for (; s->next_step < session_step_count; s->next_step++) {
		step = &session_steps[s->next_step];
		if (step->need && !step->need(s))
			continue;
		CRASH_POINT_OF("build.begin", step->name);
		step_begins(s, step->id);
		s->built[step->id] = true;
		rc = step->build(s, error);
		if (rc < 0 || check_recipe(s, error) < 0)
			return -1;
		if (rc == STEP_WAITS) {
			CRASH_POINT_OF("build.waits", step->name);
			return 0;
		}
		if (step->id != STEP_AGENT)
			step_ends(s);
		CRASH_POINT_OF("build.end", step->name);
	}
	return 0;
}

void
session_setup_goes_on(struct session *s)
{
	struct error error = ERROR_INIT;

	loop_arm_in(s->timer, STEP_WAIT_MS);
	if (session_steps[s->next_step].resume(s, &error) < 0 || check_recipe(s, &error) < 0) {
		session_fail(s, &error);
		return;
	}
	step_ends(s);
	CRASH_POINT_OF("build.end", session_steps[s->next_step].name);
	s->next_step++;
	if (build_steps(s, &error) < 0)
		session_fail(s, &error);
}

/* A rollback, what a crash left, or a homekeeper that dies with its runnerd: it comes to its end by
 * itself. */
static bool
home_is_changing(const struct session *s)
{
	struct runnerd *r = s->r;

	if (s->effective.home == HOME_NONE || home_job_runs(r, s->agent_name))
		return s->effective.home != HOME_NONE;
	if (sessions_hold_home(r->sessions, s->agent_name))
		return false;
	if (home_is_locked(r->at.homes, s->agent_name))
		return true;
	if (!home_unsettled(r->at.homes, s->agent_name, NULL))
		return false;
	home_job_settle(r, s->agent_name);
	return true;
}

void
session_setup(struct session *s)
{
	struct error error = ERROR_INIT;

	s->phase = PHASE_BUILDING;
	s->waits_for_home = s->home_waits < HOME_WAITS && home_is_changing(s);
	if (s->waits_for_home) {
		s->home_waits++;
		loop_arm_in(s->timer, HOME_WAIT_MS);
		return;
	}
	loop_arm_in(s->timer, STEP_WAIT_MS);
	if (journal_begin(s, &error) < 0 || session_take_image(s, &error) < 0 ||
	    frame_open(s, &error) < 0 || build_steps(s, &error) < 0)
		session_fail(s, &error);
}

void
session_progress(struct session *s)
{
	struct msg msg;

	tools_progress(s);
	if (s->phase != PHASE_BUILDING || !s->keeper_up || !s->sandbox_built || s->hands ||
	    !net_is_up(s))
		return;
	step_ends(s);
	CRASH_POINT("setup.built");
	s->phase = PHASE_PREPARED;
	loop_arm_in(s->timer, GO_WAIT_MS);
	if (!s->r->schedd)
		return;
	msg_init(&msg, MSG_PREPARED);
	msg.prepared.session = s->id;
	channel_send(s->r->schedd, &msg);
	CRASH_POINT("setup.told");
}
