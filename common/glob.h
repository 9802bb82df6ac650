/*
 * Patterns of names: * any text, ? one byte, [a-z] and [!a-z] one of a set. Whole names, byte by
 * byte, in time linear in pattern times name. Any process.
 */
#ifndef SCARAB_GLOB_H
#define SCARAB_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *name);

#endif
