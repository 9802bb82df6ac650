/* ash tool list SESSION|AGENT: the registry of a session, or of an agent's newest one. */
#ifndef ASH_REGISTRY_H
#define ASH_REGISTRY_H

#include "ash.h"

int registry_list(struct ash *ash, const char *operand, struct error *error);

#endif
