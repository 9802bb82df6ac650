/*
 * The file `head`: two slots of 512 bytes, written in turn, so that one is whole whatever a crash
 * cuts. Only the catalog.
 */
#ifndef SCARAB_SECRETD_HEAD_H
#define SCARAB_SECRETD_HEAD_H

#include "keys.h"

enum { HEAD_SLOTS = 2, HEAD_SLOT_BYTES = 512 };

struct head {
	uint64_t generation; /* of the catalog: how often it was written anew */
	uint64_t counter;    /* changes of the store */
	uint64_t length;     /* bytes of the catalog */
	uint8_t chain[MAC_BYTES];
};

/* Makes the file with this head in both slots, durable but for its name. Descriptor or -errno. */
int head_create(int dir, const struct head *head, const struct keys *keys);
/* The newest whole slot. Descriptor; -EBADMSG when none is whole, -errno. damaged: one is not. */
int head_open(int dir, const struct keys *keys, struct head *head, bool *damaged);
/* Durable when it returns 0. */
int head_write(int fd, const struct head *head, const struct keys *keys);

#endif
