/* Patterns of tools' names, agent-manifest(5): * any characters, ? one, [abc], [a-z], [!a-z] one of
 * a set. Pure; at most pattern times text steps, whatever the pattern. */
#ifndef SCARAB_BROKER_GLOB_H
#define SCARAB_BROKER_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);

#endif
