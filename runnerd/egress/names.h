/*
 * The names of one session and the addresses that stand for them inside: 198.18.0.0/15, and the
 * same 32 bits behind NET_POOL_V6. A name keeps its address as long as the session lives. Egress
 * only.
 */
#ifndef SCARAB_EGRESS_NAMES_H
#define SCARAB_EGRESS_NAMES_H

#include <netinet/in.h>

#include "common/netrule.h"

enum {
	NAMES_MAX = 8192,   /* of one session; 2 MiB at the worst */
	NAMES_BURST = 64,   /* new names below a wildcard at once… */
	NAMES_A_SECOND = 8, /* …and then: who needs more writes something into them */
	NAMES_POOL_FIRST_BITS = 8,
	NAMES_POOL_FIRST = 1 << NAMES_POOL_FIRST_BITS, /* 198.18.1.0; before it is the runtime's */
	NAMES_LISTENER = 2, /* of the runtime's: where all ports are, if one socket has them */
};
/* Where the resolver of a sandbox answers. */
#define NAMES_RESOLVER_V4 (NET_POOL_V4 + 1)
/* And its proxy: NET_PROXY_URL. */
#define NAMES_PROXY_V4 (NET_POOL_V4 + 3)

/* What is counted for each name. */
struct name_use {
	char name[NET_NAME_MAX + 1];
	uint64_t connections, denials, sent_bytes, received_bytes;
	bool told;    /* its first use was */
	char why[96]; /* of the last denial */
};

struct names;

/* now_ns: CLOCK_BOOTTIME, here and below. NULL without memory. */
struct names *names_new(uint64_t now_ns);
void names_free(struct names *names);

/* The number of a name (lower case, valid), which is made when it is new. -ENOSPC: there are
 * NAMES_MAX, -EDQUOT: bounded and too many new ones came lately, -ENOMEM. */
int names_number(struct names *names, const char *name, bool bounded, uint64_t now_ns);
/* The number of a name that has one, or -1. */
int names_find(const struct names *names, const char *name);
/* What stands for a number inside. */
void names_address(int number, bool v6, struct in6_addr *address);
/* One of the runtime's own, below NAMES_POOL_FIRST. */
void names_own_address(unsigned number, bool v6, struct in6_addr *address);
/* The number that an address inside stands for, or -1. */
int names_of_address(const struct names *names, const struct in6_addr *address);
struct name_use *names_use(struct names *names, int number);
int names_count(const struct names *names);

#endif
