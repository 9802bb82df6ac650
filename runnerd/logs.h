/*
 * Sessions' logs: LOG_DIR/AGENT/SESSION.jsonl is the newest segment, `.1` the one before it. The
 * keeper writes; runnerd opens every segment ahead as `.next.N`, gives it its name when the
 * keeper went on to it, and hands readers read-only descriptors.
 */
#ifndef SCARAB_RUNNERD_LOGS_H
#define SCARAB_RUNNERD_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/uuid.h"

struct session_log {
	int dir; /* LOG_DIR/AGENT, or -1 */
	char id[UUID_TEXT_LEN + 1];
	unsigned gid;     /* who may read it */
	uint32_t segment; /* number of the newest */
	uint64_t offset;  /* where the newest begins, from the session's first byte */
	uint64_t total, dropped;
};

/* Opens the agent's directory, made where missing. 0 or -errno. */
int log_attach(struct session_log *log, int logs_fd, const char *agent, const struct uuid *session,
	       unsigned gid);
/* Segments 0 and 1 of a new session, for the keeper to write. 0 or -errno. */
int log_begin(struct session_log *log, int *first, int *next);
/* The keeper writes segment now (number log->segment + 1): rename. Also finishes a change of
 * names that a crash interrupted. 0 or -errno. */
int log_switch(struct session_log *log, uint32_t segment);
/* Opens the segment after the newest for the keeper. Descriptor or -errno. */
int log_next(struct session_log *log);
/* The session ended: no segment is open ahead any more. never: it wrote nothing and never
 * started, the empty log goes too. */
void log_finish(struct session_log *log, bool never);
/* Where the log ends, by what is on disk. */
uint64_t log_length(const struct session_log *log);
void log_detach(struct session_log *log);

/* Deletes all that LOG_DIR/AGENT keeps of a session that has ended: its log, what is known of its
 * tools, its notes and result. Nothing there: 0. 0 or -errno. */
int log_delete(int logs_fd, const char *agent, const struct uuid *session);

/* What LOG carries. older is -1 when there is none. */
struct log_view {
	int newest, older;
	uint64_t offset, older_offset, total;
};
/* 0, or -errno (-ENOENT: there is no log of this session). */
int log_view(const struct session_log *log, struct log_view *view);

#endif
