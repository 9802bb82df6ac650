/*
 * What operators ask: one table row per message, one struct request per question under way. A
 * request makes calls to agentd, schedd and runnerd, one at a time; a daemon that is being
 * restarted is waited for, and asked again where asking twice changes nothing.
 */
#ifndef SCARAB_CONTROL_REQUESTS_H
#define SCARAB_CONTROL_REQUESTS_H

#include "clients.h"

typedef void request_fn(struct request *request);
/* The answer is of the type that was expected; descriptors not taken are closed afterwards. */
typedef void answer_fn(struct request *request, struct msg *answer);

struct request_rule {
	enum msg_type type;
	const char *action; /* of the audit line; NULL: changes nothing, is not audited */
	request_fn *start;
};

enum call_flags {
	CALL_ONCE,    /* asking twice could do it twice */
	CALL_REPEATED /* asked again when the daemon died before it answered */
};

struct call {
	enum upstream upstream;
	enum call_flags flags;
	enum msg_type expected;
	uint64_t wait_ms; /* for the answer; 0: as long as it takes */
	answer_fn *then;
	bool optional; /* then goes on with NULL when the daemon is away */
};

struct request {
	TAILQ_ENTRY(request) entry;
	struct control *control;
	struct client *client; /* NULL: it went away */
	const struct request_rule *rule;
	struct msg msg; /* as asked, with its descriptors */
	struct msg_peer peer;

	/* The call under way. */
	struct call call;
	uint32_t call_id;    /* 0: none */
	struct msg *sending; /* owned: what is to be sent, kept while it may have to be repeated */
	bool sent;
	struct loop_source *timer;
	request_fn *failed; /* undoes what the request did so far, before it fails; may be NULL */
	char detail[REASON_MAX + 1]; /* of the audit entry, when it is done */
	bool uncertain;              /* the call was sent, and no answer has come */
	unsigned asked;              /* metrics: the upstream that is asked */
	/* Of a request that control makes itself: what came of it, NULL: it failed. */
	void (*told)(struct msg *answer, void *arg);
	void *told_arg;

	/* What the calls found. */
	struct uuid session;
	char agent[AGENT_NAME_MAX + 1];
	struct msg_ledger ledger;
	bool ledger_known, agents_known;
	int rows_fd; /* -1 */
	uint32_t rows_count;
};

/* Descriptors not taken stay msg's. */
void request_new(struct client *client, struct msg *msg);
/* One of control's own, for what changes nothing: told is called once, unless it is abandoned
 * before. NULL: too many are under way. request_begin() starts it, and may end it. */
struct request *request_inside(struct control *control, enum msg_type type,
			       void (*told)(struct msg *answer, void *arg), void *arg);
void request_begin(struct request *request);
void request_abandon(struct request *request);
/* Its requests go on without it, or end where nothing was begun. */
void requests_orphan(struct client *client);
void requests_release(struct control *control);

/* Sends msg (descriptors are taken over) as call says; call->then goes on. An ERROR, a missing
 * daemon or the deadline fail the request. The request may be gone when it returns. */
void request_call(struct request *request, const struct call *call, struct msg *msg);
/* The end of a request, one way or the other: answers, audits, frees. */
void request_reply(struct request *request, struct msg *answer);
void request_reply_ok(struct request *request, uint64_t value);
void request_fail(struct request *request, const struct error *error);

/* The upstream side. Takes the descriptor over. */
void upstream_introduce(struct control *control, enum upstream upstream, int fd);
/* A message of agentd that is an answer. */
void upstream_answer(struct control *control, enum upstream upstream, struct msg *msg);
/* agentd is stopping: those who asked for it hear that it is done. */
void requests_stop(struct control *control);

extern const struct request_rule request_rules[];
extern const size_t request_rule_count;

/* The handlers with files of their own. */
request_fn request_image_view;
request_fn request_install, request_explain, request_run, request_events, request_event_emit,
    request_event_replay, request_metrics;
/* Is this (borrowed) a sealed memfd of JSON within its bound? 0, or -1 with error. */
int event_data_check(int fd, struct error *error);
request_fn request_watch;
request_fn request_image_add, request_images, request_image_remove, request_images_gc;
request_fn request_tools, request_tool_pin, request_asks, request_approve, request_deny;

/* For them, of handlers.c. A question that may be asked twice; one for the session that is meant;
 * the answer as it came; the end for rows that are none. */
void request_ask(struct request *request, enum upstream upstream, struct msg *msg,
		 enum msg_type expected, answer_fn *then);
void request_ask_session(struct request *request, const char *ref, answer_fn *then);
answer_fn request_forward;
void request_fail_rows(struct request *request, const char *daemon);

/* Fills session and agent from ROWS with one SESSION_ROW; false: not such rows. */
bool request_note_session(struct request *request, struct msg *rows);

#endif
