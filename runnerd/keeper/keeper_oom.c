/*
 * On v2 the kernel kills the agent's leaf as a whole (memory.oom.group) and the keeper only finds
 * out why. v1 kills one process: it says so by an eventfd, before it does, to the group that is out
 * of memory and to every group below it. So an event is no proof; the count of those killed in this
 * very group is, and it is looked at a few times after each event.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "keeper.h"

enum {
	COUNTER_MAX = 1024,
	LOOK_FIRST_MS = 1, /* then twice as long each time */
	LOOK_LAST_MS = 1024,
};

/* "oom_kill N" is a line of memory.events (v2) and of memory.oom_control (v1). */
bool
oom_happened(const struct keeper *keeper)
{
	static const char word[] = "\noom_kill ";
	char text[COUNTER_MAX + 2];
	const char *at;
	ssize_t length;

	if (keeper->fds.oom_count < 0)
		return false;
	length = pread(keeper->fds.oom_count, text + 1, COUNTER_MAX, 0);
	if (length < 0)
		return false;
	text[0] = '\n';
	text[1 + length] = '\0';
	at = strstr(text, word);
	return at && strtoull(at + strlen(word), NULL, 10) > 0;
}

static void
end_if_killed(struct keeper *keeper)
{
	if (oom_happened(keeper)) {
		keeper_out_of_memory(keeper);
	} else if (keeper->oom_look_ms <= LOOK_LAST_MS) {
		loop_arm_in(keeper->oom_again, keeper->oom_look_ms);
		keeper->oom_look_ms *= 2;
	}
}

static void
look_again(struct loop_source *source, void *arg)
{
	(void)source;
	end_if_killed(arg);
}

static void
out_of_memory(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	uint64_t count;

	(void)source;
	(void)events;
	if (read(keeper->fds.oom_event, &count, sizeof(count)) != sizeof(count))
		return;
	keeper->oom_look_ms = LOOK_FIRST_MS;
	end_if_killed(keeper);
}

int
oom_open(struct keeper *keeper)
{
	if (keeper->fds.oom_event < 0)
		return 0;
	keeper->oom_again = loop_add_timer(keeper->loop, look_again, keeper);
	keeper->oom_source =
	    loop_add_io(keeper->loop, keeper->fds.oom_event, EPOLLIN, out_of_memory, keeper);
	return keeper->oom_again && keeper->oom_source ? 0 : -errno;
}
