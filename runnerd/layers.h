/*
 * What a session writes over what it only reads, in memory: one tmpfs with the upper layers of its
 * overlays, bounded in bytes and inodes. Its pages are charged to the session's cgroup, whose
 * processes write them. It has no place in any mount namespace but the sandbox's: it is there as
 * long as somebody holds its descriptor or the sandbox lives.
 */
#ifndef SCARAB_RUNNERD_LAYERS_H
#define SCARAB_RUNNERD_LAYERS_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

/* A file for each so many bytes, as mkfs.ext4 makes inodes for a file system of small files; a
 * small limit gets as many as a small project has. */
enum { LAYERS_BYTES_PER_INODE = 4096, LAYERS_INODES_LEAST = 4096 };

/* Inodes that go with a limit of so many bytes. */
uint32_t layers_inodes(uint64_t bytes);
/* A new one, detached. Descriptor, or -1 with error. */
int layers_new(uint64_t bytes, struct error *error);
/* An envelope with the layers: a socket in which their descriptor lies, for a process that shall
 * keep them and may hold no directory from outside its root. The socket, or -errno. */
int layers_seal(int layers);
/* What is in an envelope (borrowed), which keeps it: a file system that is root's alone, as no
 * sandbox can reach another. Descriptor or -errno. */
int layers_unseal(int envelope);
/* NAME/upper, of this mode and owner, and NAME/work. The upper directory (not O_PATH), or -errno.
 */
int layers_add(int layers, const char *name, mode_t mode, uid_t owner);
/* The upper directory of a layer that was added. Descriptor or -errno. */
int layers_upper(int layers, const char *name);

#endif
