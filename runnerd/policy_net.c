/* What of a network root and the manifest's own capabilities allow. */
#include <stdio.h>
#include <string.h>

#include "common/glob.h"
#include "common/netaddr.h"
#include "common/netrule.h"
#include "inject.h"
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

/* allowlist: the Internet, and host.agentd; local and full: its own networks too, by rule. */
static int
check_rule(const struct manifest *plan, const char *where, const char *text,
	   enum network_policy policy, struct error *error)
{
	struct net_rule rule;
	char why[REASON_SIZE];
	const char *special;

	if (!net_rule_parse(text, &rule, why) || !net_rule_possible(&rule, why))
		return error_why(error, ERR_INVALID, "%snetwork.allowlist: %s %s", where, text,
				 why);
	special = rule.kind == NET_RANGE ? net_range_special(&rule.address, rule.bits) : NULL;
	if (special && policy == NETWORK_ALLOWLIST) {
		error_why(error, ERR_PERMISSION,
			  "%snetwork.allowlist: %s is %s, which needs policy local", where, text,
			  special);
		return error_hint(error,
				  "set %snetwork.policy to local, which trust_level "
				  "trusted allows",
				  where);
	}
	return check_capabilities(plan, &rule, error);
}

static int
check_network(const struct manifest *plan, const char *where, enum network_policy policy,
	      const struct strings *allowlist, struct error *error)
{
	bool any = policy == NETWORK_FULL || policy == NETWORK_HOST;

	if (policy == NETWORK_NONE || policy == NETWORK_ABSENT)
		return 0;
	for (size_t i = 0; policy != NETWORK_HOST && i < allowlist->count; i++)
		if (check_rule(plan, where, allowlist->items[i], policy, error) < 0)
			return -1;
	return any ? check_capabilities(plan, &net_rule_any, error) : 0;
}

/* What inject implies for the egress process's own use is bounded as what a rule says. */
static int
check_injected(const struct manifest *plan, const struct effective *e, struct error *error)
{
	struct net_rule rule;

	for (size_t i = 0; i < plan->credentials.count; i++) {
		if (!plan->credentials.items[i].has_inject)
			continue;
		if (e->network == NETWORK_NONE || e->network == NETWORK_HOST) {
			error_why(
			    error, ERR_INVALID,
			    "spec.credentials[%zu].inject needs a network of the session's own, "
			    "and spec.network.policy is %s",
			    i, network_policy_name(e->network));
			return error_hint(error, "set spec.network.policy to allowlist");
		}
		if (inject_rule(&plan->credentials.items[i].inject, &rule) < 0)
			return error_why(error, ERR_INVALID,
					 "spec.credentials[%zu].inject.host is no host", i);
		if (check_capabilities(plan, &rule, error) < 0)
			return -1;
	}
	return 0;
}

int
policy_network(const struct manifest *plan, const struct effective *e, struct error *error)
{
	char where[SERVER_NAME_MAX + 32];

	if (check_injected(plan, e, error) < 0 ||
	    check_network(plan, "spec.", e->network, &plan->network.allowlist, error) < 0)
		return -1;
	for (size_t i = 0; i < plan->mcp_servers.count; i++) {
		const struct manifest_server *server = &plan->mcp_servers.items[i];

		if (server->network.policy == NETWORK_HOST)
			return error_why(error, ERR_INVALID,
					 "spec.mcp_servers: %s: network.policy host is the agent's "
					 "alone",
					 server->name);
		snprintf(where, sizeof(where), "spec.mcp_servers: %s: ", server->name);
		if (check_network(plan, where, server->network.policy, &server->network.allowlist,
				  error) < 0)
			return -1;
	}
	return 0;
}
