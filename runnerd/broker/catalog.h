/*
 * What plugins offer, by kind, in the order of the names that the agent sees. A definition is kept
 * as the bytes it came in; only its name is exchanged when it is listed.
 */
#ifndef SCARAB_BROKER_CATALOG_H
#define SCARAB_BROKER_CATALOG_H

#include "broker.h"
#include "common/limits.h"
#include "common/scan.h"

enum item_kind { ITEM_TOOL, ITEM_PROMPT, ITEM_RESOURCE, ITEM_TEMPLATE, ITEM_KINDS };

enum {
	ITEMS_MAX = 16384,            /* of all plugins of a session, every kind */
	DEFINITIONS_BYTES = 32 << 20, /* likewise; twice as much while lists are fetched again */
	URI_MAX = 8191,
};

struct server;

/* Calls of one tool so far; latencies in buckets of an eighth of an octave. */
enum { STATS_OCTAVES = 32, STATS_PARTS = 8 };
struct tool_stats {
	struct tool_stats *next;
	char name[EXPOSED_NAME_MAX + 1];
	uint64_t calls, errors;
	uint32_t buckets[STATS_OCTAVES * STATS_PARTS];
};

struct item {
	enum item_kind kind;
	struct server *server; /* NULL: the runtime's own */
	char *name, *exposed;  /* as the plugin, as the agent names it */
	char *definition;      /* an object */
	size_t length;
	size_t key_at, key_length; /* where in it the name stands, quotes included */
	enum tool_state state;     /* of a tool, as the rules and pins say */
	uint8_t digest[DIGEST_BYTES];
};

struct catalog {
	struct item **items;
	size_t count;
};

/* The member that names an item of this kind: name, uri, uriTemplate; and the list's own name and
 * method. */
const char *item_key(enum item_kind kind);
const char *item_list(enum item_kind kind);
const char *item_method(enum item_kind kind);

/* Copies the definition. prefix: the plugin's name, NULL for passthrough. NULL with errno: EINVAL
 * for one without a usable name. */
struct item *item_new(enum item_kind kind, struct server *server, const char *prefix,
		      struct span definition);
void item_free(struct item *item);
struct span item_key_text(const struct item *item);

struct item *catalog_find(const struct catalog *catalog, const char *exposed);
/* Puts these in the place of the server's and takes them over. 1 when something changed, 0. -EEXIST
 * with the first name that is taken (borrowed from items) or -ENOMEM: they stay the caller's. */
int catalog_replace(struct catalog *catalog, const struct server *server, struct item **items,
		    size_t count, const char **taken);
void catalog_free(struct catalog *catalog);

#endif
