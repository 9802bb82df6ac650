/*
 * Sessions as ash shows them: references, the JSON object of CONTRACT 9, exit statuses, words.
 */
#ifndef ASH_SESSION_H
#define ASH_SESSION_H

#include <stdbool.h>

#include "ash.h"
#include "common/json.h"
#include "common/proto.h"
#include "session_tools.h"

enum { STEPS_MAX = 64 /* steps of one session that are shown */ };

/* A session and its steps, as agentd answered. */
struct session {
	struct msg_session_row row;
	struct msg_step_row steps[STEPS_MAX];
	size_t count;
	const struct session_tools *tools; /* NULL: not known */
	bool listed;    /* one of a list: its steps and tools were not asked for */
	bool has_event; /* one started it, and is kept */
	struct msg_event_row event;
};

/* What --since takes, as milliseconds since the epoch. -1 with ERR_USAGE. */
int since_parse(const char *text, uint64_t *since_ms, struct error *error);
/* Can this be a session's id, the beginning of one, or AGENT@latest? -1 with ERR_NOT_FOUND. */
int session_ref_check(const char *ref, struct error *error);
/* Asks for one session. */
int session_get(struct ash *ash, const char *ref, struct session *session, struct error *error);
/* With what came of its tools, where that is known: tools is freed by the caller in every case. */
int session_get_all(struct ash *ash, const char *ref, struct session *session,
		    struct session_tools *tools, struct error *error);
/* The same from the rows of a descriptor. */
int session_read(int fd, struct session *session, struct error *error);

void session_json(const struct session *session, struct json *json);
/* The same object's keys without the braces around it. */
void session_json_keys(const struct session *session, struct json *json);

/* "retry", "restart"; NULL for none. */
const char *succession_name(uint8_t succession);
/* The outcome, or the state of a session that has not ended. */
const char *session_shown(uint8_t state, uint8_t outcome);
enum color session_color(uint8_t state, uint8_t outcome);

/* How a session ended, as events and rows tell it. */
struct ending {
	enum session_outcome outcome;
	enum session_step step;
	int exit_code, signal; /* -1: none */
	const char *reason;
};
struct ending session_ending(const struct msg_session_row *row);
/* What `agent run --wait` and `session wait` exit with, CONTRACT 5. */
int ending_status(const struct ending *ending);
/* "failed with exit status 3", "could not be set up: network: …"; into at least
 * ENDING_TEXT_MAX + 1 bytes; returns text. */
enum { ENDING_TEXT_MAX = 1400 };
const char *ending_text(const struct ending *ending, char *text);
/* What to do next, or NULL. */
const char *ending_advice(const struct ending *ending);

/* How many characters of these ids tell them apart, at least 13: the time of a UUIDv7. */
size_t session_prefix(const struct uuid *ids, size_t count);

#endif
