/* The zones that triggers name, each read once, and again when its file is another one. schedd
 * only. */
#ifndef SCARAB_SCHEDD_ZONES_H
#define SCARAB_SCHEDD_ZONES_H

#include <stdbool.h>

#include "zone.h"

enum { ZONES_MAX = 4096, ZONE_UTC = 0 };

struct zones;

/* directory: of the system's tzdata, -1 where there is none; the caller's. NULL with error. */
struct zones *zones_new(int directory, struct error *error);
void zones_free(struct zones *zones);
/* The number of a zone, empty: UTC. -1 with error. */
int zones_find(struct zones *zones, const char *name, struct error *error);
unsigned zones_count(const struct zones *zones);
const char *zones_name(const struct zones *zones, unsigned number);
/* Reads those again whose files have changed; one that cannot be read stays what it was, and the
 * log says so. How many are others now: zones_changed() names them until the next refresh. A zone's
 * pointer does not outlive it. */
unsigned zones_refresh(struct zones *zones);
bool zones_changed(const struct zones *zones, unsigned number);
struct zone *zones_at(const struct zones *zones, unsigned number);

#endif
