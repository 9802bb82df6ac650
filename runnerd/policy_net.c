/* What of a network root and the manifest's own capabilities allow. */
#include <stdio.h>
#include <string.h>

#include "common/glob.h"
#include "common/netaddr.h"
#include "common/netrule.h"
#include "policy.h"

/* Does one net.connect:HOST:PORT give all of the rule? */
static bool
capability_covers(const char *capability, const char *host, const struct net_rule *rule)
{
	static const char domain[] = "net.connect:";
	const char *colon = strrchr(capability, ':');
	char pattern[CAPABILITY_MAX + 1];
	unsigned low, high;

	if (strncmp(capability, domain, strlen(domain)) != 0)
		return false;
	capability += strlen(domain);
	if (strcmp(colon + 1, "*") != 0 &&
	    (!net_ports(colon + 1, &low, &high) || rule->low < low || rule->high > high))
		return false;
	snprintf(pattern, sizeof(pattern), "%.*s", (int)(colon - capability), capability);
	return glob_match(pattern, host);
}

static int
check_capabilities(const struct manifest *plan, const struct net_rule *rule, struct error *error)
{
	char text[NET_TEXT_MAX + 1], host[NET_TEXT_MAX + 1];

	if (!plan->has_capabilities)
		return 0;
	net_rule_text(rule, text, sizeof(text));
	snprintf(host, sizeof(host), "%.*s", (int)(strrchr(text, ':') - text), text);
	for (size_t i = 0; i < plan->capabilities.count; i++)
		if (capability_covers(plan->capabilities.items[i], host, rule))
			return 0;
	error_why(error, ERR_PERMISSION, "spec.capabilities has no net.connect that covers %s",
		  text);
	return error_hint(error, "add net.connect:%s to it", text);
}

/* allowlist: the Internet, and host.agentd; local: its own networks too. */
static int
check_rule(const struct manifest *plan, const char *text, const struct effective *e,
	   struct net_rule *rule, struct error *error)
{
	char why[REASON_SIZE];
	const char *special;

	if (!net_rule_parse(text, rule, why) || !net_rule_possible(rule, why))
		return error_why(error, ERR_INVALID, "spec.network.allowlist: %s %s", text, why);
	special = rule->kind == NET_RANGE ? net_range_special(&rule->address, rule->bits) : NULL;
	if (special && e->network != NETWORK_LOCAL) {
		error_why(error, ERR_PERMISSION,
			  "spec.network.allowlist: %s is %s, which needs policy local", text,
			  special);
		return error_hint(error, "set spec.network.policy to local, which trust_level "
					 "trusted allows");
	}
	return check_capabilities(plan, rule, error);
}

int
policy_network(const struct manifest *plan, const struct effective *e, struct error *error)
{
	const struct strings *allowlist = &plan->network.allowlist;
	static struct net_rule rules[NET_RULES_MAX];
	uint16_t ports[NET_PORTS_MAX];
	size_t i;

	if (e->network != NETWORK_ALLOWLIST && e->network != NETWORK_LOCAL)
		return 0;
	for (i = 0; i < allowlist->count && i < NET_RULES_MAX; i++)
		if (check_rule(plan, allowlist->items[i], e, &rules[i], error) < 0)
			return -1;
	if (net_rules_ports(&(struct net_rules){rules, i}, ports) >= 0)
		return 0;
	error_why(error, ERR_INVALID, "spec.network.allowlist names more than %d different ports",
		  NET_PORTS_MAX);
	return error_hint(error, "name the ports that are needed; each is a socket of the session");
}
