#include <errno.h>

#include "keeper.h"

#define NS_PER_MS UINT64_C(1000000)

/* A sign of life only notes the time; the timer finds out when it fires that there was one. */
static void
quiet_for_long(struct loop_source *source, void *arg)
{
	struct keeper *keeper = arg;
	uint64_t until = keeper->active_ns + keeper->boot.idle_ms * NS_PER_MS;

	if (boottime_ns() < until)
		loop_arm(source, until);
	else
		keeper_end_as(keeper, OUTCOME_IDLE_TIMED_OUT, keeper->boot.grace_ms,
			      "it neither wrote output nor took input for idle_timeout_secs");
}

int
idle_open(struct keeper *keeper)
{
	if (!keeper->boot.idle_ms)
		return 0;
	keeper->idle = loop_add_timer(keeper->loop, quiet_for_long, keeper);
	return keeper->idle ? 0 : -errno;
}

void
idle_sign(struct keeper *keeper)
{
	if (keeper->idle)
		keeper->active_ns = boottime_ns();
}

void
idle_start(struct keeper *keeper)
{
	idle_sign(keeper);
	if (keeper->idle)
		loop_arm_in(keeper->idle, keeper->boot.idle_ms);
}
