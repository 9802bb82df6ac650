/*
 * What Landlock lets an agent do where: for init, which restricts it, and for who tells of it
 * (runnerd's explain.c). Rights by number: headers of Debian 12 know a part of them.
 */
#ifndef SCARAB_SANDBOX_LANDLOCK_PLACES_H
#define SCARAB_SANDBOX_LANDLOCK_PLACES_H

#include <stdint.h>

enum {
	LANDLOCK_VERSION_FLAG = 1,
	LANDLOCK_VERSION_LEAST = 2, /* 1 lets no file be moved between directories */
	LANDLOCK_VERSION_SCOPES = 6,
};

#define RIGHT(number) (UINT64_C(1) << (number))
#define EXECUTE RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define READ_FILE RIGHT(2)
#define READ_DIR RIGHT(3)
#define MAKE_CHAR RIGHT(6)
#define MAKE_BLOCK RIGHT(11)
#define TRUNCATE RIGHT(14)  /* version 3 */
#define IOCTL_DEV RIGHT(15) /* version 5 */

#define READING (EXECUTE | READ_FILE | READ_DIR)
#define DEVICE (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV)
#define TERMINALS (DEVICE | READ_DIR)
#define OWN (~(uint64_t)0 & ~(MAKE_CHAR | MAKE_BLOCK))

/* Of a file only what files have. A place that is not there is no place. */
static const struct {
	const char *path;
	uint64_t rights;
} landlock_places[] = {
    {.path = "/", .rights = READING},
    {.path = "/home/agent", .rights = OWN},
    {.path = "/tmp", .rights = OWN},
    {.path = "/run/agent", .rights = OWN},
    {.path = "/dev/shm", .rights = OWN},
    {.path = "/dev/pts", .rights = TERMINALS},
    {.path = "/dev/null", .rights = DEVICE},
    {.path = "/dev/zero", .rights = DEVICE},
    {.path = "/dev/full", .rights = DEVICE},
    {.path = "/dev/random", .rights = DEVICE},
    {.path = "/dev/urandom", .rights = DEVICE},
    {.path = "/dev/tty", .rights = DEVICE},
};

#endif
