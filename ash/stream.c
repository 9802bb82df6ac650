#include "stream.h"

#include "clock.h"

void
stream_init(struct stream *stream, struct ash *ash, bool samples)
{
	*stream = (struct stream){.ash = ash, .samples = samples, .lost_ms = clock_ms()};
}

int
stream_fd(const struct stream *stream)
{
	return stream->ash->connection.fd;
}

bool
stream_is_up(const struct stream *stream)
{
	return stream->up;
}

uint64_t
stream_away_ms(const struct stream *stream)
{
	return stream->up ? 0 : clock_ms() - stream->lost_ms + 1;
}

int
stream_patience(const struct stream *stream)
{
	return stream_fd(stream) < 0 ? RETRY_MS : STREAM_PING_MS;
}

/* --- connecting --------------------------------------------------------------------------------
 */

static int
lose(struct stream *stream)
{
	bool was_up = stream->up;

	connection_close(&stream->ash->connection);
	stream->up = false;
	stream->watch_id = 0;
	stream->retry_at = clock_ms() + RETRY_MS;
	if (was_up)
		stream->lost_ms = clock_ms();
	return was_up ? STREAM_LOST : STREAM_NOTHING;
}

/* Its answer is the first word of a connection that works. */
static int
begin(struct stream *stream, struct error *error)
{
	struct connection *connection = &stream->ash->connection;
	struct msg request;

	if (clock_ms() < stream->retry_at)
		return STREAM_NOTHING;
	if (connection_open(connection, stream->ash->socket, error) < 0)
		return error->code == ERR_PERMISSION ? -1 : lose(stream);
	msg_init(&request, MSG_OP_WATCH);
	request.op_watch.samples = stream->samples;
	if (connection_send(connection, &request, error) < 0)
		return lose(stream);
	stream->watch_id = request.id;
	stream->heard_ms = stream->pinged_ms = clock_ms();
	return STREAM_NOTHING;
}

/* A process that is stopped keeps its connections: only an answer shows that it is there. */
static int
listen_for_life(struct stream *stream, struct error *error)
{
	uint64_t now = clock_ms();
	struct msg request;

	if (now - stream->heard_ms >= STREAM_DEAF_MS ||
	    (!stream->up && now - stream->heard_ms >= HELLO_WAIT_MS)) {
		connection_silent(&stream->ash->connection, error);
		return lose(stream);
	}
	if (!stream->up || now - stream->heard_ms < STREAM_PING_MS ||
	    now - stream->pinged_ms < STREAM_PING_MS)
		return STREAM_NOTHING;
	stream->pinged_ms = now;
	msg_init(&request, MSG_OP_PING);
	return connection_send(&stream->ash->connection, &request, error) < 0 ? lose(stream)
									      : STREAM_NOTHING;
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static int
take(struct stream *stream, struct msg *msg, struct error *error)
{
	stream->heard_ms = clock_ms();
	if (stream->up)
		return msg->type == MSG_OP_PONG ? STREAM_NOTHING : STREAM_MESSAGE;
	if (msg->id != stream->watch_id) {
		msg_close_fds(msg);
		return STREAM_NOTHING;
	}
	if (msg->type == MSG_ERROR)
		return msg_to_error(msg, error);
	stream->up = true;
	return STREAM_UP;
}

int
stream_next(struct stream *stream, struct msg *msg, struct error *error)
{
	struct connection *connection = &stream->ash->connection;
	int r = STREAM_NOTHING;

	if (connection->fd < 0)
		return begin(stream, error);
	while (r == STREAM_NOTHING) {
		r = connection_poll(connection, msg, error);
		if (r == 0)
			return listen_for_life(stream, error);
		if (r < 0)
			return error->code == ERR_UNREACHABLE ? lose(stream) : -1;
		r = take(stream, msg, error);
	}
	return r;
}
