/* A wall clock of the test's own for schedd's schedule: it stands until the test moves it. Included
 * by the one file of a test program. */
#ifndef SCARAB_TESTS_TEST_CLOCK_H
#define SCARAB_TESTS_TEST_CLOCK_H

#include "schedd/schedule.h"
#include "tests/unit/stage.h"

static int64_t clock_ms, armed_ms;

static int64_t
clock_now(void *arg)
{
	(void)arg;
	return clock_ms;
}

static void
clock_arm(void *arg, int64_t at_ms)
{
	(void)arg;
	armed_ms = at_ms;
}

static const struct wall_clock test_clock = {.now_ms = clock_now, .arm = clock_arm};

/* The clock runs until then; whoever rings is heard at once. How often did it ring? */
static inline unsigned
run_until(struct stage *stage, int64_t until)
{
	unsigned rings = 0;

	for (; armed_ms <= until; rings++) {
		if (armed_ms > clock_ms)
			clock_ms = armed_ms;
		schedule_ring(stage->schedd.schedule, false);
	}
	clock_ms = until;
	return rings;
}

#endif
