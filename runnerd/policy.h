/*
 * What root allows and what holds where a manifest is silent: the ceilings of agentd.yaml and the
 * table of trust levels (CONTRACT 6). Checked at install and again at every session, because
 * agentd.yaml may have changed between the two.
 */
#ifndef SCARAB_RUNNERD_POLICY_H
#define SCARAB_RUNNERD_POLICY_H

#include "common/config.h"

/* A plan with every absent value filled in. */
struct effective {
	enum trust_level trust;
	enum home_mode home;
	bool home_discards_failure;
	uint64_t home_max_bytes;
	uint32_t home_history;
	enum network_policy network;
	enum overlap overlap;
	uint32_t max, queue_limit;
	uint32_t retry_max, max_restarts; /* max_restarts 0: without bound */
	uint64_t backoff_ms, factor_milli, max_backoff_ms;
	enum restart_policy restart;
	uint64_t max_runs_per_day, failures_before_pause; /* 0: off */
	uint64_t timeout_ms, grace_ms, open_files;
	uint64_t disk;    /* bytes */
	uint64_t idle_ms; /* 0: for ever */
	uint64_t memory_bytes, pids;
	uint64_t cpus_milli, cpu_shares; /* ABSENT: as much as there is */
};

void policy_effective(const struct manifest *plan, const struct config *config,
		      struct effective *effective);
/* Where a limit comes from. */
enum limit_origin { FROM_MANIFEST, FROM_CONFIG, FROM_BUILD };

/* One limit as it holds: name as in `ash explain`, key as its origin writes it (NULL: built in). */
struct limit {
	const char *name, *key;
	uint64_t value; /* ABSENT: there is none */
	bool bytes;
	enum limit_origin origin;
};

/* Limit index of a plan; false past the last. */
bool policy_limit(size_t index, const struct manifest *plan, const struct config *config,
		  struct limit *limit);
/* May the plan use this secret now? max_uses: what its secret_policy leaves, 0: no bound. Grants
 * are secretd's to look at. 0, or -1 with error naming the key. now_ms 0: at any time. */
int policy_secret(const struct manifest *plan, const struct manifest_credential *credential,
		  uint64_t now_ms, uint64_t *max_uses, struct error *error);
/* 0, or -1 with error naming the key and the ceiling. install_dir: as installed. */
int policy_check(const struct manifest *plan, const char *install_dir, const struct config *config,
		 struct error *error);

/* May triggers of the plan watch this path? As policy_check() judges context. */
int policy_watch(const struct manifest *plan, const char *path, const struct config *config,
		 struct error *error);

/* May an image be brought in from there (image_reference())? A path must lie below one of
 * ceilings.allowed_images; a name of a registry must begin as one of them that begins with
 * docker://.
 */
int policy_image(const char *reference, const struct config *config, struct error *error);

/* policy_net.c: is every rule of the session's network one that it may have? 0, or -1 with error.
 */
int policy_network(const struct manifest *plan, const struct effective *e, struct error *error);

#endif
