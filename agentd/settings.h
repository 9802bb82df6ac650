/*
 * agentd.yaml as agentd gets it: read by a confined child (agentd-config), answered as typed
 * values, users and groups resolved here. agentd only.
 */
#ifndef SCARAB_SETTINGS_H
#define SCARAB_SETTINGS_H

#include "common/config.h"
#include "common/loop.h"

enum { SETTINGS_TIMEOUT_MS = 10000 };

struct settings; /* one reading under way */

struct settings_source {
	const char *path; /* borrowed */
	bool required;    /* named with -f: its absence is an error */
	int parser;       /* agentd-config's binary, borrowed */
};

/* Called once, from the loop; config is the callee's, NULL with error set. */
typedef void settings_fn(struct config *config, const struct error *error, void *arg);

/* Starts reading. NULL with error; done is not called then. Free it after done was called, not
 * from inside it. */
struct settings *settings_read(struct loop *loop, const struct settings_source *source,
			       settings_fn *done, void *arg, struct error *error);
/* Kills and reaps a parser that still runs. NULL is allowed. */
/* Where the file says its keys, sealed CONFIG_ORIGINs: the caller's, once it was read; -1. */
int settings_take_origins(struct settings *settings);
void settings_free(struct settings *settings);
/* A child was reaped: true when it was this reading's. */
bool settings_reaped(struct settings *settings, int pid);

/* Names to numbers. -1 with error. */
int settings_resolve(struct config *config, struct error *error);
/* Puts the old values of the keys that only a restart changes into config; names the keys that
 * differed in changed ("run_dir, users", empty: none). */
void settings_keep(struct config *config, struct config *old, char *changed, size_t size);

#endif
