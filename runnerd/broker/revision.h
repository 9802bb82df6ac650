/* The revisions of MCP that the broker knows. Pure. */
#ifndef SCARAB_BROKER_REVISION_H
#define SCARAB_BROKER_REVISION_H

#include <stdbool.h>

#define REVISION_HANDSHAKE "2025-11-25" /* the newest that begins with initialize */
#define REVISION_MODERN "2026-07-28"
#define REVISION_BATCHES "2025-03-26"    /* the only one with batches */
#define REVISION_STRUCTURED "2025-06-18" /* the first with structuredContent */

bool revision_handshake(const char *revision);

#endif
