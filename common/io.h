/*
 * Whole reads, whole writes and durable files, with every short transfer and EINTR dealt with,
 * and the checks of descriptors that came from somebody else. Any process; paths are always
 * beneath a directory descriptor of the caller.
 */
#ifndef SCARAB_IO_H
#define SCARAB_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes all of it. 0 or -errno. Blocking descriptors only (-EAGAIN otherwise). */
int write_all(int fd, const void *bytes, size_t length);
int pwrite_all(int fd, const void *bytes, size_t length, off_t offset);
/* The same, then fdatasync: the bytes are durable when it returns 0. */
int write_all_durable(int fd, const void *bytes, size_t length);
/* Reads length bytes or up to the end of the file; returns how many, or -errno. */
ssize_t read_all(int fd, void *bytes, size_t length);

/* Everything from the descriptor's position to its end: heap memory, NUL-terminated (length does
 * not count the NUL). 0, -EFBIG over max, -errno. */
int read_file(int fd, size_t max, char **text, size_t *length);
/* The same for a regular file beneath dir_fd, opened without following a last link. */
int read_file_at(int dir_fd, const char *name, size_t max, char **text, size_t *length);

/* The file has the old content or the new one, whole, after any crash: temporary file beside it,
 * fsync, rename, fsync of the directory. 0 or -errno. */
int write_file_durable(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode);
/* fsync of a directory, also of one opened with O_PATH. 0 or -errno. */
int sync_dir(int dir_fd);
/* Opens the directory beneath dir_fd, without following a last link, and fsyncs it. */
int sync_dir_at(int dir_fd, const char *name);

/* Is it of this type (S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK) and opened with this access mode
 * (O_RDONLY, O_WRONLY, O_RDWR, O_PATH; -1: any but O_PATH)? 0, -EBADF when the mode is another,
 * -EINVAL when the type is. */
int fd_check(int fd, mode_t type, int access);
/* The next connection of a listening AF_UNIX socket, non-blocking, if it is root's; one of anybody
 * else is closed. The descriptor, or -errno. */
int accept_root(int listener);
/* Sets or clears O_NONBLOCK. 0 or -errno. */
int fd_set_nonblock(int fd, bool nonblock);

#endif
