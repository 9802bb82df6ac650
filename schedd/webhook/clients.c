/* Connections and their time; see listener.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "listener.h"

static const uint64_t phase_ms[PHASES] = {
    [RECEIVING] = RECEIVE_MS,
    [WAITING] = ANSWER_MS,
    [SENDING] = SEND_MS,
};

/* --- coming and going ------------------------------------------------------------------------ */

static struct in6_addr
address_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;
	struct in6_addr of = IN6ADDR_ANY_INIT;

	if (address && address->sa_family == AF_INET6) {
		of = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	} else if (address && address->sa_family == AF_INET) {
		of.s6_addr[10] = of.s6_addr[11] = 0xff;
		memcpy(of.s6_addr + 12,
		       &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	}
	return of;
}

static int
socket_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* libmicrohttpd has no other way to end a connection from outside. */
static void
let_go(struct listener *l, struct client *client)
{
	if (client->dropped)
		return;
	client->dropped = true;
	if (client->request)
		request_drop_body(l, client->request);
	shutdown(client->fd, SHUT_RDWR);
}

struct client *
client_new(struct listener *l, struct MHD_Connection *connection)
{
	struct client *client = calloc(1, sizeof(*client));
	struct client *oldest = TAILQ_FIRST(&l->clients[RECEIVING]);

	if (!client)
		return NULL;
	while (l->count >= CONNECTIONS_MAX && oldest && oldest->dropped)
		oldest = TAILQ_NEXT(oldest, entry);
	if (l->count >= CONNECTIONS_MAX && oldest) {
		let_go(l, oldest);
		l->told.let_go++;
	}
	client->connection = connection;
	client->fd = socket_of(connection);
	client->address = address_of(connection);
	client->phase = PHASES;
	l->count++;
	client_enter(l, client, RECEIVING);
	return client;
}

void
client_free(struct listener *l, struct client *client)
{
	if (!client)
		return;
	TAILQ_REMOVE(&l->clients[client->phase], client, entry);
	l->count--;
	free(client);
}

/* --- time ------------------------------------------------------------------------------------ */

static void
arm(struct listener *l)
{
	uint64_t first = UINT64_MAX;

	for (unsigned phase = 0; phase < PHASES; phase++) {
		const struct client *client = TAILQ_FIRST(&l->clients[phase]);

		if (client && client->deadline_ns < first)
			first = client->deadline_ns;
	}
	loop_arm(l->timer, first == UINT64_MAX ? 0 : first);
}

void
client_enter(struct listener *l, struct client *client, enum phase_of_client phase)
{
	if (client->phase < PHASES)
		TAILQ_REMOVE(&l->clients[client->phase], client, entry);
	client->phase = phase;
	client->deadline_ns = boottime_ns() + phase_ms[phase] * UINT64_C(1000000);
	TAILQ_INSERT_TAIL(&l->clients[phase], client, entry);
	if (TAILQ_FIRST(&l->clients[phase]) == client)
		arm(l);
}

/* Who waits for schedd is answered; who does not send or read is let go. */
static void
expire(struct listener *l, struct client *client)
{
	struct request *request = client->request;

	if (client->phase != WAITING || !request) {
		client_enter(l, client, SENDING);
		let_go(l, client);
		return;
	}
	client_enter(l, client, SENDING);
	request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
		       "the scheduler is busy; send it again later");
	deliver_answered(l, request);
}

void
clients_expired(struct loop_source *timer, void *arg)
{
	struct listener *l = arg;
	uint64_t now = boottime_ns();
	struct client *client;

	(void)timer;
	for (unsigned phase = 0; phase < PHASES; phase++)
		while ((client = TAILQ_FIRST(&l->clients[phase])) && client->deadline_ns <= now)
			expire(l, client);
	arm(l);
	http_turn(l);
}

/* --- room ------------------------------------------------------------------------------------ */

bool
clients_make_room(struct listener *l, size_t bytes)
{
	struct client *client;

	if (l->bodies + bytes <= BODIES_MAX)
		return true;
	TAILQ_FOREACH(client, &l->clients[RECEIVING], entry)
	{
		if (client->dropped || !client->request || !client->request->length)
			continue;
		let_go(l, client);
		l->told.let_go++;
		if (l->bodies + bytes <= BODIES_MAX)
			return true;
	}
	return false;
}
