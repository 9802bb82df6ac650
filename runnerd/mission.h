/* mission.json, CONTRACT 3: what a session was started for, as its agent reads it. */
#ifndef SCARAB_RUNNERD_MISSION_H
#define SCARAB_RUNNERD_MISSION_H

#include <stddef.h>

#include "common/proto.h"

/* Heap text, or NULL when memory ran out. deadline_ms: 0 for none. */
/* event: the JSON object of the event that started it; NULL: none did. */
char *mission_json(const struct msg_prepare *request, const char *event, size_t event_length,
		   uint64_t deadline_ms, size_t *length);

#endif
