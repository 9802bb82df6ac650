#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef __wasi__
#include <sys/socket.h>
#include <sys/un.h>
#endif

enum {
	READ_BYTES = 64 << 10,
	KEPT_BYTES = 1 << 20, /* of a buffer, for the next answer */
	/* Requests that were given up before the peer took them: more than these, and it never
	   will. */
	UNSENT_MAX = 4 * AGENT_ARGUMENTS_MAX,
};

int64_t
wire_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* What poll() takes: rounded up, so that the deadline has passed when it returns. */
static int
milliseconds_left(const struct patience *patience)
{
	int64_t left;

	if (patience->deadline_ms < 0)
		return -1;
	left = patience->deadline_ms - wire_now_ms();
	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* AGENT_OK: the socket can do one of events. */
static enum agent_status
wait_for(const struct wire *wire, short events, const struct patience *patience)
{
	struct pollfd fds[2] = {{.fd = wire->fd, .events = events},
				{.fd = patience->interrupt, .events = POLLIN}};
	int ready;

	do {
		ready = poll(fds, 2, milliseconds_left(patience));
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return AGENT_MEMORY;
	if (fds[1].revents)
		return AGENT_CANCELLED;
	return ready ? AGENT_OK : AGENT_TIMEOUT;
}

/* --- open and close ----------------------------------------------------------------------------
 */

#ifdef __wasi__

/* WASI preview 1 cannot connect: the socket is there, connected, as the descriptor that the
 * variable names. It is one connection, for as long as the module runs. */
int
wire_open(struct wire *wire, const char *path, const struct patience *patience)
{
	const char *number = getenv("SCARAB_SOCKET_FD");
	char *end;
	long fd;

	(void)path;
	(void)patience;
	if (!number || !*number)
		return -ENOTCONN;
	fd = strtol(number, &end, 10);
	if (*end || fd < 0 || fd > INT_MAX)
		return -EBADF;
	if (fcntl((int)fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	wire->fd = (int)fd;
	return 0;
}

static ssize_t
put_bytes(int fd, const char *bytes, size_t length)
{
	return write(fd, bytes, length);
}

static ssize_t
get_bytes(int fd, char *bytes, size_t size)
{
	return read(fd, bytes, size);
}

#else

int
wire_open(struct wire *wire, const char *path, const struct patience *patience)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int rc;

	if (strlen(path) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	strcpy(name.sun_path, path);
	wire->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (wire->fd < 0)
		return -errno;
	/* A local socket whose backlog is full says EAGAIN, and tells nobody when it no longer is.
	 */
	while ((rc = connect(wire->fd, (struct sockaddr *)&name, sizeof(name))) < 0 &&
	       (errno == EAGAIN || errno == EINTR) && wire_now_ms() < patience->deadline_ms)
		poll(NULL, 0, 10);
	return rc < 0 ? -errno : 0;
}

static ssize_t
put_bytes(int fd, const char *bytes, size_t length)
{
	return send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t
get_bytes(int fd, char *bytes, size_t size)
{
	return recv(fd, bytes, size, MSG_DONTWAIT);
}

#endif

void
wire_close(struct wire *wire)
{
	int saved = errno;

	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
	wire->sent = wire->taken = wire->searched = 0;
	buffer_free(&wire->in);
	buffer_free(&wire->out);
	errno = saved;
}

/* --- out ----------------------------------------------------------------------------------------
 */

static enum agent_status
flush(struct wire *wire)
{
	ssize_t sent;

	while (wire->sent < wire->out.length) {
		sent = put_bytes(wire->fd, wire->out.bytes + wire->sent,
				 wire->out.length - wire->sent);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? AGENT_OK : AGENT_CLOSED;
		wire->sent += (size_t)sent;
	}
	buffer_free(&wire->out);
	wire->sent = 0;
	return AGENT_OK;
}

enum agent_status
wire_send(struct wire *wire, struct buffer *line)
{
	bool failed;

	if (wire->fd < 0) {
		buffer_free(line);
		return AGENT_CLOSED;
	}
	buffer_consume(&wire->out, wire->sent);
	wire->sent = 0;
	failed = line->failed || !buffer_reserve(&wire->out, line->length + 1);
	if (!failed) {
		buffer_add(&wire->out, line->bytes, line->length);
		buffer_add(&wire->out, "\n", 1);
	}
	buffer_free(line);
	if (failed)
		return AGENT_MEMORY;
	/* What the peer has sent before it closed is still to be read: wire_line() tells. */
	flush(wire);
	return wire->out.length - wire->sent > UNSENT_MAX ? AGENT_CLOSED : AGENT_OK;
}

/* --- in -----------------------------------------------------------------------------------------
 */

/* A whole line that has been read already. */
static bool
next_line(struct wire *wire, const char **line, size_t *length)
{
	const char *from, *end;

	for (;;) {
		from = wire->in.bytes + wire->taken;
		end = wire->in.length > wire->searched
			  ? memchr(wire->in.bytes + wire->searched, '\n',
				   wire->in.length - wire->searched)
			  : NULL;
		if (!end) {
			wire->searched = wire->in.length;
			return false;
		}
		wire->taken = wire->searched = (size_t)(end + 1 - wire->in.bytes);
		while (end > from && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end > from)
			break;
	}
	*line = from;
	*length = (size_t)(end - from);
	return true;
}

static enum agent_status
fill(struct wire *wire)
{
	ssize_t got;

	/* What was given out is forgotten when the rest has to grow. */
	buffer_consume(&wire->in, wire->taken);
	wire->searched -= wire->taken;
	wire->taken = 0;
	if (!wire->in.length && wire->in.size > KEPT_BYTES)
		buffer_free(&wire->in);
	if (wire->in.length > AGENT_ANSWER_MAX)
		return AGENT_PROTOCOL;
	if (!buffer_reserve(&wire->in, READ_BYTES))
		return AGENT_MEMORY;
	got =
	    get_bytes(wire->fd, wire->in.bytes + wire->in.length, wire->in.size - wire->in.length);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? AGENT_OK : AGENT_CLOSED;
	wire->in.length += (size_t)got;
	return got ? AGENT_OK : AGENT_CLOSED;
}

enum agent_status
wire_line(struct wire *wire, const struct patience *patience, const char **line, size_t *length)
{
	enum agent_status status;

	while (!next_line(wire, line, length)) {
		if (wire->fd < 0)
			return AGENT_CLOSED;
		status = wait_for(wire, wire->out.length ? POLLIN | POLLOUT : POLLIN, patience);
		if (status)
			return status;
		flush(wire);
		status = fill(wire);
		if (status)
			return status;
	}
	return AGENT_OK;
}
