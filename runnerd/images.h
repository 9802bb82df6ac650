/*
 * Images, content-addressed and shared between agents, in STATE_DIR/images/store, root's alone:
 *
 *   layers/HEX/root    a layer's tree; HEX: the SHA-256 of its tar, uncompressed. Ids are those of
 *                      the image, 0 to 65535. What hides something below is as an overlay has it: a
 *                      character device 0:0 for a name, trusted.overlay.opaque=y for what a
 *                      directory has below. No set-id bits, no devices, no attributes of security.
 *   manifests/HEX      an image's record (IMAGE_HEAD, IMAGE_LAYERs, IMAGE_TEXTs, a checksum); HEX:
 *                      the digest of its manifest. An image is there when its record is, and then
 *                      with every layer.
 *   work/              what is being brought in; emptied at start
 *
 * A plan names its image by digest (manifest.image_digest). Root reads none of an image's bytes:
 * unpack does (runnerd/unpack), one process to find the image, with the rights of the operator who
 * brings it, and one for each layer that is not there yet, rooted in the tree that it writes. What
 * they answer is checked again.
 */
#ifndef SCARAB_RUNNERD_IMAGES_H
#define SCARAB_RUNNERD_IMAGES_H

#include "runnerd.h"

struct images;

struct image {
	struct msg_image_head head;
	uint32_t expected_layers;       /* while it is being read: what the head said */
	struct msg_image_layer *layers; /* head.layers of them, the lowest first */
	struct strings env;             /* NAME=VALUE */
	struct strings entrypoint, cmd;
	struct strings references; /* "oci:/PATH:TAG", "docker://NAME:TAG"; the newest last */
};

/* Opens the store and the program: an upgrade of a running instance mixes nothing. NULL with error.
 */
struct images *images_open(struct runnerd *r, struct error *error);
void images_close(struct images *images);
/* At start: deletes what an installation that died left, and layers that no image has. */
void images_sweep(struct runnerd *r);

/* Of a digest "sha256:HEX". NULL with error (ERR_NOT_FOUND: there is none). */
struct image *image_open(const struct runnerd *r, const char *digest, struct error *error);
void image_free(struct image *image);
/* The root of layer index: O_PATH, or -errno. */
int image_layer_open(const struct runnerd *r, const struct image *image, size_t index);
/* A path inside the image as a session would see it below its own layer, whiteouts and opaque
 * directories heeded; no link is followed, neither on the way nor at its end (-ELOOP). O_PATH, or
 * -errno. */
int image_open_path(const struct runnerd *r, const struct image *image, const char *path);

/* --- bringing one in ------------------------------------------------------------------------- */

struct image_request {
	const char *reference, *tag; /* as image_reference() parts them */
	int source;        /* as the operator opened it: a layout's directory or an archive;
			    * borrowed, and copied where it is kept */
	int progress;      /* a datagram socket for UNPACK_PROGRESS; borrowed, -1: none */
	uint32_t uid, gid; /* the operator's: nothing is read with more rights */
	bool judged;       /* against the ceilings already, with the agent that has it */
};

/* error NULL: the image is in the store, durably; digest is "sha256:HEX". */
typedef void image_fn(void *arg, const char *digest, const struct error *error);

/* fn is called once, from the loop. Checks the ceilings and that source is what reference names
 * (proof.h). One that is there already costs no second unpacking, only its reference is noted.
 * 0, or -1 with error: then fn is not called. */
int image_add(struct runnerd *r, const struct image_request *request, image_fn *fn, void *arg,
	      struct error *error);

/* --- what control asks; each answers the request on the channel ---------------------------------
 */

void images_add_request(struct runnerd *r, struct channel *channel, struct msg *msg);
void images_query(struct runnerd *r, struct channel *channel, struct msg *msg);
void images_remove(struct runnerd *r, struct channel *channel, struct msg *msg);
void images_collect(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
