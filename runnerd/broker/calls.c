#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

_Static_assert((CALLS_MAX & (CALLS_MAX - 1)) == 0, "ids carry a place in their low bits");

/* --- deadlines: one timer for all, set again only when it must ring earlier ------------------ */

static void
arm(struct calls *calls, uint64_t deadline_ns)
{
	if (deadline_ns == 0 || (calls->armed_ns && calls->armed_ns <= deadline_ns))
		return;
	calls->armed_ns = deadline_ns;
	loop_arm(calls->timer, deadline_ns);
}

static uint64_t
earliest(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a ? a : b;
	return a < b ? a : b;
}

static void
expire(struct call *call)
{
	if (call->ask) {
		call_end(call, NULL, CALL_EXPIRED, "no operator answered in time");
		return;
	}
	call_withdraw(call, "timed out");
	call_end(call, NULL, CALL_TIMED_OUT, "it did not answer in time");
}

static void
deadline_passed(struct loop_source *source, void *arg)
{
	struct broker *broker = arg;
	struct calls *calls = &broker->calls;
	uint64_t now = boottime_ns(), next = 0;

	(void)source;
	calls->armed_ns = 0;
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct call *call = calls->slots[i];
		uint64_t due = call ? earliest(call->deadline_ns, call->total_ns) : 0;

		if (due && due <= now)
			expire(call);
		else
			next = earliest(next, due);
	}
	arm(calls, next);
}

void
call_start_clock(struct call *call, uint64_t timeout_ms)
{
	uint64_t now = boottime_ns();

	call->timeout_ns = timeout_ms * UINT64_C(1000000);
	call->deadline_ns = timeout_ms ? now + call->timeout_ns : 0;
	call->total_ns = timeout_ms ? now + TOTAL_FACTOR * call->timeout_ns : 0;
	arm(&call->broker->calls, call->deadline_ns);
}

void
call_extend(struct call *call)
{
	if (call->deadline_ns)
		call->deadline_ns = boottime_ns() + call->timeout_ns;
}

/* --- the table ------------------------------------------------------------------------------- */

int
calls_init(struct broker *broker)
{
	broker->calls.timer = loop_add_timer(broker->loop, deadline_passed, broker);
	return broker->calls.timer ? 0 : -errno;
}

static int
free_slot(struct calls *calls)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		unsigned slot = (calls->next + i) & (CALLS_MAX - 1);

		if (calls->slots[slot])
			continue;
		calls->next = slot + 1;
		return (int)slot;
	}
	return -1;
}

struct call *
call_new(struct broker *broker, struct server *server, call_fn *ended, uint64_t timeout_ms)
{
	struct calls *calls = &broker->calls;
	int slot = free_slot(calls);
	struct call *call;

	if (slot < 0 || server->in_flight >= IN_FLIGHT_SERVER) {
		errno = EBUSY;
		return NULL;
	}
	call = calloc(1, sizeof(*call));
	if (!call)
		return NULL;
	*call = (struct call){.id = ++calls->sequence * CALLS_MAX + (unsigned)slot,
			      .broker = broker,
			      .server = server,
			      .ended = ended,
			      .began_ns = boottime_ns(),
			      .ask_fd = -1};
	calls->slots[slot] = call;
	calls->count++;
	server->in_flight++;
	call_start_clock(call, timeout_ms);
	return call;
}

struct call *
call_find(struct broker *broker, uint64_t id)
{
	struct call *call = broker->calls.slots[id & (CALLS_MAX - 1)];

	return call && call->id == id ? call : NULL;
}

static void
call_free(struct call *call)
{
	if (call->origin) {
		answer_none(call->origin);
		free(call->origin);
	}
	free(call->held);
	close_fd(&call->ask_fd);
	free(call);
}

void
call_end(struct call *call, const struct rpc *answer, enum call_outcome outcome, const char *why)
{
	struct broker *broker = call->broker;
	struct calls *calls = &broker->calls;
	bool shut = call->origin && call->origin->agent && call->origin->agent->shut;

	/* Its place first: what ends it may begin another. */
	calls->slots[call->id & (CALLS_MAX - 1)] = NULL;
	calls->count--;
	call->server->in_flight--;
	if (call->ask)
		approval_closed(call, outcome);
	call->ended(call, answer, outcome, why);
	call_free(call);
	if (shut) /* it may have been the last one that its connection waited for */
		loop_arm(broker->reaper, 1);
}

void
call_nothing(struct call *call, const struct rpc *answer, enum call_outcome outcome,
	     const char *why)
{
	(void)call;
	(void)answer;
	(void)outcome;
	(void)why;
}

/* Never of initialize, which may not be cancelled. */
void
call_withdraw(struct call *call, const char *reason)
{
	struct server *server = call->server;
	char text[192];
	int length;

	if (!call->sent || server->state != SERVER_READY)
		return;
	if (outq_take_back(&server->queue, call->id))
		return;
	length = snprintf(text, sizeof(text),
			  "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
			  "{\"requestId\":%llu,\"reason\":\"%s\"}}\n",
			  (unsigned long long)call->id, reason);
	server_send_first(server, &(struct iovec){text, (size_t)length}, 1);
}

void
calls_fail(struct broker *broker, struct server *server, enum call_outcome outcome, const char *why)
{
	uint64_t newest = broker->calls.sequence;

	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct call *call = broker->calls.slots[i];

		if (call && call->server == server && call->id / CALLS_MAX <= newest)
			call_end(call, NULL, outcome, why);
	}
}

void
calls_free(struct broker *broker)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct call *call = broker->calls.slots[i];

		broker->calls.slots[i] = NULL;
		if (call)
			call_free(call);
	}
}
