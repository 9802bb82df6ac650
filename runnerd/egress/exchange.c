/* A connection of the agent on which each request is an exchange of its own. */
#include "exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/netaddr.h"

enum { ROUNDS = 64 /* then others have their turn */ };

static void pump(struct exchange *x);

/* --- its end ---------------------------------------------------------------------------------- */

static void
close_side(struct party *side)
{
	loop_remove(side->source);
	close_fd(&side->fd);
	*side = (struct party){.fd = -1};
}

void
exchange_drop_server(struct exchange *x)
{
	tls_end(steal_ptr(&x->tls));
	close_side(&x->server);
	scrub_end(&x->scrub);
	x->answer.start = x->answer.end = 0;
	x->dial = 0;
}

static void
exchange_free(struct exchange *x)
{
	struct egress *egress = x->egress;

	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	egress->exchange_count--;
	exchange_drop_server(x);
	close_side(&x->client);
	loop_remove(x->timer);
	bytes_free(&x->in);
	bytes_free(&x->up);
	bytes_free(&x->answer);
	bytes_free(&x->down);
	free(x);
	uses_changed(egress);
	listeners_adjust(egress);
}

void
exchange_wait(struct exchange *x, unsigned ms)
{
	x->deadline_ns = ms ? boottime_ns() + UINT64_C(1000000) * ms : 0;
}

static struct name_use *
use(struct exchange *x)
{
	return use_of(x->egress, x->number);
}

static const char *
target(const struct exchange *x, char text[INET6_ADDRSTRLEN])
{
	if (x->to.host[0])
		return x->to.host;
	if (x->rule)
		return x->rule->host;
	return x->to.port ? net_address_text(&x->to.address, text) : "";
}

static const char *
status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
	    {400, "Bad Request"},        {403, "Forbidden"},
	    {417, "Expectation Failed"}, {431, "Request Header Fields Too Large"},
	    {501, "Not Implemented"},    {502, "Bad Gateway"},
	    {504, "Gateway Timeout"},    {505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Error";
}

void
exchange_refuse(struct exchange *x, unsigned status, const char *why)
{
	char name[INET6_ADDRSTRLEN], text[512];
	int length = snprintf(text, sizeof(text), "%s: %s\n", target(x, name), why);

	use(x)->denials++;
	note(x->egress, target(x, name), x->to.port, why);
	exchange_drop_server(x);
	if (x->answered || length < 0 || (size_t)length >= sizeof(text)) {
		reset(steal_fd(&x->client.fd));
		x->state = EXCHANGE_GONE;
		return;
	}
	x->down.start = x->down.end = 0;
	x->down.overflown = false;
	bytes_say(&x->down,
		  "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
		  "Content-Length: %d\r\nConnection: close\r\n\r\n",
		  status, status_text(status), length);
	if (!x->to_head)
		bytes_put(&x->down, text, (size_t)length);
	x->state = EXCHANGE_CLOSING;
	exchange_wait(x, IDLE_WAIT_MS);
}

/* --- moving bytes ----------------------------------------------------------------------------- */

/* A request under way is read as far as its body goes; what is behind it is not. */
static bool
wants_client(const struct exchange *x)
{
	if (x->client.ended)
		return false;
	if (x->state == EXCHANGE_CLOSING)
		return true;
	return bytes_room(&x->in) > 0 && (x->state == EXCHANGE_HEAD || !x->sending.done);
}

static bool
read_client(struct exchange *x)
{
	uint8_t *to = x->egress->buffer;
	size_t size = RELAY_BYTES;
	ssize_t n;

	if (!wants_client(x))
		return false;
	if (x->state != EXCHANGE_CLOSING) {
		to = bytes_next(&x->in);
		size = bytes_room(&x->in);
	}
	n = recv(x->client.fd, to, size, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		x->state = EXCHANGE_GONE;
		return false;
	}
	x->client.ended = n == 0;
	if (x->state == EXCHANGE_CLOSING)
		return true;
	if (n > 0 && x->state == EXCHANGE_HEAD && bytes_used(&x->in) == 0)
		exchange_wait(x, HEAD_WAIT_MS);
	x->in.end += (size_t)n;
	return true;
}

static bool
write_client(struct exchange *x)
{
	ssize_t n;

	if (bytes_used(&x->down) == 0)
		return false;
	n = send(x->client.fd, bytes_first(&x->down), bytes_used(&x->down),
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		x->state = EXCHANGE_GONE;
		return false;
	}
	bytes_drop(&x->down, (size_t)n);
	return true;
}

/* Its last answer is sent: closing at once would take it back from a client that still sends. */
static bool
end_client(struct exchange *x)
{
	if (x->state != EXCHANGE_CLOSING || bytes_used(&x->down))
		return false;
	if (!x->shut) {
		x->shut = true;
		shutdown(x->client.fd, SHUT_WR);
		exchange_wait(x, LAST_WAIT_MS);
		return true;
	}
	if (x->client.ended)
		x->state = EXCHANGE_GONE;
	return false;
}

/* As tls_read() and tls_write() of a server without TLS. */
static ssize_t
plain(ssize_t n)
{
	return n < 0 ? (errno == EAGAIN ? -EAGAIN : -EPROTO) : n;
}

static void
server_failed(struct exchange *x)
{
	char why[256];

	snprintf(why, sizeof(why), "%s", x->tls ? tls_why(x->tls) : "its connection broke");
	exchange_refuse(x, 502, why);
}

static bool
write_server(struct exchange *x)
{
	const uint8_t *bytes = bytes_first(&x->up);
	size_t used = bytes_used(&x->up);
	ssize_t n;

	if (x->state != EXCHANGE_RELAYING || used == 0)
		return false;
	n = x->tls ? tls_write(x->tls, bytes, used)
		   : plain(send(x->server.fd, bytes, used, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		/* It may have answered before it closed. */
		bytes_drop(&x->up, used);
		x->sending.done = true;
		x->last = true;
		return true;
	}
	use(x)->sent_bytes += (uint64_t)n;
	bytes_drop(&x->up, (size_t)n);
	return true;
}

static bool
read_server(struct exchange *x)
{
	size_t room;
	ssize_t n;

	if (x->state != EXCHANGE_RELAYING || x->server.ended || !bytes_room(&x->answer))
		return false;
	bytes_next(&x->answer);
	room = bytes_room(&x->answer);
	n = x->tls ? tls_read(x->tls, x->answer.at + x->answer.end, room)
		   : plain(recv(x->server.fd, x->answer.at + x->answer.end, room, MSG_DONTWAIT));
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		server_failed(x);
		return true;
	}
	if (n == 0) {
		x->server.ended = true;
		if (x->tls && tls_cut(x->tls))
			log_info("%s ended its connection without saying so", x->to.host);
	}
	use(x)->received_bytes += (uint64_t)n;
	x->answer.end += (size_t)n;
	return true;
}

static bool
shake_hands(struct exchange *x)
{
	int rc;

	if (x->state != EXCHANGE_HANDSHAKE)
		return false;
	rc = tls_handshake(x->tls);
	if (rc == -EAGAIN)
		return false;
	if (rc < 0) {
		server_failed(x);
		return true;
	}
	x->state = EXCHANGE_RELAYING;
	exchange_wait(x, 0);
	return true;
}

static bool (*const steps[])(struct exchange *x) = {
    read_client,          exchange_take_request,
    shake_hands,          exchange_take_sending,
    write_server,         read_server,
    exchange_take_answer, exchange_take_receiving,
    write_client,         end_client,
};

/* --- waiting ---------------------------------------------------------------------------------- */

static void
watch(struct party *side, bool in, bool out)
{
	uint32_t events = (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U);

	/* Of a reset it hears all the same, once. */
	if (!events)
		events = EPOLLET;
	if (!side->source || events == side->events)
		return;
	side->events = events;
	loop_set_events(side->source, events);
}

static void
watch_both(struct exchange *x)
{
	bool relaying = x->state == EXCHANGE_RELAYING, shaking = x->state == EXCHANGE_HANDSHAKE;
	bool out = x->tls && (relaying || shaking) && tls_wants_write(x->tls);

	watch(&x->client, wants_client(x), bytes_used(&x->down) > 0);
	/* Between two answers whatever comes is its end. */
	watch(&x->server,
	      (relaying && !x->server.ended && bytes_room(&x->answer)) || shaking ||
		  x->state == EXCHANGE_HEAD,
	      out || (relaying && bytes_used(&x->up)));
}

static void
pump(struct exchange *x)
{
	bool moved = true;

	for (int i = 0; i < ROUNDS && moved && x->state != EXCHANGE_GONE; i++) {
		moved = false;
		for (size_t j = 0; j < ARRAY_LEN(steps) && x->state != EXCHANGE_GONE; j++)
			moved |= steps[j](x);
	}
	if (x->state == EXCHANGE_GONE) {
		exchange_free(x);
		return;
	}
	uses_changed(x->egress);
	watch_both(x);
	loop_arm(x->timer, moved ? boottime_ns() : x->deadline_ns);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct exchange *x = arg;

	if (source == x->server.source && x->state == EXCHANGE_HEAD) {
		exchange_drop_server(x);
	} else if (source == x->client.source && events & EPOLLERR) {
		x->state = EXCHANGE_GONE;
	} else if (source == x->client.source && events & EPOLLHUP &&
		   x->state != EXCHANGE_CLOSING) {
		x->state = EXCHANGE_GONE;
	}
	pump(x);
}

/* Time for the next round, or too late. */
static void
ring(struct loop_source *timer, void *arg)
{
	struct exchange *x = arg;

	(void)timer;
	if (x->deadline_ns && boottime_ns() >= x->deadline_ns) {
		x->deadline_ns = 0;
		if (x->state == EXCHANGE_DIALING || x->state == EXCHANGE_HANDSHAKE)
			exchange_refuse(x, 504, "it does not answer");
		else
			x->state = EXCHANGE_GONE;
	}
	pump(x);
}

/* --- connecting ------------------------------------------------------------------------------- */

static void
dial(struct exchange *x)
{
	struct msg msg;

	if (!x->egress->dialer)
		return; /* another one comes */
	msg_init(&msg, MSG_DIAL);
	msg.id = x->dial;
	msg.dial.port = x->to.port;
	snprintf(msg.dial.name, sizeof(msg.dial.name), "%s", x->to.host);
	msg.dial.address_len = sizeof(x->to.address);
	memcpy(msg.dial.address, &x->to.address, sizeof(x->to.address));
	channel_send(x->egress->dialer, &msg);
}

/* Whatever it said since its last answer would be taken for the next; its end is one, too. */
static bool
is_quiet(const struct exchange *x)
{
	uint8_t byte;

	return recv(x->server.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN && !(x->tls && tls_holds(x->tls));
}

static bool
is_connected(const struct exchange *x)
{
	const struct target *is = &x->connected, *to = &x->to;

	return x->server.fd >= 0 && !x->server.ended && is->port == to->port &&
	       is->secret == to->secret && strcmp(is->host, to->host) == 0 &&
	       (to->host[0] || IN6_ARE_ADDR_EQUAL(&is->address, &to->address)) && is_quiet(x);
}

void
exchange_connect(struct exchange *x)
{
	if (is_connected(x)) {
		x->state = EXCHANGE_RELAYING;
		return;
	}
	exchange_drop_server(x);
	x->number = x->to.host[0]
			? names_number(x->egress->names, x->to.host, x->to.below, boottime_ns())
			: -1;
	if (x->to.host[0] && x->number < 0) {
		exchange_refuse(x, 502, "too many new names are asked for");
		return;
	}
	x->state = EXCHANGE_DIALING;
	if (++x->egress->last_dial == 0)
		x->egress->last_dial = 1;
	x->dial = x->egress->last_dial;
	exchange_wait(x, DIAL_WAIT_MS);
	dial(x);
}

void
exchanges_dial_again(struct egress *egress)
{
	for (struct exchange *x = egress->exchanges; x; x = x->next)
		if (x->dial)
			dial(x);
}

/* The server is there, and with TLS it has to show who it is. 0 or -1. */
static int
use_server(struct exchange *x, int fd)
{
	x->server = (struct party){.fd = fd, .events = EPOLLIN};
	x->server.source = loop_add_io(x->egress->loop, fd, EPOLLIN, ready, x);
	if (!x->server.source)
		return -1;
	x->connected = x->to;
	x->state = EXCHANGE_RELAYING;
	exchange_wait(x, 0);
	if (!x->to.secret)
		return 0;
	x->tls = tls_begin(x->egress->tls, fd, x->to.host);
	if (!x->tls || scrub_begin(&x->scrub, x->egress->injects.scrubs) < 0)
		return -1;
	x->state = EXCHANGE_HANDSHAKE;
	exchange_wait(x, TLS_WAIT_MS);
	return 0;
}

static void
connected(struct exchange *x, int fd)
{
	char text[INET6_ADDRSTRLEN];
	struct name_use *counted = use(x);

	counted->connections++;
	x->egress->total_connections++;
	if (!counted->told || x->number < 0)
		note(x->egress, target(x, text), x->to.port, NULL);
	counted->told = true;
	if (use_server(x, fd) < 0)
		exchange_refuse(x, 502, "there is no memory for its connection");
}

bool
exchange_dialed(struct egress *egress, struct msg *answer)
{
	struct exchange *x = egress->exchanges;
	char why[256];

	while (x && (!x->dial || x->dial != answer->id))
		x = x->next;
	if (!x)
		return false;
	x->dial = 0;
	if (answer->type == MSG_DIALED) {
		connected(x, msg_take_fd(answer, 0));
	} else {
		snprintf(why, sizeof(why), "%s", answer->dial_failed.why);
		exchange_refuse(x, answer->dial_failed.refused ? 403 : 502, why);
	}
	pump(x);
	return true;
}

/* --- its begin -------------------------------------------------------------------------------- */

static int
make(struct exchange *x, struct egress *egress, int client)
{
	if (bytes_make(&x->in, EXCHANGE_IN) < 0 || bytes_make(&x->up, EXCHANGE_UP) < 0 ||
	    bytes_make(&x->answer, EXCHANGE_ANSWER) < 0 || bytes_make(&x->down, EXCHANGE_DOWN) < 0)
		return -1;
	x->timer = loop_add_timer(egress->loop, ring, x);
	x->client.source = loop_add_io(egress->loop, client, EPOLLIN, ready, x);
	x->client.events = EPOLLIN;
	return x->timer && x->client.source ? 0 : -1;
}

void
exchange_begin(struct egress *egress, int client, const struct msg_inject_rule *rule,
	       const uint8_t *first, size_t length)
{
	struct exchange *x = egress->exchange_count < EXCHANGES_MAX ? calloc(1, sizeof(*x)) : NULL;

	if (!x) {
		reset(client);
		return;
	}
	x->egress = egress;
	x->client.fd = client;
	x->server.fd = -1;
	x->rule = rule;
	x->number = rule ? names_number(egress->names, rule->host, false, boottime_ns()) : -1;
	x->at = &egress->exchanges;
	x->next = egress->exchanges;
	if (x->next)
		x->next->at = &x->next;
	egress->exchanges = x;
	egress->exchange_count++;
	if (make(x, egress, client) < 0) {
		exchange_free(x);
		return;
	}
	bytes_put(&x->in, first, length);
	exchange_wait(x, HEAD_WAIT_MS);
	pump(x);
}

void
exchanges_close(struct egress *egress)
{
	while (egress->exchanges)
		exchange_free(egress->exchanges);
}
