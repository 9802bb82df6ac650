/* The words of proto.h's numbers, as CONTRACT 4 and 9 print them. */
#include <string.h>

#include "cleanup.h"
#include "proto.h"

static const char *const roles[ROLE_COUNT] = {
    [ROLE_NONE] = "none",
    [ROLE_AGENTD] = "agentd",
    [ROLE_CONTROL] = "control",
    [ROLE_SCHEDD] = "schedd",
    [ROLE_SECRETD] = "secretd",
    [ROLE_RUNNERD] = "runnerd",
    [ROLE_SPAWNER] = "spawner",
    [ROLE_KEEPER] = "keeper",
    [ROLE_BUILDER] = "builder",
    [ROLE_INIT] = "init",
    [ROLE_CONFIG] = "config",
    [ROLE_ASH] = "ash",
    [ROLE_HOMEKEEPER] = "homekeeper",
    [ROLE_BROKER] = "broker",
    [ROLE_DIALER] = "dialer",
    [ROLE_EGRESS] = "egress",
    [ROLE_WEBHOOK] = "webhook",
    [ROLE_UNPACK] = "unpack",
};

static const char *const kinds[CH_COUNT] = {
    [CH_NONE] = "none",
    [CH_SUPERVISE] = "supervise",
    [CH_SUPERVISE_CONTROL] = "supervise-control",
    [CH_CONFIG] = "config",
    [CH_CONTROL_SCHEDD] = "control-schedd",
    [CH_CONTROL_RUNNERD] = "control-runnerd",
    [CH_SCHEDD_RUNNERD] = "schedd-runnerd",
    [CH_AUDIT] = "audit",
    [CH_SPAWNER] = "spawner",
    [CH_KEEPER] = "keeper",
    [CH_BUILDER] = "builder",
    [CH_NURSERY] = "nursery",
    [CH_INIT] = "init",
    [CH_OPERATOR] = "operator",
    [CH_RECORD] = "record",
    [CH_HOME] = "home",
    [CH_BROKER] = "broker",
    [CH_SUPERVISE_SECRETD] = "supervise-secretd",
    [CH_RUNNERD_SECRETD] = "runnerd-secretd",
    [CH_SCHEDD_SECRETD] = "schedd-secretd",
    [CH_SECRETS] = "secrets",
    [CH_RUNNERD_DIALER] = "runnerd-dialer",
    [CH_EGRESS] = "egress",
    [CH_DIAL] = "dial",
    [CH_SCHEDD_WEBHOOK] = "schedd-webhook",
    [CH_IMAGE] = "image",
};

static const char *const states[STATE_COUNT] = {
    [STATE_NONE] = "none",       [STATE_QUEUED] = "queued",     [STATE_SETUP] = "setup",
    [STATE_RUNNING] = "running", [STATE_STOPPING] = "stopping", [STATE_ENDED] = "ended",
};

static const char *const daemon_states[DAEMON_STATE_COUNT] = {
    [DAEMON_NONE] = "none",       [DAEMON_STARTING] = "starting", [DAEMON_READY] = "ready",
    [DAEMON_WAITING] = "waiting", [DAEMON_STOPPING] = "stopping",
};

static const char *const grant_states[GRANT_STATE_COUNT] = {
    [GRANT_HOLDS] = "holds",     [GRANT_LAPSED] = "lapsed",   [GRANT_EXPIRED] = "expired",
    [GRANT_USED_UP] = "used up", [GRANT_UNKNOWN] = "unknown",
};

static const char *const outcomes[OUTCOME_COUNT] = {
    [OUTCOME_NONE] = "none",
    [OUTCOME_SUCCESS] = "success",
    [OUTCOME_FAILED] = "failed",
    [OUTCOME_SIGNALED] = "signaled",
    [OUTCOME_TIMED_OUT] = "timed_out",
    [OUTCOME_IDLE_TIMED_OUT] = "idle_timed_out",
    [OUTCOME_OOM_KILLED] = "oom_killed",
    [OUTCOME_CANCELLED] = "cancelled",
    [OUTCOME_BUDGET_EXCEEDED] = "budget_exceeded",
    [OUTCOME_SETUP_FAILED] = "setup_failed",
    [OUTCOME_SKIPPED] = "skipped",
    [OUTCOME_REFUSED] = "refused",
    [OUTCOME_LOST] = "lost",
};

static const char *const steps[STEP_COUNT] = {
    [STEP_NONE] = "none",         [STEP_IMAGE] = "image",
    [STEP_IDENTITY] = "identity", [STEP_CREDENTIALS] = "credentials",
    [STEP_CONTEXT] = "context",   [STEP_SKILLS] = "skills",
    [STEP_NETWORK] = "network",   [STEP_TOOLS] = "tools",
    [STEP_AGENT] = "agent",
};

static const char *
name_of(const char *const *names, size_t count, size_t number)
{
	return number < count ? names[number] : NULL;
}

/* The number of a name, never that of "none"; 0 for any other text. */
static size_t
number_of(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 1; name && i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return 0;
}

const char *
role_name(enum role role)
{
	return name_of(roles, ARRAY_LEN(roles), role);
}

const char *
channel_kind_name(enum channel_kind kind)
{
	return name_of(kinds, ARRAY_LEN(kinds), kind);
}

const char *
daemon_state_name(enum daemon_state state)
{
	return name_of(daemon_states, ARRAY_LEN(daemon_states), state);
}

const char *
grant_state_name(enum grant_state state)
{
	return name_of(grant_states, ARRAY_LEN(grant_states), state);
}

const char *
session_state_name(enum session_state state)
{
	return name_of(states, ARRAY_LEN(states), state);
}

const char *
session_outcome_name(enum session_outcome outcome)
{
	return name_of(outcomes, ARRAY_LEN(outcomes), outcome);
}

const char *
session_step_name(enum session_step step)
{
	return name_of(steps, ARRAY_LEN(steps), step);
}

enum session_state
session_state_parse(const char *name)
{
	return (enum session_state)number_of(states, ARRAY_LEN(states), name);
}

enum session_outcome
session_outcome_parse(const char *name)
{
	return (enum session_outcome)number_of(outcomes, ARRAY_LEN(outcomes), name);
}
