/* A plugin's life as the broker sees it: handover, readiness, end, restart. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "state.h"

enum {
	LOG_A_SECOND = 10,
	GONE_ROUNDS = 256,   /* reads of what a plugin that ended left behind */
	GONE_WAIT_MS = 1000, /* for the news of the end of one that closed its output */
};

/* --- words ----------------------------------------------------------------------------------- */

static void
say_unlogged(struct server *server)
{
	if (server->unlogged)
		log_info("plugin %s: %u more lines like these were not logged", server->plan.name,
			 server->unlogged);
	server->unlogged = 0;
}

void
server_log(struct server *server, const char *fmt, ...)
{
	uint64_t now = boottime_ns();
	char text[512];
	va_list ap;

	if (now - server->logged_ns > UINT64_C(1000000000)) {
		server->logged_ns = now;
		server->logged = 0;
		say_unlogged(server);
	}
	if (++server->logged > LOG_A_SECOND) {
		server->unlogged++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean_text(&server->broker->cleaner, text, sizeof(text));
	log_info("plugin %s: %s", server->plan.name, text);
}

static void
enter(struct server *server, enum server_state state, const char *why)
{
	server->state = state;
	snprintf(server->why, sizeof(server->why), "%s", why);
	clean_text(&server->broker->cleaner, server->why, sizeof(server->why));
	link_tell_server(server);
	if (server->why[0])
		server_log(server, "%s", server->why);
}

/* --- its pipes ------------------------------------------------------------------------------- */

static void
close_pipes(struct server *server)
{
	loop_remove(server->in_source);
	loop_remove(server->out_source);
	server->in_source = server->out_source = NULL;
	outq_free(&server->queue);
	frame_free(&server->frame);
	close_fd(&server->in);
	close_fd(&server->out);
}

/* A process that ends closes its pipes a moment before runnerd can tell why it ended; while nobody
 * waits for an answer, that reason is waited for. */
static void
pipe_ended(struct server *server, const char *why)
{
	if (server->state != SERVER_STARTING || server->was_ready) {
		server_break(server, "%s", why);
		return;
	}
	if (server->ended_why)
		return;
	server->ended_why = why;
	loop_remove(server->out_source);
	loop_remove(server->in_source);
	server->out_source = server->in_source = NULL;
	loop_arm_in(server->timer, GONE_WAIT_MS);
}

/* One read. False when nothing more is to be read now. */
static bool
read_some(struct server *server)
{
	struct broker *broker = server->broker;
	uint32_t generation = server->generation;
	ssize_t n = read(server->out, broker->scratch, sizeof(broker->scratch));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 && broker->stopping) {
		close_pipes(server);
		broker_drained(broker);
		return false;
	}
	if (broker->stopping)
		return true;
	if (n <= 0) {
		pipe_ended(server, "it closed its standard output");
		return false;
	}
	frame_feed(&server->frame, broker->scratch, (size_t)n, server_line, server);
	agents_pressure(broker);
	return server->out >= 0 && server->generation == generation;
}

static void
out_ready(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	read_some(arg);
}

static void
in_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct server *server = arg;

	(void)source;
	if (outq_flush(&server->queue) < 0 || (events & EPOLLERR))
		pipe_ended(server, "it closed its standard input");
}

static void
in_waits(bool waiting, void *arg)
{
	struct server *server = arg;

	if (server->in_source)
		loop_set_events(server->in_source, waiting ? EPOLLOUT : 0U);
}

/* What could not be written breaks the plugin, but not below the feet of who wrote. */
static int
sent(struct server *server, int rc)
{
	if (rc == -EPIPE && !server->unwritable) {
		server->unwritable = true;
		loop_arm(server->broker->reaper, 1);
	}
	return rc;
}

int
server_send(struct server *server, const struct iovec *pieces, int count, uint64_t tag)
{
	if (server->in < 0 || server->unwritable)
		return -EPIPE;
	return sent(server, outq_send(&server->queue, pieces, count, tag));
}

int
server_send_first(struct server *server, const struct iovec *pieces, int count)
{
	if (server->in < 0 || server->unwritable)
		return -EPIPE;
	return sent(server, outq_send_first(&server->queue, pieces, count));
}

void
servers_pause(struct broker *broker, bool paused)
{
	for (size_t i = 0; i < broker->server_count && !broker->stopping; i++)
		if (broker->servers[i].out_source)
			loop_set_events(broker->servers[i].out_source, paused ? 0U : EPOLLIN);
}

void
servers_reap(struct broker *broker)
{
	for (size_t i = 0; i < broker->server_count; i++)
		if (broker->servers[i].unwritable)
			pipe_ended(&broker->servers[i], "it closed its standard input");
}

/* --- its end --------------------------------------------------------------------------------- */

static void
tell_calls(struct server *server, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "the plugin %s is gone: %.180s", server->plan.name, why);
	calls_fail(server->broker, server, CALL_DIED, text);
}

static void
put_down(struct server *server, const char *why)
{
	bool lived = server->out >= 0;

	close_pipes(server);
	server->unwritable = false;
	server->state = SERVER_WAITING; /* whatever its calls' ends do, it is no more */
	server_forget_lists(server);
	loop_arm(server->timer, 0);
	loop_arm(server->relist, 0);
	if (lived)
		link_want(server, server->generation, false, why);
	tell_calls(server, why);
}

static void
fail_for_good(struct server *server, const char *why)
{
	put_down(server, why);
	enter(server, SERVER_FAILED, why);
	registry_drop(server->broker, server);
	broker_settled(server->broker);
}

void
server_fail(struct server *server, const char *fmt, ...)
{
	char why[REASON_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (server->state != SERVER_FAILED)
		fail_for_good(server, why);
}

static uint64_t
pause_ms(unsigned failures)
{
	uint64_t pause = RESTART_FIRST_MS;

	for (unsigned i = 1; i < failures && pause < RESTART_LAST_MS; i++)
		pause *= 2;
	return pause < RESTART_LAST_MS ? pause : RESTART_LAST_MS;
}

static void
restart_later(struct server *server, const char *why)
{
	server->failures++;
	if (!server->was_ready || server->failures > RESTARTS_MAX || server->broker->stopping) {
		fail_for_good(server, why);
		return;
	}
	put_down(server, why);
	enter(server, SERVER_WAITING, why);
	loop_arm_in(server->timer, pause_ms(server->failures));
}

void
server_break(struct server *server, const char *fmt, ...)
{
	uint64_t now = boottime_ns();
	char why[REASON_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (server->state != SERVER_READY && server->state != SERVER_STARTING)
		return;
	if (server->state == SERVER_READY &&
	    now - server->ready_ns > HEALTHY_MS * UINT64_C(1000000))
		server->failures = 0;
	restart_later(server, why);
}

/* Read first what a plugin said before it ended. */
void
server_gone(struct server *server, uint32_t generation, const char *why)
{
	if (server->state == SERVER_FAILED || generation < server->generation ||
	    server->broker->stopping)
		return;
	if (generation > server->generation) { /* it could not be started */
		restart_later(server, why);
		return;
	}
	for (int i = 0; i < GONE_ROUNDS && server->out >= 0 && read_some(server); i++)
		;
	/* The reason of a process is better than that of its pipes. */
	if (server->state == SERVER_WAITING)
		enter(server, SERVER_WAITING, why);
	else
		server_break(server, "%s", why);
}

/* --- its beginning --------------------------------------------------------------------------- */

static void
timer_rang(struct loop_source *source, void *arg)
{
	struct server *server = arg;

	(void)source;
	if (server->state == SERVER_WAITING && server->was_ready) {
		link_want(server, server->generation + 1, true, server->why);
		/* Until it is handed over; runnerd may be away. */
		loop_arm_in(server->timer, RESTART_LAST_MS);
		return;
	}
	if (server->ended_why)
		server_break(server, "%s", server->ended_why);
	else if (server->state == SERVER_STARTING && server->was_ready)
		server_break(server, "it was not ready within %llu ms of its restart",
			     (unsigned long long)server->plan.start_timeout_ms);
	else if (server->state != SERVER_READY)
		server_fail(server, "it was not ready within %llu ms (start_timeout)",
			    (unsigned long long)server->plan.start_timeout_ms);
}

static int
watch_pipes(struct server *server, int in, int out)
{
	struct broker *broker = server->broker;

	server->in = in;
	server->out = out;
	frame_init(&server->frame, &broker->pool, server->plan.result_bytes);
	outq_init(&server->queue, &broker->pool, in, SERVER_QUEUE_BYTES, in_waits, server);
	if (fd_set_nonblock(in, true) < 0 || fd_set_nonblock(out, true) < 0)
		return -errno;
	server->out_source =
	    loop_add_io(broker->loop, out, broker->pressed ? 0U : EPOLLIN, out_ready, server);
	server->in_source = loop_add_io(broker->loop, in, 0, in_ready, server);
	return server->out_source && server->in_source ? 0 : -errno;
}

void
server_handed(struct server *server, uint32_t generation, int in, int out)
{
	if (generation <= server->generation || server->state != SERVER_WAITING ||
	    server->broker->stopping) {
		close(in);
		close(out);
		return;
	}
	server->generation = generation;
	server->garbage = 0;
	server->ended_why = NULL;
	if (watch_pipes(server, in, out) < 0) {
		server_fail(server, "its pipes cannot be watched");
		return;
	}
	enter(server, SERVER_STARTING, "");
	loop_arm_in(server->timer, server->plan.start_timeout_ms);
	server_greet(server);
}

void
server_listed(struct server *server)
{
	if (server->state != SERVER_STARTING)
		return;
	loop_arm(server->timer, 0);
	server->was_ready = true;
	server->ready_ns = boottime_ns();
	enter(server, SERVER_READY, "");
	subscriptions_renew(server);
	broker_settled(server->broker);
}

/* One that runnerd never hands over fails in the same time. */
int
servers_start(struct broker *broker)
{
	for (size_t i = 0; i < broker->server_count; i++) {
		struct server *server = &broker->servers[i];

		/* Freed also where runnerd never hands it over. */
		frame_init(&server->frame, &broker->pool, server->plan.result_bytes);
		server->timer = loop_add_timer(broker->loop, timer_rang, server);
		server->relist = loop_add_timer(broker->loop, server_relist, server);
		if (!server->timer || !server->relist)
			return -errno;
		loop_arm_in(server->timer, server->plan.start_timeout_ms);
	}
	return 0;
}

/* One that finds nobody who reads would end by a signal instead of in its own way. */
static void
drain(struct server *server)
{
	loop_remove(server->in_source);
	server->in_source = NULL;
	outq_free(&server->queue);
	frame_free(&server->frame);
	close_fd(&server->in);
	if (server->out_source)
		loop_set_events(server->out_source, EPOLLIN);
	else
		close_fd(&server->out);
}

void
servers_stop(struct broker *broker)
{
	for (size_t i = 0; i < broker->server_count; i++) {
		struct server *server = &broker->servers[i];

		drain(server);
		server_forget_lists(server);
		tell_calls(server, "the session ends");
		loop_remove(server->timer);
		loop_remove(server->relist);
		server->timer = server->relist = NULL;
	}
}

bool
servers_drained(const struct broker *broker)
{
	for (size_t i = 0; i < broker->server_count; i++)
		if (broker->servers[i].out >= 0)
			return false;
	return true;
}

void
servers_free(struct broker *broker)
{
	servers_stop(broker);
	for (size_t i = 0; i < broker->server_count; i++)
		close_pipes(&broker->servers[i]);
}
