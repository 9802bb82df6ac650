/*
 * An image's documents: the index of a layout and its manifest, or the manifest of docker's
 * archives, and the configuration, down to the layers. Each is read whole, within bounds, by the
 * digest that names it, and everything that is taken from it is checked here and again by runnerd.
 */
#ifndef SCARAB_UNPACK_FIND_H
#define SCARAB_UNPACK_FIND_H

#include "common/proto.h"
#include "common/scan.h"
#include "source.h"

enum {
	DOCUMENT_MAX = 4 << 20, /* of one document; registries allow 4 MiB for a manifest */
	INDEX_DEPTH = 4,        /* an index may name others */
};

struct found_layer {
	uint8_t diff[DIGEST_BYTES], blob[DIGEST_BYTES];
	bool has_blob;
	struct blob bytes;
};

struct found_text {
	enum image_text kind;
	char *text;
};

struct found {
	struct msg_image_head head;
	struct found_layer layers[IMAGE_LAYERS_MAX];
	struct found_text texts[IMAGE_TEXTS_MAX];
};

/* The image that tag names (empty: the only one), for this machine. -1 with error; found_close in
 * any case. */
int find_image(const struct source *source, const char *tag, struct found *found,
	       struct error *error);
/* All of it as rows, sealed: the descriptor, or -errno. */
int found_seal(struct found *found);
void found_close(struct found *found);

/* config.c: what an image's configuration says; layers: how many it must have. text is what
 * scan() accepted. */
int config_read(struct span value, struct found *found, size_t layers, struct error *error);
/* How this machine is called in images. */
const char *machine_name(void);

#endif
