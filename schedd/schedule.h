/*
 * Time's triggers: one heap, one timer on the wall clock, no wake-up between fires. What waits in
 * the queue for a time (queue.h) waits on the same timer. schedd only.
 *
 * A fire goes through session_fire(), whose row is unique by agent, trigger and scheduled time, and
 * only then is the trigger's cursor moved on: after a crash the same fire is tried again and found
 * to be recorded. The trigger goes on when the ledger has its cursor, for that alone tells of times
 * that were left out: a clock that is set back later must not bring them again. What passed while
 * schedd did not run, the host slept or the clock was set forward is missed, and the trigger's
 * `missed` decides; a second of grace is left to restarts. Where the clock is set back, what has
 * fired does not fire again; a clock that was more than a day ahead is taken to have been wrong. A
 * time that falls into a blackout of its agent is missed too, and made up for when the blackout
 * ends.
 */
#ifndef SCARAB_SCHEDD_SCHEDULE_H
#define SCARAB_SCHEDD_SCHEDULE_H

#include "schedd.h"
#include "schedule_blackout.h"
#include "triggers.h"
#include "triggers_table.h"

enum {
	MISSED_GRACE_MS = 1000,
	CATCH_UP_MAX = 100,   /* fires that run-all makes up for: the newest */
	RING_MAX = 64,        /* fires in one round of the loop */
	FIRE_AGAIN_MS = 1000, /* after the ledger could not take a fire */
	CLOCK_AHEAD_MS = 86400000,
	SCHEDULE_NEXT_MAX = 10000, /* times that one question may ask for */
};

/* The clock that fires follow; tests bring their own. arm: schedule_ring() is to be called at
 * at_ms, NEVER: not at all. */
struct wall_clock {
	int64_t (*now_ms)(void *arg);
	void (*arm)(void *arg, int64_t at_ms);
	void *arg;
};

struct schedule;

/* zoneinfo: the directory of tzdata or -1, the caller's. NULL with error. */
struct schedule *schedule_new(struct schedd *schedd, int zoneinfo, struct error *error);
void schedule_free(struct schedule *schedule);
void schedule_set_clock(struct schedule *schedule, const struct wall_clock *clock);

/* An agent is installed, or told of again: so many TRIGGER_DEFs of it follow. */
void schedule_define(struct schedule *schedule, const char *agent, uint32_t count);
void schedule_add(struct schedule *schedule, const struct msg_trigger_def *def);
void schedule_remove(struct schedule *schedule, const char *agent);
/* What runnerd told with them: the BLACKOUTs among rows (borrowed), -1: none. */
void schedule_darken(struct schedule *schedule, const char *agent, int rows);
/* All are told: forgets what the ledger's file holds of others, and fires from now on. */
void schedule_known(struct schedule *schedule);
/* From now on updates of tzdata are noticed. path: where it is, the caller's for good. 0, or -1
 * with error. */
int schedule_watch_zones(struct schedule *schedule, const char *path, struct error *error);
/* Reads tzdata again where it has changed: what is to come comes by the new rules, what has fired
 * stays. */
void schedule_reread_zones(struct schedule *schedule);
/* Fires what is due and wakes what waits in the queue for a time. stepped: the clock was set, or
 * the host slept. */
void schedule_ring(struct schedule *schedule, bool stepped);
/* Sets the timer anew: something else may wait for a time now. */
void schedule_follow(struct schedule *schedule);

/* When the agent's blackout ends, INT64_MAX: never; 0: it is in none. */
int64_t schedule_dark_until(struct schedule *schedule, const char *agent);
/* A fire that a blackout holds back: the scheduled times in (after, until], the newest max, oldest
 * first. */
size_t schedule_newest(const struct schedule *schedule, const struct trigger *trigger,
		       int64_t after, int64_t until, int64_t times[CATCH_UP_MAX], size_t max);

/* The agent's next fire, 0: none. */
uint64_t schedule_next_ms(const struct schedule *schedule, const char *agent);
/* ROWS of TRIGGER_ROW, as SCHEDULE_QUERY wants. -1 with error. */
int schedule_answer(struct schedule *schedule, const struct msg_schedule_query *query,
		    struct msg *answer, struct error *error);

/* For schedule_answers.c. */
const struct triggers *schedule_triggers(const struct schedule *schedule);
const struct zones *schedule_zones(const struct schedule *schedule);
struct blackouts *schedule_blackouts(const struct schedule *schedule);
struct triggers_table *schedule_table(const struct schedule *schedule);
int64_t schedule_now(const struct schedule *schedule);
struct schedd *schedule_owner(const struct schedule *schedule);

/* The machine's clock (schedule_clock.c): a timerfd that is told of steps and of sleep. NULL with
 * error. */
struct host_clock;
struct host_clock *host_clock_new(struct schedule *schedule, struct loop *loop,
				  struct wall_clock *clock, struct error *error);
void host_clock_free(struct host_clock *clock);

#endif
