/*
 * The directories of an instance: made where missing, refused where somebody but root could put
 * something else in their place. agentd only.
 */
#ifndef SCARAB_DIRECTORIES_H
#define SCARAB_DIRECTORIES_H

#include <sys/types.h>

#include "common/config.h"

/* run_dir alone, first of all: the generation lock lives there. A descriptor to read it, the
 * caller's. -1 with error. */
int directories_run(const struct config *config, struct error *error);
/* The others, and what is in run_dir. -1 with error. */
int directories_make(const struct config *config, struct error *error);
/* log_dir; the caller's. -1 with error. */
int directories_log(const struct config *config, struct error *error);
/* Gives what root owns to this user and group, with this mode; what is another's is refused. path
 * is for the error. */
int directories_settle(int fd, const char *path, mode_t mode, uid_t uid, gid_t gid,
		       struct error *error);
/* Makes sure of the folder of this path (a socket's): an O_PATH descriptor, and in *name where
 * the last component begins. -1 with error. */
int directories_parent(const char *path, const char **name, struct error *error);

#endif
