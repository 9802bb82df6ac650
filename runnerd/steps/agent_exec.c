/* What init runs: the command, its arguments and an environment in which nothing is inherited. */
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/inject.h"
#include "runnerd/net.h"
#include "runnerd/program.h"
#include "steps.h"

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

static bool
is_overridden(const struct pairs *env, const char *key)
{
	size_t i;

	for (i = 0; i < env->count; i++)
		if (!strcmp(env->items[i].key, key))
			return true;
	return false;
}

struct urls {
	struct spec *spec;
	const struct pairs *own;
	uint32_t count;
};

static void
add_url(const struct manifest_credential *credential, const char *url, void *arg)
{
	const char *variable = credential->inject.base_url_env;
	struct urls *urls = arg;

	if (!variable || is_overridden(urls->own, variable))
		return;
	add_text(urls->spec, variable, url);
	urls->count++;
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

/* How many of them the manifest leaves as they are. */
static uint32_t
add_pairs(struct spec *spec, const struct pairs *own, const struct pair *pairs, size_t count)
{
	uint32_t added = 0;

	for (size_t i = 0; i < count; i++) {
		if (is_overridden(own, pairs[i].key))
			continue;
		add_text(spec, pairs[i].key, pairs[i].value);
		added++;
	}
	return added;
}

/* The manifest's own variables come last and hold. */
static uint32_t
add_environment(struct spec *spec, const struct session *s)
{
	const struct pairs *own = &s->agent->plan->env;
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
	    {(char *)"PATH",
	     (char *)"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	    {(char *)"LANG", (char *)"C.UTF-8"},
	    {(char *)"TMPDIR", (char *)"/tmp"},
	    {(char *)"XDG_RUNTIME_DIR", (char *)"/run/agent"},
	    {(char *)"CREDENTIALS_DIRECTORY", (char *)"/run/credentials"},
	};
	struct urls urls = {.spec = spec, .own = own};
	uint32_t count = 0;
	size_t i;

	inject_urls(s->agent->plan, add_url, &urls);
	count = urls.count;
	count += add_pairs(spec, own, given, ARRAY_LEN(given));
	if (net_wanted(s))
		count += add_pairs(spec, own, proxies, ARRAY_LEN(proxies));
	for (i = 0; i < own->count; i++)
		add_text(spec, own->items[i].key, own->items[i].value);
	return count + (uint32_t)own->count;
}

static uint32_t
count_environment(const struct session *s)
{
	struct spec counting = {.failure = -ECANCELED};

	return add_environment(&counting, s);
}

int
agent_exec_spec(struct session *s, struct error *error)
{
	const struct manifest *plan = s->agent->plan;
	struct spec spec = {.rows = rows_new("exec")};
	struct program program;
	struct msg record;
	size_t i, own = 0;

	if (!spec.rows)
		return error_errno(error, errno, "memfd_create");
	msg_init(&record, MSG_EXEC_SPEC);
	if (program_find(plan, s->agent->head.install_dir, &program, error) < 0) {
		rows_free(spec.rows);
		return -1;
	}
	strcpy(record.exec_spec.path, program.path);
	while (program.arguments[own])
		own++;
	strcpy(record.exec_spec.cwd, "/home/agent");
	record.exec_spec.uid = record.exec_spec.gid = AGENT_UID;
	record.exec_spec.open_files = s->effective.open_files;
	record.exec_spec.arguments = 1 + (uint32_t)(own + plan->args.count);
	record.exec_spec.variables = count_environment(s);
	spec_add(&spec, &record);
	add_text(&spec, "", program.path);
	for (i = 0; i < own; i++)
		add_text(&spec, "", program.arguments[i]);
	for (i = 0; i < plan->args.count; i++)
		add_text(&spec, "", plan->args.items[i]);
	add_environment(&spec, s);
	if (!spec.failure)
		spec.failure = exec_secrets(s, "", NULL, spec.rows);
	if (spec.failure) {
		rows_free(spec.rows);
		return error_errno(error, -spec.failure, "writing arguments and environment");
	}
	spec.failure = rows_seal(spec.rows);
	return spec.failure < 0 ? error_errno(error, -spec.failure, "sealing the environment")
				: spec.failure;
}
