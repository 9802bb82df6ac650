/*
 * Every end of a session: the same way down whatever it ends as. Kill what is inside, wait for
 * the keeper's record and, where it holds what the home is made of, for the home; kill the rest,
 * wait until the cgroup is empty, undo the steps backwards, and only then write the end and tell
 * it.
 */
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "home_jobs.h"
#include "journal.h"
#include "packages.h"
#include "session.h"
#include "spawner.h"
#include "steps/steps.h"
#include "tools.h"

enum { EMPTY_RETRY_MS = 20 /* a group that is empty may stay busy for a moment */ };

/* --- the record
 * ------------------------------------------------------------------------------------ */

static bool
read_exit(struct session *s, struct msg *record)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length;

	if (s->exit_record < 0)
		return false;
	length = pread(s->exit_record, bytes, sizeof(bytes), 0);
	if (length <= 0 || msg_decode(record, bytes, (size_t)length, 0) < 0)
		return false;
	return record->type == MSG_EXIT_RECORD && uuid_equal(&record->exit_record.session, &s->id);
}

/* An outcome that runnerd decided (cancelled in set-up, a step that failed) holds over what a
 * keeper whose gate never opened wrote. */
static void
take_exit(struct session *s, const struct msg_exit_record *exit)
{
	struct msg_journal_ended *end = &s->end;

	end->exit_code = exit->exit_code;
	end->signal = exit->signal;
	end->running_at_ms = exit->running_at_ms;
	end->ended_at_ms = exit->ended_at_ms;
	end->wall_ms = exit->wall_ms;
	end->cpu_ms = exit->cpu_ms;
	end->peak_memory_bytes = exit->peak_memory_bytes;
	end->log_bytes = exit->log_bytes;
	end->log_dropped_bytes = exit->log_dropped_bytes;
	end->outcome = exit->outcome;
	if (end->outcome == OUTCOME_SETUP_FAILED)
		end->step = STEP_AGENT;
	memcpy(end->reason, exit->reason, sizeof(end->reason));
}

/* The cgroup counts what init never waited for; after the host's end it is gone, and what the
 * keeper wrote down holds. */
static void
take_use(struct session *s)
{
	struct cgroup_use use;

	if (!s->gate)
		return;
	use = cgroup_used(s->r->cgroups, &s->cgroup);
	if (use.cpu_ms >= 0)
		s->end.cpu_ms = use.cpu_ms;
	if (use.peak_memory_bytes >= 0)
		s->end.peak_memory_bytes = use.peak_memory_bytes;
}

/* GO was written down but did not reach the keeper: it saw runnerd's end first. */
static bool
never_started(const struct msg_exit_record *exit)
{
	return !exit->started && exit->outcome == OUTCOME_NONE;
}

/* Before the home is settled: what is kept of it depends on it. */
bool
session_settle_outcome(struct session *s)
{
	struct msg record;
	bool written = s->gate && read_exit(s, &record);

	if (s->outcome_settled)
		return written;
	s->outcome_settled = true;
	log_finish(&s->log, !s->gate);
	if (written)
		take_exit(s, &record.exit_record);
	if (written && never_started(&record.exit_record)) {
		s->end.outcome = OUTCOME_NONE;
	} else if (s->gate && (!written || s->end.outcome == OUTCOME_NONE)) {
		if (s->end.outcome == OUTCOME_NONE)
			snprintf(s->end.reason, sizeof(s->end.reason), "the keeper left no record");
		s->end.outcome = OUTCOME_LOST;
	}
	home_tell_discard(s);
	take_use(s);
	if (!s->end.running_at_ms)
		s->end.running_at_ms = s->running_at_ms;
	if (!s->end.ended_at_ms)
		s->end.ended_at_ms = realtime_ms();
	if (!written) {
		s->end.log_bytes = s->gate ? log_length(&s->log) : 0;
		s->end.log_dropped_bytes = s->log.dropped;
	}
	return written;
}

/* --- telling
 * ------------------------------------------------------------------------------------------ */

void
session_tell_end(const struct session *s)
{
	const struct msg_journal_ended *end = &s->end;
	struct msg msg;

	if (!s->r->schedd)
		return;
	msg_init(&msg, MSG_ENDED);
	msg.ended = (struct msg_ended){.session = end->session,
				       .outcome = end->outcome,
				       .step = end->step,
				       .exit_code = end->exit_code,
				       .signal = end->signal,
				       .running_at_ms = end->running_at_ms,
				       .ended_at_ms = end->ended_at_ms,
				       .wall_ms = end->wall_ms,
				       .cpu_ms = end->cpu_ms,
				       .peak_memory_bytes = end->peak_memory_bytes,
				       .log_bytes = end->log_bytes,
				       .log_dropped_bytes = end->log_dropped_bytes};
	memcpy(msg.ended.agent, end->agent, sizeof(msg.ended.agent));
	memcpy(msg.ended.reason, end->reason, sizeof(msg.ended.reason));
	channel_send(s->r->schedd, &msg);
}

void
session_is_ended(struct session *s)
{
	s->phase = PHASE_ENDED;
	loop_arm(s->timer, 0);
	if (s->end.outcome != OUTCOME_NONE)
		log_session(LOG_LEVEL_INFO, &s->id, "%s: %s%s%s", s->agent_name,
			    session_outcome_name(s->end.outcome), s->end.reason[0] ? ": " : "",
			    s->end.reason);
	session_tell_end(s);
	CRASH_POINT("end.told");
}

/* --- teardown
 * ------------------------------------------------------------------------------------------ */

/* 0, or -EAGAIN: one of them takes longer. */
static int
undo_steps(struct session *s)
{
	int rc = 0;
	size_t i;

	for (i = session_step_count; i-- > 0;) {
		const struct step *step = &session_steps[i];

		if (!s->built[step->id])
			continue;
		CRASH_POINT_OF("undo.begin", step->name);
		if (step->undo)
			rc = step->undo(s);
		if (rc < 0)
			break;
		journal_step(s->journal, step->id, MARK_UNDONE);
		s->built[step->id] = false;
		CRASH_POINT_OF("undo.end", step->name);
	}
	return rc;
}

static void
finish(struct session *s)
{
	bool recorded;
	int rc = 0;

	CRASH_POINT("end.begin");
	tools_finish(s->tools);
	recorded = session_settle_outcome(s) && !s->home_told;
	CRASH_POINT("end.settled");
	if (s->journal >= 0)
		rc = undo_steps(s);
	if (rc < 0 && s->home_job)
		return; /* it calls session_end_advance() */
	if (rc == 0)
		rc = frame_close(s);
	if (rc < 0) {
		loop_arm_in(s->timer, EMPTY_RETRY_MS);
		return;
	}
	CRASH_POINT("end.undone");
	rc = s->journal < 0 ? 0 : journal_ended(s->journal, &s->end, !recorded);
	if (rc < 0)
		log_session(LOG_LEVEL_ERROR, &s->id, "cannot write its end: %s",
			    strerrordesc_np(-rc));
	log_detach(&s->log);
	close_fd(&s->exit_record);
	close_fd(&s->journal);
	close_fd(&s->records);
	close_fd(&s->keeper_pidfd);
	session_is_ended(s);
	/* What a homekeeper of an earlier runnerd took out of the home and did not delete. */
	if (s->effective.home != HOME_NONE)
		home_job_tidy(s->r, s->agent_name);
	packages_sweep(s->r, s->agent_name);
}

/* Nothing came in time: no more waiting for a spawner, and no more mercy. */
void
session_end_insist(struct session *s)
{
	if (s->keeper_holds) {
		session_end_advance(s);
		return;
	}
	if (s->spawn)
		spawner_forget(s->spawn);
	s->spawn = NULL;
	cgroup_kill(s->cgroup.dir);
	loop_arm_in(s->timer, KEEPER_WAIT_MS);
	session_end_advance(s);
}

static void
cgroup_changed(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	session_end_advance(arg);
}

/* Kills what is left and waits for the news that it is gone. */
static bool
is_empty(struct session *s)
{
	if (!cgroup_populated(&s->cgroup))
		return true;
	if (!s->cgroup_watch)
		s->cgroup_watch =
		    loop_add_io(s->r->loop, s->cgroup.events, EPOLLPRI, cgroup_changed, s);
	cgroup_kill(s->cgroup.dir);
	if (!s->cgroup_watch)
		loop_arm_in(s->timer, EMPTY_RETRY_MS);
	return !cgroup_populated(&s->cgroup);
}

/* False: not before the home is what it will be, since the keeper has what that is made of. */
static bool
let_keeper_go(struct session *s)
{
	if (!s->keeper_holds)
		return true;
	if (home_settle_held(s) < 0)
		return false;
	keeper_let_go(s);
	loop_arm_in(s->timer, KEEPER_WAIT_MS);
	return true;
}

void
session_end_advance(struct session *s)
{
	if (s->phase != PHASE_ENDING || !let_keeper_go(s))
		return;
	if (s->spawn || (s->keeper_pidfd >= 0 && !s->keeper_gone))
		return;
	if (is_empty(s))
		finish(s);
}

void
session_end(struct session *s, enum session_outcome outcome, const char *reason)
{
	if (s->phase == PHASE_ENDING || s->phase == PHASE_ENDED)
		return;
	CRASH_POINT("end.decided");
	s->phase = PHASE_ENDING;
	s->end.outcome = (uint8_t)outcome;
	if (outcome == OUTCOME_SETUP_FAILED)
		s->end.step = (uint8_t)s->step;
	snprintf(s->end.reason, sizeof(s->end.reason), "%s", reason);
	loop_arm_in(s->timer, KEEPER_WAIT_MS);
	if (!s->keeper_holds)
		keeper_let_go(s);
	channel_free(s->builder);
	s->builder = NULL;
	close_fd(&s->builder_end);
	tools_end(s->tools);
	if (!s->gate || outcome != OUTCOME_NONE)
		cgroup_kill(s->cgroup.agent);
	session_end_advance(s);
}

void
session_fail(struct session *s, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1], reason[REASON_MAX + 1];

	snprintf(reason, sizeof(reason), error->hint[0] ? "%s; %s" : "%s", error_text(error, text),
		 error->hint);
	session_end(s, OUTCOME_SETUP_FAILED, reason);
}
