/* One request: name to addresses, addresses to those that may be, to one that answers. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "dialer.h"

struct dial {
	struct dial *next;
	struct dial_session
	    *session; /* NULL: nobody waits any more, and its name is still asked for */
	uint32_t id;  /* of the request */
	char name[NET_NAME_MAX + 1];
	unsigned port;
	bool resolving;
	struct in6_addr addresses[ADDRESSES_MAX];
	unsigned count, at;
	int fd;
	struct loop_source *source, *timer;
	uint64_t until_ns;
	char why[256]; /* of the last address that did not answer */
};

static void try_next(struct dial *dial);

static void
dial_free(struct dial *dial)
{
	loop_remove(dial->source);
	loop_remove(dial->timer);
	close_fd(&dial->fd);
	free(dial);
}

/* Out of the session's list; c-ares may still hold it. */
static void
dial_end(struct dial *dial)
{
	struct dial **at = &dial->session->dials;

	while (*at != dial)
		at = &(*at)->next;
	*at = dial->next;
	dial->session->count--;
	dial->session = NULL;
	loop_arm(dial->timer, 0);
	if (!dial->resolving)
		dial_free(dial);
}

static void
answer_failed(struct dial *dial, bool refused, const char *why)
{
	struct msg msg;

	msg_init(&msg, MSG_DIAL_FAILED);
	msg.id = dial->id;
	msg.dial_failed.refused = refused;
	snprintf(msg.dial_failed.why, sizeof(msg.dial_failed.why), "%.255s", why);
	channel_send(dial->session->channel, &msg);
	dial_end(dial);
}

/* --- connecting ------------------------------------------------------------------------------- */

static void
answer_connected(struct dial *dial)
{
	const struct in6_addr *address = &dial->addresses[dial->at];
	struct msg msg;

	loop_remove(dial->source);
	dial->source = NULL;
	msg_init(&msg, MSG_DIALED);
	msg.id = dial->id;
	msg.dialed.address_len = sizeof(*address);
	memcpy(msg.dialed.address, address, sizeof(*address));
	msg_add_fd(&msg, steal_fd(&dial->fd));
	channel_send(dial->session->channel, &msg);
	dial_end(dial);
}

static void
try_another(struct dial *dial, const char *why)
{
	char text[INET6_ADDRSTRLEN];

	snprintf(dial->why, sizeof(dial->why), "%s: %s",
		 net_address_text(&dial->addresses[dial->at], text), why);
	loop_remove(dial->source);
	dial->source = NULL;
	close_fd(&dial->fd);
	dial->at++;
	try_next(dial);
}

static void
connected(struct loop_source *source, uint32_t events, void *arg)
{
	struct dial *dial = arg;
	int failure = 0;
	socklen_t size = sizeof(failure);

	(void)source;
	(void)events;
	if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		failure = errno;
	if (failure)
		try_another(dial, strerrordesc_np(failure));
	else
		answer_connected(dial);
}

static void
too_late(struct loop_source *timer, void *arg)
{
	struct dial *dial = arg;

	(void)timer;
	if (dial->resolving)
		answer_failed(dial, false, "its name servers do not answer");
	else
		try_another(dial, "no answer");
}

static int
start_connecting(int fd, const struct in6_addr *address, unsigned port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (!IN6_IS_ADDR_V4MAPPED(address)) {
		v6.sin6_addr = *address;
		return connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	}
	memcpy(&v4.sin_addr, &address->s6_addr[12], sizeof(v4.sin_addr));
	return connect(fd, (struct sockaddr *)&v4, sizeof(v4));
}

/* To the address that was checked, never to a name. 0 or -errno. */
static int
open_connection(struct dial *dial)
{
	const struct in6_addr *address = &dial->addresses[dial->at];
	int family = IN6_IS_ADDR_V4MAPPED(address) ? AF_INET : AF_INET6, on = 1;

	dial->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (dial->fd < 0)
		return -errno;
	setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(dial->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (start_connecting(dial->fd, address, dial->port) < 0 && errno != EINPROGRESS)
		return -errno;
	dial->source =
	    loop_add_io(dial->session->dialer->loop, dial->fd, EPOLLOUT, connected, dial);
	return dial->source ? 0 : -errno;
}

static void
try_next(struct dial *dial)
{
	uint64_t now = boottime_ns(), until = now + UINT64_C(1000000) * CONNECT_MS;
	int rc;

	if (dial->at == dial->count || now >= dial->until_ns) {
		answer_failed(dial, false, dial->why);
		return;
	}
	loop_arm(dial->timer, until < dial->until_ns ? until : dial->until_ns);
	rc = open_connection(dial);
	if (rc < 0)
		try_another(dial, strerrordesc_np(-rc));
}

/* --- what may be ------------------------------------------------------------------------------ */

/* Keeps those that may be connected to; the reason of the last that may not. */
static void
try_allowed(struct dial *dial, const struct in6_addr *addresses, unsigned count)
{
	char why[256] = "";

	for (unsigned i = 0; i < count; i++)
		if (check_address(&dial->session->rules, dial->name, &addresses[i], dial->port,
				  why))
			dial->addresses[dial->count++] = addresses[i];
	if (dial->count > 0)
		try_next(dial);
	else
		answer_failed(dial, true, why);
}

static void
resolved(const struct in6_addr *addresses, unsigned count, const char *why, void *arg)
{
	struct dial *dial = arg;

	dial->resolving = false;
	if (!dial->session)
		dial_free(dial);
	else if (why)
		answer_failed(dial, false, why);
	else
		try_allowed(dial, addresses, count);
}

static void
dial_host(struct dial *dial)
{
	net_from_v4(&dial->addresses[0], INADDR_LOOPBACK);
	dial->addresses[1] = in6addr_loopback;
	dial->count = 2;
	try_next(dial);
}

static void
dial_name(struct dial *dial)
{
	const struct net_rule *rule =
	    net_rules_find_name(&dial->session->rules, dial->name, dial->port);

	if (!rule) {
		answer_failed(dial, true, "no rule lets it through");
	} else if (rule->kind == NET_HOST) {
		dial_host(dial);
	} else {
		dial->resolving = true;
		loop_arm(dial->timer, dial->until_ns);
		resolve(dial->session->dialer->resolver, dial->name, resolved, dial);
	}
}

static struct dial *
dial_new(struct dial_session *session, const struct msg *request)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->fd = -1;
	dial->timer = loop_add_timer(session->dialer->loop, too_late, dial);
	if (!dial->timer) {
		free(dial);
		return NULL;
	}
	dial->session = session;
	dial->id = request->id;
	dial->port = request->dial.port;
	dial->until_ns = boottime_ns() + UINT64_C(1000000) * DIAL_MS;
	snprintf(dial->name, sizeof(dial->name), "%s", request->dial.name);
	dial->next = session->dials;
	session->dials = dial;
	session->count++;
	return dial;
}

static void
refuse(struct dial_session *session, uint32_t id, const char *why)
{
	struct msg msg;

	msg_init(&msg, MSG_DIAL_FAILED);
	msg.id = id;
	snprintf(msg.dial_failed.why, sizeof(msg.dial_failed.why), "%s", why);
	channel_send(session->channel, &msg);
}

void
dial_begin(struct dial_session *session, const struct msg *request)
{
	const struct msg_dial *wanted = &request->dial;
	struct in6_addr address;
	struct dial *dial;

	dial = session->count < DIALS_MAX ? dial_new(session, request) : NULL;
	if (!dial) {
		refuse(session, request->id, "too many connections are being made");
		return;
	}
	if (wanted->name[0]) {
		dial_name(dial);
	} else if (wanted->address_len == sizeof(address)) {
		memcpy(&address, wanted->address, sizeof(address));
		try_allowed(dial, &address, 1);
	} else {
		answer_failed(dial, true, "it names nothing");
	}
}

void
dials_drop(struct dial_session *session)
{
	while (session->dials)
		dial_end(session->dials);
}
