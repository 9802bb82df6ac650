#include "explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/runtime.h"
#include "container.h"
#include "id_map.h"
#include "inject.h"
#include "net.h"
#include "program.h"
#include "sandbox/landlock_places.h"
#include "sandbox/namespaces.h"
#include "session.h"
#include "steps/steps.h"

/* --- sections: each tells what is told elsewhere by nobody
 * ----------------------------------------
 */

static void
tell_limit(struct facts *facts, const char *key, const struct limit *limit)
{
	if (limit->bytes)
		fact_bytes(facts, key, limit->value);
	else
		fact_number(facts, key, limit->value);
}

/* What the network lets through, as its manifest writes it. */
static void
tell_network(const struct session *s, struct facts *facts)
{
	const struct strings *allowlist = &s->agent->plan->network.allowlist;

	fact_text(facts, "network", network_policy_name(s->effective.network));
	if (!net_wanted(s))
		fact_item(facts, "network_allowlist", NULL);
	for (size_t i = 0; net_wanted(s) && i < allowlist->count; i++)
		fact_item(facts, "network_allowlist", allowlist->items[i]);
}

/* A container's, where its image is known: in install_dir of a manifest that nobody installed it is
 * not. */
static void
tell_container(const struct session *s, struct facts *facts)
{
	struct arguments arguments = {0};

	if (s->image)
		container_arguments(s->agent->plan, s->image, &arguments);
	fact_text(facts, "command", arguments.count ? arguments.items[0] : NULL);
	if (arguments.count < 2)
		fact_item(facts, "arguments", NULL);
	for (size_t i = 1; i < arguments.count; i++)
		fact_item(facts, "arguments", arguments.items[i]);
	fact_text(facts, "directory", s->image ? container_directory(s->image) : NULL);
	fact_text(facts, "interpreter", NULL);
	fact_text(facts, "interpreter_version", NULL);
	free(arguments.items);
}

static void
tell_native(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;
	struct program program;

	program_told(plan, s->agent->head.install_dir, &program);
	fact_text(facts, "command", program.path);
	if (!program.arguments[0] && !plan->args.count)
		fact_item(facts, "arguments", NULL);
	for (size_t i = 0; program.arguments[i]; i++)
		fact_item(facts, "arguments", program.arguments[i]);
	for (size_t i = 0; i < plan->args.count; i++)
		fact_item(facts, "arguments", plan->args.items[i]);
	fact_text(facts, "directory", AGENT_HOME);
	fact_text(facts, "interpreter", program.entrypoint[0] ? program.path : NULL);
	fact_text(facts, "interpreter_version", plan->interpreter_version);
	fact_text(facts, "engine", program.engine ? program.engine->name : NULL);
}

/* What is executed, where, and with which interpreter. */
static void
tell_program(const struct session *s, struct facts *facts)
{
	enum runtime runtime = runtime_of(s->agent->plan);

	fact_text(facts, "runtime", runtime_name(runtime));
	if (runtime == RUNTIME_CONTAINER)
		tell_container(s, facts);
	else
		tell_native(s, facts);
}

static void
tell_image(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;
	const struct image *image = s->image;

	fact_text(facts, "image", plan->image ? plan->image : "host");
	fact_text(facts, "image_digest", plan->image_digest);
	fact_number(facts, "image_layers", image ? image->head.layers : ABSENT);
	fact_text(facts, "image_user", image ? image->head.user : NULL);
}

static void
tell_layers(const struct session *s, struct facts *facts)
{
	const struct image *image = s->image;
	char digest[2 * DIGEST_BYTES + 1];

	if (!image)
		facts_no_entries(facts, "layers");
	for (size_t i = 0; image && i < image->head.layers; i++) {
		const struct msg_image_layer *layer = &image->layers[i];

		for (size_t at = 0; at < DIGEST_BYTES; at++)
			snprintf(digest + 2 * at, 3, "%02x", layer->diff[at]);
		facts_entry(facts, "layers");
		fact_text(facts, "sha256", digest);
		fact_bytes(facts, "bytes", layer->bytes);
		fact_number(facts, "entries", layer->entries);
	}
}

static void
tell_url(const struct manifest_credential *credential, const char *url, void *arg)
{
	struct facts *facts = arg;

	facts_entry(facts, "inject");
	fact_text(facts, "base_url", url);
	fact_text(facts, "secret", credential->name);
	fact_text(facts, "host", credential->inject.host);
	fact_text(facts, "header", credential->inject.header);
	fact_text(facts, "variable", credential->inject.base_url_env);
}

/* Where the agent speaks to hosts whose requests get a secret. */
static void
tell_inject(const struct session *s, struct facts *facts)
{
	if (!inject_wanted(s->agent->plan))
		facts_no_entries(facts, "inject");
	inject_urls(s->agent->plan, tell_url, facts);
}

static void
tell_whole(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];
	struct limit limit;
	bool refused;
	size_t i;

	facts_section(facts, "");
	fact_text(facts, "agent", s->agent_name);
	refused = policy_check(plan, s->agent->head.install_dir, s->r->config, &error) < 0;
	fact_text(facts, "configuration", s->r->store ? "agentd.yaml" : "defaults");
	fact_text(facts, "refused", refused ? error_text(&error, text) : NULL);
	fact_text(facts, "trust_level", trust_level_name(s->effective.trust));
	tell_image(s, facts);
	fact_text(facts, "install_dir", s->agent->head.install_dir);
	tell_program(s, facts);
	fact_text(facts, "home", home_mode_name(s->effective.home));
	tell_network(s, facts);
	fact_text(facts, "seccomp", profile_name(profile_of(s->effective.trust)));
	fact_number(facts, "first_uid", s->base_uid ? s->base_uid : ABSENT);
	fact_number(facts, "uids", ID_RANGE);
	for (i = 0; policy_limit(i, plan, s->r->config, &limit); i++)
		tell_limit(facts, limit.name, &limit);
}

static void
tell_namespaces(const struct session *s, struct facts *facts)
{
	static const struct {
		const char *name;
		int flag;
	} names[] = {
	    {"mnt", CLONE_NEWNS},    {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET},
	    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP},
	    {"user", CLONE_NEWUSER},
	};

	facts_section(facts, "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (NAMESPACES_ALL & names[i].flag &&
		    (names[i].flag != CLONE_NEWNET || s->effective.network != NETWORK_HOST))
			fact_item(facts, "namespaces", names[i].name);
}

static void
tell_range(struct facts *facts, const char *section, uint64_t inside, uint64_t outside,
	   uint64_t count)
{
	facts_entry(facts, section);
	fact_number(facts, "inside", inside);
	fact_number(facts, "outside", outside);
	fact_number(facts, "count", count);
}

static void
tell_map(const struct session *s, struct facts *facts, const char *section, uint32_t agent)
{
	char text[ID_MAP_TEXT] = "";
	const char *line = text;
	unsigned inside, outside, count;
	int length = 0;

	if (!s->base_uid) {
		tell_range(facts, section, 0, ABSENT, ID_RANGE);
		return;
	}
	id_map_text(s->base_uid, ID_RANGE, agent, text);
	while (sscanf(line, "%u %u %u\n%n", &inside, &outside, &count, &length) == 3) {
		tell_range(facts, section, inside, outside, count);
		line += length;
	}
}

static void
tell_maps(const struct session *s, struct facts *facts)
{
	tell_map(s, facts, "uid_map", session_agent_uid(s));
	tell_map(s, facts, "gid_map", session_agent_gid(s));
}

static void
tell_privileges(const struct session *s, struct facts *facts)
{
	facts_section(facts, "privileges");
	fact_number(facts, "uid", session_agent_uid(s));
	fact_number(facts, "gid", session_agent_gid(s));
	fact_item(facts, "capabilities", NULL);
	fact_bool(facts, "no_new_privs", true);
}

static void
tell_limits(const struct session *s, struct facts *facts)
{
	static const char *const origins[] = {
	    [FROM_MANIFEST] = "manifest",
	    [FROM_CONFIG] = "agentd.yaml",
	    [FROM_BUILD] = "built in",
	};
	struct limit limit;

	for (size_t i = 0; policy_limit(i, s->agent->plan, s->r->config, &limit); i++) {
		facts_entry(facts, "limits");
		fact_text(facts, "name", limit.name);
		tell_limit(facts, "value", &limit);
		fact_text(facts, "from", origins[limit.origin]);
		fact_text(facts, "key", limit.key);
	}
}

/* A call with conditions is refused for some arguments only: allowed where another rule has no
 * condition that says so. */
static void
tell_calls(struct facts *facts, const char *key, unsigned profile, bool sometimes)
{
	const char *last = "";
	bool none = true;

	for (size_t i = 0; i < seccomp_rule_count; i++) {
		const struct seccomp_rule *rule = &seccomp_rules[i];

		if (!(rule->profiles & profile) || !rule->error || (rule->count > 0) != sometimes ||
		    strcmp(rule->name, last) == 0)
			continue;
		fact_item(facts, key, rule->name);
		last = rule->name;
		none = false;
	}
	if (none)
		fact_item(facts, key, NULL);
}

static void
tell_syscalls(const struct session *s, struct facts *facts)
{
	enum seccomp_profile profile = profile_of(s->effective.trust);

	facts_section(facts, "syscalls");
	fact_text(facts, "profile", profile_name(profile));
	tell_calls(facts, "refused", 1U << profile, false);
	tell_calls(facts, "refused_for_some_arguments", 1U << profile, true);
	fact_text(facts, "not_named", "ENOSYS");
	fact_text(facts, "foreign_architecture", "killed");
}

static void
tell_landlock(const struct session *s, struct facts *facts)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
	bool restricted = version >= LANDLOCK_VERSION_LEAST;

	(void)s;
	facts_section(facts, "landlock");
	fact_bool(facts, "restricted", restricted);
	fact_number(facts, "version", version > 0 ? (uint64_t)version : ABSENT);
	if (!restricted)
		fact_item(facts, "writable", NULL);
	for (size_t i = 0; restricted && i < ARRAY_LEN(landlock_places); i++)
		if (landlock_places[i].rights & WRITE_FILE)
			fact_item(facts, "writable", landlock_places[i].path);
}

static void
tell_credentials(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;
	const struct manifest_credential *one;

	if (!plan->credentials.count)
		facts_no_entries(facts, "credentials");
	for (size_t i = 0; i < plan->credentials.count; i++) {
		one = &plan->credentials.items[i];
		facts_entry(facts, "credentials");
		fact_text(facts, "name", one->name);
		fact_text(facts, "for", one->for_server ? one->for_server : "agent");
		fact_text(facts, "env", one->env);
	}
}

static void
tell_plugins_network(const struct manifest_server *plan, struct facts *facts)
{
	enum network_policy policy = plan->network.policy ? plan->network.policy : NETWORK_NONE;

	fact_text(facts, "network", network_policy_name(policy));
	if (!plan->network.allowlist.count)
		fact_item(facts, "network_allowlist", NULL);
	for (size_t i = 0; i < plan->network.allowlist.count; i++)
		fact_item(facts, "network_allowlist", plan->network.allowlist.items[i]);
}

static void
tell_tools(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;

	if (!plan->mcp_servers.count)
		facts_no_entries(facts, "tools");
	for (size_t i = 0; i < plan->mcp_servers.count; i++) {
		facts_entry(facts, "tools");
		fact_text(facts, "server", plan->mcp_servers.items[i].name);
		fact_bool(facts, "required", plan->mcp_servers.items[i].required);
		tell_plugins_network(&plan->mcp_servers.items[i], facts);
	}
}

static void
tell_skills(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;
	char source[PATH_LEN_MAX + 1];

	if (!plan->skill_index.count)
		facts_no_entries(facts, "skills");
	for (size_t i = 0; i < plan->skill_index.count && i < plan->skills.count; i++) {
		const struct manifest_skill *skill = &plan->skill_index.items[i];

		facts_entry(facts, "skills");
		fact_text(facts, "name", skill->name);
		fact_bool(facts, "there", skill->description != NULL);
		skill_path(plan->skills.items[i], s->agent->head.install_dir, source);
		fact_text(facts, "source", source);
		fact_text(facts, "description", skill->description);
	}
}

static void
tell_context(const struct session *s, struct facts *facts)
{
	const struct manifest *plan = s->agent->plan;

	if (!plan->context.count)
		facts_no_entries(facts, "context");
	for (size_t i = 0; i < plan->context.count; i++) {
		facts_entry(facts, "context");
		fact_text(facts, "source", plan->context.items[i].source);
		fact_text(facts, "target", plan->context.items[i].target);
	}
}

static void
tell_paths(struct facts *facts, const char *key, const struct strings *paths)
{
	if (!paths->count)
		fact_item(facts, key, NULL);
	for (size_t i = 0; i < paths->count; i++)
		fact_item(facts, key, paths->items[i]);
}

static void
tell_ceilings(const struct session *s, struct facts *facts)
{
	const struct config *config = s->r->config;
	enum trust_level most = config->ceilings.trust_level;

	facts_section(facts, "ceilings");
	fact_text(facts, "trust_level", trust_level_name(most ? most : TRUST_TRUSTED));
	tell_paths(facts, "allowed_context", &config->ceilings.allowed_context);
	if (config->ceilings.any_install)
		fact_text(facts, "allowed_install", NULL);
	else
		tell_paths(facts, "allowed_install", &config->ceilings.allowed_install);
	tell_paths(facts, "allowed_images", &config->ceilings.allowed_images);
	fact_bytes(facts, "memory_limit", config->ceilings.memory_limit);
}

/* The recipe, written by the steps as for a session. What fails would fail one. */
static void
tell_mounts(const struct session *imagined, struct facts *facts)
{
	struct session s = *imagined;
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1] = "";
	size_t i;

	s.recipe = (struct recipe){.base_uid = s.base_uid,
				   .uid = session_agent_uid(&s),
				   .gid = session_agent_gid(&s),
				   .facts = facts};
	/* An image becomes the root in place of the first one. */
	if (!manifest_image_is_tree(s.agent->plan))
		recipe_begin(&s.recipe, "agent", 0, s.agent_name, &(struct cgroup_entry){0});
	for (i = 0; !text[0] && i < session_step_count; i++) {
		const struct step *step = &session_steps[i];
		int (*tell)(struct session *, struct error *) =
		    step->explain ? step->explain : step->build;

		if ((!step->need || step->need(&s)) && tell(&s, &error) < 0)
			error_text(&error, text);
	}
	facts_section(facts, "");
	fact_text(facts, "mounts_incomplete", text[0] ? text : NULL);
}

/* In this order they are printed. */
static void (*const sections[])(const struct session *s, struct facts *facts) = {
    tell_whole,    tell_namespaces,  tell_maps,   tell_privileges, tell_limits,
    tell_syscalls, tell_landlock,    tell_mounts, tell_layers,     tell_context,
    tell_skills,   tell_credentials, tell_inject, tell_tools,      tell_ceilings,
};

/* --- asking --------------------------------------------------------------------------------------
 */

/* As far as steps look at it while they explain. */
static void
imagine(struct session *s, struct runnerd *r, struct agent *agent, struct msg_prepare *request)
{
	struct error ignored = ERROR_INIT; /* an image that is gone is not known */

	*s = (struct session){.r = r, .agent = agent, .request = request};
	snprintf(s->agent_name, sizeof(s->agent_name), "%s", agent->plan->name);
	s->base_uid = agent->head.base_uid;
	policy_effective(agent->plan, r->config, &s->effective);
	s->timeout_ms = s->effective.timeout_ms;
	session_take_image(s, &ignored);
}

int
explain(struct runnerd *r, struct agent *agent, uint32_t *count, struct error *error)
{
	_cleanup_free_ struct session *s = calloc(1, sizeof(*s));
	_cleanup_free_ struct msg_prepare *request = calloc(1, sizeof(*request));
	struct facts facts = {.rows = rows_new("facts"), .section = ""};
	int fd;

	if (!facts.rows || !s || !request) {
		rows_free(facts.rows);
		return error_errno(error, ENOMEM, "explaining");
	}
	imagine(s, r, agent, request);
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		sections[i](s, &facts);
	image_free(s->image);
	*count = rows_count(facts.rows);
	if (facts.failure) {
		rows_free(facts.rows);
		return error_errno(error, -facts.failure, "explaining");
	}
	fd = rows_seal(facts.rows);
	return fd < 0 ? error_errno(error, -fd, "explaining") : fd;
}

static struct agent *
agent_of_plan(int fd, const char *install_dir, struct error *error)
{
	struct msg_store_head head = {0};
	const uint8_t *plan = NULL;
	struct agent *agent = NULL;
	size_t length = 0;
	int rc = memfd_map(fd, PLAN_BYTES_MAX, &plan, &length);

	if (rc < 0) {
		error_errno(error, -rc, "the plan cannot be read");
		return NULL;
	}
	snprintf(head.install_dir, sizeof(head.install_dir), "%s", install_dir);
	agent = agent_new(&head, plan, length, (const uint8_t *)"", 0, error);
	if (plan)
		munmap((void *)(uintptr_t)plan, length);
	if (!agent || agent_name_valid(agent->plan->name))
		return agent;
	agent_unref(agent);
	error_why(error, ERR_INVALID, "metadata.name is no agent name");
	return NULL;
}

static struct agent *
agent_asked(const struct runnerd *r, const struct msg *msg, struct error *error)
{
	const char *name = msg->explain_query.agent;
	struct agent *agent;
	bool damaged = false;

	if (msg->nfds)
		return agent_of_plan(msg->fds[0], msg->explain_query.install_dir, error);
	agent = store_find(r->store, name, &damaged);
	if (agent)
		return agent_ref(agent);
	error_why(error, damaged ? ERR_FAILED : ERR_NOT_FOUND,
		  damaged ? "the plan of %s in the store is damaged" : "no such agent: %s", name);
	return NULL;
}

void
explain_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct agent *agent = agent_asked(r, msg, &error);
	struct msg answer;
	int facts = -1;

	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	if (agent)
		facts = explain(r, agent, &answer.rows.count, &error);
	agent_unref(agent);
	if (facts < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_add_fd(&answer, facts);
	channel_send(channel, &answer);
}

/* --- without a runnerd
 * ------------------------------------------------------------------------------
 */

enum { OFFLINE_PLAN, OFFLINE_FACTS, OFFLINE_CONFIG = 3 };

static int
copy_facts(int facts, struct error *error)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;
	int rc = memfd_map(facts, ROWS_BYTES_MAX, &bytes, &length);

	if (!rc)
		rc = write_all(OFFLINE_FACTS, bytes, length);
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return rc < 0 ? error_errno(error, -rc, "writing the facts") : 0;
}

static int
explain_plan(struct runnerd *r, const char *install_dir, struct error *error)
{
	_cleanup_close_ int facts = -1;
	struct agent *agent;
	uint32_t count;

	r->config = config_from_memfd(OFFLINE_CONFIG, error);
	if (!r->config)
		return -1;
	agent = agent_of_plan(OFFLINE_PLAN, install_dir, error);
	if (agent)
		facts = explain(r, agent, &count, error);
	agent_unref(agent);
	return facts < 0 ? -1 : copy_facts(facts, error);
}

int
explain_offline(const char *install_dir)
{
	struct error error = ERROR_INIT;
	struct runnerd r = {0};
	int rc = explain_plan(&r, install_dir, &error);

	if (rc < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	config_free(r.config);
	return rc < 0;
}
