/*
 * Everything that happens, as agentd pushes it (OP_WATCH): one connection that is made again when
 * it breaks, and that notices a control process which does not answer. Whoever uses it polls
 * stream_fd() for stream_patience() and then takes what there is.
 */
#ifndef ASH_STREAM_H
#define ASH_STREAM_H

#include "ash.h"

enum {
	STREAM_PING_MS = 5000, /* after so long without a word it is asked for one */
	STREAM_DEAF_MS = 15000 /* and given up after so long */
};

enum stream_news {
	STREAM_NOTHING, /* now */
	STREAM_MESSAGE, /* one: SESSION_EVENT, NOTICE, SESSION_SAMPLE, or an answer */
	STREAM_UP,      /* from now on; what was before is not told */
	STREAM_LOST,    /* agentd, or its control process, is away; error says why */
};

struct stream {
	struct ash *ash;
	bool samples;
	/* private */
	bool up;
	uint32_t watch_id;
	uint64_t heard_ms, pinged_ms, retry_at, lost_ms;
};

void stream_init(struct stream *stream, struct ash *ash, bool samples);
/* -1: there is no connection now. */
int stream_fd(const struct stream *stream);
/* How long poll(2) may take before stream_next() is called all the same. */
int stream_patience(const struct stream *stream);
/* Never waits. The message's descriptors are the caller's. -1 with error: no later try helps. */
int stream_next(struct stream *stream, struct msg *msg, struct error *error);
bool stream_is_up(const struct stream *stream);
/* For how long it has been away, ms; 0: it is not. */
uint64_t stream_away_ms(const struct stream *stream);

#endif
