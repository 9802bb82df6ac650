#include "gate.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "schedule.h"
#include "sessions.h"

typedef void gate_check_fn(const struct gate_question *question, struct gate_verdict *verdict);

static void
check_pause(const struct gate_question *question, struct gate_verdict *verdict)
{
	const struct standing *standing = &question->agent->standing;

	if (!standing->paused_at_ms)
		return;
	verdict->word = question->arrives ? GATE_SKIP : GATE_WAIT;
	verdict->until_ms = NEVER;
	snprintf(verdict->reason, sizeof(verdict->reason), "the agent is paused: %s",
		 standing->pause_reason);
}

/* A session was counted when it arrived. */
static void
check_runs(const struct gate_question *question, struct gate_verdict *verdict)
{
	const struct agent *agent = question->agent;

	if (!question->arrives || agent->max_runs_per_day == 0 ||
	    standing_runs(&agent->standing, question->now_ms) < agent->max_runs_per_day)
		return;
	verdict->word = GATE_SKIP;
	snprintf(verdict->reason, sizeof(verdict->reason),
		 "budget.max_runs_per_day is %" PRIu64 ", and so many sessions began today (UTC)",
		 agent->max_runs_per_day);
}

static void
check_blackout(const struct gate_question *question, struct gate_verdict *verdict)
{
	int64_t until = schedule_dark_until(question->schedd->schedule, question->agent->name);

	if (!until)
		return;
	verdict->word = GATE_WAIT;
	verdict->until_ms = until;
	blackout_text(until, verdict->reason);
}

/* The order is that of the reasons: of two skips, or of two waits as long, the first is told. */
static gate_check_fn *const gates[] = {
    check_pause,
    check_runs,
    check_blackout,
};

void
gate_check(const struct gate_question *question, struct gate_verdict *verdict)
{
	*verdict = (struct gate_verdict){.word = GATE_OPEN};
	for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
		struct gate_verdict one = {.word = GATE_OPEN};

		gates[i](question, &one);
		if (one.word > verdict->word ||
		    (one.word == GATE_WAIT && verdict->word == GATE_WAIT &&
		     one.until_ms > verdict->until_ms))
			*verdict = one;
	}
}

bool
gate_passes(struct schedd *schedd, struct agent *agent)
{
	const struct gate_question question = {
	    .schedd = schedd,
	    .agent = agent,
	    .now_ms = schedule_now(schedd->schedule),
	};
	struct gate_verdict verdict;

	gate_check(&question, &verdict);
	if (verdict.word == GATE_OPEN)
		return true;
	queue_hold(schedd->queue, agent, verdict.until_ms);
	return false;
}

void
gate_changed(struct schedd *schedd, struct agent *agent)
{
	queue_release(schedd->queue, agent);
	sessions_pump(schedd);
}
