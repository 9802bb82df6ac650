#include "clients.h"

#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/listener.h"
#include "common/log.h"
#include "requests.h"

/* --- following ------------------------------------------------------------------------------ */

static int
follow_place(const struct client *client, const struct uuid *session)
{
	for (unsigned i = 0; i < client->follow_count; i++) {
		if (uuid_equal(&client->follows[i], session))
			return (int)i;
	}
	return -1;
}

bool
client_follow(struct client *client, const struct uuid *session)
{
	if (follow_place(client, session) >= 0)
		return true;
	if (client->follow_count == FOLLOW_MAX)
		return false;
	client->follows[client->follow_count++] = *session;
	return true;
}

void
client_unfollow(struct client *client, const struct uuid *session)
{
	int place = follow_place(client, session);

	if (place >= 0)
		client->follows[place] = client->follows[--client->follow_count];
}

void
clients_push(struct control *control, const struct uuid *session, const struct msg *event)
{
	struct client *client;
	struct msg copy;

	TAILQ_FOREACH(client, &control->clients, entry)
	{
		if (follow_place(client, session) < 0 || channel_phase(client->channel) != IN_OPEN)
			continue;
		if (client->watches && event->type == MSG_SESSION_EVENT)
			continue; /* told already */
		copy = *event;
		copy.id = 0;
		channel_send(client->channel, &copy);
	}
}

/* --- one connection ------------------------------------------------------------------------ */

static void
client_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	request_new(arg, msg);
}

static void
client_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct client *client = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_INFO, error);
	client->channel = NULL; /* freed by its caller */
	client_free(client);
}

static const struct channel_ops client_ops = {
    .message = client_message,
    .closed = client_closed,
};

struct client *
client_new(struct control *control, int fd, uid_t uid)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return NULL;
	}
	client->control = control;
	client->uid = uid;
	client->channel = channel_new(control->loop, fd, CH_OPERATOR, SIDE_B, ROLE_CONTROL,
				      ROLE_ASH, &client_ops, client);
	if (!client->channel) {
		free(client);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&control->clients, client, entry);
	return client;
}

void
client_free(struct client *client)
{
	struct control *control = client->control;

	requests_orphan(client);
	channel_free(client->channel);
	TAILQ_REMOVE(&control->clients, client, entry);
	listener_left(control->listener, client->uid);
	free(client);
}

/* --- the listener -------------------------------------------------------------------------- */

static bool
admit(int fd, const struct ucred *peer, void *arg)
{
	return client_new(arg, fd, peer->uid) != NULL;
}

int
clients_listen(struct control *control, int fd)
{
	const struct listener_bounds bounds = {.connections = CLIENTS_MAX,
					       .per_uid = CLIENTS_PER_UID};

	control->listener = listener_new(control->loop, fd, &bounds, admit, control);
	return control->listener ? 0 : -errno;
}
