/*
 * A proxy inside, for programs that know the network through one only: HTTP CONNECT, requests for
 * http:// URLs, and SOCKS 5, all at PROXY_URL's address. The same rules hold as for every other
 * connection, by the same dialer; names need no question of DNS. Egress only.
 */
#ifndef SCARAB_EGRESS_PROXY_H
#define SCARAB_EGRESS_PROXY_H

#include "egress.h"

enum {
	PROXY_CLIENTS_MAX = 256, /* that have not said yet where they want to go */
	PROXY_HEAD_MS = 30000,
};

/* Takes the socket over. */
void proxy_begin(struct egress *egress, int client);
void proxy_close(struct egress *egress);

/* What a client is told that asked for a connection, when it is there (why NULL) or cannot be. The
 * socket stays the caller's. */
void proxy_answer(int client, enum proxy_kind kind, bool refused, const char *why);

#endif
