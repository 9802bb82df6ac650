/*
 * A layer's tree, written entry by entry below this process's root, which is the tree: nothing that
 * a name says can lead out. What an entry says of names is checked here, and what it asks for that
 * a layer may not have is refused by name or left out:
 *
 *   refused    ".." in a name or a hard link, names that are no UTF-8 or over their bounds, ids
 * over 65535, devices outside /dev, hard links to what the layer has not, over links or to
 *              directories, whiteouts of nothing, files in the place of full directories
 *   left out   devices in /dev (a session has its own), set-id bits, every attribute but user.*
 *              (user.overlay.* too), access control lists
 *   kept       FIFOs, the sticky bit, links wherever they lead: they are resolved in the sandbox
 */
#ifndef SCARAB_UNPACK_TREE_H
#define SCARAB_UNPACK_TREE_H

#include <stdint.h>

#include "common/error.h"

struct archive;
struct archive_entry;

/* Makes the mark that a directory hides what is below it: takes a privilege that is not here. */
typedef int tree_opaque(void *arg, int dir, struct error *error);

struct tree {
	int root;
	uint64_t bytes, entries; /* written so far */
	uint64_t max_bytes, max_entries;
	uint64_t unchecked; /* bytes since free space was looked at */
	tree_opaque *opaque;
	void *arg;
	/* The directory of the entry before: the next is mostly beside it. */
	char *parent_path;
	int parent;
};

/* max_*: of the layer. root is borrowed. */
void tree_begin(struct tree *tree, int root, uint64_t max_bytes, uint64_t max_entries,
		tree_opaque *opaque, void *arg);
/* The entry whose header the archive gave last. -1 with error. */
int tree_add(struct tree *tree, struct archive *archive, struct archive_entry *entry,
	     struct error *error);
/* Everything written is on the disk. -1 with error. */
int tree_sync(struct tree *tree, struct error *error);
void tree_end(struct tree *tree);

#endif
