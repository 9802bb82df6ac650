/*
 * Operators who watch everything: each is pushed every change of a session and every notice of
 * agentd, schedd and runnerd. One who reads too slowly misses some and is told how many; nobody
 * waits for him. While one of them wants samples, runnerd is asked for them every SAMPLES_EVERY_MS,
 * and not before it answered the last time; else nothing happens.
 */
#ifndef SCARAB_CONTROL_WATCHERS_H
#define SCARAB_CONTROL_WATCHERS_H

#include "clients.h"

struct watchers;

/* NULL with errno. */
struct watchers *watchers_new(struct control *control);
void watchers_free(struct watchers *watchers);

/* A SESSION_EVENT or NOTICE as this daemon told it; what it may not tell is dropped. */
void watchers_tell(struct control *control, enum role teller, const struct msg *msg);
/* A SESSION_SAMPLE of runnerd; and runnerd went away before the last one. */
void watchers_sample(struct control *control, const struct msg *msg);
void watchers_unsampled(struct control *control);

#endif
