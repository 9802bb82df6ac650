/* The agent's connections: accepted from one user, read in turn, paused when they do not read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "state.h"

/* --- its end: between two rounds ------------------------------------------------------------- */

void
agent_doom(struct agent *agent, const char *why)
{
	if (agent->doomed)
		return;
	if (why)
		log_info("a connection of the agent is closed: %s", why);
	agent->doomed = true;
	loop_remove(agent->source);
	agent->source = NULL;
	loop_arm(agent->broker->reaper, 1);
}

/* All of its calls are cancelled. */
static void
cancel_calls(struct agent *agent)
{
	struct calls *calls = &agent->broker->calls;

	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct call *call = calls->slots[i];

		if (!call || !call->origin || call->origin->agent != agent)
			continue;
		answer_none(call->origin);
		call_withdraw(call, "the client went away");
		call_end(call, NULL, CALL_CANCELLED, "the client went away");
	}
}

static void
agent_free(struct agent *agent)
{
	cancel_calls(agent);
	subscriptions_free(agent);
	loop_remove(agent->source);
	outq_free(&agent->queue);
	frame_free(&agent->frame);
	close(agent->fd);
	free(agent);
}

/* It has said all and got every answer. */
static bool
is_done(const struct agent *agent)
{
	const struct calls *calls = &agent->broker->calls;

	if (!agent->shut || agent->queue.bytes > 0)
		return false;
	for (size_t i = 0; calls->count && i < CALLS_MAX; i++)
		if (calls->slots[i] && calls->slots[i]->origin &&
		    calls->slots[i]->origin->agent == agent)
			return false;
	return true;
}

void
agents_reap(struct broker *broker)
{
	struct agent **at = &broker->agents;

	while (*at) {
		struct agent *agent = *at;

		if (!agent->doomed && !is_done(agent)) {
			at = &agent->next;
			continue;
		}
		*at = agent->next;
		broker->agent_count--;
		agent_free(agent);
	}
	agents_pressure(broker);
}

void
agents_free(struct broker *broker)
{
	for (struct agent *agent = broker->agents; agent; agent = agent->next)
		agent->doomed = true;
	agents_reap(broker);
	loop_remove(broker->accept);
	broker->accept = NULL;
}

/* --- reading and writing --------------------------------------------------------------------- */

/* Not while it leaves its answers unread, nor while calls wait to be recorded. */
static void
watch(struct agent *agent)
{
	uint32_t events = agent->waiting ? EPOLLOUT : 0U;

	if (agent->doomed)
		return;
	if (agent->shut)
		events |= EPOLLPRI; /* never comes; a hang-up does */
	else if (agent->queue.bytes < AGENT_HIGH_BYTES && recorder_calm(agent->broker))
		events |= EPOLLIN;
	if (loop_set_events(agent->source, events) < 0)
		agent_doom(agent, "it cannot be watched");
}

void
agents_watch(struct broker *broker)
{
	for (struct agent *agent = broker->agents; agent; agent = agent->next)
		watch(agent);
}

/* --- pressure: plugins are not read from while the agent leaves too much unread -------------- */

static size_t
unread(const struct broker *broker)
{
	size_t bytes = 0;

	for (const struct agent *agent = broker->agents; agent; agent = agent->next)
		bytes += agent->doomed ? 0 : agent->queue.bytes;
	return bytes;
}

void
agents_pressure(struct broker *broker)
{
	size_t bytes = unread(broker);

	if (!broker->pressed && bytes > PRESSURE_BYTES) {
		broker->pressed = true;
		loop_arm_in(broker->stall, STALL_MS);
	} else if (broker->pressed && bytes <= PRESSURE_BYTES / 2) {
		broker->pressed = false;
		loop_arm(broker->stall, 0);
	} else {
		return;
	}
	servers_pause(broker, broker->pressed);
}

/* Whoever took nothing for so long is not waited for. */
void
agents_stalled(struct loop_source *source, void *arg)
{
	struct broker *broker = arg;

	for (struct agent *agent = broker->agents; agent; agent = agent->next) {
		if (agent->queue.bytes > 0 && !agent->moved)
			agent_doom(agent, "it does not read its answers");
		agent->moved = false;
	}
	loop_arm_in(source, STALL_MS);
}

static void
socket_waits(bool waiting, void *arg)
{
	struct agent *agent = arg;

	agent->waiting = waiting;
	watch(agent);
}

/* A client that only closed its sending side (a bridge whose input ended) still reads. */
static void
input_ended(struct agent *agent, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR)) {
		agent_doom(agent, NULL);
		return;
	}
	agent->shut = true;
	loop_arm(agent->broker->reaper, 1);
}

static void
read_some(struct agent *agent, uint32_t events)
{
	struct broker *broker = agent->broker;
	ssize_t n = read(agent->fd, broker->scratch, sizeof(broker->scratch));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0) {
		input_ended(agent, events);
		return;
	}
	if (n < 0) {
		agent_doom(agent, NULL);
		return;
	}
	frame_feed(&agent->frame, broker->scratch, (size_t)n, agent_line, agent);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct agent *agent = arg;

	(void)source;
	if (events & EPOLLOUT) {
		agent->moved = true;
		if (outq_flush(&agent->queue) < 0)
			agent_doom(agent, NULL);
		agents_pressure(agent->broker);
	}
	if (!agent->doomed && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_some(agent, events);
	if (agent->shut)
		loop_arm(agent->broker->reaper, 1);
	watch(agent);
}

/* Nothing that an agent must have: dropped when it does not read. */
void
agent_notify(struct agent *agent, const struct iovec *pieces, int count)
{
	if (agent->doomed || agent->queue.bytes > AGENT_HIGH_BYTES)
		return;
	if (outq_send(&agent->queue, pieces, count, 0) == -EPIPE)
		agent_doom(agent, NULL);
}

/* --- connections ----------------------------------------------------------------------------- */

static bool
permitted(const struct broker *broker, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == broker->boot.agent_uid;
}

struct agent *
agent_new(struct broker *broker, int fd)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent)
		return NULL;
	agent->broker = broker;
	agent->fd = fd;
	frame_init(&agent->frame, &broker->pool, AGENT_LINE_BYTES);
	outq_init(&agent->queue, &broker->pool, fd, AGENT_QUEUE_BYTES, socket_waits, agent);
	agent->source = loop_add_io(broker->loop, fd, EPOLLIN, ready, agent);
	if (!agent->source) {
		free(agent);
		return NULL;
	}
	agent->next = broker->agents;
	broker->agents = agent;
	broker->agent_count++;
	return agent;
}

static void
accept_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct broker *broker = arg;
	int fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)events;
	if (fd < 0)
		return;
	if (broker->agent_count >= AGENTS_MAX || !permitted(broker, fd) || !agent_new(broker, fd))
		close(fd);
}

/* Connections wait in the listener's queue until the registry is complete. */
void
agents_open(struct broker *broker)
{
	broker->open = true;
	broker->accept = loop_add_io(broker->loop, broker->listener, EPOLLIN, accept_ready, broker);
	if (!broker->accept)
		log_error("the agent's socket cannot be watched: %s", strerrordesc_np(errno));
}
