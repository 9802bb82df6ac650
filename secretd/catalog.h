/*
 * The manifest of the store: the file `catalog`, a log of records in a chain of MACs, and the file
 * `head`, which says how long the chain is. A change costs one record, whatever the store holds.
 * secretd(8) documents both files. Only secretd.
 *
 * A record is durable before the head names it, and the head is before the next record: the head is
 * behind by one record at most, and a record that it does not name yet is taken.
 */
#ifndef SCARAB_SECRETD_CATALOG_H
#define SCARAB_SECRETD_CATALOG_H

#include "index.h"
#include "keys.h"

enum { CATALOG_NOTE_MAX = 255 };

struct catalog;

/* What a key file brings: all but the index is borrowed for as long as the catalog lives. */
struct catalog_place {
	int dir;
	const struct keys *keys;
	const uint8_t *store; /* STORE_ID_BYTES */
	struct index *index;  /* filled, and kept as the records say */
};

/* An empty one, durable; whatever was there is replaced. NULL with error. */
struct catalog *catalog_create(const struct catalog_place *place, struct error *error);
/* Reads and checks every byte. note, CATALOG_NOTE_MAX + 1 bytes: what was repaired; empty when
 * nothing was. NULL with error, which names the file that was changed. */
struct catalog *catalog_open(const struct catalog_place *place, char *note, struct error *error);
void catalog_free(struct catalog *catalog);

/* Stamps the record with the next counter; applied to the index once it is durable. 0 or -errno:
 * then nothing has changed. */
int catalog_append(struct catalog *catalog, struct msg *record);
/* How many changes the store has seen: what only a note kept elsewhere can be compared with. */
uint64_t catalog_counter(const struct catalog *catalog);

#endif
