/*
 * What an agent of the runtime container is: its image's words, and where the manifest has others,
 * those. As Kubernetes reads them: command takes the place of Entrypoint and Cmd, args that of Cmd.
 * Called by runnerd, for records of images that it has checked.
 */
#ifndef SCARAB_RUNNERD_CONTAINER_H
#define SCARAB_RUNNERD_CONTAINER_H

#include "images.h"

struct arguments {
	const char **items; /* heap; what they point to is borrowed */
	size_t count;       /* 0: nobody says what to execute */
};

/* The program and its arguments. A name without a slash is looked for in PATH, inside. False:
 * memory ran out. */
bool container_arguments(const struct manifest *plan, const struct image *image,
			 struct arguments *arguments);
/* Where it begins; "/" where the image does not say. */
const char *container_directory(const struct image *image);
/* At install: is it for this machine, does it say what to execute, is that there? What a link of
 * the image hides is seen when it starts. 0, or -1 with error (ERR_INVALID). */
int container_check(const struct runnerd *r, const struct manifest *plan, const struct image *image,
		    struct error *error);
/* Of a runtime that interprets: notes in the plan which of the places has the interpreter, unless
 * somebody named it. The same. */
int image_find_interpreter(const struct runnerd *r, struct manifest *plan,
			   const struct image *image, struct error *error);
/* The image is for this machine, and its user is one that a sandbox has. The same. */
int container_check_image(const struct image *image, struct error *error);

#endif
