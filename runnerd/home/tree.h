/*
 * The trees that a commit walks: an agent's home and the layers of an overlay upon it. Everything
 * in them was named by an agent and is acted on by root, so a name is one component beneath an open
 * directory and never followed. Runs in homekeeper; nobody else writes the trees meanwhile.
 */
#ifndef SCARAB_HOME_TREE_H
#define SCARAB_HOME_TREE_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Deeper than any path that can be named (PATH_MAX / 2 levels) is of no use to anybody; this
 * many are walked with descriptors held. */
enum { TREE_DEPTH_MAX = 200 };

/* A name in a directory; the descriptor is borrowed. */
struct spot {
	int dir;
	const char *name;
};

/* The directory of this name: not through a link, not on another file system. fd or -errno. */
int tree_open(struct spot at);
/* lstat. 0 or -errno. */
int tree_stat(struct spot at, struct stat *st);
bool tree_exists(struct spot at);
/* As overlays mark what is removed: a character device 0:0, or an empty file with an attribute. */
bool tree_is_whiteout(struct spot at, const struct stat *st);
/* A directory that hides all that lies below it in the layer underneath. */
bool tree_is_opaque(int dir);
int tree_make_opaque(struct spot at);
int tree_make_whiteout(struct spot at);
/* Takes off every attribute that overlays and this module set. 0 or -errno. */
int tree_strip(struct spot at);
/* The same for all that is below; whiteouts and device nodes are removed. Times stay. */
int tree_clean(int dir, unsigned depth);

/* A directory being read; owns the descriptor, also when this fails (NULL with errno). */
DIR *tree_read(int dir);
/* The next name but "." and "..", or NULL with errno 0 at the end. */
const char *tree_next(DIR *dir);

/* Owner, mode, user and access list attributes of one directory for another. 0 or -errno. */
int tree_copy_attributes(int from, int to);
/* Are those the same on both? */
bool tree_same_attributes(int a, int b);
/* A directory's times survive what happens in it: they are noted once on it. 0 or -errno. */
int tree_note_times(int dir, const struct stat *st);
/* Sets the times that were noted on from. */
int tree_set_noted_times(int from, int to);

#endif
