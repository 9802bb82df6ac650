/*
 * A descriptor that is kept without being open: it lies in a socket as a message that nobody has
 * received. Who holds the socket can hand it on, and cannot use what is in it by mistake; when the
 * last socket is closed, the descriptor is too. For what a process shall keep that may have no such
 * descriptor open (DESIGN 2: no directory from outside its root).
 */
#ifndef SCARAB_ENVELOPE_H
#define SCARAB_ENVELOPE_H

/* A new one with a copy of fd (borrowed) in it. The socket, or -errno. */
int envelope_seal(int fd);
/* A copy of what is in it; it stays there. Descriptor, or -errno: -EAGAIN for an empty one,
 * -EBADMSG for one in which something else lies. */
int envelope_look(int envelope);

#endif
