/* The scheduler's beginning, end and configuration; see schedd.h. */
#include "schedd.h"

#include <string.h>

#include "common/log.h"
#include "counters.h"
#include "event_plans.h"
#include "events.h"
#include "flush.h"
#include "peers.h"
#include "prune.h"
#include "schedule.h"
#include "sessions.h"
#include "successors.h"
#include "triggers_watch.h"
#include "webhooks.h"

static struct queue_limits
limits_of(const struct config *config)
{
	return (struct queue_limits){
	    .sessions = config->limits.sessions,
	    .per_agent = config->limits.per_agent,
	    .queue = config->limits.queue,
	};
}

struct loading {
	struct queue *queue;
	bool failed;
};

static int
load_session(const struct ledger_session *row, void *arg)
{
	struct loading *loading = arg;
	enum session_state state = (enum session_state)row->row.state;
	struct session *session =
	    queue_add(loading->queue, &row->row.session, row->seq, row->row.agent, state);

	if (!session) {
		loading->failed = true;
		return 1;
	}
	session->step = row->row.step < STEP_COUNT ? (enum session_step)row->row.step : STEP_NONE;
	session->builds = row->builds;
	session->running_at_ms = row->row.running_at_ms;
	if (state == STATE_STOPPING) {
		session->stop_as = OUTCOME_CANCELLED;
		session->stop_reason = strdup(row->row.reason);
	}
	return 0;
}

/* What waited for a time waits on. */
static void
load_successor(const struct successor *successor, void *arg)
{
	struct schedd *schedd = arg;
	struct session *session = queue_find(schedd->queue, &successor->session);

	if (session && session->state == STATE_QUEUED)
		queue_defer(schedd->queue, session, (int64_t)successor->not_before_ms,
			    successor->delay_ms);
}

static int
load_open(struct schedd *schedd, struct error *error)
{
	struct loading loading = {.queue = schedd->queue};

	if (ledger_each_open(schedd->ledger, load_session, &loading, error) < 0)
		return -1;
	if (loading.failed)
		return error_why(error, ERR_FAILED, "out of memory");
	if (queue_waiting(schedd->queue) + queue_live(schedd->queue) > 0)
		log_info("from the ledger: %u sessions wait, %u were live",
			 queue_waiting(schedd->queue), queue_live(schedd->queue));
	return 0;
}

static void
repeat(struct loop_source *timer, void *arg)
{
	(void)timer;
	sessions_repeat(arg);
}

int
schedd_init(struct schedd *schedd, struct loop *loop, struct config *config, struct ledger *ledger,
	    int zoneinfo, struct error *error)
{
	struct queue_limits limits = limits_of(config);

	memset(schedd, 0, sizeof(*schedd));
	schedd->loop = loop;
	schedd->config = config;
	schedd->ledger = ledger;
	schedd->queue = queue_new(&limits);
	schedd->again = loop_add_timer(loop, repeat, schedd);
	peers_init(schedd);
	if (!schedd->queue || !schedd->again || !schedd->parked_timer)
		return error_why(error, ERR_FAILED, "out of memory");
	schedd->flush = flush_new(schedd, error);
	if (!schedd->flush)
		return -1;
	schedd->standings = standings_open(ledger, error);
	if (!schedd->standings)
		return -1;
	schedd->successors = successors_open(ledger, error);
	if (!schedd->successors || load_open(schedd, error) < 0)
		return -1;
	schedd->prune = prune_new(schedd, error);
	schedd->counters = schedd->prune ? counters_open(ledger, error) : NULL;
	if (!schedd->counters)
		return -1;
	schedd->event_plans = event_plans_new();
	schedd->watches = watches_new(schedd, error);
	if (!schedd->watches)
		return -1;
	schedd->events = events_new(schedd, error);
	if (!schedd->events || !schedd->event_plans)
		return -1;
	schedd->schedule = schedule_new(schedd, zoneinfo, error);
	if (!schedd->schedule)
		return -1;
	schedd->webhooks = webhooks_new(schedd);
	if (!schedd->webhooks)
		return error_why(error, ERR_FAILED, "out of memory");
	if (successors_each_waiting(schedd->successors, load_successor, schedd, error) < 0)
		return -1;
	schedule_follow(schedd->schedule);
	return ledger_count_ended(ledger, &schedd->ended, error);
}

void
schedd_release(struct schedd *schedd)
{
	events_free(schedd->events);
	flush_settle(schedd->flush);
	prune_free(schedd->prune);
	webhooks_free(schedd->webhooks);
	watches_free(schedd->watches);
	schedule_free(schedd->schedule);
	event_plans_free(schedd->event_plans);
	peers_release(schedd);
	audit_free(schedd->audit);
	loop_remove(schedd->again);
	queue_free(schedd->queue);
	counters_close(schedd->counters);
	successors_close(schedd->successors);
	standings_close(schedd->standings);
	flush_free(schedd->flush);
	ledger_close(schedd->ledger);
	config_free(schedd->config);
}

uint64_t
schedd_now_ms(const struct schedd *schedd)
{
	return schedd->schedule ? (uint64_t)schedule_now(schedd->schedule) : realtime_ms();
}

int
schedd_reload(struct schedd *schedd, struct config *config, struct error *error)
{
	struct queue_limits limits = limits_of(config);

	(void)error;
	queue_set_limits(schedd->queue, &limits);
	config_free(schedd->config);
	schedd->config = config;
	prune_all(schedd->prune);
	schedule_reread_zones(schedd->schedule);
	sessions_pump(schedd);
	return 0;
}
