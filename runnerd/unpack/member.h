/*
 * The files of an archive by name and place, so that each can be read where it lies: the headers of
 * a tar (ustar, GNU, pax), walked once and skipped over. What holds the digests of all that counts
 * is verified by its reader, so a header that is read wrongly costs a refusal and no more.
 */
#ifndef SCARAB_UNPACK_MEMBER_H
#define SCARAB_UNPACK_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { MEMBER_NAME_MAX = 127 /* blobs/sha256/ and 64 digits; longer names are nobody's */ };

struct member {
	char name[MEMBER_NAME_MAX + 1];
	char link[MEMBER_NAME_MAX + 1]; /* what a link names, "": it is none */
	bool regular;
	uint64_t offset, size;
};

/* Up to max of them; a doubled name is refused. -1 with error. */
int members_read(int fd, struct member *members, size_t max, size_t *count, struct error *error);
/* A link is followed once: an archive of docker's has one layer for several. NULL: none. */
const struct member *members_find(const struct member *members, size_t count, const char *name);

#endif
