/*
 * What a layer does to the home below it, found out without changing anything: one line for each
 * path that was added, modified or removed, their counts, and what it does to the home's size.
 */
#ifndef SCARAB_HOME_CHANGES_H
#define SCARAB_HOME_CHANGES_H

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "tree.h"

/* In the list, as HOME_CHANGES of proto.def says. */
enum change { CHANGE_ADDED = '+', CHANGE_MODIFIED = '~', CHANGE_REMOVED = '-' };

struct changes {
	FILE *list; /* borrowed; NULL: counts only */
	uint64_t added, modified, removed;
	uint64_t new_bytes;  /* what files of the layer take, by each of their names */
	uint64_t lost_bytes; /* the same of the home's files that are displaced */
	bool touched;        /* anything at all differs, be it a directory's times */
	size_t length;
	char path[(TREE_DEPTH_MAX + 1) * (NAME_MAX + 1)];
};

/* -ELOOP: the layer is deeper than TREE_DEPTH_MAX. */
int changes_find(struct changes *changes, struct spot layer, struct spot home);
/* What the files of a tree take. */
uint64_t changes_measure(int dir);

#endif
