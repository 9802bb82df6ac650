/* Where a session may be connected to, and which name servers are asked. */
// with: runnerd/dialer/check.c runnerd/dialer/resolve.c runnerd/dialer/dial.c
// with: runnerd/dialer/sessions.c runnerd/dialer/answers.c
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "runnerd/dialer/dialer.h"
#include "tests/unit/suite.h"

#define ANY "*" /* net_rule_any, which has no text */

enum { UNREAD = 3000 /* more than its socket and the dialer's bound take */ };

static const struct {
	const char *rules[3];
	const char *name, *address;
	unsigned port;
	const char *why; /* NULL: it may */
} connections[] = {
    {{"a.example:443"}, "a.example", "8.8.8.8", 443, NULL},
    {{"a.example:443"}, "a.example", "2606:4700::1", 443, NULL},
    {{"a.example:443"}, "a.example", "8.8.8.8", 80, "no rule lets a.example through"},
    {{"a.example:443"}, "b.example", "8.8.8.8", 443, "no rule lets b.example through"},
    {{"a.example:443"}, "", "8.8.8.8", 443, "no rule lets 8.8.8.8 through"},
    {{"a.example:443"}, "a.example", "10.0.0.1", 443, "10.0.0.1 is private"},
    {{"a.example:443"}, "a.example", "::ffff:10.0.0.1", 443, "10.0.0.1 is private"},
    {{"a.example:443"}, "a.example", "64:ff9b::a00:1", 443, "is private"},
    {{"a.example:443"}, "a.example", "169.254.169.254", 443, "link-local"},
    {{"a.example:443", "10.0.0.0/8:443"}, "a.example", "10.0.0.1", 443, NULL},
    {{"a.example:443", "10.0.0.0/8:80"}, "a.example", "10.0.0.1", 443, "is private"},
    {{"a.example:443", "0.0.0.0/0:443"}, "a.example", "10.0.0.1", 443, "is private"},
    {{"0.0.0.0/0:443"}, "", "8.8.8.8", 443, NULL},
    {{"0.0.0.0/0:443"}, "", "192.168.0.1", 443, "is private"},
    {{"::/0:443"}, "", "8.8.8.8", 443, NULL},
    {{"::/0:443"}, "", "fd00::1", 443, "is private"},
    {{"[fd00::]/8:443"}, "", "fd00::1", 443, NULL},
    {{"10.0.0.0/8:443"}, "", "64:ff9b::a00:1", 443, "is private"},
    {{"host.agentd:443", "a.example:443"}, "a.example", "127.0.0.1", 443, "the host's loopback"},
    {{"host.agentd:443"}, "", "127.0.0.1", 443, "the host's loopback"},
    {{"::/0:443", "0.0.0.0/0:443"}, "", "::1", 443, "the host's loopback"},
    {{"127.0.0.0/8:443"}, "", "127.0.0.1", 443, "the host's loopback"},
    {{"0.0.0.0/8:443"}, "", "0.0.0.0", 443, "the host's loopback"},
    {{"a.example:443", "0.0.0.0/8:443"}, "a.example", "0.0.0.0", 443, "the host's loopback"},
    {{"[::]/128:443"}, "", "::", 443, "the host's loopback"},
    {{ANY}, "a.example", "8.8.8.8", 443, NULL},
    {{ANY}, "", "2606:2800:7::1", 1, NULL},
    {{ANY}, "", "10.0.0.1", 443, "is private"},
    {{ANY, "10.0.0.0/8:443"}, "", "10.0.0.1", 443, NULL},
    {{ANY}, "a.example", "::ffff:169.254.169.254", 80, "is link-local"},
    {{ANY}, "", "224.0.0.1", 80, "is multicast"},
    {{ANY}, "", "fe80::1", 80, "is link-local"},
    {{ANY}, "a.example", "::ffff:127.0.0.1", 80, "the host's loopback"},
    {{ANY}, "", "0.0.0.0", 80, "the host's loopback"},
};

START_TEST(an_address_is_checked_by_rules_and_kind)
{
	for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
		struct net_rule items[3];
		struct net_rules rules = {items, 0};
		struct in6_addr address;
		char why[256] = "";
		bool may;

		while (rules.count < 3 && connections[i].rules[rules.count]) {
			const char *text = connections[i].rules[rules.count];

			items[rules.count] = net_rule_any;
			ck_assert(!strcmp(text, ANY) ||
				  net_rule_parse(text, &items[rules.count], why));
			rules.count++;
		}
		ck_assert_uint_gt(net_address(connections[i].address, &address), 0);
		may =
		    check_address(&rules, connections[i].name, &address, connections[i].port, why);
		ck_assert_msg(may == !connections[i].why, "%zu: %s", i, why);
		if (!may)
			ck_assert_msg(strstr(why, connections[i].why), "%zu: %s", i, why);
	}
}
END_TEST

START_TEST(name_servers_are_found_in_resolv_conf)
{
	static const struct {
		const char *conf, *list;
	} files[] = {
	    {"", ""},
	    {"# nameserver 1.1.1.1\nsearch a.example\n", ""},
	    {"nameserver 10.0.0.1", "10.0.0.1"},
	    {"search x\nnameserver\t10.0.0.1 # one\nnameserver 2001:db8::1\n",
	     "10.0.0.1,2001:db8::1"},
	    {"nameserver fe80::1%eth0\nnameserver [::1]\nnameservers 1.1.1.1\nnameserver x\n", ""},
	    {"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
	     "1.1.1.1,1.1.1.2,1.1.1.3"},
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char list[256];

		resolver_list(files[i].conf, list, sizeof(list));
		ck_assert_str_eq(list, files[i].list);
	}
}
END_TEST

/* --- an egress process that is owned: the test plays it ------------------------------------------
 */

struct owned {
	struct dialer dialer;
	struct channel *egress, *runnerd;
	struct loop_source *timer;
	struct msg answer;
};

static void
heard(struct channel *channel, struct msg *msg, void *arg)
{
	struct owned *owned = arg;

	(void)channel;
	owned->answer = *msg;
	msg->nfds = 0; /* taken */
	loop_stop(owned->dialer.loop, 0);
}

static void
gone(struct channel *channel, const struct error *error, void *arg)
{
	struct owned *owned = arg;

	(void)channel;
	(void)error;
	owned->egress = NULL;
	loop_stop(owned->dialer.loop, 1);
}

static void
silent(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	(void)msg;
	(void)arg;
}

static const struct channel_ops egress_ops = {.message = heard, .closed = gone};
static const struct channel_ops runnerd_ops = {.message = silent};

static void
late(struct loop_source *timer, void *arg)
{
	(void)timer;
	(void)arg;
	ck_abort_msg("no answer within a minute");
}

static int
rules_memfd(const char *const *texts, size_t count)
{
	struct rows *rows = rows_new("rules");
	char why[REASON_SIZE];
	struct net_rule rule;

	for (size_t i = 0; i < count; i++) {
		ck_assert(net_rule_parse(texts[i], &rule, why));
		ck_assert_int_eq(net_rule_add(rows, &rule), 0);
	}
	return rows_seal(rows);
}

static void
owned_begin(struct owned *owned, const char *const *rules, size_t count)
{
	struct error error = ERROR_INIT;
	int boot[2], dial[2];
	struct msg msg;

	memset(owned, 0, sizeof(*owned));
	owned->dialer.loop = loop_new();
	owned->timer = loop_add_timer(owned->dialer.loop, late, NULL);
	loop_arm_in(owned->timer, 60000);
	owned->dialer.resolver = resolver_new(owned->dialer.loop, &error);
	ck_assert_ptr_nonnull(owned->dialer.resolver);
	ck_assert_int_eq(channel_pair(boot), 0);
	ck_assert_int_eq(channel_pair(dial), 0);
	dialer_introduced(&owned->dialer, boot[1]);
	owned->runnerd = channel_new(owned->dialer.loop, boot[0], CH_RUNNERD_DIALER, SIDE_A,
				     ROLE_RUNNERD, ROLE_DIALER, &runnerd_ops, owned);
	owned->egress = channel_new(owned->dialer.loop, dial[0], CH_DIAL, SIDE_A, ROLE_EGRESS,
				    ROLE_DIALER, &egress_ops, owned);
	msg_init(&msg, MSG_DIALER_SESSION);
	msg.dialer_session.session.bytes[0] = 7;
	msg_add_fd(&msg, rules_memfd(rules, count));
	msg_add_fd(&msg, dial[1]);
	ck_assert_int_eq(channel_send(owned->runnerd, &msg), 0);
}

static void
owned_end(struct owned *owned)
{
	channel_free(owned->egress);
	channel_free(owned->runnerd);
	sessions_close(&owned->dialer);
	channel_free(owned->dialer.runnerd);
	resolver_free(owned->dialer.resolver);
	loop_remove(owned->timer);
	loop_free(owned->dialer.loop);
}

/* What comes of it: MSG_DIALED or MSG_DIAL_FAILED, in owned->answer. */
static enum msg_type
ask(struct owned *owned, const char *name, const char *address, unsigned port)
{
	struct in6_addr in = {0};
	struct msg msg;

	msg_init(&msg, MSG_DIAL);
	msg.id = 5;
	msg.dial.port = port;
	strcpy(msg.dial.name, name);
	if (address)
		ck_assert_uint_gt(net_address(address, &in), 0);
	msg.dial.address_len = address ? sizeof(in) : 0;
	memcpy(msg.dial.address, &in, sizeof(in));
	ck_assert_int_eq(channel_send(owned->egress, &msg), 0);
	ck_assert_int_eq(loop_run(owned->dialer.loop), 0);
	ck_assert_uint_eq(owned->answer.id, 5);
	return owned->answer.type;
}

static int
listen_on_loopback(unsigned *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &size), 0);
	*port = ntohs(name.sin_port);
	return fd;
}

START_TEST(an_owned_egress_process_reaches_what_rules_allow)
{
	static const struct {
		const char *name, *address;
		unsigned port;
	} denied[] = {
	    {"", "127.0.0.1", 0},
	    {"", "::1", 0},
	    {"", "::ffff:127.0.0.1", 0},
	    {"localhost", NULL, 0},
	    {"127.0.0.1", NULL, 0},
	    {"b.example", NULL, 443},
	    {"host.agentd", NULL, 1},
	    {"agentd", NULL, 0},
	    {"a.example", NULL, 80},
	    {"HOST.AGENTD", NULL, 0},
	    {"host.agentd.", NULL, 0},
	    {"", NULL, 0},
	    {"", "169.254.169.254", 0},
	    {"", "10.0.0.1", 443},
	    {"", "8.8.8.8", 443},
	    {"", "8.8.8.8", 65536 + 443},
	    {"a.example", NULL, 65536 + 443},
	};
	char host[64];
	const char *rules[] = {host, "a.example:443", "9.9.9.9:443"};
	struct owned owned;
	unsigned port;
	_cleanup_close_ int listener = listen_on_loopback(&port);

	snprintf(host, sizeof(host), "host.agentd:%u", port);
	owned_begin(&owned, rules, ARRAY_LEN(rules));
	for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
		unsigned to = denied[i].port ? denied[i].port : port;

		ck_assert_msg(ask(&owned, denied[i].name, denied[i].address, to) == MSG_DIAL_FAILED,
			      "%zu", i);
		ck_assert_msg(owned.answer.dial_failed.refused, "%zu: %s", i,
			      owned.answer.dial_failed.why);
	}
	ck_assert_int_eq(ask(&owned, "host.agentd", "10.0.0.1", port), MSG_DIALED);
	msg_close_fds(&owned.answer);
	owned_end(&owned);
}
END_TEST

static int
listen_on_loopback6(unsigned port)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6,
				    .sin6_port = htons((uint16_t)port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		close_fd(&fd);
		return -1; /* a host without IPv6, or the port is another's */
	}
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

/* Its queue is full: whoever connects now waits. */
static void
fill(unsigned port, int clients[2])
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (int i = 0; i < 2; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		ck_assert(connect(clients[i], (struct sockaddr *)&name, sizeof(name)) == 0 ||
			  errno == EINPROGRESS);
	}
}

/* host.agentd is 127.0.0.1, and then ::1. */
static void
expect_the_second_address(unsigned port)
{
	char host[64];
	const char *rules[] = {host};
	struct owned owned;

	snprintf(host, sizeof(host), "host.agentd:%u", port);
	owned_begin(&owned, rules, ARRAY_LEN(rules));
	/* An address that hangs is not waited for until it is given up. */
	loop_arm_in(owned.timer, CONNECT_MS);
	ck_assert_int_eq(ask(&owned, "host.agentd", NULL, port), MSG_DIALED);
	ck_assert_mem_eq(owned.answer.dialed.address, &in6addr_loopback, sizeof(in6addr_loopback));
	msg_close_fds(&owned.answer);
	ck_assert_uint_eq(owned.dialer.sessions->sockets, 0);
	owned_end(&owned);
}

START_TEST(one_address_that_refuses_is_followed_by_the_next)
{
	unsigned port;
	_cleanup_close_ int refuses = listen_on_loopback(&port);
	_cleanup_close_ int listener = listen_on_loopback6(port);

	close_fd(&refuses);
	if (listener >= 0)
		expect_the_second_address(port);
}
END_TEST

START_TEST(one_address_that_hangs_is_joined_by_the_next)
{
	unsigned port;
	_cleanup_close_ int hangs = listen_on_loopback(&port);
	_cleanup_close_ int listener = listen_on_loopback6(port);
	int clients[2];

	ck_assert_int_eq(listen(hangs, 0), 0);
	fill(port, clients);
	if (listener >= 0)
		expect_the_second_address(port);
	close(clients[0]);
	close(clients[1]);
}
END_TEST

static void
until_gone(struct loop_source *timer, void *arg)
{
	struct owned *owned = arg;

	if (owned->dialer.sessions)
		loop_arm_in(timer, 10);
	else
		loop_stop(owned->dialer.loop, 0);
}

/* Each answer that is not read holds a socket of the dialer's. */
START_TEST(an_egress_process_that_reads_no_answers_gets_no_more)
{
	char host[64];
	const char *rules[] = {host};
	struct loop_source *timer;
	struct owned owned;
	struct msg msg;
	unsigned port;
	_cleanup_close_ int listener = listen_on_loopback(&port);

	ck_assert_int_eq(listen(listener, 4096), 0);
	snprintf(host, sizeof(host), "host.agentd:%u", port);
	owned_begin(&owned, rules, ARRAY_LEN(rules));
	ck_assert_int_eq(ask(&owned, "host.agentd", NULL, port), MSG_DIALED);
	msg_close_fds(&owned.answer);
	channel_pause(owned.egress, true);
	for (int i = 0; i < UNREAD; i++) {
		msg_init(&msg, MSG_DIAL);
		msg.dial.port = port;
		strcpy(msg.dial.name, "host.agentd");
		ck_assert_int_eq(channel_send(owned.egress, &msg), 0);
	}
	timer = loop_add_timer(owned.dialer.loop, until_gone, &owned);
	loop_arm_in(timer, 10);
	ck_assert_int_eq(loop_run(owned.dialer.loop), 0);
	loop_remove(timer);
	owned_end(&owned);
}
END_TEST

START_TEST(a_connection_that_fails_says_why)
{
	char host[64];
	const char *rules[] = {host};
	struct owned owned;
	unsigned port;

	close(listen_on_loopback(&port));
	snprintf(host, sizeof(host), "host.agentd:%u", port);
	owned_begin(&owned, rules, ARRAY_LEN(rules));
	ck_assert_int_eq(ask(&owned, "host.agentd", NULL, port), MSG_DIAL_FAILED);
	ck_assert(!owned.answer.dial_failed.refused);
	ck_assert_ptr_nonnull(strstr(owned.answer.dial_failed.why, "refused"));
	owned_end(&owned);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    an_address_is_checked_by_rules_and_kind,
	    name_servers_are_found_in_resolv_conf,
	    an_owned_egress_process_reaches_what_rules_allow,
	    one_address_that_refuses_is_followed_by_the_next,
	    one_address_that_hangs_is_joined_by_the_next,
	    an_egress_process_that_reads_no_answers_gets_no_more,
	    a_connection_that_fails_says_why,
	};

	return suite_run("dialer", tests, ARRAY_LEN(tests));
}
