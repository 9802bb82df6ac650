#include "turns.h"

#include <stddef.h>

enum { WORD_BITS = 64 };

void
turns_init(struct turns *turns)
{
	for (unsigned i = 0; i < PRIORITIES; i++)
		TAILQ_INIT(&turns->rounds[i]);
}

void
turns_join(struct turns *turns, struct turn *turn, int32_t priority)
{
	int32_t bounded = priority > PRIORITY_MAX    ? PRIORITY_MAX
			  : priority < -PRIORITY_MAX ? -PRIORITY_MAX
						     : priority;

	if (turn->has)
		return;
	turn->has = true;
	turn->level = (uint8_t)(bounded + PRIORITY_MAX);
	TAILQ_INSERT_TAIL(&turns->rounds[turn->level], turn, entry);
	turns->some[turn->level / WORD_BITS] |= UINT64_C(1) << turn->level % WORD_BITS;
}

void
turns_leave(struct turns *turns, struct turn *turn)
{
	if (!turn->has)
		return;
	turn->has = false;
	TAILQ_REMOVE(&turns->rounds[turn->level], turn, entry);
	if (TAILQ_EMPTY(&turns->rounds[turn->level]))
		turns->some[turn->level / WORD_BITS] &= ~(UINT64_C(1) << turn->level % WORD_BITS);
}

struct turn *
turns_first(const struct turns *turns)
{
	for (int i = TURNS_WORDS - 1; i >= 0; i--) {
		if (turns->some[i] == 0)
			continue;
		return TAILQ_FIRST(&turns->rounds[i * WORD_BITS + WORD_BITS - 1 -
						  __builtin_clzll(turns->some[i])]);
	}
	return NULL;
}
