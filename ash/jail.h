/*
 * A program of an image that ash must run to learn something of it: without rights (nobody's where
 * root calls, else the caller's), first in empty namespaces, in that image, without a terminal,
 * with bounded memory, and no longer than its caller waits. Whatever it starts ends with it, and it
 * ends with ash.
 *
 * Without an image it sees the host's files, as the caller may: then it is a program of the host's
 * own system, and never one that came with the agent.
 */
#ifndef ASH_JAIL_H
#define ASH_JAIL_H

#include <sys/types.h>

#include "view.h"

struct jail {
	const struct view *view;
	const char *path;  /* of the program, inside the view's image */
	char *const *argv; /* ends with NULL */
	const int *fds;    /* borrowed; it has them as 3, 4, ... */
	size_t count;
	unsigned cpu_seconds;
};

struct jailed {
	pid_t pid;
	int pidfd;
	int output; /* what it writes to standard output */
};

/* 0 or -errno: -EACCES for a program that came with the agent and has no image. */
int jail_start(const struct jail *jail, struct jailed *jailed);
/* Ends it, if it has not. */
void jail_end(struct jailed *jailed);
/* Reads so many bytes, fewer where it writes no more or the deadline (CLOCK_MONOTONIC) passes. */
size_t jail_read(const struct jailed *jailed, void *bytes, size_t size, uint64_t deadline_ms);
uint64_t jail_now_ms(void);

#endif
