/*
 * From an event to sessions: one for each trigger that it matches, unique by (event, agent,
 * trigger) in the ledger, so that delivering again after a crash starts nothing twice. schedd only.
 */
#ifndef SCARAB_SCHEDD_DELIVER_H
#define SCARAB_SCHEDD_DELIVER_H

#include "event_match.h"
#include "schedd.h"

/* Would it start anything? */
bool deliver_wanted(struct schedd *schedd, const struct event *event);
/* Fires for every agent. 0, or -1 with error: some are not recorded, deliver it again. */
int deliver_event(struct schedd *schedd, const struct event *event, struct error *error);

/* Inside the transaction that makes a session's end durable: the event of it, where a trigger waits
 * for it. 0, or -1 with error. */
int deliver_end(struct schedd *schedd, const struct ledger_session *row, struct error *error);
/* How many sessions before this one started one another; 0 where nothing is known of it. */
uint32_t deliver_depth_of(struct schedd *schedd, const struct uuid *session);

/* A session's trigger id in the ledger names the event too, as TRIGGER/SEQ, and of a retry or
 * restart whom it follows, as …~SEQ; people and agents see TRIGGER. Cuts the rest off; the event's
 * seq, or 0. */
#define SUCCESSOR_MARK '~'
int64_t trigger_id_cut(char *id);
/* For PREPARE of a session that an event started: the event as mission.json has it (a sealed memfd,
 * the caller's), -1: it is not kept any more, or there is none. */
int deliver_event_memfd(struct schedd *schedd, int64_t seq);

#endif
