/* "did you mean": for the name of an agent that is not installed. */
#ifndef ASH_SUGGEST_H
#define ASH_SUGGEST_H

#include "ash.h"

/* Puts the nearest installed name into the error's hint, where one is near and agentd tells soon.
 */
void suggest_agent(struct ash *ash, const struct args *args, struct error *error);

#endif
