/*
 * Where an image's blobs are: a layout's directory, which is this process's root, or an archive, a
 * tar of one, which may be compressed and is then spooled. Names are what the image's own documents
 * say, so nothing but a regular file below the root, reached over no link, is opened.
 */
#ifndef SCARAB_UNPACK_SOURCE_H
#define SCARAB_UNPACK_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { MEMBERS_MAX = 1024 /* of an archive: a layout with a hundred layers has three hundred */ };

/* A part of an open file. */
struct blob {
	int fd;
	uint64_t offset, size;
};

struct member; /* of an archive */

struct source {
	int root;    /* of a layout; -1 */
	int archive; /* uncompressed; -1 */
	struct member *members;
	size_t count;
};

#define SOURCE_INIT                                                                                \
	{                                                                                          \
		.root = -1, .archive = -1                                                          \
	}

/* Takes root (O_PATH or readable) over. */
void source_of_layout(struct source *source, int root);
/* Takes both over; spool gets what a compressed archive holds, at most max_bytes. -1 with error. */
int source_of_archive(struct source *source, int archive, int spool, uint64_t max_bytes,
		      struct error *error);
void source_close(struct source *source);

/* The caller closes blob->fd. 0; -ENOENT without error; -1 with error. */
int source_open(const struct source *source, const char *name, struct blob *blob,
		struct error *error);
/* A small file as heap memory, NUL-terminated. As source_open; at most max bytes. */
int source_read(const struct source *source, const char *name, uint64_t max, char **text,
		uint64_t *length, struct error *error);

#endif
