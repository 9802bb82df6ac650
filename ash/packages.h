/*
 * spec.packages at install: wheels inside install_dir, or lists of wheels with their hashes, taken
 * apart by the agent's own Python in a jail. What comes out is checked and goes with the request as
 * two memfds, an index (PACKAGE_FILE) and all bytes; runnerd makes the files. Nothing is fetched,
 * and nothing of a package is executed.
 */
#ifndef ASH_PACKAGES_H
#define ASH_PACKAGES_H

#include "common/proto.h"
#include "view.h"

/* Adds the two descriptors to the request where the manifest names packages. interpreter: its path
 * inside. 0, or -1 with error. */
int packages_unpack(const struct view *view, const char *interpreter, struct msg *request,
		    struct error *error);

/* One line of a list of wheels: the wheel's path, and the SHA-256 that it must have. */
struct wheel_line {
	char path[256];
	unsigned char hashes[8][32];
	size_t count;
};
/* The next of them from *text on, continued lines joined, and *text behind it: 1, 0 at the end, or
 * -1 with error that says what is wrong with it. */
int wheel_line_next(const char **text, struct wheel_line *line, struct error *error);

#endif
