/*
 * An image to look into before an agent is installed upon it: ash asks its interpreter for its
 * version, and has it unpack packages. Whoever asks proves that he could open the image.
 */
#ifndef SCARAB_RUNNERD_IMAGE_VIEW_H
#define SCARAB_RUNNERD_IMAGE_VIEW_H

#include "images.h"

/* Its layers as one read-only tree without setuid or devices, a detached mount. Descriptor,
 * -ENOTSUP where this kernel has no way to name so many layers (before Linux 6.8), or -errno. */
int image_view_mount(const struct runnerd *r, const struct image *image);
/* IMAGE_VIEW: answers the request on the channel. */
void image_view_request(struct runnerd *r, struct channel *channel, struct msg *msg);

#endif
