#include "patient.h"

#include <errno.h>
#include <poll.h>

#include "rows.h"

struct look {
	struct ash *ash;
	bool needs_schedd, needs_runnerd;
	unsigned schedd_misses, runnerd_misses;
};

static int
say_silent(const char *daemon, struct error *error)
{
	error_why(error, ERR_UNREACHABLE, "%s does not answer: it is stopped or hangs", daemon);
	return error_hint(error, "what was asked for may still happen; 'systemctl restart agentd' "
				 "starts the daemon anew, and its log may tell why");
}

static int
judge(struct look *look, const struct msg_status_row *row, struct error *error)
{
	look->schedd_misses = row->ledger_known ? 0 : look->schedd_misses + 1;
	look->runnerd_misses = row->agents_known ? 0 : look->runnerd_misses + 1;
	if (look->needs_schedd && look->schedd_misses >= PATIENT_MISSES)
		return say_silent("schedd", error);
	if (look->needs_runnerd && look->runnerd_misses >= PATIENT_MISSES)
		return say_silent("runnerd", error);
	return 0;
}

/* A connection of its own: whatever comes of the request comes on the other. */
static int
look_around(struct look *look, struct error *error)
{
	struct connection probe = CONNECTION_INIT;
	struct msg request, reply, row;
	int r;

	probe.path = look->ash->socket;
	msg_init(&request, MSG_OP_STATUS);
	r = connection_call(&probe, &request, MSG_ROWS, &reply, REPLY_WAIT_MS, error);
	if (r == 0) {
		r = rows_first(reply.fds[0], MSG_STATUS_ROW, &row, error);
		msg_close_fds(&reply);
		if (r == 1)
			r = judge(look, &row.status_row, error);
	}
	connection_close(&probe);
	return r;
}

static int
await(struct look *look, struct msg *reply, struct error *error)
{
	struct connection *connection = &look->ash->connection;

	for (;;) {
		struct pollfd polled = {.fd = connection->fd, .events = POLLIN};
		int r = poll(&polled, 1, PATIENT_LOOK_MS);

		if (r < 0 && errno != EINTR)
			return error_errno(error, errno, "waiting for agentd");
		if (r > 0)
			return connection_receive(connection, reply, REPLY_WAIT_MS, error);
		if (r == 0 && look_around(look, error) < 0)
			return -1;
	}
}

int
patient_call(struct ash *ash, struct msg *request, enum msg_type expected, struct msg *reply,
	     bool needs_schedd, bool needs_runnerd, struct error *error)
{
	struct look look = {
	    .ash = ash, .needs_schedd = needs_schedd, .needs_runnerd = needs_runnerd};
	int r;

	if (connection_send(&ash->connection, request, error) < 0)
		return -1;
	do {
		r = await(&look, reply, error);
		if (r < 0)
			return -1;
		if (r == 0)
			return connection_lost(&ash->connection, error);
		if (reply->id != request->id)
			msg_close_fds(reply);
	} while (reply->id != request->id);
	if (reply->type == MSG_ERROR)
		return msg_to_error(reply, error);
	if (reply->type == expected)
		return 0;
	msg_close_fds(reply);
	return error_why(error, ERR_FAILED, "agentd answered with a message of type %#x",
			 (unsigned)reply->type);
}
