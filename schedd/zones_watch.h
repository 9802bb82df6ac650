/*
 * Notices that tzdata is updated: the files of the zones in use, and the directories that they are
 * in, are watched by name. A package that renames new files over the old ones and one that writes
 * into them are both noticed, when nothing has happened for a moment. schedd only.
 *
 * Not noticed is another directory in the place of one above them; ash reload reads all again.
 */
#ifndef SCARAB_SCHEDD_ZONES_WATCH_H
#define SCARAB_SCHEDD_ZONES_WATCH_H

#include "common/loop.h"
#include "zones.h"

enum { ZONES_SETTLE_MS = 1000 };

struct zones_watch;

typedef void zones_watch_fn(void *arg);
/* path: the zones' directory, as this process finds it. fn is called when zones_refresh() may find
 * something. NULL with error. */
struct zones_watch *zones_watch_new(struct loop *loop, const char *path, zones_watch_fn *fn,
				    void *arg, struct error *error);
void zones_watch_free(struct zones_watch *watch);
/* Watches what the zones are read from now. */
void zones_watch_follow(struct zones_watch *watch, const struct zones *zones);

#endif
