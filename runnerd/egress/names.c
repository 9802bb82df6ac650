#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/netaddr.h"

enum { BUCKETS = 2 * NAMES_MAX, NS_A_NAME = 1000000000 / NAMES_A_SECOND };

struct names {
	struct name_use *items[NAMES_MAX];
	int count;
	int buckets[BUCKETS]; /* number + 1, by the name's hash, open addressing; 0: empty */
	uint64_t full_ns;     /* when NAMES_BURST new ones are allowed again */
};

struct names *
names_new(uint64_t now_ns)
{
	struct names *names = calloc(1, sizeof(*names));

	if (names)
		names->full_ns = now_ns;
	return names;
}

void
names_free(struct names *names)
{
	for (int i = 0; names && i < names->count; i++)
		free(names->items[i]);
	free(names);
}

/* FNV-1a. Names that collide cost a session its own time, within NAMES_MAX steps. */
static uint32_t
hash(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619U;
	return h;
}

/* The bucket that holds the name, or the empty one where it belongs. */
static uint32_t
bucket_of(const struct names *names, const char *name)
{
	uint32_t at = hash(name) % BUCKETS;

	while (names->buckets[at] && strcmp(names->items[names->buckets[at] - 1]->name, name) != 0)
		at = (at + 1) % BUCKETS;
	return at;
}

int
names_find(const struct names *names, const char *name)
{
	return names->buckets[bucket_of(names, name)] - 1;
}

/* A bucket of tokens, as the time at which it would be full. */
static bool
allowed_now(struct names *names, uint64_t now_ns)
{
	if (names->full_ns < now_ns)
		names->full_ns = now_ns;
	if (names->full_ns - now_ns > (uint64_t)(NAMES_BURST - 1) * NS_A_NAME)
		return false;
	names->full_ns += NS_A_NAME;
	return true;
}

int
names_number(struct names *names, const char *name, bool bounded, uint64_t now_ns)
{
	int *bucket = &names->buckets[bucket_of(names, name)];
	struct name_use *use;

	if (*bucket)
		return *bucket - 1;
	if (names->count == NAMES_MAX)
		return -ENOSPC;
	if (bounded && !allowed_now(names, now_ns))
		return -EDQUOT;
	use = calloc(1, sizeof(*use));
	if (!use)
		return -ENOMEM;
	strncpy(use->name, name, sizeof(use->name) - 1);
	names->items[names->count] = use;
	*bucket = ++names->count;
	return *bucket - 1;
}

void
names_address(int number, bool v6, struct in6_addr *address)
{
	names_own_address(NAMES_POOL_FIRST + (unsigned)number, v6, address);
}

void
names_own_address(unsigned number, bool v6, struct in6_addr *address)
{
	uint32_t inside = NET_POOL_V4 + number;
	uint32_t network = htonl(inside);

	if (!v6) {
		net_from_v4(address, inside);
		return;
	}
	net_address(NET_POOL_V6, address);
	memcpy(&address->s6_addr[12], &network, sizeof(network));
}

int
names_of_address(const struct names *names, const struct in6_addr *address)
{
	struct in6_addr pool;
	uint32_t network, number;

	net_address(NET_POOL_V6, &pool);
	if (!IN6_IS_ADDR_V4MAPPED(address) && !net_same_prefix(address, &pool, NET_V4_BITS))
		return -1;
	memcpy(&network, &address->s6_addr[12], sizeof(network));
	number = ntohl(network) - NET_POOL_V4 - NAMES_POOL_FIRST;
	return number < (uint32_t)names->count ? (int)number : -1;
}

struct name_use *
names_use(struct names *names, int number)
{
	return names->items[number];
}

int
names_count(const struct names *names)
{
	return names->count;
}
