/* How an event of the agent may be called: the rules are those of common/values.h, whose names are
 * not for files that know common/scan.h. */
#ifndef SCARAB_BROKER_EVENT_H
#define SCARAB_BROKER_EVENT_H

#include <stdbool.h>

enum { EVENT_WHY = 272 };

/* subject may be empty. False with why. */
bool event_named(const char *type, const char *subject, char why[EVENT_WHY]);

#endif
