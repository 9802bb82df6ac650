#include "manifest_schema.h"

#include <stddef.h>

#include "field.h"
#include "limits.h"
#include "manifest_rules.h"
#include "values.h"

enum {
	ARG_MAX_BYTES = 8192,
	ENV_VALUE_BYTES = 32768,
	PATTERN_BYTES = 255,
	SERVERS = 32,
	GLOBS = 128,
};

/* --- words ------------------------------------------------------------------------------------ */

const struct choice runtime_choices[] = {
    {"rust", RUNTIME_RUST},
    {"native", RUNTIME_RUST},
    {"python", RUNTIME_PYTHON},
    {"node", RUNTIME_NODE},
    {"wasm", RUNTIME_WASM},
    {"container", RUNTIME_CONTAINER},
    {NULL, 0},
};
const struct choice trust_level_choices[] = {
    {"untrusted", TRUST_UNTRUSTED},
    {"sandboxed", TRUST_SANDBOXED},
    {"trusted", TRUST_TRUSTED},
    {"privileged", TRUST_PRIVILEGED},
    {NULL, 0},
};
const struct choice home_mode_choices[] = {
    {"journal", HOME_JOURNAL}, {"direct", HOME_DIRECT}, {"none", HOME_NONE}, {NULL, 0}};
const struct choice network_policy_choices[] = {
    {"none", NETWORK_NONE}, {"local", NETWORK_LOCAL}, {"allowlist", NETWORK_ALLOWLIST},
    {"full", NETWORK_FULL}, {"host", NETWORK_HOST},   {NULL, 0},
};
const struct choice overlap_choices[] = {
    {"queue", OVERLAP_QUEUE},
    {"skip", OVERLAP_SKIP},
    {"replace", OVERLAP_REPLACE},
    {"allow", OVERLAP_ALLOW},
    {NULL, 0},
};
static const struct choice on_failure_choices[] = {
    {"keep", ON_FAILURE_KEEP}, {"discard", ON_FAILURE_DISCARD}, {NULL, 0}};
static const struct choice transport_choices[] = {
    {"Stdio", TRANSPORT_STDIO}, {"Http", TRANSPORT_HTTP}, {NULL, 0}};
static const struct choice missed_choices[] = {
    {"skip", MISSED_SKIP}, {"run-once", MISSED_RUN_ONCE}, {"run-all", MISSED_RUN_ALL}, {NULL, 0}};
static const struct choice restart_choices[] = {
    {"never", RESTART_NEVER},
    {"on-failure", RESTART_ON_FAILURE},
    {"always", RESTART_ALWAYS},
    {NULL, 0},
};

/* --- entries of lists ------------------------------------------------------------------------- */

#define STRUCT struct manifest_inject
static const struct field inject_fields[] = {
    TEXT_REQUIRED(1, "host", host, 259, value_inject_host),
    TEXT_REQUIRED(2, "header", header, 64, value_header),
    TEXT(3, "format", format, 255, value_inject_format),
    TEXTS(4, "methods", methods, 16, 20, value_method),
    TEXTS(5, "paths", paths, 16, 255, value_inject_path),
    TEXT(6, "base_url_env", base_url_env, 255, value_agent_env),
    TEXT(7, "base_path", base_path, 255, value_base_path),
};
static const struct record inject_record = {RECORD(inject_fields)};
#undef STRUCT

#define STRUCT struct manifest_credential
static const size_t has_inject = offsetof(struct manifest_credential, has_inject);
static const struct field credential_fields[] = {
    TEXT_REQUIRED(1, "name", name, 64, value_secret_name),
    TEXT(2, "as", as, 128, value_file_name),
    TEXT(3, "env", env, 255, value_agent_env),
    TEXT(4, "for", for_server, 16, NULL),
    {AT(GROUP, 5, "inject", inject), .record = &inject_record, .present = &has_inject},
};
static const struct record credential_record = {RECORD(credential_fields),
						.finish = finish_credential};
#undef STRUCT

#define STRUCT struct manifest_context
static const struct field context_fields[] = {
    TEXT_REQUIRED(1, "source", source, PATH_LEN_MAX, value_path),
    TEXT_REQUIRED(2, "target", target, PATH_LEN_MAX, value_context_target),
};
static const struct record context_record = {RECORD(context_fields)};
#undef STRUCT

#define STRUCT struct manifest_skill
static const struct field skill_fields[] = {
    TEXT_REQUIRED(1, "name", name, SKILL_NAME_MAX, value_skill),
    TEXT(2, "description", description, SKILL_DESCRIPTION_BYTES, value_text),
};
static const struct record skill_record = {RECORD(skill_fields)};
#undef STRUCT

#define STRUCT struct manifest_network
static const struct field network_fields[] = {
    ENUM(1, "policy", policy, network_policy_choices),
    TEXTS(2, "allowlist", allowlist, 256, 320, value_rule),
};
static const struct record network_record = {RECORD(network_fields), .finish = finish_network};
#undef STRUCT

#define STRUCT struct manifest_server
static const struct field server_fields[] = {
    TEXT_REQUIRED(1, "name", name, 16, value_server_name),
    ENUM(2, "transport", transport, transport_choices),
    TEXT(3, "command", command, PATH_LEN_MAX, value_path_any),
    TEXTS(4, "args", args, 256, ARG_MAX_BYTES, value_text),
    TEXT(5, "url", url, 2047, value_url),
    PAIRS(6, "env_template", env_template, 256, value_env_name, ENV_VALUE_BYTES, value_template),
    {AT(BOOL, 7, "required", required), .fallback = true},
    TEXTS(8, "mounts", mounts, 8, 16, value_mount),
    {AT(GROUP, 9, "network", network), .record = &network_record},
    TEXTS(10, "allow", allow, GLOBS, 128, value_tool_glob),
    TEXTS(11, "deny", deny, GLOBS, 128, value_tool_glob),
    TEXTS(12, "ask", ask, GLOBS, 128, value_tool_glob),
    OPEN(DURATION, 13, "timeout", timeout_ms, 1, DAYS(1)),
    {AT(BOOL, 14, "passthrough", passthrough)},
    OPEN(DURATION, 15, "start_timeout", start_timeout_ms, 1, HOURS(1)),
};
static const struct record server_record = {RECORD(server_fields), .finish = finish_server};
#undef STRUCT

#define STRUCT struct manifest_trigger
static const struct field trigger_fields[] = {
    TEXT(1, "cron", cron, 255, value_cron),
    TEXT(2, "timezone", timezone, 64, value_timezone),
    OPEN(DURATION, 3, "every", every_ms, MS(1), DAYS(366)),
    OPEN(TIME, 4, "at", at_ms, 1, DAYS(366 * 1000)),
    TEXT(5, "event", event, 128, value_event),
    PAIRS(6, "filter", filter, 32, value_event_filter, 1023, value_text),
    TEXT(7, "path", path, PATH_LEN_MAX, value_path),
    TEXTS(8, "on", on, 4, 16, value_path_event),
    TEXT(9, "after", after, AGENT_NAME_MAX, value_agent_name),
    TEXT(10, "outcome", outcome, 32, value_outcome),
    TEXT(11, "webhook", webhook, 64, value_webhook),
    TEXT(12, "secret", secret, 64, value_secret_name),
    TEXT(13, "task", task, TASK_MAX, value_text),
    ENUM(14, "missed", missed, missed_choices),
    OPEN(DURATION, 15, "missed_within", missed_within_ms, 1, DAYS(366)),
    OPEN(DURATION, 16, "jitter", jitter_ms, 0, DAYS(1)),
    {AT(BOOL, 17, "unsigned", without_signature)},
};
static const struct record trigger_record = {RECORD(trigger_fields), .finish = finish_trigger};
#undef STRUCT

#define STRUCT struct manifest_blackout
static const struct field blackout_fields[] = {
    TEXT_REQUIRED(1, "cron", cron, 255, value_cron),
    TEXT(2, "timezone", timezone, 64, value_timezone),
};
static const struct record blackout_record = {RECORD(blackout_fields)};
#undef STRUCT

#define STRUCT struct manifest_secret_rule
static const struct field secret_rule_fields[] = {
    TEXT(1, "label", label, PATTERN_BYTES, value_line),
    TEXT(2, "secret_pattern", secret_pattern, PATTERN_BYTES, value_glob),
    TEXT(3, "tool_pattern", tool_pattern, PATTERN_BYTES, value_glob),
    TEXT(4, "host_pattern", host_pattern, PATTERN_BYTES, value_glob),
    OPEN(TIME, 5, "expires_at", expires_at_ms, 1, DAYS(366 * 1000)),
    OPEN(NUMBER, 6, "max_uses", max_uses, 0, UINT32_MAX),
};
static const struct record secret_rule_record = {RECORD(secret_rule_fields)};
#undef STRUCT

/* --- mappings of the manifest ----------------------------------------------------------------- */

#define STRUCT struct manifest
static const struct field metadata_fields[] = {
    TEXT_REQUIRED(1, "name", name, AGENT_NAME_MAX, value_agent_name),
    TEXT_REQUIRED(2, "version", version, VERSION_MAX, value_semver),
    TEXT(3, "description", description, DESCRIPTION_MAX, value_text),
    PAIRS(4, "labels", labels, 64, value_label, 255, value_text),
};
static const struct record metadata_record = {RECORD(metadata_fields)};

static const struct field home_fields[] = {
    ENUM(1, "mode", home.mode, home_mode_choices),
    ENUM(2, "on_failure", home.on_failure, on_failure_choices),
    OPEN(SIZE, 3, "max_size", home.max_size, MIB(1), TIB(1024)),
    OPEN(NUMBER, 4, "history", home.history, 0, 1000),
};
static const struct record home_record = {RECORD(home_fields)};

static const struct field concurrency_fields[] = {
    ENUM(1, "policy", concurrency.policy, overlap_choices),
    OPEN(NUMBER, 2, "max", concurrency.max, 1, 1000),
    OPEN(NUMBER, 3, "queue_limit", concurrency.queue_limit, 0, 10000),
};
static const struct record concurrency_record = {RECORD(concurrency_fields)};

static const struct field retry_fields[] = {
    OPEN(NUMBER, 1, "max", retry.max, 0, 100),
    OPEN(DURATION, 2, "backoff", retry.backoff_ms, 0, DAYS(1)),
    OPEN(MILLI, 3, "factor", retry.factor_milli, 1000, 100 * 1000),
    OPEN(DURATION, 4, "max_backoff", retry.max_backoff_ms, 0, DAYS(7)),
};
static const struct record retry_record = {RECORD(retry_fields)};

static const struct field lifecycle_fields[] = {
    ENUM(1, "restart_policy", lifecycle.restart_policy, restart_choices),
    OPEN(NUMBER, 2, "max_restarts", lifecycle.max_restarts, 0, 1000),
    OPEN(SECONDS, 3, "timeout_secs", lifecycle.timeout_ms, MS(1), DAYS(366)),
    OPEN(SECONDS, 4, "idle_timeout_secs", lifecycle.idle_timeout_ms, 0, DAYS(366)),
    OPEN(DURATION, 5, "stop_grace", lifecycle.stop_grace_ms, 0, HOURS(1)),
};
static const struct record lifecycle_record = {RECORD(lifecycle_fields)};

static const struct field budget_fields[] = {
    OPEN(NUMBER, 1, "max_runs_per_day", budget.max_runs_per_day, 0, 1000000),
    OPEN(NUMBER, 2, "max_tool_calls", budget.max_tool_calls, 0, 1000000000),
    OPEN(NUMBER, 3, "failures_before_pause", budget.failures_before_pause, 0, 1000000),
};
static const struct record budget_record = {RECORD(budget_fields)};

static const struct field resources_fields[] = {
    OPEN(SIZE, 1, "memory_limit", resources.memory_limit, MIB(1), TIB(1024)),
    OPEN(NUMBER, 2, "cpu_shares", resources.cpu_shares, 2, 262144),
    OPEN(MILLI, 3, "cpus", resources.cpus_milli, 10, 8192 * 1000),
    OPEN(NUMBER, 4, "max_pids", resources.max_pids, 2, 4194304),
    OPEN(NUMBER, 5, "max_open_files", resources.max_open_files, 16, 1048576),
    OPEN(SIZE, 6, "disk", resources.disk, MIB(1), TIB(1024)),
};
static const struct record resources_record = {RECORD(resources_fields)};

static const struct field workspace_fields[] = {
    {AT(BOOL, 1, "auto_snapshot", auto_snapshot)},
};
static const struct record workspace_record = {RECORD(workspace_fields)};

static const size_t has_capabilities = offsetof(struct manifest, has_capabilities);
static const struct field spec_fields[] = {
    ENUM(1, "runtime", runtime, runtime_choices),
    TEXT(2, "command", command, PATH_LEN_MAX, value_path_any),
    TEXTS(3, "args", args, 256, ARG_MAX_BYTES, value_text),
    TEXT(4, "entrypoint", entrypoint, PATH_LEN_MAX, value_path_relative),
    TEXTS(5, "packages", packages, 256, PATH_LEN_MAX, value_path_relative),
    PAIRS(6, "env", env, 256, value_agent_env, ENV_VALUE_BYTES, value_text),
    TEXT(7, "task", task, TASK_MAX, value_text),
    TEXT(8, "model", model, MODEL_MAX, value_line),
    ENUM(9, "trust_level", trust_level, trust_level_choices),
    {AT(TEXTS, 10, "capabilities", capabilities), .max = 256, .entry_max = 511,
     .check = value_capability, .present = &has_capabilities},
    TEXT(11, "image", image, PATH_LEN_MAX, value_image),
    GROUP(12, "home", home_record),
    {AT(GROUP, 13, "network", network), .record = &network_record},
    LIST(14, "credentials", credentials, 64, credential_record),
    LIST(15, "context", context, CONTEXT_MAX, context_record),
    TEXTS(16, "skills", skills, SKILLS_MAX, PATH_LEN_MAX, value_skill),
    LIST(17, "mcp_servers", mcp_servers, SERVERS, server_record),
    LIST(18, "triggers", triggers, TRIGGERS_MAX, trigger_record),
    LIST(19, "blackout", blackout, 32, blackout_record),
    {AT(SIGNED, 20, "priority", priority), .min = -100, .max = 100},
    GROUP(21, "concurrency", concurrency_record),
    GROUP(22, "retry", retry_record),
    GROUP(23, "lifecycle", lifecycle_record),
    GROUP(24, "budget", budget_record),
    GROUP(25, "resources", resources_record),
    LIST(26, "secret_policy", secret_policy, 64, secret_rule_record),
    GROUP(27, "workspace", workspace_record),
    {AT(LIST, 28, "skill_index", skill_index), .max = SKILLS_MAX, .record = &skill_record,
     .hidden = true},
    {AT(TEXT, 29, "interpreter", interpreter), .max = PATH_LEN_MAX, .check = value_path,
     .hidden = true},
    {AT(TEXT, 30, "interpreter_version", interpreter_version), .max = VERSION_MAX,
     .check = value_line, .hidden = true},
    {AT(TEXT, 31, "image_digest", image_digest), .max = IMAGE_DIGEST_LEN,
     .check = value_image_digest, .hidden = true},
    {AT(TEXT, 33, "engine", engine), .max = ENGINE_NAME_MAX, .check = value_line, .hidden = true},
};
static const struct record spec_record = {RECORD(spec_fields)};

static const struct field manifest_fields[] = {
    {.key = "apiVersion", .type = FIELD_CONSTANT, .text = "scarab/v1", .required = true},
    {.key = "kind", .type = FIELD_CONSTANT, .text = "AgentManifest", .required = true},
    GROUP(1, "metadata", metadata_record),
    GROUP(2, "spec", spec_record),
};
const struct record manifest_record = {RECORD(manifest_fields), .finish = finish_manifest};
#undef STRUCT
