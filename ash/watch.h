/*
 * A session watched from its start or from now to its end: events, output, the live line, Ctrl-C,
 * and connections that break while daemons restart.
 */
#ifndef ASH_WATCH_H
#define ASH_WATCH_H

#include "ash.h"
#include "logs.h"
#include "session.h"

enum {
	WATCH_IDLE_MS = 5000, /* after so long without a word the session is asked about */
	WATCH_INTERRUPTED = -2,
};

/* A session to start. */
struct run {
	struct msg request;   /* OP_RUN, without descriptors */
	const uint8_t *input; /* borrowed; with request.op_run.has_input */
	size_t input_length;
};

struct watch {
	struct ash *ash;
	struct run *run; /* NULL: the session is there already */
	char ref[UUID_TEXT_LEN + 1];
	char agent[AGENT_NAME_MAX + 1];
	bool output;    /* print what the agent prints */
	bool until_row; /* stop once it is accepted */
	bool cancels;   /* the first Ctrl-C cancels, the second leaves */
	/* What came of it. */
	bool accepted, ended;
	struct ending ending;
	char reason[REASON_MAX + 1];
	uint8_t state, step;
	struct logs logs;
	struct progress progress;
	/* private */
	int signal_fd, pipe_fd;
	size_t fed;
	uint32_t run_id, follow_id, log_id, row_id, cancel_id;
	uint64_t log_total, log_asked, broken_since, retry_at, quiet_since, heard_ms;
	unsigned interrupts;
	bool log_final, cancel_sent;
};

/* session: for a run, the id chosen for it; agent: its name. */
void watch_init(struct watch *watch, struct ash *ash, const char *ref, const char *agent);
/* Until the session ended and its output is printed: 0, WATCH_INTERRUPTED when the operator left
 * it, -1 with error. */
int watch_session(struct watch *watch, struct error *error);
void watch_free(struct watch *watch);

#endif
