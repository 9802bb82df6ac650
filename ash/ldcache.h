/*
 * /etc/ld.so.cache, in which glibc's loader looks up libraries by name (ldconfig(8)). Read within
 * bounds, by ash alone.
 */
#ifndef ASH_LDCACHE_H
#define ASH_LDCACHE_H

#include <stddef.h>

struct ldcache {
	char *bytes; /* heap; NULL: there is none that can be used */
	size_t size;
	size_t begin, count; /* where its header is, how many entries follow it */
};

/* fd: borrowed; negative: there is none. */
void ldcache_read(int fd, struct ldcache *cache);
/* The path of the library in the first entry from *at on, and *at behind it; NULL: no more.
 * Borrowed. */
const char *ldcache_next(const struct ldcache *cache, const char *name, size_t *at);
void ldcache_free(struct ldcache *cache);

#endif
