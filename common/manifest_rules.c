#include "manifest_rules.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "event_template.h"
#include "manifest.h"
#include "template.h"
#include "values.h"

/* --- entries ---------------------------------------------------------------------------------- */

int
finish_credential(void *object, const struct place *place)
{
	const struct manifest_credential *credential = object;
	const char *holder = credential->for_server ? credential->for_server : "agent";
	char why[REASON_SIZE];

	if (strcmp(holder, "agent") != 0 && !value_server_name(holder, why))
		return complain_at(place, "for", "must be agent or the name of an mcp server");
	if (credential->has_inject && strcmp(holder, "agent") != 0)
		return complain_at(place, "inject", "is for the agent's own requests only");
	return 0;
}

int
finish_network(void *object, const struct place *place)
{
	const struct manifest_network *network = object;

	/* Beside a policy that was written it is inert, see manifest_warnings.c. */
	if (network->allowlist.count == 0 || network->policy != NETWORK_ABSENT)
		return 0;
	complain_at(place, "allowlist", "needs policy allowlist or local");
	return error_hint(place_error(place), "add policy: allowlist beside it");
}

static int
finish_stdio(const struct manifest_server *server, const struct place *place)
{
	if (!server->command)
		return complain_at(place, "command", "is required with transport Stdio");
	return 0;
}

static int
finish_http(const struct manifest_server *server, const struct place *place)
{
	if (!server->url)
		return complain_at(place, "url", "is required with transport Http");
	if (server->command)
		return complain_at(place, "command", "needs transport: Stdio");
	if (server->args.count)
		return complain_at(place, "args", "needs transport: Stdio");
	if (server->mounts.count)
		return complain_at(place, "mounts", "needs transport: Stdio");
	return 0;
}

int
finish_server(void *object, const struct place *place)
{
	const struct manifest_server *server = object;

	return server->transport == TRANSPORT_HTTP ? finish_http(server, place)
						   : finish_stdio(server, place);
}

/* --- triggers --------------------------------------------------------------------------------- */

static unsigned
trigger_kinds(const struct manifest_trigger *trigger)
{
	return (unsigned)(trigger->cron != NULL) << TRIGGER_CRON |
	       (unsigned)(trigger->every_ms != ABSENT) << TRIGGER_EVERY |
	       (unsigned)(trigger->at_ms != ABSENT) << TRIGGER_AT |
	       (unsigned)(trigger->event != NULL) << TRIGGER_EVENT |
	       (unsigned)(trigger->path != NULL) << TRIGGER_PATH |
	       (unsigned)(trigger->after != NULL) << TRIGGER_AFTER |
	       (unsigned)(trigger->webhook != NULL) << TRIGGER_WEBHOOK;
}

/* A key that means something with these kinds of trigger only. */
struct companion {
	const char *key, *needs;
	unsigned kinds;
	bool written;
};

static int
check_companions(const struct manifest_trigger *trigger, const struct place *place)
{
	const unsigned timed = 1U << TRIGGER_CRON | 1U << TRIGGER_EVERY | 1U << TRIGGER_AT;
	const struct companion companions[] = {
	    {"timezone", "cron", 1U << TRIGGER_CRON, trigger->timezone},
	    {"filter", "event or webhook", 1U << TRIGGER_EVENT | 1U << TRIGGER_WEBHOOK,
	     trigger->filter.count},
	    {"on", "path", 1U << TRIGGER_PATH, trigger->on.count},
	    {"outcome", "after", 1U << TRIGGER_AFTER, trigger->outcome},
	    {"secret", "webhook", 1U << TRIGGER_WEBHOOK, trigger->secret},
	    {"unsigned", "webhook", 1U << TRIGGER_WEBHOOK, trigger->without_signature},
	    {"missed", "cron, every or at", timed, trigger->missed != MISSED_ABSENT},
	    {"missed_within", "cron, every or at", timed, trigger->missed_within_ms != ABSENT},
	    {"jitter", "cron, every or at", timed, trigger->jitter_ms != ABSENT},
	};

	for (size_t i = 0; i < ARRAY_LEN(companions); i++)
		if (companions[i].written && !(companions[i].kinds & 1U << trigger->kind))
			return complain_at(place, companions[i].key, "goes with %s only",
					   companions[i].needs);
	return 0;
}

int
finish_trigger(void *object, const struct place *place)
{
	struct manifest_trigger *trigger = object;
	unsigned kinds = trigger_kinds(trigger);

	if (__builtin_popcount(kinds) != 1)
		return complain(place,
				"must have exactly one of cron, every, at, event, path, after "
				"and webhook");
	trigger->kind = (enum trigger_kind)__builtin_ctz(kinds);
	if (trigger->kind == TRIGGER_WEBHOOK && !trigger->secret && !trigger->without_signature)
		return complain_at(place, "secret",
				   "is required with webhook: it proves who calls");
	if (trigger->secret && trigger->without_signature)
		return complain_at(place, "unsigned", "and a secret exclude each other");
	if (trigger->missed_within_ms != ABSENT && trigger->missed != MISSED_RUN_ONCE &&
	    trigger->missed != MISSED_RUN_ALL)
		return complain_at(place, "missed_within", "needs missed: run-once or run-all");
	return check_companions(trigger, place);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int
complain_entry(const struct place *place, const char *list, size_t index, const char *key,
	       const char *reason)
{
	char path[64];

	snprintf(path, sizeof(path), "spec.%s[%zu]%s%s", list, index, *key ? "." : "", key);
	return complain_at(place, path, "%s", reason);
}

static bool
inside(const char *path, const char *outer)
{
	size_t length = strlen(outer);

	return strncmp(path, outer, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int
check_targets(const struct manifest *manifest, const struct place *place)
{
	for (size_t i = 0; i < manifest->context.count; i++)
		for (size_t j = 0; j < i; j++) {
			const char *target = manifest->context.items[i].target;
			const char *other = manifest->context.items[j].target;

			if (strcmp(target, other) == 0)
				return complain_entry(place, "context", i, "target",
						      "is another entry's target already");
			if (inside(target, other) || inside(other, target))
				return complain_entry(place, "context", i, "target",
						      "lies inside another entry's target, or that "
						      "one inside it");
		}
	return 0;
}

static bool
server_declared(const struct manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->mcp_servers.count; i++)
		if (strcmp(manifest->mcp_servers.items[i].name, name) == 0)
			return true;
	return false;
}

static const char *
credential_file(const struct manifest_credential *credential)
{
	return credential->as ? credential->as : credential->name;
}

static bool
same_holder(const struct manifest_credential *a, const struct manifest_credential *b)
{
	return strcmp(a->for_server ? a->for_server : "agent",
		      b->for_server ? b->for_server : "agent") == 0;
}

/* Inside, a host is one name at one port. */
static int
check_inject_pair(const struct manifest_credential *a, const struct manifest_credential *b,
		  size_t index, const struct place *place)
{
	const char *host = a->inject.host, *variable = a->inject.base_url_env;
	size_t name = strcspn(host, ":");

	if (strcspn(b->inject.host, ":") == name && strncmp(host, b->inject.host, name) == 0 &&
	    strcmp(host, b->inject.host) != 0)
		return complain_entry(place, "credentials", index, "inject.host",
				      "is another entry's host, with another port");
	if (variable && b->inject.base_url_env && strcmp(variable, b->inject.base_url_env) == 0)
		return complain_entry(place, "credentials", index, "inject.base_url_env",
				      "is another entry's variable already");
	return 0;
}

static int
check_credential_pair(const struct manifest *manifest, size_t index, size_t other,
		      const struct place *place)
{
	const struct manifest_credential *a = &manifest->credentials.items[index];
	const struct manifest_credential *b = &manifest->credentials.items[other];

	if (a->has_inject && b->has_inject)
		return check_inject_pair(a, b, index, place);
	if (!same_holder(a, b) || a->has_inject || b->has_inject)
		return 0;
	if (strcmp(credential_file(a), credential_file(b)) == 0)
		return complain_entry(place, "credentials", index, a->as ? "as" : "name",
				      "is another entry's file name already");
	if (a->env && b->env && strcmp(a->env, b->env) == 0)
		return complain_entry(place, "credentials", index, "env",
				      "is another entry's variable already");
	return 0;
}

/* Variables of a plugin come from two places. */
static int
check_credential_env(const struct manifest *manifest, size_t index, const struct place *place)
{
	const struct manifest_credential *credential = &manifest->credentials.items[index];

	for (size_t i = 0; credential->env && i < manifest->mcp_servers.count; i++) {
		const struct manifest_server *server = &manifest->mcp_servers.items[i];

		if (!credential->for_server || strcmp(credential->for_server, server->name) != 0)
			continue;
		for (size_t j = 0; j < server->env_template.count; j++)
			if (strcmp(server->env_template.items[j].key, credential->env) == 0)
				return complain_entry(place, "credentials", index, "env",
						      "is a variable of that server's "
						      "env_template already");
	}
	return 0;
}

static size_t
placeholders(const struct manifest_server *server)
{
	struct template_part part;
	size_t count = 0;

	for (size_t i = 0; i < server->env_template.count; i++) {
		const char *at = server->env_template.items[i].value;

		while (template_next(&at, &part) == 1)
			count += !part.text;
	}
	return count;
}

static int
check_secrets(const struct manifest *manifest, const struct place *place)
{
	size_t count = manifest->credentials.count;

	for (size_t i = 0; i < manifest->mcp_servers.count; i++) {
		count += placeholders(&manifest->mcp_servers.items[i]);
		if (count > PLAN_SECRETS_MAX)
			return complain_entry(place, "mcp_servers", i, "env_template",
					      "names too many secrets: 128 at most, together with "
					      "spec.credentials");
	}
	return 0;
}

static int
check_credentials(const struct manifest *manifest, const struct place *place)
{
	for (size_t i = 0; i < manifest->credentials.count; i++) {
		const char *holder = manifest->credentials.items[i].for_server;

		if (holder && strcmp(holder, "agent") != 0 && !server_declared(manifest, holder))
			return complain_entry(place, "credentials", i, "for",
					      "names no server of spec.mcp_servers");
		for (size_t j = 0; j < i; j++)
			if (check_credential_pair(manifest, i, j, place) < 0)
				return -1;
		if (check_credential_env(manifest, i, place) < 0)
			return -1;
	}
	return 0;
}

static int
check_servers(const struct manifest *manifest, const struct place *place)
{
	for (size_t i = 0; i < manifest->mcp_servers.count; i++) {
		const struct manifest_server *server = &manifest->mcp_servers.items[i];

		if (server->passthrough && manifest->mcp_servers.count > 1)
			return complain_entry(place, "mcp_servers", i, "passthrough",
					      "is for a single server: with more the names would "
					      "collide");
		if (strcmp(server->name, "agent") == 0)
			return complain_entry(place, "mcp_servers", i, "name",
					      "must not be agent, which credentials use");
		for (size_t j = 0; j < i; j++)
			if (strcmp(server->name, manifest->mcp_servers.items[j].name) == 0)
				return complain_entry(place, "mcp_servers", i, "name",
						      "is another server's name already");
	}
	return 0;
}

static int
check_triggers(const struct manifest *manifest, const struct place *place)
{
	unsigned watches = 0;

	for (size_t i = 0; i < manifest->triggers.count; i++) {
		const struct manifest_trigger *trigger = &manifest->triggers.items[i];
		const char *after = trigger->after, *fault = NULL;

		watches += trigger->path != NULL;
		if (watches > WATCHES_MAX)
			return complain_entry(place, "triggers", i, "path",
					      "is one too many: 16 at most");
		if (after && strcmp(after, manifest->name) == 0)
			return complain_entry(place, "triggers", i, "after",
					      "is this agent itself: it would run for ever");
		for (size_t j = 0; trigger->webhook && j < i; j++)
			if (manifest->triggers.items[j].webhook &&
			    strcmp(trigger->webhook, manifest->triggers.items[j].webhook) == 0)
				return complain_entry(place, "triggers", i, "webhook",
						      "is another trigger's too: both would have "
						      "the same URL");
		if (trigger->task &&
		    (trigger->event || trigger->webhook || trigger->after || trigger->path))
			fault = event_template_fault(trigger->task);
		if (fault)
			return complain_entry(place, "triggers", i, "task", fault);
	}
	return 0;
}

static int
check_skills(const struct manifest *manifest, const struct place *place)
{
	for (size_t i = 0; i < manifest->skills.count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(skill_name(manifest->skills.items[i]),
				   skill_name(manifest->skills.items[j])) == 0)
				return complain_entry(place, "skills", i, "",
						      "has the name of another entry: both would "
						      "be the same directory below /skills");
	return 0;
}

static int
check_home(struct manifest *manifest, const struct place *place)
{
	/* A plan says both already: what is decoded must encode to the same bytes. */
	bool reading = place->node != NULL;

	if (manifest->auto_snapshot && manifest->home.mode == HOME_ABSENT && reading)
		manifest->home.mode = HOME_JOURNAL;
	if (manifest->auto_snapshot && manifest->home.mode != HOME_JOURNAL)
		return complain_at(place, "spec.workspace.auto_snapshot",
				   "needs spec.home.mode: journal");
	if (manifest->concurrency.max != ABSENT && manifest->concurrency.max > 1 &&
	    manifest->home.mode != HOME_NONE) {
		complain_at(place, "spec.concurrency.max",
			    "over 1 needs home mode none: one session writes one home at a time");
		return error_hint(place_error(place), "add home: {mode: none} to spec");
	}
	return 0;
}

static int
check_runtime(const struct manifest *manifest, const struct place *place)
{
	if (manifest->packages.count && manifest->runtime != RUNTIME_PYTHON &&
	    manifest->runtime != RUNTIME_ABSENT)
		return complain_at(place, "spec.packages", "goes with runtime python only");
	return 0;
}

int
finish_manifest(void *object, const struct place *place)
{
	static int (*const rules[])(const struct manifest *, const struct place *) = {
	    check_targets,  check_servers, check_credentials, check_secrets,
	    check_triggers, check_runtime, check_skills,
	};

	if (check_home(object, place) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i](object, place) < 0)
			return -1;
	return 0;
}
