/*
 * News for operators who watch: what happens besides the sessions' own changes (SESSION_EVENT).
 * agentd, schedd and runnerd tell control, control tells whoever sent OP_WATCH. Nobody waits for a
 * watcher: where too much waits for the socket a notice is counted and dropped, and the count is
 * told when there is room again.
 */
#ifndef SCARAB_NOTICE_H
#define SCARAB_NOTICE_H

#include "channel.h"

enum notice_kind {
	NOTICE_NONE,
	NOTICE_EVENT_EMITTED,
	NOTICE_EVENT_DELIVERED,
	NOTICE_TRIGGER_FIRED,
	NOTICE_AGENT_PAUSED,
	NOTICE_AGENT_RESUMED,
	NOTICE_AGENT_INSTALLED,
	NOTICE_AGENT_REMOVED,
	NOTICE_CALL_ASKED,
	NOTICE_CALL_DECIDED,
	NOTICE_DAEMON_STARTED,
	NOTICE_DAEMON_ENDED,
	NOTICE_MISSED, /* count of them were dropped, session events included */
	NOTICE_COUNT,
};

enum {
	/* What may wait for a socket before notices to it are dropped: a quarter of what an
	 * operator's channel may hold before it ends. */
	NOTICES_WAITING_MAX = 256,
};

/* As `ash events --json` names it: "event.emitted"; NULL for a number out of range. */
const char *notice_kind_name(uint8_t kind);
/* The daemon that may tell it; ROLE_NONE: any. */
enum role notice_teller(uint8_t kind);

/* msg becomes a NOTICE of this kind, of now. */
void notice_init(struct msg *msg, enum notice_kind kind);
/* Sends a NOTICE or SESSION_EVENT without descriptors, or counts it in *missed. channel NULL:
 * nobody is there to be told. */
void notice_send(struct channel *channel, uint64_t *missed, struct msg *msg);
/* Tells what was missed where there is room for it now; true: something remains to be told. */
bool notice_settle(struct channel *channel, uint64_t *missed);

#endif
