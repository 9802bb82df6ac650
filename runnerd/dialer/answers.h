/*
 * What names of one session resolved to, for as long as the answers said. Of one session, not of
 * all: how long a connection takes would tell an agent what another one had asked for. What is kept
 * was not checked: addresses are, at each connection. Dialer only.
 */
#ifndef SCARAB_DIALER_ANSWERS_H
#define SCARAB_DIALER_ANSWERS_H

#include <netinet/in.h>
#include <stdint.h>

#include "common/limits.h"

enum {
	ANSWERS_MAX = 64,   /* names of a session, then the one that ends first goes: 26 KiB */
	ADDRESSES_MAX = 8,  /* of one name that are tried */
	ANSWER_S_MAX = 300, /* whatever the answer says: a host that moves is found again */
};

struct answer {
	char name[NET_NAME_MAX + 1];
	struct in6_addr addresses[ADDRESSES_MAX];
	unsigned count;
	uint64_t until_ns; /* CLOCK_BOOTTIME */
};

struct answers {
	struct answer *items[ANSWERS_MAX];
	unsigned count;
};

/* NULL: the name must be asked for. Borrowed until the next call. */
const struct answer *answers_find(struct answers *answers, const char *name, uint64_t now_ns);
/* At most ADDRESSES_MAX addresses; for no time at all nothing is kept. */
void answers_put(struct answers *answers, const char *name, const struct in6_addr *addresses,
		 unsigned count, unsigned ttl_s, uint64_t now_ns);
/* None of its addresses answered: ask again. */
void answers_drop(struct answers *answers, const char *name);
void answers_clear(struct answers *answers);

#endif
