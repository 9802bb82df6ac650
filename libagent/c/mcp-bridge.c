/*
 * mcp-bridge: an MCP client's stdio server that is the agent's socket. Bytes pass as they are, in
 * both directions, through two bounded buffers; nothing is parsed, kept or logged. Runs inside the
 * sandbox, as the agent, started by whatever MCP client the agent is.
 *
 * The end of standard input is handed on as the end of what is sent; answers to what was sent
 * before still come, until the peer has sent all and closes. SIGINT and SIGTERM end it at once.
 *
 * Exit status: 0 the peer or the client closed, 1 what standard error says, 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 64 << 10, /* the capacity of a pipe */
	SOCKET_ROOM = 3,         /* the first descriptor that is not standard */
};

/* What clients start has an environment of their choice: the variable may not be passed on. */
#define DEFAULT_SOCKET "/run/agentd/agentd.sock"

/* One direction. It is read when the buffer is empty and written until it is again. */
struct flow {
	int from, to;
	size_t begin, end;
	bool ended; /* from has been read to its end */
	char bytes[BUFFER_BYTES];
};

static int
complain(const char *what, const char *path, const char *why, const char *hint)
{
	char line[PIPE_BUF];
	int length = snprintf(line, sizeof(line), "mcp-bridge: %s %.200s: %s%s%s\n", what, path,
			      why, *hint ? "; " : "", hint);

	/* One write, so that lines of others stay whole. */
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return 1;
	return 1;
}

static const char *
socket_path(void)
{
	const char *path = getenv("SCARAB_SOCKET");

	return path && *path ? path : DEFAULT_SOCKET;
}

/* A descriptor above the standard ones, also where the client left one of those closed; or -errno.
 */
static int
open_socket(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd, low;

	if (strlen(path) >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	strcpy(name.sun_path, path);
	low = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (low < 0)
		return -errno;
	fd = fcntl(low, F_DUPFD_CLOEXEC, SOCKET_ROOM);
	close(low);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return -errno;
	return fd;
}

static const char *
remedy(int errnum)
{
	switch (errnum) {
	case ENOENT:
		return "the bridge works inside an agent's session; elsewhere, name an agent's "
		       "socket in SCARAB_SOCKET";
	case ECONNREFUSED:
		return "nobody listens there any more: the session is ending";
	default:
		return "";
	}
}

/* --- the two directions ------------------------------------------------------------------------
 */

static bool
is_empty(const struct flow *flow)
{
	return flow->begin == flow->end;
}

/* What cannot be read any more has ended, whatever the reason. */
static void
fill(struct flow *flow)
{
	ssize_t got = read(flow->from, flow->bytes, sizeof(flow->bytes));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	flow->begin = 0;
	flow->end = got > 0 ? (size_t)got : 0;
	flow->ended = got <= 0;
}

/* Never waits: the descriptors are shared with others, so that their mode is not ours to change. A
 * pipe that poll() calls writable takes PIPE_BUF bytes at once. False: nobody reads any more. */
static bool
drain(struct flow *flow)
{
	const char *bytes = flow->bytes + flow->begin;
	size_t length = flow->end - flow->begin;
	ssize_t put = send(flow->to, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0 && errno == ENOTSOCK)
		put = write(flow->to, bytes, length < PIPE_BUF ? length : PIPE_BUF);
	if (put < 0)
		return errno == EINTR || errno == EAGAIN;
	flow->begin += (size_t)put;
	return true;
}

/* A negative descriptor is not looked at: one that is at its end, or gone, would not let poll()
 * wait. */
static void
watch(const struct flow *flow, bool always, struct pollfd *from, struct pollfd *to)
{
	bool hungry = is_empty(flow) && !flow->ended;

	*from = (struct pollfd){.fd = hungry ? flow->from : -1, .events = POLLIN};
	*to = (struct pollfd){.fd = always || !is_empty(flow) ? flow->to : -1,
			      .events = is_empty(flow) ? 0 : POLLOUT};
}

static bool
move(struct flow *flow, const struct pollfd *from, const struct pollfd *to)
{
	if (!is_empty(flow))
		return !to->revents || drain(flow);
	if (from->revents)
		fill(flow);
	return true;
}

/* The session reads no more; what it has sent before is still on its way down. */
static void
give_up(struct flow *up)
{
	up->begin = up->end = 0;
	up->ended = true;
}

/* Until the session has sent all, or the client is gone. 0 or -errno. */
static int
run(struct flow *up, struct flow *down)
{
	bool told = false;

	while (!down->ended) {
		struct pollfd fds[4];

		watch(up, false, &fds[0], &fds[1]);
		/* A client that is gone is noticed also while it is owed nothing. */
		watch(down, true, &fds[2], &fds[3]);
		if (poll(fds, 4, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (fds[3].revents & (POLLERR | POLLHUP | POLLNVAL))
			return 0;
		if (!move(down, &fds[2], &fds[3]))
			return 0;
		if (!move(up, &fds[0], &fds[1]))
			give_up(up);
		if (up->ended && !told) {
			shutdown(up->to, SHUT_WR);
			told = true;
		}
	}
	return 0;
}

/* What the parent ignores or blocks would be so here too. */
static void
default_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
main(int argc, char **argv)
{
	static struct flow up = {.from = STDIN_FILENO}, down = {.to = STDOUT_FILENO};
	const char *path = socket_path();
	int fd, rc;

	if (argc > 1) {
		complain("no argument is known:", argv[1], "usage: mcp-bridge",
			 "it carries MCP between standard input and output and the agent's socket");
		return 2;
	}
	default_signals();
	fd = open_socket(path);
	if (fd < 0)
		return complain("cannot connect to", path, strerror(-fd), remedy(-fd));
	up.to = down.from = fd;
	rc = run(&up, &down);
	return rc < 0 ? complain("carrying bytes of", path, strerror(-rc), "") : 0;
}
