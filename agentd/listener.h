/* The operator sockets and that of metrics: agentd binds them, control and secretd accept on them.
 * agentd only. */
#ifndef SCARAB_LISTENER_H
#define SCARAB_LISTENER_H

#include "common/config.h"

/* A listening socket of this type at path, 0660 root:group, put there whole; one that a generation
 * before left is replaced (the generation lock must be held). The caller's. -1 with error. */
int listener_open(const char *path, int type, uint64_t group, struct error *error);
/* Is what systemd passed such a socket? Makes it non-blocking. -1 with error. */
int listener_check(int fd, struct error *error);
/* Removes the socket from its path; the generation lock must be held. */
void listener_remove(const char *path);

#endif
