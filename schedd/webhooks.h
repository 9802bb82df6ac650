/*
 * Webhooks: what the listener took in becomes an event once secretd says that it is its sender's,
 * and the sender is told that it is there once it is on the disk. schedd only.
 *
 * The listener is believed nothing: schedd itself asks secretd, with the bytes that it stores, so
 * that who owns the listener can forge no event that is signed. A body is read as JSON after it was
 * verified. Few are under way at once; while there are, the listener is not read.
 */
#ifndef SCARAB_SCHEDD_WEBHOOKS_H
#define SCARAB_SCHEDD_WEBHOOKS_H

#include "schedd.h"

enum {
	WEBHOOKS_VERIFYING_MAX =
	    8, /* of 1 MiB and a millisecond each: secretd has other work too */
	WEBHOOKS_SAY_EVERY_MS = 10000, /* the log tells of refusals as often, as numbers */
};

struct webhooks;

struct webhooks *webhooks_new(struct schedd *schedd); /* NULL without memory */
void webhooks_free(struct webhooks *webhooks);

/* agentd's channel (borrowed), which is told whether any agent waits for webhooks. */
void webhooks_join(struct webhooks *webhooks, struct channel *agentd);
/* What agents wait for may have changed. */
void webhooks_changed(struct webhooks *webhooks);
/* agentd said whether somebody listens. */
void webhooks_state(struct webhooks *webhooks, const struct msg_webhooks_state *state);

/* Take the descriptor over; an earlier channel of the kind is closed. */
void webhooks_introduce_listener(struct webhooks *webhooks, int fd);
void webhooks_introduce_secretd(struct webhooks *webhooks, int fd);

/* A TRIGGER_ROW for each webhook trigger of this agent (empty: of all). 0 or -errno. */
int webhooks_add_rows(struct webhooks *webhooks, const char *agent, struct rows *rows);

#endif
