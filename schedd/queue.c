/* Agents and sessions in memory; see queue.h. */
#include "queue.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum { BUCKETS = 1024 };

LIST_HEAD(session_bucket, session);
LIST_HEAD(agent_bucket, agent);

struct queue {
	struct queue_limits limits;
	struct turns turns;          /* of agents */
	struct wakes held, deferred; /* agents; sessions */
	uint32_t waiting, live;
	struct session_bucket sessions[BUCKETS];
	struct agent_bucket agents[BUCKETS];
};

#define CONTAINER(member_pointer, type, member)                                                    \
	((type *)(void *)((char *)(member_pointer)-offsetof(type, member)))

/* --- who may start ---------------------------------------------------------------------------- */

static bool
agent_has_slot(const struct queue *queue, const struct agent *agent)
{
	return agent->installed && agent->live_count < agent->max &&
	       agent->live_count < queue->limits.per_agent;
}

/* After everything that changes whether one of its sessions may start. */
static void
take_turn(struct queue *queue, struct agent *agent)
{
	if (!agent->held && !TAILQ_EMPTY(&agent->waiting) && agent_has_slot(queue, agent))
		turns_join(&queue->turns, &agent->turn, agent->priority);
	else
		turns_leave(&queue->turns, &agent->turn);
}

/* --- agents ----------------------------------------------------------------------------------- */

static struct agent_bucket *
agent_bucket(struct queue *queue, const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (const char *c = name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return &queue->agents[hash % BUCKETS];
}

struct agent *
queue_agent(struct queue *queue, const char *name)
{
	struct agent *agent;

	LIST_FOREACH(agent, agent_bucket(queue, name), in_bucket)
	{
		if (strcmp(agent->name, name) == 0)
			return agent;
	}
	return NULL;
}

static struct agent *
agent_new(struct queue *queue, const char *name)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return NULL;
	snprintf(agent->name, sizeof(agent->name), "%s", name);
	agent->max = 1;
	TAILQ_INIT(&agent->waiting);
	LIST_INSERT_HEAD(agent_bucket(queue, name), agent, in_bucket);
	return agent;
}

static void
agent_free(struct queue *queue, struct agent *agent)
{
	turns_leave(&queue->turns, &agent->turn);
	wakes_remove(&queue->held, &agent->hold);
	LIST_REMOVE(agent, in_bucket);
	free(agent->task);
	free(agent->model);
	free(agent);
}

/* What follows when one of its sessions has ended. */
static void
define_ends(struct agent *agent, const struct msg_agent_def *def)
{
	agent->retry_max = def->retry_max;
	agent->backoff_ms = def->backoff_ms;
	agent->factor_milli = def->factor_milli;
	agent->max_backoff_ms = def->max_backoff_ms;
	agent->restart = (enum restart_policy)def->restart;
	agent->max_restarts = def->max_restarts;
	agent->max_runs_per_day = def->max_runs_per_day;
	agent->failures_before_pause = def->failures_before_pause;
}

struct agent *
queue_define(struct queue *queue, const struct msg_agent_def *def)
{
	_cleanup_free_ char *task = strdup(def->task);
	_cleanup_free_ char *model = strdup(def->model);
	struct agent *agent = queue_agent(queue, def->agent);

	if (!task || !model)
		return NULL;
	if (!agent && !(agent = agent_new(queue, def->agent)))
		return NULL;
	free(agent->task);
	free(agent->model);
	agent->task = steal_ptr(&task);
	agent->model = steal_ptr(&model);
	agent->installed = agent->confirmed = true;
	agent->damaged = false;
	agent->policy = def->overlap == OVERLAP_ABSENT ? OVERLAP_QUEUE : (enum overlap)def->overlap;
	/* One session writes one home: without a word of the plan there is one at a time. */
	agent->max = def->max == 0 || def->max == UINT32_MAX ? 1 : def->max;
	agent->queue_limit =
	    def->queue_limit == UINT32_MAX ? QUEUE_LIMIT_DEFAULT : def->queue_limit;
	agent->priority = def->priority;
	agent->timeout_ms = def->timeout_ms;
	define_ends(agent, def);
	turns_leave(&queue->turns, &agent->turn); /* its priority may be another */
	queue_release(queue, agent);
	return agent;
}

struct agent *
queue_damage(struct queue *queue, const char *name)
{
	struct agent *agent = queue_agent(queue, name);

	if (!agent && !(agent = agent_new(queue, name)))
		return NULL;
	agent->installed = false;
	agent->damaged = agent->confirmed = true;
	take_turn(queue, agent);
	return agent;
}

static void
each_agent(struct queue *queue, void (*fn)(struct queue *queue, struct agent *agent, void *arg),
	   void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct agent *agent = LIST_FIRST(&queue->agents[i]);

		while (agent) {
			struct agent *next = LIST_NEXT(agent, in_bucket);

			fn(queue, agent, arg);
			agent = next;
		}
	}
}

struct agent_visit {
	agent_fn *fn;
	void *arg;
};

static void
visit(struct queue *queue, struct agent *agent, void *arg)
{
	const struct agent_visit *visited = arg;

	(void)queue;
	visited->fn(agent, visited->arg);
}

void
queue_each_agent(struct queue *queue, agent_fn *fn, void *arg)
{
	struct agent_visit visited = {.fn = fn, .arg = arg};

	each_agent(queue, visit, &visited);
}

static void
unconfirm(struct queue *queue, struct agent *agent, void *arg)
{
	(void)queue;
	(void)arg;
	agent->confirmed = false;
}

void
queue_unconfirm(struct queue *queue)
{
	each_agent(queue, unconfirm, NULL);
}

static void
sweep(struct queue *queue, struct agent *agent, void *arg)
{
	uint32_t *count = arg;

	if (agent->confirmed)
		return;
	*count += agent->installed;
	agent->installed = agent->damaged = false;
	take_turn(queue, agent);
	if (agent->waiting_count == 0 && agent->live_count == 0)
		agent_free(queue, agent);
}

uint32_t
queue_sweep(struct queue *queue)
{
	uint32_t count = 0;

	each_agent(queue, sweep, &count);
	return count;
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static struct session_bucket *
session_bucket(struct queue *queue, const struct uuid *id)
{
	uint32_t tail; /* the random end of a UUIDv7 */

	memcpy(&tail, id->bytes + 12, sizeof(tail));
	return &queue->sessions[tail % BUCKETS];
}

struct session *
queue_find(struct queue *queue, const struct uuid *id)
{
	struct session *session;

	LIST_FOREACH(session, session_bucket(queue, id), in_bucket)
	{
		if (uuid_equal(&session->id, id))
			return session;
	}
	return NULL;
}

/* In order of arrival; what comes back is older than most. */
static void
join_waiting(struct queue *queue, struct session *session)
{
	struct session_queue *waiting = &session->agent->waiting;
	struct session *first = TAILQ_FIRST(waiting), *after = TAILQ_LAST(waiting, session_queue);

	if (first && session->seq < first->seq)
		after = NULL;
	while (after && after->seq > session->seq)
		after = TAILQ_PREV(after, session_queue, in_agent);
	if (after)
		TAILQ_INSERT_AFTER(waiting, after, session, in_agent);
	else
		TAILQ_INSERT_HEAD(waiting, session, in_agent);
	session->agent->ranked = false;
	take_turn(queue, session->agent);
}

static void
leave_waiting(struct queue *queue, struct session *session)
{
	struct agent *agent = session->agent;

	if (session->deferred.waits)
		wakes_remove(&queue->deferred, &session->deferred);
	else
		TAILQ_REMOVE(&agent->waiting, session, in_agent);
	agent->ranked = false;
	take_turn(queue, agent);
}

static void
count_waiting(struct queue *queue, struct agent *agent, int more)
{
	agent->waiting_count += (uint32_t)more;
	queue->waiting += (uint32_t)more;
}

static void
count_live(struct queue *queue, struct agent *agent, int more)
{
	agent->live_count += (uint32_t)more;
	queue->live += (uint32_t)more;
	take_turn(queue, agent);
}

struct session *
queue_add(struct queue *queue, const struct uuid *id, int64_t seq, const char *name,
	  enum session_state state)
{
	struct agent *agent = queue_agent(queue, name);
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	if (!agent && !(agent = agent_new(queue, name))) {
		free(session);
		return NULL;
	}
	session->id = *id;
	session->seq = seq;
	session->agent = agent;
	session->state = state;
	for (int step = 0; step < STEP_COUNT; step++)
		session->steps[step].took_us = UINT64_MAX;
	LIST_INSERT_HEAD(session_bucket(queue, id), session, in_bucket);
	if (state == STATE_QUEUED) {
		count_waiting(queue, agent, 1);
		join_waiting(queue, session);
	} else {
		count_live(queue, agent, 1);
	}
	return session;
}

void
queue_remove(struct queue *queue, struct session *session)
{
	struct agent *agent = session->agent;

	if (session->state == STATE_QUEUED) {
		count_waiting(queue, agent, -1);
		leave_waiting(queue, session);
	} else {
		count_live(queue, agent, -1);
	}
	LIST_REMOVE(session, in_bucket);
	free(session->stop_reason);
	free(session->unrecorded);
	free(session);
	if (!agent->installed && !agent->damaged && agent->waiting_count == 0 &&
	    agent->live_count == 0)
		agent_free(queue, agent);
}

void
queue_each(struct queue *queue, queue_fn *fn, void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct session *session = LIST_FIRST(&queue->sessions[i]);

		while (session) {
			struct session *next = LIST_NEXT(session, in_bucket);

			fn(session, arg);
			session = next;
		}
	}
}

/* --- the queue itself ---------------------------------------------------------------------------
 */

struct queue *
queue_new(const struct queue_limits *limits)
{
	struct queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->limits = *limits;
	turns_init(&queue->turns);
	return queue;
}

static void
remove_session(struct session *session, void *arg)
{
	queue_remove(arg, session);
}

static void
remove_agent(struct queue *queue, struct agent *agent, void *arg)
{
	(void)arg;
	agent_free(queue, agent);
}

static void
turn_again(struct queue *queue, struct agent *agent, void *arg)
{
	(void)arg;
	take_turn(queue, agent);
}

void
queue_free(struct queue *queue)
{
	if (!queue)
		return;
	queue_each(queue, remove_session, queue);
	each_agent(queue, remove_agent, NULL);
	free(queue);
}

void
queue_set_limits(struct queue *queue, const struct queue_limits *limits)
{
	queue->limits = *limits;
	each_agent(queue, turn_again, NULL);
}

uint32_t
queue_waiting(const struct queue *queue)
{
	return queue->waiting;
}

uint32_t
queue_live(const struct queue *queue)
{
	return queue->live;
}

enum admission
queue_admit(const struct queue *queue, const struct agent *agent, bool open)
{
	bool crowded = agent->live_count + agent->waiting_count >= agent->max;

	if (agent->policy == OVERLAP_SKIP && crowded)
		return ADMIT_SKIP;
	if (agent->policy == OVERLAP_REPLACE && crowded)
		return ADMIT_REPLACE;
	if (open && TAILQ_EMPTY(&agent->waiting) && agent_has_slot(queue, agent) &&
	    queue->live < queue->limits.sessions)
		return ADMIT_START;
	if (queue->waiting >= queue->limits.queue)
		return ADMIT_OVERFLOW;
	if (agent->policy == OVERLAP_QUEUE && agent->waiting_count >= agent->queue_limit)
		return ADMIT_FULL;
	return ADMIT_WAIT;
}

struct session *
queue_next(struct queue *queue)
{
	struct turn *turn = turns_first(&queue->turns);

	if (!turn || queue->live >= queue->limits.sessions)
		return NULL;
	return TAILQ_FIRST(&CONTAINER(turn, struct agent, turn)->waiting);
}

void
queue_start(struct queue *queue, struct session *session)
{
	struct agent *agent = session->agent;

	turns_leave(&queue->turns, &agent->turn); /* who was served goes last */
	session->state = STATE_SETUP;
	session->step = STEP_NONE;
	count_waiting(queue, agent, -1);
	agent->live_count++;
	queue->live++;
	leave_waiting(queue, session);
}

void
queue_requeue(struct queue *queue, struct session *session)
{
	count_live(queue, session->agent, -1);
	session->state = STATE_QUEUED;
	session->step = STEP_NONE;
	count_waiting(queue, session->agent, 1);
	join_waiting(queue, session);
}

static void
rank(struct agent *agent)
{
	struct session *session;
	uint32_t position = 0;

	for (session = TAILQ_FIRST(&agent->waiting); session;
	     session = TAILQ_NEXT(session, in_agent))
		session->rank = ++position;
	agent->ranked = true;
}

uint32_t
queue_position(struct session *session)
{
	if (session->state != STATE_QUEUED || session->deferred.waits)
		return 0;
	if (!session->agent->ranked)
		rank(session->agent);
	return session->rank;
}

/* --- until a time -------------------------------------------------------------------------------
 */

void
queue_defer(struct queue *queue, struct session *session, int64_t at_ms, uint64_t delay_ms)
{
	leave_waiting(queue, session);
	session->delay_ms = delay_ms;
	wakes_add(&queue->deferred, &session->deferred, at_ms);
}

void
queue_hold(struct queue *queue, struct agent *agent, int64_t until_ms)
{
	wakes_remove(&queue->held, &agent->hold);
	if (until_ms != NEVER)
		wakes_add(&queue->held, &agent->hold, until_ms);
	agent->held = true;
	take_turn(queue, agent);
}

void
queue_release(struct queue *queue, struct agent *agent)
{
	wakes_remove(&queue->held, &agent->hold);
	agent->held = false;
	take_turn(queue, agent);
}

static void
release(struct queue *queue, struct agent *agent, void *arg)
{
	(void)arg;
	queue_release(queue, agent);
}

struct clock_set {
	struct queue *queue;
	int64_t now_ms;
};

static void
bound_delay(struct session *session, void *arg)
{
	const struct clock_set *set = arg;
	int64_t latest = set->now_ms + (int64_t)session->delay_ms;

	if (session->deferred.waits && session->deferred.at_ms > latest)
		queue_defer(set->queue, session, latest, session->delay_ms);
}

void
queue_clock_set(struct queue *queue, int64_t now_ms)
{
	struct clock_set set = {.queue = queue, .now_ms = now_ms};

	each_agent(queue, release, NULL);
	queue_each(queue, bound_delay, &set);
}

static int64_t
first_at(const struct wakes *wakes)
{
	return wakes->first ? wakes->first->at_ms : NEVER;
}

int64_t
queue_wakes_at(const struct queue *queue)
{
	int64_t held = first_at(&queue->held), deferred = first_at(&queue->deferred);

	return held < deferred ? held : deferred;
}

bool
queue_wake(struct queue *queue, int64_t now_ms)
{
	bool any = false;

	for (; first_at(&queue->held) <= now_ms; any = true)
		queue_release(queue, CONTAINER(queue->held.first, struct agent, hold));
	for (; first_at(&queue->deferred) <= now_ms; any = true) {
		struct session *session =
		    CONTAINER(queue->deferred.first, struct session, deferred);

		wakes_remove(&queue->deferred, &session->deferred);
		join_waiting(queue, session);
	}
	return any;
}

/* --- what is replaced ---------------------------------------------------------------------------
 */

struct replacement {
	const struct session *by;
	struct session **found;
	uint32_t count, room;
};

static void
collect_other(struct session *session, void *arg)
{
	struct replacement *replacement = arg;

	if (session != replacement->by && session->agent == replacement->by->agent &&
	    session->state != STATE_STOPPING && replacement->count < replacement->room)
		replacement->found[replacement->count++] = session;
}

/* Live before waiting, then oldest first. */
static int
compare_age(const void *a, const void *b)
{
	const struct session *first = *(struct session *const *)a;
	const struct session *second = *(struct session *const *)b;
	int waits = (first->state == STATE_QUEUED) - (second->state == STATE_QUEUED);

	return waits ? waits : (first->seq > second->seq) - (first->seq < second->seq);
}

void
queue_replaced(struct queue *queue, struct agent *agent, const struct session *by, queue_fn *fn,
	       void *arg)
{
	struct replacement replacement = {.by = by};
	_cleanup_free_ struct session **found = NULL;

	replacement.room = agent->live_count + agent->waiting_count;
	found = calloc(replacement.room, sizeof(struct session *));
	if (!found)
		return;
	replacement.found = found;
	queue_each(queue, collect_other, &replacement);
	qsort(found, replacement.count, sizeof(struct session *), compare_age);
	for (uint32_t i = 0; i < replacement.count && replacement.count - i >= agent->max; i++)
		fn(found[i], arg);
}
