/*
 * Will a program start where its agent runs it: its machine, its loader, and its libraries with
 * theirs, looked for as the loader will, in the image and not on the host that installs. What this
 * cannot tell (a loader it does not know, a file that the caller may not read) it lets pass.
 */
#ifndef ASH_LIBRARIES_H
#define ASH_LIBRARIES_H

#include "common/error.h"
#include "view.h"

/* path: the program inside. 0, or -1 with error (ERR_INVALID) that names what is missing. */
int libraries_check(const struct view *view, const char *path, struct error *error);

#endif
