/*
 * What schedd keeps in memory: the installed agents as runnerd told them, and every session that
 * has not ended. Decides who may start next: highest priority first, agents of one priority in
 * turn, an agent's own sessions in order of arrival. An agent can be held, and a session deferred,
 * until a time. No I/O; schedd only.
 */
#ifndef SCARAB_SCHEDD_QUEUE_H
#define SCARAB_SCHEDD_QUEUE_H

#include <sys/queue.h>

#include "common/manifest.h"
#include "common/proto.h"
#include "ledger.h"
#include "standing.h"
#include "turns.h"
#include "wakes.h"

enum {
	QUEUE_LIMIT_DEFAULT = 16, /* concurrency.queue_limit, agent-manifest(5) */
};

struct agent;

struct session {
	TAILQ_ENTRY(session) in_agent; /* waiting only, and not deferred */
	LIST_ENTRY(session) in_bucket;
	struct wake deferred; /* waiting only: it may not start before */
	uint64_t delay_ms;    /* how long that was to be */
	struct uuid id;
	int64_t seq;
	struct agent *agent;
	uint32_t rank; /* in its agent's queue, where agent->ranked */
	enum session_state state;
	enum session_step step;
	uint32_t builds;
	uint64_t running_at_ms;
	bool held;                    /* runnerd named it since it was last introduced */
	enum session_outcome stop_as; /* what a stopping one shall end as */
	char *stop_reason;            /* owned */
	struct step_time steps[STEP_COUNT];
	struct msg_ended *unrecorded; /* owned: its end, which the ledger could not take yet */
};
TAILQ_HEAD(session_queue, session);

/* The youngest of an agent's sessions that ran and ended. */
struct last_run {
	bool known;
	int64_t seq; /* 0: none has */
	struct uuid session;
	enum session_outcome outcome;
	uint64_t ended_at_ms;
};

struct agent {
	struct turn turn; /* while one of its sessions may start */
	LIST_ENTRY(agent) in_bucket;
	struct wake hold; /* none of its sessions starts before */
	bool held;
	char name[AGENT_NAME_MAX + 1];
	bool installed; /* false: known from the ledger only, or damaged */
	bool damaged;   /* its plan in the store cannot be used */
	bool confirmed; /* told again since runnerd was last introduced */
	enum overlap policy;
	uint32_t max, queue_limit;
	int32_t priority;
	uint64_t timeout_ms;
	uint32_t retry_max;
	uint64_t backoff_ms, factor_milli, max_backoff_ms;
	enum restart_policy restart;
	uint32_t max_restarts;                            /* 0: without bound */
	uint64_t max_runs_per_day, failures_before_pause; /* 0: off */
	bool standing_known;                              /* read from the ledger's file */
	struct standing standing;
	struct last_run last_run;     /* from the ledger when first asked for */
	char *task, *model;           /* owned */
	struct session_queue waiting; /* without the deferred */
	bool ranked;
	uint32_t waiting_count, live_count; /* deferred ones wait, too */
	uint32_t ended;                     /* since this process began */
};

struct queue;

struct queue_limits {
	uint64_t sessions, per_agent, queue;
};

struct queue *queue_new(const struct queue_limits *limits);
void queue_free(struct queue *queue);
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);
uint32_t queue_waiting(const struct queue *queue);
uint32_t queue_live(const struct queue *queue);

/* NULL: never heard of. */
struct agent *queue_agent(struct queue *queue, const char *name);
/* As runnerd defines it, new or changed. NULL: out of memory. */
struct agent *queue_define(struct queue *queue, const struct msg_agent_def *def);
/* Its plan cannot be used, says runnerd. NULL: out of memory. */
struct agent *queue_damage(struct queue *queue, const char *name);
typedef void agent_fn(struct agent *agent, void *arg);
void queue_each_agent(struct queue *queue, agent_fn *fn, void *arg);
/* Starts a round of definitions: queue_define confirms; queue_sweep forgets the others and
 * returns how many. */
void queue_unconfirm(struct queue *queue);
uint32_t queue_sweep(struct queue *queue);

/* A session that has not ended joins: waiting when its state is queued, else live. Its agent is
 * made known when it is not. NULL: out of memory. */
struct session *queue_add(struct queue *queue, const struct uuid *id, int64_t seq,
			  const char *agent, enum session_state state);
struct session *queue_find(struct queue *queue, const struct uuid *id);
/* Leaves and is freed. */
void queue_remove(struct queue *queue, struct session *session);
/* Calls fn for each; fn may remove the session it is given, and no other. */
typedef void queue_fn(struct session *session, void *arg);
void queue_each(struct queue *queue, queue_fn *fn, void *arg);

enum admission {
	ADMIT_START,   /* a slot is free */
	ADMIT_WAIT,    /* it joins the queue */
	ADMIT_REPLACE, /* it joins the queue, and the agent's others are to be cancelled */
	ADMIT_SKIP,    /* policy skip, and one is there */
	ADMIT_FULL,    /* the agent's queue_limit */
	ADMIT_OVERFLOW /* limits.queue */
};
/* What becomes of one more session of this agent; open: sessions may start at all now. */
enum admission queue_admit(const struct queue *queue, const struct agent *agent, bool open);

/* The session that is to start next, NULL when none may. It stays waiting until queue_start. */
struct session *queue_next(struct queue *queue);
void queue_start(struct queue *queue, struct session *session);
/* Back to its old place. */
void queue_requeue(struct queue *queue, struct session *session);
/* 1 for the agent's next; 0 when it does not wait, or for its own time. */
uint32_t queue_position(struct session *session);

/* A waiting session may not start before at_ms, and that is delay_ms from when it began to wait. */
void queue_defer(struct queue *queue, struct session *session, int64_t at_ms, uint64_t delay_ms);
/* The clock was set: nobody waits for longer than the delay from now on, and holds are over. */
void queue_clock_set(struct queue *queue, int64_t now_ms);
/* None of the agent's sessions starts before then; NEVER: until queue_release. */
void queue_hold(struct queue *queue, struct agent *agent, int64_t until_ms);
void queue_release(struct queue *queue, struct agent *agent);
/* When the first hold ends, or the first deferred session may start; NEVER: none does. */
int64_t queue_wakes_at(const struct queue *queue);
/* Ends what was to end by now; true when something did. */
bool queue_wake(struct queue *queue, int64_t now_ms);
/* Of the agent's sessions, live ones before waiting ones and older before newer, those that must
 * end so that one more fits into max: calls fn for each. */
void queue_replaced(struct queue *queue, struct agent *agent, const struct session *by,
		    queue_fn *fn, void *arg);

#endif
