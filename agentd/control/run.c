/*
 * OP_RUN: the input is spooled before the session is asked for, and its events are pushed from
 * before it exists, so that nothing is missed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "requests.h"

/* The input has no session: runnerd forgets it. Only when there surely is none. */
static void
drop_input(struct request *request)
{
	struct channel *runnerd = request->control->up[UP_RUNNERD];
	struct msg msg;

	if (request->client)
		client_unfollow(request->client, &request->session);
	if (!request->msg.op_run.has_input || !runnerd ||
	    (request->uncertain && request->call.upstream == UP_SCHEDD))
		return;
	msg_init(&msg, MSG_INPUT_DROP);
	msg.input_drop.session = request->session;
	channel_send(runnerd, &msg);
}

static void
accepted(struct request *request, struct msg *answer)
{
	struct msg reply;

	(void)answer;
	request->failed = NULL;
	msg_init(&reply, MSG_OP_ACCEPTED);
	reply.op_accepted.session = request->session;
	request_reply(request, &reply);
}

static void
enqueue(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_SCHEDD,
	    .flags = CALL_REPEATED, /* idempotent by session */
	    .expected = MSG_OK,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = accepted,
	};
	const struct msg_op_run *asked = &request->msg.op_run;
	struct msg msg;

	msg_init(&msg, MSG_ENQUEUE);
	msg.enqueue.session = asked->session;
	memcpy(msg.enqueue.agent, asked->agent, sizeof(asked->agent));
	msg.enqueue.has_task = asked->has_task;
	memcpy(msg.enqueue.task, asked->task, sizeof(asked->task));
	msg.enqueue.timeout_ms = asked->timeout_ms;
	msg.enqueue.has_input = asked->has_input;
	msg.enqueue.uid = request->peer.uid;
	msg.enqueue.pid = request->peer.pid;
	msg.enqueue.login_uid = request->peer.login_uid;
	memcpy(msg.enqueue.operator, request->peer.user, sizeof(request->peer.user));
	request_call(request, &call, &msg);
}

/* Who went away while the input came may have sent half of it: nothing runs. */
static void
spooled(struct request *request, struct msg *answer)
{
	struct error error = ERROR_INIT;

	(void)answer;
	if (request->client) {
		enqueue(request);
		return;
	}
	error_why(&error, ERR_FAILED, "the operator went away before the session was asked for");
	request_fail(request, &error);
}

/* One user's endless pipes keep nobody else's input out. */
static int
check_inputs(const struct request *request, struct error *error)
{
	const struct request *other;
	unsigned count = 0;

	TAILQ_FOREACH(other, &request->control->requests, entry)
	{
		count += other->msg.type == MSG_OP_RUN && other->call.upstream == UP_RUNNERD &&
			 other->call_id && other->peer.uid == request->peer.uid;
	}
	if (count < INPUTS_PER_UID)
		return 0;
	return error_why(error, ERR_CONFLICT, "%d inputs of yours are on their way already",
			 INPUTS_PER_UID);
}

static void
spool(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_RUNNERD,
	    .flags = CALL_ONCE, /* the pipe can be read once */
	    .expected = MSG_OK,
	    .wait_ms = INPUT_WAIT_MS,
	    .then = spooled,
	};
	struct msg msg;

	msg_init(&msg, MSG_INPUT_SPOOL);
	msg.input_spool.session = request->session;
	msg_add_fd(&msg, msg_take_fd(&request->msg, 0));
	request_call(request, &call, &msg);
}

static int
check_input(const struct request *request, struct error *error)
{
	const struct msg *msg = &request->msg;
	struct stat st;
	int flags;

	if (msg->op_run.has_input != (msg->nfds == 1))
		return error_why(error, ERR_USAGE, "has_input and the descriptor disagree");
	if (!msg->op_run.has_input)
		return 0;
	flags = fcntl(msg->fds[0], F_GETFL);
	if (flags < 0 || fstat(msg->fds[0], &st) < 0)
		return error_errno(error, errno, "looking at the input");
	if (!S_ISFIFO(st.st_mode) || (flags & O_ACCMODE) != O_RDONLY || (flags & O_PATH))
		return error_why(error, ERR_USAGE, "the input is not the read end of a pipe");
	return 0;
}

static int
check(const struct request *request, struct error *error)
{
	const struct msg_op_run *asked = &request->msg.op_run;

	if (uuid_is_nil(&asked->session) || asked->session.bytes[6] >> 4 != 7)
		return error_why(error, ERR_USAGE, "the session's id is not a UUIDv7");
	if (!agent_name_valid(asked->agent)) {
		error_why(error, ERR_NOT_FOUND, "no agent can have the name %s", asked->agent);
		return error_hint(error, "ash agent list shows what is installed");
	}
	return check_input(request, error);
}

void
request_run(struct request *request)
{
	const struct msg_op_run *asked = &request->msg.op_run;
	struct error error = ERROR_INIT;

	request->session = asked->session;
	memcpy(request->agent, asked->agent, sizeof(request->agent));
	if (check(request, &error) < 0) {
		request_fail(request, &error);
		return;
	}
	request->failed = drop_input;
	if (asked->follow && request->client && !client_follow(request->client, &asked->session)) {
		error_why(&error, ERR_CONFLICT, "this connection follows %d sessions already",
			  FOLLOW_MAX);
		request_fail(request, &error);
	} else if (asked->has_input && check_inputs(request, &error) < 0) {
		request_fail(request, &error);
	} else if (asked->has_input) {
		spool(request);
	} else {
		enqueue(request);
	}
}
