/*
 * Brings a layer that was written in memory to the disk on which its home lies, where it is the
 * redo log as any other. Everything that a layer can say is kept: whiteouts, opaque directories,
 * owners, modes, times, links, user attributes and access lists, holes, second names. It costs what
 * the layer holds.
 */
#ifndef SCARAB_HOME_COPY_H
#define SCARAB_HOME_COPY_H

#include "tree.h"

struct copy {
	int from;       /* the layer's directory, of another file system */
	struct spot to; /* where it is made; may not be there */
	int links;      /* an empty directory beside it: first names of files that have several */
	/* Called before every change. For tests; NULL otherwise. */
	void (*before)(void *arg);
	void *arg;
};

/* 0, -ELOOP for a tree deeper than TREE_DEPTH_MAX, -errno. Stopped anywhere it leaves a part, to be
 * thrown away. */
int copy_run(const struct copy *copy);

#endif
