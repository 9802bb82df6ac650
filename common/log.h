/*
 * What a process says of itself: to standard error, syslog or the journal. Every line about a
 * session carries its id. Process-wide by nature, so this is the one module with state; set up
 * once by main().
 */
#ifndef SCARAB_LOG_H
#define SCARAB_LOG_H

#include "error.h"
#include "uuid.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};
enum log_target {
	LOG_TO_STDERR,
	LOG_TO_JOURNAL, /* native fields; where its socket is not there, "<N>" prefixes */
	LOG_TO_SYSLOG
};

/* name: the role, borrowed for ever. */
void log_open(const char *name, enum log_level level, enum log_target target);
void log_set_level(enum log_level level);
/* Descriptors from here on are closed: nothing is sent where another one may be by then. */
void log_closed_from(int first);
/* "error", "warning", "info", "debug"; -1 otherwise. */
int log_level_parse(const char *text);
/* Resolves "auto": the journal when standard error is systemd's (JOURNAL_STREAM), else stderr. */
enum log_target log_target_auto(void);
/* "stderr", "journal", "syslog"; anything else, also NULL, is "auto". */
enum log_target log_target_parse(const char *text);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* About one session; level as above. */
void log_session(enum log_level level, const struct uuid *session, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What is worth finding again: each has a MESSAGE_ID of its own, agentd(8) lists them. */
enum log_event {
	LOG_EVENT_NONE,
	LOG_EVENT_READY,          /* every daemon is */
	LOG_EVENT_SESSION_ENDED,  /* as success */
	LOG_EVENT_SESSION_FAILED, /* in any other way */
	LOG_EVENT_DAEMON_DIED,
	LOG_EVENT_CONFIG_REFUSED,
	LOG_EVENTS,
};
/* agent, session: what it concerns; NULL: none. */
void log_event(enum log_event event, enum log_level level, const char *agent,
	       const struct uuid *session, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Where log_open() has found the journal; for tests. 0, or -errno and lines go to standard error.
 */
int log_journal_at(const char *path);
/* what: why (hint) */
void log_problem(enum log_level level, const struct error *error);

#endif
