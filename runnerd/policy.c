#include "policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "fs.h"
#include "secret_uses.h"

#define BIT(value) (1U << (value))

enum context_rule { CONTEXT_NONE, CONTEXT_ALLOWED, CONTEXT_ANY };

/* What holds where a manifest is silent, agent-manifest(5). */
enum {
	HOME_HISTORY = 5,
	BACKOFF_MS = 10000,
	BACKOFF_FACTOR_MILLI = 2000,
	MAX_BACKOFF_MS = 600000,
	MAX_RESTARTS = 3,
	FAILURES_BEFORE_PAUSE = 5,
};
#define HOME_MAX_BYTES (UINT64_C(1) << 30)

/* The ceiling and the defaults of each level, CONTRACT 6. */
static const struct level {
	unsigned homes, networks;
	enum home_mode home;
	enum network_policy network;
	enum context_rule context;
	bool credentials;
} levels[] = {
    [TRUST_UNTRUSTED] = {.homes = BIT(HOME_NONE),
			 .networks = BIT(NETWORK_NONE),
			 .home = HOME_NONE,
			 .network = NETWORK_NONE,
			 .context = CONTEXT_NONE},
    [TRUST_SANDBOXED] = {.homes = BIT(HOME_JOURNAL) | BIT(HOME_NONE),
			 .networks = BIT(NETWORK_NONE) | BIT(NETWORK_ALLOWLIST),
			 .home = HOME_JOURNAL,
			 .network = NETWORK_NONE,
			 .context = CONTEXT_ALLOWED,
			 .credentials = true},
    [TRUST_TRUSTED] = {.homes = BIT(HOME_JOURNAL) | BIT(HOME_NONE) | BIT(HOME_DIRECT),
		       .networks = BIT(NETWORK_NONE) | BIT(NETWORK_ALLOWLIST) | BIT(NETWORK_LOCAL) |
				   BIT(NETWORK_FULL),
		       .home = HOME_JOURNAL,
		       .network = NETWORK_NONE,
		       .context = CONTEXT_ALLOWED,
		       .credentials = true},
    [TRUST_PRIVILEGED] = {.homes = BIT(HOME_JOURNAL) | BIT(HOME_NONE) | BIT(HOME_DIRECT),
			  .networks = BIT(NETWORK_NONE) | BIT(NETWORK_ALLOWLIST) |
				      BIT(NETWORK_LOCAL) | BIT(NETWORK_FULL) | BIT(NETWORK_HOST),
			  .home = HOME_JOURNAL,
			  .network = NETWORK_NONE,
			  .context = CONTEXT_ANY,
			  .credentials = true},
};

static uint64_t
present(uint64_t value, uint64_t otherwise)
{
	return value == ABSENT ? otherwise : value;
}

static uint32_t
bounded32(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* Each limit: the manifest's, else agentd.yaml's (fallback and otherwise), else what is built in.
 */
static const struct limit_rule {
	const char *name, *key, *fallback;
	size_t value, asked; /* of struct effective, struct manifest */
	size_t otherwise;    /* of struct config */
	uint64_t built_in;   /* ABSENT: there is none */
	bool silent_at_zero, bytes;
} limit_rules[] = {
    {.name = "timeout_ms",
     .key = "spec.lifecycle.timeout_secs",
     .fallback = "defaults.timeout_secs",
     .value = offsetof(struct effective, timeout_ms),
     .asked = offsetof(struct manifest, lifecycle.timeout_ms),
     .otherwise = offsetof(struct config, defaults.timeout_ms),
     .silent_at_zero = true},
    {.name = "stop_grace_ms",
     .key = "spec.lifecycle.stop_grace",
     .value = offsetof(struct effective, grace_ms),
     .asked = offsetof(struct manifest, lifecycle.stop_grace_ms),
     .built_in = STOP_GRACE_DEFAULT_MS},
    {.name = "idle_timeout_ms",
     .key = "spec.lifecycle.idle_timeout_secs",
     .value = offsetof(struct effective, idle_ms),
     .asked = offsetof(struct manifest, lifecycle.idle_timeout_ms),
     .built_in = 0},
    {.name = "memory_limit",
     .key = "spec.resources.memory_limit",
     .fallback = "defaults.memory_limit",
     .value = offsetof(struct effective, memory_bytes),
     .asked = offsetof(struct manifest, resources.memory_limit),
     .otherwise = offsetof(struct config, defaults.memory_limit),
     .bytes = true},
    {.name = "max_pids",
     .key = "spec.resources.max_pids",
     .fallback = "defaults.max_pids",
     .value = offsetof(struct effective, pids),
     .asked = offsetof(struct manifest, resources.max_pids),
     .otherwise = offsetof(struct config, defaults.max_pids)},
    {.name = "cpus_milli",
     .key = "spec.resources.cpus",
     .value = offsetof(struct effective, cpus_milli),
     .asked = offsetof(struct manifest, resources.cpus_milli),
     .built_in = ABSENT},
    {.name = "cpu_shares",
     .key = "spec.resources.cpu_shares",
     .value = offsetof(struct effective, cpu_shares),
     .asked = offsetof(struct manifest, resources.cpu_shares),
     .built_in = ABSENT},
    {.name = "max_open_files",
     .key = "spec.resources.max_open_files",
     .fallback = "defaults.max_open_files",
     .value = offsetof(struct effective, open_files),
     .asked = offsetof(struct manifest, resources.max_open_files),
     .otherwise = offsetof(struct config, defaults.max_open_files)},
    {.name = "disk",
     .key = "spec.resources.disk",
     .fallback = "defaults.disk",
     .value = offsetof(struct effective, disk),
     .asked = offsetof(struct manifest, resources.disk),
     .otherwise = offsetof(struct config, defaults.disk),
     .bytes = true},
    {.name = "home_max_size",
     .key = "spec.home.max_size",
     .value = offsetof(struct effective, home_max_bytes),
     .asked = offsetof(struct manifest, home.max_size),
     .built_in = HOME_MAX_BYTES,
     .bytes = true},
};

static uint64_t
number_at(const void *object, size_t offset)
{
	uint64_t number;

	memcpy(&number, (const char *)object + offset, sizeof(number));
	return number;
}

bool
policy_limit(size_t index, const struct manifest *plan, const struct config *config,
	     struct limit *limit)
{
	const struct limit_rule *rule = &limit_rules[index];

	if (index >= ARRAY_LEN(limit_rules))
		return false;
	*limit = (struct limit){.name = rule->name,
				.key = rule->key,
				.value = number_at(plan, rule->asked),
				.bytes = rule->bytes,
				.origin = FROM_MANIFEST};
	if (limit->value != ABSENT && (limit->value || !rule->silent_at_zero))
		return true;
	limit->key = rule->fallback;
	limit->origin = rule->fallback ? FROM_CONFIG : FROM_BUILD;
	limit->value = rule->fallback ? number_at(config, rule->otherwise) : rule->built_in;
	return true;
}

static void
apply_limits(const struct manifest *plan, const struct config *config, struct effective *effective)
{
	struct limit limit;
	size_t i;

	for (i = 0; policy_limit(i, plan, config, &limit); i++)
		memcpy((char *)effective + limit_rules[i].value, &limit.value, sizeof(limit.value));
}

/* What follows when a session has ended. */
static void
effective_ends(const struct manifest *plan, struct effective *effective)
{
	effective->retry_max = bounded32(present(plan->retry.max, 0));
	effective->backoff_ms = present(plan->retry.backoff_ms, BACKOFF_MS);
	effective->factor_milli = present(plan->retry.factor_milli, BACKOFF_FACTOR_MILLI);
	effective->max_backoff_ms = present(plan->retry.max_backoff_ms, MAX_BACKOFF_MS);
	effective->restart =
	    plan->lifecycle.restart_policy ? plan->lifecycle.restart_policy : RESTART_NEVER;
	effective->max_restarts = bounded32(present(plan->lifecycle.max_restarts, MAX_RESTARTS));
	effective->max_runs_per_day = present(plan->budget.max_runs_per_day, 0);
	effective->failures_before_pause =
	    present(plan->budget.failures_before_pause, FAILURES_BEFORE_PAUSE);
}

void
policy_effective(const struct manifest *plan, const struct config *config,
		 struct effective *effective)
{
	const struct level *level;

	effective->trust = plan->trust_level ? plan->trust_level : TRUST_SANDBOXED;
	level = &levels[effective->trust];
	effective->home = plan->home.mode ? plan->home.mode : level->home;
	effective->home_discards_failure = plan->home.on_failure == ON_FAILURE_DISCARD;
	effective->home_history = bounded32(present(plan->home.history, HOME_HISTORY));
	effective->network = plan->network.policy ? plan->network.policy : level->network;
	effective->overlap = plan->concurrency.policy ? plan->concurrency.policy : OVERLAP_QUEUE;
	effective->max = bounded32(present(plan->concurrency.max, 1));
	effective->queue_limit = bounded32(present(plan->concurrency.queue_limit, 16));
	effective_ends(plan, effective);
	apply_limits(plan, config, effective);
}

static bool
beneath_any(const char *path, const struct strings *dirs)
{
	size_t i;

	for (i = 0; i < dirs->count; i++)
		if (path_within(path, dirs->items[i]))
			return true;
	return false;
}

static int
check_level(const struct effective *e, const struct config *config, struct error *error)
{
	enum trust_level most = config->ceilings.trust_level;

	if (!most)
		most = TRUST_TRUSTED;
	if (e->trust <= most)
		return 0;
	error_why(error, ERR_PERMISSION, "spec.trust_level %s is above ceilings.trust_level %s",
		  trust_level_name(e->trust), trust_level_name(most));
	return error_hint(error, "lower it, or let root raise ceilings.trust_level in agentd.yaml");
}

static int
check_modes(const struct manifest *plan, const struct effective *e, struct error *error)
{
	const struct level *level = &levels[e->trust];

	if (!(level->homes & BIT(e->home)))
		return error_why(error, ERR_PERMISSION,
				 "spec.home.mode %s is not allowed at trust_level %s",
				 home_mode_name(e->home), trust_level_name(e->trust));
	if (!(level->networks & BIT(e->network)))
		return error_why(error, ERR_PERMISSION,
				 "spec.network.policy %s is not allowed at trust_level %s",
				 network_policy_name(e->network), trust_level_name(e->trust));
	for (size_t i = 0; i < plan->mcp_servers.count; i++) {
		const struct manifest_server *server = &plan->mcp_servers.items[i];

		if (server->network.policy && !(level->networks & BIT(server->network.policy)))
			return error_why(error, ERR_PERMISSION,
					 "spec.mcp_servers: %s: network.policy %s is not allowed "
					 "at trust_level %s",
					 server->name, network_policy_name(server->network.policy),
					 trust_level_name(e->trust));
	}
	if (e->max > 1 && e->home != HOME_NONE)
		return error_why(error, ERR_INVALID,
				 "spec.concurrency.max over 1 needs spec.home.mode none: one "
				 "session at a time writes a home");
	return 0;
}

static int
check_context(const struct manifest *plan, const struct effective *e, const struct config *config,
	      struct error *error)
{
	enum context_rule rule = levels[e->trust].context;
	const char *source;
	size_t i;

	for (i = 0; i < plan->context.count; i++) {
		source = plan->context.items[i].source;
		if (rule == CONTEXT_NONE)
			return error_why(error, ERR_PERMISSION,
					 "spec.context is not allowed at trust_level %s",
					 trust_level_name(e->trust));
		if (rule == CONTEXT_ANY || beneath_any(source, &config->ceilings.allowed_context))
			continue;
		error_why(error, ERR_PERMISSION,
			  "spec.context source %s is outside ceilings.allowed_context", source);
		return error_hint(error, "root can add its directory to ceilings.allowed_context "
					 "in agentd.yaml");
	}
	return 0;
}

int
policy_watch(const struct manifest *plan, const char *path, const struct config *config,
	     struct error *error)
{
	enum trust_level trust = plan->trust_level ? plan->trust_level : TRUST_SANDBOXED;
	enum context_rule rule = levels[trust].context;

	if (rule == CONTEXT_ANY ||
	    (rule == CONTEXT_ALLOWED && beneath_any(path, &config->ceilings.allowed_context)))
		return 0;
	if (rule == CONTEXT_NONE)
		return error_why(error, ERR_PERMISSION,
				 "a path in spec.triggers is not allowed at trust_level %s",
				 trust_level_name(trust));
	error_why(error, ERR_PERMISSION,
		  "spec.triggers path %.900s is outside "
		  "ceilings.allowed_context",
		  path);
	return error_hint(error, "root can add its directory to ceilings.allowed_context in "
				 "agentd.yaml");
}

static int
check_watches(const struct manifest *plan, const struct config *config, struct error *error)
{
	for (size_t i = 0; i < plan->triggers.count; i++)
		if (plan->triggers.items[i].path &&
		    policy_watch(plan, plan->triggers.items[i].path, config, error) < 0)
			return -1;
	return 0;
}

/* The agent's own, and those that are installed with the runtime, are nobody's secret. */
static int
check_skill(const char *path, const char *install_dir, enum context_rule rule,
	    const struct config *config, struct error *error)
{
	if (path_within(path, install_dir) || path_within(path, SCARAB_DATADIR "/skills"))
		return 0;
	if (rule == CONTEXT_ANY ||
	    (rule == CONTEXT_ALLOWED && beneath_any(path, &config->ceilings.allowed_context)))
		return 0;
	error_why(error, ERR_PERMISSION,
		  rule == CONTEXT_NONE ? "spec.skills: %s is outside install_dir, which this "
					 "trust_level does not allow"
				       : "spec.skills: %s is outside install_dir and "
					 "ceilings.allowed_context",
		  path);
	return error_hint(error, "skills below install_dir and " SCARAB_DATADIR
				 "/skills are always allowed");
}

static int
check_skills(const struct manifest *plan, const char *install_dir, const struct effective *e,
	     const struct config *config, struct error *error)
{
	char path[PATH_LEN_MAX + 1];
	size_t i;

	if (plan->skill_index.count != plan->skills.count)
		return error_why(error, ERR_INVALID, "the plan does not describe its skills");
	for (i = 0; i < plan->skills.count; i++) {
		if (strcmp(plan->skill_index.items[i].name, skill_name(plan->skills.items[i])) != 0)
			return error_why(error, ERR_INVALID, "the plan calls the skill %s %s",
					 plan->skills.items[i], plan->skill_index.items[i].name);
		if (skill_path(plan->skills.items[i], install_dir, path) < 0)
			return error_errno(error, ENAMETOOLONG, "spec.skills");
		if (check_skill(path, install_dir, levels[e->trust].context, config, error) < 0)
			return -1;
	}
	return 0;
}

struct checked {
	const struct manifest *plan;
	struct error *error;
};

static int
check_secret(const struct secret_use *use, void *arg)
{
	const struct checked *checked = arg;
	uint64_t max_uses;

	return policy_secret(checked->plan, use->credential, 0, &max_uses, checked->error);
}

static int
check_credentials(const struct manifest *plan, const struct effective *e, struct error *error)
{
	struct checked checked = {plan, error};
	bool templates = secret_uses_count(plan, NULL, PLACE_ENVIRONMENT) > 0;

	if ((plan->credentials.count || templates) && !levels[e->trust].credentials)
		return error_why(error, ERR_PERMISSION, "%s is not allowed at trust_level %s",
				 plan->credentials.count
				     ? "spec.credentials"
				     : "{{secret:...}} in an env_template of spec.mcp_servers",
				 trust_level_name(e->trust));
	return secret_uses(plan, NULL, check_secret, &checked);
}

/* Also what agentd.yaml itself gives where the manifest is silent. */
static int
check_memory(const struct effective *e, const struct config *config, struct error *error)
{
	if (e->memory_bytes <= config->ceilings.memory_limit)
		return 0;
	error_why(error, ERR_PERMISSION,
		  "spec.resources.memory_limit %llu is above ceilings.memory_limit %llu",
		  (unsigned long long)e->memory_bytes,
		  (unsigned long long)config->ceilings.memory_limit);
	return error_hint(error,
			  "lower it, or let root raise ceilings.memory_limit in agentd.yaml");
}

/* docker://, docker://HOST and docker://HOST/PATH let what begins so. */
static bool
registry_allowed(const char *reference, const struct strings *allowed)
{
	static const char scheme[] = "docker://";

	for (size_t i = 0; i < allowed->count; i++) {
		const char *place = allowed->items[i];
		size_t length = strlen(place);

		if (strncmp(place, scheme, strlen(scheme)) != 0 ||
		    strncmp(reference, place, length) != 0)
			continue;
		if (place[length - 1] == '/' || reference[length] == '/' || !reference[length])
			return true;
	}
	return false;
}

int
policy_image(const char *reference, const struct config *config, struct error *error)
{
	static const char scheme[] = "oci:";
	const struct strings *allowed = &config->ceilings.allowed_images;
	bool path = !strncmp(reference, scheme, strlen(scheme));

	if (path ? beneath_any(reference + strlen(scheme), allowed)
		 : registry_allowed(reference, allowed))
		return 0;
	error_why(error, ERR_PERMISSION, "%s is outside ceilings.allowed_images", reference);
	return error_hint(error, "root can add %s to ceilings.allowed_images in agentd.yaml",
			  path ? "its directory" : "docker://, or a beginning of the name,");
}

/* One that lies in install_dir came with the agent, as its program does. */
static bool
lies_in(const char *install_dir, const char *reference)
{
	static const char scheme[] = "oci:";

	return !strncmp(reference, scheme, strlen(scheme)) &&
	       path_within(reference + strlen(scheme), install_dir);
}

static int
check_image(const struct manifest *plan, const char *install_dir, const struct config *config,
	    struct error *error)
{
	const char *image = manifest_image_dir(plan);
	char reference[PATH_LEN_MAX + 1], tag[IMAGE_TAG_MAX + 1];

	if (!image && image_reference(plan->image, reference, tag))
		return lies_in(install_dir, reference) ? 0 : policy_image(reference, config, error);
	if (!image || beneath_any(image, &config->ceilings.allowed_images))
		return 0;
	error_why(error, ERR_PERMISSION, "spec.image dir:%s is outside ceilings.allowed_images",
		  image);
	return error_hint(error, "root can add its directory to ceilings.allowed_images in "
				 "agentd.yaml");
}

static int
check_install_dir(const char *install_dir, const struct config *config, struct error *error)
{
	if (config->ceilings.any_install ||
	    beneath_any(install_dir, &config->ceilings.allowed_install))
		return 0;
	error_why(error, ERR_PERMISSION, "install_dir %s is outside ceilings.allowed_install",
		  install_dir);
	return error_hint(error, "install from a directory that ceilings.allowed_install names");
}

int
policy_check(const struct manifest *plan, const char *install_dir, const struct config *config,
	     struct error *error)
{
	struct effective e;

	if (plan_enforceable(plan, error) < 0)
		return -1;
	if ((unsigned)plan->trust_level >= ARRAY_LEN(levels))
		return error_why(error, ERR_INVALID, "spec.trust_level is out of range");
	policy_effective(plan, config, &e);
	if (check_level(&e, config, error) < 0 || check_modes(plan, &e, error) < 0)
		return -1;
	if (check_memory(&e, config, error) < 0 || check_context(plan, &e, config, error) < 0 ||
	    check_watches(plan, config, error) < 0 ||
	    check_image(plan, install_dir, config, error) < 0 ||
	    check_credentials(plan, &e, error) < 0 || policy_network(plan, &e, error) < 0 ||
	    check_skills(plan, install_dir, &e, config, error) < 0)
		return -1;
	return check_install_dir(install_dir, config, error);
}
