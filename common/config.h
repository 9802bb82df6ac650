/*
 * agentd.yaml (agentd.yaml(5)): the complete schema of CONTRACT 8. config_read() links libyaml and
 * runs in agentd-config only; the daemons decode what agentd hands them.
 */
#ifndef SCARAB_CONFIG_H
#define SCARAB_CONFIG_H

#include "manifest.h"
#include "proto.h"

struct config {
	char *run_dir, *state_dir, *log_dir;
	char *socket; /* never NULL after config_read: RUN_DIR/agentd.sock by default */
	char *libexec_dir;
	char *group;
	struct {
		char *control, *schedd, *secretd, *dialer, *webhook;
	} users;
	struct {
		uint64_t first, ranges;
	} session_ids;
	char *cgroup; /* "auto" or a path below the cgroup root */
	struct {
		uint64_t sessions, per_agent, queue;
	} limits;
	struct {
		uint64_t timeout_ms, memory_limit, max_pids, max_open_files, disk;
	} defaults;
	struct {
		enum trust_level trust_level;
		struct strings allowed_context;
		bool any_install; /* allowed_install: null */
		struct strings allowed_install, allowed_images;
		uint64_t memory_limit;
	} ceilings;
	struct strings degraded;
	struct {
		char *kek_file, *kek_credential, *passphrase;
	} secrets;
	struct {
		char *listen, *certificate, *key;
		bool off; /* listen: null */
	} webhooks;
	struct {
		char *socket; /* NULL: none */
	} metrics;
	struct {
		uint64_t sessions, age_ms, log_bytes;
	} retention;
	struct {
		char *level, *target;
	} log;
	/* Resolved by agentd before it hands the configuration out (getpwnam, getgrnam). */
	struct {
		uint64_t control, schedd, secretd, dialer, webhook, group;
	} ids;
};

/* text NULL: every default. As manifest_read. */
struct config *config_read(const char *text, size_t length, const char *file, struct error *error);
/* Ranges of login.defs (text, NULL: none) and of systemd that session_ids may not touch. */
int config_check_ids(const struct config *config, const char *login_defs, size_t length,
		     struct error *error);
void config_free(struct config *config);
/* Adds a CONFIG_ORIGIN for each key that the text says, which config_read() took. 0 or -errno.
 * Links libyaml. */
int config_origins(const char *text, size_t length, struct rows *rows);

/* Where secretd listens: beside the operator socket. Heap; NULL without memory. */
char *config_secrets_socket(const struct config *config);

int config_encode(const struct config *config, uint8_t **bytes, size_t *length);
struct config *config_decode(const uint8_t *bytes, size_t length, struct error *error);
/* From the sealed memfd of START and RELOAD (borrowed). */
struct config *config_from_memfd(int fd, struct error *error);

#endif
