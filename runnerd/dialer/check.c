#include <arpa/inet.h>
#include <stdio.h>

#include "common/netaddr.h"
#include "dialer.h"

/* A rule names an address that is not public only when it speaks of nothing else: 0.0.0.0/0 is the
 * Internet, not the host's neighbours. */
static bool
named_by_a_rule(const struct net_rules *rules, const struct in6_addr *address, unsigned port,
		bool special)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct net_rule *rule = &rules->items[i];

		if (net_rule_allows_address(rule, address, port) &&
		    (!special || net_range_special(&rule->address, rule->bits)))
			return true;
	}
	return false;
}

bool
check_address(const struct net_rules *rules, const char *name, const struct in6_addr *address,
	      unsigned port, char why[256])
{
	const char *special = net_address_special(address);
	char text[INET6_ADDRSTRLEN];

	if (net_range_meets_loopback(address, 128)) {
		snprintf(why, 256, "%s is the host's loopback, which is %s alone",
			 net_address_text(address, text), NET_HOST_NAME);
		return false;
	}
	if (named_by_a_rule(rules, address, port, special != NULL))
		return true;
	if (name[0] && !special && net_rules_find_name(rules, name, port))
		return true;
	if (special)
		snprintf(why, 256, "%s is %s, and no rule names it",
			 net_address_text(address, text), special);
	else
		snprintf(why, 256, "no rule lets %s through at port %u",
			 name[0] ? name : net_address_text(address, text), port);
	return false;
}
