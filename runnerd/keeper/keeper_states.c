#include <stdio.h>

#include "common/crash.h"
#include "keeper.h"

enum {
	PATIENCE_MS = 5000,      /* over the grace, until init's socket is closed */
	LAST_PATIENCE_MS = 2000, /* then, until the record is written without it */
};

typedef enum keeper_state transition_fn(struct keeper *keeper);

static enum keeper_state
stand_at_gate(struct keeper *keeper)
{
	(void)keeper;
	return KEEPER_GATED;
}

/* The timeout counts from here, whatever the daemons do. */
static enum keeper_state
open_gate(struct keeper *keeper)
{
	CRASH_POINT("gate.begin");
	keeper->opened = true;
	sandbox_go(keeper);
	CRASH_POINT("gate.open");
	input_start(keeper);
	if (keeper->boot.timeout_ms)
		loop_arm_in(keeper->deadline, keeper->boot.timeout_ms);
	return KEEPER_OPENING;
}

static enum keeper_state
run(struct keeper *keeper)
{
	idle_start(keeper);
	return KEEPER_RUNNING;
}

static enum keeper_state
go_on_stopping(struct keeper *keeper)
{
	(void)keeper;
	return KEEPER_STOPPING;
}

static enum keeper_state
ask_to_stop(struct keeper *keeper)
{
	loop_arm(keeper->deadline, 0);
	loop_arm_in(keeper->patience, keeper->verdict.grace_ms + PATIENCE_MS);
	sandbox_stop(keeper, keeper->verdict.grace_ms);
	return KEEPER_STOPPING;
}

static enum keeper_state
await_end(struct keeper *keeper)
{
	loop_arm(keeper->deadline, 0);
	loop_arm_in(keeper->patience, PATIENCE_MS);
	return KEEPER_ENDING;
}

/* init leaves at EOF, and all that is inside with it. A link that is lost before the gate opened
 * leaves no verdict, so OUTCOME_NONE. */
static enum keeper_state
abandon(struct keeper *keeper)
{
	sandbox_abandon(keeper);
	return await_end(keeper);
}

static enum keeper_state
stop_waiting(struct keeper *keeper)
{
	sandbox_abandon(keeper);
	loop_arm_in(keeper->patience, LAST_PATIENCE_MS);
	return KEEPER_ENDING;
}

static enum keeper_state
leave(struct keeper *keeper)
{
	loop_stop(keeper->loop, 0);
	return KEEPER_DONE;
}

/* What a session that never ran wrote is nothing, and of one without a record nobody could say what
 * it is. */
static enum keeper_state
finish(struct keeper *keeper)
{
	bool recorded = record_exit(keeper);

	loop_arm(keeper->deadline, 0);
	loop_arm(keeper->patience, 0);
	loop_remove(keeper->pidfd_source); /* readable from now on */
	keeper->pidfd_source = NULL;
	if (!recorded || !keeper->opened || keeper->layers < 0)
		return leave(keeper);
	CRASH_POINT("exit.holding");
	return KEEPER_HOLDING;
}

/* However long that took: without a runnerd it holds for ever, since nobody else could. */
static enum keeper_state
let_go(struct keeper *keeper)
{
	CRASH_POINT("exit.released");
	return leave(keeper);
}

/* The agent is gone: its tools end in good order, and what they say last is in its log. */
static enum keeper_state
close_tools(struct keeper *keeper)
{
	if (!keeper->boot.broker)
		return finish(keeper);
	loop_arm(keeper->deadline, 0);
	loop_arm(keeper->patience, 0);
	keeper->ended_ns = boottime_ns();
	keeper->ended_at_ms = realtime_ms();
	plugins_close(keeper);
	return KEEPER_CLOSING;
}

/* An init that not even EOF ends (stopped, frozen, or not itself any more) is left to runnerd,
 * which kills the cgroup once the record is there. */
static enum keeper_state
lose_patience(struct keeper *keeper)
{
	return keeper->init_socket >= 0 ? stop_waiting(keeper) : close_tools(keeper);
}

/* An empty field: the event changes nothing in that state. */
static transition_fn *const transitions[KEEPER_STATES][EVENTS] = {
    [KEEPER_BUILDING] =
	{
	    [EVENT_BUILT] = stand_at_gate,
	    [EVENT_BUILD_FAILED] = finish,
	    [EVENT_STOP] = finish,
	    [EVENT_LINK_LOST] = finish,
	},
    [KEEPER_GATED] =
	{
	    [EVENT_GO] = open_gate,
	    [EVENT_STOP] = abandon,
	    [EVENT_LINK_LOST] = abandon,
	    [EVENT_INIT_EXIT] = close_tools,
	},
    [KEEPER_OPENING] =
	{
	    [EVENT_STARTED] = run,
	    [EVENT_EXEC_FAILED] = await_end,
	    [EVENT_AGENT_ENDED] = await_end,
	    [EVENT_STOP] = ask_to_stop,
	    [EVENT_OOM] = abandon,
	    [EVENT_INIT_EXIT] = close_tools,
	},
    [KEEPER_RUNNING] =
	{
	    [EVENT_AGENT_ENDED] = await_end,
	    [EVENT_STOP] = ask_to_stop,
	    [EVENT_OOM] = abandon,
	    [EVENT_INIT_EXIT] = close_tools,
	},
    [KEEPER_STOPPING] =
	{
	    [EVENT_STARTED] = go_on_stopping,
	    [EVENT_EXEC_FAILED] = await_end,
	    [EVENT_AGENT_ENDED] = await_end,
	    [EVENT_PATIENCE] = stop_waiting,
	    [EVENT_OOM] = abandon,
	    [EVENT_INIT_EXIT] = close_tools,
	},
    [KEEPER_ENDING] =
	{
	    [EVENT_PATIENCE] = lose_patience,
	    [EVENT_INIT_EXIT] = close_tools,
	},
    [KEEPER_CLOSING] = {[EVENT_TOOLS_GONE] = finish},
    [KEEPER_HOLDING] =
	{
	    [EVENT_RELEASE] = let_go,
	},
};

void
keeper_on(struct keeper *keeper, enum keeper_event event)
{
	transition_fn *transition = transitions[keeper->state][event];

	if (transition)
		keeper->state = transition(keeper);
}

static void
pass_verdict(struct keeper *keeper, enum session_outcome outcome, uint64_t grace_ms,
	     const char *reason)
{
	struct verdict *verdict = &keeper->verdict;

	verdict->set = true;
	verdict->outcome = (uint8_t)outcome;
	verdict->grace_ms = grace_ms;
	snprintf(verdict->reason, sizeof(verdict->reason), "%s", reason);
}

void
keeper_end_as(struct keeper *keeper, enum session_outcome outcome, uint64_t grace_ms,
	      const char *reason)
{
	if (keeper->verdict.set || keeper->state >= KEEPER_ENDING)
		return;
	pass_verdict(keeper, outcome, grace_ms, reason);
	keeper_on(keeper, EVENT_STOP);
}

void
keeper_out_of_memory(struct keeper *keeper)
{
	if (keeper->state >= KEEPER_ENDING)
		return;
	if (!keeper->verdict.set)
		pass_verdict(keeper, OUTCOME_OOM_KILLED, 0, OOM_REASON);
	keeper_on(keeper, EVENT_OOM);
}
