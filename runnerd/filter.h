/*
 * What runnerd never needs, closed for it and, by inheritance, for all that it starts. A list of
 * what is denied: everything a sandbox is built of is made of calls, so that a list of what is
 * allowed would name nearly all. The agents' own filters come on top.
 */
#ifndef SCARAB_RUNNERD_FILTER_H
#define SCARAB_RUNNERD_FILTER_H

#include "common/error.h"

/* no_new_privs must be set. 0, or -1 with error. */
int filter_load(struct error *error);

#endif
