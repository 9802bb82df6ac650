#include "pause.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/notice.h"
#include "schedule.h"
#include "sessions.h"

/* One request, and what becomes of it. */
struct order {
	struct schedd *schedd;
	const struct msg_agent_pause *asked;
	uint64_t now_ms;
	uint64_t changed;
	struct error error; /* the first */
};

void
pause_notice(struct schedd *schedd, const struct agent *agent)
{
	const struct standing *standing = &agent->standing;
	struct msg msg;

	notice_init(&msg, standing->paused_at_ms ? NOTICE_AGENT_PAUSED : NOTICE_AGENT_RESUMED);
	snprintf(msg.notice.agent, sizeof(msg.notice.agent), "%s", agent->name);
	snprintf(msg.notice.by, sizeof(msg.notice.by), "%s", standing->paused_by);
	snprintf(msg.notice.text, sizeof(msg.notice.text), "%s", standing->pause_reason);
	notice_send(schedd->control, &schedd->missed, &msg);
}

static bool
is_meant(const struct order *order, const struct agent *agent)
{
	if (!agent->installed && !agent->damaged)
		return false;
	return !order->asked->agent[0] || strcmp(order->asked->agent, agent->name) == 0;
}

static bool
is_so_already(const struct order *order, const struct agent *agent)
{
	return order->asked->paused == (agent->standing.paused_at_ms != 0);
}

/* Resumed, it begins anew: what failed before counts no more. */
static struct standing
ordered(const struct order *order, const struct agent *agent)
{
	struct standing standing = agent->standing;

	standing.paused_at_ms = order->asked->paused ? order->now_ms : 0;
	memset(standing.paused_by, 0, sizeof(standing.paused_by));
	memset(standing.pause_reason, 0, sizeof(standing.pause_reason));
	if (order->asked->paused) {
		snprintf(standing.paused_by, sizeof(standing.paused_by), "%s",
			 order->asked->operator);
		snprintf(standing.pause_reason, sizeof(standing.pause_reason), "by %s",
			 order->asked->operator);
	} else {
		standing.failures = standing.restarts = 0;
	}
	return standing;
}

static void
write_one(struct agent *agent, void *arg)
{
	struct order *order = arg;
	struct standing standing = ordered(order, agent);

	if (order->error.code || !is_meant(order, agent) || is_so_already(order, agent))
		return;
	standings_put(order->schedd->standings, agent->name, &standing, &order->error);
}

/* The row is durable. */
static void
follow_one(struct agent *agent, void *arg)
{
	struct order *order = arg;

	if (!is_meant(order, agent) || is_so_already(order, agent))
		return;
	agent->standing = ordered(order, agent);
	agent->standing_known = true;
	order->changed++;
	log_info("agent %s is %s by %s", agent->name, order->asked->paused ? "paused" : "resumed",
		 order->asked->operator);
	pause_notice(order->schedd, agent);
	queue_release(order->schedd->queue, agent);
}

static int
obey(struct order *order)
{
	struct schedd *schedd = order->schedd;

	if (ledger_begin(schedd->ledger, &order->error) < 0)
		return -1;
	queue_each_agent(schedd->queue, write_one, order);
	if (order->error.code) {
		ledger_rollback(schedd->ledger);
		return -1;
	}
	if (ledger_commit(schedd->ledger, &order->error) < 0)
		return -1;
	queue_each_agent(schedd->queue, follow_one, order);
	return 0;
}

static int
check_order(struct order *order)
{
	const char *name = order->asked->agent;
	const struct agent *agent = queue_agent(order->schedd->queue, name);

	if (!order->schedd->known) {
		error_why(&order->error, ERR_UNREACHABLE,
			  "runnerd has not told yet which agents are installed");
		return error_hint(&order->error,
				  "try again in a moment; ash status shows the daemons");
	}
	if (!name[0] || (agent && is_meant(order, agent)))
		return 0;
	error_why(&order->error, ERR_NOT_FOUND, "no agent named %s is installed", name);
	return error_hint(&order->error, "ash agent list shows what is installed");
}

void
pause_request(struct schedd *schedd, const struct msg *msg)
{
	struct order order = {
	    .schedd = schedd,
	    .asked = &msg->agent_pause,
	    .now_ms = (uint64_t)schedule_now(schedd->schedule),
	    .error = ERROR_INIT,
	};

	if (check_order(&order) < 0 || obey(&order) < 0) {
		channel_reply_error(schedd->control, msg->id, &order.error);
		return;
	}
	channel_reply_ok(schedd->control, msg->id, order.changed);
	sessions_pump(schedd);
}
