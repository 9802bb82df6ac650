/* Images that are being brought in; image_add() of images.h begins one. */
#ifndef SCARAB_RUNNERD_IMAGE_JOBS_H
#define SCARAB_RUNNERD_IMAGE_JOBS_H

struct images;

/* What is under way is killed, and what it has written is deleted at the next start. */
void image_jobs_free(struct images *images);

#endif
