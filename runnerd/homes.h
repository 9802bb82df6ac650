/*
 * Homes: STATE_DIR/homes/NAME, as home/layout.h says. One session at a time holds the lock, by the
 * open file that its keeper inherits; then a homekeeper, which merges what the session left.
 */
#ifndef SCARAB_RUNNERD_HOMES_H
#define SCARAB_RUNNERD_HOMES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/uuid.h"

/* homes/NAME, its tree and its lock: -1 where not open. */
struct home {
	int dir, tree, lock;
};

#define HOME_INIT                                                                                  \
	{                                                                                          \
		.dir = -1, .tree = -1, .lock = -1                                                  \
	}

/* Makes what is missing, and locks. 0, or -1 with error (ERR_CONFLICT: a session, or a change of
 * the home that is not finished, holds it). */
int home_open(int homes_fd, const char *agent, uint32_t base_uid, struct home *home,
	      struct error *error);
void home_close(struct home *home);
/* What a session may write over its home on disk. */
struct home_limit {
	uint32_t project; /* runnerd/quota.h */
	uint64_t bytes;
};

/* The layer that takes a session's changes, as an overlay's mount upon the tree. limit NULL: as
 * much as there is. Descriptor, or -1 with error. */
int home_layer_mount(const struct home *home, const struct uuid *session,
		     const struct home_limit *limit, struct error *error);
/* The same in memory: HOME_LAYER of the session's layers (runnerd/layers.h), to be mounted upon the
 * tree. 0, or -1 with error. */
int home_layer_in_memory(const struct home *home, const struct uuid *session, int layers,
			 struct error *error);
/* Does the home hold changes of this session (NULL: of any, or a rollback that is not finished)? */
bool home_unsettled(int homes_fd, const char *agent, const struct uuid *session);
/* Are they neither merged nor marked to be? */
bool home_undecided(int homes_fd, const char *agent, const struct uuid *session);
/* Does somebody hold its lock? */
bool home_is_locked(int homes_fd, const char *agent);
/* Does it hold what a homekeeper took out of its name and did not come to delete? */
bool home_has_trash(int homes_fd, const char *agent);
/* The home is about to be written directly: its history ends here. 0 or -errno. */
int home_note_direct(const struct home *home);
/* Takes the home out of its name at once; deleting what it held goes on in a process of its own,
 * so that a big home makes nobody wait. 0 (also when there is none) or -errno. */
int home_purge(int homes_fd, const char *agent);
/* At start: goes on with what an interrupted purge left. */
int homes_sweep(int homes_fd);

#endif
