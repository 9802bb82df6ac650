/*
 * A request that takes as long as it takes: an operator's home is rolled back, sessions come to
 * their end. While it is under way ash asks on a second connection whether the daemons that it
 * depends on still answer, so that it waits for work and not for a process that is stopped.
 */
#ifndef ASH_PATIENT_H
#define ASH_PATIENT_H

#include "ash.h"

enum {
	PATIENT_LOOK_MS = 10000, /* how often it looks */
	PATIENT_MISSES = 3,      /* looks in a row at which a daemon did not answer */
};

/* As connection_call(). needs_schedd, needs_runnerd: who works on it. */
int patient_call(struct ash *ash, struct msg *request, enum msg_type expected, struct msg *reply,
		 bool needs_schedd, bool needs_runnerd, struct error *error);

#endif
