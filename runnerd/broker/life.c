/* The keeper's socket: what we write to it are signs of the agent's life, its end is the agent's.
 */
#include <errno.h>
#include <unistd.h>

#include "common/io.h"
#include "state.h"

/* The keeper closed its end, or is gone: the agent has ended. */
static void
life_ended(struct loop_source *source, uint32_t events, void *arg)
{
	(void)events;
	loop_remove(source);
	broker_stop(arg);
}

/* A full socket is sign enough, and an end of it is told by epoll. */
static void
sign(struct broker *broker)
{
	ssize_t n = write(BROKER_FD_LIFE, "", 1);

	(void)n;
	broker->signed_ns = boottime_ns();
	loop_arm_in(broker->life, LIFE_MS);
}

/* An agent that waits for a tool, or its operator, is not idle. */
static void
due(struct loop_source *source, void *arg)
{
	struct broker *broker = arg;

	(void)source;
	if (broker->calls.count > 0)
		sign(broker);
}

int
life_open(struct broker *broker)
{
	broker->life = loop_add_timer(broker->loop, due, broker);
	if (!broker->life || fd_set_nonblock(BROKER_FD_LIFE, true) < 0 ||
	    !loop_add_io(broker->loop, BROKER_FD_LIFE, EPOLLIN, life_ended, broker))
		return -errno;
	return 0;
}

void
life_sign(struct broker *broker)
{
	if (boottime_ns() - broker->signed_ns >= LIFE_MS * UINT64_C(1000000))
		sign(broker);
}
