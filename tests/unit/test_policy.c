// with: runnerd/policy.c runnerd/policy_secret.c runnerd/secret_uses.c
// with: runnerd/proof.c runnerd/program.c runnerd/fs.c runnerd/mission.c
// with: runnerd/policy_net.c runnerd/inject_plan.c
/* What runnerd judges by itself: root's ceilings, paths and their proofs, and the mission it
 * writes. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "runnerd/fs.h"
#include "runnerd/mission.h"
#include "runnerd/policy.h"
#include "runnerd/proof.h"
#include "runnerd/secret_uses.h"
#include "tests/unit/suite.h"

static char top[] = "/tmp/scarab-policy-XXXXXX";
static char path[4096];

static const char *
in_top(const char *name)
{
	snprintf(path, sizeof(path), "%s%s", top, name);
	return path;
}

static void
make_dir(void)
{
	strcpy(top, "/tmp/scarab-policy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_int_eq(chmod(top, 0755), 0);
}

static void
remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", top);
	ck_assert_int_eq(system(command), 0);
}

static void
write_file(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(in_top(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(path, mode), 0);
}

/* As control does. */
static void
index_skills(struct manifest *plan)
{
	plan->skill_index.items = calloc(plan->skills.count + 1, sizeof(struct manifest_skill));
	for (; plan->skill_index.count < plan->skills.count; plan->skill_index.count++)
		plan->skill_index.items[plan->skill_index.count].name =
		    strdup(skill_name(plan->skills.items[plan->skill_index.count]));
}

static struct manifest *
plan_of(const char *spec)
{
	struct error error = ERROR_INIT;
	struct manifest *plan;
	char text[2048];

	snprintf(text, sizeof(text),
		 "apiVersion: scarab/v1\nkind: AgentManifest\n"
		 "metadata: {name: worker, version: 1.0.0}\nspec: {%s}\n",
		 spec);
	plan = manifest_read(text, strlen(text), "test", NULL, &error);
	ck_assert_msg(plan != NULL, "%s: %s", spec, error.why);
	index_skills(plan);
	return plan;
}

static struct config *
config_of(const char *text)
{
	struct error error = ERROR_INIT;
	struct config *config = config_read(text, strlen(text), "test", &error);

	ck_assert_msg(config != NULL, "%s", error.why);
	return config;
}

/* NULL: allowed; else a word of the reason. */
static const struct {
	const char *config, *spec, *refused;
} rules[] = {
    {"", "", NULL},
    {"", "trust_level: privileged", "ceilings.trust_level trusted"},
    {"ceilings: {trust_level: privileged}", "trust_level: privileged", NULL},
    {"ceilings: {trust_level: untrusted}", "", "ceilings.trust_level untrusted"},
    {"", "context: [{source: /srv/docs, target: /context/docs}]", NULL},
    {"", "context: [{source: /srvdocs, target: /context/docs}]", "allowed_context"},
    {"", "context: [{source: /etc/passwd, target: /context/p}]", "allowed_context"},
    {"", "trust_level: untrusted, context: [{source: /srv/docs, target: /context/docs}]",
     "not allowed at trust_level untrusted"},
    {"ceilings: {trust_level: privileged}",
     "trust_level: privileged, context: [{source: /etc/hosts, target: /context/h}]", NULL},
    {"ceilings: {allowed_install: [/srv]}", "", "allowed_install"},
    {"ceilings: {allowed_install: [/opt]}", "", NULL},
    {"", "home: {mode: none}, concurrency: {max: 3}", NULL},
    {"", "home: {mode: direct}", "home.mode direct is not allowed at trust_level sandboxed"},
    {"", "trust_level: trusted, home: {mode: direct}", NULL},
    {"", "trust_level: untrusted, home: {mode: journal}", "not allowed at trust_level untrusted"},
    {"", "trust_level: untrusted", NULL},
    {"", "image: host", NULL},
    {"", "image: \"dir:/srv/debian\"", NULL},
    {"", "image: \"dir:/var/lib/scarab-runtime/images/debian\"", NULL},
    {"", "image: \"dir:/srvdebian\"", "allowed_images"},
    {"", "image: \"dir:/\"", "allowed_images"},
    {"ceilings: {allowed_images: []}", "image: \"dir:/srv/debian\"", "allowed_images"},
    {"ceilings: {allowed_images: [/opt]}", "image: \"dir:/opt/debian\"", NULL},
    {"", "image: \"oci:/srv/debian\"", NULL},
    {"", "image: \"oci:/srv/debian.tar:12\"", NULL},
    {"", "image: \"oci:/tmp/debian\"", "allowed_images"},
    {"", "image: \"oci:/opt/worker\"", NULL},
    {"", "image: \"oci:/opt/worker/image:1\"", NULL},
    {"", "image: \"oci:/opt/workers\"", "allowed_images"},
    {"", "home: {mode: journal, on_failure: discard, max_size: 1Gi, history: 3}", NULL},
    {"", "skills: [skills/a, /srv/b, /opt/worker/c]", NULL},
    {"ceilings: {allowed_context: []}", "skills: [/usr/share/scarab-runtime/skills/git]", NULL},
    {"", "credentials: [{name: a}]", NULL},
    {"", "trust_level: untrusted, credentials: [{name: a}]",
     "not allowed at trust_level untrusted"},
    {"", "mcp_servers: [{name: fs, command: x, env_template: {K: \"<{{secret:a}}>\"}}]", NULL},
    {"",
     "trust_level: untrusted, mcp_servers: [{name: fs, command: x, env_template: {K: "
     "\"<{{secret:a}}>\"}}]",
     "env_template of spec.mcp_servers is not allowed at trust_level untrusted"},
    {"",
     "capabilities: [\"secret.use:a\"], mcp_servers: [{name: fs, command: x, env_template: {K: "
     "\"<{{secret:a}}>\"}}]",
     NULL},
    {"",
     "capabilities: [\"secret.use:b\"], mcp_servers: [{name: fs, command: x, env_template: {K: "
     "\"<{{secret:a}}>\"}}]",
     "no secret.use that covers a"},
    {"",
     "secret_policy: [{secret_pattern: \"*\", tool_pattern: fs}], mcp_servers: [{name: fs, "
     "command: x, env_template: {K: \"<{{secret:a}}>\"}}]",
     NULL},
    {"",
     "secret_policy: [{secret_pattern: \"*\", tool_pattern: other}], mcp_servers: [{name: fs, "
     "command: x, env_template: {K: \"<{{secret:a}}>\"}}]",
     "lets nobody use a"},
    {"", "skills: [/etc/skills]", "/etc/skills is outside install_dir and ceilings.allowed"},
    {"", "skills: [/opt/workerx/c]", "outside install_dir"},
    {"", "trust_level: untrusted, skills: [skills/a]", NULL},
    {"", "trust_level: untrusted, skills: [/srv/b]", "which this trust_level does not allow"},
    {"ceilings: {trust_level: privileged}", "trust_level: privileged, skills: [/etc/skills]", NULL},
    {"", "resources: {memory_limit: 1Gi, max_pids: 2, cpus: 0.5, cpu_shares: 2}", NULL},
    {"", "resources: {memory_limit: 8Gi}", NULL},
    {"", "resources: {memory_limit: 9Gi}", "above ceilings.memory_limit 8589934592"},
    {"ceilings: {memory_limit: 2Gi}", "", NULL},
    {"ceilings: {memory_limit: 2Gi}", "resources: {memory_limit: 3Gi}",
     "spec.resources.memory_limit 3221225472"},
    {"", "lifecycle: {idle_timeout_secs: 3}", NULL},
    {"", "resources: {disk: 1Gi}", NULL},
    {"", "network: {policy: full}", "policy full is not allowed"},
    {"", "trust_level: trusted, network: {policy: full}", NULL},
    {"", "trust_level: trusted, network: {policy: full, allowlist: [\"10.0.0.0/8:1\"]}", NULL},
    {"", "trust_level: trusted, capabilities: [\"net.connect:*:443\"], network: {policy: full}",
     "no net.connect that covers *:1-65535"},
    {"", "trust_level: trusted, capabilities: [\"net.connect:*:*\"], network: {policy: full}",
     NULL},
    {"", "trust_level: trusted, network: {policy: host}", "policy host is not allowed"},
    {"ceilings: {trust_level: privileged}", "trust_level: privileged, network: {policy: host}",
     NULL},
    {"", "network: {policy: allowlist, allowlist: [\"a.example:443\"]}", NULL},
    {"", "network: {policy: allowlist, allowlist: [\"host.agentd:1\", \"0.0.0.0/0:1\"]}", NULL},
    {"", "network: {policy: allowlist, allowlist: [\"192.168.0.0/16:1\"]}",
     "192.168.0.0/16:1 is private, which needs policy local"},
    {"", "trust_level: trusted, network: {policy: local, allowlist: [\"192.168.0.0/16:1\"]}", NULL},
    {"", "network: {policy: local, allowlist: [\"a.example:1\"]}", "policy local is not allowed"},
    {"", "trust_level: trusted, network: {policy: local, allowlist: [\"127.0.0.1:1\"]}",
     "own loopback"},
    {"", "network: {policy: allowlist, allowlist: [\"a.example:1-129\"]}", NULL},
    {"", "mcp_servers: [{name: s, command: c, network: {policy: full}}]",
     "spec.mcp_servers: s: network.policy full is not allowed at trust_level sandboxed"},
    {"",
     "mcp_servers: [{name: s, command: c, network: {policy: allowlist, allowlist: "
     "[\"10.0.0.0/8:1\"]}}]",
     "spec.mcp_servers: s: network.allowlist: 10.0.0.0/8:1 is private"},
    {"",
     "mcp_servers: [{name: s, command: c, network: {policy: allowlist, allowlist: "
     "[\"a.example:1\"]}}]",
     NULL},
    {"",
     "capabilities: [], mcp_servers: [{name: s, command: c, network: {policy: allowlist, "
     "allowlist: [\"a.example:1\"]}}]",
     "no net.connect that covers a.example:1"},
    {"", "trust_level: trusted, mcp_servers: [{name: s, command: c, network: {policy: full}}]",
     NULL},
    {"ceilings: {trust_level: privileged}",
     "trust_level: privileged, mcp_servers: [{name: s, command: c, network: {policy: host}}]",
     "network.policy host is the agent's alone"},
    {"",
     "capabilities: [\"net.connect:*.example:443\"], network: {policy: allowlist, "
     "allowlist: [\"a.example:443\"]}",
     NULL},
    {"", "capabilities: [], network: {policy: allowlist, allowlist: [\"a.example:443\"]}",
     "no net.connect that covers a.example:443"},
    {"",
     "capabilities: [\"net.connect:*:80-90\"], network: {policy: allowlist, "
     "allowlist: [\"a.example:80-91\"]}",
     "no net.connect that covers a.example:80-91"},
};

START_TEST(the_ceilings_of_root_hold)
{
	struct error error;
	struct manifest *plan;
	struct config *config;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_LEN(rules); i++) {
		error = (struct error)ERROR_INIT;
		plan = plan_of(rules[i].spec);
		config = config_of(rules[i].config);
		rc = policy_check(plan, "/opt/worker", config, &error);
		ck_assert_msg((rc == 0) == !rules[i].refused, "%s: %s", rules[i].spec, error.why);
		if (rules[i].refused)
			ck_assert_msg(strstr(error.why, rules[i].refused), "%s: %s", rules[i].spec,
				      error.why);
		manifest_free(plan);
		config_free(config);
	}
}
END_TEST

START_TEST(what_a_manifest_leaves_open_has_a_value)
{
	struct config *config = config_of("defaults: {timeout_secs: 7, max_open_files: 99, "
					  "memory_limit: 64Mi, max_pids: 33}");
	struct manifest *plan = plan_of("");
	struct effective e;

	policy_effective(plan, config, &e);
	ck_assert_int_eq(e.trust, TRUST_SANDBOXED);
	ck_assert_int_eq(e.home, HOME_JOURNAL);
	ck_assert(!e.home_discards_failure);
	ck_assert_uint_eq(e.home_max_bytes, 1 << 30);
	ck_assert_uint_eq(e.home_history, 5);
	ck_assert_int_eq(e.network, NETWORK_NONE);
	ck_assert_int_eq(e.overlap, OVERLAP_QUEUE);
	ck_assert_uint_eq(e.max, 1);
	ck_assert_uint_eq(e.timeout_ms, 7000);
	ck_assert_uint_eq(e.grace_ms, STOP_GRACE_DEFAULT_MS);
	ck_assert_uint_eq(e.open_files, 99);
	ck_assert_uint_eq(e.memory_bytes, 64 << 20);
	ck_assert_uint_eq(e.pids, 33);
	ck_assert_uint_eq(e.idle_ms, 0);
	ck_assert(e.cpus_milli == ABSENT && e.cpu_shares == ABSENT);
	manifest_free(plan);
	config_free(config);
}
END_TEST

START_TEST(paths_are_normal_or_refused)
{
	static const char *const good[] = {"/", "/a", "/a/b", "/a/..b", "/a/b."};
	static const char *const bad[] = {"", "a", "/a/", "//", "/a//b", "/.", "/a/./b", "/a/.."};
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(path_is_normal(good[i]), "%s", good[i]);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!path_is_normal(bad[i]), "%s", bad[i]);
	ck_assert(path_is_normal_relative("a/b") && !path_is_normal_relative("../a"));
	ck_assert(!path_is_normal_relative("/a") && !path_is_normal_relative(""));
	ck_assert(path_within("/a/b", "/a") && path_within("/a", "/a") && path_within("/a", "/"));
	ck_assert(!path_within("/ab", "/a") && !path_within("/a", "/a/b"));
}
END_TEST

START_TEST(reserved_places_are_refused)
{
	static const char *const bad[] = {
	    "/",           "/proc", "/proc/x",     "/sys",        "/dev/shm",
	    "/run/x",      "/etc",  "/etc/agent",  "/usr",        "/tmp",
	    "/home/agent", "/inst", "/inst/state", "/inst/run/x", "/inst/state/agents"};
	static const char *const good[] = {
	    "/opt/x", "/tmp/x", "/usr/local/x", "/home/me/x", "/inst/state/agents/x", "/inst2"};
	struct config *config =
	    config_of("run_dir: /inst/run\nstate_dir: /inst/state\nlog_dir: /inst/log\n");
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(proof_place(bad[i], config, NULL) < 0, "%s", bad[i]);
	for (i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(proof_place(good[i], config, NULL) == 0, "%s", good[i]);
	ck_assert_int_eq(proof_target("/context/a", NULL), 0);
	ck_assert_int_eq(proof_target("/data", NULL), 0);
	ck_assert_int_lt(proof_target("/usr/x", NULL), 0);
	ck_assert_int_lt(proof_target("/context/../etc", NULL), 0);
	ck_assert_int_lt(proof_target("/home/agent/x", NULL), 0);
	config_free(config);
}
END_TEST

static int
opened(const char *name, int flags)
{
	int fd = open(in_top(name), flags | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(an_install_dir_is_proved_by_its_descriptor)
{
	_cleanup_close_ int real = -1, other = -1, weak = -1, file = -1;
	char dir[64];
	struct stat st;

	make_dir();
	ck_assert_int_eq(mkdir(in_top("/real"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/other"), 0755), 0);
	ck_assert_int_eq(symlink("real", in_top("/link")), 0);
	write_file("/file", "x", 0644);
	real = opened("/real", O_RDONLY | O_DIRECTORY);
	other = opened("/other", O_RDONLY | O_DIRECTORY);
	weak = opened("/real", O_PATH);
	file = opened("/file", O_RDONLY);
	snprintf(dir, sizeof(dir), "%s/real", top);
	ck_assert_int_eq(proof_install_dir(dir, real, &st, NULL), 0);
	ck_assert_int_lt(proof_install_dir(dir, other, &st, NULL), 0);
	ck_assert_int_lt(proof_install_dir(dir, weak, &st, NULL), 0);
	ck_assert_int_lt(proof_install_dir(dir, file, &st, NULL), 0);
	ck_assert_int_lt(proof_install_dir(in_top("/link"), real, &st, NULL), 0);
	ck_assert_int_lt(proof_install_dir(in_top("/real/../real"), real, &st, NULL), 0);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_int_lt(proof_install_dir(dir, real, &st, NULL), 0);
	remove_dir();
}
END_TEST

/* A file is proved by its directory, so that one replaced by rename is found. */
START_TEST(a_context_is_proved_by_its_directory)
{
	_cleanup_close_ int dir = -1, docs = -1;

	make_dir();
	ck_assert_int_eq(mkdir(in_top("/docs"), 0755), 0);
	write_file("/docs/note", "x", 0644);
	ck_assert_int_eq(mkfifo(in_top("/docs/fifo"), 0644), 0);
	ck_assert_int_eq(symlink("note", in_top("/docs/link")), 0);
	dir = opened("", O_RDONLY | O_DIRECTORY);
	docs = opened("/docs", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(proof_context(in_top("/docs"), docs, NULL), 0);
	ck_assert_int_eq(proof_context(in_top("/docs/note"), docs, NULL), 0);
	ck_assert_int_lt(proof_context(in_top("/docs"), dir, NULL), 0);
	ck_assert_int_lt(proof_context(in_top("/docs/note"), dir, NULL), 0);
	ck_assert_int_lt(proof_context(in_top("/docs/fifo"), docs, NULL), 0);
	ck_assert_int_lt(proof_context(in_top("/docs/link"), docs, NULL), 0);
	ck_assert_int_lt(proof_context(in_top("/docs/none"), docs, NULL), 0);
	remove_dir();
}
END_TEST

/* The command of the plan, and a word of the reason or NULL. */
static const struct {
	const char *command, *refused;
} commands[] = {
    {"good", NULL},
    {"bin/good", NULL},
    {"inner", NULL},
    {"/bin/sh", NULL},
    {"/usr/bin/env", NULL},
    {"none", "No such file"},
    {"dir", "no regular file"},
    {"text", "neither an ELF program"},
    {"private", "other users"},
    {"unread", "may not be read"},
    {"outer", "leads out"},
    {"fifo", "no regular file"},
    {"/etc/passwd", "not be there inside"},
    {"/root/x", "not be there inside"},
    {"/usr/../etc/passwd", "without . and .."},
};

START_TEST(an_image_is_proved_by_what_was_opened)
{
	char state[64], text[256];
	struct config *config;
	int image, other;

	make_dir();
	snprintf(state, sizeof(state), "%s/state", top);
	snprintf(text, sizeof(text), "state_dir: %s", state);
	config = config_of(text);
	ck_assert_int_eq(mkdir(in_top("/image"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/other"), 0755), 0);
	ck_assert_int_eq(symlink("image", in_top("/link")), 0);
	ck_assert_int_eq(mkdir(in_top("/state"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/state/images"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/state/images/one"), 0755), 0);
	image = open(in_top("/image"), O_RDONLY | O_DIRECTORY);
	other = open(in_top("/other"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(proof_image(in_top("/image"), image, config, NULL), 0);
	ck_assert_int_lt(proof_image(in_top("/image"), other, config, NULL), 0);
	ck_assert_int_lt(proof_image(in_top("/link"), image, config, NULL), 0);
	ck_assert_int_lt(proof_image(in_top("/gone"), image, config, NULL), 0);
	close(image);
	image = open(in_top("/image"), O_PATH | O_DIRECTORY);
	ck_assert_int_lt(proof_image(in_top("/image"), image, config, NULL), 0);
	close(image);
	/* Below STATE_DIR nothing but what lies in images. */
	image = open(in_top("/state/images/one"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(proof_image(in_top("/state/images/one"), image, config, NULL), 0);
	close(image);
	image = open(in_top("/state/images"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_lt(proof_image(in_top("/state/images"), image, config, NULL), 0);
	close(image);
	image = open(top, O_RDONLY | O_DIRECTORY);
	ck_assert_int_lt(proof_image(top, image, config, NULL), 0);
	close(image);
	close(other);
	config_free(config);
	remove_dir();
}
END_TEST

START_TEST(a_command_is_found_in_its_image)
{
	struct manifest *plan;
	char spec[128], found[PATH_LEN_MAX + 1];

	make_dir();
	snprintf(spec, sizeof(spec), "image: \"dir:%s/image\", command: /bin/run", top);
	plan = plan_of(spec);
	ck_assert_int_eq(mkdir(in_top("/image"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/image/usr"), 0755), 0);
	ck_assert_int_eq(symlink("/usr", in_top("/image/bin")), 0);
	ck_assert_int_lt(proof_command(plan, "/opt/worker", found, NULL), 0);
	write_file("/image/usr/run", "#!/bin/sh\n", 0755);
	/* Its links lead where they lead inside. */
	ck_assert_int_eq(proof_command(plan, "/opt/worker", found, NULL), 0);
	ck_assert_str_eq(found, "/bin/run");
	ck_assert_int_eq(chmod(in_top("/image/usr/run"), 0700), 0);
	ck_assert_int_lt(proof_command(plan, "/opt/worker", found, NULL), 0);
	manifest_free(plan);
	remove_dir();
}
END_TEST

START_TEST(a_command_is_a_program_its_agent_may_run)
{
	char install_dir[64], absolute[4096];
	struct error error;
	struct manifest *plan;
	size_t i;
	int rc;

	make_dir();
	ck_assert_int_eq(mkdir(in_top("/dir"), 0755), 0);
	ck_assert_int_eq(mkdir(in_top("/bin"), 0755), 0);
	write_file("/good", "#!/bin/sh\n", 0755);
	write_file("/bin/good", "\177ELF", 0711);
	write_file("/text", "hello\n", 0755);
	write_file("/private", "#!/bin/sh\n", 0700);
	write_file("/unread", "#!/bin/sh\n", 0711);
	ck_assert_int_eq(mkfifo(in_top("/fifo"), 0755), 0);
	ck_assert_int_eq(symlink("bin/good", in_top("/inner")), 0);
	ck_assert_int_eq(symlink("/bin/sh", in_top("/outer")), 0);
	snprintf(install_dir, sizeof(install_dir), "%s", top);
	for (i = 0; i < ARRAY_LEN(commands); i++) {
		error = (struct error)ERROR_INIT;
		plan = plan_of("");
		plan->command = strdup(commands[i].command);
		rc = proof_command(plan, install_dir, absolute, &error);
		ck_assert_msg((rc == 0) == !commands[i].refused, "%s: %s", commands[i].command,
			      error.why);
		if (commands[i].refused)
			ck_assert_msg(strstr(error.why, commands[i].refused), "%s: %s",
				      commands[i].command, error.why);
		manifest_free(plan);
	}
	remove_dir();
}
END_TEST

START_TEST(the_mission_is_as_documented)
{
	struct msg_prepare request = {.attempt = 1, .fired_at_ms = 1000};
	_cleanup_free_ char *text = NULL;
	size_t length;

	ck_assert(uuid_parse("01890000-0000-7000-8000-000000000001", &request.session));
	strcpy(request.agent, "worker");
	strcpy(request.task, "say \"hi\"\n");
	strcpy(request.trigger_kind, "manual");
	strcpy(request.operator, "root");
	text = mission_json(&request, NULL, 0, 2000, &length);
	ck_assert_str_eq(text, "{\"version\":1,\"agent\":\"worker\","
			       "\"session\":\"01890000-0000-7000-8000-000000000001\","
			       "\"task\":\"say \\\"hi\\\"\\n\",\"model\":null,"
			       "\"trigger\":{\"kind\":\"manual\",\"id\":null,\"scheduled_at\":null,"
			       "\"fired_at\":\"1970-01-01T00:00:01.000Z\",\"operator\":\"root\","
			       "\"event\":null},\"attempt\":1,\"previous\":null,"
			       "\"deadline\":\"1970-01-01T00:00:02.000Z\"}");
	ck_assert_uint_eq(length, strlen(text));
}
END_TEST

/* --- which secrets a plan asks for --------------------------------------------------------------
 */

static int
add_use(const struct secret_use *use, void *arg)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s%s:%s/%s ", use->place == PLACE_ENVIRONMENT ? "+" : "",
		use->server, use->credential->name, use->file);
	return 0;
}

START_TEST(each_sandbox_has_its_own_secrets)
{
	struct manifest *plan = plan_of(
	    "credentials: [{name: a}, {name: b, as: c, for: fs}, {name: a, for: db}],"
	    "mcp_servers: [{name: fs, command: x, env_template: {K: \"{{secret:d}}{{secret:b}}\","
	    "L: \"{{secret:d}}{{secret:e}}{{secret:e}}\", M: plain}}, {name: db, command: x,"
	    "env_template: {K: \"{{secret:d}} and {{secret:a}}\"}}, {name: none, command: x}]");
	char all[256] = "", agents[64] = "", fs[64] = "", none[64] = "";
	const char *file;

	secret_uses(plan, NULL, add_use, all);
	ck_assert_str_eq(all, ":a/a fs:b/c db:a/a +fs:d/d +fs:e/e +db:d/d ");
	secret_uses(plan, "", add_use, agents);
	ck_assert_str_eq(agents, ":a/a ");
	secret_uses(plan, "fs", add_use, fs);
	ck_assert_str_eq(fs, "fs:b/c +fs:d/d +fs:e/e ");
	secret_uses(plan, "none", add_use, none);
	ck_assert_str_eq(none, "");
	ck_assert_uint_eq(secret_uses_count(plan, NULL, PLACE_CREDENTIALS), 3);
	ck_assert_uint_eq(secret_uses_count(plan, "fs", PLACE_ENVIRONMENT), 2);
	ck_assert_int_eq(template_file(plan, "fs", "b", &file), PLACE_CREDENTIALS);
	ck_assert_str_eq(file, "c");
	ck_assert_int_eq(template_file(plan, "db", "b", &file), PLACE_ENVIRONMENT);
	ck_assert_str_eq(file, "b");
	manifest_free(plan);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    the_ceilings_of_root_hold,
	    what_a_manifest_leaves_open_has_a_value,
	    paths_are_normal_or_refused,
	    reserved_places_are_refused,
	    an_install_dir_is_proved_by_its_descriptor,
	    a_context_is_proved_by_its_directory,
	    an_image_is_proved_by_what_was_opened,
	    a_command_is_found_in_its_image,
	    a_command_is_a_program_its_agent_may_run,
	    the_mission_is_as_documented,
	    each_sandbox_has_its_own_secrets,
	};

	return suite_run("policy", tests, ARRAY_LEN(tests));
}
