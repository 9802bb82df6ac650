/*
 * The events that were told: a table of the ledger's file, CloudEvents 1.0 by their attributes. An
 * event is unique by (source, id); a replay of it by an operator is a row of its own. schedd only.
 *
 * The table may be missing in a ledger that an earlier build wrote, and an earlier build leaves it
 * alone: it is no change of the ledger's format.
 */
#ifndef SCARAB_SCHEDD_EVENTS_TABLE_H
#define SCARAB_SCHEDD_EVENTS_TABLE_H

#include "common/proto.h"
#include "ledger.h"

struct events_table;

/* What is kept; an event that was forgotten may be told again, unless its sender signed it. */
enum {
	EVENTS_KEPT_MAX = 100000,
	EVENTS_KEPT_BYTES = 256 << 20, /* of data */
	SIGNATURES_KEPT_MAX = 100000,  /* of events that are gone, some 10 MB */
};

/* Sessions that start one another, by events and by their ends: the next one is refused. */
enum { EVENT_DEPTH_MAX = 32 };

/* Borrowed strings; data NULL: it has none. */
struct event {
	int64_t seq; /* order of arrival, set by events_table_insert */
	const char *type, *source, *id, *subject;
	uint32_t replay;
	uint64_t at_ms;
	uint32_t uid, pid, login_uid;
	const char *operator; /* empty: none */
	bool delivered;
	uint32_t repeats;
	uint32_t depth; /* of sessions that started one another before it; 0: nobody's */
	bool has_data;
	const uint8_t *data; /* NULL: it has none, or the walk does not read it */
	size_t data_length;
	/* Of a webhook whose signature does not cover its id: the signature. Another id with the
	 * same is a replay. */
	bool signed_once;
	uint8_t signature[SIGNATURE_BYTES];
};

enum event_fate {
	EVENT_NEW,
	EVENT_REPEATED, /* the same is there: seq, at_ms and replay are its own now */
	EVENT_DIFFERS,  /* another with this source and id is there */
	EVENT_REPLAYED, /* its signature is there under another id; nothing was stored */
};

/* With all that it borrows, in one block: free() it. NULL without memory. */
struct event *event_copy(const struct event *event);

/* Makes the table where there is none. The ledger stays the caller's and must outlive it. NULL with
 * error. */
struct events_table *events_table_open(struct ledger *ledger, struct error *error);
void events_table_close(struct events_table *table);

/* Inside a transaction of the ledger's. 0 and fate, or -1 with error. */
int events_table_insert(struct events_table *table, struct event *event, enum event_fate *fate,
			struct error *error);
/* The number of the next replay of this event. 0, or -1 with error. */
int events_table_next_replay(struct events_table *table, const char *source, const char *id,
			     uint32_t *replay, struct error *error);

/* Survives the death of this process; delivering it again is no harm. */
int events_table_delivered(struct events_table *table, int64_t seq, struct error *error);
/* The oldest that was not delivered and has a seq over after; 0: none, -1: error. */
int64_t events_table_undelivered(struct events_table *table, int64_t after, struct error *error);

/* Returns non-zero to end the walk early (not an error). The event is the walk's. Its data is read
 * where the walk says so. */
typedef int event_fn(const struct event *event, void *arg);
struct event_filter {
	const char *source, *id; /* empty: any */
	uint64_t since_ms;
};
/* Newest first, without data. */
int events_table_each(struct events_table *table, const struct event_filter *filter, event_fn *fn,
		      void *arg, struct error *error);
/* With data. 1: fn was called, 0: no such event, -1: error. */
int events_table_get(struct events_table *table, int64_t seq, event_fn *fn, void *arg,
		     struct error *error);

/* After a rollback. */
void events_table_recount(struct events_table *table);
/* Forgets delivered events from before before_ms, and the oldest beyond the bounds above. */
int events_table_prune(struct events_table *table, uint64_t before_ms, struct error *error);

#endif
