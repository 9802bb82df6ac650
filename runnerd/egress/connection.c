/*
 * One connection: dialed and looked at, both at once, then two directions that each end by
 * themselves.
 *
 * Bytes are peeked at, sent, and what was sent is taken out of the receiving socket without copying
 * it again (MSG_TRUNC): whatever the other side does not take stays where it is, and TCP tells the
 * sender. Only the client's first bytes are held, until it is known for whom they are, and so is
 * the head of each request of HTTP/1 (follow.h).
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/netaddr.h"
#include "exchange.h"
#include "follow.h"
#include "proxy.h"
#include "sniff.h"

enum { RELAYS_A_ROUND = 4, OTHER_FILES = 2 * (NET_PORTS_MAX + EXCHANGES_MAX) + 64 };

/* One end of it, and what is read from it. */
struct end {
	int fd;
	struct loop_source *source;
	uint32_t events;
	bool finished; /* its end was passed on */
	bool stuck;    /* what lies there waits for the other end */
};

/* The client's first bytes: as many as have come. */
struct head {
	size_t used, sent;
	uint8_t bytes[];
};

struct connection {
	struct connection *next, **at;
	struct egress *egress;
	int number; /* of its name; -1: address */
	struct in6_addr address;
	unsigned port;
	uint32_t dial; /* 0: answered */
	uint64_t until_ns;
	bool sniffed;          /* it is known for whom it is */
	enum proxy_kind proxy; /* who waits to be told of the server */
	struct head *head;     /* NULL: nothing is held, or nothing came yet */
	struct follow follow;
	char *refused; /* why a later request was: answers under way still come */
	bool drained;  /* the client has nothing more to say behind it */
	struct end client, server;
};

static void work(struct connection *c);

struct name_use *
use_of(struct egress *egress, int number)
{
	return number < 0 ? &egress->literals : names_use(egress->names, number);
}

static void
head_free(struct connection *c)
{
	if (c->head)
		c->egress->held_bytes -= c->head->used;
	free(steal_ptr(&c->head));
}

/* --- its end ---------------------------------------------------------------------------------- */

static void
connection_free(struct connection *c)
{
	struct egress *egress = c->egress;

	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	egress->connection_count--;
	egress->dialing -= c->dial != 0;
	loop_remove(c->client.source);
	loop_remove(c->server.source);
	close_fd(&c->client.fd);
	close_fd(&c->server.fd);
	head_free(c);
	free(c->refused);
	free(c);
	uses_changed(egress);
	listeners_adjust(egress);
}

/* The other side's failure is this side's. */
static void
abort_both(struct connection *c)
{
	reset(steal_fd(&c->client.fd));
	reset(steal_fd(&c->server.fd));
	connection_free(c);
}

static const char *
target(const struct connection *c, char text[INET6_ADDRSTRLEN])
{
	return c->number < 0 ? net_address_text(&c->address, text)
			     : names_use(c->egress->names, c->number)->name;
}

static void
count_denial(struct connection *c, const char *why)
{
	char text[INET6_ADDRSTRLEN];

	use_of(c->egress, c->number)->denials++;
	note(c->egress, target(c, text), c->port, why);
}

static void
deny(struct connection *c, const char *why)
{
	count_denial(c, why);
	abort_both(c);
}

/* --- for whom it is --------------------------------------------------------------------------- */

/* 0, -ENOMEM, or -ENOBUFS when those that have not said for whom they are hold too much together.
 */
static int
hold(struct connection *c, const uint8_t *bytes, size_t count)
{
	size_t used = c->head ? c->head->used : 0;
	struct head *head;

	if (count > HELD_BYTES_MAX - c->egress->held_bytes)
		return -ENOBUFS;
	head = realloc(c->head, sizeof(*head) + used + count);
	if (!head)
		return -ENOMEM;
	if (!c->head)
		head->used = head->sent = 0;
	memcpy(head->bytes + used, bytes, count);
	head->used += count;
	c->head = head;
	c->egress->held_bytes += count;
	return 0;
}

/* The head of a request: what is behind it is not held. NULL, or why it does not pass. */
static const char *
take_head(struct connection *c)
{
	const char *why;
	ssize_t length = follow_head(&c->follow, c->head->bytes, c->head->used, &why);

	if (length < 0)
		return why;
	c->egress->held_bytes -= c->head->used - (size_t)length;
	c->head->used = (size_t)length;
	return NULL;
}

/* Whether what has come may pass: 1, 0: cannot be told yet, -1: why says why not. */
static int
judge(struct connection *c, char *why, size_t size)
{
	const char *name = names_use(c->egress->names, c->number)->name, *wrong = NULL;
	struct sniffed found;
	enum sniff rc = sniff(c->head->bytes, c->head->used, &found);

	if (rc == SNIFF_MORE)
		return 0;
	if (rc == SNIFF_NAME && strcmp(found.name, name) != 0) {
		snprintf(why, size, "it asks for %s", found.name);
		return -1;
	}
	if (rc == SNIFF_BAD)
		wrong = found.why;
	else if (found.http)
		wrong = take_head(c);
	else if (c->follow.on)
		wrong = "what follows its request is none";
	snprintf(why, size, "%s", wrong ? wrong : "");
	return wrong ? -1 : 1;
}

/* The server hears of an end behind the requests that passed, and answers them; then the client is
 * told, see say_refused(). */
static void
refuse_later(struct connection *c, const char *why)
{
	count_denial(c, why);
	head_free(c);
	c->refused = strdup(why);
	c->sniffed = c->client.finished = true;
	c->follow.spoke = false;
	shutdown(c->server.fd, SHUT_WR);
}

/* False: the connection is gone. */
static bool
look_at_head(struct connection *c)
{
	bool later = c->follow.on;
	char why[128 + NET_NAME_MAX];
	int rc = judge(c, why, sizeof(why));

	c->sniffed = rc != 0;
	if (rc < 0 && later)
		refuse_later(c, why);
	else if (rc < 0)
		deny(c, why);
	return rc >= 0 || later;
}

/* Reads what the client says first. False: the connection is gone. */
static bool
look(struct connection *c)
{
	uint8_t *buffer = c->egress->buffer;
	size_t used = c->head ? c->head->used : 0;
	ssize_t n = recv(c->client.fd, buffer, SNIFF_BYTES - used, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0) {
		abort_both(c);
		return false;
	}
	if (n == 0) {
		c->sniffed = true; /* it has nothing more to say: relay() finds the end again */
		if (c->follow.on)
			head_free(c); /* half a head is no request */
		return true;
	}
	if (hold(c, buffer, (size_t)n) < 0) {
		deny(c, "too much is held of connections that do not say for whom they are");
		return false;
	}
	if (!look_at_head(c))
		return false;
	if (c->head &&
	    recv(c->client.fd, buffer, c->head->used - used, MSG_TRUNC | MSG_DONTWAIT) < 0) {
		abort_both(c);
		return false;
	}
	return true;
}

/* Sends what was looked at; it goes on to be held until it is known for whom it is. A server does
 * nothing before a head or ClientHello is whole, and then it is known: its last byte is not sent
 * before. Who speaks another protocol may wait for an answer to a few letters; a later request's
 * head waits until it is whole, so that none is cut off before one that passed is answered. False:
 * the connection is gone. */
static bool
send_head(struct connection *c)
{
	struct head *head = c->head;
	ssize_t n;

	if (c->follow.on && !c->sniffed)
		return true;
	while (head->sent < head->used) {
		n = send(c->server.fd, head->bytes + head->sent, head->used - head->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			c->client.stuck = true;
			return true;
		}
		if (n < 0) {
			abort_both(c);
			return false;
		}
		head->sent += (size_t)n;
		use_of(c->egress, c->number)->sent_bytes += (uint64_t)n;
	}
	c->client.stuck = false;
	if (c->sniffed)
		head_free(c);
	return true;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* What a client still sends behind a refused request, so that closing does not take the answer
 * back.
 */
static void
drain(struct connection *c)
{
	ssize_t n = 1;

	for (int i = 0; n > 0 && i < RELAYS_A_ROUND; i++)
		n = recv(c->client.fd, c->egress->buffer, RELAY_BYTES, MSG_TRUNC | MSG_DONTWAIT);
	c->drained = n == 0 || (n < 0 && errno != EAGAIN);
}

/* The server has ended. Behind an answer that came after the refusal nothing is said: it may be one
 * that ends with its connection. */
static void
say_refused(struct connection *c)
{
	drain(c);
	if (!c->follow.spoke && c->refused)
		proxy_answer(c->client.fd, PROXY_HTTP, true, c->refused);
}

/* An end is passed on. */
static int
finish(struct connection *c, struct end *from, struct end *to)
{
	from->finished = true;
	if (from == &c->server && c->refused)
		say_refused(c);
	/* One that is gone already is an end, too. */
	return shutdown(to->fd, SHUT_WR) < 0 && errno != ENOTCONN ? -1 : 0;
}

/* Of what lies there, as much as passes now: of HTTP/1 no more than the request's body. -1: it is
 * malformed. */
static ssize_t
passing(struct connection *c, const struct end *from, ssize_t n)
{
	struct follow ahead = c->follow;

	if (from != &c->client || !c->follow.on)
		return n;
	n = follow_body(&ahead, c->egress->buffer, (size_t)n);
	if (n < 0)
		count_denial(c, "its body is malformed");
	return n;
}

/* That many were sent. */
static void
follow(struct connection *c, const struct end *from, size_t sent)
{
	bool on = c->follow.on;

	if (from == &c->server)
		follow_answer(&c->follow, c->egress->buffer, sent);
	else if (on)
		follow_body(&c->follow, c->egress->buffer, sent);
	if (on && !c->follow.on)
		c->sniffed = false;
}

/* One piece. 1: there may be more, 0: not now, -1: this side or that failed. */
static int
move(struct connection *c, struct end *from, struct end *to, uint64_t *count)
{
	uint8_t *buffer = c->egress->buffer;
	ssize_t n = recv(from->fd, buffer, RELAY_BYTES, MSG_PEEK | MSG_DONTWAIT), sent;

	from->stuck = false;
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return finish(c, from, to);
	n = passing(c, from, n);
	if (n <= 0)
		return (int)n;
	sent = send(to->fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return -1;
	from->stuck = sent < n;
	if (sent <= 0)
		return 0;
	*count += (uint64_t)sent;
	follow(c, from, (size_t)sent);
	return recv(from->fd, buffer, (size_t)sent, MSG_TRUNC | MSG_DONTWAIT) != sent ? -1
										      : sent == n;
}

static bool
relay(struct connection *c, struct end *from, struct end *to, uint64_t *count)
{
	int rc = 1;

	for (int i = 0; rc > 0 && i < RELAYS_A_ROUND && !from->finished; i++)
		rc = move(c, from, to, count);
	if (rc >= 0)
		return true;
	abort_both(c);
	return false;
}

static void
watch(struct end *end, bool in, bool out)
{
	uint32_t events = (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U);

	/* Of a reset it hears all the same, once. */
	if (!events)
		events = EPOLLET;
	if (events == end->events || !end->source)
		return;
	end->events = events;
	loop_set_events(end->source, events);
}

/* Does what follows wait for the server's word? */
static bool
awaits(const struct connection *c)
{
	return c->follow.on && c->follow.waits && c->follow.body.done && c->sniffed && !c->head;
}

/* The request has passed. */
static void
end_request(struct connection *c)
{
	if (c->follow.on && c->follow.body.done && !c->head && !awaits(c) && !c->client.finished)
		c->sniffed = false;
}

/* Who is waited for: what cannot be passed on is not read, what is stuck wants room there. */
static void
watch_both(struct connection *c)
{
	bool connected = c->server.fd >= 0, held = c->head && c->sniffed;
	bool room = !c->head || c->head->used < SNIFF_BYTES;
	bool more = !c->client.finished && !c->client.stuck && !held && room && !awaits(c) &&
		    (connected || !c->sniffed);

	watch(&c->client, more || (c->refused && !c->drained), c->server.stuck);
	watch(&c->server, !c->server.finished && !c->server.stuck, c->client.stuck);
}

static void
work(struct connection *c)
{
	struct name_use *use = use_of(c->egress, c->number);

	if (c->refused)
		drain(c);
	if (!c->sniffed && !look(c))
		return;
	if (c->server.fd >= 0) {
		if (c->head) {
			if (!send_head(c))
				return;
			end_request(c);
		}
		if (c->sniffed && !c->head && !awaits(c) &&
		    !relay(c, &c->client, &c->server, &use->sent_bytes))
			return;
		if (!relay(c, &c->server, &c->client, &use->received_bytes))
			return;
		if (c->client.finished && c->server.finished) {
			connection_free(c);
			return;
		}
		end_request(c);
	}
	watch_both(c);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct connection *c = arg;
	const struct end *end = source == c->client.source ? &c->client : &c->server;

	/* Nothing reads there that would find it: before the server is there, and after an end.
	 * What a server said before its end may still be on its way to the client. */
	if ((c->server.fd < 0 || end->finished) && events & (EPOLLERR | EPOLLHUP)) {
		if (end == &c->client)
			abort_both(c);
		else
			connection_free(c);
		return;
	}
	uses_changed(c->egress);
	work(c);
}

/* --- dialing ---------------------------------------------------------------------------------- */

static void
dial(struct connection *c)
{
	struct msg msg;

	if (!c->egress->dialer)
		return; /* another one comes */
	msg_init(&msg, MSG_DIAL);
	msg.id = c->dial;
	msg.dial.port = c->port;
	if (c->number >= 0)
		snprintf(msg.dial.name, sizeof(msg.dial.name), "%s",
			 names_use(c->egress->names, c->number)->name);
	msg.dial.address_len = sizeof(c->address);
	memcpy(msg.dial.address, &c->address, sizeof(c->address));
	channel_send(c->egress->dialer, &msg);
}

void
connections_dial_again(struct egress *egress)
{
	for (struct connection *c = egress->connections; c; c = c->next)
		if (c->dial)
			dial(c);
	exchanges_dial_again(egress);
}

static struct connection *
find_dial(const struct egress *egress, uint32_t id)
{
	struct connection *c = egress->connections;

	while (c && (!c->dial || c->dial != id))
		c = c->next;
	return c;
}

static void
answered(struct connection *c)
{
	c->dial = 0;
	c->egress->dialing--;
	listeners_adjust(c->egress);
}

static void
connected(struct connection *c, int fd)
{
	struct name_use *use = use_of(c->egress, c->number);
	char text[INET6_ADDRSTRLEN];

	proxy_answer(c->client.fd, c->proxy, false, NULL);
	c->server.fd = fd;
	c->server.source = loop_add_io(c->egress->loop, fd, EPOLLIN, ready, c);
	c->server.events = EPOLLIN;
	if (!c->server.source) {
		abort_both(c);
		return;
	}
	use->connections++;
	c->egress->total_connections++;
	if (!use->told || c->number < 0)
		note(c->egress, target(c, text), c->port, NULL);
	use->told = true;
	work(c);
}

/* A client of the proxy hears why; others see that their connection is reset. */
static void
not_connected(struct connection *c, bool refused, const char *why)
{
	if (c->proxy == PROXY_NOT)
		return;
	proxy_answer(c->client.fd, c->proxy, refused, why);
	close_fd(&c->client.fd);
}

void
connection_dialed(struct egress *egress, struct msg *answer)
{
	struct connection *c = find_dial(egress, answer->id);
	char text[INET6_ADDRSTRLEN];

	if (!c) {
		exchange_dialed(egress, answer);
		return;
	}
	answered(c);
	if (answer->type == MSG_DIALED) {
		connected(c, msg_take_fd(answer, 0));
		return;
	}
	not_connected(c, answer->dial_failed.refused, answer->dial_failed.why);
	if (answer->dial_failed.refused) {
		deny(c, answer->dial_failed.why);
	} else {
		log_warn("%s port %u: %s", target(c, text), c->port, answer->dial_failed.why);
		abort_both(c);
	}
}

/* The dialer has a bound of its own; this one is for none that answers. */
static void
look_for_late(struct loop_source *timer, void *arg)
{
	struct egress *egress = arg;
	struct connection *c, *next;
	uint64_t now = boottime_ns();

	for (c = egress->connections; c; c = next) {
		next = c->next;
		if (c->dial && now >= c->until_ns) {
			answered(c);
			not_connected(c, false, "there is no answer");
			abort_both(c);
		}
	}
	if (egress->dialing)
		loop_arm_in(timer, DIAL_WAIT_MS / 8);
}

/* --- its begin -------------------------------------------------------------------------------- */

static struct connection *
connection_new(struct egress *egress, int client, bool sniffed)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->client.source = loop_add_io(egress->loop, client, EPOLLIN, ready, c);
	if (!c->client.source) {
		free(c);
		return NULL;
	}
	c->client.fd = client;
	c->client.events = EPOLLIN;
	c->server.fd = -1;
	c->sniffed = sniffed;
	c->egress = egress;
	c->at = &egress->connections;
	c->next = egress->connections;
	if (c->next)
		c->next->at = &c->next;
	egress->connections = c;
	egress->connection_count++;
	return c;
}

void
connection_begin(struct egress *egress, int client, int number, const struct in6_addr *address,
		 unsigned port, bool sniffed)
{
	connection_begin_for(egress, client, number, address, port, sniffed, PROXY_NOT);
}

void
connection_begin_for(struct egress *egress, int client, int number, const struct in6_addr *address,
		     unsigned port, bool sniffed, enum proxy_kind proxy)
{
	struct connection *c = connection_new(egress, client, sniffed);
	int on = 1;

	if (!c) {
		reset(client);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->number = number;
	c->port = port;
	c->proxy = proxy;
	if (address)
		c->address = *address;
	if (++egress->last_dial == 0)
		egress->last_dial = 1;
	c->dial = egress->last_dial;
	c->until_ns = boottime_ns() + UINT64_C(1000000) * DIAL_WAIT_MS;
	if (egress->dialing++ == 0)
		loop_arm_in(egress->dial_timer, DIAL_WAIT_MS / 8);
	listeners_adjust(egress);
	dial(c);
	watch_both(c);
}

int
connections_open(struct egress *egress, struct error *error)
{
	egress->buffer = malloc(RELAY_BYTES);
	egress->dial_timer = loop_add_timer(egress->loop, look_for_late, egress);
	if (!egress->buffer || !egress->dial_timer)
		return error_errno(error, ENOMEM, "the connections");
	return 0;
}

void
connections_bound(struct egress *egress)
{
	struct rlimit limit = {.rlim_max = 1024};

	getrlimit(RLIMIT_NOFILE, &limit);
	egress->connections_max = CONNECTIONS_MAX;
	if (limit.rlim_max < OTHER_FILES + 2 * CONNECTIONS_MAX)
		egress->connections_max = limit.rlim_max > 2 * OTHER_FILES
					      ? (unsigned)(limit.rlim_max - OTHER_FILES) / 2
					      : 1;
}

void
connections_close(struct egress *egress)
{
	while (egress->connections)
		connection_free(egress->connections);
	exchanges_close(egress);
	proxy_close(egress);
	loop_remove(egress->dial_timer);
	free(egress->buffer);
}
