/* The machine's wall clock; see schedule.h. */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "schedule.h"

enum { MS = 1000, NS_PER_MS = 1000000 };

struct host_clock {
	struct schedule *schedule;
	struct loop_source *source;
	int fd;
	bool stepped; /* the kernel said so, schedule_ring() has not heard it yet */
};

static int64_t
now_ms(void *arg)
{
	(void)arg;
	return (int64_t)realtime_ms();
}

static bool
set_timer(const struct host_clock *clock, int64_t at_ms)
{
	struct itimerspec when = {
	    .it_value = {.tv_sec = at_ms / MS, .tv_nsec = at_ms % MS * NS_PER_MS},
	};

	return timerfd_settime(clock->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
			       NULL) == 0;
}

/* Far away instead of not at all: a timer that is not set is not told of steps either. Whoever sets
 * it anew before it was read is told instead of the reader (timerfd_create(2), NOTES), and passes
 * that on by a timer that rings at once. */
static void
arm(void *arg, int64_t at_ms)
{
	struct host_clock *clock = arg;
	int64_t at = at_ms < 1 ? 1 : at_ms > INSTANT_MAX * MS ? INSTANT_MAX * MS : at_ms;

	if (!clock->stepped && set_timer(clock, at))
		return;
	clock->stepped = clock->stepped || errno == ECANCELED;
	if (!clock->stepped || (!set_timer(clock, 1) && errno != ECANCELED))
		log_error("setting the timer of triggers: %s", strerror(errno));
}

/* ECANCELED: the clock was set; the kernel does the same when the host wakes up. */
static void
rung(struct loop_source *source, uint32_t events, void *arg)
{
	struct host_clock *clock = arg;
	uint64_t times;
	bool stepped =
	    (read(clock->fd, &times, sizeof(times)) < 0 && errno == ECANCELED) || clock->stepped;

	(void)source;
	(void)events;
	clock->stepped = false;
	schedule_ring(clock->schedule, stepped);
}

struct host_clock *
host_clock_new(struct schedule *schedule, struct loop *loop, struct wall_clock *wall,
	       struct error *error)
{
	struct host_clock *clock = calloc(1, sizeof(*clock));

	if (!clock) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	clock->schedule = schedule;
	clock->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (clock->fd >= 0)
		clock->source = loop_add_io(loop, clock->fd, EPOLLIN, rung, clock);
	if (!clock->source) {
		error_errno(error, errno, "making the timer of triggers");
		host_clock_free(clock);
		return NULL;
	}
	arm(clock, NEVER); /* from now on it is told of steps */
	*wall = (struct wall_clock){.now_ms = now_ms, .arm = arm, .arg = clock};
	return clock;
}

void
host_clock_free(struct host_clock *clock)
{
	if (!clock)
		return;
	loop_remove(clock->source);
	close_fd(&clock->fd);
	free(clock);
}
