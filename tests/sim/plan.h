/*
 * What the agents of a simulated year wait for, as the messages by which runnerd tells schedd. Test
 * programs only, which end where a plan is none.
 *
 * The plan, fields between tabs, times in milliseconds; the lines of an agent follow each other:
 *   agent NAME COUNT                                then COUNT lines of what time starts:
 *   time KIND MISSED JITTER EVERY AT ZONE CRON      -1 and - for what a kind has not
 *   event TYPE                                      perhaps, after these
 *   types TYPE…                                     of the events that are told
 */
#ifndef SCARAB_TESTS_SIM_PLAN_H
#define SCARAB_TESTS_SIM_PLAN_H

#include <stdio.h>

#include "common/proto.h"

enum { TYPES_MAX = 16 };

/* A message as it lies in the socket. */
struct parcel {
	uint8_t *bytes; /* heap */
	size_t length;
	int fd; /* -1: none */
};
/* Takes the message's descriptor over. */
struct parcel parcel_of(struct msg *msg);

struct plan {
	struct parcel *definitions;
	size_t count;
	char *types[TYPES_MAX];
	unsigned type_count;
};
void plan_read(struct plan *plan, FILE *file);
void plan_free(struct plan *plan);

#endif
