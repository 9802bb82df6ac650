/* Events of operators: their attributes are checked here, what they carry in event_data.c. */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/values.h"
#include "requests.h"

static void
ask(struct request *request, enum msg_type expected, answer_fn *then, struct msg *msg)
{
	struct call call = {
	    .upstream = UP_SCHEDD,
	    .flags = CALL_REPEATED, /* unique by source and id */
	    .expected = expected,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = then,
	};

	request_call(request, &call, msg);
}

static void
forward(struct request *request, struct msg *answer)
{
	struct msg copy = *answer;

	answer->nfds = 0;
	request_reply(request, &copy);
}

static void
stored(struct request *request, struct msg *answer)
{
	const struct msg_event_stored *event = &answer->event_stored;

	snprintf(request->detail, sizeof(request->detail), "%s, id %s of %s%s", event->type,
		 event->id, event->source, event->repeated ? ": told before" : "");
	forward(request, answer);
}

/* --- emit ---------------------------------------------------------------------------------- */

static int
check_name(value_check *check, const char *key, const char *text, struct error *error)
{
	char why[REASON_SIZE];

	if (check(text, why))
		return 0;
	return error_why(error, ERR_USAGE, "%s %s", key, why);
}

/* The source says who told it where an agent or a webhook did. */
static int
check_source(const char *source, struct error *error)
{
	static const char *const others[] = {"/agents/", "/webhooks/", "/sessions/", "/paths/"};

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strncmp(source, others[i], strlen(others[i])) == 0)
			return error_why(error, ERR_USAGE, "the source must not begin with %s",
					 others[i]);
	return check_name(value_event_name, "the source", source, error);
}

static int
check_emit(const struct msg *msg, struct error *error)
{
	const struct msg_op_event_emit *asked = &msg->op_event_emit;

	if (check_name(value_event_type, "the type", asked->type, error) < 0 ||
	    check_name(value_event_name, "the id", asked->id, error) < 0)
		return -1;
	if (asked->source[0] && check_source(asked->source, error) < 0)
		return -1;
	if (asked->subject[0] &&
	    check_name(value_event_name, "the subject", asked->subject, error) < 0)
		return -1;
	return msg->nfds ? event_data_check(msg->fds[0], error) : 0;
}

static void
fill_emit(const struct request *request, struct msg_event_emit *event)
{
	const struct msg_op_event_emit *asked = &request->msg.op_event_emit;

	memcpy(event->type, asked->type, sizeof(event->type));
	memcpy(event->id, asked->id, sizeof(event->id));
	memcpy(event->subject, asked->subject, sizeof(event->subject));
	if (asked->source[0])
		memcpy(event->source, asked->source, sizeof(event->source));
	else
		snprintf(event->source, sizeof(event->source), "/operators/%u", request->peer.uid);
	event->uid = request->peer.uid;
	event->pid = request->peer.pid;
	event->login_uid = request->peer.login_uid;
	memcpy(event->operator, request->peer.user, sizeof(event->operator));
}

void
request_event_emit(struct request *request)
{
	const struct msg_op_event_emit *asked = &request->msg.op_event_emit;
	struct error error = ERROR_INIT;
	struct msg msg;

	snprintf(request->detail, sizeof(request->detail), "%s, id %s", asked->type, asked->id);
	if (check_emit(&request->msg, &error) < 0) {
		request_fail(request, &error);
		return;
	}
	msg_init(&msg, MSG_EVENT_EMIT);
	fill_emit(request, &msg.event_emit);
	if (request->msg.nfds)
		msg_add_fd(&msg, msg_take_fd(&request->msg, 0));
	ask(request, MSG_EVENT_STORED, stored, &msg);
}

/* --- list, show, replay ---------------------------------------------------------------------- */

void
request_events(struct request *request)
{
	const struct msg_op_events *asked = &request->msg.op_events;
	struct msg msg;

	msg_init(&msg, MSG_EVENT_QUERY);
	memcpy(msg.event_query.id, asked->id, sizeof(asked->id));
	memcpy(msg.event_query.source, asked->source, sizeof(asked->source));
	memcpy(msg.event_query.type, asked->type, sizeof(asked->type));
	msg.event_query.since_ms = asked->since_ms;
	msg.event_query.limit = asked->limit;
	ask(request, MSG_ROWS, forward, &msg);
}

void
request_event_replay(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_SCHEDD,
	    .flags = CALL_ONCE, /* each is a delivery of its own */
	    .expected = MSG_EVENT_STORED,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = stored,
	};
	const struct msg_op_event_replay *asked = &request->msg.op_event_replay;
	struct msg msg;

	snprintf(request->detail, sizeof(request->detail), "id %s", asked->id);
	msg_init(&msg, MSG_EVENT_REPLAY);
	memcpy(msg.event_replay.id, asked->id, sizeof(asked->id));
	memcpy(msg.event_replay.source, asked->source, sizeof(asked->source));
	msg.event_replay.uid = request->peer.uid;
	msg.event_replay.pid = request->peer.pid;
	msg.event_replay.login_uid = request->peer.login_uid;
	memcpy(msg.event_replay.operator, request->peer.user, sizeof(request->peer.user));
	request_call(request, &call, &msg);
}
