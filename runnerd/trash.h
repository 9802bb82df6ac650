/*
 * Deleting trees that a stranger wrote: a tree is first renamed to a name of its own, which is
 * one step, and then emptied, however deep or big it is. What a crash left is found by its name.
 * Linked by runnerd and by homekeeper.
 */
#ifndef SCARAB_RUNNERD_TRASH_H
#define SCARAB_RUNNERD_TRASH_H

enum { TRASH_NAME_MAX = 64 };

/* Takes dir_fd/name out of its name, into trash_dir (same file system) as moved (TRASH_NAME_MAX
 * bytes; NULL: not asked for). 0, -ENOENT when there is none, -errno. */
int trash_put(int trash_dir, int dir_fd, const char *name, char *moved);
/* Deletes this tree now. */
void trash_delete(int dir_fd, const char *name);
/* The same in a process of its own that nobody waits for. 0 or -errno. */
int trash_delete_aside(int dir_fd, const char *name);
/* Calls fn with every name in dir_fd that trash_put made; stops at the first that is not 0. */
typedef int trash_fn(int dir_fd, const char *name);
int trash_each(int dir_fd, trash_fn *fn);
/* Deletes them all. */
int trash_sweep(int dir_fd);

#endif
