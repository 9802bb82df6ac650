/*
 * A child of runnerd's that does one task of its own and answers: a program that was opened at
 * start, with nothing but a channel. It confines itself. runnerd only.
 */
#ifndef SCARAB_RUNNERD_CHILD_H
#define SCARAB_RUNNERD_CHILD_H

#include <sys/types.h>

/* Of the channel, in the child. */
enum { CHILD_FD_CHANNEL = 3 };

/* binary: borrowed; name: what it finds as argv[0]. Our end of the channel and *pid, or -errno. */
int child_start(int binary, const char *name, pid_t *pid);
/* Ends it where it has not ended, and waits for that; *pid is 0 then. Not above 0: nothing. */
void child_end(pid_t *pid);

#endif
