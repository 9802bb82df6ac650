#include "netaddr.h"

#include <arpa/inet.h>
#include <string.h>

#include "cleanup.h"
#include "netrule.h"

struct block {
	const char *address;
	unsigned bits;
	const char *what;
};

/* The special-purpose registries of IANA (RFC 6890 and later), and one address that looks public:
 * Azure's host answers there (WireServer). */
static const struct block v4_blocks[] = {
    {"0.0.0.0", 8, "unspecified"},
    {"10.0.0.0", 8, "private"},
    {"100.64.0.0", 10, "a carrier's (100.64.0.0/10)"},
    {"127.0.0.0", 8, "loopback"},
    {"168.63.129.16", 32, "a metadata service"},
    {"169.254.0.0", 16, "link-local"},
    {"172.16.0.0", 12, "private"},
    {"192.0.0.0", 24, "reserved"},
    {"192.0.2.0", 24, "for documentation"},
    {"192.88.99.0", 24, "reserved"},
    {"192.168.0.0", 16, "private"},
    {"198.18.0.0", 15, "for benchmarks"},
    {"198.51.100.0", 24, "for documentation"},
    {"203.0.113.0", 24, "for documentation"},
    {"224.0.0.0", 4, "multicast"},
    {"240.0.0.0", 4, "reserved"},
};

/* Outside 2000::/3 nothing is public; inside it these are not. */
static const struct block v6_blocks[] = {
    {"::1", 128, "loopback"},
    {"::", 128, "unspecified"},
    {"fc00::", 7, "private"},
    {"fe80::", 10, "link-local"},
    {"fec0::", 10, "private"},
    {"ff00::", 8, "multicast"},
    {"64:ff9b:1::", 48, "a local translator's"},
    {"2001::", 23, "reserved"},
    {"2001:db8::", 32, "for documentation"},
    {"3fff::", 20, "for documentation"},
};

/* Carriers of an IPv4 address: how many bits of the prefix, and the byte where it begins. */
static const struct {
	const char *prefix;
	unsigned bits, at;
} carriers[] = {
    {"64:ff9b::", 96, 12},    /* NAT64, RFC 6052 */
    {"2002::", 16, 2},        /* 6to4 */
    {"::ffff:0:0:0", 96, 12}, /* SIIT */
};

static const char *
find_block(const struct block *blocks, size_t count, const struct in6_addr *address, unsigned bits)
{
	struct in6_addr block;
	unsigned length;

	for (size_t i = 0; i < count; i++) {
		length = net_address(blocks[i].address, &block) == 32 ? blocks[i].bits + NET_V4_BITS
								      : blocks[i].bits;
		if (bits >= length && net_same_prefix(address, &block, length))
			return blocks[i].what;
	}
	return NULL;
}

static bool
is_v4(const struct in6_addr *address)
{
	return IN6_IS_ADDR_V4MAPPED(address);
}

static const char *
v4_special(const struct in6_addr *address)
{
	return find_block(v4_blocks, ARRAY_LEN(v4_blocks), address, 128);
}

/* What it carries is what a translator connects to. */
static const char *
carried(const struct in6_addr *address)
{
	struct in6_addr prefix, inner;
	uint32_t v4;

	for (size_t i = 0; i < ARRAY_LEN(carriers); i++) {
		net_address(carriers[i].prefix, &prefix);
		if (!net_same_prefix(address, &prefix, carriers[i].bits))
			continue;
		memcpy(&v4, &address->s6_addr[carriers[i].at], sizeof(v4));
		net_from_v4(&inner, ntohl(v4));
		return v4_special(&inner);
	}
	return NULL;
}

const char *
net_address_special(const struct in6_addr *address)
{
	const char *what;
	struct in6_addr nat64, public;

	if (is_v4(address))
		return v4_special(address);
	what = find_block(v6_blocks, ARRAY_LEN(v6_blocks), address, 128);
	if (!what)
		what = carried(address);
	if (what)
		return what;
	net_address("64:ff9b::", &nat64);
	net_address("2000::", &public);
	if (net_same_prefix(address, &public, 3) || net_same_prefix(address, &nat64, 96))
		return NULL;
	return "reserved";
}

const char *
net_range_special(const struct in6_addr *address, unsigned bits)
{
	if (is_v4(address) && bits >= NET_V4_BITS)
		return find_block(v4_blocks, ARRAY_LEN(v4_blocks), address, bits);
	return bits == 128 ? net_address_special(address)
			   : find_block(v6_blocks, ARRAY_LEN(v6_blocks), address, bits);
}

/* Who connects to the unspecified address reaches it as well. A wide range may hold both and is no
 * matter: what is sent there never leaves the sandbox. */
bool
net_range_meets_loopback(const struct in6_addr *address, unsigned bits)
{
	struct in6_addr v4, any;

	net_from_v4(&v4, INADDR_LOOPBACK);
	net_from_v4(&any, INADDR_ANY);
	if (bits == 128 && (IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address)))
		return true;
	return bits >= NET_V4_BITS + 8 && (net_same_prefix(address, &v4, NET_V4_BITS + 8) ||
					   net_same_prefix(address, &any, NET_V4_BITS + 8));
}

bool
net_range_meets_pool(const struct in6_addr *address, unsigned bits)
{
	struct in6_addr v4, v6;

	net_from_v4(&v4, NET_POOL_V4);
	net_address(NET_POOL_V6, &v6);
	return (bits >= NET_V4_BITS + NET_POOL_BITS &&
		net_same_prefix(address, &v4, NET_V4_BITS + NET_POOL_BITS)) ||
	       (bits >= 96 && net_same_prefix(address, &v6, 96));
}

const char *
net_address_text(const struct in6_addr *address, char *text)
{
	if (is_v4(address))
		return inet_ntop(AF_INET, &address->s6_addr[12], text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}
