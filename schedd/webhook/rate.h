/*
 * How many requests are taken: so many a second, and some at once, from each address and from all
 * together. A fixed table: addresses that meet in one place of it share what is there. The webhook
 * listener only. Pure but for its key, which is drawn at the beginning.
 */
#ifndef SCARAB_WEBHOOK_RATE_H
#define SCARAB_WEBHOOK_RATE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	RATE_ADDRESS = 100, /* a second */
	RATE_ADDRESS_BURST = 400,
	RATE_ALL = 500,
	RATE_ALL_BURST = 2000,
	RATE_PLACES = 1024,
};

struct rates;

struct rates *rates_new(void); /* NULL without memory */
void rates_free(struct rates *rates);
/* Takes one; false: too many. IPv4 as ::ffff:a.b.c.d; of IPv6 the /64 counts, which is one
 * customer's. now_ns: of a clock that only goes forwards. */
bool rates_take(struct rates *rates, const struct in6_addr *address, uint64_t now_ns);

#endif
