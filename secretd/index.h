/*
 * What the store holds, in memory: secrets by name, each with its grants; never a value. The
 * catalog fills it. Only secretd.
 */
#ifndef SCARAB_SECRETD_INDEX_H
#define SCARAB_SECRETD_INDEX_H

#include "common/proto.h"

enum {
	SECRETS_MAX = 65536,
	GRANTS_MAX = 256, /* of one secret */
};

struct grant {
	struct grant *next;
	char agent[AGENT_NAME_MAX + 1];
	char for_server[SERVER_NAME_MAX + 1]; /* empty: the agent */
	uint8_t digest[PLAN_DIGEST_BYTES];
	uint64_t granted_at_ms, until_at_ms, max_uses, uses;
	uint32_t uid;
};

struct secret {
	struct secret *next;
	char name[SECRET_NAME_MAX + 1];
	uint64_t version, created_at_ms, updated_at_ms;
	uint32_t size;
	uint8_t tag[SECRET_TAG_BYTES];
	uint64_t newest_file; /* the highest version that a file has */
	bool seen;            /* its file, while the directory is read */
	char *damage;         /* what is wrong with its file; heap, NULL: nothing known */
	struct grant *grants;
	unsigned grant_count;
};

struct index {
	struct secret **buckets;
	size_t bucket_count, secrets, grants;
};

int index_init(struct index *index); /* 0 or -ENOMEM */
void index_clear(struct index *index);

struct secret *index_find(const struct index *index, const char *name);
struct grant *grant_find(const struct secret *secret, const char *agent, const char *for_server);
/* Every secret, in the order of names: heap, the caller's. NULL with errno. */
struct secret **index_sorted(const struct index *index);

/* What a record of the catalog says. 0, -ENOMEM, -EBADMSG for one that cannot be. */
int index_apply(struct index *index, const struct msg *record);
/* The records that make up a secret and a grant. */
void secret_record(const struct secret *secret, struct msg *record);
void grant_record(const struct secret *secret, const struct grant *grant, struct msg *record);

#endif
