/* What is written into a session's groups, one row for each control file. */
#ifndef SCARAB_RUNNERD_CGROUP_LIMITS_H
#define SCARAB_RUNNERD_CGROUP_LIMITS_H

#include "cgroup.h"

enum cgroup_part { PART_SESSION, PART_RUNTIME, PART_AGENT };

/* Does this part of a session have limits of this controller at all? */
bool limits_concern(enum controller controller, enum cgroup_part part,
		    const struct cgroup_limits *limits);
/* Writes what the part's directory in this hierarchy takes. 0, or -1 with error. */
int limits_write(const struct hierarchy *hierarchy, enum cgroup_part part, int dir,
		 const struct cgroup_limits *limits, struct error *error);

#endif
