/* Connections through an egress process whose two sides end in every order: the dialer is played
 * here, and both sides are sockets of the loopback. */
// with: runnerd/egress/connection.c runnerd/egress/accept.c runnerd/egress/names.c
// with: runnerd/egress/sniff_tls.c runnerd/egress/sniff_http.c runnerd/egress/exchange*.c
// with: runnerd/egress/http_*.c runnerd/egress/scrub.c runnerd/egress/inject.c
// with: runnerd/egress/tls.c runnerd/egress/bytes.c runnerd/egress/authority.c
// with: runnerd/egress/proxy.c runnerd/egress/socks.c runnerd/egress/follow.c
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "runnerd/egress/egress.h"
#include "tests/unit/suite.h"

enum { QUIET_MS = 50, WAKES_MOST = 100, FILL_BYTES = 64 << 10, ANSWER_BYTES = 512 << 10 };

/* What the process's other half does. */
static unsigned wakes;
static char noted[256]; /* the last denial */

void
note(struct egress *egress, const char *name, unsigned port, const char *why)
{
	(void)egress;
	(void)name;
	(void)port;
	if (why)
		snprintf(noted, sizeof(noted), "%s", why);
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

	noted[0] = '\0';
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

/* --- HTTP/1, request by request --------------------------------------------------------------- */

#define GET "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define OTHER "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: a.example\r\n" fields "\r\n"
#define CHUNKED POST("Transfer-Encoding: chunked\r\n")
#define UPGRADE POST("Connection: Upgrade\r\nUpgrade: websocket\r\n")
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* Exactly that has come. */
static void
hears(int fd, const char *text)
{
	char got[4096];
	ssize_t n = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);

	got[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(got, text);
}

static void
hears_end(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void
answer(struct way *way, const char *text)
{
	ck_assert_int_eq(send(way->server, text, strlen(text), 0), (ssize_t)strlen(text));
	settle(way);
	hears(way->agent, text);
}

/* The server has the end, closes, and the agent is told why. */
static void
told_refused(struct way *way, const char *why)
{
	char got[1024];
	ssize_t n;

	ck_assert_str_eq(noted, why);
	hears_end(way->server);
	close_fd(&way->server);
	settle(way);
	n = recv(way->agent, got, sizeof(got) - 1, MSG_DONTWAIT);
	ck_assert_int_gt(n, 0);
	got[n] = '\0';
	ck_assert_ptr_eq(strstr(got, "HTTP/1.1 403 "), got);
	ck_assert_ptr_nonnull(strstr(got, why));
	hears_end(way->agent);
	ck_assert_uint_eq(way->egress.connection_count, 0);
	ck_assert_uint_eq(way->egress.held_bytes, 0);
}

START_TEST(each_request_is_asked_for_its_host)
{
	struct way way;

	way_begin_for(&way, 0);
	for (int i = 0; i < 3; i++) {
		say(&way, GET);
		hears(way.server, GET);
		answer(&way, ANSWER);
	}
	say(&way, OTHER);
	told_refused(&way, "it asks for other.example");
	way_end(&way);
}
END_TEST

/* What passes of a client's words is what is left of other, and it is refused for what follows. */
START_TEST(no_framing_hides_a_request)
{
	static const char *const bodies[] = {
	    GET,
	    GET GET,
	    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	    "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
	    POST("Content-Length: 59\r\n") OTHER "12345678901234567890",
	    POST("content-length:  3\r\nExpect: 100-continue\r\n") "abc",
	    CHUNKED "3\r\nabc\r\n0\r\n\r\n",
	    CHUNKED "27;x=y\r\n" OTHER "\r\nA\r\n0123456789\r\n0\r\nHost: b\r\n\r\n",
	    "HEAD / HTTP/1.1\r\nHost: A.Example.:80\r\n\r\n" CHUNKED "0\r\n\r\n" GET,
	    GET UPGRADE,
	};
	char words[1024];

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct way way;

		for (int at_once = 0; at_once < 2; at_once++) {
			way_begin_for(&way, 0);
			snprintf(words, sizeof(words), "%s%s", bodies[i],
				 at_once ? "\r\n" OTHER : "");
			say(&way, words);
			hears(way.server, bodies[i]);
			if (!at_once)
				say(&way, OTHER);
			told_refused(&way, "it asks for other.example");
			way_end(&way);
		}
	}
}
END_TEST

START_TEST(answers_under_way_come_whole_before_the_end)
{
	struct way way;

	way_begin_for(&way, 0);
	say(&way, GET GET OTHER);
	hears(way.server, GET GET);
	hears_end(way.server);
	answer(&way, ANSWER);
	answer(&way, ANSWER);
	close_fd(&way.server);
	settle(&way);
	hears_end(way.agent);
	ck_assert_str_eq(noted, "it asks for other.example");
	ck_assert_uint_eq(way.egress.connection_count, 0);
	way_end(&way);
}
END_TEST

START_TEST(what_cannot_be_followed_ends_the_connection)
{
	static const struct {
		const char *words, *why;
	} cases[] = {
	    {POST("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
	     "it has a length and a transfer coding"},
	    {POST("Content-Length: 3\r\nContent-Length: 3\r\n"), "it has two lengths"},
	    {POST("Content-Length: +3\r\n"), "its length is malformed"},
	    {POST("Transfer-Encoding: xchunked\r\n"), "its transfer coding is not chunked alone"},
	    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	     "it is of HTTP/1.0 and chunked"},
	    {"GET / HTTP/1.1\nHost: a.example\n\n", "a line of its head ends in a lone line feed"},
	    {"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "it asks for a tunnel"},
	    {PREFACE, "HTTP/2 without TLS hides its host"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct way way;
		char byte;

		way_begin_for(&way, 0);
		say(&way, cases[i].words);
		ck_assert_str_eq(noted, cases[i].why);
		ck_assert_int_eq(recv(way.agent, &byte, 1, MSG_DONTWAIT), -1);
		ck_assert_uint_eq(way.egress.connection_count, 0);
		way_end(&way);
		way_begin_for(&way, 0);
		say(&way, GET);
		hears(way.server, GET);
		say(&way, cases[i].words);
		told_refused(&way, cases[i].why);
		way_end(&way);
	}
}
END_TEST

START_TEST(a_malformed_body_ends_the_connection)
{
	struct way way;
	char byte;

	way_begin_for(&way, 0);
	say(&way, CHUNKED "3\nabc");
	ck_assert_str_eq(noted, "its body is malformed");
	ck_assert_int_eq(recv(way.agent, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_uint_eq(way.egress.connection_count, 0);
	way_end(&way);
}
END_TEST

START_TEST(half_a_later_head_is_not_passed_on)
{
	struct way way;

	way_begin_for(&way, 0);
	say(&way, GET "GET / HTTP/1.1\r\nHost:");
	hears(way.server, GET);
	say(&way, " a.example\r\n\r\nGET / HT");
	hears(way.server, GET);
	ck_assert_int_eq(shutdown(way.agent, SHUT_WR), 0);
	ck_assert_uint_lt(settle(&way), WAKES_MOST);
	hears_end(way.server);
	answer(&way, ANSWER);
	ck_assert_uint_eq(way.egress.held_bytes, 0);
	way_end(&way);
}
END_TEST

/* What is behind Upgrade waits for the server's word, and is its protocol then. */
START_TEST(another_protocol_passes_when_the_server_agrees)
{
	struct way way;

	way_begin_for(&way, 0);
	say(&way, UPGRADE "\x81\x02hi");
	hears(way.server, UPGRADE);
	ck_assert_uint_lt(settle(&way), WAKES_MOST);
	answer(&way, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	hears(way.server, "");
	answer(&way, SWITCHED "\x81\x01x");
	hears(way.server, "\x81\x02hi");
	say(&way, OTHER);
	hears(way.server, OTHER);
	way_end(&way);
}
END_TEST

START_TEST(no_upgrade_leads_around_the_check)
{
	static const struct {
		const char *first, *answer, *then, *why;
	} cases[] = {
	    {UPGRADE, ANSWER, OTHER, "it asks for other.example"},
	    {UPGRADE, "HTTP/1.1 100 Continue\r\n\r\n" ANSWER, OTHER, "it asks for other.example"},
	    /* The second is followed: what is an answer's body could look like its 101. */
	    {GET UPGRADE, ANSWER SWITCHED, "\x81\x02hi", "what follows its request is none"},
	    {UPGRADE, ANSWER, PREFACE, "HTTP/2 without TLS hides its host"},
	};
	struct way way;
	char byte;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		way_begin_for(&way, 0);
		say(&way, cases[i].first);
		hears(way.server, cases[i].first);
		answer(&way, cases[i].answer);
		say(&way, cases[i].then);
		told_refused(&way, cases[i].why);
		way_end(&way);
	}
	way_begin_for(&way, 0);
	say(&way, UPGRADE);
	answer(&way, SWITCHED);
	say(&way, PREFACE);
	ck_assert_str_eq(noted, "HTTP/2 without TLS hides its host");
	ck_assert_int_eq(recv(way.agent, &byte, 1, MSG_DONTWAIT), -1);
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
	    each_request_is_asked_for_its_host,
	    no_framing_hides_a_request,
	    answers_under_way_come_whole_before_the_end,
	    what_cannot_be_followed_ends_the_connection,
	    a_malformed_body_ends_the_connection,
	    half_a_later_head_is_not_passed_on,
	    another_protocol_passes_when_the_server_agrees,
	    no_upgrade_leads_around_the_check,
	};

	return suite_run("egress/connection", tests, ARRAY_LEN(tests));
}
