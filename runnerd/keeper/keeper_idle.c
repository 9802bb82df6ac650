#include <errno.h>
#include <unistd.h>

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
			      "it neither wrote output nor took input nor used a tool for "
			      "idle_timeout_secs");
}

/* What the broker writes are such signs, whatever it is. */
static void
broker_signed(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	char signs[64];
	ssize_t n = read(keeper->broker_life, signs, sizeof(signs));

	(void)events;
	if (n > 0) {
		idle_sign(keeper);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		loop_remove(source);
		keeper->broker_signs = NULL;
	}
}

static int
watch_broker(struct keeper *keeper)
{
	if (keeper->broker_life < 0)
		return 0;
	keeper->broker_signs =
	    loop_add_io(keeper->loop, keeper->broker_life, EPOLLIN, broker_signed, keeper);
	return keeper->broker_signs ? 0 : -errno;
}

int
idle_open(struct keeper *keeper)
{
	if (!keeper->boot.idle_ms)
		return 0;
	keeper->idle = loop_add_timer(keeper->loop, quiet_for_long, keeper);
	return keeper->idle ? watch_broker(keeper) : -errno;
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
