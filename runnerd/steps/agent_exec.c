/* What init runs: the command, its arguments and an environment in which nothing is inherited. */
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/container.h"
#include "runnerd/inject.h"
#include "runnerd/net.h"
#include "runnerd/program.h"
#include "steps.h"

enum { ENV_KEY_BYTES = 4096 /* an image's may be longer than a manifest's */ };

/* Rows of one memfd; the first failure sticks. */
struct spec {
	struct rows *rows;
	int failure;
};

static void
spec_add(struct spec *spec, const struct msg *record)
{
	if (!spec->failure)
		spec->failure = rows_add(spec->rows, record);
}

static void
add_text(struct spec *spec, const char *key, const char *value)
{
	struct msg record;
	int length;

	msg_init(&record, MSG_EXEC_STRING);
	length = snprintf(record.exec_string.text, sizeof(record.exec_string.text), "%s%s%s", key,
			  key[0] ? "=" : "", value);
	if ((size_t)length >= sizeof(record.exec_string.text))
		spec->failure = -E2BIG;
	spec_add(spec, &record);
}

/* --- the environment --------------------------------------------------------------------------
 */

/* In order; a name that comes again replaces what it was. */
struct environment {
	struct variable {
		const char *key; /* key_length bytes of it */
		size_t key_length;
		const char *value;
	} * items;
	size_t count, room;
	char **urls; /* of set_url, which are nobody else's */
	size_t url_count;
	bool failed; /* memory ran out */
};

static struct variable *
find_variable(const struct environment *env, const char *key, size_t length)
{
	for (size_t i = 0; i < env->count; i++)
		if (env->items[i].key_length == length &&
		    memcmp(env->items[i].key, key, length) == 0)
			return &env->items[i];
	return NULL;
}

static void
set_part(struct environment *env, const char *key, size_t length, const char *value)
{
	struct variable *variable = find_variable(env, key, length);
	void *grown;

	if (!variable && env->count == env->room) {
		grown = reallocarray(env->items, env->room + 64, sizeof(*env->items));
		if (!grown) {
			env->failed = true;
			return;
		}
		env->items = grown;
		env->room += 64;
	}
	if (!variable)
		variable = &env->items[env->count++];
	*variable = (struct variable){.key = key, .key_length = length, .value = value};
}

static void
set(struct environment *env, const char *key, const char *value)
{
	set_part(env, key, strlen(key), value);
}

static void
unset(struct environment *env, const char *key)
{
	struct variable *variable = find_variable(env, key, strlen(key));

	if (variable)
		*variable = env->items[--env->count];
}

/* Names of the runtime's are nobody else's. */
static void
set_of_image(struct environment *env, const struct image *image)
{
	for (size_t i = 0; i < image->env.count; i++) {
		const char *text = image->env.items[i], *equals = strchr(text, '=');

		if (equals && equals > text && strncmp(text, "SCARAB_", strlen("SCARAB_")))
			set_part(env, text, (size_t)(equals - text), equals + 1);
	}
}

static void
set_default(struct environment *env, const char *key, const char *value)
{
	if (!find_variable(env, key, strlen(key)))
		set(env, key, value);
}

static void
set_url(const struct manifest_credential *credential, const char *url, void *arg)
{
	struct environment *env = arg;
	char **grown;

	if (!credential->inject.base_url_env)
		return;
	grown = reallocarray(env->urls, env->url_count + 1, sizeof(*env->urls));
	if (grown) {
		env->urls = grown;
		env->urls[env->url_count] = strdup(url);
	}
	if (!grown || !env->urls[env->url_count]) {
		env->failed = true;
		return;
	}
	set(env, credential->inject.base_url_env, env->urls[env->url_count++]);
}

static void
environment_free(struct environment *env)
{
	while (env->url_count > 0)
		free(env->urls[--env->url_count]);
	free(env->urls);
	free(env->items);
}

/* For programs that know no network without them. All others find every name as if there were no
 * proxy, and go on doing so: they read NO_PROXY. Not socks5h: clients that lack its library fail
 * where they see it. */
static const struct pair proxies[] = {
    {(char *)"HTTP_PROXY", (char *)NET_PROXY_URL},
    {(char *)"http_proxy", (char *)NET_PROXY_URL},
    {(char *)"HTTPS_PROXY", (char *)NET_PROXY_URL},
    {(char *)"https_proxy", (char *)NET_PROXY_URL},
    {(char *)"ALL_PROXY", (char *)NET_PROXY_URL},
    {(char *)"all_proxy", (char *)NET_PROXY_URL},
    {(char *)"NO_PROXY", (char *)"*"},
    {(char *)"no_proxy", (char *)"*"},
};

static void
set_pairs(struct environment *env, const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		set(env, pairs[i].key, pairs[i].value);
}

static void
set_of_runtime(struct environment *env, const struct session *s)
{
	const struct pair given[] = {
	    {(char *)"AGENT_NAME", (char *)s->agent_name},
	    {(char *)"SCARAB_AGENT_ID", (char *)s->name},
	    {(char *)"SCARAB_SESSION_ID", (char *)s->name},
	    {(char *)"SCARAB_SOCKET", (char *)"/run/agentd/agentd.sock"},
	    {(char *)"SCARAB_TASK", s->request->task},
	    {(char *)"SCARAB_MODEL", s->request->model},
	    {(char *)"SCARAB_MISSION", (char *)"/run/agentd/mission.json"},
	    {(char *)"HOME", (char *)"/home/agent"},
	    {(char *)"USER", (char *)"agent"},
	    {(char *)"LOGNAME", (char *)"agent"},
	    {(char *)"TMPDIR", (char *)"/tmp"},
	    {(char *)"XDG_RUNTIME_DIR", (char *)"/run/agent"},
	    {(char *)"CREDENTIALS_DIRECTORY", (char *)"/run/credentials"},
	};

	set_pairs(env, given, ARRAY_LEN(given));
	set_default(env, "PATH", DEFAULT_PATH);
	set_default(env, "LANG", "C.UTF-8");
}

static bool
is_agents(const struct manifest_credential *credential)
{
	return !credential->for_server || strcmp(credential->for_server, "agent") == 0;
}

/* First what the image says, then the runtime, then the manifest: who comes later holds. A secret's
 * variable is put there inside. */
static void
fill_environment(struct environment *env, const struct session *s)
{
	const struct manifest *plan = s->agent->plan;

	if (session_is_container(s))
		set_of_image(env, s->image);
	inject_urls(plan, set_url, env);
	set_of_runtime(env, s);
	if (net_wanted(s))
		set_pairs(env, proxies, ARRAY_LEN(proxies));
	set_pairs(env, plan->env.items, plan->env.count);
	for (size_t i = 0; i < plan->credentials.count; i++)
		if (plan->credentials.items[i].env && is_agents(&plan->credentials.items[i]))
			unset(env, plan->credentials.items[i].env);
}

static void
add_environment(struct spec *spec, const struct environment *env)
{
	char key[ENV_KEY_BYTES];

	for (size_t i = 0; i < env->count; i++) {
		const struct variable *variable = &env->items[i];

		if (snprintf(key, sizeof(key), "%.*s", (int)variable->key_length, variable->key) >=
		    (int)sizeof(key))
			spec->failure = -E2BIG;
		else
			add_text(spec, key, variable->value);
	}
}

/* --- the command ------------------------------------------------------------------------------
 */

/* Of a program that was found: its own arguments, then the manifest's. */
static int
program_arguments(const struct session *s, struct program *program, struct arguments *arguments,
		  struct error *error)
{
	const struct manifest *plan = s->agent->plan;

	if (program_find(plan, s->agent->head.install_dir, program, error) < 0)
		return -1;
	arguments->items =
	    calloc(1 + PROGRAM_ARGUMENTS + plan->args.count, sizeof(*arguments->items));
	if (!arguments->items)
		return error_errno(error, ENOMEM, "writing the arguments");
	arguments->items[arguments->count++] = program->path;
	for (size_t i = 0; program->arguments[i]; i++)
		arguments->items[arguments->count++] = program->arguments[i];
	for (size_t i = 0; i < plan->args.count; i++)
		arguments->items[arguments->count++] = plan->args.items[i];
	return 0;
}

static int
image_arguments(const struct session *s, struct arguments *arguments, struct error *error)
{
	if (!container_arguments(s->agent->plan, s->image, arguments))
		return error_errno(error, ENOMEM, "writing the arguments");
	if (arguments->count)
		return 0;
	return error_why(error, ERR_INVALID, "the image %s does not say what to execute",
			 s->image_digest);
}

static int
fill_spec(struct session *s, const struct arguments *arguments, const struct environment *env,
	  struct spec *spec)
{
	struct msg record;
	struct msg_exec_spec *head = &record.exec_spec;
	bool container = session_is_container(s);

	msg_init(&record, MSG_EXEC_SPEC);
	if (strlen(arguments->items[0]) >= sizeof(head->path))
		return -ENAMETOOLONG;
	strcpy(head->path, arguments->items[0]);
	snprintf(head->cwd, sizeof(head->cwd), "%s",
		 container ? container_directory(s->image) : AGENT_HOME);
	head->uid = s->recipe.uid;
	head->gid = s->recipe.gid;
	head->open_files = s->effective.open_files;
	head->arguments = (uint32_t)arguments->count;
	head->variables = (uint32_t)env->count;
	spec_add(spec, &record);
	for (size_t i = 0; i < arguments->count; i++)
		add_text(spec, "", arguments->items[i]);
	add_environment(spec, env);
	if (!spec->failure)
		spec->failure = exec_secrets(s, "", NULL, spec->rows);
	return spec->failure;
}

static int
write_spec(struct session *s, const struct arguments *arguments, struct error *error)
{
	struct spec spec = {.rows = rows_new("exec")};
	struct environment env = {0};
	int rc = spec.rows ? 0 : -ENOMEM;

	fill_environment(&env, s);
	if (env.failed)
		rc = -ENOMEM;
	if (!rc)
		rc = fill_spec(s, arguments, &env, &spec);
	environment_free(&env);
	if (!rc) {
		rc = rows_seal(spec.rows);
		return rc < 0 ? error_errno(error, -rc, "sealing the environment") : rc;
	}
	if (spec.rows)
		rows_free(spec.rows);
	return error_errno(error, -rc, "writing arguments and environment");
}

int
agent_exec_spec(struct session *s, struct error *error)
{
	struct arguments arguments = {0};
	struct program program;
	int rc = session_is_container(s) ? image_arguments(s, &arguments, error)
					 : program_arguments(s, &program, &arguments, error);

	if (rc == 0)
		rc = write_spec(s, &arguments, error);
	free(arguments.items);
	return rc;
}
