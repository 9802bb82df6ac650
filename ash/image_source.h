/*
 * An image that is to be brought into the store: what the operator named, opened with his rights;
 * docker:// by skopeo, into a temporary directory. While runnerd works a child of ash's draws its
 * progress, so that ash may wait for the answer.
 */
#ifndef ASH_IMAGE_SOURCE_H
#define ASH_IMAGE_SOURCE_H

#include "ash.h"

enum { IMAGE_WAIT_MS = 3600 * 1000 /* for the answer to a request that brings an image */ };

struct image_source {
	char temporary[64]; /* the directory that skopeo filled; "": none */
	int painter;        /* the child that draws; 0: none */
};

#define IMAGE_SOURCE_INIT                                                                          \
	{                                                                                          \
		0                                                                                  \
	}

/* image as in a manifest, oci:/PATH[:TAG] or docker://NAME[:TAG]. Adds the two descriptors that
 * IMAGE_ADD and an installation take to the request. -1 with error; image_source_end in any case.
 */
int image_source_begin(struct ash *ash, const char *image, struct image_source *source,
		       struct msg *request, struct error *error);
/* After the answer came, and the request's own descriptors are closed. */
void image_source_end(struct image_source *source);

#endif
