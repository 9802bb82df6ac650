/*
 * Events on their way into the table: what comes in one round of the loop is made durable by one
 * commit, and nobody is told that an event is stored before. schedd only.
 */
#ifndef SCARAB_SCHEDD_EVENTS_H
#define SCARAB_SCHEDD_EVENTS_H

#include "events_table.h"
#include "schedd.h"

enum {
	EVENTS_WAITING_MAX = 256, /* events that one commit makes durable */
	EVENTS_WAITING_BYTES = 8 << 20,
	EVENTS_PRUNE_EVERY = 64, /* commits between two prunings by age */
	EVENTS_AGAIN_MS = 1000,  /* what could not be delivered is tried again */
};

/* What became of it; event is valid during the call. error: it is not stored. */
struct event_told {
	void (*fn)(struct schedd *schedd, const struct event_told *told, const struct event *event,
		   bool repeated, const struct error *error);
	uint32_t request;  /* of the message that brought it; 0: nobody waits */
	struct uuid event; /* that runnerd tells until it is acknowledged */
};

struct events;

/* Of schedd's ledger. NULL with error. */
struct events *events_new(struct schedd *schedd, struct error *error);
void events_free(struct events *events);

/* Takes a copy. at_ms is set here; data must be JSON that scan() accepted. again: a replay, whose
 * number is given when it is stored. told->fn is called once, perhaps before this returns. */
void events_accept(struct events *events, const struct event *event, bool again,
		   const struct event_told *told);

/* Delivers what is stored and was not, as far as it can be now. */
void events_deliver(struct events *events);
/* The same, from the loop: for who stands in the middle of something. */
void events_deliver_soon(struct events *events);
/* Those that are too old or too many: for who stores some of its own. */
void events_prune(struct events *events);
/* Control is away: what it asked for is stored, and it asks again. */
void events_forget_control(struct events *events);
/* Borrowed: for who asks what is stored. */
struct events_table *events_table_of(struct events *events);

/* The messages of control. */
void events_emit(struct schedd *schedd, const struct msg *msg);
void events_query(struct schedd *schedd, const struct msg *msg);
void events_replay(struct schedd *schedd, const struct msg *msg);
/* The EVENT_ROW of this one, when it is kept. 0 or -errno. */
int events_add_row(struct events *events, int64_t seq, struct rows *rows);
/* And of runnerd: what an agent emitted. */
void events_from_agent(struct schedd *schedd, const struct msg *msg);

#endif
