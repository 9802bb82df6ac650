#include <string.h>

#include "common/cleanup.h"
#include "common/manifest.h"
#include "common/manifest_schema.h"
#include "common/values.h"
#include "tests/unit/corpus.h"
#include "tests/unit/page.h"
#include "tests/unit/suite.h"

#define HEAD                                                                                       \
	"apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: a, version: 1.0.0}\nspec:\n"

static bool
reads(const char *text, size_t length, const char *file, struct error *error)
{
	struct manifest *manifest = manifest_read(text, length, file, NULL, error);

	manifest_free(manifest);
	return manifest != NULL;
}

static struct manifest *
read_text(const char *text)
{
	struct error error = ERROR_INIT;
	struct manifest *manifest = manifest_read(text, strlen(text), "f", NULL, &error);

	ck_assert_msg(manifest, "%s", error.why);
	return manifest;
}

START_TEST(every_bad_manifest_is_refused_with_its_error)
{
	corpus_walk("tests/corpus/manifests/bad-*.yaml", 150, corpus_bad, reads);
}
END_TEST

START_TEST(every_good_manifest_is_read)
{
	corpus_walk("tests/corpus/manifests/good-*.yaml", 10, corpus_good, reads);
}
END_TEST

START_TEST(absent_keys_are_absent)
{
	struct manifest *m = read_text(HEAD);

	ck_assert_str_eq(m->name, "a");
	ck_assert_str_eq(m->version, "1.0.0");
	ck_assert_ptr_null(m->command);
	ck_assert_int_eq(m->runtime, RUNTIME_ABSENT);
	ck_assert_int_eq(m->trust_level, TRUST_ABSENT);
	ck_assert_int_eq(m->home.mode, HOME_ABSENT);
	ck_assert_int_eq(m->network.policy, NETWORK_ABSENT);
	ck_assert(!m->has_capabilities);
	ck_assert_uint_eq(m->lifecycle.timeout_ms, ABSENT);
	ck_assert_uint_eq(m->resources.memory_limit, ABSENT);
	ck_assert_uint_eq(m->retry.factor_milli, ABSENT);
	ck_assert_int_eq(m->priority, 0);
	manifest_free(m);
}
END_TEST

START_TEST(units_are_converted)
{
	struct manifest *m =
	    read_text(HEAD "  lifecycle: {timeout_secs: 90, stop_grace: 1500ms}\n"
			   "  resources: {memory_limit: 64Mi, disk: 1048576, cpus: 0.25}\n"
			   "  retry: {backoff: 2h, factor: 1.5}\n  priority: -7\n"
			   "  triggers: [{at: 2027-01-01T01:00:00+01:00}]\n");

	ck_assert_uint_eq(m->lifecycle.timeout_ms, 90000);
	ck_assert_uint_eq(m->lifecycle.stop_grace_ms, 1500);
	ck_assert_uint_eq(m->resources.memory_limit, 64 << 20);
	ck_assert_uint_eq(m->resources.disk, 1 << 20);
	ck_assert_uint_eq(m->resources.cpus_milli, 250);
	ck_assert_uint_eq(m->retry.backoff_ms, 7200000);
	ck_assert_uint_eq(m->retry.factor_milli, 1500);
	ck_assert_int_eq(m->priority, -7);
	ck_assert_uint_eq(m->triggers.items[0].at_ms, UINT64_C(1798761600000));
	ck_assert_int_eq(m->triggers.items[0].kind, TRIGGER_AT);
	manifest_free(m);
}
END_TEST

START_TEST(env_values_are_text)
{
	struct manifest *m =
	    read_text(HEAD "  env: {A: 8080, B: true, C: \"\", D: 1.50, E: \"~\"}\n");
	static const char *const values[] = {"8080", "true", "", "1.50", "~"};

	ck_assert_uint_eq(m->env.count, 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_str_eq(m->env.items[i].value, values[i]);
	manifest_free(m);
}
END_TEST

START_TEST(native_is_rust)
{
	struct manifest *m = read_text(HEAD "  runtime: native\n");

	ck_assert_int_eq(m->runtime, RUNTIME_RUST);
	manifest_free(m);
	ck_assert_int_eq(runtime_parse("native"), RUNTIME_RUST);
	ck_assert_int_eq(runtime_parse("node"), RUNTIME_NODE);
	ck_assert_int_eq(runtime_parse("perl"), RUNTIME_ABSENT);
	ck_assert_str_eq(runtime_name(RUNTIME_RUST), "rust");
	ck_assert_ptr_null(runtime_name(RUNTIME_ABSENT));
}
END_TEST

START_TEST(auto_snapshot_is_home_mode_journal)
{
	struct manifest *m = read_text(HEAD "  workspace: {auto_snapshot: true}\n");

	ck_assert_int_eq(m->home.mode, HOME_JOURNAL);
	manifest_free(m);
	m = read_text(HEAD "  workspace: {auto_snapshot: false}\n  home: {mode: none}\n");
	ck_assert_int_eq(m->home.mode, HOME_NONE);
	manifest_free(m);
}
END_TEST

START_TEST(no_capabilities_are_not_all)
{
	struct manifest *m = read_text(HEAD "  capabilities: []\n");

	ck_assert(m->has_capabilities);
	ck_assert_uint_eq(m->capabilities.count, 0);
	manifest_free(m);
}
END_TEST

START_TEST(foreign_capabilities_warn)
{
	static const char text[] = HEAD "  capabilities:\n    - tool.invoke:*\n    - fs.read:/x\n"
					"    - obs.append\n";
	struct error error = ERROR_INIT;
	char *warnings = NULL;
	struct manifest *m = manifest_read(text, strlen(text), "f", &warnings, &error);

	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(
	    warnings, "f:7:7: capability \"fs.read:/x\" has no meaning here and grants nothing\n"
		      "f:8:7: capability \"obs.append\" has no meaning here and grants nothing\n");
	free(warnings);
	manifest_free(m);
	m = manifest_read(HEAD, strlen(HEAD), "f", &warnings, &error);
	ck_assert_ptr_null(warnings);
	manifest_free(m);
}
END_TEST

static const struct {
	const char *text, *warning;
	bool enforced;
} inert[] = {
    {"  runtime: rust\n  entrypoint: main.py\n",
     "f:6:15: spec.entrypoint has no effect without runtime python, node or wasm\n", true},
    {"  network: {policy: none, allowlist: [\"a.example:443\"]}\n",
     "f:5:38: spec.network.allowlist has no effect without policy allowlist, local or full\n",
     true},
    {"  credentials: [{name: k, env: K, inject: {host: a.example, header: x}}]\n",
     "f:5:32: spec.credentials[0].env has no effect beside inject\n", true},
    {"  mcp_servers: [{name: s, transport: Stdio, command: c, network: {policy: local}, url: "
     "\"https://a.example/\"}]\n",
     "f:5:88: spec.mcp_servers[0].url has no effect with transport Stdio\n", true},
};

START_TEST(inert_keys_warn)
{
	for (size_t i = 0; i < ARRAY_LEN(inert); i++) {
		char text[512];
		struct error error = ERROR_INIT;
		_cleanup_free_ char *warnings = NULL;
		struct manifest *m;

		snprintf(text, sizeof(text), "%s%s", HEAD, inert[i].text);
		m = manifest_read(text, strlen(text), "f", &warnings, &error);
		ck_assert_msg(m, "%s", error.why);
		ck_assert_str_eq(warnings, inert[i].warning);
		manifest_free(m);
		ck_assert_int_eq(manifest_enforceable(text, strlen(text), "f", &error),
				 inert[i].enforced ? 0 : -1);
		if (!inert[i].enforced)
			ck_assert_ptr_nonnull(strstr(error.why, "this build cannot enforce spec."));
	}
}
END_TEST

/* --- what this build enforces ----------------------------------------------------------------- */

static const struct {
	const char *text, *key; /* key NULL: enforceable */
} builds[] = {
    {"", NULL},
    {"  runtime: rust\n", NULL},
    {"  runtime: native\n", NULL},
    {"  runtime: node\n", NULL},
    {"  runtime: wasm\n", NULL},
    {"  entrypoint: main.py\n", NULL},
    {"  packages: []\n", NULL},
    {"  packages: [a.whl]\n", NULL},
    {"  image: host\n", NULL},
    {"  image: oci:/srv/x\n", NULL},
    {"  runtime: container\n", NULL},
    {"  home: {mode: direct}\n", NULL},
    {"  home: {mode: none}\n", NULL},
    {"  home: {mode: journal}\n", NULL},
    {"  home: {history: 0}\n", NULL},
    {"  home: {history: 5, max_size: 1Gi, on_failure: discard}\n", NULL},
    {"  workspace: {auto_snapshot: true}\n", NULL},
    {"  network: {policy: none}\n", NULL},
    {"  network: {policy: none, allowlist: []}\n", NULL},
    {"  network: {policy: host}\n", NULL},
    {"  credentials: []\n", NULL},
    {"  credentials: [{name: k}]\n", NULL},
    {"  credentials: [{name: k, inject: {host: a.example, header: x}}]\n", NULL},
    {"  mcp_servers: [{name: a, command: b}]\n", NULL},
    {"  mcp_servers: [{name: a, command: b}, {name: h, transport: Http, url: \"https://a.b/\"}]\n",
     "5:16: this build cannot enforce spec.mcp_servers: h: transport Http: plugins that are "
     "reached over a network come later"},
    {"  mcp_servers: [{name: a, command: b, ask: [x]}]\n", NULL},
    {"  mcp_servers: [{name: a, command: b, env_template: {K: \"x{{secret:k}}\"}}]\n", NULL},
    {"  credentials: [{name: k, for: a}]\n  mcp_servers: [{name: a, command: b}]\n", NULL},
    {"  triggers: [{every: 15m}, {cron: \"@daily\"}, {at: 2027-01-01T00:00:00Z}]\n", NULL},
    {"  triggers: [{every: 15m}, {event: a.b}]\n", NULL},
    {"  triggers: [{every: 15m}, {path: /srv}]\n", NULL},
    {"  triggers: [{after: b}, {after: c, outcome: skipped}]\n", NULL},
    {"  triggers: [{webhook: github, secret: s}, {webhook: bearer, unsigned: true}]\n", NULL},
    {"  triggers: []\n  blackout: []\n", NULL},
    {"  blackout: [{cron: \"@daily\"}]\n", NULL},
    {"  retry: {max: 0, backoff: 10s}\n", NULL},
    {"  retry: {max: 1}\n", NULL},
    {"  lifecycle: {restart_policy: never, max_restarts: 3, timeout_secs: 5, stop_grace: 1s}\n",
     NULL},
    {"  lifecycle: {restart_policy: always}\n", NULL},
    {"  lifecycle: {idle_timeout_secs: 0}\n", NULL},
    {"  lifecycle: {idle_timeout_secs: 5}\n", NULL},
    {"  budget: {max_runs_per_day: 0, max_tool_calls: 0, failures_before_pause: 0}\n", NULL},
    {"  budget: {max_runs_per_day: 9, failures_before_pause: 5}\n", NULL},
    {"  resources: {max_open_files: 64}\n", NULL},
    {"  resources: {memory_limit: 1Gi, cpu_shares: 2, cpus: 1, max_pids: 9}\n", NULL},
    {"  resources: {disk: 1Gi}\n", NULL},
    {"  secret_policy: [{label: x}]\n", NULL},
    {"  concurrency: {policy: skip, max: 2}\n  home: {mode: none}\n  priority: 5\n", NULL},
    {"  trust_level: trusted\n  capabilities: [secret.use:x]\n  env: {A: b}\n", NULL},
    {"  context: [{source: /srv, target: /context/srv}]\n  task: x\n  model: y\n", NULL},
};

START_TEST(what_this_build_cannot_enforce)
{
	char text[1024], expected[512];
	struct error error = ERROR_INIT, planned = ERROR_INIT;
	struct manifest *m;

	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		const char *key = builds[i].key;

		snprintf(text, sizeof(text), "%s%s", HEAD, builds[i].text);
		m = read_text(text);
		error = planned = (struct error){0};
		ck_assert_int_eq(plan_enforceable(m, &planned), key ? -1 : 0);
		ck_assert_int_eq(manifest_enforceable(text, strlen(text), "f", &error),
				 key ? -1 : 0);
		manifest_free(m);
		if (!key)
			continue;
		snprintf(expected, sizeof(expected), "f:%s", key);
		ck_assert_str_eq(error.why, expected);
		ck_assert_str_eq(planned.why, strstr(key, "this build"));
		ck_assert_int_eq(error.code, ERR_INVALID);
		ck_assert_str_ne(error.hint, "");
	}
}
END_TEST

START_TEST(an_unreadable_manifest_is_not_enforceable)
{
	struct error error = ERROR_INIT;

	ck_assert_int_eq(manifest_enforceable("a: *b", 5, "f", &error), -1);
	ck_assert_str_eq(error.why, "f:1:4: aliases (*name) are not allowed");
	ck_assert_int_eq(manifest_enforceable("a: b", 4, "f", &error), -1);
}
END_TEST

/* --- JSON ------------------------------------------------------------------------------------- */

static char *
json_of(const char *text)
{
	struct manifest *m = read_text(text);
	struct json json = JSON_INIT;
	char *out;

	manifest_json(m, &json);
	out = json_take(&json, NULL);
	ck_assert_ptr_nonnull(out);
	manifest_free(m);
	return out;
}

static void
has(const char *json, const char *part)
{
	ck_assert_msg(strstr(json, part), "%s is not in %s", part, json);
}

START_TEST(json_has_the_keys_of_the_manifest)
{
	_cleanup_free_ char *absent = json_of(HEAD);
	_cleanup_free_ char *written =
	    json_of(HEAD "  lifecycle: {timeout_secs: 90, stop_grace: 1s}\n"
			 "  resources: {memory_limit: 64Mi, cpus: 0.25}\n"
			 "  triggers: [{every: 15m}]\n  task: \"a\\tb\"\n  priority: -3\n");

	has(absent, "{\"apiVersion\":\"scarab/v1\",\"kind\":\"AgentManifest\",\"metadata\":{"
		    "\"name\":\"a\",\"version\":\"1.0.0\",\"description\":null,\"labels\":{}}");
	has(absent, "\"runtime\":null");
	has(absent, "\"capabilities\":null");
	has(absent, "\"timeout_ms\":null");
	has(absent, "\"memory_limit\":null");
	has(absent, "\"triggers\":[]");
	has(written, "\"timeout_ms\":90000");
	has(written, "\"stop_grace_ms\":1000");
	has(written, "\"memory_limit\":67108864");
	has(written, "\"cpus\":0.25");
	has(written, "\"every_ms\":900000");
	has(written, "\"task\":\"a\\tb\"");
	has(written, "\"priority\":-3");
	ck_assert_ptr_null(strstr(written, "_secs"));
}
END_TEST

/* --- values ----------------------------------------------------------------------------------- */

START_TEST(single_values)
{
	static const struct {
		value_check *check;
		const char *good[6], *bad[8];
	} cases[] = {
	    {value_semver,
	     {"0.0.0", "1.2.3-a.1", "1.0.0-0a", "1.0.0+01", "1.0.0-x-y.z+b-1"},
	     {"1", "1.0", "1.0.0-", "1.0.0+", "v1.0.0", "1.0.0-a..b", "1.0.0-01", "1.0.0+a+b"}},
	    {value_agent_name, {"a", "0", "a-b", "a--b"}, {"", "-a", "a-", "A", "a_b", "a.b"}},
	    {value_path, {"/", "/a", "/a/..b", "/a b"}, {"", "a", "//", "/a/", "/a/../b", "/./a"}},
	    {value_path_relative,
	     {"a", "./a", "a/b", ".hidden"},
	     {"", "/a", "..", "a/..", ".", "./"}},
	    {value_context_target,
	     {"/context/a", "/data", "/srv/x", "/usrlocal", "/var/log"},
	     {"/", "/usr", "/usr/x", "/etc/x", "/lib", "/lib32/x", "/skills/a", "/home"}},
	    {value_rule,
	     {"a.b:1", "*.a.b:1-65535", "host.agentd:80", "10.0.0.0/8:1", "127.0.0.1:1",
	      "[::1]:443"},
	     {"a", ":1", "a:", "a:0", "a:1-", "*:1", "-a:1", "a..b:1"}},
	    {value_rule,
	     {"[fd00::]/8:1", "fd00::/8:1", "0.0.0.0/0:1", "a_b.c:1", "xn--a.b:1"},
	     {"a:01", "a b:1", "10.0.0.0/:1", "10.0.0.0/a:1", "/8:1", "[::1:1", "*.*.a:1",
	      "300.0.0.1:1"}},
	    {value_url,
	     {"http://a", "https://a.b:1/c?d#e@f"},
	     {"a", "https://", "https:///x", "https://a b", "file:///x"}},
	    {value_template,
	     {"", "x", "{{secret:a}}", "Bearer {{secret:a}} {{secret:b}}"},
	     {"{{", "{{secret:}}", "{{secret:a", "{{secret:a b}}", "{{env:A}}", "}}{{x"}},
	    {value_capability,
	     {"tool.invoke:x", "mcp.fs.read_*", "secret.use:*", "net.connect:*.a:443",
	      "net.connect:a:*", "fs.read:/x"},
	     {"", "a", "tool.invoke:", "mcp.FS.x", "net.connect::1", "a b.c", "A.b", "a.b:"}},
	    {value_timezone,
	     {"UTC", "Europe/Berlin", "Etc/GMT+1", "America/Port-au-Prince"},
	     {"", "/etc", "../x", "a//b", "a b", "-x"}},
	    {value_account,
	     {"agentd", "0", "70001", "a-b_c.d"},
	     {"", "4294967295", "01", "a b", "-a", "12345678901"}},
	    {value_listen, {"127.0.0.1:1", "[::1]:8787"}, {"", "1", "::1:1", "a:1", "127.0.0.1:0"}},
	    {value_inject_host,
	     {"a.example", "a.example:8443", "host.example"},
	     {"A.example", "a.example:0", "http://a.example", "*.example", "10.1.2.3", "a.agentd",
	      "host", "host.agentd:80"}},
	    {value_inject_format, {"%s", "Bearer %s"}, {"", "x", "%d", "%s%s", "%", "%%s"}},
	    {value_cgroup, {"auto", "/a/b", "a/b"}, {"", "/", "..", "/a/../b", "a//b"}},
	};
	char why[REASON_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t j = 0; j < 6 && cases[i].good[j]; j++)
			ck_assert_msg(cases[i].check(cases[i].good[j], why), "%zu: \"%s\" %s", i,
				      cases[i].good[j], why);
		for (size_t j = 0; j < 8 && cases[i].bad[j]; j++)
			ck_assert_msg(!cases[i].check(cases[i].bad[j], why), "%zu: \"%s\" accepted",
				      i, cases[i].bad[j]);
	}
}
END_TEST

START_TEST(the_nearest_word)
{
	static const char *const words[] = {"command", "concurrency", "context", "env"};

	ck_assert_str_eq(nearest("comand", words, 4), "command");
	ck_assert_str_eq(nearest("contxet", words, 4), "context");
	ck_assert_str_eq(nearest("envv", words, 4), "env");
	ck_assert_ptr_null(nearest("zzzz", words, 4));
	ck_assert_ptr_null(nearest("", words, 4));
	ck_assert_ptr_null(
	    nearest("a-word-that-is-far-longer-than-any-key-a-manifest-could-have", words, 4));
}
END_TEST

/* --- the tables ------------------------------------------------------------------------------- */

static void
check_record(const struct record *record)
{
	unsigned last = 0;

	for (size_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];

		ck_assert_ptr_nonnull(field->key);
		if (field->type != FIELD_CONSTANT) {
			ck_assert_msg(field->tag > last, "%s: tags must ascend", field->key);
			last = field->tag;
			ck_assert_uint_lt(field->offset, record->size);
		}
		if (field->type == FIELD_ENUM)
			ck_assert_ptr_nonnull(field->choices);
		if (field->record)
			check_record(field->record);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(field->key, record->fields[j].key);
	}
}

START_TEST(the_tables_hold_together)
{
	check_record(&manifest_record);
}
END_TEST

START_TEST(the_page_names_every_key)
{
	page_is_complete("man/agent-manifest.5", &manifest_record);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    every_bad_manifest_is_refused_with_its_error,
	    every_good_manifest_is_read,
	    absent_keys_are_absent,
	    units_are_converted,
	    env_values_are_text,
	    native_is_rust,
	    auto_snapshot_is_home_mode_journal,
	    no_capabilities_are_not_all,
	    foreign_capabilities_warn,
	    inert_keys_warn,
	    what_this_build_cannot_enforce,
	    an_unreadable_manifest_is_not_enforceable,
	    json_has_the_keys_of_the_manifest,
	    single_values,
	    the_nearest_word,
	    the_tables_hold_together,
	    the_page_names_every_key,
	};

	return suite_run("manifest", tests, ARRAY_LEN(tests));
}
