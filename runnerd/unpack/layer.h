/* One layer: from the bytes of its blob to a tree that is verified and on the disk. */
#ifndef SCARAB_UNPACK_LAYER_H
#define SCARAB_UNPACK_LAYER_H

#include "common/proto.h"
#include "tree.h"

/* What does not arrive is missed by nobody. */
typedef void layer_progress(void *arg, const struct msg_unpack_progress *read);

struct layer_order {
	const struct msg_unpack_layer *asked;
	int root, blob; /* borrowed */
	layer_progress *progress;
	tree_opaque *opaque;
	void *arg;
};

/* -1 with error: what is written is of no use. */
int layer_unpack(const struct layer_order *order, struct msg_unpack_done *done,
		 struct error *error);

#endif
