#include "aftermath.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "deliver.h"
#include "pause.h"
#include "schedule.h"
#include "successors.h"

struct aftermath {
	struct schedd *schedd;
	struct agent *agent;
	const struct ledger_session *ended;
	int64_t now_ms;
	struct standing standing; /* as it will be */
	bool pauses;
	struct successor link; /* kind: SUCCESSION_NONE: nobody follows */
	struct ledger_session next;
	struct session *session; /* the same in memory, until aftermath_begin */
};

/* --- what is tried again ---------------------------------------------------------------------- */

/* Not: what somebody wanted so (cancelled, skipped, refused), and what would be spent once more
 * (budget_exceeded). */
static const bool failures[OUTCOME_COUNT] = {
    [OUTCOME_FAILED] = true,         [OUTCOME_SIGNALED] = true,   [OUTCOME_TIMED_OUT] = true,
    [OUTCOME_IDLE_TIMED_OUT] = true, [OUTCOME_OOM_KILLED] = true, [OUTCOME_SETUP_FAILED] = true,
    [OUTCOME_LOST] = true,
};

bool
outcome_failed(enum session_outcome outcome)
{
	return outcome < OUTCOME_COUNT && failures[outcome];
}

uint64_t
backoff_ms(const struct agent *agent, uint64_t count, const struct uuid *id)
{
	uint64_t delay = agent->backoff_ms, shorter;

	while (--count > 0 && delay < agent->max_backoff_ms && agent->factor_milli > 1000 && delay)
		delay = delay * agent->factor_milli / 1000;
	if (delay > agent->max_backoff_ms)
		delay = agent->max_backoff_ms;
	/* The random end of a UUIDv7: many that failed together do not come back together. */
	memcpy(&shorter, id->bytes + sizeof(id->bytes) - sizeof(shorter), sizeof(shorter));
	return delay - shorter % (delay / JITTER_SHARE + 1);
}

/* --- decisions ---------------------------------------------------------------------------------
 */

/* A drain ends what shall run always; it goes on when agentd is there again. */
static bool
drained(const struct aftermath *a)
{
	return a->schedd->draining && a->ended->row.outcome == OUTCOME_CANCELLED;
}

static bool
wants_restart(const struct aftermath *a)
{
	enum session_outcome outcome = (enum session_outcome)a->ended->row.outcome;

	switch (a->agent->restart) {
	case RESTART_ALWAYS:
		return outcome == OUTCOME_SUCCESS || outcome_failed(outcome) || drained(a);
	case RESTART_ON_FAILURE:
		return outcome_failed(outcome);
	default:
		return false;
	}
}

static bool
budget_left(const struct aftermath *a)
{
	const struct agent *agent = a->agent;

	return agent->max_runs_per_day == 0 ||
	       standing_runs(&a->standing, a->now_ms) < agent->max_runs_per_day;
}

/* Why nobody can follow, NULL: somebody can. What fails faster than it is tried again would fill
 * the queue, beyond what one that is asked for may. */
static const char *
hindered(const struct aftermath *a)
{
	if (!budget_left(a))
		return "budget.max_runs_per_day is spent";
	if (queue_waiting(a->schedd->queue) >= a->schedd->config->limits.queue)
		return "limits.queue sessions wait already";
	return NULL;
}

static void
follow_with(struct aftermath *a, enum succession kind, uint64_t delay)
{
	a->link.kind = kind;
	a->link.former = a->ended->row.session;
	a->link.delay_ms = delay;
	a->link.not_before_ms = (uint64_t)a->now_ms + delay;
}

static void
decide_restart(struct aftermath *a)
{
	const struct msg_session_row *row = &a->ended->row;
	uint32_t max = a->agent->max_restarts;

	if (row->running_at_ms && row->ended_at_ms >= row->running_at_ms + HEALTHY_MS)
		a->standing.restarts = 0;
	if (max && a->standing.restarts >= max) {
		log_session(LOG_LEVEL_WARNING, &row->session,
			    "%s is not restarted: lifecycle.max_restarts is %u", row->agent, max);
		return;
	}
	a->standing.restarts++;
	follow_with(a, SUCCESSION_RESTART,
		    drained(a) ? 0 : backoff_ms(a->agent, a->standing.restarts, &row->session));
}

/* A failure counts when nobody follows. */
static void
decide_pause(struct aftermath *a)
{
	const struct msg_session_row *row = &a->ended->row;
	char id[UUID_TEXT_LEN + 1];

	if (row->outcome == OUTCOME_SUCCESS)
		a->standing.failures = 0;
	if (!outcome_failed((enum session_outcome)row->outcome) || a->link.kind)
		return;
	a->standing.failures++;
	if (a->agent->failures_before_pause == 0 || a->standing.paused_at_ms ||
	    a->standing.failures < a->agent->failures_before_pause)
		return;
	a->pauses = true;
	a->standing.paused_at_ms = (uint64_t)a->now_ms;
	a->standing.paused_by[0] = '\0';
	snprintf(a->standing.pause_reason, sizeof(a->standing.pause_reason),
		 "it failed %" PRIu64 " times in a row (budget.failures_before_pause is %" PRIu64
		 "), last in session %s: %s",
		 a->standing.failures, a->agent->failures_before_pause,
		 uuid_format(&row->session, id),
		 session_outcome_name((enum session_outcome)row->outcome));
}

static void
decide(struct aftermath *a)
{
	const struct msg_session_row *row = &a->ended->row;
	bool retry = outcome_failed((enum session_outcome)row->outcome) &&
		     row->attempt <= a->agent->retry_max;
	const char *hindrance = hindered(a);

	if (!a->agent->installed)
		return;
	if (hindrance && (retry || wants_restart(a)))
		log_session(LOG_LEVEL_WARNING, &row->session, "%s is not tried again: %s",
			    row->agent, hindrance);
	else if (retry)
		follow_with(a, SUCCESSION_RETRY, backoff_ms(a->agent, row->attempt, &row->session));
	else if (wants_restart(a))
		decide_restart(a);
	decide_pause(a);
}

/* The fire is the same, its id ends with the number of whom it follows: unique, like the fire. */
static void
fill_next(struct aftermath *a)
{
	struct ledger_session *next = &a->next;
	char *follows;

	*next = *a->ended;
	next->seq = 0;
	next->builds = 0;
	next->row.session = uuid_new();
	next->row.state = STATE_QUEUED;
	next->row.step = STEP_NONE;
	next->row.outcome = OUTCOME_NONE;
	next->row.reason[0] = '\0';
	next->row.exit_code = next->row.signal = -1;
	next->row.wall_ms = next->row.cpu_ms = next->row.peak_memory_bytes = -1;
	next->row.started_at_ms = next->row.running_at_ms = next->row.ended_at_ms = 0;
	next->row.log_bytes = next->row.log_dropped_bytes = 0;
	next->row.queued_at_ms = next->row.fired_at_ms = (uint64_t)a->now_ms;
	next->row.attempt = a->link.kind == SUCCESSION_RETRY ? a->ended->row.attempt + 1 : 1;
	follows = strrchr(next->row.trigger_id, SUCCESSOR_MARK);
	if (!follows)
		follows = next->row.trigger_id + strlen(next->row.trigger_id);
	snprintf(follows, sizeof(next->row.trigger_id) - (size_t)(follows - next->row.trigger_id),
		 "%c%" PRId64, SUCCESSOR_MARK, a->ended->seq);
	standing_count_run(&a->standing, a->now_ms);
}

struct aftermath *
aftermath_new(struct schedd *schedd, struct agent *agent, const struct ledger_session *ended)
{
	struct aftermath *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->schedd = schedd;
	a->agent = agent;
	a->ended = ended;
	a->now_ms = schedule_now(schedd->schedule);
	a->standing = agent->standing;
	decide(a);
	if (a->link.kind)
		fill_next(a);
	return a;
}

void
aftermath_free(struct aftermath *a)
{
	free(a);
}

const struct uuid *
aftermath_heir(const struct aftermath *a)
{
	return a->link.kind && a->next.has_input ? &a->next.row.session : NULL;
}

/* --- the transaction ---------------------------------------------------------------------------
 */

static int
record_next(struct aftermath *a, struct error *error)
{
	struct schedd *schedd = a->schedd;
	int inserted = ledger_insert(schedd->ledger, &a->next, error);

	if (inserted < 0)
		return -1;
	if (inserted == 0)
		return error_why(error, ERR_FAILED, "the ledger has a successor of it already");
	a->link.seq = a->next.seq;
	if (successors_insert(schedd->successors, &a->link, error) < 0)
		return -1;
	a->session = queue_add(schedd->queue, &a->next.row.session, a->next.seq, a->agent->name,
			       STATE_QUEUED);
	if (!a->session)
		return error_why(error, ERR_FAILED, "out of memory");
	queue_defer(schedd->queue, a->session, (int64_t)a->link.not_before_ms, a->link.delay_ms);
	return 0;
}

int
aftermath_record(struct aftermath *a, struct error *error)
{
	if (a->link.kind && record_next(a, error) < 0)
		return -1;
	if (memcmp(&a->standing, &a->agent->standing, sizeof(a->standing)) == 0)
		return 0;
	return standings_put(a->schedd->standings, a->agent->name, &a->standing, error);
}

void
aftermath_withdraw(struct aftermath *a)
{
	if (a->session)
		queue_remove(a->schedd->queue, a->session);
	a->session = NULL;
}

static void
say_pause(const struct aftermath *a)
{
	struct msg_audit line = {.session = a->ended->row.session, .allowed = true};

	pause_notice(a->schedd, a->agent);
	log_warn("agent %s is paused: %s; ash agent resume %s lets it start again", a->agent->name,
		 a->standing.pause_reason, a->agent->name);
	if (!a->schedd->audit)
		return;
	snprintf(line.action, sizeof(line.action), "agent.pause");
	snprintf(line.agent, sizeof(line.agent), "%s", a->agent->name);
	line.uid = line.pid = line.login_uid = UINT32_MAX;
	snprintf(line.detail, sizeof(line.detail), "%s", a->standing.pause_reason);
	audit_send(a->schedd->audit, &line);
}

void
aftermath_begin(struct aftermath *a)
{
	char former[UUID_TEXT_LEN + 1];

	a->agent->standing = a->standing;
	if (a->pauses)
		say_pause(a);
	if (!a->session)
		return;
	log_session(LOG_LEVEL_INFO, &a->next.row.session, "%s: %s of session %s, in %" PRIu64 " ms",
		    a->agent->name, a->link.kind == SUCCESSION_RETRY ? "retry" : "restart",
		    uuid_format(&a->link.former, former), a->link.delay_ms);
	session_announce(a->schedd, a->session);
	schedule_follow(a->schedd->schedule);
	a->session = NULL;
}
