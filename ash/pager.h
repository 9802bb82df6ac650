/*
 * What is long goes through a pager, where a person looks at a terminal: $ASH_PAGER, else $PAGER,
 * else less. Empty or "cat": none. Never for JSON, pipes and what is followed.
 */
#ifndef ASH_PAGER_H
#define ASH_PAGER_H

#include "ash.h"

/* From here on standard output is the pager's, where there is one. */
void pager_start(struct ash *ash, const struct args *args);
/* Waits until the person is done. */
void pager_end(struct ash *ash);

#endif
