#include "ldcache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

enum { CACHE_MAX = 32 << 20, OLD_HEAD = 16, OLD_ENTRY = 12 };

static const char old_magic[] = "ld.so-1.7.0";
static const char new_magic[] = "glibc-ld.so.cache1.1";

/* glibc's sysdeps/generic/dl-cache.h: struct cache_file_new. Offsets count from the header. */
struct head {
	char magic[20];
	uint32_t count, strings;
	uint8_t flags, padding[3];
	uint32_t extension, unused[3];
};
struct entry {
	int32_t flags;
	uint32_t name, path, version;
	uint64_t hwcap;
};

/* Behind an old one (glibc before 2.32 wrote both) or at the beginning. */
static bool
find_head(struct ldcache *cache)
{
	uint32_t entries;

	if (cache->size >= OLD_HEAD && !memcmp(cache->bytes, old_magic, strlen(old_magic))) {
		memcpy(&entries, cache->bytes + 12, sizeof(entries));
		cache->begin =
		    (OLD_HEAD + (size_t)entries * OLD_ENTRY + sizeof(uint64_t) - 1) & ~(size_t)7;
	}
	return cache->begin <= cache->size && cache->size - cache->begin >= sizeof(struct head) &&
	       !memcmp(cache->bytes + cache->begin, new_magic, strlen(new_magic));
}

void
ldcache_read(int fd, struct ldcache *cache)
{
	struct head head;

	*cache = (struct ldcache){0};
	if (fd < 0 || read_file(fd, CACHE_MAX, &cache->bytes, &cache->size) < 0)
		return;
	if (find_head(cache)) {
		memcpy(&head, cache->bytes + cache->begin, sizeof(head));
		cache->count = head.count;
		if (head.count <=
		    (cache->size - cache->begin - sizeof(head)) / sizeof(struct entry))
			return;
	}
	ldcache_free(cache);
}

/* A text of the cache; NULL when it does not end within. */
static const char *
text_at(const struct ldcache *cache, uint32_t offset)
{
	size_t left = cache->size - cache->begin;
	const char *text = cache->bytes + cache->begin + offset;

	if (offset >= left || !memchr(text, '\0', left - offset))
		return NULL;
	return text;
}

const char *
ldcache_next(const struct ldcache *cache, const char *name, size_t *at)
{
	struct entry entry;
	const char *found, *path;

	while (cache->bytes && *at < cache->count) {
		memcpy(&entry,
		       cache->bytes + cache->begin + sizeof(struct head) + *at * sizeof(entry),
		       sizeof(entry));
		(*at)++;
		found = text_at(cache, entry.name);
		path = text_at(cache, entry.path);
		if (found && path && !strcmp(found, name))
			return path;
	}
	return NULL;
}

void
ldcache_free(struct ldcache *cache)
{
	free(cache->bytes);
	*cache = (struct ldcache){0};
}
