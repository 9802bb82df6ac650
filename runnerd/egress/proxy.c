#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "exchange.h"
#include "socks.h"

struct proxy_client {
	struct proxy_client *next, **at;
	struct egress *egress;
	int fd;
	struct loop_source *source, *timer;
	bool greeted; /* of SOCKS */
	size_t used;
	uint8_t bytes[HTTP_HEAD_MAX];
};

static void
client_free(struct proxy_client *client)
{
	*client->at = client->next;
	if (client->next)
		client->next->at = client->at;
	client->egress->proxy_count--;
	loop_remove(client->source);
	loop_remove(client->timer);
	close_fd(&client->fd);
	free(client);
}

/* --- what it is told -------------------------------------------------------------------------- */

static void
answer_http(int client, bool refused, const char *why)
{
	char text[640];
	int length;

	if (!why)
		length = snprintf(text, sizeof(text), "HTTP/1.1 200 Connected\r\n\r\n");
	else
		length =
		    snprintf(text, sizeof(text),
			     "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
			     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
			     refused ? "403 Forbidden" : "502 Bad Gateway", strlen(why) + 1, why);
	if (length > 0 && (size_t)length < sizeof(text))
		send(client, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* It fits into the buffer of a socket that nothing was sent to. */
void
proxy_answer(int client, enum proxy_kind kind, bool refused, const char *why)
{
	uint8_t reply[SOCKS_REPLY_BYTES];

	if (kind == PROXY_HTTP) {
		answer_http(client, refused, why);
	} else if (kind == PROXY_SOCKS) {
		socks_answer(!why      ? SOCKS_GRANTED
			     : refused ? SOCKS_NOT_ALLOWED
				       : SOCKS_UNREACHABLE,
			     reply);
		send(client, reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void
refuse(struct proxy_client *client, const char *name, unsigned port, enum proxy_kind kind,
       const char *why)
{
	client->egress->literals.denials++;
	note(client->egress, name, port, why);
	proxy_answer(client->fd, kind, true, why);
	client_free(client);
}

/* --- where it goes ---------------------------------------------------------------------------- */

/* name empty: address. */
static void
connect_to(struct proxy_client *client, const char *name, const struct in6_addr *address,
	   unsigned port, enum proxy_kind kind)
{
	struct egress *egress = client->egress;
	const struct net_rule *rule = *name ? net_rules_find_name(&egress->rules, name, port)
					    : net_rules_find_address(&egress->rules, address, port);
	char text[INET6_ADDRSTRLEN];
	int number = *name ? -1 : names_of_address(egress->names, address);

	/* Who asked for the name itself comes with what stands for it. */
	if (number >= 0) {
		connect_to(client, names_use(egress->names, number)->name, NULL, port, kind);
		return;
	}
	if (!rule) {
		refuse(client, *name ? name : net_address_text(address, text), port, kind,
		       "no rule lets it through at this port");
		return;
	}
	if (*name)
		number = names_number(egress->names, name, rule->kind == NET_BELOW, boottime_ns());
	if (*name && number < 0) {
		refuse(client, name, port, kind, "too many new names are asked for");
		return;
	}
	loop_remove(steal_ptr(&client->source));
	connection_begin_for(egress, steal_fd(&client->fd), number, *name ? NULL : address, port,
			     number < 0 || rule->kind == NET_HOST || rule->kind == NET_ANY, kind);
	client_free(client);
}

/* CONNECT HOST:PORT and nothing behind it. */
static void
take_connect(struct proxy_client *client, const struct http_head *head)
{
	char name[NET_NAME_MAX + 1];
	struct in6_addr address;
	unsigned port;

	if (!authority_parse(head->target, 0, name, &address, &port))
		refuse(client, "", 0, PROXY_HTTP, "its target is not HOST:PORT");
	else if (head->framing != HTTP_NO_BODY || head->has_length || head->bytes != client->used)
		refuse(client, name, port, PROXY_HTTP, "it says more before it is answered");
	else if (head->host.at && (head->host.length != head->target.length ||
				   memcmp(head->host.at, head->target.at, head->host.length) != 0))
		refuse(client, name, port, PROXY_HTTP, "its header Host names another one");
	else
		connect_to(client, name, &address, port, PROXY_HTTP);
}

static void
take_http(struct proxy_client *client)
{
	struct http_head head;
	enum http_parsed rc = http_request(client->bytes, client->used, &head);

	if (rc == HTTP_MORE)
		return;
	if (rc == HTTP_WHOLE && http_is(head.method, "CONNECT")) {
		take_connect(client, &head);
		return;
	}
	/* It also answers what is bad. */
	loop_remove(steal_ptr(&client->source));
	exchange_begin(client->egress, steal_fd(&client->fd), NULL, client->bytes, client->used);
	client_free(client);
}

static void
take_socks_request(struct proxy_client *client)
{
	struct socks_request request;
	enum socks rc = socks_request(client->bytes, client->used, &request);
	uint8_t reply[SOCKS_REPLY_BYTES];

	if (rc == SOCKS_MORE)
		return;
	if (rc == SOCKS_WHOLE && request.bytes == client->used) {
		connect_to(client, request.name, &request.address, request.port, PROXY_SOCKS);
		return;
	}
	socks_answer(rc == SOCKS_BAD ? request.reply : SOCKS_FAILED, reply);
	send(client->fd, reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	refuse(client, request.name, request.port, PROXY_NOT,
	       rc == SOCKS_BAD ? request.why : "it says more before it is answered");
}

static void
take_socks(struct proxy_client *client)
{
	size_t taken = 0;
	enum socks rc;

	if (client->greeted) {
		take_socks_request(client);
		return;
	}
	rc = socks_greeting(client->bytes, client->used, &taken);
	if (rc == SOCKS_MORE)
		return;
	send(client->fd, rc == SOCKS_WHOLE ? "\x05\x00" : "\x05\xff", 2,
	     MSG_DONTWAIT | MSG_NOSIGNAL);
	if (rc == SOCKS_BAD) {
		refuse(client, "", 0, PROXY_NOT, "it wants to authenticate");
		return;
	}
	client->greeted = true;
	client->used -= taken;
	memmove(client->bytes, client->bytes + taken, client->used);
	if (client->used)
		take_socks_request(client);
}

/* --- its first bytes -------------------------------------------------------------------------- */

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct proxy_client *client = arg;
	ssize_t n = recv(client->fd, client->bytes + client->used,
			 sizeof(client->bytes) - client->used, MSG_DONTWAIT);

	(void)source;
	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_free(client);
		return;
	}
	client->used += (size_t)n;
	if (client->greeted || client->bytes[0] == SOCKS_VERSION)
		take_socks(client);
	else
		take_http(client);
}

static void
late(struct loop_source *timer, void *arg)
{
	(void)timer;
	client_free(arg);
}

void
proxy_begin(struct egress *egress, int fd)
{
	struct proxy_client *client =
	    egress->proxy_count < PROXY_CLIENTS_MAX ? malloc(sizeof(*client)) : NULL;

	if (!client) {
		reset(fd);
		return;
	}
	client->egress = egress;
	client->fd = fd;
	client->greeted = false;
	client->used = 0;
	client->at = &egress->proxy_clients;
	client->next = egress->proxy_clients;
	if (client->next)
		client->next->at = &client->next;
	egress->proxy_clients = client;
	egress->proxy_count++;
	client->source = loop_add_io(egress->loop, fd, EPOLLIN, ready, client);
	client->timer = loop_add_timer(egress->loop, late, client);
	if (!client->source || !client->timer)
		client_free(client);
	else
		loop_arm_in(client->timer, PROXY_HEAD_MS);
}

void
proxy_close(struct egress *egress)
{
	while (egress->proxy_clients)
		client_free(egress->proxy_clients);
}
