/*
 * How what is to be installed is executed: the word of the manifest or of --runtime, else what
 * install_dir holds; and whether it will start.
 */
#ifndef ASH_RUNTIME_H
#define ASH_RUNTIME_H

#include "common/manifest.h"
#include "interpreter.h"

/* asked: of --runtime; NULL: not given. The manifest's runtime is set to what holds. -1 with error:
 * there is no such runtime (ERR_USAGE), or two that name it disagree (ERR_INVALID). layout: where
 * below install_dir the image lies that the manifest does not name, which it is set to then; else
 * NULL. Borrowed. */
int runtime_settle(struct manifest *manifest, const char *install_dir, const char *asked,
		   const char **layout, struct error *error);
/* The program, or the interpreter, is one for this host, with its loader and libraries, and the
 * interpreter, which is told, new enough. Says only what it can tell; what a container has, runnerd
 * looks for. image as of view_init(). */
int runtime_will_start(const struct manifest *manifest, const char *install_dir, int image,
		       struct found_interpreter *found, struct error *error);

#endif
