#include "rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PREFIX_BYTES = 8 /* a /64 */ };

/* Thousandths of a request, so that a millisecond brings some. */
struct bucket {
	uint64_t milli, at_ms;
};

struct rates {
	uint64_t key[2];
	struct bucket all;
	struct bucket places[RATE_PLACES];
};

struct rates *
rates_new(void)
{
	struct rates *rates = calloc(1, sizeof(*rates));

	if (rates && getrandom(rates->key, sizeof(rates->key), 0) != sizeof(rates->key)) {
		free(rates);
		return NULL;
	}
	return rates;
}

void
rates_free(struct rates *rates)
{
	free(rates);
}

/* What it holds by now; a new one is full. */
static uint64_t
fill(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
	uint64_t most = 1000 * burst, came = (now_ms - bucket->at_ms) * rate;

	bucket->milli = !bucket->at_ms || came > most - bucket->milli ? most : bucket->milli + came;
	bucket->at_ms = now_ms;
	return bucket->milli;
}

static struct in6_addr
customer(const struct in6_addr *address)
{
	struct in6_addr of = *address;

	if (!IN6_IS_ADDR_V4MAPPED(&of))
		memset(of.s6_addr + PREFIX_BYTES, 0, sizeof(of.s6_addr) - PREFIX_BYTES);
	return of;
}

/* Every bit of it has a part in every bit of the result. */
static uint64_t
mix(uint64_t bits)
{
	bits = (bits ^ bits >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	bits = (bits ^ bits >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return bits ^ bits >> 32;
}

/* Nobody who does not know the key can choose where an address lies. */
static struct bucket *
place_of(struct rates *rates, const struct in6_addr *address)
{
	uint64_t half[2];

	memcpy(half, address, sizeof(half));
	return &rates->places[mix(mix(half[0] ^ rates->key[0]) ^ half[1] ^ rates->key[1]) %
			      RATE_PLACES];
}

bool
rates_take(struct rates *rates, const struct in6_addr *address, uint64_t now_ns)
{
	struct in6_addr of = customer(address);
	struct bucket *place = place_of(rates, &of);
	uint64_t now_ms = now_ns / 1000000;

	if (fill(place, RATE_ADDRESS, RATE_ADDRESS_BURST, now_ms) < 1000 ||
	    fill(&rates->all, RATE_ALL, RATE_ALL_BURST, now_ms) < 1000)
		return false;
	place->milli -= 1000;
	rates->all.milli -= 1000;
	return true;
}
