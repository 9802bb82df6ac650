#include "clients.h"

#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "requests.h"

enum { LISTEN_AGAIN_MS = 500, ACCEPTS = 16 };

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
	control->client_count++;
	return client;
}

/* Reads the listener again when there is room. */
static void
listen_on(struct control *control)
{
	if (control->listening && control->client_count < CLIENTS_MAX)
		loop_set_events(control->listening, EPOLLIN);
}

void
client_free(struct client *client)
{
	struct control *control = client->control;

	requests_orphan(client);
	channel_free(client->channel);
	TAILQ_REMOVE(&control->clients, client, entry);
	control->client_count--;
	free(client);
	listen_on(control);
}

/* --- the listener -------------------------------------------------------------------------- */

static unsigned
connections_of(const struct control *control, uid_t uid)
{
	const struct client *client;
	unsigned count = 0;

	TAILQ_FOREACH(client, &control->clients, entry)
	{
		count += client->uid == uid;
	}
	return count;
}

static void
admit(struct control *control, int connection)
{
	_cleanup_close_ int fd = connection;
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return;
	if (connections_of(control, peer.uid) >= CLIENTS_PER_UID) {
		log_warn("uid %u holds %d connections, one more is refused", peer.uid,
			 CLIENTS_PER_UID);
		return;
	}
	client_new(control, steal_fd(&fd), peer.uid);
}

static void
listen_again(struct loop_source *timer, void *arg)
{
	(void)timer;
	listen_on(arg);
}

static void
listener_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct control *control = arg;
	int fd;

	(void)events;
	/* Few at a time: connections that have ended meanwhile count no more when the next come. */
	for (unsigned n = 0; n < ACCEPTS && control->client_count < CLIENTS_MAX; n++) {
		/* cppcheck-suppress nullPointer ; accept(2) allows it */
		fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			admit(control, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			/* No descriptors, no memory: let some connections end first. */
			log_error("accepting an operator: %s", strerrordesc_np(errno));
			loop_arm_in(control->listen_again, LISTEN_AGAIN_MS);
			loop_set_events(source, 0);
			return;
		}
	}
	if (control->client_count >= CLIENTS_MAX)
		loop_set_events(source, 0);
}

int
clients_listen(struct control *control)
{
	control->listen_again = loop_add_timer(control->loop, listen_again, control);
	control->listening =
	    loop_add_io(control->loop, control->listener, EPOLLIN, listener_ready, control);
	return control->listen_again && control->listening ? 0 : -errno;
}
