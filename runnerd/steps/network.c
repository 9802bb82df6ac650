/* network: an empty namespace, where only lo is up, and names resolve from /etc/hosts alone; with
 * rules that let something through an egress process, which furnishes it (runnerd/net.h). */
#include <string.h>
#include <unistd.h>

#include "runnerd/net.h"
#include "steps.h"

static const char no_resolver[] = "# network policy none: there is no resolver\n";

int
network_explain(struct session *s, struct error *error)
{
	const char *resolver = net_wanted(s) ? net_resolv_conf : no_resolver;

	(void)error;
	recipe_file(&s->recipe, "/etc/resolv.conf", 0444, resolver, strlen(resolver));
	return 0;
}

int
network_build(struct session *s, struct error *error)
{
	enum network_policy policy = s->effective.network;

	if (policy != NETWORK_NONE && policy != NETWORK_ALLOWLIST && policy != NETWORK_LOCAL)
		return error_why(error, ERR_INVALID,
				 "this build cannot enforce spec.network.policy %s",
				 network_policy_name(policy));
	if (net_wanted(s) && net_open(s, error) < 0)
		return -1;
	return network_explain(s, error);
}

int
network_undo(struct session *s)
{
	if (s->live >= 0)
		unlinkat(s->live, "egress.sock", 0);
	return 0;
}
