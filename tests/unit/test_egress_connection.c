/* Connections through an egress process whose two sides end in every order: the dialer is played
 * here, and both sides are sockets of the loopback. */
// with: runnerd/egress/connection.c runnerd/egress/accept.c runnerd/egress/names.c
// with: runnerd/egress/sniff_tls.c runnerd/egress/sniff_http.c runnerd/egress/exchange*.c
// with: runnerd/egress/http_*.c runnerd/egress/scrub.c runnerd/egress/inject.c
// with: runnerd/egress/tls.c runnerd/egress/bytes.c runnerd/egress/authority.c
// with: runnerd/egress/proxy.c runnerd/egress/socks.c
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "runnerd/egress/egress.h"
#include "tests/unit/suite.h"

enum { QUIET_MS = 50, WAKES_MOST = 100, FILL_BYTES = 64 << 10, ANSWER_BYTES = 512 << 10 };

/* What the process's other half does. */
static unsigned wakes;

void
note(struct egress *egress, const char *name, unsigned port, const char *why)
{
	(void)egress;
	(void)name;
	(void)port;
	(void)why;
}

void
uses_changed(struct egress *egress)
{
	(void)egress;
	wakes++;
}

/* One connection, from the agent's end to the server's. */
struct way {
	struct egress egress;
	int agent, server;
	struct loop_source *timer, *server_source;
};

/* Two ends of a TCP connection. */
static void
tcp_pair(int ends[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(name);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&name, &size), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&name, sizeof(name)), 0);
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(ends[1], 0);
}

static void
stop(struct loop_source *source, void *arg)
{
	(void)source;
	loop_stop(arg, 0);
}

static void
server_ended(struct loop_source *source, uint32_t events, void *arg)
{
	(void)source;
	if (events & (EPOLLERR | EPOLLHUP))
		loop_stop(arg, 1);
}

/* For a name, or -1: for an address. */
static void
way_begin_for(struct way *way, int number)
{
	struct error error = ERROR_INIT;
	struct in6_addr address = in6addr_loopback;
	int agent[2], server[2];
	struct msg dialed;

	*way = (struct way){.egress = {.loop = loop_new(), .accepting = true}};
	way->egress.names = names_new(boottime_ns());
	ck_assert_int_eq(names_number(way->egress.names, "a.example", false, 0), 0);
	ck_assert_int_eq(connections_open(&way->egress, &error), 0);
	connections_bound(&way->egress);
	way->timer = loop_add_timer(way->egress.loop, stop, way->egress.loop);
	tcp_pair(agent);
	tcp_pair(server);
	way->agent = agent[0];
	way->server = server[1];
	connection_begin(&way->egress, agent[1], number, &address, 80, number < 0);
	msg_init(&dialed, MSG_DIALED);
	dialed.id = way->egress.last_dial;
	msg_add_fd(&dialed, server[0]);
	connection_dialed(&way->egress, &dialed);
}

static void
way_begin(struct way *way)
{
	way_begin_for(way, -1);
}

static void
way_end(struct way *way)
{
	connections_close(&way->egress);
	names_free(way->egress.names);
	loop_remove(way->timer);
	loop_remove(way->server_source);
	loop_free(way->egress.loop);
	close_fd(&way->agent);
	close_fd(&way->server);
}

/* Until nothing is left to be done, and some while after: how often was it woken then? */
static unsigned
settle(struct way *way)
{
	loop_arm_in(way->timer, QUIET_MS);
	ck_assert_int_eq(loop_run(way->egress.loop), 0);
	wakes = 0;
	loop_arm_in(way->timer, QUIET_MS);
	ck_assert_int_eq(loop_run(way->egress.loop), 0);
	return wakes;
}

static void
fill(int fd)
{
	static const char bytes[FILL_BYTES];

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/* Or the server would never hear of it. */
START_TEST(who_resets_after_its_end_ends_the_connection)
{
	struct way way;
	char byte;

	way_begin(&way);
	ck_assert_int_eq(shutdown(way.agent, SHUT_WR), 0);
	settle(&way);
	ck_assert_int_eq(recv(way.server, &byte, 1, MSG_DONTWAIT), 0);
	reset(steal_fd(&way.agent));
	way.server_source =
	    loop_add_io(way.egress.loop, way.server, EPOLLET, server_ended, way.egress.loop);
	ck_assert_int_eq(loop_run(way.egress.loop), 1);
	ck_assert_uint_eq(way.egress.connection_count, 0);
	way_end(&way);
}
END_TEST

START_TEST(a_reset_behind_a_server_that_does_not_read_wakes_nobody)
{
	struct way way;

	way_begin(&way);
	fill(way.agent);
	settle(&way);
	fill(way.agent);
	settle(&way);
	reset(steal_fd(&way.agent));
	ck_assert_uint_lt(settle(&way), WAKES_MOST);
	way_end(&way);
}
END_TEST

START_TEST(an_end_behind_an_agent_that_does_not_read_wakes_nobody)
{
	struct way way;

	way_begin(&way);
	ck_assert_int_eq(shutdown(way.agent, SHUT_WR), 0);
	for (int i = 0; i < 4; i++) {
		fill(way.server);
		settle(&way);
	}
	close_fd(&way.server);
	ck_assert_uint_lt(settle(&way), WAKES_MOST);
	ck_assert_uint_eq(way.egress.connection_count, 1);
	way_end(&way);
}
END_TEST

START_TEST(what_a_server_said_last_is_read_behind_its_reset)
{
	static char answer[ANSWER_BYTES];
	struct way way;
	size_t read = 0;
	ssize_t n;

	way_begin(&way);
	ck_assert_int_eq(send(way.server, answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer));
	close_fd(&way.server);
	settle(&way);
	ck_assert_int_eq(send(way.agent, "x", 1, 0), 1);
	settle(&way);
	ck_assert_uint_eq(way.egress.connection_count, 0);
	while ((n = recv(way.agent, answer, sizeof(answer), 0)) > 0)
		read += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(read, sizeof(answer));
	way_end(&way);
}
END_TEST

static void
say(struct way *way, const char *text)
{
	ck_assert_int_eq(send(way->agent, text, strlen(text), 0), (ssize_t)strlen(text));
	settle(way);
}

START_TEST(first_bytes_are_held_until_they_say_for_whom_they_are)
{
	static const char first[] = "GET / HTTP/1.1\r\n", rest[] = "Host: a.example\r\n\r\n";
	struct way way;
	char got[64];

	way_begin_for(&way, 0);
	ck_assert_uint_eq(way.egress.held_bytes, 0);
	say(&way, first);
	ck_assert_uint_eq(way.egress.held_bytes, strlen(first));
	say(&way, rest);
	ck_assert_uint_eq(way.egress.held_bytes, 0);
	ck_assert_int_eq(recv(way.server, got, sizeof(got), MSG_DONTWAIT),
			 (ssize_t)(strlen(first) + strlen(rest)));
	way_end(&way);
}
END_TEST

START_TEST(what_all_connections_hold_is_bounded)
{
	struct way way;
	char byte;

	way_begin_for(&way, 0);
	way.egress.held_bytes = HELD_BYTES_MAX - 2;
	say(&way, "GE");
	ck_assert_uint_eq(way.egress.connection_count, 1);
	say(&way, "T");
	ck_assert_uint_eq(way.egress.connection_count, 0);
	ck_assert_uint_eq(way.egress.held_bytes, HELD_BYTES_MAX - 2);
	ck_assert_int_eq(recv(way.agent, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	way_end(&way);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    who_resets_after_its_end_ends_the_connection,
	    a_reset_behind_a_server_that_does_not_read_wakes_nobody,
	    an_end_behind_an_agent_that_does_not_read_wakes_nobody,
	    what_a_server_said_last_is_read_behind_its_reset,
	    first_bytes_are_held_until_they_say_for_whom_they_are,
	    what_all_connections_hold_is_bounded,
	};

	return suite_run("egress/connection", tests, ARRAY_LEN(tests));
}
