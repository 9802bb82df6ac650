/*
 * What the network of a session denied its agent, as the session's log tells it: lines of the
 * runtime's own stream, which no agent writes.
 */
#ifndef ASH_DENIALS_H
#define ASH_DENIALS_H

#include "ash.h"

enum { DENIALS_SHOWN = 8, DENIAL_TEXT_MAX = 511 };

/* Different ones, in the order in which they came first. */
struct denials {
	char texts[DENIALS_SHOWN][DENIAL_TEXT_MAX + 1]; /* "NAME:PORT: why" */
	unsigned count;
	bool more; /* than are shown */
};

/* A session that has no log has none. -1 with error. */
int denials_read(struct ash *ash, const char *ref, struct denials *denials, struct error *error);

#endif
