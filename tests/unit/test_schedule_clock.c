// with: schedd/*.c
/* The machine's clock, as a kernel of the test's own has it: hours ahead when the test says so. */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "schedd/schedule.h"
#include "tests/unit/stage.h"

enum { HOUR_S = 3600 };

static struct {
	time_t ahead_s;
	bool stepped; /* and no timer was told of it */
} kernel;

#define EXPORT __attribute__((visibility("default")))

EXPORT int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_REALTIME)
		now->tv_sec += kernel.ahead_s;
	return rc;
}

/* timerfd_create(2), NOTES: the timer is set, and whoever sets it is told of the step. */
EXPORT int
timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	struct itimerspec real = *when;
	bool told = (flags & TFD_TIMER_CANCEL_ON_SET) && kernel.stepped;

	if (flags & TFD_TIMER_CANCEL_ON_SET) {
		real.it_value.tv_sec -= real.it_value.tv_sec > kernel.ahead_s ? kernel.ahead_s : 0;
		kernel.stepped = false;
	}
	if (syscall(SYS_timerfd_settime, fd, flags, &real, old) < 0)
		return -1;
	errno = ECANCELED;
	return told ? -1 : 0;
}

static void
tell_hourly(struct stage *stage)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_DEF);
	strcpy(msg.agent_def.agent, "hourly");
	msg.agent_def.max = msg.agent_def.queue_limit = 1;
	ck_assert_ptr_nonnull(queue_define(stage->schedd.queue, &msg.agent_def));
	schedule_define(stage->schedd.schedule, "hourly", 1);
	msg_init(&msg, MSG_TRIGGER_DEF);
	strcpy(msg.trigger_def.agent, "hourly");
	msg.trigger_def.kind = TRIGGER_EVERY;
	msg.trigger_def.every_ms = (uint64_t)HOUR_S * 1000;
	msg.trigger_def.at_ms = msg.trigger_def.missed_within_ms = ABSENT;
	msg.trigger_def.missed = MISSED_SKIP;
	schedule_add(stage->schedd.schedule, &msg.trigger_def);
	stage->schedd.known = true;
	schedule_known(stage->schedd.schedule);
}

static int
count_one(const struct ledger_session *session, void *arg)
{
	(void)session;
	++*(unsigned *)arg;
	return 0;
}

/* Something else happens first, and sets the timer anew before it was read. */
START_TEST(a_step_that_is_told_while_the_timer_is_set)
{
	struct stage *stage = begin();
	struct ledger_filter filter = {.agent = "hourly"};
	unsigned fires = 0;

	tell_hourly(stage);
	kernel.ahead_s += 5 * HOUR_S;
	kernel.stepped = true;
	schedule_follow(stage->schedd.schedule);
	ck_assert(!kernel.stepped);
	schedule_follow(stage->schedd.schedule);
	settle(stage->loop);
	ck_assert_int_eq(ledger_each(stage->schedd.ledger, &filter, count_one, &fires, NULL), 0);
	ck_assert_uint_eq(fires, 0); /* missed: a fire that is late would be there */
	ck_assert_uint_gt(schedule_next_ms(stage->schedd.schedule, "hourly"), realtime_ms());
	schedd_release(&stage->schedd);
	loop_free(stage->loop);
	free(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {a_step_that_is_told_while_the_timer_is_set};

	return run_suite(tests, ARRAY_LEN(tests));
}
