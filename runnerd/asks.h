/*
 * Calls that wait for an operator, of all live sessions. Each belongs to its session's broker,
 * which holds it and its deadline; runnerd knows what is told, and takes one answer to it. What is
 * over is remembered for a while, so that who answers second hears who was first.
 *
 * An id is made of what the broker told: it is the same after a restart of runnerd, and sorts by
 * time like a session's.
 */
#ifndef SCARAB_RUNNERD_ASKS_H
#define SCARAB_RUNNERD_ASKS_H

#include "runnerd.h"

struct asks_over;

struct asks_over *asks_over_new(void);
void asks_over_free(struct asks_over *over);

/* control's requests. */
void asks_query(struct runnerd *r, struct channel *channel, struct msg *msg);
void ask_answer(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
