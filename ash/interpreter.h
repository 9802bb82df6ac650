/*
 * Which interpreter an agent will have, and which version it says that it is. It is asked in a
 * process of its own: without rights (nobody's where root installs, else the caller's), in empty
 * namespaces, in the image that it belongs to, for a few seconds at most.
 */
#ifndef ASH_INTERPRETER_H
#define ASH_INTERPRETER_H

#include "common/limits.h"
#include "common/runtime.h"
#include "view.h"

struct found_interpreter {
	char path[PATH_LEN_MAX + 1];   /* inside; "": there is none, or none that ash can see */
	char version[VERSION_MAX + 1]; /* "": it could not be asked */
};

/* 0, or -1 with error (ERR_INVALID): it is older than agents need. */
int interpreter_find(const struct view *view, const struct interpreter *interpreter,
		     struct found_interpreter *found, struct error *error);
/* MAJOR.MINOR or more numbers, with or without a v before them, alone on a line. */
bool interpreter_version(const char *text, char *version, unsigned *major, unsigned *minor);

#endif
