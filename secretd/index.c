#include "index.h"

#include <string.h>

#include "common/cleanup.h"

enum { BUCKETS_FIRST = 1024 };

/* FNV-1a: names are chosen by operators, who may store secrets anyway. */
static size_t
hash(const char *name)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		sum = (sum ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (size_t)(sum ^ (sum >> 32));
}

static struct secret **
bucket(const struct index *index, const char *name)
{
	return &index->buckets[hash(name) & (index->bucket_count - 1)];
}

int
index_init(struct index *index)
{
	*index = (struct index){.bucket_count = BUCKETS_FIRST};
	index->buckets = calloc(BUCKETS_FIRST, sizeof(*index->buckets));
	return index->buckets ? 0 : -ENOMEM;
}

static void
secret_free(struct secret *secret)
{
	struct grant *grant;

	while ((grant = secret->grants)) {
		secret->grants = grant->next;
		free(grant);
	}
	free(secret->damage);
	free(secret);
}

void
index_clear(struct index *index)
{
	struct secret *secret;

	for (size_t i = 0; index->buckets && i < index->bucket_count; i++)
		while ((secret = index->buckets[i])) {
			index->buckets[i] = secret->next;
			secret_free(secret);
		}
	free(index->buckets);
	*index = (struct index){0};
}

struct secret *
index_find(const struct index *index, const char *name)
{
	struct secret *secret = *bucket(index, name);

	while (secret && strcmp(secret->name, name) != 0)
		secret = secret->next;
	return secret;
}

static struct grant **
grant_place(struct secret *secret, const char *agent, const char *for_server)
{
	struct grant **at = &secret->grants;

	while (*at &&
	       (strcmp((*at)->agent, agent) != 0 || strcmp((*at)->for_server, for_server) != 0))
		at = &(*at)->next;
	return at;
}

struct grant *
grant_find(const struct secret *secret, const char *agent, const char *for_server)
{
	return *grant_place((struct secret *)(uintptr_t)secret, agent, for_server);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct secret *const *)a)->name, (*(struct secret *const *)b)->name);
}

struct secret **
index_sorted(const struct index *index)
{
	struct secret **all = calloc(index->secrets + 1, sizeof(struct secret *));
	size_t count = 0;

	if (!all)
		return NULL;
	for (size_t i = 0; i < index->bucket_count; i++)
		for (struct secret *s = index->buckets[i]; s; s = s->next)
			all[count++] = s;
	qsort(all, count, sizeof(*all), by_name);
	return all;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Doubled when the chains would grow; without memory they do. */
static void
widen(struct index *index)
{
	size_t count = index->bucket_count * 2;
	struct index wide = {.bucket_count = count};
	struct secret *secret, **at;

	wide.buckets = calloc(count, sizeof(*wide.buckets));
	if (!wide.buckets)
		return;
	for (size_t i = 0; i < index->bucket_count; i++)
		while ((secret = index->buckets[i])) {
			index->buckets[i] = secret->next;
			at = bucket(&wide, secret->name);
			secret->next = *at;
			*at = secret;
		}
	free(index->buckets);
	index->buckets = wide.buckets;
	index->bucket_count = count;
}

static struct secret *
add(struct index *index, const char *name)
{
	struct secret *secret, **at;

	if (index->secrets >= SECRETS_MAX)
		return NULL;
	secret = calloc(1, sizeof(*secret));
	if (!secret)
		return NULL;
	if (index->secrets >= index->bucket_count)
		widen(index);
	snprintf(secret->name, sizeof(secret->name), "%s", name);
	at = bucket(index, name);
	secret->next = *at;
	*at = secret;
	index->secrets++;
	return secret;
}

static int
apply_entry(struct index *index, const struct msg_secret_entry *entry)
{
	struct secret *secret = index_find(index, entry->secret);

	if (entry->tag_len != SECRET_TAG_BYTES)
		return -EBADMSG;
	if (!secret)
		secret = add(index, entry->secret);
	if (!secret)
		return -ENOMEM;
	secret->version = entry->version;
	secret->size = entry->size;
	secret->created_at_ms = entry->created_at_ms;
	secret->updated_at_ms = entry->updated_at_ms;
	memcpy(secret->tag, entry->tag, sizeof(secret->tag));
	return 0;
}

static int
apply_removed(struct index *index, const struct msg_secret_removed *removed)
{
	struct secret **at = bucket(index, removed->secret), *secret;

	while (*at && strcmp((*at)->name, removed->secret) != 0)
		at = &(*at)->next;
	secret = *at;
	if (!secret)
		return -EBADMSG;
	*at = secret->next;
	index->secrets--;
	index->grants -= secret->grant_count;
	secret_free(secret);
	return 0;
}

static int
apply_granted(struct index *index, const struct msg_secret_granted *granted)
{
	struct secret *secret = index_find(index, granted->secret);
	struct grant **at, *grant;

	if (!secret || granted->digest_len != PLAN_DIGEST_BYTES)
		return -EBADMSG;
	at = grant_place(secret, granted->agent, granted->for_server);
	grant = *at;
	if (!grant) {
		grant = *at = calloc(1, sizeof(*grant));
		if (!grant)
			return -ENOMEM;
		secret->grant_count++;
		index->grants++;
	}
	memcpy(grant->agent, granted->agent, sizeof(grant->agent));
	memcpy(grant->for_server, granted->for_server, sizeof(grant->for_server));
	memcpy(grant->digest, granted->digest, sizeof(grant->digest));
	grant->granted_at_ms = granted->granted_at_ms;
	grant->until_at_ms = granted->until_at_ms;
	grant->max_uses = granted->max_uses;
	grant->uses = granted->uses;
	grant->uid = granted->uid;
	return 0;
}

static int
apply_revoked(struct index *index, const struct msg_secret_revoked *revoked)
{
	struct secret *secret = index_find(index, revoked->secret);
	struct grant **at =
	    secret ? grant_place(secret, revoked->agent, revoked->for_server) : NULL;
	struct grant *grant = at ? *at : NULL;

	if (!grant)
		return -EBADMSG;
	*at = grant->next;
	secret->grant_count--;
	index->grants--;
	free(grant);
	return 0;
}

int
index_apply(struct index *index, const struct msg *record)
{
	switch (record->type) {
	case MSG_SECRET_ENTRY:
		return apply_entry(index, &record->secret_entry);
	case MSG_SECRET_REMOVED:
		return apply_removed(index, &record->secret_removed);
	case MSG_SECRET_GRANTED:
		return apply_granted(index, &record->secret_granted);
	case MSG_SECRET_REVOKED:
		return apply_revoked(index, &record->secret_revoked);
	default:
		return -EBADMSG;
	}
}

void
secret_record(const struct secret *secret, struct msg *record)
{
	struct msg_secret_entry *entry = &record->secret_entry;

	msg_init(record, MSG_SECRET_ENTRY);
	memcpy(entry->secret, secret->name, sizeof(secret->name));
	entry->version = secret->version;
	entry->size = secret->size;
	entry->created_at_ms = secret->created_at_ms;
	entry->updated_at_ms = secret->updated_at_ms;
	entry->tag_len = sizeof(secret->tag);
	memcpy(entry->tag, secret->tag, sizeof(secret->tag));
}

void
grant_record(const struct secret *secret, const struct grant *grant, struct msg *record)
{
	struct msg_secret_granted *granted = &record->secret_granted;

	msg_init(record, MSG_SECRET_GRANTED);
	memcpy(granted->secret, secret->name, sizeof(secret->name));
	memcpy(granted->agent, grant->agent, sizeof(grant->agent));
	memcpy(granted->for_server, grant->for_server, sizeof(grant->for_server));
	granted->digest_len = sizeof(grant->digest);
	memcpy(granted->digest, grant->digest, sizeof(grant->digest));
	granted->granted_at_ms = grant->granted_at_ms;
	granted->until_at_ms = grant->until_at_ms;
	granted->max_uses = grant->max_uses;
	granted->uses = grant->uses;
	granted->uid = grant->uid;
}
