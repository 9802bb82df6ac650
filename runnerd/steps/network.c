/* network: an empty namespace, where only lo is up; names resolve from /etc/hosts alone. */
#include <string.h>

#include "steps.h"

int
network_build(struct session *s, struct error *error)
{
	static const char resolver[] = "# network policy none: there is no resolver\n";

	if (s->effective.network != NETWORK_NONE)
		return error_why(error, ERR_INVALID,
				 "this build cannot enforce spec.network.policy %s",
				 network_policy_name(s->effective.network));
	recipe_file(&s->recipe, "/etc/resolv.conf", 0444, resolver, strlen(resolver));
	return 0;
}
