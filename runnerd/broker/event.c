#include "event.h"

#include <stdio.h>

#include "common/values.h"

bool
event_named(const char *type, const char *subject, char why[EVENT_WHY])
{
	char reason[REASON_SIZE];

	if (!value_event_type(type, reason))
		snprintf(why, EVENT_WHY, "type: %s", reason);
	else if (subject[0] && !value_event_name(subject, reason))
		snprintf(why, EVENT_WHY, "subject: %s", reason);
	else
		return true;
	return false;
}
