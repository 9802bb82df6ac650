#include "listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"

enum {
	LISTEN_AGAIN_MS = 500,
	ACCEPTS = 16, /* in one round: what has ended meanwhile is to count no more */
};

struct listener {
	int fd;
	struct listener_bounds bounds;
	listener_fn *fn;
	void *arg;
	struct loop_source *watch, *again;
	unsigned count;
	uid_t uids[]; /* of the connections, in any order */
};

static bool
has_room(const struct listener *listener)
{
	return listener->count < listener->bounds.connections;
}

static unsigned
connections_of(const struct listener *listener, uid_t uid)
{
	unsigned count = 0;

	for (unsigned i = 0; i < listener->count; i++)
		count += listener->uids[i] == uid;
	return count;
}

static void
admit(struct listener *listener, int connection)
{
	_cleanup_close_ int fd = connection;
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return;
	if (connections_of(listener, peer.uid) >= listener->bounds.per_uid) {
		log_warn("uid %u holds %u connections, one more is refused", peer.uid,
			 listener->bounds.per_uid);
		return;
	}
	/* Counted before fn may say that it has ended. */
	listener->uids[listener->count++] = peer.uid;
	if (!listener->fn(steal_fd(&fd), &peer, listener->arg))
		listener_left(listener, peer.uid);
}

static void
listen_again(struct loop_source *timer, void *arg)
{
	struct listener *listener = arg;

	(void)timer;
	if (has_room(listener))
		loop_set_events(listener->watch, EPOLLIN);
}

static void
ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct listener *listener = arg;
	int fd;

	(void)events;
	for (unsigned n = 0; n < ACCEPTS && has_room(listener); n++) {
		/* cppcheck-suppress nullPointer ; accept(2) allows it */
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			admit(listener, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			/* No descriptors, no memory: let some connections end first. */
			log_error("accepting a connection: %s", strerrordesc_np(errno));
			loop_arm_in(listener->again, LISTEN_AGAIN_MS);
			loop_set_events(source, 0);
			return;
		}
	}
	if (!has_room(listener))
		loop_set_events(source, 0);
}

struct listener *
listener_new(struct loop *loop, int fd, const struct listener_bounds *bounds, listener_fn *fn,
	     void *arg)
{
	_cleanup_close_ int socket = fd;
	struct listener *listener =
	    calloc(1, sizeof(*listener) + bounds->connections * sizeof(listener->uids[0]));

	if (!listener)
		return NULL;
	*listener =
	    (struct listener){.fd = steal_fd(&socket), .bounds = *bounds, .fn = fn, .arg = arg};
	listener->again = loop_add_timer(loop, listen_again, listener);
	listener->watch = loop_add_io(loop, listener->fd, EPOLLIN, ready, listener);
	if (listener->again && listener->watch)
		return listener;
	listener_free(listener);
	return NULL;
}

void
listener_left(struct listener *listener, uid_t uid)
{
	unsigned at = 0;

	if (!listener)
		return;
	while (at < listener->count && listener->uids[at] != uid)
		at++;
	if (at == listener->count)
		return;
	listener->uids[at] = listener->uids[--listener->count];
	loop_set_events(listener->watch, EPOLLIN);
}

void
listener_free(struct listener *listener)
{
	int errnum = errno;

	if (!listener)
		return;
	loop_remove(listener->watch);
	loop_remove(listener->again);
	close_fd(&listener->fd);
	free(listener);
	errno = errnum;
}
