/* What a manifest lets itself use of what operators grant: capabilities and secret_policy. */
#include <stdio.h>
#include <string.h>

#include "common/glob.h"
#include "common/limits.h"
#include "policy.h"

static bool
capability_covers(const struct manifest *plan, const char *secret)
{
	static const char domain[] = "secret.use:";
	size_t i;

	if (!plan->has_capabilities)
		return true;
	for (i = 0; i < plan->capabilities.count; i++)
		if (!strncmp(plan->capabilities.items[i], domain, sizeof(domain) - 1) &&
		    glob_match(plan->capabilities.items[i] + sizeof(domain) - 1, secret))
			return true;
	return false;
}

static bool
pattern_covers(const char *pattern, const char *name)
{
	return !pattern || glob_match(pattern, name);
}

/* A file that the agent reads is bound to no tool and no host: a rule that asks for one of a kind
 * does not cover it. */
static bool
rule_covers(const struct manifest_secret_rule *rule, const struct manifest_credential *credential,
	    uint64_t now_ms)
{
	const char *server = credential->for_server, *host = NULL;
	char injected[NET_NAME_MAX + 1];

	if (server && !strcmp(server, "agent"))
		server = NULL;
	if (credential->has_inject) {
		snprintf(injected, sizeof(injected), "%.*s",
			 (int)strcspn(credential->inject.host, ":"), credential->inject.host);
		host = injected;
	}
	if (now_ms && rule->expires_at_ms != ABSENT && now_ms >= rule->expires_at_ms)
		return false;
	return pattern_covers(rule->secret_pattern, credential->name) &&
	       pattern_covers(rule->tool_pattern, server ? server : "") &&
	       pattern_covers(rule->host_pattern, host ? host : "");
}

/* Rules narrow: where there are any, one of them must cover the use; the widest bound of those
 * that do holds. max_uses 0 in a rule bounds nothing, as where it is not written. */
int
policy_secret(const struct manifest *plan, const struct manifest_credential *credential,
	      uint64_t now_ms, uint64_t *max_uses, struct error *error)
{
	bool covered = plan->secret_policy.count == 0, unbounded = covered;
	size_t i;

	*max_uses = 0;
	if (!capability_covers(plan, credential->name)) {
		error_why(error, ERR_PERMISSION,
			  "spec.capabilities has no secret.use that covers %s", credential->name);
		return error_hint(error, "add secret.use:%s to it", credential->name);
	}
	for (i = 0; i < plan->secret_policy.count; i++) {
		const struct manifest_secret_rule *rule = &plan->secret_policy.items[i];

		if (!rule_covers(rule, credential, now_ms))
			continue;
		covered = true;
		if (rule->max_uses == ABSENT || !rule->max_uses)
			unbounded = true;
		else if (rule->max_uses > *max_uses)
			*max_uses = rule->max_uses;
	}
	if (unbounded)
		*max_uses = 0;
	if (covered)
		return 0;
	return error_why(error, ERR_PERMISSION, "spec.secret_policy lets nobody use %s%s",
			 credential->name, now_ms ? " now" : "");
}
