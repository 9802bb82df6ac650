/*
 * Ownership made visible: scope-bound release of descriptors, memory and streams, and the
 * steal_* functions that hand a resource over to a longer-lived owner.
 * Used by every process; has no state.
 */
#ifndef SCARAB_CLEANUP_H
#define SCARAB_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void
cleanup_free(void *memory)
{
	free(*(void **)memory);
}

static inline void
cleanup_fclose(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

static inline void
cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* The caller takes the descriptor over; *fd is -1 afterwards. */
static inline int
steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The caller takes the pointer over; *pointer is NULL afterwards. */
#define steal_ptr(pointer)                                                                         \
	({                                                                                         \
		__auto_type slot_ = (pointer);                                                     \
		__auto_type taken_ = *slot_;                                                       \
		*slot_ = NULL;                                                                     \
		taken_;                                                                            \
	})

/* Closes *fd when open and marks it closed; keeps errno. */
static inline void
close_fd(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
