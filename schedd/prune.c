#include "prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "events.h"

struct prune {
	struct schedd *schedd;
	struct loop_source *timer;      /* due in the next round while all are looked at */
	char agent[AGENT_NAME_MAX + 1]; /* who is looked at, or was last */
	bool all;                       /* and then the others, by name */
	bool more;                      /* the batch was full: there may be more of this agent */
	uint32_t asked;                 /* of runnerd, without an answer */
	uint64_t all_ns;                /* when all were looked at last */
};

static void
ask_runnerd(const struct uuid *session, const char *agent, void *arg)
{
	struct prune *prune = arg;
	struct msg msg;

	msg_init(&msg, MSG_SESSION_PRUNE);
	msg.session_prune.session = *session;
	snprintf(msg.session_prune.agent, sizeof(msg.session_prune.agent), "%s", agent);
	if (channel_send(prune->schedd->runnerd, &msg) == 0)
		prune->asked++;
}

/* Asks for the deletion of what is too much of this agent. */
static void
look(struct prune *prune)
{
	const struct config *config = prune->schedd->config;
	uint64_t now = realtime_ms(), age = config->retention.age_ms;
	const struct ledger_bounds bounds = {
	    .sessions = config->retention.sessions,
	    .log_bytes = config->retention.log_bytes,
	    .before_ms = age && age < now ? now - age : 0,
	};
	struct error error = ERROR_INIT;

	prune->more = false;
	if (!prune->schedd->runnerd || !prune->schedd->synced)
		return;
	if (ledger_each_surplus(prune->schedd->ledger, prune->agent, &bounds, PRUNE_BATCH,
				ask_runnerd, prune, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
	prune->more = prune->asked == PRUNE_BATCH;
}

static void
next_agent(struct loop_source *timer, void *arg)
{
	struct prune *prune = arg;
	struct error error = ERROR_INIT;
	int found;

	(void)timer;
	if (prune->asked || !prune->all)
		return;
	found = ledger_next_agent(prune->schedd->ledger, prune->agent, &error);
	if (found < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
	if (found <= 0) {
		prune->all = false;
		return;
	}
	look(prune);
	if (!prune->asked)
		loop_arm_in(prune->timer, 0);
}

void
prune_all(struct prune *prune)
{
	events_prune(prune->schedd->events);
	prune->all = true;
	prune->all_ns = boottime_ns();
	prune->asked = 0;
	prune->agent[0] = '\0';
	loop_arm_in(prune->timer, 0);
}

void
prune_note_end(struct prune *prune, struct agent *agent)
{
	bool due = ++agent->ended % PRUNE_EVERY == 0;

	if (prune->asked || prune->all)
		return;
	if (boottime_ns() - prune->all_ns > PRUNE_ALL_S * UINT64_C(1000000000)) {
		prune_all(prune);
		return;
	}
	if (!due)
		return;
	events_prune(prune->schedd->events);
	snprintf(prune->agent, sizeof(prune->agent), "%s", agent->name);
	look(prune);
}

void
prune_answered(struct prune *prune, const struct msg_session_pruned *answer)
{
	struct error error = ERROR_INIT;
	int deleted = -1;

	if (answer->gone) {
		deleted = ledger_delete(prune->schedd->ledger, &answer->session, &error);
		if (deleted < 0)
			log_problem(LOG_LEVEL_WARNING, &error);
	}
	if (deleted > 0 && prune->schedd->ended > 0)
		prune->schedd->ended--;
	if (deleted < 0)
		prune->more = false; /* the same would be asked for again */
	if (prune->asked == 0 || --prune->asked > 0)
		return;
	if (prune->more)
		look(prune);
	if (!prune->asked && prune->all)
		loop_arm_in(prune->timer, 0);
}

struct prune *
prune_new(struct schedd *schedd, struct error *error)
{
	struct prune *prune = calloc(1, sizeof(*prune));

	if (prune) {
		prune->schedd = schedd;
		prune->timer = loop_add_timer(schedd->loop, next_agent, prune);
		prune->all_ns = boottime_ns();
	}
	if (prune && prune->timer)
		return prune;
	error_why(error, ERR_FAILED, "out of memory");
	free(prune);
	return NULL;
}

void
prune_free(struct prune *prune)
{
	if (!prune)
		return;
	loop_remove(prune->timer);
	free(prune);
}
