/*
 * The files of values: NAME@VERSION, the present one and the one before it. A new one is written
 * and synced as NAME@VERSION.new, then the catalog names it, then it gets its name: what stands
 * under a final name was always in the catalog. Only the store.
 */
#ifndef SCARAB_SECRETD_FILES_H
#define SCARAB_SECRETD_FILES_H

#include <stdbool.h>

#include "index.h"

enum { VALUE_NAME_MAX = SECRET_NAME_MAX + 1 + 20 + 4 /* @, a number, .new */ };

/* "NAME@VERSION", VALUE_NAME_MAX + 1 bytes. */
const char *value_file(const char *name, uint64_t version, char *file);

/* Durable under its temporary name. 0 or -errno. */
int files_prepare(int dir, const char *name, uint64_t version, const void *bytes, size_t length);
/* Its final name, after the catalog names it. A crash before is made good by files_sweep(). */
int files_commit(int dir, const char *name, uint64_t version);
void files_drop(int dir, const char *name, uint64_t version);
void files_drop_new(int dir, const char *name, uint64_t version);
/* Every byte of it. 0 or -errno. */
int files_read(int dir, const char *name, uint64_t version, uint8_t *bytes, size_t max,
	       size_t *length);

/* Looks at every name in the directory: finishes or takes away what a crash left, and notes with
 * each secret of the index what is missing or should not be there. 0 or -errno. */
int files_sweep(int dir, struct index *index);

/* damage is heap memory afterwards; the first one stays. */
void secret_damaged(struct secret *secret, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
