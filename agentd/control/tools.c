/* OP_TOOLS, OP_TOOL_PIN, OP_ASKS, OP_APPROVE, OP_DENY. */
#include <string.h>

#include "common/cleanup.h"
#include "requests.h"

/* --- tools -------------------------------------------------------------------------------------
 */

static void
query_tools(struct request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_TOOLS_QUERY);
	msg.tools_query.session = request->session;
	memcpy(msg.tools_query.agent, request->agent, sizeof(request->agent));
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, request_forward);
}

static void
tools_session(struct request *request, struct msg *rows)
{
	if (request_note_session(request, rows))
		query_tools(request);
	else
		request_fail_rows(request, "schedd");
}

void
request_tools(struct request *request)
{
	const struct msg_op_tools *asked = &request->msg.op_tools;

	if (asked->ref[0]) {
		request_ask_session(request, asked->ref, tools_session);
		return;
	}
	memcpy(request->agent, asked->agent, sizeof(request->agent));
	query_tools(request);
}

static void
reply_ok(struct request *request, struct msg *answer)
{
	request_reply_ok(request, answer->ok.value);
}

void
request_tool_pin(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_REPEATED, /* what is pinned already is pinned */
	    .expected = MSG_OK,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = reply_ok,
	};
	struct msg msg;

	memcpy(request->agent, request->msg.op_tool_pin.agent, sizeof(request->agent));
	msg_init(&msg, MSG_TOOLS_PIN);
	memcpy(msg.tools_pin.agent, request->agent, sizeof(request->agent));
	msg.tools_pin.uid = request->peer.uid;
	msg.tools_pin.pid = request->peer.pid;
	msg.tools_pin.login_uid = request->peer.login_uid;
	msg_add_fd(&msg, msg_take_fd(&request->msg, 0));
	request_call(request, &call, &msg);
}

/* --- calls that wait ---------------------------------------------------------------------------
 */

static void
query_asks(struct request *request, const char *ref, answer_fn *then)
{
	struct msg msg;

	msg_init(&msg, MSG_ASKS_QUERY);
	snprintf(msg.asks_query.ref, sizeof(msg.asks_query.ref), "%s", ref);
	request_ask(request, UP_RUNNERD, &msg, MSG_ROWS, then);
}

void
request_asks(struct request *request)
{
	query_asks(request, request->msg.op_asks.ref, request_forward);
}

static bool
note_ask(struct request *request, struct msg *rows, struct uuid *ask)
{
	struct rows_reader *reader = rows_open(rows->fds[0]);
	struct msg record;
	bool found = reader && rows_next(reader, &record) == 1 && record.type == MSG_ASK_ROW;

	if (found) {
		*ask = record.ask_row.ask;
		request->session = record.ask_row.session;
		memcpy(request->agent, record.ask_row.agent, sizeof(request->agent));
	}
	rows_close(reader);
	return found;
}

/* By its full id, so that no other call is answered that begins alike by now. */
static void
ask_found(struct request *request, struct msg *rows)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE,
	    .expected = MSG_OK,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = reply_ok,
	};
	struct msg msg;

	msg_init(&msg, MSG_ASK_ANSWER);
	if (!note_ask(request, rows, &msg.ask_answer.ask)) {
		request_fail_rows(request, "runnerd");
		return;
	}
	msg.ask_answer.allowed = request->msg.type == MSG_OP_APPROVE;
	memcpy(msg.ask_answer.operator, request->peer.user, sizeof(msg.ask_answer.operator));
	msg.ask_answer.uid = request->peer.uid;
	msg.ask_answer.pid = request->peer.pid;
	msg.ask_answer.login_uid = request->peer.login_uid;
	request_call(request, &call, &msg);
}

static void
answer_ask(struct request *request, const char *ref)
{
	struct error error = ERROR_INIT;

	if (ref[0]) {
		query_asks(request, ref, ask_found);
		return;
	}
	error_why(&error, ERR_USAGE, "which call is meant?");
	request_fail(request, &error);
}

void
request_approve(struct request *request)
{
	answer_ask(request, request->msg.op_approve.ref);
}

void
request_deny(struct request *request)
{
	answer_ask(request, request->msg.op_deny.ref);
}
