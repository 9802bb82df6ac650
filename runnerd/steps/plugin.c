/*
 * The sandbox of one plugin: the session's image and install_dir, places of its own, and of the
 * session only what the manifest's mounts name. mcp-plugin(7) is what its author reads.
 */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/credentials.h"
#include "runnerd/net.h"
#include "runnerd/program.h"
#include "runnerd/seccomp.h"
#include "runnerd/tools.h"
#include "steps.h"

enum { PLACE_BYTES = 64 << 20, PLACE_INODES = 16384 };

bool
plugin_sees(const struct manifest_server *plan, const char *mount)
{
	size_t i;

	for (i = 0; i < plan->mounts.count; i++)
		if (!strcmp(plan->mounts.items[i], mount))
			return true;
	return false;
}

/* --- what it runs --------------------------------------------------------------------------------
 */

static void
add_text(struct rows *rows, int *failure, const char *key, const char *value)
{
	struct msg record;
	int length;

	msg_init(&record, MSG_EXEC_STRING);
	length = snprintf(record.exec_string.text, sizeof(record.exec_string.text), "%s%s%s", key,
			  key[0] ? "=" : "", value);
	if ((size_t)length >= sizeof(record.exec_string.text))
		*failure = -E2BIG;
	if (!*failure)
		*failure = rows_add(rows, &record);
}

static bool
is_own(const struct pairs *env, const char *key)
{
	size_t i;

	for (i = 0; i < env->count; i++)
		if (!strcmp(env->items[i].key, key))
			return true;
	return false;
}

static size_t
plain_count(const struct pairs *env)
{
	size_t i, count = 0;

	for (i = 0; i < env->count; i++)
		count += !exec_secret(env->items[i].value);
	return count;
}

/* Where programs look for their settings no agent writes: a shell's profile, a file .pth of
 * Python's or a .gitconfig that it left there would run with the plugin's credentials. */
static const char *
home_of(const struct manifest_server *plan)
{
	return plugin_sees(plan, "home") ? PLUGIN_HOME : AGENT_HOME;
}

/* Counts when rows is NULL. */
static uint32_t
environment(const struct session *s, const struct manifest_server *plan, struct rows *rows,
	    int *failure)
{
	const char *const given[][2] = {
	    {"AGENT_NAME", s->agent_name},
	    {"SCARAB_AGENT_ID", s->name},
	    {"SCARAB_SESSION_ID", s->name},
	    {"SCARAB_PLUGIN", plan->name},
	    {"HOME", home_of(plan)},
	    {"USER", plugin_sees(plan, "home") ? "agent" : "plugin"},
	    {"LOGNAME", plugin_sees(plan, "home") ? "agent" : "plugin"},
	    {"PATH", DEFAULT_PATH},
	    {"LANG", "C.UTF-8"},
	    {"TMPDIR", "/tmp"},
	    {"XDG_RUNTIME_DIR", "/run/agent"},
	    {"CREDENTIALS_DIRECTORY", "/run/credentials"},
	};
	uint32_t count = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(given); i++) {
		if (is_own(&plan->env_template, given[i][0]))
			continue;
		if (rows)
			add_text(rows, failure, given[i][0], given[i][1]);
		count++;
	}
	for (i = 0; rows && i < plan->env_template.count; i++)
		if (!exec_secret(plan->env_template.items[i].value))
			add_text(rows, failure, plan->env_template.items[i].key,
				 plan->env_template.items[i].value);
	return count + (uint32_t)plain_count(&plan->env_template);
}

/* A name without a slash is looked up inside, in its PATH; a relative path is install_dir's. */
static int
command_path(const struct session *s, const char *command, char *path)
{
	int length =
	    command[0] == '/' || !strchr(command, '/')
		? snprintf(path, PATH_LEN_MAX + 1, "%s", command)
		: snprintf(path, PATH_LEN_MAX + 1, "%s/%s", s->agent->head.install_dir, command);

	return length > PATH_LEN_MAX ? -ENAMETOOLONG : 0;
}

static int
write_spec(const struct session *s, const struct manifest_server *plan, uint32_t uid,
	   struct rows *rows)
{
	struct msg record;
	int failure;
	size_t i;

	msg_init(&record, MSG_EXEC_SPEC);
	failure = command_path(s, plan->command, record.exec_spec.path);
	snprintf(record.exec_spec.cwd, sizeof(record.exec_spec.cwd), "%s",
		 s->agent->head.install_dir);
	record.exec_spec.uid = record.exec_spec.gid = uid;
	record.exec_spec.open_files = s->effective.open_files;
	record.exec_spec.arguments = 1 + (uint32_t)plan->args.count;
	record.exec_spec.variables = environment(s, plan, NULL, NULL);
	record.exec_spec.stays = true;
	if (!failure)
		failure = rows_add(rows, &record);
	add_text(rows, &failure, "", plan->command);
	for (i = 0; i < plan->args.count; i++)
		add_text(rows, &failure, "", plan->args.items[i]);
	environment(s, plan, rows, &failure);
	return failure ? failure : exec_secrets(s, plan->name, &plan->env_template, rows);
}

/* The memfd of SANDBOX_SEAL. fd or -errno. */
static int
exec_spec(const struct session *s, const struct manifest_server *plan, uint32_t uid)
{
	struct rows *rows = rows_new("exec");
	int rc = rows ? write_spec(s, plan, uid, rows) : -ENOMEM;

	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

int
plugin_seal(struct session *s, struct recipe *recipe, const struct manifest_server *plan,
	    uint32_t uid, struct error *error)
{
	int spec = exec_spec(s, plan, uid);

	if (spec < 0)
		return error_errno(error, -spec, "writing arguments and environment");
	/* init stays: its own filter is the widest that a program has. */
	recipe_seal(recipe, spec, s->r->agent_programs[profile_of(s->effective.trust)],
		    s->r->agent_programs[PROFILE_DEFAULT]);
	return recipe->failure < 0
		   ? error_errno(error, -recipe->failure, "writing the recipe of a plugin")
		   : 0;
}

/* --- what it sees --------------------------------------------------------------------------------
 */

static void
own_places(struct session *s, const char *home, uint32_t uid)
{
	const struct recipe_tmpfs places[] = {
	    {.path = "/run/agent",
	     .mode = 0700,
	     .owner = uid,
	     .bytes = PLACE_BYTES,
	     .inodes = PLACE_INODES,
	     .noexec = true},
	    {.path = home,
	     .mode = 0700,
	     .owner = uid,
	     .bytes = PLACE_BYTES,
	     .inodes = PLACE_INODES},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(places); i++)
		recipe_tmpfs(&s->recipe, &places[i]);
}

static int
build(struct session *s, const struct manifest_server *plan, uint32_t uid, struct error *error)
{
	const char *resolver = net_plugin_wanted(plan)
				   ? net_resolv_conf
				   : "# network policy none: there is no resolver\n";
	int rc = image_build(s, error);

	if (rc < 0)
		return rc;
	identity_etc(s, uid, home_of(plan));
	own_places(s, home_of(plan), uid);
	if (credentials_place(s, &s->recipe, plan->name, uid, error) < 0)
		return -1;
	recipe_file(&s->recipe, "/etc/resolv.conf", 0444, resolver, strlen(resolver));
	if (plugin_sees(plan, "context") && context_build(s, error) < 0)
		return -1;
	return plugin_sees(plan, "skills") && skills_mounts(s, error) < 0 ? -1 : 0;
}

/* The steps write into the session's recipe, and what an image is written over is in its layers;
 * for a while both are the plugin's. */
int
plugin_recipe(struct session *s, struct recipe *recipe, const struct manifest_server *plan,
	      uint32_t uid, struct error *error)
{
	struct recipe agents = s->recipe;
	int layers = s->layers, rc;

	s->recipe = *recipe;
	s->layers = -1;
	rc = build(s, plan, uid, error);
	*recipe = s->recipe;
	s->recipe = agents;
	close_fd(&s->layers);
	s->layers = layers;
	if (rc < 0)
		return error_what(error, "the sandbox of the plugin %s", plan->name);
	return recipe->failure < 0
		   ? error_errno(error, -recipe->failure, "writing the recipe of a plugin")
		   : 0;
}
