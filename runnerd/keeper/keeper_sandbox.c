#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "keeper.h"

/* --- the nursery ------------------------------------------------------------------------------ */

static void
build_failed(struct keeper *keeper, const char *what, const char *why)
{
	snprintf(keeper->record.reason, sizeof(keeper->record.reason), "%.500s%s%.500s", what,
		 *what ? ": " : "", why);
	output_clean(keeper, keeper->record.reason, sizeof(keeper->record.reason));
	keeper_on(keeper, EVENT_BUILD_FAILED);
}

static void init_ready(struct loop_source *source, uint32_t events, void *arg);
static void init_ended(struct loop_source *source, uint32_t events, void *arg);

static void
take_init(struct keeper *keeper, struct msg *msg)
{
	keeper->init = (pid_t)msg->nursery_init.pid;
	keeper->init_pidfd = msg_take_fd(msg, 0);
	keeper->init_socket = msg_take_fd(msg, 1);
	keeper->pidfd_source =
	    loop_add_io(keeper->loop, keeper->init_pidfd, EPOLLIN, init_ended, keeper);
	keeper->init_source =
	    loop_add_io(keeper->loop, keeper->init_socket, EPOLLIN, init_ready, keeper);
	if (keeper->pidfd_source && keeper->init_source)
		keeper_on(keeper, EVENT_BUILT);
	else
		build_failed(keeper, "watching init", strerror(errno));
}

static void
close_nursery(struct keeper *keeper)
{
	loop_remove(keeper->nursery_source);
	keeper->nursery_source = NULL;
	close_fd(&keeper->nursery);
}

bool
sandbox_look(struct keeper *keeper)
{
	static struct msg msg;
	int rc;

	if (keeper->nursery < 0)
		return false;
	rc = msg_recv_now(keeper->nursery, CH_NURSERY, SIDE_B, IN_OPEN, &msg);
	if (rc == -EAGAIN)
		return false;
	if (rc == 1 && msg.type == MSG_NURSERY_INIT) {
		if (msg.nursery_init.place > 0)
			plugin_take(keeper, &msg);
		else if (keeper->init_pidfd < 0)
			take_init(keeper, &msg);
		msg_close_fds(&msg);
		return true;
	}
	close_nursery(keeper);
	if (keeper->state != KEEPER_BUILDING) {
		if (rc == 1)
			msg_close_fds(&msg);
		return false; /* their work is done */
	}
	if (rc == 1 && msg.type == MSG_ERROR)
		build_failed(keeper, msg.error.what, msg.error.why);
	else
		build_failed(keeper, "", "the builder ended before the sandbox was complete");
	if (rc == 1)
		msg_close_fds(&msg);
	return false;
}

static void
nursery_ready(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	sandbox_look(arg);
}

static void
builder_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct child *builder = arg;

	(void)events;
	waitpid(builder->pid, NULL, WNOHANG);
	loop_remove(source);
	close_fd(&builder->pidfd);
}

int
sandbox_watch(struct keeper *keeper)
{
	keeper->nursery_source =
	    loop_add_io(keeper->loop, keeper->nursery, EPOLLIN, nursery_ready, keeper);
	if (!keeper->nursery_source)
		return -errno;
	for (unsigned i = 0; i <= keeper->boot.plugins; i++) {
		struct child *builder = &keeper->builders[i];

		builder->source =
		    loop_add_io(keeper->loop, builder->pidfd, EPOLLIN, builder_ended, builder);
		if (!builder->source)
			return -errno;
	}
	return 0;
}

/* --- init ------------------------------------------------------------------------------------- */

static void
agent_started(struct keeper *keeper, const struct msg_init_started *started)
{
	struct msg_exit_record *record = &keeper->record;

	if (started->errnum) {
		snprintf(record->reason, sizeof(record->reason), "%s", started->why);
		output_clean(keeper, record->reason, sizeof(record->reason));
		keeper_on(keeper, EVENT_EXEC_FAILED);
		return;
	}
	record->started = true;
	record->running_at_ms = realtime_ms();
	keeper->running_ns = boottime_ns();
	link_owe(keeper, DUE_RUNNING);
	keeper_on(keeper, EVENT_STARTED);
}

static void
agent_ended(struct keeper *keeper, const struct msg_init_ended *ended)
{
	keeper->exit_known = true;
	keeper->record.exit_code = ended->exit_code;
	keeper->record.signal = ended->signal;
	keeper_on(keeper, EVENT_AGENT_ENDED);
}

/* False when nothing more comes. */
static bool
hear_init(struct keeper *keeper)
{
	static struct msg msg;
	int rc;

	if (keeper->init_socket < 0)
		return false;
	rc = msg_recv_now(keeper->init_socket, CH_INIT, SIDE_A, IN_OPEN, &msg);
	if (rc == 1 && msg.type == MSG_INIT_STARTED)
		agent_started(keeper, &msg.init_started);
	else if (rc == 1 && msg.type == MSG_INIT_ENDED)
		agent_ended(keeper, &msg.init_ended);
	else if (rc != -EAGAIN)
		sandbox_abandon(keeper);
	return rc == 1;
}

static void
init_ready(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	hear_init(arg);
}

/* Its last words lie in the socket still. */
static void
init_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;

	(void)events;
	loop_remove(source); /* readable from now on */
	keeper->pidfd_source = NULL;
	while (hear_init(keeper))
		;
	keeper_on(keeper, EVENT_INIT_EXIT);
}

static void
tell_init(struct keeper *keeper, const struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(msg, bytes, sizeof(bytes));

	/* Two small messages at most in its life; a socket that has no room is a dead init's. */
	if (length < 0 || msg_send_raw(keeper->init_socket, bytes, (size_t)length, NULL, 0) < 0)
		sandbox_abandon(keeper);
}

void
sandbox_go(struct keeper *keeper)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_GO);
	tell_init(keeper, &msg);
}

void
sandbox_stop(struct keeper *keeper, uint64_t grace_ms)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_STOP);
	msg.init_stop.grace_ms = grace_ms;
	tell_init(keeper, &msg);
}

void
sandbox_abandon(struct keeper *keeper)
{
	loop_remove(keeper->init_source);
	keeper->init_source = NULL;
	close_fd(&keeper->init_socket);
}
