/* What images.c, image_record.c, image_jobs.c and image_requests.c share: the store's directories.
 */
#ifndef SCARAB_RUNNERD_IMAGE_STORE_H
#define SCARAB_RUNNERD_IMAGE_STORE_H

#include "images.h"

enum {
	IMAGE_HEX = 2 * DIGEST_BYTES,
	IMAGE_JOBS_MAX = 4,
	IMAGE_ENTRIES_MAX = 1 << 20, /* of one image */
};
/* Of one image, unpacked. */
#define IMAGE_BYTES_MAX (UINT64_C(16) << 30)

struct image_job;

struct images {
	struct runnerd *r;
	int binary; /* unpack, opened at start */
	int reader_program, writer_program;
	int store, layers, manifests, work; /* directories, as images.h has them */
	uint64_t serial;
	struct image_job *first;
};

void image_hex(const uint8_t digest[DIGEST_BYTES], char hex[IMAGE_HEX + 1]);
/* "sha256:HEX": the 64 digits in it, or NULL. */
const char *image_digest_hex(const char *digest);

/* --- records (image_record.c) ------------------------------------------------------------------
 */

struct image *image_new(void); /* NULL without memory */
/* Appends the record, which must follow what is there: the head first. 0 or -EBADMSG, -ENOMEM. */
int image_take(struct image *image, const struct msg *record);
/* Is everything there that the head says, and within bounds? */
bool image_complete(const struct image *image);
/* Of manifests/HEX. NULL with errno. */
struct image *image_read(const struct images *images, const char *hex);
/* Durable when it returns 0; -errno. */
int image_write(const struct images *images, const struct image *image);
/* Notes how it was called; one that is there already stays where it is. 0 or -ENOMEM. */
int image_add_reference(struct image *image, const char *reference, const char *tag);
/* Are its layers together within what an image may have? */
int image_check_sums(const struct image *image, struct error *error);
/* Agents name an image by its digest: if the store has it, it stays as it is, becomes *image and
 * gets but another name; -1 with error if what came under that digest is another. */
int image_join(const struct images *images, struct image **image, const char *reference,
	       const char *tag, struct error *error);
/* Is the layer in the store? Then bytes and entries are filled in. */
bool image_layer_known(const struct images *images, struct msg_image_layer *layer);
/* Calls fn with every image of the store until it returns false. */
typedef bool image_each_fn(const struct image *image, void *arg);
void image_each(const struct images *images, image_each_fn *fn, void *arg);

/* --- what is no longer named (images.c) ----------------------------------------------------------
 */

/* Deletes layers that no image has, unless one is being brought in. */
void images_drop_layers(struct images *images);
/* Is it named by an agent or a live session? user: one of them (AGENT_NAME_MAX + 1 bytes; may be
 * NULL); sessions: how many are live (may be NULL). */
bool image_used(const struct runnerd *r, const struct image *image, char *user, uint32_t *sessions);

#endif
