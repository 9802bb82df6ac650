/*
 * The history of a home: one directory for each session whose changes can be undone, in the order
 * of their commits. Read by runnerd for `ash home log`, written by homekeeper.
 */
#ifndef SCARAB_HOME_HISTORY_H
#define SCARAB_HOME_HISTORY_H

#include <stddef.h>

#include "common/proto.h"

struct history {
	struct msg_home_entry *entries; /* heap, oldest first */
	size_t count;
};

/* home_dir: homes/NAME. A history that is not there is empty. 0 or -errno. */
int history_read(int home_dir, struct history *history);
void history_free(struct history *history);
const struct msg_home_entry *history_find(const struct history *history, const struct uuid *id);
uint64_t history_last(const struct history *history); /* the newest seq, 0: none */
/* Moves all but the newest keep entries, and what is no entry, into the trash of home_dir. */
int history_prune(int home_dir, uint32_t keep);

/* One record in a file of its own. 0, -ENOENT, -EBADMSG when it is another, -errno. */
int history_read_record(int dir, const char *name, enum msg_type type, struct msg *record);
/* Durable and whole. */
int history_write_record(int dir, const char *name, const struct msg *record);

#endif
