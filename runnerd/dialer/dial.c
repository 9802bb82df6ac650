/* One request: name to addresses, addresses to those that may be, to one that answers. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "dialer.h"

/* A socket that may become the connection. */
struct attempt {
	struct dial *dial;
	int fd;
	struct loop_source *source; /* NULL: not under way */
};

struct dial {
	struct dial *next;
	struct dial_session
	    *session; /* NULL: nobody waits any more, and its name is still asked for */
	uint32_t id;  /* of the request */
	char name[NET_NAME_MAX + 1];
	unsigned port;
	bool resolving; /* c-ares holds it */
	bool waiting;   /* for what another dial of the session has asked */
	struct in6_addr addresses[ADDRESSES_MAX];
	struct attempt attempts[ADDRESSES_MAX]; /* one for each */
	unsigned count, tried, under_way;
	struct loop_source *timer;
	uint64_t until_ns;
	char why[256]; /* of the last address that did not answer */
};

static void try_more(struct dial *dial);

/* The socket, which is the caller's; -1: it was not under way. */
static int
attempt_end(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;

	if (!attempt->source)
		return -1;
	loop_remove(attempt->source);
	attempt->source = NULL;
	dial->under_way--;
	dial->session->sockets--;
	return steal_fd(&attempt->fd);
}

static void
attempts_end(struct dial *dial)
{
	for (unsigned i = 0; i < dial->tried; i++) {
		_cleanup_close_ int fd = attempt_end(&dial->attempts[i]);
	}
}

static void
dial_free(struct dial *dial)
{
	loop_remove(dial->timer);
	free(dial);
}

/* Out of the session's list; c-ares may still hold it. */
static void
dial_end(struct dial *dial)
{
	struct dial **at = &dial->session->dials;

	attempts_end(dial);
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

static const struct in6_addr *
address_of(const struct attempt *attempt)
{
	return &attempt->dial->addresses[attempt - attempt->dial->attempts];
}

static void
answer_connected(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;
	struct msg msg;

	msg_init(&msg, MSG_DIALED);
	msg.id = dial->id;
	msg.dialed.address_len = sizeof(struct in6_addr);
	memcpy(msg.dialed.address, address_of(attempt), sizeof(struct in6_addr));
	msg_add_fd(&msg, attempt_end(attempt));
	channel_send(dial->session->channel, &msg);
	dial_end(dial);
}

static void
keep_why(struct attempt *attempt, const char *why)
{
	char text[INET6_ADDRSTRLEN];

	snprintf(attempt->dial->why, sizeof(attempt->dial->why), "%s: %s",
		 net_address_text(address_of(attempt), text), why);
}

static void
attempt_failed(struct attempt *attempt, const char *why)
{
	_cleanup_close_ int fd = attempt_end(attempt);

	keep_why(attempt, why);
	try_more(attempt->dial);
}

static void
connected(struct loop_source *source, uint32_t events, void *arg)
{
	struct attempt *attempt = arg;
	int failure = 0;
	socklen_t size = sizeof(failure);

	(void)source;
	(void)events;
	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		failure = errno;
	if (failure)
		attempt_failed(attempt, strerrordesc_np(failure));
	else
		answer_connected(attempt);
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
open_connection(struct attempt *attempt)
{
	const struct in6_addr *address = address_of(attempt);
	struct dial *dial = attempt->dial;
	int family = IN6_IS_ADDR_V4MAPPED(address) ? AF_INET : AF_INET6, on = 1;
	_cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (start_connecting(fd, address, dial->port) < 0 && errno != EINPROGRESS)
		return -errno;
	attempt->source =
	    loop_add_io(dial->session->dialer->loop, fd, EPOLLOUT, connected, attempt);
	if (!attempt->source)
		return -errno;
	attempt->fd = steal_fd(&fd);
	dial->under_way++;
	dial->session->sockets++;
	return 0;
}

/* The next address that can be tried at all. */
static void
try_next(struct dial *dial)
{
	unsigned under_way = dial->under_way;

	while (dial->tried < dial->count && dial->under_way == under_way) {
		struct attempt *attempt = &dial->attempts[dial->tried++];
		int rc;

		attempt->dial = dial;
		rc = open_connection(attempt);
		if (rc < 0)
			keep_why(attempt, strerrordesc_np(-rc));
	}
}

/* Another one besides those under way; when there are none, it failed. */
static void
try_more(struct dial *dial)
{
	uint64_t now = boottime_ns(), again;

	if (now < dial->until_ns)
		try_next(dial);
	if (dial->under_way == 0) {
		answers_drop(&dial->session->answers, dial->name);
		answer_failed(dial, false, dial->why);
		return;
	}
	again = now + UINT64_C(1000000) * (dial->tried < dial->count ? NEXT_MS : CONNECT_MS);
	loop_arm(dial->timer, again < dial->until_ns ? again : dial->until_ns);
}

static void
give_up_those_under_way(struct dial *dial)
{
	for (unsigned i = 0; i < dial->tried; i++)
		if (dial->attempts[i].source)
			keep_why(&dial->attempts[i], "no answer");
	attempts_end(dial);
	try_more(dial);
}

static void
time_passed(struct loop_source *timer, void *arg)
{
	struct dial *dial = arg;

	(void)timer;
	if (dial->resolving || dial->waiting)
		answer_failed(dial, false, "its name servers do not answer");
	else if (dial->tried < dial->count && boottime_ns() < dial->until_ns &&
		 dial->session->sockets < EAGER_MAX)
		try_more(dial);
	else
		give_up_those_under_way(dial);
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
		try_more(dial);
	else
		answer_failed(dial, true, why);
}

static void
go_on(struct dial *dial, const struct resolution *found)
{
	dial->waiting = false;
	if (found->why)
		answer_failed(dial, false, found->why);
	else
		try_allowed(dial, found->addresses, found->count);
}

static void
go_on_waiting(struct dial_session *session, const char *name, const struct resolution *found)
{
	struct dial *dial, *next;

	for (dial = session->dials; dial; dial = next) {
		next = dial->next;
		if (dial->waiting && strcmp(dial->name, name) == 0)
			go_on(dial, found);
	}
}

static void
resolved(const struct resolution *found, void *arg)
{
	struct dial *dial = arg;
	struct dial_session *session = dial->session;

	dial->resolving = false;
	if (!session) {
		dial_free(dial);
		return;
	}
	if (!found->why)
		answers_put(&session->answers, dial->name, found->addresses, found->count,
			    found->ttl_s, boottime_ns());
	go_on_waiting(session, dial->name, found);
	go_on(dial, found);
}

static void
dial_host(struct dial *dial)
{
	net_from_v4(&dial->addresses[0], INADDR_LOOPBACK);
	dial->addresses[1] = in6addr_loopback;
	dial->count = 2;
	try_more(dial);
}

static bool
is_asked_for(const struct dial_session *session, const char *name)
{
	const struct dial *dial = session->dials;

	while (dial && (!dial->resolving || strcmp(dial->name, name) != 0))
		dial = dial->next;
	return dial != NULL;
}

/* One question for all dials of a session to the same name, and none while its answer is valid. */
static void
dial_resolved(struct dial *dial)
{
	struct dial_session *session = dial->session;
	const struct answer *known = answers_find(&session->answers, dial->name, boottime_ns());

	if (known) {
		try_allowed(dial, known->addresses, known->count);
		return;
	}
	loop_arm(dial->timer, dial->until_ns);
	dial->waiting = is_asked_for(session, dial->name);
	if (dial->waiting)
		return;
	dial->resolving = true;
	resolve(session->dialer->resolver, dial->name, resolved, dial);
}

static void
dial_name(struct dial *dial)
{
	const struct net_rule *rule =
	    net_rules_find_name(&dial->session->rules, dial->name, dial->port);

	if (!rule)
		answer_failed(dial, true, "no rule lets it through");
	else if (rule->kind == NET_HOST)
		dial_host(dial);
	else
		dial_resolved(dial);
}

static struct dial *
dial_new(struct dial_session *session, const struct msg *request)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (!dial)
		return NULL;
	dial->timer = loop_add_timer(session->dialer->loop, time_passed, dial);
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
