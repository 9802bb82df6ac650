/*
 * A listening socket of a daemon: takes connections while there is room, a bounded number at once
 * and of one user, so that nobody keeps others out. Where descriptors or memory run out it waits
 * until some connections have ended. Any daemon; single-threaded, on the daemon's loop.
 */
#ifndef SCARAB_LISTENER_H
#define SCARAB_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "loop.h"

struct listener;

struct listener_bounds {
	unsigned connections; /* at once */
	unsigned per_uid;     /* of them, of one user */
};

/* fd is the callee's now, non-blocking; peer is what SO_PEERCRED says. True: it counts until
 * listener_left(); false: the callee closed it. */
typedef bool listener_fn(int fd, const struct ucred *peer, void *arg);

/* fd: non-blocking, listening, of AF_UNIX; taken over, also on failure. NULL with errno. */
struct listener *listener_new(struct loop *loop, int fd, const struct listener_bounds *bounds,
			      listener_fn *fn, void *arg);
/* A connection of uid has ended. May be called from inside fn. NULL is allowed. */
void listener_left(struct listener *listener, uid_t uid);
/* Closes the socket; the connections stay. NULL is allowed. */
void listener_free(struct listener *listener);

#endif
