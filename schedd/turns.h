/*
 * Whose turn it is: the agents that may start a session now, the highest priority first, those of
 * one priority in a round. Every call costs the same, however many there are. schedd only.
 */
#ifndef SCARAB_SCHEDD_TURNS_H
#define SCARAB_SCHEDD_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	PRIORITY_MAX = 100, /* and as far below 0: agent-manifest(5) */
	PRIORITIES = 2 * PRIORITY_MAX + 1,
	TURNS_WORDS = (PRIORITIES + 63) / 64,
};

/* A member of what has a turn; zeroed: it has none. */
struct turn {
	TAILQ_ENTRY(turn) entry;
	bool has;
	uint8_t level;
};
TAILQ_HEAD(turn_round, turn);

struct turns {
	struct turn_round rounds[PRIORITIES];
	uint64_t some[TURNS_WORDS]; /* a bit for each round that is not empty */
};

void turns_init(struct turns *turns);
/* Goes last in the round of its priority; nothing when it has its turn already. */
void turns_join(struct turns *turns, struct turn *turn, int32_t priority);
void turns_leave(struct turns *turns, struct turn *turn);
/* NULL: nobody's. It stays in its place. */
struct turn *turns_first(const struct turns *turns);

#endif
