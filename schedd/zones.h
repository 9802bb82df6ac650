/* The zones that triggers name, each read once. schedd only. */
#ifndef SCARAB_SCHEDD_ZONES_H
#define SCARAB_SCHEDD_ZONES_H

#include "zone.h"

enum { ZONES_MAX = 4096, ZONE_UTC = 0 };

struct zones;

/* directory: of the system's tzdata, -1 where there is none; the caller's. NULL with error. */
struct zones *zones_new(int directory, struct error *error);
void zones_free(struct zones *zones);
/* The number of a zone, empty: UTC. -1 with error. */
int zones_find(struct zones *zones, const char *name, struct error *error);
struct zone *zones_at(const struct zones *zones, unsigned number);

#endif
