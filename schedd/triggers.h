/*
 * Every trigger that time fires, prepared, in one heap by when it is due: 58 bytes for the trigger
 * and 4 for its place, which leaves two for its share of its agent's name. schedd only; no I/O.
 * What a fire carries lies in the ledger's file (triggers_table.h).
 *
 * A fire's scheduled time is what its expression names. A trigger with jitter fires later by a
 * delay of its own, always the same. All times are milliseconds since 1970.
 */
#ifndef SCARAB_SCHEDD_TRIGGERS_H
#define SCARAB_SCHEDD_TRIGGERS_H

#include "common/cron.h"
#include "common/limits.h"
#include "common/manifest.h"
#include "wakes.h"
#include "zones.h"

struct trigger {
	union {
		struct cron cron;
		int64_t period_ms, at_ms;
	};
	int64_t due_ms; /* its next fire's scheduled time and delay; NEVER */
	uint32_t delay_ms;
	uint32_t place : 6;  /* its entry in the manifest */
	uint32_t owner : 26; /* set by triggers_put */
	uint16_t kind : 4;   /* enum trigger_kind */
	uint16_t zone : 12;
} __attribute__((packed, aligned(2)));
enum { TRIGGER_OWNERS_MAX = 1 << 26 };
_Static_assert(sizeof(struct trigger) == 58, "a million triggers are 64 MB with their agents");
/* Who fills these fields says so with &, for the compiler. */
_Static_assert(TRIGGERS_MAX == 1 << 6 && ZONES_MAX == 1 << 12 && TRIGGER_WEBHOOK < 1 << 4,
	       "what a trigger names fits into its bits");

/* The first scheduled time after one. */
int64_t trigger_next(const struct trigger *trigger, const struct zones *zones, int64_t after_ms);
/* How long after the scheduled time it is due, at most jitter_ms: always the same for an agent's
 * trigger. */
uint32_t trigger_delay(const char *agent, const char *id, uint64_t jitter_ms);

struct triggers;

struct triggers *triggers_new(void); /* NULL: out of memory */
void triggers_free(struct triggers *triggers);
/* Takes the place of all that the agent has; due_ms of each is set. 0, or -1: out of memory, and
 * nothing is changed. */
int triggers_put(struct triggers *triggers, const char *agent, const struct trigger *all,
		 size_t count);
/* What is due first, NULL for nothing at all. */
struct trigger *triggers_first(const struct triggers *triggers);
/* The first one is due at another time. */
void triggers_move_first(struct triggers *triggers, int64_t due_ms);
/* Calls fn for each of an agent's, NULL: of all, in the manifest's order. */
typedef void trigger_fn(const struct trigger *trigger, const char *agent, void *arg);
void triggers_each(const struct triggers *triggers, const char *agent, trigger_fn *fn, void *arg);
const char *triggers_owner(const struct triggers *triggers, const struct trigger *trigger);
/* The heap anew, after fn changed when each is due. */
typedef int64_t trigger_due_fn(const struct trigger *trigger, void *arg);
void triggers_due_again(struct triggers *triggers, trigger_due_fn *fn, void *arg);
size_t triggers_count(const struct triggers *triggers);

#endif
