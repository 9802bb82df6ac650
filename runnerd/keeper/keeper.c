#include "keeper.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"

static void
deadline_passed(struct loop_source *source, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	keeper_end_as(keeper, OUTCOME_TIMED_OUT, keeper->boot.grace_ms, "the timeout passed");
}

static void
patience_ended(struct loop_source *source, void *arg)
{
	(void)source;
	keeper_on(arg, EVENT_PATIENCE);
}

static int
make_loop(struct keeper *keeper, struct error *error)
{
	keeper->loop = loop_new();
	if (!keeper->loop)
		return error_errno(error, errno, "epoll");
	keeper->deadline = loop_add_timer(keeper->loop, deadline_passed, keeper);
	keeper->patience = loop_add_timer(keeper->loop, patience_ended, keeper);
	if (!keeper->deadline || !keeper->patience || output_open(keeper) < 0 ||
	    sandbox_watch(keeper) < 0 || plugins_watch(keeper) < 0 || idle_open(keeper) < 0 ||
	    oom_open(keeper) < 0)
		return error_errno(error, errno, "the keeper's loop");
	return link_open(keeper, error);
}

/* Each session's log says what it went without. */
static void
say_degraded(struct keeper *keeper)
{
	char text[sizeof(keeper->boot.degraded) + 64];

	snprintf(text, sizeof(text), "this host lacks %s; agentd.yaml accepts that",
		 keeper->boot.degraded);
	output_say(keeper, text);
}

/* The story of its privileges. */
static int
keep(struct keeper *keeper, struct error *error)
{
	CRASH_POINT("keeper.begin");
	if (keeper_receive(keeper, error) < 0 || keeper_make_nets(keeper, error) < 0 ||
	    keeper_fork_builders(keeper, error) < 0 || keeper_fork_broker(keeper, error) < 0 ||
	    keeper_fork_egress(keeper, error) < 0 || keeper_drop(keeper, error) < 0)
		return -1;
	segments_init(&keeper->segments, keeper->fds.segment, keeper->fds.next_segment,
		      keeper->boot.segment_bytes);
	if (make_loop(keeper, error) < 0)
		return -1;
	CRASH_POINT("keeper.up");
	link_owe(keeper, DUE_UP);
	if (keeper->boot.degraded[0])
		say_degraded(keeper);
	return loop_run(keeper->loop);
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int rc;

	if (!keeper)
		return 1;
	boot_begin(&keeper_start, KEEPER_FD_NET);
	keeper->link.fd = -1;
	keeper->init_pidfd = keeper->init_socket = keeper->layers = -1;
	rc = keep(keeper, &error);
	return rc < 0 ? boot_fail(&keeper_start, &error) : rc;
}
