/*
 * The blackouts of agents: while one of its expressions matches, no session of an agent starts.
 * An expression of five fields matches for the whole minute that it names, one with seconds for the
 * second; by what the clocks of its zone show, so that an hour that is shown twice is dark twice
 * and one that is skipped never. schedd only; no clock of its own, no I/O. Times are milliseconds
 * since 1970.
 *
 * An agent whose blackouts cannot be used is in one: fail closed.
 */
#ifndef SCARAB_SCHEDD_SCHEDULE_BLACKOUT_H
#define SCARAB_SCHEDD_SCHEDULE_BLACKOUT_H

#include "common/proto.h"
#include "zones.h"

enum {
	BLACKOUTS_MAX = 32,         /* of a manifest */
	BLACKOUT_SEEN_DAYS = 3300,  /* so far an end is looked for: over nine years */
	BLACKOUT_STEPS_MAX = 20000, /* and in so many steps; then from there on again */
	BLACKOUT_TEXT_MAX = 64 + 1, /* blackout_text() */
};

struct blackouts;

/* The zones stay the caller's and must outlive it. NULL without memory. */
struct blackouts *blackouts_new(struct zones *zones);
void blackouts_free(struct blackouts *blackouts);

/* rows: BLACKOUTs among others, or -1: none (borrowed). What was there of the agent is gone in
 * every case. 0, or -1 with error: it is in a blackout until it is told anew. */
int blackouts_set(struct blackouts *blackouts, const char *agent, int rows, struct error *error);
bool blackouts_has(const struct blackouts *blackouts, const char *agent);

/* When the blackout of the agent at that time ends, INT64_MAX: never; 0: it is in none. */
int64_t blackouts_until(struct blackouts *blackouts, const char *agent, int64_t at_ms);
/* The zones are others now. */
void blackouts_look_again(struct blackouts *blackouts);
/* "blackout until TIME", in UTC. */
char *blackout_text(int64_t until_ms, char text[BLACKOUT_TEXT_MAX]);

#endif
