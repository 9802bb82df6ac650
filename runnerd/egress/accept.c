/* Connections of the agent: where each wanted to go is the address that it was accepted at. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "exchange.h"
#include "proxy.h"

enum { ACCEPTS_A_ROUND = 64 };

/* Ends a connection so that the other side sees an error, not an end. */
void
reset(int fd)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static bool
wanted(int fd, struct in6_addr *address, unsigned *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name;
	socklen_t size = sizeof(name);

	if (getsockname(fd, &name.any, &size) < 0)
		return false;
	if (name.any.sa_family == AF_INET6) {
		*address = name.v6.sin6_addr;
		*port = ntohs(name.v6.sin6_port);
		return true;
	}
	net_from_v4(address, ntohl(name.v4.sin_addr.s_addr));
	*port = ntohs(name.v4.sin_port);
	return name.any.sa_family == AF_INET;
}

static void
begin_named(struct egress *egress, int fd, int number, unsigned port)
{
	const char *name = names_use(egress->names, number)->name;
	const struct net_rule *rule = net_rules_find_name(&egress->rules, name, port);
	const struct msg_inject_rule *inject =
	    port == INJECT_PORT ? injects_host(&egress->injects, name) : NULL;

	if (inject) {
		exchange_begin(egress, fd, inject, NULL, 0);
		return;
	}
	/* Where every name may be reached, another one in SNI or Host is no way around a rule. */
	if (rule) {
		connection_begin(egress, fd, number, NULL, port,
				 rule->kind == NET_HOST || rule->kind == NET_ANY);
		return;
	}
	names_use(egress->names, number)->denials++;
	note(egress, name, port, "no rule lets it through at this port");
	reset(fd);
}

static void
begin(struct egress *egress, int fd)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address, proxy;
	unsigned port;
	int number;

	if (!wanted(fd, &address, &port)) {
		reset(fd);
		return;
	}
	net_from_v4(&proxy, NAMES_PROXY_V4);
	if (port == NET_PROXY_PORT && IN6_ARE_ADDR_EQUAL(&address, &proxy)) {
		proxy_begin(egress, fd);
		return;
	}
	number = names_of_address(egress->names, &address);
	if (number >= 0) {
		begin_named(egress, fd, number, port);
	} else if (net_rules_find_address(&egress->rules, &address, port)) {
		connection_begin(egress, fd, -1, &address, port, true);
	} else {
		egress->literals.denials++;
		note(egress, net_address_text(&address, text), port, "no rule names it");
		reset(fd);
	}
}

/* Where there are as many as there may be, the next one ends at once. */
static void
begin_bounded(struct egress *egress, int fd)
{
	char why[64];

	if (egress->connection_count < egress->connections_max) {
		begin(egress, fd);
		return;
	}
	snprintf(why, sizeof(why), "%u connections are open, which is the most",
		 egress->connections_max);
	egress->literals.denials++;
	note(egress, "a connection", 0, why);
	reset(fd);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct listener *listener = arg;

	(void)source;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_ROUND && listener->egress->accepting; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		begin_bounded(listener->egress, fd);
	}
}

void
listeners_adjust(struct egress *egress)
{
	bool accept = egress->dialing < DIALS_AT_ONCE;

	if (accept == egress->accepting)
		return;
	egress->accepting = accept;
	for (unsigned i = 0; i < egress->listener_count; i++)
		loop_set_events(egress->listeners[i].source, accept ? EPOLLIN : 0);
}

int
listeners_open(struct egress *egress, struct error *error)
{
	egress->accepting = true;
	for (unsigned i = 0; i < egress->listener_count; i++) {
		struct listener *listener = &egress->listeners[i];

		listener->source =
		    loop_add_io(egress->loop, listener->fd, EPOLLIN, ready, listener);
		if (!listener->source)
			return error_errno(error, errno, "the listening sockets");
	}
	return 0;
}
