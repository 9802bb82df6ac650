/*
 * The file system that an agent will find, as whoever calls ash may see it before anything is
 * installed: install_dir, context, and the image. It is for messages that come early; runnerd looks
 * again, and what it finds counts.
 */
#ifndef ASH_VIEW_H
#define ASH_VIEW_H

#include <stdbool.h>

#include "common/manifest.h"

struct view {
	const struct manifest *manifest; /* borrowed, as the next */
	const char *install_dir;
	int image; /* the directory of an image; -1: the host's */
};

#define VIEW_INIT                                                                                  \
	{                                                                                          \
		.image = -1                                                                        \
	}

/* image: that of IMAGE_VIEWED, borrowed; -1: none. 0 or -errno: the image cannot be opened. */
int view_init(struct view *view, const struct manifest *manifest, const char *install_dir,
	      int image);
/* The image's name for people; NULL: the host's. Borrowed. */
const char *view_image_name(const struct view *view);
void view_close(struct view *view);
/* The file behind an absolute path of the sandbox, opened for reading; -errno: -ENOENT where the
 * sandbox has none. */
int view_open(const struct view *view, const char *path);
/* What a file that view_open() gave for path is called inside once links are followed: PATH_LEN_MAX
 * + 1 bytes. */
void view_resolved(const struct view *view, int fd, const char *path, char *resolved);

/* A file of this host's own system: of no image, and none that came with the agent. */
bool view_is_of_host(const struct view *view, const char *path);

#endif
