/*
 * Merges a layer, as an overlay leaves it, into the tree below it, and keeps what that displaces
 * as another layer: merged in its turn, the reverse layer brings everything back. Commit and
 * rollback are this one operation.
 *
 * It only renames (and makes empty directories and whiteouts), so it costs what the layer holds.
 * Stopped anywhere, by a crash too, and called again, it goes on: an entry is in the layer until
 * it is done, and in the reverse layer as soon as the home has lost it.
 */
#ifndef SCARAB_HOME_MERGE_H
#define SCARAB_HOME_MERGE_H

#include "tree.h"

struct merge {
	struct spot layer, home, reverse; /* directories; layer is gone when it is done */
	int scratch;                      /* a directory of the same file system */
	/* Called before every change. For tests; NULL otherwise. */
	void (*before)(void *arg);
	void *arg;
};

/* 0 or -errno. A layer that is not there is merged already. */
int merge_run(const struct merge *merge);

#endif
