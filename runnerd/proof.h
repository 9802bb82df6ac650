/*
 * Proof that an operator could open what a manifest names: the descriptor that ash opened as the
 * operator and the one that runnerd opens itself, without links, are the same file. Where they are
 * not, the error is the same whatever root found there: a path that is closed to the operator is
 * neither shown nor admitted to exist.
 */
#ifndef SCARAB_RUNNERD_PROOF_H
#define SCARAB_RUNNERD_PROOF_H

#include <sys/stat.h>

#include "common/config.h"

/* proof (borrowed) must be a directory opened for reading and the one at path. Fills st. 0, or
 * -1 with error. */
int proof_install_dir(const char *path, int proof, struct stat *st, struct error *error);
/* The same for a context source: the directory itself, or the directory a regular file is in. */
int proof_context(const char *source, int proof, struct error *error);
/* The same for what a trigger watches. */
int proof_watch(const char *path, int proof, struct error *error);
/* The same for the directory of a skill. */
int proof_skill(const char *path, int proof, struct error *error);
/* The same for the directory of an image, which may hold none of this instance's files. */
int proof_image(const char *path, int proof, const struct config *config, struct error *error);
/* The same for an image that is to be brought in: a layout's directory, or an archive itself. */
int proof_image_source(const char *path, int proof, const struct config *config,
		       struct error *error);
/* The directory of an image as it is now, found without links: O_PATH descriptor, or -1 with
 * error. */
int proof_open_image(const char *path, struct error *error);
/* No directory that the sandbox lays over or that belongs to this instance. */
int proof_place(const char *install_dir, const struct config *config, struct error *error);
/* Where a context entry may appear inside. */
int proof_target(const char *target, struct error *error);
/* The program that the plan names exists (in its image, unless it lies in install_dir) and its
 * agent may run it. path gets its absolute name inside (PATH_LEN_MAX + 1 bytes). */
int proof_command(const struct manifest *plan, const char *install_dir, char *path,
		  struct error *error);
/* The same of another program than spec.command. */
int proof_program(const char *command, const struct manifest *plan, const char *install_dir,
		  char *path, struct error *error);
/* The entrypoint: a file inside install_dir that its agent may read. */
int proof_entrypoint(const char *entrypoint, const char *install_dir, char *path,
		     struct error *error);

#endif
