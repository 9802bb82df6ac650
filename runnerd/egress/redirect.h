/*
 * Gives connections to any port that rules name to one listening socket, in the network namespace
 * of the caller, which has CAP_NET_ADMIN there. Egress only, before its drop.
 */
#ifndef SCARAB_EGRESS_REDIRECT_H
#define SCARAB_EGRESS_REDIRECT_H

#include "common/netrule.h"

/* Of the socket's: below 1024, where no agent can bind. */
enum { REDIRECT_PORT = 1 };

struct redirect {
	struct in6_addr v4, v6;         /* where the sockets listen, transparent ones */
	struct in6_addr own_v4, own_v6; /* the runtime's own addresses, where nothing is caught */
	unsigned own_bits;
};

/* 0 or -errno: -ENOENT or -EOPNOTSUPP where the kernel lacks nf_tables or its tproxy. */
int redirect_ports(const struct net_rules *rules, const struct redirect *to, bool v6);

#endif
