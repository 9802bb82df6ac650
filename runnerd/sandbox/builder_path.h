/*
 * Paths inside a root file system that is being built: absolute, plain, resolved beneath the root
 * without following any link, and acted upon through descriptors only.
 */
#ifndef SCARAB_SANDBOX_BUILDER_PATH_H
#define SCARAB_SANDBOX_BUILDER_PATH_H

#include <stdbool.h>

/* "/a/b": no empty, "." or ".." part, no slash at the end. */
bool path_plain(const char *path);

/* O_PATH descriptor of what stands at path ("/" is the root), or -errno; flags such as
 * O_DIRECTORY are added. */
int path_open(int root, const char *path, int flags);

/* O_PATH descriptor of the directory that holds path's last part, made (0755) with its parents
 * where missing; *leaf points into path. Or -errno. */
int path_parent(int root, const char *path, const char **leaf);

/* As path_open for a mount point, made where missing: a directory, or an empty file. */
int path_mount_point(int root, const char *path, bool directory);

#endif
