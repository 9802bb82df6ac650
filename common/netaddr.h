/*
 * Where an address leads: the checks of the dialer before it connects, of rules when they are
 * parsed. IPv4 stands as ::ffff:a.b.c.d. Any process; no state.
 */
#ifndef SCARAB_NETADDR_H
#define SCARAB_NETADDR_H

#include <netinet/in.h>
#include <stdbool.h>

/* What names resolve to inside a sandbox: 198.18.0.0/15, and the same 32 bits behind this prefix,
 * which was drawn at random (RFC 4193). */
#define NET_POOL_V4 0xc6120000U
#define NET_POOL_V6 "fdc4:f7b2:3e5a:198::"

/* NULL for an address of the public Internet, else what it is: "private", "loopback", "link-local"…
 * An IPv4 address that an IPv6 one carries (mapped, NAT64, 6to4) is judged itself. */
const char *net_address_special(const struct in6_addr *address);
/* Lies the whole range in one that is not public? Only then a rule names what is in there:
 * 0.0.0.0/0 speaks of the public Internet. What it is, or NULL. */
const char *net_range_special(const struct in6_addr *address, unsigned bits);
bool net_range_meets_loopback(const struct in6_addr *address, unsigned bits);
bool net_range_meets_pool(const struct in6_addr *address, unsigned bits);
/* "10.0.0.1" or "2001:db8::1"; text has at least INET6_ADDRSTRLEN bytes. */
const char *net_address_text(const struct in6_addr *address, char *text);

#endif
