/*
 * How the agent sees what a plugin offers. Tools and prompts: SERVER__NAME in [A-Za-z0-9_-], at
 * most EXPOSED_NAME_MAX characters: other characters become _, a longer name keeps its beginning
 * and ends in 8 hexadecimal digits of the SHA-256 of the whole. Resources: mcp.SERVER+URI, a scheme
 * that every client's parser takes. With passthrough the prefix is missing. Pure.
 */
#ifndef SCARAB_BROKER_NAMING_H
#define SCARAB_BROKER_NAMING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/limits.h"

#define RESERVED_PREFIX "agentd__"

/* server NULL: passthrough. */
void name_expose(const char *server, const char *name, char exposed[EXPOSED_NAME_MAX + 1]);
/* Is it kept for the runtime's own tools? */
bool name_reserved(const char *exposed);
/* "mcp.SERVER+", or nothing for NULL. */
void uri_prefix(const char *server, char prefix[SERVER_NAME_MAX + 6]);

#endif
