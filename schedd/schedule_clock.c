/* The machine's wall clock; see schedule.h. */
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
};

static int64_t
now_ms(void *arg)
{
	(void)arg;
	return (int64_t)realtime_ms();
}

/* Far away instead of not at all: a timer that is not set is not told of steps either. */
static void
arm(void *arg, int64_t at_ms)
{
	struct host_clock *clock = arg;
	int64_t at = at_ms < 1 ? 1 : at_ms > INSTANT_MAX * MS ? INSTANT_MAX * MS : at_ms;
	struct itimerspec when = {
	    .it_value = {.tv_sec = at / MS, .tv_nsec = at % MS * NS_PER_MS},
	};

	if (timerfd_settime(clock->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) <
	    0)
		log_error("setting the timer of triggers: %s", strerror(errno));
}

/* ECANCELED: the clock was set; the kernel does the same when the host wakes up. */
static void
rung(struct loop_source *source, uint32_t events, void *arg)
{
	struct host_clock *clock = arg;
	uint64_t times;
	bool stepped = read(clock->fd, &times, sizeof(times)) < 0 && errno == ECANCELED;

	(void)source;
	(void)events;
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
