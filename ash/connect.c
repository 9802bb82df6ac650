#include "connect.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "clock.h"
#include "common/cleanup.h"

static const char *
peer_of(const struct connection *connection)
{
	return connection->kind == CH_SECRETS ? "secretd" : "agentd";
}

static int
unreachable(const struct connection *connection, struct error *error, const char *path, int errnum)
{
	if (errnum == EACCES || errnum == EPERM) {
		error_errno(error, errnum, "this user may not");
		error_hint(error, "root and members of the socket's group may; a new membership "
				  "counts from the next login on");
	} else {
		error_errno(error, errnum, "%s does not answer", peer_of(connection));
		error_as(error, ERR_UNREACHABLE);
		error_hint(error, "is it running? 'systemctl start agentd', or name its socket "
				  "with -s or ASH_SOCKET");
	}
	return error_what(error, "connecting to %s", path);
}

/* A path over the 108 bytes of sun_path is reached through its directory's descriptor. */
static int
socket_address(const char *path, struct sockaddr_un *address, int *dir)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder = NULL;
	int length;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) < sizeof(address->sun_path)) {
		strcpy(address->sun_path, path);
		return 0;
	}
	folder = slash ? strndup(path, (size_t)(slash - path) + 1) : NULL;
	if (!folder)
		return -ENAMETOOLONG;
	*dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -errno;
	length = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", *dir,
			  slash + 1);
	return length < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

static int
connect_socket(const char *path)
{
	/* A listener whose queue is full makes connect() and send() wait: not for ever. */
	struct timeval limit = {.tv_sec = RESTART_WAIT_MS / 1000};
	_cleanup_close_ int fd = -1, dir = -1;
	struct sockaddr_un address;
	int r = socket_address(path, &address, &dir);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int
connection_open(struct connection *connection, const char *path, struct error *error)
{
	struct msg hello;
	int r;

	connection_close(connection);
	connection->path = path;
	connection->opened = true;
	r = connect_socket(path);
	if (r < 0)
		return unreachable(connection, error, path, -r);
	connection->fd = r;
	connection->greeted = false;
	msg_init(&hello, MSG_HELLO);
	hello.hello.protocol = PROTO_VERSION;
	hello.hello.role = ROLE_ASH;
	strncpy(hello.hello.build, scarab_build_id, sizeof(hello.hello.build) - 1);
	r = msg_send(connection->fd, connection->kind, SIDE_A, IN_HELLO, &hello);
	if (r < 0) {
		connection_close(connection);
		return unreachable(connection, error, path, -r);
	}
	return 0;
}

int
connection_begin(struct connection *connection, struct error *error)
{
	return connection->opened ? 0 : connection_open(connection, connection->path, error);
}

void
connection_close(struct connection *connection)
{
	close_fd(&connection->fd);
}

int
connection_lost(struct connection *connection, struct error *error)
{
	connection_close(connection);
	error_why(error, ERR_UNREACHABLE, "%s closed the connection", peer_of(connection));
	error_hint(error, "it may be restarting; see 'ash status' and its log");
	return -1;
}

int
connection_send(struct connection *connection, struct msg *request, struct error *error)
{
	int r;

	if (connection_begin(connection, error) < 0)
		return -1;
	if (connection->fd < 0)
		return connection_lost(connection, error);
	request->id = ++connection->last_id;
	r = msg_send(connection->fd, connection->kind, SIDE_A, IN_OPEN, request);
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN || r == -EAGAIN)
		return connection_lost(connection, error);
	if (r < 0)
		return error_errno(error, -r, "sending the request to %s", peer_of(connection));
	return 0;
}

static int
check_hello(struct connection *connection, const struct msg *msg, struct error *error)
{
	if (msg->hello.protocol == PROTO_VERSION &&
	    msg->hello.role == (connection->kind == CH_SECRETS ? ROLE_SECRETD : ROLE_CONTROL)) {
		connection->greeted = true;
		return 0;
	}
	error_why(error, ERR_UNREACHABLE,
		  "%s speaks version %u of the protocol, this ash version %d", peer_of(connection),
		  msg->hello.protocol, PROTO_VERSION);
	return error_hint(error, "use the ash of the installed scarab-runtime");
}

/* Who greets serves; who does not is stopped, hangs, or died while agentd itself is stopped. */
int
connection_silent(const struct connection *connection, struct error *error)
{
	const char *daemon = connection->kind == CH_SECRETS ? "secretd" : "agentd-control";

	if (connection->greeted)
		error_why(error, ERR_UNREACHABLE, "%s did not answer in time", daemon);
	else
		error_why(error, ERR_UNREACHABLE,
			  "%s does not answer, though its socket is there: it, or agentd itself, "
			  "is stopped or hangs",
			  daemon);
	return error_hint(error, "'systemctl restart agentd' starts it anew, and live sessions go "
				 "on; its log may tell why");
}

/* What a receive call gave: 1, 0 on the end, -1 with error. */
static int
received(struct connection *connection, int r, struct error *error)
{
	if (r == 1 || r == 0)
		return r;
	if (r == -ETIMEDOUT)
		return connection_silent(connection, error);
	if (r == -ECONNRESET)
		return 0;
	connection_close(connection);
	error_errno(error, -r, "reading the answer of %s", peer_of(connection));
	return error_as(error, ERR_UNREACHABLE);
}

int
connection_receive(struct connection *connection, struct msg *msg, int timeout_ms,
		   struct error *error)
{
	int r;

	if (connection->fd < 0)
		return connection_lost(connection, error);
	if (!connection->greeted) {
		r = msg_recv(connection->fd, connection->kind, SIDE_A, IN_HELLO, msg,
			     timeout_ms < 0 || timeout_ms > HELLO_WAIT_MS ? HELLO_WAIT_MS
									  : timeout_ms);
		r = received(connection, r, error);
		if (r != 1)
			return r;
		if (check_hello(connection, msg, error) < 0)
			return -1;
	}
	r = msg_recv(connection->fd, connection->kind, SIDE_A, IN_OPEN, msg, timeout_ms);
	return received(connection, r, error);
}

int
connection_poll(struct connection *connection, struct msg *msg, struct error *error)
{
	int r;

	for (;;) {
		if (connection->fd < 0)
			return connection_lost(connection, error);
		r = msg_recv_now(connection->fd, connection->kind, SIDE_A,
				 connection->greeted ? IN_OPEN : IN_HELLO, msg);
		if (r == -EAGAIN)
			return 0;
		r = received(connection, r, error);
		if (r == 0)
			return connection_lost(connection, error);
		if (r < 0 || connection->greeted)
			return r;
		if (check_hello(connection, msg, error) < 0)
			return -1;
	}
}

int
connection_call(struct connection *connection, struct msg *request, enum msg_type expected,
		struct msg *reply, int timeout_ms, struct error *error)
{
	int r;

	if (connection_send(connection, request, error) < 0)
		return -1;
	for (;;) {
		r = connection_receive(connection, reply, timeout_ms, error);
		if (r == 0)
			return connection_lost(connection, error);
		if (r < 0)
			return -1;
		if (reply->id == request->id)
			break;
		msg_close_fds(reply);
	}
	if (reply->type == MSG_ERROR)
		return msg_to_error(reply, error);
	if (reply->type == expected)
		return 0;
	msg_close_fds(reply);
	return error_why(error, ERR_FAILED, "%s answered with a message of type %#x",
			 peer_of(connection), (unsigned)reply->type);
}

int
connection_query(struct connection *connection, struct msg *request, enum msg_type expected,
		 struct msg *reply, struct error *error)
{
	uint64_t deadline = clock_ms() + RESTART_WAIT_MS;

	if (connection_begin(connection, error) < 0)
		return -1;
	for (;;) {
		if (connection_call(connection, request, expected, reply, REPLY_WAIT_MS, error) ==
		    0)
			return 0;
		if (error->code != ERR_UNREACHABLE)
			return -1;
		do {
			if (clock_ms() >= deadline)
				return -1;
			poll(NULL, 0, RETRY_MS);
		} while (connection->fd < 0 &&
			 connection_open(connection, connection->path, error) < 0);
	}
}
