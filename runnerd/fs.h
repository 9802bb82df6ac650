/*
 * Paths as root may touch them: every one is opened by openat2 with the rules its caller names,
 * and only the descriptor is acted on afterwards.
 */
#ifndef SCARAB_RUNNERD_FS_H
#define SCARAB_RUNNERD_FS_H

#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* openat2 with O_CLOEXEC and these RESOLVE_ bits, repeated while it says EAGAIN. fd or -errno. */
int open_resolved(int dir_fd, const char *path, uint64_t flags, uint64_t resolve);
/* An absolute path without any link on the way. */
int open_without_links(const char *path, uint64_t flags);
/* The file behind an O_PATH descriptor, opened for reading. fd or -errno. */
int reopen_readable(int path_fd);

/* Absolute, no empty, "." or ".." component, no slash at the end, at most PATH_LEN_MAX. */
bool path_is_normal(const char *path);
/* Relative, with the same rules. */
bool path_is_normal_relative(const char *path);
/* path is dir or lies beneath it; both normal and absolute. */
bool path_within(const char *path, const char *dir);
/* Splits a normal absolute path: the directory goes to parent (PATH_LEN_MAX + 1 bytes), the
 * return value points at the name in path. */
const char *path_split(const char *path, char *parent);

bool same_file(const struct stat *a, const struct stat *b);

/* mkdir unless it is there, then opened (O_RDONLY, no link) and given this owner and mode when
 * it differs. fd or -errno. */
int dir_make(int dir_fd, const char *name, mode_t mode, uid_t uid, gid_t gid);
/* Removes the files and empty directories directly in the directory, then itself: for
 * directories that only root writes. 0 (also when there is none) or -errno. */
int dir_remove_flat(int dir_fd, const char *name);
/* Is there nothing in the directory? */
bool dir_is_empty(int dir);
/* Room for so many bytes, taken from the disk now; the size stays. 0 also where the file system
 * cannot. */
int reserve(int fd, off_t bytes);

#endif
