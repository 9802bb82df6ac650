/*
 * Who waits for a time, in order of it: a pairing heap whose links are the waiters' own, so that
 * waiting needs no memory and cannot fail. To add costs nothing, to take one out about log n.
 * schedd only. Times are milliseconds since 1970 on the schedule's clock.
 */
#ifndef SCARAB_SCHEDD_WAKES_H
#define SCARAB_SCHEDD_WAKES_H

#include <stdbool.h>
#include <stdint.h>

#define NEVER INT64_MAX /* as a time: it does not come */

/* Zeroed: waits for nothing. */
struct wake {
	struct wake *child, *next, *before; /* before: the sibling to the left, or the parent */
	int64_t at_ms;
	bool waits;
};

struct wakes {
	struct wake *first; /* due before all others; NULL: nobody waits */
};

/* It must not wait already. */
void wakes_add(struct wakes *wakes, struct wake *wake, int64_t at_ms);
/* Nothing when it does not wait. */
void wakes_remove(struct wakes *wakes, struct wake *wake);

#endif
