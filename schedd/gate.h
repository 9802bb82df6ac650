/*
 * What may keep an agent's sessions from starting although a slot is free: one row for each reason.
 * schedd only; a check reads, and changes nothing.
 *
 * Asked once when a session arrives and again whenever one is about to leave the queue. One that
 * arrives may be let in, put into the queue, or recorded as skipped; one that waits may start, or
 * waits on: its agent is held until the verdict's time, or until gate_changed(). A definition that
 * comes anew and a clock that was set let everybody be asked again.
 */
#ifndef SCARAB_SCHEDD_GATE_H
#define SCARAB_SCHEDD_GATE_H

#include "schedd.h"

enum gate_word {
	GATE_OPEN,
	GATE_WAIT, /* until_ms on the schedule's clock; NEVER: until gate_changed() */
	GATE_SKIP, /* only to one that arrives */
};

struct gate_verdict {
	enum gate_word word; /* GATE_OPEN when a check is called */
	int64_t until_ms;
	char reason[REASON_MAX + 1]; /* why it waits or is skipped, as operators read it */
};

struct gate_question {
	struct schedd *schedd;
	const struct agent *agent;
	int64_t now_ms;
	bool arrives; /* it is fired now; false: it waits in the queue */
};

/* Of all rows: a skip before a wait, and the wait that is longest. */
void gate_check(const struct gate_question *question, struct gate_verdict *verdict);
/* The same for one that waits; holds the agent when it may not start. True: it may. */
bool gate_passes(struct schedd *schedd, struct agent *agent);
/* What holds the agent up may be over: asks again, and starts what may. */
void gate_changed(struct schedd *schedd, struct agent *agent);

#endif
