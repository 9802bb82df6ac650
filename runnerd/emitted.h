/*
 * Events that agents emit, on their way to schedd: kept until it says that they are durable, and
 * told again to one that was restarted. runnerd only, which looks at no byte of what they carry.
 *
 * An event is named by its agent: its type is agent.NAME.TYPE, so that no agent speaks for another
 * source; TYPE as it is where the manifest has a capability event.emit:GLOB that matches.
 */
#ifndef SCARAB_RUNNERD_EMITTED_H
#define SCARAB_RUNNERD_EMITTED_H

#include "session.h"

enum {
	EMITTED_KEPT_MAX = 256, /* with NOTE_TEXT_MAX bytes of data each */
	EMITTED_AGAIN_MS = 2000 /* what schedd could not store is told again */
};

struct emitted;

struct emitted *emitted_new(struct runnerd *r); /* NULL without memory */
void emitted_free(struct emitted *emitted);

/* data: a sealed memfd, or -1; taken over. 0, or -errno: it is not told (-EINVAL: no type that an
 * event can have, -ENOBUFS: too many wait). */
int emitted_add(struct session *s, const struct msg_broker_note *note, int data);
/* schedd is there (again): everything that is kept is told. */
void emitted_announce(struct runnerd *r);
/* schedd has it. */
void emitted_acknowledged(struct runnerd *r, const struct uuid *event);

#endif
