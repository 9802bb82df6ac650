/*
 * Agent manifests (agent-manifest(5)): the complete schema of scarab/v1 as one struct, read from
 * YAML by unprivileged processes, carried to runnerd as a bounded binary plan, printed as JSON.
 *
 * manifest_read() and manifest_enforceable() link libyaml and run in ash, control and tests only;
 * plan_encode() and plan_decode() are all that runnerd and schedd use.
 */
#ifndef SCARAB_MANIFEST_H
#define SCARAB_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "json.h"

/* "The manifest does not say": the default of the trust level or of agentd.yaml holds. */
#define ABSENT UINT64_MAX

enum runtime {
	RUNTIME_ABSENT,
	RUNTIME_RUST,
	RUNTIME_PYTHON,
	RUNTIME_NODE,
	RUNTIME_WASM,
	RUNTIME_CONTAINER
};
enum trust_level {
	TRUST_ABSENT,
	TRUST_UNTRUSTED,
	TRUST_SANDBOXED,
	TRUST_TRUSTED,
	TRUST_PRIVILEGED
};
enum seccomp_profile {
	PROFILE_SMALLEST, /* untrusted: no sockets but AF_UNIX */
	PROFILE_DEFAULT,
	PROFILE_COUNT,
};
enum home_mode { HOME_ABSENT, HOME_JOURNAL, HOME_DIRECT, HOME_NONE };
enum on_failure { ON_FAILURE_ABSENT, ON_FAILURE_KEEP, ON_FAILURE_DISCARD };
enum network_policy {
	NETWORK_ABSENT,
	NETWORK_NONE,
	NETWORK_LOCAL,
	NETWORK_ALLOWLIST,
	NETWORK_FULL,
	NETWORK_HOST
};
enum transport { TRANSPORT_ABSENT, TRANSPORT_STDIO, TRANSPORT_HTTP };
enum missed { MISSED_ABSENT, MISSED_SKIP, MISSED_RUN_ONCE, MISSED_RUN_ALL };
enum overlap { OVERLAP_ABSENT, OVERLAP_QUEUE, OVERLAP_SKIP, OVERLAP_REPLACE, OVERLAP_ALLOW };
enum restart_policy { RESTART_ABSENT, RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS };
enum trigger_kind {
	TRIGGER_NONE,
	TRIGGER_CRON,
	TRIGGER_EVERY,
	TRIGGER_AT,
	TRIGGER_EVENT,
	TRIGGER_PATH,
	TRIGGER_AFTER,
	TRIGGER_WEBHOOK
};

/* All strings are heap memory of the manifest; NULL: absent. */
struct strings {
	char **items;
	size_t count;
};
struct pair {
	char *key, *value;
};
struct pairs {
	struct pair *items;
	size_t count;
};

struct manifest_inject {
	char *host, *header, *format;   /* host: NAME or NAME:PORT */
	struct strings methods, paths;  /* empty: all */
	char *base_url_env, *base_path; /* a variable that holds http://NAME and this path */
};
struct manifest_credential {
	char *name, *as, *env, *for_server;
	bool has_inject;
	struct manifest_inject inject;
};
struct manifest_context {
	char *source, *target;
};
/* What is known of an entry of skills, by its SKILL.md when the agent was installed. */
struct manifest_skill {
	char *name;        /* below /skills: the directory's */
	char *description; /* NULL: it has none and is left out */
};
struct manifest_network {
	enum network_policy policy;
	struct strings allowlist;
};
struct manifest_server {
	char *name;
	enum transport transport;
	char *command;
	struct strings args;
	char *url;
	struct pairs env_template;
	bool required;
	struct strings mounts;
	struct manifest_network network;
	struct strings allow, deny, ask;
	uint64_t timeout_ms;
	bool passthrough;
	uint64_t start_timeout_ms;
};
struct manifest_trigger {
	enum trigger_kind kind;
	char *cron, *timezone;
	uint64_t every_ms, at_ms;
	char *event;
	struct pairs filter;
	char *path;
	struct strings on;
	char *after, *outcome, *webhook, *secret;
	bool without_signature; /* unsigned: anybody may call */
	char *task;
	enum missed missed;
	uint64_t missed_within_ms, jitter_ms;
};
struct manifest_blackout {
	char *cron, *timezone;
};
struct manifest_secret_rule {
	char *label, *secret_pattern, *tool_pattern, *host_pattern;
	uint64_t expires_at_ms, max_uses;
};

#define LIST_OF(type)                                                                              \
	struct {                                                                                   \
		struct type *items;                                                                \
		size_t count;                                                                      \
	}

struct manifest {
	char *name, *version, *description;
	struct pairs labels;
	enum runtime runtime;
	char *command;
	struct strings args;
	char *entrypoint;
	struct strings packages;
	/* What interprets the entrypoint, and its version, as found at install; of a plan, in no
	 * manifest. NULL: nothing does, or its version is not known. */
	char *interpreter, *interpreter_version;
	char *image_digest; /* "sha256:HEX" of an image oci:, as found at install; the same */
	char *engine;       /* the same, of the runtime wasm: its name in the table (engine.h) */
	struct pairs env;
	char *task, *model;
	enum trust_level trust_level;
	bool has_capabilities;
	struct strings capabilities;
	char *image;
	struct {
		enum home_mode mode;
		enum on_failure on_failure;
		uint64_t max_size, history;
	} home;
	struct manifest_network network;
	LIST_OF(manifest_credential) credentials;
	LIST_OF(manifest_context) context;
	struct strings skills;
	LIST_OF(manifest_skill) skill_index; /* one for each of skills; of a plan, in no manifest */
	LIST_OF(manifest_server) mcp_servers;
	LIST_OF(manifest_trigger) triggers;
	LIST_OF(manifest_blackout) blackout;
	int64_t priority;
	struct {
		enum overlap policy;
		uint64_t max, queue_limit;
	} concurrency;
	struct {
		uint64_t max, backoff_ms, factor_milli, max_backoff_ms;
	} retry;
	struct {
		enum restart_policy restart_policy;
		uint64_t max_restarts, timeout_ms, idle_timeout_ms, stop_grace_ms;
	} lifecycle;
	struct {
		uint64_t max_runs_per_day, max_tool_calls, failures_before_pause;
	} budget;
	struct {
		uint64_t memory_limit, cpu_shares, cpus_milli, max_pids, max_open_files, disk;
	} resources;
	LIST_OF(manifest_secret_rule) secret_policy;
	bool auto_snapshot; /* scarab/v1's workspace.auto_snapshot: home mode journal */
};

/* Reads the text of a manifest. A failure (ERR_INVALID) names FILE:LINE:COLUMN, the key and, for
 * an unknown key, the nearest known one; file is only for that message. Checks form and values of
 * every key and what one key demands of another; not the host. NULL with error. Warnings (v1 keys
 * and capability domains without meaning here, as "FILE:LINE:COL: text" lines) go to *warnings
 * (heap, NULL when none; warnings itself may be NULL). */
struct manifest *manifest_read(const char *text, size_t length, const char *file, char **warnings,
			       struct error *error);
/* What this build cannot enforce yet: 0, or -1 with ERR_INVALID "this build cannot enforce KEY…"
 * at the place in FILE where the key stands. */
int manifest_enforceable(const char *text, size_t length, const char *file, struct error *error);
/* The same rule over a decoded plan, for runnerd, which has no text: names the key. */
int plan_enforceable(const struct manifest *manifest, struct error *error);
void manifest_free(struct manifest *manifest);

/* The binary plan: heap bytes, -EFBIG over PLAN_BYTES_MAX. Every value within the bounds that
 * manifest_read checks; the decoder checks them all again and refuses bytes left over. */
int plan_encode(const struct manifest *manifest, uint8_t **bytes, size_t *length);
struct manifest *plan_decode(const uint8_t *bytes, size_t length, struct error *error);

/* The manifest as one JSON object with the keys of agent-manifest(5); absent keys are null, absent
 * lists and mappings empty (capabilities: null, since an empty list grants nothing). */
void manifest_json(const struct manifest *manifest, struct json *json);

const char *runtime_name(enum runtime runtime);
enum runtime runtime_parse(const char *name); /* "native" is rust */
const char *trust_level_name(enum trust_level level);
const char *home_mode_name(enum home_mode mode);
/* The directory of an image `dir:`; NULL: the image is another. Borrowed. */
const char *manifest_image_dir(const struct manifest *manifest);
/* How many descriptors prove its image: a directory's one, the two of IMAGE_ADD, or none. */
size_t manifest_image_proofs(const struct manifest *manifest);
/* An image that is not the host's: a directory or one of the store. */
bool manifest_image_is_tree(const struct manifest *manifest);
/* The reference of an image that is brought into the store, oci:/PATH or docker://NAME, and its tag
 * (PATH_LEN_MAX + 1 and IMAGE_TAG_MAX + 1 bytes; tag empty: none). False: the image is another. */
bool image_reference(const char *image, char *reference, char *tag);
/* What a level of trust may call, and its name: smallest, default. */
enum seccomp_profile profile_of(enum trust_level trust);
const char *profile_name(enum seccomp_profile profile);
const char *network_policy_name(enum network_policy policy);
const char *overlap_name(enum overlap overlap);
const char *trigger_kind_name(enum trigger_kind kind);
/* How many of its triggers watch a path. */
size_t plan_watches(const struct manifest *manifest);
bool agent_name_valid(const char *name);
/* The last component of an entry of skills. */
const char *skill_name(const char *skill);
/* Where it lies, without . and .., when install_dir is this one: PATH_LEN_MAX + 1 bytes. 0 or
 * -ENAMETOOLONG. */
int skill_path(const char *skill, const char *install_dir, char *path);

#endif
